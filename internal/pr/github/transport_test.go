package github

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

// answering is a Forge whose GitHub answers as told.
func answering(t *testing.T, h http.HandlerFunc, change ...func(*Config)) *Forge {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c := Config{URL: "https://github.com", API: server.URL, Repo: "acme/config", Pace: time.Nanosecond, Floor: -1,
		Token: func(context.Context) (string, error) { return "secret-token", nil }}
	for _, f := range change {
		f(&c)
	}
	f, err := newForge(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Disconnect)
	return f
}

func get(t *testing.T, f *Forge) error {
	t.Helper()
	_, err := f.do(t.Context(), http.MethodGet, "user", nil, nil)
	return err
}

func TestALimitIsToldAndNothingIsSentUntilItEnds(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	date := func(h http.Header, ahead time.Duration) { h.Set("Date", now.Add(ahead).Format(http.TimeFormat)) }
	for name, c := range map[string]struct {
		status int
		header func(http.Header)
		body   string
		wait   time.Duration
	}{
		"the hour's requests are used up": {403, func(h http.Header) {
			h.Set("X-RateLimit-Remaining", "0")
			h.Set("X-RateLimit-Limit", "5000")
			h.Set("X-RateLimit-Reset", "1795252200") // 09:10
			date(h, 0)
		}, `{"message":"API rate limit exceeded"}`, 10 * time.Minute},
		"the same as 429, by a clock five minutes ahead": {429, func(h http.Header) {
			h.Set("X-RateLimit-Remaining", "0")
			h.Set("X-RateLimit-Limit", "5000")
			h.Set("X-RateLimit-Reset", "1795252200")
			date(h, 5*time.Minute)
		}, `{"message":"API rate limit exceeded"}`, 5 * time.Minute},
		"too much at once":                  {403, func(h http.Header) { h.Set("Retry-After", "30") }, `{"message":"You have exceeded a secondary rate limit"}`, 30 * time.Second},
		"too much at once, without a time":  {403, func(http.Header) {}, `{"message":"You have exceeded a secondary rate limit"}`, time.Minute},
		"429 without a word":                {429, func(http.Header) {}, ``, time.Minute},
		"a date":                            {429, func(h http.Header) { date(h, 0); h.Set("Retry-After", now.Add(90*time.Second).Format(http.TimeFormat)) }, `{}`, 90 * time.Second},
		"an absurd time":                    {429, func(h http.Header) { h.Set("Retry-After", "99999999999") }, `{}`, longestWait},
		"closed for a while":                {503, func(h http.Header) { h.Set("Retry-After", "20") }, `{}`, 20 * time.Second},
		"a GraphQL answer that is an error": {200, func(http.Header) {}, `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			clock, requests := now, 0
			f := answering(t, func(w http.ResponseWriter, _ *http.Request) {
				requests++
				w.Header()["Date"] = nil
				if requests > 1 {
					_, _ = io.WriteString(w, `{"data":{}}`)
					return
				}
				c.header(w.Header())
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}, func(c *Config) { c.Now = func() time.Time { return clock } })
			ask := func() error { return f.graphql(t.Context(), "query { viewer { login } }", nil, nil) }
			var limit *pr.LimitError
			if err := ask(); !errors.As(err, &limit) || !limit.Until.Equal(now.Add(c.wait)) {
				t.Fatalf("%v, want a limit of %s", err, c.wait)
			}
			clock = now.Add(c.wait - time.Second)
			if err := ask(); !errors.As(err, &limit) || requests != 1 {
				t.Errorf("before its end: %v, %d requests", err, requests)
			}
			clock = now.Add(c.wait)
			if err := ask(); err != nil || requests != 2 {
				t.Errorf("after its end: %v, %d requests", err, requests)
			}
			if got := f.Figures(); got.Limited != 1 || got.Refused != 1 || got.Requests != 2 {
				t.Errorf("figures %+v", got)
			}
		})
	}
}

func TestWithoutATimeTheRestGrowsUntilSomethingIsAnswered(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	good := false
	f := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if !good {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		_, _ = io.WriteString(w, "{}")
	}, func(c *Config) { c.Now = func() time.Time { return now } })
	for _, want := range []time.Duration{1, 2, 4, 8, 15, 15} {
		var limit *pr.LimitError
		if err := get(t, f); !errors.As(err, &limit) || limit.Until.Sub(now) != want*time.Minute {
			t.Errorf("%v, want a rest of %d minutes", err, want)
		}
		now = now.Add(time.Hour)
	}
	good = true
	if err := get(t, f); err != nil {
		t.Error(err)
	}
	good = false
	var limit *pr.LimitError
	if err := get(t, f); !errors.As(err, &limit) || limit.Until.Sub(now) != time.Minute {
		t.Errorf("%v, want a minute again", err)
	}
}

func TestSomeRequestsOfTheHourAreLeftToOthers(t *testing.T) {
	for name, c := range map[string]struct{ floor, perHour, left, sent int }{
		"by default 500":                  {0, 5000, 502, 3},
		"a tenth where that is less":      {0, 1000, 101, 2},
		"as configured":                   {7, 5000, 10, 4},
		"none":                            {-1, 5000, 3, 3},
		"less are left from the start on": {0, 5000, 400, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroundOf(t, fakegithub.Options{Unknown: -1, Limits: fakegithub.Limits{PerHour: c.perHour}})
			f := g.as(t, g.User("bot"), func(cfg *Config) { cfg.Floor = -1 })
			f.transport.limits.cfg.Floor = c.floor
			g.Spend("bot", c.left)
			var limit *pr.LimitError
			n := 0
			for ; n < 10; n++ {
				err := f.graphql(t.Context(), "query { viewer { login } }", nil, nil) // never free
				if errors.As(err, &limit) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if limit == nil || n != c.sent {
				t.Fatalf("%d requests were sent, then %v; want %d", n, limit, c.sent)
			}
			if got := f.Figures(); got.Limit != c.perHour || got.Remaining > c.left || got.Reset.IsZero() {
				t.Errorf("figures %+v", got)
			}
			g.pass(time.Hour)
			if err := get(t, f); err != nil {
				t.Errorf("in the next hour: %v", err)
			}
		})
	}
}

func TestAnotherTokenHasLimitsOfItsOwn(t *testing.T) {
	token := "one"
	f := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("Authorization"), "one") {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}, func(c *Config) { c.Token = func(context.Context) (string, error) { return token + "\n", nil } })
	var limit *pr.LimitError
	if err := get(t, f); !errors.As(err, &limit) {
		t.Errorf("%v, want a limit", err)
	}
	token = "two"
	if err := get(t, f); err != nil {
		t.Errorf("with another token: %v", err)
	}
}

func TestWritesAreKeptApart(t *testing.T) {
	const pace = 30 * time.Millisecond
	var at []time.Time
	f := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			at = append(at, time.Now()) // one at a time, so that nobody else appends
		}
	}, func(c *Config) { c.Pace = pace })
	errs := make(chan error)
	for range 4 {
		go func() {
			_, err := f.do(t.Context(), http.MethodPost, "user", nil, nil)
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(at) != 4 || f.Figures().Waited == 0 {
		t.Fatalf("%d writes, figures %+v", len(at), f.Figures())
	}
	if took := at[3].Sub(at[0]); took < 2*pace { // the way to the server may shorten it, but not by as much
		t.Errorf("four writes within %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.do(ctx, http.MethodPost, "user", nil, nil); !errors.Is(err, context.Canceled) || len(at) != 4 {
		t.Errorf("a write without time: %v, %d writes", err, len(at))
	}
}

func TestCredentialsAreNeverSentElsewhere(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	var seen []string
	f := answering(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Method+" "+r.URL.Path)
		switch r.URL.Path {
		case "/user":
			http.Redirect(w, r, other.URL+"/user", http.StatusTemporaryRedirect)
		case "/old":
			http.Redirect(w, r, "/new", http.StatusMovedPermanently)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
		if r.Header.Get("Authorization") != "Bearer secret-token" || r.Header.Get("User-Agent") == "" {
			t.Errorf("headers %v", r.Header)
		}
	})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, err := f.do(t.Context(), method, "user", nil, nil); status(err) != http.StatusTemporaryRedirect {
			t.Errorf("%s to another host: %v", method, err)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("another host was asked")
	}
	if _, err := f.do(t.Context(), http.MethodGet, "old", nil, nil); err != nil {
		t.Errorf("a repository that was renamed: %v", err)
	}
	seen = nil
	if _, err := f.do(t.Context(), http.MethodPost, "old", nil, nil); err == nil || len(seen) != 1 {
		t.Errorf("a write became %q: %v", seen, err)
	}
	seen = nil
	if _, err := f.do(t.Context(), http.MethodGet, "loop", nil, nil); err == nil || len(seen) > maxRedirects+1 {
		t.Errorf("%d redirects: %v", len(seen), err)
	}
	resp, err := f.transport.RoundTrip(&http.Request{Method: http.MethodGet, URL: must(url.Parse(other.URL)), Header: http.Header{}})
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || elsewhere.Load() != 0 {
		t.Errorf("another host: %v", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestErrorsAreOneLineAndTellNoSecret(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
		is   error
	}{
		"GitHub's words": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"Not\nFound","errors":[{"message":"why"}]}`, http.StatusNotFound)
		}, "GitHub answered 404: Not Found: why", pr.ErrNotFound},
		"a page": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>Unicorn!</html>", http.StatusBadGateway)
		}, "GitHub answered 502: bad gateway", nil},
		"bad credentials": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		}, "GitHub answered 401: Bad credentials", pr.ErrUnauthorized},
		"no right": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"Resource not accessible by integration"}`, http.StatusForbidden)
		}, "GitHub answered 403: Resource not accessible by integration", pr.ErrForbidden},
		"very long": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"`+strings.Repeat("x", 5000)+`"}`, http.StatusInternalServerError)
		}, "GitHub answered 500: xxx", nil},
		"cut JSON":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"login":"b`) }, "read GitHub's answer: unexpected end of JSON input", nil},
		"nothing":          {func(http.ResponseWriter, *http.Request) {}, "read GitHub's answer: unexpected end of JSON input", nil},
		"another shape":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[]`) }, "read GitHub's answer: json: cannot unmarshal array", nil},
		"a cut connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", nil},
		"less than it said": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{}`)
		}, "read GitHub's answer: unexpected EOF", nil},
		"more than we take": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(" ", maxBody+1)) }, "read GitHub's answer: more than 16777216 bytes", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := answering(t, c.h)
			var me struct{ Login string }
			_, err := f.do(t.Context(), http.MethodGet, "user", nil, &me)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if strings.Contains(err.Error(), "secret-token") || strings.Contains(err.Error(), "\n") || len(err.Error()) > maxServerText+50 {
				t.Errorf("%q", err)
			}
		})
	}
}

