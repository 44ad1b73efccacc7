package gitrepo

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"towpath.dev/towpath/test/githttp"
	"towpath.dev/towpath/test/gitssh"
)

func TestACommitTravelsOverEveryTransport(t *testing.T) {
	everyURL(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "config.git")
		first := put(t, dir, "main", "", map[string]string{"dev/web/app.yaml": "image: web:1\n", "run.sh": "#!/bin/sh\n"})

		r := open(t, w.config("config.git"))
		if head := must(r.Head("main"))(t); head != first {
			t.Fatalf("head is %s, want %s", head, first)
		}
		made := commit(t, r, first, map[string]string{"dev/web/app.yaml": "image: web:2\n"})
		check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: first, New: made.Hash}))

		if got := gitRun(t, dir, "show", "main:dev/web/app.yaml"); got != "image: web:2" {
			t.Errorf("file on the server is %q", got)
		}
		if got := gitRun(t, dir, "diff", "--raw", "--abbrev=4", first, "main"); strings.Count(got, "\n") != 0 || !strings.HasSuffix(got, "dev/web/app.yaml") {
			t.Errorf("changed: %s", got)
		}
		gitRun(t, dir, "fsck", "--strict")
		gitRun(t, r.slot.dir, "fsck", "--strict")

		if head := must(r.Head("main"))(t); head != made.Hash {
			t.Errorf("head after the push is %s without a fetch, want %s", head, made.Hash)
		}
		second := put(t, dir, "main", "-", map[string]string{"dev/web/app.yaml": "image: web:3\n"})
		check(t, r.Fetch(t.Context()))
		files := must(must(r.Snapshot(second))(t).Files("dev", nil))(t)
		if string(files["dev/web/app.yaml"]) != "image: web:3\n" || len(files) != 1 {
			t.Errorf("files after the fetch: %q", files)
		}
		c := r.Counts()
		if c != (Counts{Clones: 1, Fetches: 2, Pushes: 1, ObjectsWritten: 5, ObjectsSent: 5, Connections: 3}) {
			t.Errorf("counts %+v", c)
		}
	})
}

func TestAMissingRepositoryIsSaid(t *testing.T) {
	everyURL(t, func(t *testing.T, w world) {
		c := w.config("absent.git")
		c.Dir = t.TempDir()
		_, err := Open(t.Context(), c)
		if !errors.Is(err, ErrNotFound) {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(err.Error(), secretPassword) || !strings.Contains(err.Error(), "absent.git") {
			t.Errorf("error text: %v", err)
		}
	})
}

func TestAnEmptyRepositoryTakesAFirstCommit(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "new.git")
		r := open(t, w.config("new.git"))
		if _, err := r.Head("main"); !errors.Is(err, ErrEmpty) || errors.Is(err, ErrNoBranch) {
			t.Errorf("head of an empty repository: %v", err)
		}
		check(t, r.Fetch(t.Context()))
		made := commit(t, r, "", map[string]string{"a/b.yaml": "x: 1\n"})
		state := commit(t, r, "", map[string]string{"state.json": "{}\n"})
		check(t, r.Push(t.Context(), Update{Ref: "refs/towpath/state", New: state.Hash}))
		if _, err := r.Head("main"); !errors.Is(err, ErrEmpty) {
			t.Errorf("a repository with only a state ref: %v", err)
		}
		check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", New: made.Hash}))
		if got := gitRun(t, dir, "rev-parse", "main"); got != made.Hash {
			t.Errorf("main is %s, want %s", got, made.Hash)
		}
		if _, err := r.Head("prod"); !errors.Is(err, ErrNoBranch) || !strings.Contains(err.Error(), `"prod"`) {
			t.Errorf("a missing branch: %v", err)
		}
		gitRun(t, dir, "fsck", "--strict")
	})
}

