package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
	"towpath.dev/towpath/test/gitea"
	"towpath.dev/towpath/test/githttp"
)

// forgeWorld is a forge with a bot and people, whose every request passes watch.
type forgeWorld struct {
	kind   string
	root   string // --forge-url
	token  string // the bot's
	alice  string // a reviewer's token
	newest int    // numbers the repositories
	// newRepo makes OWNER/NAME with files on main, which the bot and alice may write to.
	newRepo func(repo string, files map[string][]byte) error
	commit  func(repo string, files map[string][]byte) error // on main, as alice
	watch   *watch
}

// repo makes a repository and returns OWNER/NAME and its URL for Git.
func (w *forgeWorld) repo(t *testing.T, files map[string][]byte) (name, cloneURL string) {
	t.Helper()
	w.newest++
	name = fmt.Sprintf("shop/config-%d", w.newest)
	if err := w.newRepo(name, files); err != nil {
		t.Fatal(err)
	}
	return name, w.root + "/" + name + ".git"
}

// args are the flags that reach a repository of the world with a token.
func (w *forgeWorld) args(t *testing.T, name, token string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--repo", w.root + "/" + name + ".git", "--forge", w.kind, "--forge-url", w.root, "--forge-token-file", file}
}

// open returns the site as whoever has the token.
func (w *forgeWorld) open(t *testing.T, name, token string) *site {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	c := connection{repo: w.root + "/" + name + ".git", branch: "main", cache: t.TempDir(),
		forge: forgeFlags{wanted: true, kind: w.kind, url: w.root, tokenFile: file}}
	at, err := c.openSite(t.Context(), "", discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.close)
	if err := at.repo.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	return at
}

// githubWorld is the fake GitHub, held to the real one's contract both ways.
func githubWorld(t *testing.T) *forgeWorld {
	t.Helper()
	return githubUnder(t, fakegithub.CheckContract(t))
}

// carelessGitHub is one whose answers may be spoilt, which breaks the contract.
func carelessGitHub(t *testing.T) *forgeWorld {
	t.Helper()
	c, err := fakegithub.NewContract(func(fakegithub.Breach) {})
	if err != nil {
		t.Fatal(err)
	}
	return githubUnder(t, c)
}

