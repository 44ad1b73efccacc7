package faults_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/test/faults"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `{"name":"web","tags":["1.0.0","1.1.0"]}` + "\n"

// backend answers like a registry.
func backend(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", r.Host)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, good)
	}))
	t.Cleanup(s.Close)
	return s
}

// proxy stands before backend, in plain http or with the backend's own certificate.
func proxy(t *testing.T, secure bool) (*faults.Proxy, *http.Client, string) {
	t.Helper()
	s := backend(t)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	o := faults.Options{Backend: s.Listener.Addr().String(), RootCAs: roots}
	scheme := "http://"
	if secure {
		scheme, o.TLS = "https://", &s.TLS.Certificates[0]
	}
	p := faults.Start(t, o)
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	return p, c, scheme + p.Host()
}

// got is what a client saw; err is that of the request or of the body.
type got struct {
	status int
	header http.Header
	body   string
	err    error
}

func ask(ctx context.Context, t *testing.T, c *http.Client, url string) got {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(body), err}
}

func TestEachFaultIsSeenByTheClientAndThenAllIsGoodAgain(t *testing.T) {
	isReset := func(g got) bool { return errors.Is(g.err, syscall.ECONNRESET) }
	for name, tc := range map[string]struct {
		fault faults.Fault
		seen  func(g got) bool
	}{
		"latency":      {faults.Latency(time.Millisecond), func(g got) bool { return g.body == good }},
		"a reset":      {faults.Reset(), isReset},
		"a late reset": {faults.ResetAfter(10), isReset},
		"a truncation": {faults.Truncate(10), func(g got) bool { return errors.Is(g.err, io.ErrUnexpectedEOF) && g.body == good[:10] }},
		"nearly all":   {faults.Truncate(-1), func(g got) bool { return errors.Is(g.err, io.ErrUnexpectedEOF) && g.body == good[:len(good)-1] }},
		"a quiet one":  {faults.TruncateQuietly(10), func(g got) bool { return g.err == nil && g.body == good[:10] }},
		"too long":     {faults.WrongLength(5), func(g got) bool { return errors.Is(g.err, io.ErrUnexpectedEOF) && g.body == good }},
		"too short":    {faults.WrongLength(-5), func(g got) bool { return g.err == nil && g.body == good[:len(good)-5] }},
		"429":          {faults.Status(429, "Retry-After", "30"), func(g got) bool { return g.status == 429 && g.header.Get("Retry-After") == "30" }},
		"html":         {faults.HTML(), func(g got) bool { return strings.Contains(g.body, "<html>") }},
		"a body":       {faults.Body("{}"), func(g got) bool { return g.body == "{}" }},
		"tags":         {faults.Tags("9"), func(g got) bool { return strings.Contains(g.body, `["9"]`) }},
		"a looping link": {faults.LoopingLink(), func(g got) bool {
			return g.body == good && g.header.Get("Link") == `</v2/web/tags/list?n=9>; rel="next"`
		}},
		"endless pages": {faults.EndlessPages(), func(g got) bool { return g.header.Get("Link") == `</v2/web/tags/list?last=1>; rel="next"` }},
		"a big tag":     {faults.BigTag(1 << 20), func(g got) bool { return len(g.body) > 1<<20 && strings.HasSuffix(g.body, `a"]}`) }},
		"a gzip bomb": {faults.GzipBomb(1 << 20), func(g got) bool {
			z, err := gzip.NewReader(strings.NewReader(g.body))
			if err != nil || len(g.body) > 1<<13 {
				return false
			}
			raw, err := io.ReadAll(z)
			return err == nil && len(raw) > 1<<20
		}},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " over TLS"}[secure], func(t *testing.T) {
				p, c, url := proxy(t, secure)
				p.Set(faults.Rule{Path: "/v2/web/tags/list", Times: 1, Fault: tc.fault})
				if g := ask(t.Context(), t, c, url+"/v2/web/tags/list?n=9"); !tc.seen(g) {
					g.body = g.body[:min(len(g.body), 200)]
					t.Errorf("saw %+v", g)
				}
				if g := ask(t.Context(), t, c, url+"/v2/web/tags/list?n=9"); g.err != nil || g.body != good || g.header.Get("X-Asked") != p.Host() {
					t.Errorf("afterwards %+v", g)
				}
			})
		}
	}
}

func TestFaultsWithoutAnEndLastUntilTheClientGivesUp(t *testing.T) {
	for name, fault := range map[string]faults.Fault{
		"silence":    faults.Hang(),
		"latency":    faults.Latency(time.Hour),
		"slow loris": faults.SlowLoris(time.Millisecond),
		"for ever":   faults.BigTag(1 << 50),
	} {
		t.Run(name, func(t *testing.T) {
			p, c, url := proxy(t, false)
			p.Set(faults.Rule{Fault: fault})
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if g := ask(ctx, t, c, url); !errors.Is(g.err, context.DeadlineExceeded) {
				t.Errorf("saw %d, %v", g.status, g.err)
			}
		})
	}
}

func TestRulesChooseByMethodAndPathAndRequestsAreCounted(t *testing.T) {
	p, c, url := proxy(t, false)
	p.Set(
		faults.Rule{Method: http.MethodPut, Fault: faults.Status(500)},
		faults.Rule{Path: "/v2/web/*", Times: 2, Fault: faults.Status(404)},
		faults.Rule{Path: "/v2/", Fault: faults.Status(401)},
	)
	for i, want := range []struct {
		path   string
		status int
	}{{"/v2/", 401}, {"/v2/web/tags/list", 404}, {"/v2/web/manifests/1", 404}, {"/v2/web/tags/list", 200}, {"/v2/", 401}, {"/v2/api/tags/list?n=2", 200}} {
		if g := ask(t.Context(), t, c, url+want.path); g.status != want.status {
			t.Errorf("request %d, %s: %d, want %d", i, want.path, g.status, want.status)
		}
	}
	got := p.Requests()
	if len(got) != 6 || got[0].Status != 401 || got[5].Query != "n=2" || got[5].Path != "/v2/api/tags/list" {
		t.Errorf("requests %+v", got)
	}
	if a, b, d := p.Count("", ""), p.Count(http.MethodGet, "/v2/web/*"), p.Count(http.MethodHead, ""); a != 6 || b != 3 || d != 0 {
		t.Errorf("counted %d, %d, %d", a, b, d)
	}
	p.Set()
	p.Reset()
	if g := ask(t.Context(), t, c, url+"/v2/"); g.status != 200 || p.Count("", "") != 1 {
		t.Errorf("without rules: %+v, %d requests", g, p.Count("", ""))
	}
}

func TestDroppedConnectionsAreReset(t *testing.T) {
	p, c, url := proxy(t, false)
	p.Drop(true)
	if g := ask(t.Context(), t, c, url); g.err == nil || p.Dropped() == 0 || p.Count("", "") != 0 {
		t.Errorf("saw %+v, %d dropped, %d requests", g, p.Dropped(), p.Count("", ""))
	}
	p.Drop(false)
	if g := ask(t.Context(), t, c, url); g.err != nil {
		t.Errorf("afterwards %v", g.err)
	}
}

func TestABackendThatIsGoneIsABadGateway(t *testing.T) {
	p := faults.Start(t, faults.Options{Backend: "127.0.0.1:1"})
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if g := ask(t.Context(), t, c, "http://"+p.Host()); g.status != http.StatusBadGateway {
		t.Errorf("saw %+v", g)
	}
}
