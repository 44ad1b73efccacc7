package registry_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/internal/registry"
)

// faulty serves a registry whose tag lists come from answer; it counts requests.
func faulty(t *testing.T, answer http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	n := &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if r.URL.Path == "/v2/" {
			return
		}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv, n
}

func hostOf(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, `{"errors":[{"code":"X","message":"line one\nline two"}]}`)
	}
}

func page(link string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", link)
		_, _ = io.WriteString(w, `{"name":"web","tags":["1.0.0"]}`)
	}
}

func TestHostileAnswersBecomeOneLineAndNoTags(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		i, _ := strconv.Atoi(r.URL.Query().Get("last"))
		w.Header().Set("Link", fmt.Sprintf(`</v2/web/tags/list?last=%d>; rel="next"`, i+1))
		_, _ = io.WriteString(w, `{"tags":[]}`)
	}
	for name, tc := range map[string]struct {
		answer   http.HandlerFunc
		kind     error
		mentions string
		requests int64 // at most
	}{
		"401":                      {status(401), registry.ErrUnauthorized, "401 Unauthorized", 2},
		"403":                      {status(403), registry.ErrUnauthorized, "403 Forbidden", 2},
		"404":                      {status(404), registry.ErrNotFound, "404 Not Found", 2},
		"429":                      {status(429), registry.ErrUnavailable, "429 Too Many Requests", 2},
		"500":                      {status(500), registry.ErrUnavailable, "500 Internal Server Error", 2},
		"503":                      {status(503), registry.ErrUnavailable, "503 Service Unavailable", 2},
		"418":                      {status(418), registry.ErrBadAnswer, "418", 2},
		"no content":               {status(204), registry.ErrBadAnswer, "204", 2},
		"a login page":             {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>Sign in</html>") }, registry.ErrBadAnswer, "login page", 2},
		"a list of numbers":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tags":[1,2]}`) }, registry.ErrBadAnswer, "not a list of tags", 2},
		"truncated JSON":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tags":["1.0.0","1.1`) }, registry.ErrUnavailable, "cut short", 2},
		"a body shorter than said": {short, registry.ErrUnavailable, "cut short", 2},
		"an empty body":            {func(http.ResponseWriter, *http.Request) {}, registry.ErrUnavailable, "cut short", 2},
		"a link to itself":         {page(`</v2/web/tags/list?n=1000>; rel="next"`), registry.ErrBadAnswer, "circle", 3},
		"endless pages":            {endless, registry.ErrBadAnswer, "more than 50 pages", 51},
		"a link to another host":   {page(`<http://127.0.0.1:1/v2/web/tags/list>; rel="next"`), registry.ErrBadAnswer, "another host", 2},
		"a link to another scheme": {page(`<https://HOST/v2/web/tags/list>; rel="next"`), registry.ErrBadAnswer, "another host or scheme", 2},
		"a link to metadata":       {page(`<//169.254.169.254/latest>; rel="next"`), registry.ErrBadAnswer, "another host", 2},
		"an unreadable link":       {page(`next please`), registry.ErrBadAnswer, "cannot be read", 2},
		"an honest 200 MB":         {big(true), registry.ErrBadAnswer, "bytes long", 2},
		"a 200 MB tag":             {big(false), registry.ErrBadAnswer, "longer than", 2},
		"a gzip bomb":              {bomb, registry.ErrBadAnswer, "longer than", 2},
		"redirects in a circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String()+"1", http.StatusFound)
		}, registry.ErrBadAnswer, "redirects more than 5 times", 7},
		"a redirect to plain http": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://example.invalid/", http.StatusFound)
		}, registry.ErrUnavailable, "plain http is not allowed", 2},
		"a redirect to metadata": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://169.254.169.254/", http.StatusFound)
		}, registry.ErrUnavailable, "169.254.169.254 is a link-local address", 2},
		"a connection that is shut": {hangUp, registry.ErrUnavailable, "", 4},
	} {
		t.Run(name, func(t *testing.T) {
			srv, n := faulty(t, func(w http.ResponseWriter, r *http.Request) { tc.answer(hosted{w, r.Host}, r) })
			c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}, MaxPages: 50})
			tags, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web"))
			if tags != nil {
				t.Errorf("%d tags came with the error", len(tags))
			}
			mention(t, err, tc.kind, "list tags of "+hostOf(srv)+"/web: ", tc.mentions)
			if got := n.Load(); got > tc.requests {
				t.Errorf("%d requests, want at most %d", got, tc.requests)
			}
		})
	}
}

// hosted writes the server's own host into a Link header.
type hosted struct {
	http.ResponseWriter
	host string
}

func (h hosted) WriteHeader(code int) { h.ResponseWriter.WriteHeader(code) }

func (h hosted) Write(b []byte) (int, error) {
	if l := h.Header().Get("Link"); l != "" {
		h.Header().Set("Link", strings.ReplaceAll(l, "HOST", h.host))
	}
	return h.ResponseWriter.Write(b)
}

