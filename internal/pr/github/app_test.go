package github

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

func TestATokenIsForOneRepositoryAndWhatIsNeeded(t *testing.T) {
	g := newGround(t)
	if _, err := g.Server.Repo("acme", "other"); err != nil {
		t.Fatal(err)
	}
	permissions := allPermissions()
	permissions["workflows"], permissions["administration"] = "write", "write"
	permissions["issues"] = "read"
	c, _ := g.app(t, permissions)
	app := newApp(t, c)
	token, err := app.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := allPermissions()
	want["issues"] = "read"
	if d := cmp.Diff(want, app.current.permissions); d != "" {
		t.Errorf("permissions of the token: %s", d)
	}
	for path, status := range map[string]int{"repos/acme/config": 200, "repos/acme/other": 404} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := app.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, status)
		}
	}
}

func TestATokenIsKeptUntilFiveMinutesBeforeItsEndByGitHubsClock(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	const ahead = 20 * time.Minute
	c.Now = func() time.Time { return g.clock().Add(-ahead) } // our clock is late, GitHub's tokens live an hour
	app := newApp(t, c)
	first := mustToken(t, app)
	g.Reset()
	g.pass(54 * time.Minute)
	if mustToken(t, app) != first || len(g.Requests()) != 0 {
		t.Errorf("six minutes before its end the token is asked for anew: %v", g.sent())
	}
	g.pass(2 * time.Minute)
	if mustToken(t, app) == first {
		t.Error("four minutes before its end the token is still used")
	}
}

func mustToken(t *testing.T, a *App) string {
	t.Helper()
	token, err := a.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAClockThatDiffersIsNoObstacle(t *testing.T) {
	for name, off := range map[string]time.Duration{"late": -3 * time.Hour, "ahead": 3 * time.Hour, "a minute ahead": 50 * time.Second} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			c, _ := g.app(t, allPermissions())
			c.Now = func() time.Time { return g.clock().Add(off) }
			app := newApp(t, c)
			mustToken(t, app)
			if n := len(g.Requests()); n > 3 {
				t.Errorf("%d requests: %v", n, g.sent())
			}
			g.Reset()
			mustToken(t, app)
			if len(g.Requests()) != 0 {
				t.Errorf("the token is asked for again: %v", g.sent())
			}
		})
	}
}

