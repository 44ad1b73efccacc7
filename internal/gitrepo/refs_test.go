package gitrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"towpath.dev/towpath/test/githttp"
)

// counted serves root over http and lists the requests.
type counted struct {
	url string
	mu  sync.Mutex
	all []string
}

func serveCounted(t testing.TB, root string) *counted {
	t.Helper()
	h := must(githttp.Handler(root, githttp.Options{}))(t)
	c := &counted{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.all = append(c.all, r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), "/config.git/"))
		c.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// take returns the requests since it was called last.
func (c *counted) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.all
	c.all = nil
	return out
}

// files lists what a folder holds, with sizes and times.
func files(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := d.Info()
		if err == nil {
			fmt.Fprintln(&b, path, i.Size(), i.ModTime().UnixNano())
		}
		return err
	}))
	return b.String()
}

func TestOnlyTheBaseAndOurBranchesAreDownloaded(t *testing.T) {
	everyTransport(t, func(t *testing.T, w world) {
		dir := bare(t, w.root, "config.git")
		base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
		at := map[string]string{"refs/heads/main": base}
		for _, b := range []string{"people/x", "towpath/dev/web", "gh-readonly-queue/main/pr-1", "gh-readonly-queue/other/pr-2"} {
			at["refs/heads/"+b] = put(t, dir, b, base, map[string]string{"a": b})
		}
		for ref, from := range map[string]string{"refs/towpath/state": "state", "refs/pull/7/head": "fork"} {
			at[ref] = put(t, dir, from, base, map[string]string{"a": ref})
			gitRun(t, dir, "update-ref", ref, at[ref])
			gitRun(t, dir, "update-ref", "-d", "refs/heads/"+from)
		}
		gitRun(t, dir, "update-ref", "refs/pull/7/merge", base)
		gitRun(t, dir, "tag", "v1", base)
		cfg := w.config("config.git")
		cfg.Branch, cfg.Dir = "main", t.TempDir()
		r := must(Open(t.Context(), cfg))(t)
		if got := must(r.Refs(""))(t); len(got) != len(at) || got["refs/pull/7/head"] != at["refs/pull/7/head"] || got["refs/heads/people/x"] != at["refs/heads/people/x"] {
			t.Errorf("refs %v, want %v", got, at)
		}
		lean := []string{"refs/heads/people/x", "refs/heads/gh-readonly-queue/other/pr-2", "refs/pull/7/head"}
		stored := string(must(os.ReadFile(filepath.Join(r.slot.dir, packedRefs)))(t))
		for ref, hash := range at {
			_, err := r.ReadCommit(hash)
			if slices.Contains(lean, ref) {
				if !errors.Is(err, ErrNoCommit) || strings.Contains(stored, hash) {
					t.Errorf("%s is in the cache: %v", ref, err)
				}
			} else if err != nil || !strings.Contains(stored, hash) {
				t.Errorf("%s is not in the cache: %v", ref, err)
			}
		}
		if head := must(r.Head("people/x"))(t); head != at["refs/heads/people/x"] {
			t.Errorf("head of a branch that is not followed: %s", head)
		}

		connections := r.Counts().Connections
		for _, refs := range [][]string{nil, {"refs/heads/main", "refs/towpath/state"}, {"refs/pull/7/head", "refs/heads/people/x"}, {"refs/pull/7/head"}} {
			check(t, r.Bring(t.Context(), refs...))
		}
		if n := r.Counts().Connections - connections; n != 1 {
			t.Errorf("%d connections for what one brings", n)
		}
		check(t, r.Bring(t.Context(), "refs/heads/merged-away", "refs/pull/99/head"))
		check(t, r.Fetch(t.Context()))
		for _, ref := range []string{"refs/pull/7/head", "refs/heads/people/x"} {
			if got := must(must(r.Snapshot(at[ref]))(t).Files("", nil))(t); len(got["a"]) == 0 {
				t.Errorf("%s after Bring: %q", ref, got)
			}
		}
		check(t, r.Close())
		again := open(t, cfg)
		if _, err := again.ReadCommit(at["refs/pull/7/head"]); err != nil || again.Counts().Clones != 0 {
			t.Errorf("what was brought does not survive: %v", err)
		}
		gitRun(t, again.slot.dir, "fsck", "--strict")
	})
}