func (h hosted) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func short(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"tags":["1.0.0"`)
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

const hugeTag = 200 << 20

func big(honest bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if honest {
			w.Header().Set("Content-Length", strconv.Itoa(hugeTag))
		}
		_, _ = io.WriteString(w, `{"tags":["`)
		fill(w, r)
	}
}

func bomb(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	defer z.Close()
	_, _ = io.WriteString(z, `{"tags":["`)
	fill(z, r)
}

// fill writes 200 MB, or what the client takes of it.
func fill(w io.Writer, r *http.Request) {
	chunk := []byte(strings.Repeat("a", 1<<20))
	for range hugeTag / len(chunk) {
		if _, err := w.Write(chunk); err != nil || r.Context().Err() != nil {
			return
		}
	}
}

func TestA200MBTagCostsLittleMemory(t *testing.T) {
	srv, _ := faulty(t, big(false))
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web"))
	runtime.ReadMemStats(&after)
	mention(t, err, registry.ErrBadAnswer)
	if grown := after.Sys - before.Sys; grown > 150<<20 {
		t.Errorf("took %d MiB from the system", grown>>20)
	}
}

func TestASlowRegistryIsGivenUpAfterTheTimeout(t *testing.T) {
	release := make(chan struct{})
	srv, _ := faulty(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}, Timeout: 50 * time.Millisecond})
	_, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web"))
	mention(t, err, registry.ErrUnavailable, "no whole answer within 50ms")
}

func TestTagsOutsideTheGrammarAreKeptForTheCallerToName(t *testing.T) {
	srv, _ := faulty(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tags":["1.0.0","v1\n  evil: true","-rf"]}`)
	})
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	tags, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web"))
	if want := []string{"1.0.0", "v1\n  evil: true", "-rf"}; err != nil || !slices.Equal(tags, want) {
		t.Errorf("tags %q, error %v", tags, err)
	}
}

func TestNoTagsAreNoError(t *testing.T) {
	for _, body := range []string{`{"tags":null}`, `{"tags":[]}`} {
		srv, _ := faulty(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
		tags, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web"))
		if err != nil || len(tags) != 0 {
			t.Errorf("%s: tags %q, error %v", body, tags, err)
		}
	}
}

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestDigestFallsBackToGetWhereHeadIsOfNoUse(t *testing.T) {
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`
	for name, head := range map[string]http.HandlerFunc{
		"HEAD without a digest": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		},
		"HEAD not allowed": status(405),
	} {
		t.Run(name, func(t *testing.T) {
			srv, n := faulty(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					head(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				_, _ = io.WriteString(w, manifest)
			})
			c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
			digest, err := c.Digest(t.Context(), ref(t, hostOf(srv)+"/web:1"))
			if err != nil || !strings.HasPrefix(string(digest), "sha256:") {
				t.Errorf("digest %q, error %v", digest, err)
			}
			if n.Load() != 3 {
				t.Errorf("%d requests, want ping, HEAD, GET", n.Load())
			}
		})
	}
}

func TestDigestDoesNotAskTwiceWhenTheAnswerIsClear(t *testing.T) {
	for _, code := range []int{401, 404, 429, 500} {
		srv, n := faulty(t, status(code))
		c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
		if _, err := c.Digest(t.Context(), ref(t, hostOf(srv)+"/web:1")); err == nil {
			t.Errorf("%d: no error", code)
		}
		if n.Load() != 2 {
			t.Errorf("%d: %d requests, want ping and HEAD", code, n.Load())
		}
	}
}

func TestADigestOtherThanTheOneAskedForIsRefused(t *testing.T) {
	srv, _ := faulty(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
		_, _ = io.WriteString(w, `{}`)
	})
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	_, err := c.Digest(t.Context(), ref(t, hostOf(srv)+"/web@"+someDigest))
	mention(t, err, registry.ErrBadAnswer)
}

// tokens is a registry that wants a bearer token from itself.
func tokens(t *testing.T, valid *atomic.Pointer[string], count *atomic.Int64) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			count.Add(1)
			if _, password, _ := r.BasicAuth(); password != *valid.Load() {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = fmt.Fprintf(w, `{"token":"bearer-of-%s"}`, *valid.Load())
			return
		}
		if r.Header.Get("Authorization") != "Bearer bearer-of-"+*valid.Load() {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="registry"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"tags":["1.0.0"]}`)
	})
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func TestOneTokenPerImageAndNewCredentialsAreUsed(t *testing.T) {
	valid := &atomic.Pointer[string]{}
	first, second := "one", "two"
	valid.Store(&first)
	count := &atomic.Int64{}
	srv := tokens(t, valid, count)
	path := dockerConfig(t, "", hostOf(srv), "bot", "one")
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}, DockerConfig: path})
	for range 3 {
		if _, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web")); err != nil {
			t.Fatal(err)
		}
	}
	if n := count.Load(); n != 1 {
		t.Errorf("%d tokens fetched, want 1", n)
	}
	valid.Store(&second)
	_, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web"))
	mention(t, err, registry.ErrUnauthorized)
	dockerConfig(t, path, hostOf(srv), "bot", "two")
	if _, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web")); err != nil {
		t.Errorf("with the new password: %v", err)
	}
}

func TestATokenServerWithoutATokenIsNotQuoted(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"refresh_token":"s3cret-canary"}`)
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token"`, r.Host))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer srv.Close()
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	_, err := allTags(t.Context(), c, repo(t, hostOf(srv)+"/web"))
	mention(t, err, registry.ErrBadAnswer, "no token")
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("the error quotes the answer: %v", err)
	}
}

func TestErrorsOfCallersCanBeTold(t *testing.T) {
	kinds := []error{registry.ErrUnauthorized, registry.ErrNotFound, registry.ErrUnavailable, registry.ErrBadAnswer}
	for i, a := range kinds {
		for j, b := range kinds {
			if errors.Is(a, b) != (i == j) {
				t.Errorf("errors.Is(%v, %v)", a, b)
			}
		}
	}
}
