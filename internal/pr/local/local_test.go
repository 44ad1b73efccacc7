package local_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/test/githttp"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir, err := first(); err == nil {
			_ = os.RemoveAll(dir)
		}
		os.Exit(code)
	}))
}

func TestAPullRequestFromOpeningToMerge(t *testing.T) {
	url := bare(t)
	for name, remote := range map[string]string{
		"over a path": url,
		"over http":   githttp.Serve(t, filepath.Dir(url), githttp.Options{}) + "/config.git",
	} {
		t.Run(name, func(t *testing.T) { story(t, url, remote) })
	}
}

func story(t *testing.T, dir, url string) {
	ctx := t.Context()
	r := open(t, url)
	f := forge(r, "towpath")
	version := fmt.Sprint(len(url)) // differs per transport, so that both change the file
	q := proposal(t, r, version)
	p := ensure(t, f, q)
	want := pr.Pull{
		Number: p.Number, Branch: branch, Base: "main", Head: q.Head, Title: q.Title, Body: q.Body,
		Author: "towpath", Open: true, Created: noon, Labels: []string{pr.LabelPromo}, Ref: "refs/heads/" + branch,
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("opened (-want +got):\n%s", d)
	}

	check := pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: strings.Repeat("é", 200), Commit: q.Head}
	must(t, f.SetStatus(ctx, p.Number, check))
	must(t, f.Comment(ctx, p.Number, pr.Comment{Key: "gates", Body: "waiting"}))
	must(t, f.Comment(ctx, p.Number, pr.Comment{Key: "gates", Body: "waiting for a person"}))

	// a person, in another process
	r2 := open(t, url)
	person := forge(r2, "alice")
	must(t, person.Review(ctx, p.Number, pr.Review{State: pr.Approved, Body: "ship it", Authenticated: true}))
	must(t, person.Comment(ctx, p.Number, pr.Comment{Body: "nice"}))
	must(t, person.SetLabel(ctx, p.Number, pr.LabelHold, true))

	fetch(t, r)
	got := get(t, f, p.Number)
	check.Description, check.App = strings.Repeat("é", 139)+"…", "towpath"
	want.Labels = []string{pr.LabelPromo, pr.LabelHold}
	want.Checks = []pr.Check{check}
	want.Comments = []pr.Comment{
		{ID: 1, User: "towpath", Key: "gates", Body: "waiting for a person", At: noon},
		{ID: 2, User: "alice", Body: "nice", At: noon},
	}
	want.Reviews = []pr.Review{{User: "alice", State: pr.Approved, Commit: q.Head, At: noon, Body: "ship it"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("after all (-want +got):\n%s", d)
	}

	lands(t, dir, r, f, got)
	// from a cache that never saw the merge
	merged := get(t, f, p.Number)
	again, err := person.Merge(ctx, pr.MergeRequest{Number: p.Number, Head: q.Head, Message: "m"})
	if err != nil || again != merged.MergeCommit {
		t.Errorf("merged again by another: %s, %v", again, err)
	}
	if head(t, open(t, url), "main") != merged.MergeCommit {
		t.Error("merging again moved the base")
	}
}

// lands merges p and looks at all that must have come of it.
func lands(t *testing.T, dir string, r *gitrepo.Repo, f *local.Forge, p pr.Pull) {
	ctx := t.Context()
	base := head(t, r, "main")
	want := content(t, r, p.Head, "prod/web.yaml")
	m := pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "prod: web\n\nTowpath-Policy: web\n"}
	commit, err := f.Merge(ctx, m)
	must(t, err)
	c, err := r.ReadCommit(commit)
	must(t, err)
	if c.Message != m.Message || len(c.Parents) != 1 || c.Parents[0] != base || head(t, r, "main") != commit {
		t.Errorf("merge commit %+v on base %s", c, base)
	}
	if got := content(t, r, commit, "prod/web.yaml"); got != want {
		t.Errorf("merged content %q, want %q", got, want)
	}
	if head(t, r, branch) != "" {
		t.Error("the branch is still there")
	}
	got := get(t, f, p.Number)
	if got.Open || !got.Merged || got.MergeCommit != commit || got.ClosedBy != "towpath" || !got.Closed.Equal(noon) || got.Head != "" {
		t.Errorf("merged: %+v", got)
	}
	shown := git(t, dir, "show", fmt.Sprintf("refs/towpath/pulls/%d:pull.json", p.Number))
	for _, line := range []string{"  \"merged\": true,\n", "<!-- towpath:v1"} {
		if !strings.Contains(shown, line) {
			t.Errorf("git show lacks %q:\n%s", line, shown)
		}
	}
	git(t, dir, "fsck", "--strict")

	if again, err := f.Merge(ctx, m); err != nil || again != commit {
		t.Errorf("merged again: %s, %v", again, err)
	}
}

