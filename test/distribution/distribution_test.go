package distribution_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/test/build"
	"towpath.dev/towpath/test/distribution"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is one of the registry or its token server.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks the registry for a path as nobody, or with a header "Authorization".
func get(t *testing.T, r *distribution.Registry, path, authorization string) answer {
	t.Helper()
	scheme := "http://"
	transport := &http.Transport{DisableKeepAlives: true}
	if r.CAFile != "" {
		scheme = "https://"
		transport.TLSClientConfig = &tls.Config{RootCAs: r.RootCAs()}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+r.Host+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// must fails the test when a push went wrong.
func must(digest string, err error) func(t *testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
}

func TestPushedImagesAreThereUntilDeleted(t *testing.T) {
	ctx := t.Context()
	r := distribution.Start(t, distribution.Options{MaxTags: 2})
	digest := must(r.Push(ctx, "team/web", "1.0.0", "1.1.0", "latest"))(t)
	first := get(t, r, "/v2/team/web/tags/list?n=100", "")
	if first.status != http.StatusOK || !strings.Contains(first.body, `["1.0.0","1.1.0"]`) {
		t.Errorf("first page: %d %s", first.status, first.body)
	}
	if link := first.header.Get("Link"); link != `</v2/team/web/tags/list?last=1.1.0&n=2>; rel="next"` {
		t.Errorf("link %q", link)
	}
	if err := r.Delete(ctx, "team/web", "latest"); err != nil {
		t.Fatal(err)
	}
	if a := get(t, r, "/v2/team/web/tags/list?n=100&last=1.1.0", ""); strings.Contains(a.body, "latest") {
		t.Errorf("a deleted tag is listed: %s", a.body)
	}
	if a := get(t, r, "/v2/team/web/manifests/"+digest, ""); a.status != http.StatusOK {
		t.Errorf("an image whose tag was deleted: %d", a.status)
	}
	if err := r.Delete(ctx, "team/web", digest); err != nil {
		t.Fatal(err)
	}
	if a := get(t, r, "/v2/team/web/manifests/"+digest, ""); a.status != http.StatusNotFound {
		t.Errorf("a deleted image: %d", a.status)
	}
}

func TestAnIndexNamesItsPlatforms(t *testing.T) {
	r := distribution.Start(t, distribution.Options{})
	must(r.PushIndex(t.Context(), "web", []string{"linux/amd64", "linux/arm/v7"}, "1"))(t)
	body := get(t, r, "/v2/web/manifests/1", "").body
	var index struct {
		Manifests []struct {
			Platform struct{ OS, Architecture, Variant string }
		}
	}
	if err := json.Unmarshal([]byte(body), &index); err != nil || len(index.Manifests) != 2 || index.Manifests[1].Platform.Variant != "v7" {
		t.Errorf("index %s, %v", body, err)
	}
}

func TestTokensHoldWhatTheUserMayDoUntilTheirEnd(t *testing.T) {
	ctx := t.Context()
	r := distribution.Start(t, distribution.Options{TLS: true, TokenAuth: true, TokenLife: 2 * time.Second})
	for _, repo := range []string{"team/web", distribution.Public + "web", distribution.Forbidden + "web"} {
		must(r.Push(ctx, repo, "1.0.0"))(t)
	}
	if got := r.Tokens(); len(got) != 0 {
		t.Errorf("pushes were counted: %+v", got)
	}
	refused := get(t, r, "/v2/team/web/tags/list", "")
	challenge := refused.header.Get("WWW-Authenticate")
	if refused.status != http.StatusUnauthorized || !strings.Contains(challenge, `realm="https://`+r.TokenHost) {
		t.Fatalf("without a token: %d, %s", refused.status, challenge)
	}
	tokens := *r
	tokens.Host = r.TokenHost
	ask := func(user, password, repo string) (int, string) {
		t.Helper()
		authorization := ""
		if user != "" {
			req := &http.Request{Header: http.Header{}}
			req.SetBasicAuth(user, password)
			authorization = req.Header.Get("Authorization")
		}
		a := get(t, &tokens, "/token?service=registry.test&scope=repository:"+repo+":pull", authorization)
		var got struct{ Token string }
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		return a.status, got.Token
	}
	for _, tc := range []struct {
		name, user, password, repo string
		tokens, registry           int
	}{
		{"the user", distribution.User, distribution.Password, "team/web", 200, 200},
		{"the user where he may not", distribution.User, distribution.Password, distribution.Forbidden + "web", 200, 401},
		{"a wrong password", distribution.User, "wrong", "team/web", 401, 401},
		{"an unknown user", "else", "", "team/web", 401, 401},
		{"a stranger", "", "", "team/web", 200, 401},
		{"a stranger in public", "", "", distribution.Public + "web", 200, 200},
	} {
		status, token := ask(tc.user, tc.password, tc.repo)
		a := get(t, r, "/v2/"+tc.repo+"/tags/list", "Bearer "+token)
		if status != tc.tokens || a.status != tc.registry {
			t.Errorf("%s: %d from the token server and %d from the registry, want %d and %d", tc.name, status, a.status, tc.tokens, tc.registry)
		}
	}
	want := distribution.TokenRequest{User: distribution.User, Scopes: []string{"repository:team/web:pull"}, Status: 200}
	if got := r.Tokens(); len(got) != 6 || got[0].User != want.User || !slices.Equal(got[0].Scopes, want.Scopes) || got[0].Status != want.Status {
		t.Errorf("counted %+v", got)
	}
	if err := r.Expire(ctx); err != nil {
		t.Error(err)
	}
	if r.Reset(); len(r.Tokens()) != 0 {
		t.Error("Reset kept questions")
	}
}

func TestAPasswordIsWanted(t *testing.T) {
	r := distribution.Start(t, distribution.Options{BasicAuth: true})
	must(r.Push(t.Context(), "web", "1"))(t)
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(distribution.User, distribution.Password)
	if a := get(t, r, "/v2/web/tags/list", req.Header.Get("Authorization")); a.status != http.StatusOK {
		t.Errorf("with the password: %d", a.status)
	}
	if a := get(t, r, "/v2/web/tags/list", ""); a.status != http.StatusUnauthorized {
		t.Errorf("without: %d", a.status)
	}
}

func TestAClientCertificateIsWanted(t *testing.T) {
	r := distribution.Start(t, distribution.Options{TLS: true, ClientCerts: true})
	must(r.Push(t.Context(), "web", "1"))(t)
	cert, err := tls.LoadX509KeyPair(r.CertFile, r.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{
		"with":    {RootCAs: r.RootCAs(), Certificates: []tls.Certificate{cert}},
		"without": {RootCAs: r.RootCAs()},
	} {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}
		resp, err := c.Get("https://" + r.Host + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
		}
		if (err == nil) != (name == "with") {
			t.Errorf("%s a certificate: %v", name, err)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	bin, err := distribution.Build(t.Context(), build.Config{Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	r, err := distribution.Run(t.Context(), bin, distribution.Options{TLS: true, TokenAuth: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", r.Host); err == nil {
		_ = conn.Close()
		t.Error("something still listens")
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestARegistryThatCannotStartSaysWhy(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	bin, err := distribution.Build(t.Context(), build.Config{Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := distribution.Run(t.Context(), "/does/not/exist", distribution.Options{}); err == nil || !strings.Contains(err.Error(), "start a registry: ") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := distribution.Run(ctx, bin, distribution.Options{}); err == nil || !strings.Contains(err.Error(), "does not listen") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