func githubUnder(t *testing.T, c *fakegithub.Contract) *forgeWorld {
	t.Helper()
	w := &forgeWorld{kind: forgeGitHub, watch: &watch{}}
	dir := t.TempDir()
	git, err := githttp.Handler(dir, githttp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := fakegithub.StartUnder(t, fakegithub.Options{Dir: dir, Git: git, Enterprise: true}, c, w.watch.handler)
	w.root, w.token, w.alice = s.Web, s.User(botUser), s.User("alice")
	s.Organization("shop")
	repos := map[string]*fakegithub.Repo{}
	w.newRepo = func(repo string, files map[string][]byte) error {
		_, name, _ := strings.Cut(repo, "/")
		r, err := s.Repo("shop", name)
		if err != nil {
			return err
		}
		r.Collaborator(botUser, "write")
		r.Collaborator("alice", "write")
		repos[repo] = r
		return w.commit(repo, files)
	}
	w.commit = func(repo string, files map[string][]byte) error {
		_, err := repos[repo].Commit("alice", "main", "a shop", files)
		return err
	}
	return w
}

// giteaWorld is a real Gitea behind a proxy that passes everything on.
func giteaWorld(t *testing.T) *forgeWorld {
	t.Helper()
	ctx := t.Context()
	s := gitea.Start(t)
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &forgeWorld{kind: forgeGitea, watch: &watch{}}
	proxy := httptest.NewServer(w.watch.handler(httputil.NewSingleHostReverseProxy(to)))
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	w.root = proxy.URL
	owner := mustUser(ctx, t, s, "owner")
	bot, alice := mustUser(ctx, t, s, botUser), mustUser(ctx, t, s, "alice")
	w.token, w.alice = bot.Token, alice.Token
	if err := s.NewOrganization(ctx, "shop", owner); err != nil {
		t.Fatal(err)
	}
	w.newRepo = func(repo string, files map[string][]byte) error {
		if err := s.NewRepository(ctx, repo, giteaFiles(files)); err != nil {
			return err
		}
		for _, u := range []gitea.User{bot, alice} {
			if err := s.AddCollaborator(ctx, repo, u, gitea.Write); err != nil {
				return err
			}
		}
		return nil
	}
	w.commit = func(repo string, files map[string][]byte) error {
		_, err := s.Commit(ctx, repo, alice, gitea.Change{From: "main", Files: giteaFiles(files)})
		return err
	}
	return w
}

func giteaFiles(files map[string][]byte) gitea.Files {
	text := gitea.Files{}
	for name, data := range files {
		text[name] = string(data)
	}
	return text
}

func mustUser(ctx context.Context, t *testing.T, s *gitea.Server, name string) gitea.User {
	t.Helper()
	u, err := s.NewUser(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// watch stands between a forge and its client and sees every call that writes: it
// can end the client just before one takes effect, or just after.
type watch struct {
	mu    sync.Mutex
	calls []string // the writing calls since reset, in order
	at    int      // the call at which to strike, from 1; 0: none
	after bool     // it takes effect first
	kill  func()   // ends the client
	all   []string // every request, with what it carried and what was answered, when keep is set
	keep  bool

	spoilAt, status int // the request that is answered with this status and an echo; 0: none
	requests        int // since spoil
}

// spoil has the n-th request from now answered by an error that repeats its
// credentials; 0: none is.
func (w *watch) spoil(n, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoilAt, w.status, w.requests = n, status, 0
}

// reset begins to count anew and strikes at the given call.
func (w *watch) reset(at int, after bool, kill func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls, w.at, w.after, w.kill = nil, at, after, kill
}

func (w *watch) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.calls...)
}

var (
	hashInPath   = regexp.MustCompile(`\b[0-9a-f]{40}\b`)
	numberInPath = regexp.MustCompile(`/\d+(/|$)`)
)

// point names a call that writes, the same in every run; "" for one that reads.
func point(r *http.Request, body []byte) string {
	path := numberInPath.ReplaceAllString(hashInPath.ReplaceAllString(r.URL.Path, "SHA"), "/N$1")
	switch {
	case strings.HasSuffix(path, "/git-receive-pack"):
		return "git push"
	case strings.HasSuffix(path, "/git-upload-pack"), r.Method == http.MethodGet, r.Method == http.MethodHead:
		return ""
	case strings.HasSuffix(path, "/graphql"):
		var q struct{ Query string }
		if json.Unmarshal(body, &q) == nil && !strings.HasPrefix(strings.TrimSpace(q.Query), "mutation") {
			return ""
		}
	}
	if i := strings.Index(path, "/repos/"); i >= 0 {
		parts := strings.SplitN(path[i:], "/", 5) // "", repos, owner, name, rest
		path = parts[len(parts)-1]
	}
	return r.Method + " " + path
}

func (w *watch) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		name := point(r, body)
		w.mu.Lock()
		strike := false
		if name != "" {
			w.calls = append(w.calls, name)
			strike = len(w.calls) == w.at
		}
		after, kill := w.after, w.kill
		if w.keep {
			w.all = append(w.all, r.Method+" "+r.URL.RequestURI()+"\n"+string(body))
		}
		w.requests++
		spoilt := w.requests == w.spoilAt
		status := w.status
		w.mu.Unlock()
		if spoilt {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(status)
			_, _ = rw.Write(echo(r.Header))
			return
		}
		if !strike {
			next.ServeHTTP(rw, r)
			return
		}
		if after {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		kill()
		panic(http.ErrAbortHandler) // nobody is there to be answered
	})
}

// policyFile is that of shopFiles.
const policyFile = "policies/shop.yaml"

// shopFiles is a repository of one app that enters by a pull request which a
// person must approve.
func shopFiles(registry, semver string) map[string][]byte {
	return map[string][]byte{
		policyFile: []byte(`apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: web}
spec:
  image: ` + registry + `/shop/web
  select: {semver: {range: "` + semver + `"}}
---
apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: shop}
spec:
  branch: main
  environments:
    - name: prod
      path: envs/prod
      update: {policies: ["*"]}
      merge: approval
      gates: {approvals: {required: 1}}
`),
		"envs/prod/web/web.yaml": []byte(`apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: ` + registry + `/shop/web:1.0.0 # towpath: web
`),
	}
}

// outcome is what a proposal left at the forge: everything that must be there once.
func (w *forgeWorld) outcome(t *testing.T, name string) string {
	t.Helper()
	at := w.open(t, name, w.token)
	pulls, err := at.forge.List(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range pulls {
		block, err := pr.ParseBlock(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "pull %s onto %s %q open=%t labels=%v %s\n", p.Branch, p.Base, p.Title, p.Open, p.Labels, block.Content)
		for _, c := range p.Comments {
			fmt.Fprintf(&b, "comment %s: %s\n", c.Key, c.Body)
		}
		for _, c := range p.Checks {
			fmt.Fprintf(&b, "status %s %s: %s\n", c.Context, c.State, c.Description)
		}
		base, err := at.repo.Head("main")
		if err != nil {
			t.Fatal(err)
		}
		commit, err := at.repo.ReadCommit(p.Head)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "head has tree %s, is one commit on the base: %t\n%s", commit.Tree, len(commit.Parents) == 1 && commit.Parents[0] == base, commit.Message)
	}
	refs, err := at.repo.Refs("refs/heads/")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%d branches\n", len(refs))
	return b.String()
}