func TestWhatIsSoAlreadyCostsNoWriteAndListingNeverDoes(t *testing.T) {
	ctx := t.Context()
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	check := pr.Check{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "ok", Commit: q.Head}
	all := func() {
		t.Helper()
		ensure(t, f, q)
		must(t, f.SetStatus(ctx, p.Number, check))
		must(t, f.Comment(ctx, p.Number, pr.Comment{Key: "k", Body: "b"}))
		must(t, f.SetLabel(ctx, p.Number, "on", true))
		must(t, f.SetLabel(ctx, p.Number, "off", false))
		must(t, f.Review(ctx, p.Number, pr.Review{User: "bob", State: pr.Approved, Commit: q.Head}))
	}
	all()
	before := r.Counts()
	all()
	for range 3 {
		if pulls, err := f.List(ctx, "main"); err != nil || len(pulls) != 1 {
			t.Errorf("%d pulls, %v", len(pulls), err)
		}
	}
	if d := cmp.Diff(before, r.Counts()); d != "" {
		t.Errorf("counts (-before +after):\n%s", d)
	}
	must(t, f.Close(ctx, p.Number, ""))
	before = r.Counts()
	must(t, f.Close(ctx, p.Number, "again"))
	if d := cmp.Diff(before, r.Counts()); d != "" {
		t.Errorf("closing a closed one: counts (-before +after):\n%s", d)
	}
}

func TestEnsureUpdatesTheOpenOneAndReopensNone(t *testing.T) {
	ctx := t.Context()
	r := open(t, bare(t))
	f := forge(r, "towpath")
	first := ensure(t, f, proposal(t, r, "2"))

	must(t, f.SetLabel(ctx, first.Number, "mine", true))
	q := proposal(t, r, "3")
	q.Labels = []string{"new"}
	second := ensure(t, f, q)
	if second.Number != first.Number || second.Title != q.Title || second.Head != q.Head {
		t.Errorf("updated: %+v", second)
	}
	if d := cmp.Diff([]string{pr.LabelPromo, "mine", "new"}, second.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}

	must(t, f.Close(ctx, first.Number, "not this one"))
	third := ensure(t, f, q)
	if third.Number != first.Number+1 || !third.Open {
		t.Errorf("after closing: %+v", third)
	}
	closed := get(t, f, first.Number)
	if closed.Open || closed.Merged || closed.ClosedBy != "towpath" || len(closed.Comments) != 1 || closed.Comments[0].Body != "not this one" {
		t.Errorf("closed: %+v", closed)
	}
	must(t, f.SetLabel(ctx, first.Number, pr.LabelRetry, true))
	if !get(t, f, first.Number).HasLabel(pr.LabelRetry) {
		t.Error("a closed pull request takes no label")
	}
	if err := f.Review(ctx, first.Number, pr.Review{State: pr.Approved}); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("review of a closed one: %v", err)
	}

	commitTo(t, r, "other", map[string][]byte{"x": []byte("x")})
	elsewhere := ensure(t, f, pr.Request{Branch: branch, Base: "other", Head: q.Head, Title: "same branch, another base"})
	pulls, err := f.List(ctx, "main")
	must(t, err)
	if len(pulls) != 2 || pulls[0].Number != third.Number || pulls[1].Number != first.Number {
		t.Errorf("onto main: %+v", pulls)
	}
	pulls, err = f.List(ctx, "")
	must(t, err)
	if len(pulls) != 3 || pulls[0].Number != elsewhere.Number {
		t.Errorf("all: %+v", pulls)
	}
}

