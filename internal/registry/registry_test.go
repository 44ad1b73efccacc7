package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/ociregistry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c ociregistry.Config) *ociregistry.Server {
	t.Helper()
	s, err := ociregistry.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func client(t *testing.T, c registry.Config) *registry.Client {
	t.Helper()
	cl := registry.New(c)
	t.Cleanup(cl.Close)
	return cl
}

func repo(t *testing.T, s string) image.Repo {
	t.Helper()
	r, err := image.ParseRepo(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ref(t *testing.T, s string) image.Ref {
	t.Helper()
	r, err := image.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// allTags lists without an earlier answer.
func allTags(ctx context.Context, c *registry.Client, r image.Repo) ([]string, error) {
	l, err := c.List(ctx, r, registry.Listing{})
	return l.Tags, err
}

func push(t *testing.T, s *ociregistry.Server, name string, tags ...string) {
	t.Helper()
	if err := s.PushAll(name, tags...); err != nil {
		t.Fatal(err)
	}
	s.Reset()
}

func dockerConfig(t *testing.T, path, host, user, password string) string {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "config.json")
	}
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	data := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTagsAndDigestOfARealRegistry(t *testing.T) {
	ctx := t.Context()
	s := start(t, ociregistry.Config{})
	push(t, s, "team/web", "1.0.0", "1.1.0", "latest")
	want, err := s.Push("team/web", "1.2.0")
	if err != nil {
		t.Fatal(err)
	}
	s.Reset()
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})

	tags, err := allTags(ctx, c, repo(t, s.Image("team/web")))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"1.0.0", "1.1.0", "1.2.0", "latest"}; !slices.Equal(tags, want) {
		t.Errorf("tags %q, want %q", tags, want)
	}
	digest, err := c.Digest(ctx, ref(t, s.Image("team/web")+":1.2.0"))
	if err != nil {
		t.Fatal(err)
	}
	if string(digest) != want {
		t.Errorf("digest %s, want %s", digest, want)
	}
	if again, err := c.Digest(ctx, ref(t, s.Image("team/web")+"@"+want)); err != nil || again != digest {
		t.Errorf("by digest: %s, %v", again, err)
	}
	if n := len(s.Requests()); n != 4 { // ping, list, head, head
		t.Errorf("%d requests, want 4: %v", n, s.Requests())
	}
}

func TestOnePingPerHostAndOneListingPerImage(t *testing.T) {
	ctx := t.Context()
	s := start(t, ociregistry.Config{})
	for i := range 10 {
		push(t, s, fmt.Sprintf("app%d", i), "1.0.0")
	}
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	for range 2 {
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if _, err := allTags(ctx, c, repo(t, s.Image(fmt.Sprintf("app%d", i)))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := s.Count(http.MethodGet, "/v2/"); n != 1 {
		t.Errorf("%d pings, want 1", n)
	}
	if n := s.Count("", ""); n != 21 {
		t.Errorf("%d requests, want 1 ping and 20 listings", n)
	}
}

func TestPagesAreJoinedInOrder(t *testing.T) {
	s := start(t, ociregistry.Config{PageSize: 7})
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("1.0.%02d", i))
	}
	push(t, s, "web", want...)
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	tags, err := allTags(t.Context(), c, repo(t, s.Image("web")))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tags, want) {
		t.Errorf("tags %q, want %q", tags, want)
	}
	if n := s.Listings("web"); n != 8 {
		t.Errorf("%d pages, want 8", n)
	}
}

func TestTooManyPagesOrTagsAreRefusedWhole(t *testing.T) {
	s := start(t, ociregistry.Config{PageSize: 2})
	push(t, s, "web", "1", "2", "3", "4", "5")
	for name, c := range map[string]registry.Config{
		"more than 2 pages": {MaxPages: 2},
		"more than 3 tags":  {MaxTags: 3},
	} {
		c.InsecureHosts = []string{s.Host()}
		tags, err := allTags(t.Context(), client(t, c), repo(t, s.Image("web")))
		if !errors.Is(err, registry.ErrBadAnswer) || tags != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: tags %q, error %v", name, tags, err)
		}
	}
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}, MaxPages: 3, MaxTags: 5})
	if tags, err := allTags(t.Context(), c, repo(t, s.Image("web"))); err != nil || len(tags) != 5 {
		t.Errorf("exactly at the limits: %q, %v", tags, err)
	}
}