func TestAnAnswerIsKeptUntilGitHubHasAnother(t *testing.T) {
	etag, full := `"1"`, 0
	f := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		full++
		_, _ = io.WriteString(w, `{"login":`+etag+`}`)
	})
	for _, want := range []string{"1", "1", "2", "2"} {
		etag = `"` + want + `"`
		var me struct{ Login string }
		a, err := f.do(t.Context(), http.MethodGet, "user", nil, &me)
		if err != nil || me.Login != want {
			t.Errorf("%q, %v, want %q", me.Login, err, want)
		}
		if a.header.Get("ETag") != etag {
			t.Errorf("header %v", a.header)
		}
	}
	if got := f.Figures(); full != 2 || got.NotModified != 2 {
		t.Errorf("%d answers in full, figures %+v", full, got)
	}
}

func TestTheAnswersThatAreKeptAreBounded(t *testing.T) {
	c := newEtags()
	answer := func(n int) *http.Response {
		resp := &http.Response{Header: http.Header{"Etag": {"x"}}}
		setBody(resp, []byte(`"`+strings.Repeat("x", n-2)+`"`))
		return resp
	}
	c.put("large", answer(maxKept+1)) //nolint:bodyclose // made of bytes in memory
	if c.get("large") != nil {
		t.Error("a large answer is kept")
	}
	for i := range 3 * maxCached / maxKept {
		c.put(strings.Repeat("k", i+1), answer(maxKept)) //nolint:bodyclose // made of bytes in memory
		c.get("k")
	}
	if c.bytes > maxCached || len(c.all) != c.order.Len() || len(c.all) > maxCached/maxKept {
		t.Errorf("%d bytes of %d answers are kept", c.bytes, len(c.all))
	}
	if c.get("k") == nil || c.get("kk") != nil {
		t.Error("not the least recently used goes first")
	}
	cut := answer(100) //nolint:bodyclose // made of bytes in memory
	setBody(cut, bodyOf(cut)[:50])
	c.put("cut", cut)
	if c.get("cut") != nil {
		t.Error("an answer that was cut is kept")
	}
	without := answer(100) //nolint:bodyclose // made of bytes in memory
	without.Header.Del("ETag")
	c.put("k", without)
	if c.get("k") != nil {
		t.Error("an answer without an ETag leaves the old one")
	}
}