func TestEnsureWantsTheBranchWhereTheRequestSays(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	for name, tc := range map[string]struct {
		change func(*pr.Request)
		is     error
	}{
		"another head":   {func(q *pr.Request) { q.Head = head(t, r, "main") }, pr.ErrHeadMoved},
		"missing branch": {func(q *pr.Request) { q.Branch = "nowhere" }, pr.ErrHeadMoved},
		"missing base":   {func(q *pr.Request) { q.Base = "nowhere" }, gitrepo.ErrNoBranch},
		"the base":       {func(q *pr.Request) { q.Branch, q.Head = "main", "" }, nil},
	} {
		q := q
		tc.change(&q)
		_, err := f.Ensure(t.Context(), q)
		if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if refs, err := r.Refs(local.RefPrefix); err != nil || len(refs) != 0 {
		t.Errorf("records were written: %v, %v", refs, err)
	}
}

func TestBotsThatRaceOpenOnePullRequest(t *testing.T) {
	url := bare(t)
	q := proposal(t, open(t, url), "2")
	const bots = 6
	var wg sync.WaitGroup
	numbers := make([]int, bots)
	for i := range bots {
		f := forge(open(t, url), "towpath")
		wg.Go(func() {
			p, err := f.Ensure(t.Context(), q)
			if err != nil {
				t.Errorf("bot %d: %v", i, err)
			}
			numbers[i] = p.Number
		})
	}
	wg.Wait()
	pulls, err := forge(open(t, url), "x").List(t.Context(), "main")
	must(t, err)
	if len(pulls) != 1 {
		t.Fatalf("%d pull requests: %+v", len(pulls), pulls)
	}
	for i, n := range numbers {
		if n != pulls[0].Number {
			t.Errorf("bot %d was told %d, the pull request is %d", i, n, pulls[0].Number)
		}
	}
}

func TestGoroutinesOfOneForgeOpenOnePullRequestPerBranch(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	var wg sync.WaitGroup
	for i := range 4 {
		b := fmt.Sprintf("towpath/dev/app%d", i)
		c := commitTo(t, r, b, map[string][]byte{b: []byte("x")})
		for range 2 {
			wg.Go(func() {
				if _, err := f.Ensure(t.Context(), pr.Request{Branch: b, Base: "main", Head: c, Title: b}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	pulls, err := f.List(t.Context(), "main")
	must(t, err)
	if len(pulls) != 4 {
		t.Errorf("%d pull requests, want 4: %+v", len(pulls), pulls)
	}
}

func TestAStaleCacheFindsThePullRequestOfAnother(t *testing.T) {
	url := bare(t)
	r1, r2 := open(t, url), open(t, url) // r2 sees nothing of what follows
	q := proposal(t, r1, "2")
	p := ensure(t, forge(r1, "one"), q)
	p2 := ensure(t, forge(r2, "two"), q)
	if p2.Number != p.Number || p2.Author != "one" {
		t.Errorf("a stale cache got %+v", p2)
	}
	// closed and opened again behind r2's back
	f1 := forge(r1, "one")
	must(t, f1.Close(t.Context(), p.Number, ""))
	again := ensure(t, f1, q)
	q.Title = "a new title"
	p3 := ensure(t, forge(r2, "two"), q)
	if p3.Number != again.Number || p3.Title != q.Title {
		t.Errorf("a stale cache updated %+v, the open one is %d", p3, again.Number)
	}
	// a write to one it has never seen
	r3 := open(t, url)
	commitTo(t, r1, "b", map[string][]byte{"b": nil, "c": []byte("c")})
	b := ensure(t, f1, pr.Request{Branch: "b", Base: "main", Title: "b"})
	must(t, forge(r3, "three").Comment(t.Context(), b.Number, pr.Comment{Body: "hi"}))
}

func TestACrashBetweenBranchAndRecordIsMadeGood(t *testing.T) {
	url := bare(t)
	q := proposal(t, open(t, url), "2") // the branch was pushed, then the bot died
	p := ensure(t, forge(open(t, url), "towpath"), q)
	if p.Number != 1 || p.Head != q.Head {
		t.Errorf("after the restart: %+v", p)
	}
}

func TestConcurrentWritersOfOneRecordAllLand(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	p := ensure(t, forge(r, "towpath"), proposal(t, r, "2"))
	const people = 5
	var wg sync.WaitGroup
	for i := range people {
		f := forge(open(t, url), fmt.Sprintf("p%d", i))
		wg.Go(func() {
			if err := f.Comment(t.Context(), p.Number, pr.Comment{Body: "hello"}); err != nil {
				t.Errorf("person %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	fetch(t, r)
	users := map[string]bool{}
	for _, c := range get(t, forge(r, ""), p.Number).Comments {
		users[c.User] = true
	}
	if len(users) != people {
		t.Errorf("comments of %v", users)
	}
}

func TestMissingPullRequests(t *testing.T) {
	ctx := t.Context()
	f := forge(open(t, bare(t)), "towpath")
	for name, err := range map[string]error{
		"Get":      func() error { _, err := f.Get(ctx, 7); return err }(),
		"Close":    f.Close(ctx, 7, ""),
		"Comment":  f.Comment(ctx, 7, pr.Comment{Body: "x"}),
		"SetLabel": f.SetLabel(ctx, 7, "x", true),
		"Review":   f.Review(ctx, 7, pr.Review{State: pr.Approved}),
		"Merge":    func() error { _, err := f.Merge(ctx, pr.MergeRequest{Number: 7}); return err }(),
	} {
		if !errors.Is(err, pr.ErrNotFound) || !strings.Contains(err.Error(), "7") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStatusesOfOtherHeadsAreNotShownAndBadOnesRefused(t *testing.T) {
	ctx := t.Context()
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	must(t, f.SetStatus(ctx, p.Number, pr.Check{Context: "a/b", State: pr.CheckSuccess, Commit: q.Head}))
	must(t, f.SetStatus(ctx, p.Number, pr.Check{Context: "a", State: pr.CheckSuccess, Commit: q.Head}))
	if got := get(t, f, p.Number).Checks; len(got) != 2 {
		t.Errorf("checks %+v", got)
	}
	proposal(t, r, "3")
	if got := get(t, f, p.Number).Checks; len(got) != 0 {
		t.Errorf("checks of an older head: %+v", got)
	}
	for _, c := range []pr.Check{
		{Context: "", Commit: q.Head}, {Context: "../x", Commit: q.Head}, {Context: "a//b", Commit: q.Head},
		{Context: ".git/x", Commit: q.Head}, {Context: "a", Commit: ""}, {Context: "a", Commit: "../.."},
	} {
		if err := f.SetStatus(ctx, p.Number, c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestABrokenRecordHidesNoOther(t *testing.T) {
	r := open(t, bare(t))
	good := ensure(t, forge(r, "towpath"), proposal(t, r, "2"))
	for i, files := range []map[string][]byte{
		{"pull.json": []byte("{")},
		{"README": []byte("no pull.json")},
		{"pull.json": []byte(`{"number":1,"open":true,"branch":"` + branch + `","base":"main"}`)},
		{"pull.json": []byte(`{"number":5}`), "reviews/0001.json": []byte("[]")},
	} {
		c, err := r.Commit(t.Context(), gitrepo.Change{Files: files, Message: "by hand"})
		must(t, err)
		push(t, r, gitrepo.Update{Ref: fmt.Sprintf("%s%d", local.RefPrefix, good.Number+1+i), New: c.Hash})
	}
	push(t, r, gitrepo.Update{Ref: local.RefPrefix + "not-a-number", New: head(t, r, "main")})
	var log strings.Builder
	f := local.New(local.Config{Git: r, User: "towpath", Now: clock, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		pulls, err := f.List(t.Context(), "main")
		if err != nil || len(pulls) != 1 || pulls[0].Number != good.Number {
			t.Errorf("pulls %+v, error %v", pulls, err)
		}
	}
	if n := strings.Count(log.String(), "unreadable"); n != 4 {
		t.Errorf("%d log lines, want 4:\n%s", n, log.String())
	}
	must(t, f.Close(t.Context(), good.Number, ""))
	if next := ensure(t, f, pr.Request{Branch: branch, Base: "main", Title: "x"}); next.Number != good.Number+5 {
		t.Errorf("the new one took number %d, which is taken", next.Number)
	}
}

func TestWhoActsIsInTheRecordsHistory(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	p := ensure(t, forge(r, "towpath"), proposal(t, r, "2"))
	must(t, forge(r, "alice <x>\nevil").SetLabel(t.Context(), p.Number, "a\nb", true))
	log := git(t, url, "log", "--format=%an: %s", "refs/towpath/pulls/1")
	want := "alice  x  evil: pull 1: add label a b\ntowpath: pull 1: open " + branch + " onto main"
	if log != want {
		t.Errorf("history:\n%s\nwant:\n%s", log, want)
	}
}

func TestOnlyTheNewest500ClosedOnesAreListed(t *testing.T) {
	r := open(t, bare(t))
	var updates []gitrepo.Update
	for n := 1; n <= local.MaxClosed+10; n++ {
		c, err := r.Commit(t.Context(), gitrepo.Change{Message: "x", Files: map[string][]byte{
			"pull.json": fmt.Appendf(nil, `{"number":%d,"open":%v,"branch":"b","base":"main"}`, n, n == 3),
		}})
		must(t, err)
		updates = append(updates, gitrepo.Update{Ref: fmt.Sprintf("%s%d", local.RefPrefix, n), New: c.Hash})
	}
	push(t, r, updates...)
	pulls, err := forge(r, "x").List(t.Context(), "main")
	must(t, err)
	if len(pulls) != local.MaxClosed+1 || pulls[0].Number != local.MaxClosed+10 || pulls[local.MaxClosed].Number != 3 {
		t.Errorf("%d pulls, first %d, last %d", len(pulls), pulls[0].Number, pulls[len(pulls)-1].Number)
	}
}

func TestForgesWorkAfterTheirContextEnded(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Ensure(ctx, q); err == nil {
		t.Error("a cancelled Ensure succeeded")
	}
	if p := ensure(t, f, q); p.Number != 1 {
		t.Errorf("afterwards: %+v", p)
	}
	if f.Authenticated() {
		t.Error("the local forge claims to know who people are")
	}
}