func TestAnIdleFetchIsOneRequestAndTouchesNoFile(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	for i := range 40 {
		gitRun(t, dir, "update-ref", fmt.Sprintf("refs/heads/towpath/dev/app%d", i), put(t, dir, "towpath/tmp", base, map[string]string{"a": fmt.Sprint(i)}))
	}
	put(t, dir, "people/x", base, map[string]string{"a": "x"})
	server := serveCounted(t, root)
	cfg := Config{URL: server.url + "/config.git", Branch: "main", Dir: t.TempDir()}
	check(t, must(Open(t.Context(), cfg))(t).Close())
	server.take()

	r := open(t, cfg)
	if reqs := server.take(); len(reqs) != 0 || r.ObjectsRead() > 2 {
		t.Errorf("opening a warm cache: requests %q, %d objects read", reqs, r.ObjectsRead())
	}
	check(t, r.Fetch(t.Context()))
	server.take()
	before, reads := files(t, cfg.Dir), r.ObjectsRead()
	check(t, r.Fetch(t.Context()))
	moved := put(t, dir, "people/x", "-", map[string]string{"a": "y"}) // somebody else's branch is nothing to do either
	check(t, r.Fetch(t.Context()))
	if reqs := server.take(); !slices.Equal(reqs, slices.Repeat([]string{"GET info/refs?service=git-upload-pack"}, 2)) {
		t.Errorf("requests %q", reqs)
	}
	if n := r.ObjectsRead() - reads; n != 0 {
		t.Errorf("%d objects read", n)
	}
	if after := files(t, cfg.Dir); after != before {
		t.Errorf("files changed:\n%s\n%s", before, after)
	}
	if got := must(r.Head("people/x"))(t); got != moved {
		t.Errorf("head of people/x %s, want %s", got, moved)
	}
}

func TestAFetchBringsOnlyNewsHoweverManyRefsAreNewer(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	base := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	var b strings.Builder // records made after the base's last commit, more of them than a server is told
	for i := range 2 * maxHaves {
		fmt.Fprintf(&b, "commit refs/towpath/record/%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nr\nM 100644 inline r\ndata 4\n%04d\n", i, 4_000_000_000+i, i)
	}
	gitIn(t, dir, b.String(), "fast-import", "--quiet")
	r := open(t, Config{URL: dir, Branch: "main"})
	before := packs(t, filepath.Dir(r.slot.dir))
	head := put(t, dir, "main", base, map[string]string{"a": "1\n"})
	check(t, r.Fetch(t.Context()))
	for _, p := range packs(t, filepath.Dir(r.slot.dir)) {
		if slices.Contains(before, p) {
			continue
		}
		if n := strings.Count(gitRun(t, r.slot.dir, "verify-pack", "-v", p), " blob "); n != 1 || must(r.Head("main"))(t) != head {
			t.Errorf("%d blobs came for one", n)
		}
	}
}