func TestPasswords(t *testing.T) {
	ctx := t.Context()
	s := start(t, ociregistry.Config{User: "bot", Password: "s3cret-canary"})
	push(t, s, "web", "1.0.0")
	web := repo(t, s.Image("web"))
	insecure := []string{s.Host()}

	t.Run("with the right one the list comes", func(t *testing.T) {
		path := dockerConfig(t, "", s.Host(), "bot", "s3cret-canary")
		tags, err := allTags(ctx, client(t, registry.Config{InsecureHosts: insecure, DockerConfig: path}), web)
		if err != nil || len(tags) != 1 {
			t.Errorf("tags %q, error %v", tags, err)
		}
	})
	t.Run("without one the error says where to put it", func(t *testing.T) {
		_, err := allTags(ctx, client(t, registry.Config{InsecureHosts: insecure}), web)
		mention(t, err, registry.ErrUnauthorized, s.Host(), "401", "no credentials were given")
	})
	t.Run("with a config for another host the error names both", func(t *testing.T) {
		path := dockerConfig(t, "", "ghcr.io", "bot", "s3cret-canary")
		_, err := allTags(ctx, client(t, registry.Config{InsecureHosts: insecure, DockerConfig: path}), web)
		mention(t, err, registry.ErrUnauthorized, path+" has no entry for "+s.Host(), "docker login "+s.Host())
	})
	t.Run("a wrong one is not shown, and a corrected file is used at once", func(t *testing.T) {
		path := dockerConfig(t, "", s.Host(), "bot", "wr0ng-canary")
		c := client(t, registry.Config{InsecureHosts: insecure, DockerConfig: path})
		_, err := allTags(ctx, c, web)
		mention(t, err, registry.ErrUnauthorized, "the credentials for "+s.Host()+" in "+path)
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("the error shows the password: %v", err)
		}
		dockerConfig(t, path, s.Host(), "bot", "s3cret-canary")
		if _, err := allTags(ctx, c, web); err != nil {
			t.Errorf("after correcting the file: %v", err)
		}
		// half-written: the last good credentials stay
		if err := os.WriteFile(path, []byte(`{"auths":{"`), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := allTags(ctx, c, web); err != nil {
			t.Errorf("while the file is half-written: %v", err)
		}
	})
	t.Run("a config that cannot be read is an error", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "missing.json")
		_, err := allTags(ctx, client(t, registry.Config{InsecureHosts: insecure, DockerConfig: path}), web)
		mention(t, err, registry.ErrUnauthorized, path)
	})
	t.Run("a credential helper that is not there is named", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(`{"auths":{"`+s.Host()+`":{}},"credsStore":"desktop"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := allTags(ctx, client(t, registry.Config{InsecureHosts: insecure, DockerConfig: path}), web)
		mention(t, err, registry.ErrUnauthorized, "credential helper")
	})
}

// mention checks the kind of an error, that it is one line, and what it says.
func mention(t *testing.T, err, kind error, parts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error %v, want one that is %q", err, kind)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not mention %q", err, p)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	ctx := t.Context()
	s := start(t, ociregistry.Config{})
	push(t, s, "web", "1.0.0")
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	_, err := allTags(ctx, c, repo(t, s.Image("nothing")))
	mention(t, err, registry.ErrNotFound, "list tags of "+s.Image("nothing"), "404")
	_, err = c.Digest(ctx, ref(t, s.Image("web")+":9"))
	mention(t, err, registry.ErrNotFound, "resolve "+s.Image("web")+":9", "404")
}

func TestPlainHTTPOnlyByName(t *testing.T) {
	s := start(t, ociregistry.Config{})
	push(t, s, "web", "1.0.0")
	c := client(t, registry.Config{Hosts: []registry.Host{{Host: s.Host(), PrivateNetwork: true}}})
	_, err := allTags(t.Context(), c, repo(t, s.Image("web")))
	mention(t, err, registry.ErrUnavailable, "speaks plain http", "insecure registry")
	if n := s.Count("", ""); n != 0 {
		t.Errorf("%d plain requests reached an unnamed host", n)
	}
}

func TestARegistryThatIsDownIsOneLine(t *testing.T) {
	s := start(t, ociregistry.Config{})
	host := s.Host()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c := client(t, registry.Config{InsecureHosts: []string{host}})
	_, err := allTags(t.Context(), c, repo(t, host+"/web"))
	mention(t, err, registry.ErrUnavailable, host, "connection refused")
}

func TestACancelledCallerIsNotTheRegistrysFault(t *testing.T) {
	s := start(t, ociregistry.Config{})
	push(t, s, "web", "1.0.0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := client(t, registry.Config{InsecureHosts: []string{s.Host()}})
	_, err := allTags(ctx, c, repo(t, s.Image("web")))
	if !errors.Is(err, context.Canceled) || errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func digestOf(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }
