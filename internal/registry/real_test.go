package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/distribution"
	"towpath.dev/towpath/test/faults"
)

// The tests of this file ask distribution/distribution, a process of its own,
// over real connections: what other tests say of a registry is tried on one.

// realHosts is what an operator would say of a registry on loopback, of its
// token server, and of what stands before it.
func realHosts(r *distribution.Registry, more ...string) []registry.Host {
	var all []registry.Host
	for _, host := range append([]string{r.Host, r.TokenHost}, more...) {
		if host != "" {
			all = append(all, registry.Host{
				Host: host, PlainHTTP: r.CAFile == "", PrivateNetwork: true,
				CAFile: r.CAFile, CertFile: r.CertFile, KeyFile: r.KeyFile,
			})
		}
	}
	return all
}

// loggedIn is a client of the registry, or of what stands before it, that has
// the user's credentials for it.
func loggedIn(t *testing.T, r *distribution.Registry, host string) *registry.Client {
	t.Helper()
	return client(t, registry.Config{
		Hosts:        realHosts(r, host),
		DockerConfig: dockerConfig(t, "", host, distribution.User, distribution.Password),
	})
}

// before puts a proxy before the registry, which counts and spoils.
func before(t *testing.T, r *distribution.Registry) *faults.Proxy {
	t.Helper()
	o := faults.Options{Backend: r.Host, RootCAs: r.RootCAs()}
	if r.CAFile != "" {
		cert := r.Certificate()
		o.TLS = &cert
	}
	return faults.Start(t, o)
}

// pushed returns the digest of what a test pushed.
func pushed(t *testing.T) func(digest string, err error) image.Digest {
	return func(digest string, err error) image.Digest {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return image.Digest(digest)
	}
}

// versions are n tags in the order in which distribution lists them.
func versions(n int) []string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprintf("1.0.%03d", i))
	}
	return tags
}

func TestARealRegistryOverTLSWithTokensCostsWhatItMust(t *testing.T) {
	ctx := t.Context()
	r := distribution.Start(t, distribution.Options{TLS: true, TokenAuth: true, MaxTags: 50})
	p := before(t, r)
	tags := versions(120)
	web := pushed(t)(r.Push(ctx, "team/web", tags...))
	pushed(t)(r.Push(ctx, "team/api", "2.0.0"))
	c := loggedIn(t, r, p.Host())

	listing, err := c.List(ctx, repo(t, p.Host()+"/team/web"), registry.Listing{})
	if err != nil || !slices.Equal(listing.Tags, tags) {
		t.Fatalf("tags %q, %v", listing.Tags, err)
	}
	if len(listing.Pages) != 3 || listing.Unchanged {
		t.Errorf("%d pages, unchanged %t; want 3 pages of at most 50", len(listing.Pages), listing.Unchanged)
	}
	for _, what := range []string{":1.0.077", "@" + string(web)} {
		if digest, err := c.Digest(ctx, ref(t, p.Host()+"/team/web"+what)); err != nil || digest != web {
			t.Errorf("digest of %s: %s, %v; want %s", what, digest, err, web)
		}
	}
	if platforms, err := c.Platforms(ctx, repo(t, p.Host()+"/team/web"), web); err != nil || len(platforms) != 1 {
		t.Errorf("platforms %v, %v", platforms, err)
	}
	// 1 way to log in, 3 pages, 2 digests, 1 manifest and its config; 1 token.
	if n := p.Count("", ""); n != 8 {
		t.Errorf("%d requests, want 8: %+v", n, p.Requests())
	}
	want := distribution.TokenRequest{User: distribution.User, Scopes: []string{"repository:team/web:pull"}, Status: http.StatusOK}
	if got := r.Tokens(); len(got) != 1 || got[0].User != want.User || !slices.Equal(got[0].Scopes, want.Scopes) || got[0].Status != want.Status {
		t.Errorf("the token server was asked %+v, want once %+v", got, want)
	}

	// The next image asks for a token of its own, and not how to log in. A second
	// listing asks for neither. distribution gives no ETag, so it comes whole.
	if _, err := c.List(ctx, repo(t, p.Host()+"/team/api"), registry.Listing{}); err != nil {
		t.Error(err)
	}
	again, err := c.List(ctx, repo(t, p.Host()+"/team/web"), listing)
	if err != nil || !slices.Equal(again.Tags, tags) || again.Unchanged {
		t.Errorf("again: %d tags, unchanged %t, %v", len(again.Tags), again.Unchanged, err)
	}
	if pings, tokens := p.Count(http.MethodGet, "/v2/"), len(r.Tokens()); pings != 1 || tokens != 2 || p.Count("", "") != 12 {
		t.Errorf("%d times asked how to log in, %d tokens, %d requests; want 1, 2, 12", pings, tokens, p.Count("", ""))
	}
}

