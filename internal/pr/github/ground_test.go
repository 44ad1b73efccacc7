package github

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/test/fakegithub"
)

// ground is a GitHub with a repository, acme/config, and its clock; every request and answer is held to
// GitHub's contract.
type ground struct {
	*fakegithub.Server
	repo *fakegithub.Repo
	dir  string

	mu  sync.Mutex
	now time.Time
}

var groundContract = sync.OnceValues(func() (*fakegithub.Contract, error) { return fakegithub.NewContract(nil) })

func newGround(t *testing.T) *ground {
	t.Helper()
	return newGroundOf(t, fakegithub.Options{Unknown: -1})
}

// newGroundOf is a ground with other options; its folder and clock are the ground's.
func newGroundOf(t *testing.T, o fakegithub.Options) *ground {
	t.Helper()
	g := &ground{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC), dir: t.TempDir()}
	o.Dir, o.Now = g.dir, g.clock
	contract, err := groundContract()
	if err != nil {
		t.Fatal(err)
	}
	g.Server = fakegithub.StartUnder(t, o, contract.Checking(t), nil)
	if g.repo, err = g.Server.Repo("acme", "config"); err != nil {
		t.Fatal(err)
	}
	g.repo.Collaborator("bot", "write")
	g.commit(t, "main", "apps/web.yaml", "image: web:1.0.0\n")
	return g
}

func (g *ground) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *ground) pass(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

func (g *ground) commit(t *testing.T, branch, path, text string) string {
	t.Helper()
	sha, err := g.repo.Commit("ann", branch, "change "+path, map[string][]byte{path: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

// config is one without credentials.
func (g *ground) config() Config {
	return Config{URL: "https://github.com", API: g.URL, Repo: "acme/config", Now: g.clock, Pace: time.Nanosecond, Floor: -1}
}

// as opens the repository with a token.
func (g *ground) as(t *testing.T, token string, change ...func(*Config)) *Forge {
	t.Helper()
	c := g.config()
	c.Token = func(context.Context) (string, error) { return token, nil }
	return g.open(t, c, change...)
}

func (g *ground) open(t *testing.T, c Config, change ...func(*Config)) *Forge {
	t.Helper()
	for _, f := range change {
		f(&c)
	}
	f, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Disconnect)
	g.Reset()
	return f
}

// allPermissions are all that an App of Towpath's has a use for.
func allPermissions() map[string]string {
	all := map[string]string{"metadata": "read"}
	for _, p := range wanted() {
		all[p.area] = p.level
	}
	return all
}

// app registers the App "towpath" and returns the configuration to be it.
func (g *ground) app(t *testing.T, permissions map[string]string) (AppConfig, *fakegithub.App) {
	t.Helper()
	key, err := groundKey()
	if err != nil {
		t.Fatal(err)
	}
	a := g.App("towpath", "acme", &key.PublicKey, permissions)
	file := filepath.Join(t.TempDir(), "app.pem")
	writeKey(t, file, &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return AppConfig{URL: "https://github.com", API: g.URL, Repo: "acme/config", ID: strconv.Itoa(a.ID), KeyFile: file, Now: g.clock}, a
}

// groundKey takes a while to make.
var groundKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writeKey(t *testing.T, file string, block *pem.Block) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (g *ground) asApp(t *testing.T, c AppConfig, change ...func(*Config)) *Forge {
	t.Helper()
	cfg := g.config()
	cfg.App = newApp(t, c)
	return g.open(t, cfg, change...)
}

func newApp(t *testing.T, c AppConfig) *App {
	t.Helper()
	a, err := NewApp(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// sent are the requests that came since the last Reset, as "METHOD /path?query" below the repository.
func (g *ground) sent() []string {
	var all []string
	for _, r := range g.Requests() {
		line := r.Method + " " + strings.TrimPrefix(r.Path, "/repos/acme/config")
		if r.Query != "" {
			line += "?" + r.Query
		}
		all = append(all, line)
	}
	return all
}

// writes counts what was not a GET, and was no query either.
func (g *ground) writes(t *testing.T) int {
	t.Helper()
	n := 0
	for _, r := range g.Requests() {
		if r.Method != http.MethodGet {
			n++
		}
	}
	return n
}
