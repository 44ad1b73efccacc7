package registry_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/distribution"
	"towpath.dev/towpath/test/faults"
)

func TestEachFaultOfATokenServerEndsInItsSentinel(t *testing.T) {
	for _, tc := range []struct {
		name     string
		fault    faults.Fault
		kind     error
		mentions string
		tokens   int // questions, at most
	}{
		{"401", faults.Status(401), registry.ErrUnauthorized, "401 Unauthorized", 1},
		{"403", faults.Status(403), registry.ErrUnauthorized, "403 Forbidden", 1},
		{"404", faults.Status(404), registry.ErrBadAnswer, "404 Not Found where one logs in", 1},
		{"429", faults.Status(429), registry.ErrUnavailable, "429 Too Many Requests", 1},
		{"429 with Retry-After", faults.Status(429, "Retry-After", "1"), registry.ErrUnavailable, "asked to be left alone until", 1},
		{"500", faults.Status(500), registry.ErrUnavailable, "500 Internal Server Error", 1},
		{"a page for people", faults.HTML(), registry.ErrBadAnswer, "no token", 1},
		{"an empty object", faults.Body("{}"), registry.ErrBadAnswer, "no token", 1},
		{"a token that the registry does not take", faults.Body(`{"token":"canary.canary.canary"}`), registry.ErrUnauthorized, "", 2},
		{"a token of two lines", faults.Body(`{"token":"canary\nX-Evil: 1"}`), registry.ErrBadAnswer, "no token", 1},
		{"a token of 200 MiB", faults.BigTag(200 << 20), registry.ErrBadAnswer, "", 1},
		{"a reset", faults.Reset(), registry.ErrUnavailable, "the connection broke", 2},
		{"silence", faults.Hang(), registry.ErrUnavailable, "no whole answer within 1s", 1},
		{"a redirect to where clouds keep credentials", faults.Status(307, "Location", "https://169.254.169.254/latest"), registry.ErrBadAnswer, "another host", 1},
		{"redirects in a circle", faults.Status(307, "Location", "/token"), registry.ErrBadAnswer, "", 7},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := distribution.Start(t, distribution.Options{TLS: true, TokenAuth: true})
			pushed(t)(r.Push(t.Context(), "team/web", "1.0.0"))
			config := registry.Config{
				Hosts:        realHosts(r),
				DockerConfig: dockerConfig(t, "", r.Host, distribution.User, distribution.Password),
			}
			if tc.name == "silence" {
				config.Timeout = time.Second
			}
			c := client(t, config)
			list := func() error {
				_, err := c.List(t.Context(), repo(t, r.Image("team/web")), registry.Listing{})
				return err
			}
			r.SpoilTokens(func(w http.ResponseWriter, r *http.Request) { tc.fault(w, r, nil) })
			err := list()
			mention(t, err, tc.kind, "list tags of "+r.Image("team/web")+": ", tc.mentions)
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error holds a secret: %v", err)
			}
			if n := len(r.Tokens()); n > tc.tokens {
				t.Errorf("%d questions to the token server, want at most %d", n, tc.tokens)
			}
			r.SpoilTokens(nil)
			again(t, list)
		})
	}
}

func TestEachFaultOfTheWayToLogInEndsInItsSentinel(t *testing.T) {
	b := newBehind(t)
	for _, tc := range []struct {
		name     string
		fault    faults.Fault
		kind     error
		mentions string
		kept     bool // the way to log in is believed for a minute, so that not every image asks anew
	}{
		{"403", faults.Status(403), registry.ErrUnauthorized, "403 Forbidden", false},
		{"404", faults.Status(404), registry.ErrBadAnswer, "404 Not Found where one logs in", false},
		{"429", faults.Status(429), registry.ErrUnavailable, "429 Too Many Requests", false},
		{"500", faults.Status(500), registry.ErrUnavailable, "500 Internal Server Error", false},
		{"418", faults.Status(418), registry.ErrBadAnswer, "418", false},
		{"a reset", faults.Reset(), registry.ErrUnavailable, "the connection broke", false},
		{"401 without a way", faults.Status(401), registry.ErrUnauthorized, "401 Unauthorized", false},
		{"401 with a way that nobody knows", faults.Status(401, "WWW-Authenticate", `Negotiate`), registry.ErrUnauthorized, "401 Unauthorized", false},
		{"a token server that is no URL", faults.Status(401, "WWW-Authenticate", `Bearer realm="::"`), registry.ErrBadAnswer, "no token server", true},
		{"a token server in plain http", faults.Status(401, "WWW-Authenticate", `Bearer realm="http://tokens.invalid/",service="x"`), registry.ErrBadAnswer, "from https to plain http", true},
		{"a token server where clouds keep credentials", faults.Status(401, "WWW-Authenticate", `Bearer realm="https://169.254.169.254/",service="x"`), registry.ErrUnavailable, "link-local", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := b.proxied(t)
			c := b.client(t, registry.Config{})
			list := func() error {
				_, err := c.List(t.Context(), repo(t, b.p.Host()+"/team/web"), registry.Listing{})
				return err
			}
			b.p.Set(faults.Rule{Path: "/v2/", Fault: tc.fault}, faults.Rule{Fault: faults.Status(401)})
			mention(t, list(), tc.kind, "list tags of "+b.p.Host()+"/team/web: ", tc.mentions)
			b.p.Set()
			if tc.kept {
				b.p.Reset()
				mention(t, list(), tc.kind, tc.mentions)
				if n := b.p.Count("", ""); n != 0 {
					t.Errorf("%d requests", n)
				}
				c = b.client(t, registry.Config{})
			}
			again(t, list)
		})
	}
}