func TestPagesOfARealRegistryThatAreJustFull(t *testing.T) {
	r := distribution.Start(t, distribution.Options{MaxTags: 10})
	c := client(t, registry.Config{InsecureHosts: []string{r.Host}})
	for _, n := range []int{1, 9, 10, 11, 20} {
		name := fmt.Sprintf("web%d", n)
		pushed(t)(r.Push(t.Context(), name, versions(n)...))
		if got, err := c.List(t.Context(), repo(t, r.Image(name)), registry.Listing{}); err != nil || !slices.Equal(got.Tags, versions(n)) {
			t.Errorf("%d tags: %q, %v", n, got.Tags, err)
		}
	}
}

func TestManyQuestionsToARealRegistryAtOnce(t *testing.T) {
	const images, askers = 10, 8
	r := distribution.Start(t, distribution.Options{TLS: true, TokenAuth: true})
	p := before(t, r)
	for i := range images {
		pushed(t)(r.Push(t.Context(), fmt.Sprintf("team/app%d", i), "1.0.0"))
	}
	c := loggedIn(t, r, p.Host())
	var wg sync.WaitGroup
	for i := range images {
		for range askers {
			wg.Go(func() {
				if got, err := c.List(t.Context(), repo(t, p.Host()+fmt.Sprintf("/team/app%d", i)), registry.Listing{}); err != nil || len(got.Tags) != 1 {
					t.Errorf("tags %q, %v", got.Tags, err)
				}
			})
		}
	}
	wg.Wait()
	// However they meet, each image logs in once, and the host is asked once how.
	if pings, tokens := p.Count(http.MethodGet, "/v2/"), len(r.Tokens()); pings != 1 || tokens != images {
		t.Errorf("%d times asked how to log in, %d tokens; want 1, %d", pings, tokens, images)
	}
	if n := p.Count(http.MethodGet, "/v2/team/*"); n < images || n > images*askers {
		t.Errorf("%d listings of %d images", n, images)
	}
}

func TestPlatformsOfARealRegistry(t *testing.T) {
	ctx := t.Context()
	r := distribution.Start(t, distribution.Options{})
	p := before(t, r)
	web := repo(t, p.Host()+"/web")
	c := client(t, registry.Config{InsecureHosts: []string{p.Host()}})
	for _, tc := range []struct {
		name     string
		digest   image.Digest
		want     string
		requests int
	}{
		{"an index", pushed(t)(r.PushIndex(ctx, "web", []string{"linux/arm64", "linux/amd64", "linux/arm/v7", "windows/amd64"}, "1")), "linux/amd64 linux/arm/v7 linux/arm64 windows/amd64", 1},
		{"an index with an attestation", pushed(t)(r.PushIndex(ctx, "web", []string{"linux/amd64", "unknown/unknown"}, "2")), "linux/amd64", 1},
		{"an image of one platform", pushed(t)(r.PushFor(ctx, "web", "linux/arm64", "3")), "linux/arm64", 2},
		{"an image with a variant", pushed(t)(r.PushFor(ctx, "web", "linux/arm/v6", "4")), "linux/arm/v6", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.Reset()
			got, err := c.Platforms(ctx, web, tc.digest)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, platform := range got {
				names = append(names, platform.String())
			}
			if s := strings.Join(names, " "); s != tc.want {
				t.Errorf("platforms %s, want %s", s, tc.want)
			}
			if n := p.Count("", "/v2/web/*"); n != tc.requests {
				t.Errorf("%d requests, want %d: %+v", n, tc.requests, p.Requests())
			}
		})
	}
}

