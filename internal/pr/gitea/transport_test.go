package gitea_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/gitea"
	real "towpath.dev/towpath/test/gitea"
)

// stub is a server of which the tests say all.
func stub(t *testing.T, h http.HandlerFunc) (*gitea.Forge, *httptest.Server, func(time.Duration)) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch strings.TrimPrefix(r.URL.Path, "/sub/api/v1") {
		case "/user":
			_, _ = w.Write([]byte(`{"login":"bot"}`))
		case "/repos/acme/config":
			_, _ = w.Write([]byte(`{"full_name":"acme/config","permissions":{"push":true}}`))
		case "/settings/api":
			http.Error(w, `{"message":"no"}`, http.StatusForbidden)
		case "/version": // a Forgejo's, which the vendor's client does not take for new enough
			_, _ = w.Write([]byte(`{"version":"7.0.0+gitea-1.21"}`))
			t.Error("the version was asked")
		default:
			h(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	f, err := gitea.Open(t.Context(), gitea.Config{URL: srv.URL + "/sub/", Repo: "acme/config", Token: token(real.User{Token: "canary"}),
		Transport: &http.Transport{DisableKeepAlives: true}, Now: func() time.Time { return now }})
	must(t, err)
	return f, srv, func(d time.Duration) { now = now.Add(d) }
}

func TestAServerThatAsksToBeLeftAloneIs(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		after  string
		want   time.Duration
	}{
		"for seconds":             {http.StatusTooManyRequests, "90", 90 * time.Second},
		"without saying how long": {http.StatusTooManyRequests, "", time.Minute},
		"while it is down":        {http.StatusServiceUnavailable, "5", 5 * time.Second},
		"for far too long":        {http.StatusTooManyRequests, "999999999", time.Hour},
		"for nonsense":            {http.StatusTooManyRequests, "soon", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			f, _, later := stub(t, func(w http.ResponseWriter, _ *http.Request) {
				asked++
				if tc.after != "" {
					w.Header().Set("Retry-After", tc.after)
				}
				http.Error(w, `{"message":"slow down"}`, tc.status)
			})
			for range 3 {
				_, err := f.Get(t.Context(), 1)
				var l *pr.LimitError
				if !errors.As(err, &l) || l.What != "slow down" || l.Until.Sub(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)) != tc.want {
					t.Fatalf("got %v, until %v", err, l)
				}
			}
			if asked != 1 || f.Figures().Limited != 1 {
				t.Errorf("asked %d times, %+v", asked, f.Figures())
			}
			later(tc.want)
			if _, err := f.Get(t.Context(), 1); err == nil || asked != 2 {
				t.Errorf("after the pause: asked %d times, %v", asked, err)
			}
		})
	}
}

func TestAnErrorIsOneShortLine(t *testing.T) {
	f, _, _ := stub(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"`+strings.Repeat("so\\nmuch ", 1000)+`"}`, http.StatusInternalServerError)
	})
	_, err := f.Get(t.Context(), 1)
	if err == nil || len(err.Error()) > 400 || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "so much") {
		t.Errorf("got %v", err)
	}
}

func TestARedirectCarriesNothing(t *testing.T) {
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Header.Get("Authorization")) }))
	t.Cleanup(other.Close)
	f, _, _ := stub(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	if _, err := f.Get(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("got %v", err)
	}
	if len(got) > 0 {
		t.Errorf("the other server was asked with %q", got)
	}
}

func TestAnAnswerTooLargeIsRefused(t *testing.T) {
	f, _, _ := stub(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 17<<20)) })
	if _, err := f.Get(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestConfigurationsThatCannotBe(t *testing.T) {
	for name, c := range map[string]gitea.Config{
		"no URL":           {Repo: "a/b", Token: token(real.User{})},
		"no token":         {URL: "https://git.example.com", Repo: "a/b"},
		"no repository":    {URL: "https://git.example.com", Token: token(real.User{})},
		"half a name":      {URL: "https://git.example.com", Repo: "a", Token: token(real.User{})},
		"another protocol": {URL: "ssh://git.example.com", Repo: "a/b", Token: token(real.User{})},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := gitea.Open(t.Context(), c); err == nil {
				t.Error("want an error")
			}
		})
	}
}