func TestOfTwoPushersOneWins(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "config.git")
		base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
		repos := []*Repo{open(t, w.config("config.git")), open(t, w.config("config.git"))}
		for round := range 4 {
			errs := make([]error, len(repos))
			hashes := make([]string, len(repos))
			var wg sync.WaitGroup
			for i, r := range repos {
				hashes[i] = commit(t, r, base, map[string]string{"a": strings.Repeat("x", 10*round+i+1)}).Hash
				wg.Go(func() {
					errs[i] = r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: hashes[i]})
				})
			}
			wg.Wait()
			winner := 0
			if errs[0] != nil {
				winner = 1
			}
			if errs[winner] != nil || !errors.Is(errs[1-winner], ErrStale) {
				t.Fatalf("round %d: %v / %v", round, errs[0], errs[1])
			}
			if got := gitRun(t, dir, "rev-parse", "main"); got != hashes[winner] {
				t.Fatalf("round %d: main is %s, the winner pushed %s", round, got, hashes[winner])
			}
			base = hashes[winner]
			for _, r := range repos {
				check(t, r.Fetch(t.Context()))
				if head := must(r.Head("main"))(t); head != base {
					t.Fatalf("head %s, want %s", head, base)
				}
			}
		}
	})
}

// meddling is a transport on which something happens between a push's look at
// the refs and its sending.
type meddling struct {
	transport
	meddle func()
	once   sync.Once
}

func (m *meddling) open(ctx context.Context, service string) (session, error) {
	s, err := m.transport.open(ctx, service)
	if err != nil || service != receivePack {
		return s, err
	}
	return &meddlingSession{s, m}, nil
}

type meddlingSession struct {
	session
	m *meddling
}

func (s *meddlingSession) push(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	s.m.once.Do(s.m.meddle)
	return s.session.push(ctx, req)
}

func TestTheServerItselfRefusesAStaleOld(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "config.git")
		base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
		gitRun(t, dir, "update-ref", "refs/heads/dev", base)
		gitRun(t, dir, "update-ref", "refs/heads/old", base)
		for name, c := range map[string]struct {
			ref, old string
			meddle   []string
		}{
			"moved by somebody else":   {"refs/heads/main", base, []string{"update-ref", "refs/heads/main", "OTHER"}},
			"deleted by somebody else": {"refs/heads/old", base, []string{"update-ref", "-d", "refs/heads/old"}},
			"made by somebody else":    {"refs/heads/new", "", []string{"update-ref", "refs/heads/new", base}},
		} {
			t.Run(name, func(t *testing.T) {
				gitRun(t, dir, "update-ref", "refs/heads/main", base)
				r := open(t, w.config("config.git"))
				made := commit(t, r, base, map[string]string{"a": name})
				other := put(t, dir, "other", base, map[string]string{"b": name})
				for i, a := range c.meddle {
					if a == "OTHER" {
						c.meddle[i] = other
					}
				}
				r.wire = &meddling{transport: r.wire, meddle: func() { gitRun(t, dir, c.meddle...) }}
				// The second ref is fine, and must not move either.
				err := r.Push(t.Context(),
					Update{Ref: "refs/heads/dev", Old: base, New: made.Hash},
					Update{Ref: c.ref, Old: c.old, New: made.Hash})
				if !errors.Is(err, ErrStale) || !strings.Contains(err.Error(), c.ref) {
					t.Fatalf("got %v", err)
				}
				if got := gitRun(t, dir, "rev-parse", "refs/heads/dev"); got != base {
					t.Errorf("dev moved to %s", got)
				}
				if refs := must(r.Refs("refs/heads/dev"))(t); refs["refs/heads/dev"] != base {
					t.Errorf("the cache believes in %v", refs)
				}
			})
		}
	})
}

