package local_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
)

func TestMergeKeepsWhatTheBaseGotMeanwhile(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	base := commitTo(t, r, "main", map[string][]byte{"dev/web.yaml": []byte("image: web:9\n"), "new": []byte("n")})
	commit, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: q.Head})
	must(t, err)
	for name, want := range map[string]string{"dev/web.yaml": "image: web:9\n", "new": "n", "prod/web.yaml": "image: web:2\n"} {
		if got := content(t, r, commit, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	c, err := r.ReadCommit(commit)
	must(t, err)
	if c.Parents[0] != base || !strings.HasPrefix(c.Message, p.Title+" (#1)") {
		t.Errorf("commit %+v", c)
	}
}

func TestMergeOfSeveralCommitsDeletionsModesAndLinksIsOneCommit(t *testing.T) {
	url := bare(t)
	w := filepath.Join(t.TempDir(), "w")
	git(t, t.TempDir(), "clone", "-q", url, w)
	git(t, w, "config", "user.name", "bob")
	git(t, w, "config", "user.email", "bob@localhost")
	git(t, w, "checkout", "-q", "-b", branch)
	git(t, w, "rm", "-q", "dev/web.yaml")
	git(t, w, "commit", "-q", "-m", "one")
	blob := git(t, w, "rev-parse", "HEAD:prod/web.yaml")
	git(t, w, "update-index", "--add", "--cacheinfo", "100755,"+blob+",run.sh", "--cacheinfo", "120000,"+blob+",link")
	git(t, w, "commit", "-q", "-m", "two")
	git(t, w, "push", "-q", "origin", "HEAD")
	tree := git(t, w, "rev-parse", "HEAD^{tree}")

	r := open(t, url)
	f := forge(r, "towpath")
	p := ensure(t, f, pr.Request{Branch: branch, Base: "main", Title: "by hand"})
	commit, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "all"})
	must(t, err)
	c, err := r.ReadCommit(commit)
	must(t, err)
	if c.Tree != tree {
		t.Errorf("the merged tree differs from the head's:\n%s", git(t, url, "ls-tree", "-r", commit))
	}
}

func TestMergeOfABranchThatTookInTheBaseMeasuresFromThere(t *testing.T) {
	url := bare(t)
	w := filepath.Join(t.TempDir(), "w")
	git(t, t.TempDir(), "clone", "-q", url, w)
	git(t, w, "config", "user.name", "bob")
	git(t, w, "config", "user.email", "bob@localhost")
	r := open(t, url)
	f := forge(r, "towpath")
	proposal(t, r, "2")
	base := commitTo(t, r, "main", map[string][]byte{"dev/web.yaml": []byte("image: web:9\n")})
	git(t, w, "fetch", "-q")
	git(t, w, "checkout", "-q", branch)
	git(t, w, "merge", "-q", "--no-ff", "-m", "take in main", "origin/main")
	git(t, w, "push", "-q", "origin", "HEAD")
	fetch(t, r)
	p := ensure(t, f, pr.Request{Branch: branch, Base: "main", Title: "x"})
	commitTo(t, r, "main", map[string][]byte{"dev/web.yaml": []byte("image: web:10\n")})
	commit, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head})
	must(t, err)
	if got := content(t, r, commit, "dev/web.yaml"); got != "image: web:10\n" {
		t.Errorf("the merge brought back %q of %s", got, base)
	}
}

func TestAFileChangedOnBothSidesIsAConflict(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	base := commitTo(t, r, "main", map[string][]byte{"prod/web.yaml": []byte("image: web:1\n# far below\n")})
	_, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: q.Head})
	if !errors.Is(err, pr.ErrConflict) || !strings.Contains(err.Error(), "prod/web.yaml") {
		t.Errorf("error %v", err)
	}
	if head(t, r, "main") != base || !get(t, f, p.Number).Open || head(t, r, branch) != q.Head {
		t.Error("a refused merge changed something")
	}
}

func TestADeletionOnOneSideAndAnEditOnTheOtherIsAConflict(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	commitTo(t, r, "main", map[string][]byte{"prod/web.yaml": nil})
	if _, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: q.Head}); !errors.Is(err, pr.ErrConflict) {
		t.Errorf("error %v", err)
	}
}

func TestAChangeThatTheBaseHasAlreadyClosesWithoutACommit(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	base := commitTo(t, r, "main", map[string][]byte{"prod/web.yaml": []byte("image: web:2\n")})
	commit, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: q.Head})
	must(t, err)
	if commit != base || !get(t, f, p.Number).Merged || head(t, r, branch) != "" {
		t.Errorf("commit %s, base %s", commit, base)
	}
}