func TestManyCallersShareOneRequest(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	app := newApp(t, c)
	g.Inject(fakegithub.Fault{Latency: 50 * time.Millisecond, Times: 1})
	var group sync.WaitGroup
	tokens := make([]string, 20)
	for i := range tokens {
		group.Go(func() {
			var err error
			if tokens[i], err = app.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, token := range tokens {
		if token != tokens[0] {
			t.Error("two tokens")
		}
	}
	if n := len(g.Requests()); n != 2 {
		t.Errorf("%d requests, want two: %v", n, g.sent())
	}
}

func TestACallerThatGoesAwayTakesNobodysToken(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	app := newApp(t, c)
	g.Inject(fakegithub.Fault{Latency: 100 * time.Millisecond, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := app.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("the caller that went away: %v", err)
	}
	mustToken(t, app)
	if n := len(g.Requests()); n != 2 {
		t.Errorf("%d requests: %v", n, g.sent())
	}
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	f := g.asApp(t, c)
	if f.User() != "towpath[bot]" {
		t.Errorf("we are %q", f.User())
	}
	g.Revoke(mustToken(t, f.cfg.App))
	if _, err := f.Rights(t.Context()); err != nil {
		t.Fatalf("after the token was revoked: %v", err)
	}
	// The last is of what Open has read already.
	if d := cmp.Diff([]int{401, 200, 201, 304}, statuses(g)); d != "" {
		t.Errorf("answers: %s", d)
	}
	g.Reset()
	g.Inject(fakegithub.Fault{Path: "/repos/acme/config", Status: 401, Message: "Bad credentials"})
	if _, err := f.Rights(t.Context()); !errors.Is(err, pr.ErrUnauthorized) {
		t.Errorf("refused for good: %v", err)
	}
	if n := len(g.Requests()); n != 4 {
		t.Errorf("%d requests: %v", n, g.sent())
	}
}

func statuses(g *ground) []int {
	var all []int
	for _, r := range g.Requests() {
		all = append(all, r.Status)
	}
	return all
}

func TestTheKeyIsReadForEachTokenAndMayBePKCS8(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	app := newApp(t, c)
	first := mustToken(t, app)
	data, err := os.ReadFile(c.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.KeyFile); err != nil {
		t.Fatal(err)
	}
	app.Refused(first)
	if _, err := app.Token(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
	writeKey(t, c.KeyFile, &pem.Block{Type: "PRIVATE KEY", Bytes: other})
	if mustToken(t, app) == first {
		t.Error("the refused token is still used")
	}
}

func TestAnInstallationMayBeGiven(t *testing.T) {
	g := newGround(t)
	c, a := g.app(t, allPermissions())
	c.Installation = int64(a.Installation)
	mustToken(t, newApp(t, c))
	want := []string{fmt.Sprintf("GET /app/installations/%d", a.Installation), fmt.Sprintf("POST /app/installations/%d/access_tokens", a.Installation)}
	if d := cmp.Diff(want, g.sent()); d != "" {
		t.Error(d)
	}
}

func TestWhatKeepsAnAppFromATokenIsSaid(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecBytes, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "MIIEpAIBAAKCAQEA-planted"
	for name, c := range map[string]struct {
		change func(t *testing.T, g *ground, c *AppConfig)
		want   string
		is     error
	}{
		"no RSA key": {func(t *testing.T, _ *ground, c *AppConfig) {
			writeKey(t, c.KeyFile, &pem.Block{Type: "PRIVATE KEY", Bytes: ecBytes})
		}, "want the PEM file of an RSA key", nil},
		"no key at all": {func(t *testing.T, _ *ground, c *AppConfig) {
			if err := os.WriteFile(c.KeyFile, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "want the PEM file of an RSA key", nil},
		"a file too large": {func(t *testing.T, _ *ground, c *AppConfig) {
			if err := os.WriteFile(c.KeyFile, make([]byte, maxKeyFile+1), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "larger than", nil},
		"another key": {func(t *testing.T, _ *ground, c *AppConfig) {
			c.KeyFile = filepath.Join(t.TempDir(), "other.pem")
			writeKey(t, c.KeyFile, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(newKey(t))})
		}, "could not be decoded", pr.ErrUnauthorized},
		"no such App": {func(_ *testing.T, _ *ground, c *AppConfig) { c.ID = "999999" }, "Integration not found", pr.ErrUnauthorized},
		"not installed there": {func(_ *testing.T, _ *ground, c *AppConfig) { c.Repo = "acme/none" },
			"not installed for acme/none; install it there", pr.ErrNotFound},
		"a limit": {func(_ *testing.T, g *ground, _ *AppConfig) { g.Inject(fakegithub.Fault{Secondary: time.Minute}) },
			"limit is reached", nil},
		"a cut connection": {func(_ *testing.T, g *ground, _ *AppConfig) { g.Inject(fakegithub.Fault{Cut: true}) }, "EOF", nil},
		"a front server's page": {func(_ *testing.T, g *ground, _ *AppConfig) { g.Inject(fakegithub.Fault{Status: 502}) },
			"GitHub answered 502: bad gateway", nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			cfg, _ := g.app(t, allPermissions())
			c.change(t, g, &cfg)
			_, err := newApp(t, cfg).Token(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || !strings.HasPrefix(err.Error(), "get a token for GitHub App ")) {
				t.Errorf("the error reads %q", err)
			}
		})
	}
}

func TestAnAppIsNeverPrintedWithItsToken(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	app := newApp(t, c)
	token := mustToken(t, app)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "app", app)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", app, app, app, app), log.String()} {
		if strings.Contains(text, token) || !strings.Contains(text, "GitHub App") {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestAnAppOfAnotherRepositoryIsRefused(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	cfg := g.config()
	cfg.App, cfg.Repo = newApp(t, c), "acme/other"
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "gets tokens for acme/config") {
		t.Errorf("got %v", err)
	}
}