func TestManyRefsMoveInOnePush(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "config.git")
		base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
		gitRun(t, dir, "update-ref", "refs/heads/towpath/dev/web", base)
		r := open(t, w.config("config.git"))
		made := commit(t, r, base, map[string]string{"a": "1\n"})
		record := commit(t, r, "", map[string]string{"pull.json": "{}\n"})
		check(t, r.Push(t.Context(),
			Update{Ref: "refs/heads/main", Old: base, New: made.Hash},
			Update{Ref: "refs/towpath/pulls/1", New: record.Hash},
			Update{Ref: "refs/heads/towpath/dev/web", Old: base}))
		want := map[string]string{"refs/heads/main": made.Hash, "refs/towpath/pulls/1": record.Hash}
		if got := must(r.Refs("refs/"))(t); len(got) != 2 || got["refs/heads/main"] != want["refs/heads/main"] || got["refs/towpath/pulls/1"] != want["refs/towpath/pulls/1"] {
			t.Errorf("refs after the push: %v", got)
		}
		if got := gitRun(t, dir, "for-each-ref", "--format=%(refname)"); got != "refs/heads/main\nrefs/towpath/pulls/1" {
			t.Errorf("refs on the server: %s", got)
		}
		check(t, r.Push(t.Context(), Update{Ref: "refs/towpath/pulls/1", Old: record.Hash}))

		// An Update that moves nothing still has to hold.
		next := commit(t, r, made.Hash, map[string]string{"a": "2\n"})
		check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: made.Hash, New: made.Hash}, Update{Ref: "refs/heads/x", New: next.Hash}))
		put(t, dir, "main", "-", map[string]string{"b": "1\n"})
		err := r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: made.Hash, New: made.Hash}, Update{Ref: "refs/heads/y", New: next.Hash})
		if !errors.Is(err, ErrStale) {
			t.Errorf("an assertion that does not hold: %v", err)
		}
	})
}

func TestARefusalIsNotStale(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		for name, c := range map[string]struct {
			prepare func(t *testing.T, dir string)
			ref     string
			orphan  bool
			words   string
		}{
			"a hook declines": {
				prepare: func(t *testing.T, dir string) {
					hook := "#!/bin/sh\necho 'main is frozen until Monday' >&2\nexit 1\n"
					check(t, os.WriteFile(filepath.Join(dir, "hooks", "pre-receive"), []byte(hook), 0o755))
				},
				ref: "refs/heads/main", words: "frozen until Monday",
			},
			"a hook speaks of what it expected": {
				prepare: func(t *testing.T, dir string) {
					hook := "#!/bin/sh\necho 'the subject is x, but expected JIRA-1; please fetch first. failed to lock' >&2\nexit 1\n"
					check(t, os.WriteFile(filepath.Join(dir, "hooks", "pre-receive"), []byte(hook), 0o755))
				},
				ref: "refs/heads/main", words: "but expected JIRA-1",
			},
			"a branch lies in a branch's way": {
				prepare: func(*testing.T, string) {},
				ref:     "refs/heads/main/sub", words: "cannot create",
			},
			"history may not be rewritten": {
				prepare: func(t *testing.T, dir string) { gitRun(t, dir, "config", "receive.denyNonFastForwards", "true") },
				ref:     "refs/heads/main", orphan: true, words: "non-fast-forward",
			},
		} {
			t.Run(name, func(t *testing.T) {
				dir := bare(t, w.root, strings.ReplaceAll(name, " ", "-")+".git")
				base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
				c.prepare(t, dir)
				r := open(t, w.config(filepath.Base(dir)))
				parent, old := base, base
				if c.orphan {
					parent = ""
				}
				if c.ref != "refs/heads/main" {
					old = ""
				}
				made := commit(t, r, parent, map[string]string{"a": "1\n"})
				err := r.Push(t.Context(), Update{Ref: c.ref, Old: old, New: made.Hash})
				if !errors.Is(err, ErrRejected) || errors.Is(err, ErrStale) || !strings.Contains(err.Error(), c.words) {
					t.Errorf("got %v", err)
				}
				if head := must(r.Head("main"))(t); head != base {
					t.Errorf("the cache believes in %s", head)
				}
			})
		}
	})
}

func TestAServerWithoutAtomicPushesMovesWhatItCan(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "config.git")
		base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
		gitRun(t, dir, "config", "receive.advertiseAtomic", "false")
		hook := "#!/bin/sh\ntest \"$1\" != refs/heads/frozen || { echo frozen solid >&2; exit 1; }\n"
		check(t, os.WriteFile(filepath.Join(dir, "hooks", "update"), []byte(hook), 0o755))
		r := open(t, w.config("config.git"))
		made := commit(t, r, base, map[string]string{"a": "1\n"})
		err := r.Push(t.Context(), Update{Ref: "refs/heads/frozen", New: made.Hash}, Update{Ref: "refs/heads/main", Old: base, New: made.Hash})
		if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), "frozen solid") || !strings.Contains(err.Error(), "1 of 2 refs did move") {
			t.Errorf("got %v", err)
		}
		want := map[string]string{"refs/heads/main": made.Hash}
		if got := must(r.Refs(""))(t); !maps.Equal(got, want) {
			t.Errorf("the cache believes in %v", got)
		}
		check(t, r.Fetch(t.Context()))
		if got := must(r.Refs(""))(t); !maps.Equal(got, want) {
			t.Errorf("the server has %v", got)
		}
	})
}