func TestWhereGitHubIs(t *testing.T) {
	for in, want := range map[string][2]string{
		"https://github.com":              {"https://api.github.com/", "https://api.github.com/graphql"},
		"https://github.com/":             {"https://api.github.com/", "https://api.github.com/graphql"},
		"https://acme.ghe.com":            {"https://api.acme.ghe.com/", "https://api.acme.ghe.com/graphql"},
		"https://git.example.com:8443":    {"https://git.example.com:8443/api/v3/", "https://git.example.com:8443/api/graphql"},
		"https://user:pw@git.example.com": {"https://git.example.com/api/v3/", "https://git.example.com/api/graphql"},
	} {
		api, graphql, err := endpoints(Config{URL: in})
		if err != nil || api.String() != want[0] || graphql != want[1] {
			t.Errorf("%s: %v and %s, %v", in, api, graphql, err)
		}
	}
	for _, in := range []string{"", "github.com", "ftp://github.com", "https://", "https://user:hunter2@%zz"} {
		if _, _, err := endpoints(Config{URL: in}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestATokenThatCannotBeOneIsNotSent(t *testing.T) {
	for _, token := range []string{"", " \n", "two words", "line\r\nX-Injected: 1", "tökën"} {
		requests := 0
		f := answering(t, func(http.ResponseWriter, *http.Request) { requests++ }, func(c *Config) {
			c.Token = func(context.Context) (string, error) { return token, nil }
		})
		if err := get(t, f); err == nil || requests != 0 || len(token) > 3 && strings.Contains(err.Error(), token) {
			t.Errorf("token %q: %v, %d requests", token, err, requests)
		}
	}
}