func TestMergeRefusesAnotherHead(t *testing.T) {
	ctx := t.Context()
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	moved := proposal(t, r, "3")
	if _, err := f.Merge(ctx, pr.MergeRequest{Number: p.Number, Head: q.Head}); !errors.Is(err, pr.ErrHeadMoved) {
		t.Errorf("moved: %v", err)
	}
	_, err := f.Merge(ctx, pr.MergeRequest{Number: p.Number, Head: moved.Head})
	must(t, err)
	if _, err := f.Merge(ctx, pr.MergeRequest{Number: p.Number, Head: q.Head}); err == nil {
		t.Error("a head that was never merged passes for merged")
	}

	gone := ensure(t, f, proposal(t, r, "4"))
	push(t, r, gitrepo.Update{Ref: "refs/heads/" + branch, Old: gone.Head})
	if _, err := f.Merge(ctx, pr.MergeRequest{Number: gone.Number, Head: gone.Head}); !errors.Is(err, pr.ErrHeadMoved) {
		t.Errorf("gone: %v", err)
	}
	must(t, f.Close(ctx, gone.Number, ""))
	if _, err := f.Merge(ctx, pr.MergeRequest{Number: gone.Number, Head: gone.Head}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed: %v", err)
	}
}

// rival does something else to the repository right before some pushes.
type rival struct {
	local.Git
	before []func() // one per push; then none
}

func (r *rival) Push(ctx context.Context, u ...gitrepo.Update) error {
	if len(r.before) > 0 {
		next := r.before[0]
		r.before = r.before[1:]
		next()
	}
	return r.Git.Push(ctx, u...)
}

func TestMergeTriesOnceMoreWhenTheBaseMoves(t *testing.T) {
	url := bare(t)
	r, other := open(t, url), open(t, url)
	q := proposal(t, r, "2")
	p := ensure(t, forge(r, "towpath"), q)
	n := 0
	move := func() {
		n++
		commitTo(t, other, "main", map[string][]byte{"dev/web.yaml": fmt.Appendf(nil, "image: web:1%d\n", n)})
	}
	m := pr.MergeRequest{Number: p.Number, Head: q.Head, Message: "m"}

	twice := forge(&rival{Git: r, before: []func(){move, move}}, "towpath")
	if _, err := twice.Merge(t.Context(), m); !errors.Is(err, pr.ErrBaseMoved) {
		t.Errorf("moved twice: %v", err)
	}
	fetch(t, r)
	if !get(t, forge(r, ""), p.Number).Open || head(t, r, branch) == "" {
		t.Error("a failed merge changed something")
	}
	once := forge(&rival{Git: r, before: []func(){move}}, "towpath")
	commit, err := once.Merge(t.Context(), m)
	must(t, err)
	if got := content(t, r, commit, "dev/web.yaml"); got != "image: web:13\n" {
		t.Errorf("the other's push was lost: %q", got)
	}
}

func TestMergeNoticesWhatChangedWhileItPushed(t *testing.T) {
	for name, tc := range map[string]struct {
		rival func(t *testing.T, other *gitrepo.Repo)
		is    error
	}{
		"the head": {func(t *testing.T, other *gitrepo.Repo) { fetch(t, other); proposal(t, other, "7") }, pr.ErrHeadMoved},
		"the same file on the base": {func(t *testing.T, other *gitrepo.Repo) {
			commitTo(t, other, "main", map[string][]byte{"prod/web.yaml": []byte("x")})
		}, pr.ErrConflict},
		"closed by a person": {func(t *testing.T, other *gitrepo.Repo) {
			fetch(t, other)
			must(t, forge(other, "alice").Close(t.Context(), 1, "no"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			url := bare(t)
			r, other := open(t, url), open(t, url)
			q := proposal(t, r, "2")
			p := ensure(t, forge(r, "towpath"), q)
			base := head(t, r, "main")
			f := forge(&rival{Git: r, before: []func(){func() { tc.rival(t, other) }}}, "towpath")
			commit, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: q.Head})
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("merged as %q, error %v", commit, err)
			}
			fetch(t, r)
			if name != "the same file on the base" && head(t, r, "main") != base {
				t.Error("the base moved")
			}
		})
	}
}

func TestBotsThatRaceMergeOnce(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	q := proposal(t, r, "2")
	p := ensure(t, forge(r, "towpath"), q)
	base := head(t, r, "main")
	const bots = 4
	commits := make([]string, bots)
	var wg sync.WaitGroup
	for i := range bots {
		f := forge(open(t, url), fmt.Sprintf("bot%d", i))
		wg.Go(func() {
			c, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: q.Head, Message: "m"})
			if err != nil {
				t.Errorf("bot %d: %v", i, err)
			}
			commits[i] = c
		})
	}
	wg.Wait()
	fetch(t, r)
	if n := git(t, url, "rev-list", "--count", base+"..main"); n != "1" {
		t.Errorf("%s commits on the base, want 1", n)
	}
	for i, c := range commits {
		if c != head(t, r, "main") {
			t.Errorf("bot %d was told %s", i, c)
		}
	}
}