// silent is a transport to a server that does not report what a push did.
type silent struct{ transport }

func (s silent) open(ctx context.Context, service string) (session, error) {
	inner, err := s.transport.open(ctx, service)
	return silentSession{inner}, err
}

type silentSession struct{ session }

func (s silentSession) refs(ctx context.Context) (*packp.AdvRefs, error) {
	ar, err := s.session.refs(ctx)
	if err == nil {
		ar.Capabilities.Delete(capability.ReportStatus)
	}
	return ar, err
}

func TestAServerThatReportsNothingIsAskedAgain(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	r := open(t, Config{URL: dir})
	r.wire = silent{r.wire}
	made := commit(t, r, base, map[string]string{"a": "1\n"})
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
	if head := must(r.Head("main"))(t); head != made.Hash || gitRun(t, dir, "rev-parse", "main") != head {
		t.Errorf("head %s", head)
	}
	check(t, os.WriteFile(filepath.Join(dir, "hooks", "pre-receive"), []byte("#!/bin/sh\nexit 1\n"), 0o755))
	next := commit(t, r, made.Hash, map[string]string{"a": "2\n"})
	if err := r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: made.Hash, New: next.Hash}); !errors.Is(err, ErrRejected) {
		t.Errorf("a refused push: %v", err)
	}
	r.wire = &meddling{transport: r.wire, meddle: func() { gitRun(t, dir, "update-ref", "refs/heads/main", base) }}
	if err := r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: made.Hash, New: next.Hash}); !errors.Is(err, ErrStale) {
		t.Errorf("a stale push: %v", err)
	}
}

func TestOriginOfAClone(t *testing.T) {
	root := t.TempDir()
	server := filepath.Join(root, "server.git")
	check(t, InitBare(server, "trunk"))
	if head := gitRun(t, server, "symbolic-ref", "HEAD"); head != "refs/heads/trunk" {
		t.Errorf("HEAD is %s", head)
	}
	put(t, server, "trunk", "", map[string]string{"a/b": "0\n"})
	gitRun(t, root, "clone", "--quiet", server, "clone")
	gitRun(t, root, "init", "--quiet", "alone")
	for dir, want := range map[string]string{server: server, root + "/clone": server, root + "/clone/a": server} {
		if got := must(Origin(dir))(t); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
	for _, dir := range []string{root, root + "/alone"} {
		if got, err := Origin(dir); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %s, %v", dir, got, err)
		}
	}
}

func TestHTTPCredentials(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	url := githttp.Serve(t, root, githttp.Options{Username: "bot", Password: "right"})

	for name, auth := range map[string]Auth{
		"no credentials": {},
		"wrong password": {UsernameFile: secret(t, "bot"), PasswordFile: secret(t, secretPassword)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), Config{URL: url + "/config.git", Dir: t.TempDir(), Auth: auth})
			if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), secretPassword) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a rotated password is read at the next connection", func(t *testing.T) {
		file := secret(t, "right")
		r := open(t, Config{URL: url + "/config.git", Auth: Auth{UsernameFile: secret(t, "bot"), PasswordFile: file}})
		check(t, os.WriteFile(file, []byte("old"), 0o600))
		if err := r.Fetch(t.Context()); !errors.Is(err, ErrUnauthorized) {
			t.Fatalf("fetch with the old password: %v", err)
		}
		check(t, os.WriteFile(file, []byte("right"), 0o600))
		check(t, r.Fetch(t.Context()))
	})
	t.Run("a token that may only read", func(t *testing.T) {
		r := open(t, Config{URL: githttp.Serve(t, root, githttp.Options{ReadOnly: true}) + "/config.git"})
		made := commit(t, r, base, map[string]string{"a": "1\n"})
		err := r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash})
		if !errors.Is(err, ErrUnauthorized) {
			t.Errorf("got %v", err)
		}
	})
}