func TestARewrittenBaseIsFollowedOnlyWhenAllowed(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	first := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	old := put(t, dir, "main", "-", map[string]string{"a": "1\n"})
	cfg := Config{URL: dir, Branch: "main", Dir: t.TempDir()}
	r := must(Open(t.Context(), cfg))(t)
	rewritten := put(t, dir, "main", first, map[string]string{"a": "2\n"})
	gitRun(t, dir, "update-ref", "refs/heads/towpath/new", first)

	refused := func(r *Repo) {
		t.Helper()
		err := r.Fetch(t.Context())
		if !errors.Is(err, ErrRewritten) || !strings.Contains(err.Error(), old) || !strings.Contains(err.Error(), rewritten) {
			t.Fatalf("got %v", err)
		}
		if head := must(r.Head("main"))(t); head != old || len(must(r.Refs("refs/heads/"))(t)) != 1 {
			t.Errorf("the head moved to %s", head)
		}
	}
	refused(r)
	reads := r.ObjectsRead()
	refused(r)
	if n := r.ObjectsRead() - reads; n != 0 {
		t.Errorf("asking again reads %d objects", n)
	}
	check(t, r.Close())
	r = must(Open(t.Context(), cfg))(t)
	refused(r) // the cache remembers
	gitRun(t, dir, "update-ref", "-d", "refs/heads/main")
	check(t, r.Fetch(t.Context()))
	if _, err := r.Head("main"); !errors.Is(err, ErrNoBranch) {
		t.Errorf("a deleted base: %v", err)
	}
	gitRun(t, dir, "update-ref", "refs/heads/main", rewritten)
	if err := r.Fetch(t.Context()); !errors.Is(err, ErrRewritten) {
		t.Errorf("deleted and made anew: %v", err)
	}
	// A cache that cannot be used any more still tells what was seen.
	check(t, r.Close())
	check(t, os.Remove(packs(t, cfg.Dir)[0]))
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrRewritten) {
		t.Errorf("with a damaged cache: %v", err)
	}

	var log logged
	cfg.AllowRewrite, cfg.Logger = true, log.logger()
	r = open(t, cfg)
	check(t, r.Fetch(t.Context()))
	later := put(t, dir, "main", "-", map[string]string{"a": "3\n"})
	check(t, r.Fetch(t.Context()))
	if head := must(r.Head("main"))(t); head != later || strings.Count(log.String(), "was rewritten") != 1 {
		t.Errorf("head %s, log %s", head, log.String())
	}
}

func TestABaseThatWentOnOrBackIsToldApart(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	first := put(t, dir, "main", "", map[string]string{"a": "0\n"})
	r := open(t, Config{URL: dir, Branch: "main"})
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nc\n", 1_800_000_000-i) // clocks that go backwards
		if i == 0 {
			fmt.Fprintf(&b, "from %s\n", first)
		}
		fmt.Fprintf(&b, "M 100644 inline a\ndata 3\n%03d\n", i)
	}
	gitIn(t, dir, b.String(), "fast-import", "--quiet")
	reads := r.ObjectsRead()
	check(t, r.Fetch(t.Context()))
	if n := r.ObjectsRead() - reads; n > 302 {
		t.Errorf("%d objects read to see that 300 commits were added", n)
	}
	head := must(r.Head("main"))(t)
	gitRun(t, dir, "update-ref", "refs/heads/main", first)
	if err := r.Fetch(t.Context()); !errors.Is(err, ErrRewritten) {
		t.Errorf("a base that went back: %v", err)
	}
	gitRun(t, dir, "update-ref", "refs/heads/main", head)
	check(t, r.Fetch(t.Context()))
}

func TestAMissingBaseIsSaidWithWhatWasMeant(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	gitRun(t, dir, "symbolic-ref", "HEAD", "refs/heads/trunk")
	base := put(t, dir, "trunk", "", map[string]string{"a": "0\n"})
	for _, b := range []string{"Main", "mains", "towpath/x", "other"} {
		gitRun(t, dir, "update-ref", "refs/heads/"+b, base)
	}
	r := open(t, Config{URL: dir, Branch: "main"})
	_, err := r.Head("main")
	if !errors.Is(err, ErrNoBranch) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`default branch is "trunk"`, `"Main"`, `"mains"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), `"other"`) {
		t.Errorf("%v names what is not similar", err)
	}
}

func TestARepositoryHasOneNameWhereverOneStands(t *testing.T) {
	dir := bare(t, t.TempDir(), "config.git")
	t.Chdir(dir)
	for url, want := range map[string]string{
		".": dir, dir: dir, "../config.git": dir, dir + "/": dir,
		"https://ada:" + secretPassword + "@example.com/x.git": "https://example.com/x.git",
	} {
		if got := must(Canonical(url))(t); got != want {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
	}
	if _, err := Canonical("ftp://ada:" + secretPassword + "@example.com"); err == nil || strings.Contains(err.Error(), secretPassword) {
		t.Errorf("got %v", err)
	}
}