func TestCredentialsOfARealRegistry(t *testing.T) {
	ctx := t.Context()
	tokens := distribution.Start(t, distribution.Options{TLS: true, TokenAuth: true})
	basic := distribution.Start(t, distribution.Options{TLS: true, BasicAuth: true})
	for _, name := range []string{"team/web", distribution.Public + "web", distribution.Forbidden + "web"} {
		pushed(t)(tokens.Push(ctx, name, "1.0.0"))
		pushed(t)(basic.Push(ctx, name, "1.0.0"))
	}
	for _, tc := range []struct {
		name     string
		r        *distribution.Registry
		password string // "": a stranger
		image    string
		kind     error // nil: it works
		mentions string
	}{
		{"a token", tokens, distribution.Password, "team/web", nil, ""},
		{"a token of a stranger", tokens, "", distribution.Public + "web", nil, ""},
		{"a token of a stranger who may not", tokens, "", "team/web", registry.ErrUnauthorized, "no credentials were given"},
		{"a token of a user who may not", tokens, distribution.Password, distribution.Forbidden + "web", registry.ErrUnauthorized, "were not enough"},
		{"a wrong password at the token server", tokens, "wr0ng-canary", "team/web", registry.ErrUnauthorized, "401"},
		{"a password", basic, distribution.Password, "team/web", nil, ""},
		{"no password", basic, "", "team/web", registry.ErrUnauthorized, "no credentials were given"},
		{"a wrong password", basic, "wr0ng-canary", "team/web", registry.ErrUnauthorized, "were not enough"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := registry.Config{Hosts: realHosts(tc.r)}
			if tc.password != "" {
				config.DockerConfig = dockerConfig(t, "", tc.r.Host, distribution.User, tc.password)
			}
			c := client(t, config)
			listing, err := c.List(ctx, repo(t, tc.r.Image(tc.image)), registry.Listing{})
			_, digestErr := c.Digest(ctx, ref(t, tc.r.Image(tc.image)+":1.0.0"))
			if tc.kind == nil {
				if err := errors.Join(err, digestErr); err != nil || !slices.Equal(listing.Tags, []string{"1.0.0"}) {
					t.Errorf("tags %q, %v", listing.Tags, err)
				}
				return
			}
			mention(t, err, tc.kind, tc.mentions)
			mention(t, digestErr, tc.kind, tc.mentions)
			if s := err.Error() + digestErr.Error(); strings.Contains(s, "canary") || strings.Contains(s, "eyJ") {
				t.Errorf("an error holds a secret: %s", s)
			}
		})
	}
}

func TestATokenThatARealRegistryNoLongerTakesIsRenewed(t *testing.T) {
	for name, said := range map[string]time.Duration{"when it ends as said": 0, "when it ends earlier than said": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := distribution.Start(t, distribution.Options{TLS: true, TokenAuth: true, TokenLife: 4 * time.Second, TokenSaid: said})
			ctx := t.Context()
			pushed(t)(r.Push(ctx, "team/web", "1.0.0"))
			c := loggedIn(t, r, r.Host)
			for i := range 2 {
				tags, err := c.List(ctx, repo(t, r.Image("team/web")), registry.Listing{})
				if err != nil || len(tags.Tags) != 1 {
					t.Fatalf("listing %d: %q, %v", i, tags.Tags, err)
				}
				if i > 0 {
					break
				}
				if err := r.Expire(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(r.Tokens()); n != 2 {
				t.Errorf("%d tokens, want one for each listing", n)
			}
		})
	}
}