func TestARedirectToAnotherHostGetsNoCredentials(t *testing.T) {
	root := t.TempDir()
	put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a": "0\n"})
	h := must(githttp.Handler(root, githttp.Options{}))(t)
	var mu sync.Mutex
	var leaked, requests int
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests++
		if r.Header.Get("Authorization") != "" {
			leaked++
		}
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(other.Close)
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(first.Close)
	r := open(t, Config{URL: first.URL + "/config.git", Auth: Auth{PasswordFile: secret(t, secretPassword)}})
	check(t, r.Fetch(t.Context()))
	mu.Lock()
	defer mu.Unlock()
	if leaked != 0 || requests < 3 {
		t.Errorf("%d of %d requests to the other host carried credentials", leaked, requests)
	}
}

func TestSSHTrustsOnlyWhatItIsGiven(t *testing.T) {
	root := t.TempDir()
	put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a": "0\n"})
	s, stranger := gitssh.Serve(t, root), gitssh.Serve(t, root)
	changed := filepath.Join(t.TempDir(), "changed")
	lines := string(must(os.ReadFile(stranger.KnownHostsFile))(t))
	host, port, _ := net.SplitHostPort(s.Addr)
	_, otherPort, _ := net.SplitHostPort(stranger.Addr)
	check(t, os.WriteFile(changed, []byte(strings.ReplaceAll(lines, "["+host+"]:"+otherPort, "["+host+"]:"+port)), 0o600))

	for name, c := range map[string]struct {
		auth Auth
		want error
		text string
	}{
		"unknown host":  {Auth{SSHKeyFile: s.KeyFile, KnownHostsFile: stranger.KnownHostsFile}, ErrHostKey, "ssh-keyscan"},
		"changed key":   {Auth{SSHKeyFile: s.KeyFile, KnownHostsFile: changed}, ErrHostKey, "another key"},
		"wrong key":     {Auth{SSHKeyFile: s.OtherKeyFile, KnownHostsFile: s.KnownHostsFile}, ErrUnauthorized, s.OtherKeyFile},
		"no key":        {Auth{KnownHostsFile: s.KnownHostsFile}, nil, "private key file"},
		"no host keys":  {Auth{SSHKeyFile: s.KeyFile}, nil, "known_hosts"},
		"key not there": {Auth{SSHKeyFile: s.KeyFile + "x", KnownHostsFile: s.KnownHostsFile}, os.ErrNotExist, "ssh key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), Config{URL: s.URL + "/config.git", Dir: t.TempDir(), Auth: c.auth})
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASilentServerEndsWithTheContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	key := gitssh.Serve(t, t.TempDir())
	for _, url := range []string{"http://" + l.Addr().String() + "/x.git", "ssh://" + l.Addr().String() + "/x.git"} {
		t.Run(url[:4], func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := Open(ctx, Config{URL: url, Dir: t.TempDir(), Auth: Auth{SSHKeyFile: key.KeyFile, KnownHostsFile: key.KnownHostsFile}})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFetchAndPushObeyACancelledContext(t *testing.T) {
	everyURL(t, func(t *testing.T, w world) {
		base := put(t, bare(t, w.root, "config.git"), "main", "", map[string]string{"a": "0\n"})
		r := open(t, w.config("config.git"))
		made := commit(t, r, base, map[string]string{"a": "1\n"})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Fetch(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("fetch: %v", err)
		}
		if err := r.Push(ctx, Update{Ref: "refs/heads/main", Old: base, New: made.Hash}); !errors.Is(err, context.Canceled) {
			t.Errorf("push: %v", err)
		}
		if _, err := r.Commit(ctx, Change{Parent: base, Files: map[string][]byte{"a": []byte("2")}}); !errors.Is(err, context.Canceled) {
			t.Errorf("commit: %v", err)
		}
		check(t, r.Fetch(t.Context()))
	})
}

func TestParseRemote(t *testing.T) {
	for in, want := range map[string]remote{
		"/srv/git/x.git":                {scheme: "file", path: "/srv/git/x.git", shown: "/srv/git/x.git"},
		"file:///srv/git/x.git":         {scheme: "file", path: "/srv/git/x.git", shown: "file:///srv/git/x.git"},
		"file://localhost/srv/a%20b":    {scheme: "file", path: "/srv/a b", shown: "file:///srv/a b"},
		"https://u:p@h.example/a/b.git": {scheme: "https", user: "u", password: "p", host: "h.example", path: "/a/b.git", shown: "https://h.example/a/b.git"},
		"http://h.example:8080/a/":      {scheme: "http", host: "h.example:8080", path: "/a", shown: "http://h.example:8080/a"},
		"ssh://me@h.example:2222/a.git": {scheme: "ssh", user: "me", host: "h.example:2222", path: "/a.git", shown: "ssh://h.example:2222/a.git"},
		"ssh://h.example/~me/a.git":     {scheme: "ssh", user: "git", host: "h.example", path: "~me/a.git", shown: "ssh://h.example/~me/a.git"},
		"git@h.example:team/a.git":      {scheme: "ssh", user: "git", host: "h.example", path: "team/a.git", shown: "h.example:team/a.git"},
		"[::1]:a.git":                   {scheme: "ssh", user: "git", host: "[::1]", path: "a.git", shown: "[::1]:a.git"},
	} {
		got, err := parseRemote(in)
		if err != nil || got != want {
			t.Errorf("%s:\n got %+v %v\nwant %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "ftp://h/x", "https://", "https://u:" + secretPassword + "@h:port/x", "https://u:" + secretPassword + "@%zz/x",
		"https://h/x?token=" + secretPassword, "file://elsewhere/x", "file://x", "ssh://h", "ssh://h/", "git@h:-x", "ssh://-oProxyCommand=x/y", "a\nb",
		"https://u:" + secretPassword + "@h/x#f", "git://u:" + secretPassword + "@h/x",
	} {
		if got, err := parseRemote(in); err == nil || strings.Contains(err.Error(), secretPassword) {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
}

func FuzzParseRemoteShowsNoUserinfo(f *testing.F) {
	f.Add("https://", "user", "", "", "h.example/a")
	f.Add("ssh://", "user", "%", "/", "h.example:22/a")
	f.Add("", "bot", "1/", "", "h.example/a")
	f.Add("https:/", "bot", "@", "?", "h.example:1/a")
	f.Fuzz(func(t *testing.T, scheme, user, before, after, rest string) {
		// Somebody wrote user:password@host, well or badly, with whatever before it.
		if strings.ContainsAny(user, "/@") || strings.HasPrefix(strings.ToLower(scheme), "file:") || strings.ContainsAny(scheme, "@") {
			t.Skip("then the rest is a path, or the host of something else")
		}
		got, err := parseRemote(scheme + user + ":" + before + secretPassword + after + "@" + rest)
		if err != nil && strings.Contains(err.Error(), secretPassword) {
			t.Errorf("error shows it: %v", err)
		}
		if err == nil && strings.Contains(got.shown, secretPassword) {
			t.Errorf("shown is %q", got.shown)
		}
	})
}

func TestWordsOfALostRace(t *testing.T) {
	for name, c := range map[string]struct {
		words string
		said  []string
		want  bool
	}{
		"GitHub's status":          {"refs/heads/main: cannot lock ref 'refs/heads/main': is at 1 but expected 2", nil, true},
		"Git's own line":           {"refs/heads/main: failed to update ref", []string{"x", "error: cannot lock ref 'refs/heads/main': is at 1 but expected 2"}, true},
		"a lock of another":        {"", []string{"error: cannot lock ref 'refs/heads/main': Unable to create 'main.lock': File exists."}, true},
		"a branch in the way":      {"refs/heads/a/b: failed to update ref", []string{"error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'"}, false},
		"a hook's words":           {"refs/heads/main: pre-receive hook declined", []string{"stale info, but expected more"}, false},
		"a hook in Git's words":    {"refs/heads/main: hook declined", []string{"error: cannot lock ref"}, false},
		"words without any status": {"", []string{"fetch first, says the rule"}, false},
		"a protected branch":       {"refs/heads/main: protected branch hook declined", []string{"error: GH006: at least 1 approval, but expected 2"}, false},
	} {
		if got := lostRace(c.words, c.said); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
