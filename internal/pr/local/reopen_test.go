package local_test

import (
	"sync"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
)

// TestNoCacheOpensASecondOneBesideOneThatWasOpenedAgain: each of the caches was
// filled when the pull request was closed.
func TestNoCacheOpensASecondOneBesideOneThatWasOpenedAgain(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	p := ensure(t, f, q)
	must(t, f.Close(t.Context(), p.Number, ""))
	stale, stale2 := open(t, url), open(t, url)
	must(t, f.Reopen(t.Context(), p.Number))
	if got := ensure(t, forge(stale, "two"), q); got.Number != p.Number {
		t.Errorf("a stale cache opened %d beside %d", got.Number, p.Number)
	}
	if _, err := forge(stale2, "three").Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: q.Head}); err != nil {
		t.Errorf("a stale cache takes it for closed: %v", err)
	}
}

func TestBotsThatOpenAndOpenAgainEndWithOne(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	f := forge(r, "towpath")
	q := proposal(t, r, "2")
	var closed []int
	for range 2 {
		p := ensure(t, f, q)
		must(t, f.Close(t.Context(), p.Number, ""))
		closed = append(closed, p.Number)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		f := forge(open(t, url), "towpath")
		wg.Go(func() {
			if i < 2 {
				if _, err := f.Ensure(t.Context(), q); err != nil {
					t.Errorf("bot %d: %v", i, err)
				}
				return
			}
			if err := f.Reopen(t.Context(), closed[i%2]); err != nil {
				t.Logf("bot %d: %v", i, err) // another one was first
			}
		})
	}
	wg.Wait()
	fetch(t, r)
	pulls, err := f.List(t.Context(), "main")
	must(t, err)
	n := 0
	for _, p := range pulls {
		if p.Branch != branch {
			t.Errorf("listed: %+v", p)
		}
		if p.Open {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d are open: %+v", n, pulls)
	}
}

func TestAPullRequestWhoseBranchIsGoneIsNotOpenedAgain(t *testing.T) {
	r := open(t, bare(t))
	f := forge(r, "towpath")
	p := ensure(t, f, proposal(t, r, "2"))
	must(t, f.Close(t.Context(), p.Number, ""))
	push(t, r, gitrepo.Update{Ref: "refs/heads/" + branch, Old: p.Head})
	if err := f.Reopen(t.Context(), p.Number); err == nil {
		t.Error("opened again")
	}
	refs, err := r.Refs(local.RefPrefix)
	must(t, err)
	if len(refs) != 1 || get(t, f, p.Number).Open {
		t.Errorf("records %v", refs)
	}
}