func TestWhatARealRegistryNoLongerHas(t *testing.T) {
	ctx := t.Context()
	r := distribution.Start(t, distribution.Options{})
	c := client(t, registry.Config{InsecureHosts: []string{r.Host}})
	first := pushed(t)(r.Push(ctx, "web", "1.0.0", "main"))
	second := pushed(t)(r.Push(ctx, "web", "main"))
	if digest, err := c.Digest(ctx, ref(t, r.Image("web")+":main")); err != nil || digest != second {
		t.Errorf("a tag that moved: %s, %v; want %s", digest, err, second)
	}
	for _, gone := range []string{"main", string(first)} {
		if err := r.Delete(ctx, "web", gone); err != nil {
			t.Fatal(err)
		}
	}
	for name, ask := range map[string]func() error{
		"a deleted tag":           func() error { _, err := c.Digest(ctx, ref(t, r.Image("web")+":main")); return err },
		"a deleted image":         func() error { _, err := c.Digest(ctx, ref(t, r.Image("web")+"@"+string(first))); return err },
		"a deleted image's facts": func() error { _, err := c.Platforms(ctx, repo(t, r.Image("web")), first); return err },
		"a repository that never was": func() error {
			_, err := c.List(ctx, repo(t, r.Image("never")), registry.Listing{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			mention(t, ask(), registry.ErrNotFound, "404", r.Host)
		})
	}
	if digest, err := c.Digest(ctx, ref(t, r.Image("web")+"@"+string(second))); err != nil || digest != second {
		t.Errorf("an image whose tag is gone: %s, %v", digest, err)
	}
	// The image went, so its tag went too.
	if tags, err := c.List(ctx, repo(t, r.Image("web")), registry.Listing{}); err != nil || len(tags.Tags) != 0 {
		t.Errorf("tags %q, %v", tags.Tags, err)
	}
}

func TestTheTLSOfARealRegistry(t *testing.T) {
	ctx := t.Context()
	plain := distribution.Start(t, distribution.Options{})
	secure := distribution.Start(t, distribution.Options{TLS: true})
	both := distribution.Start(t, distribution.Options{TLS: true, ClientCerts: true})
	for _, r := range []*distribution.Registry{plain, secure, both} {
		pushed(t)(r.Push(ctx, "web", "1.0.0"))
	}
	with := func(h registry.Host) []registry.Host { return []registry.Host{h} }
	for _, tc := range []struct {
		name     string
		r        *distribution.Registry
		hosts    []registry.Host
		kind     error // nil: it works
		mentions string
	}{
		{"its authority is known", secure, realHosts(secure), nil, ""},
		{"its authority is not", secure, with(registry.Host{Host: secure.Host, PrivateNetwork: true}), registry.ErrUnavailable, "authority that is not trusted"},
		{"its address is private and not meant", secure, with(registry.Host{Host: secure.Host, CAFile: secure.CAFile}), registry.ErrUnavailable, "loopback"},
		{"a client's certificate", both, realHosts(both), nil, ""},
		// The refusal comes after the handshake, where it may be lost.
		{"no client's certificate", both, with(registry.Host{Host: both.Host, PrivateNetwork: true, CAFile: both.CAFile}), registry.ErrUnavailable, both.Host},
		{"plain http where it is meant", plain, realHosts(plain), nil, ""},
		{"plain http where it is not", plain, with(registry.Host{Host: plain.Host, PrivateNetwork: true}), registry.ErrUnavailable, "plain http"},
		{"plain http to one with TLS", secure, with(registry.Host{Host: secure.Host, PlainHTTP: true, PrivateNetwork: true}), registry.ErrBadAnswer, "400"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := client(t, registry.Config{Hosts: tc.hosts})
			listing, err := c.List(ctx, repo(t, tc.r.Image("web")), registry.Listing{})
			if tc.kind == nil {
				if err != nil || len(listing.Tags) != 1 {
					t.Errorf("tags %q, %v", listing.Tags, err)
				}
				return
			}
			mention(t, err, tc.kind, tc.r.Host, tc.mentions)
		})
	}
}
