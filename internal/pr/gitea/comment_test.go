package gitea_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/gitea"
	"towpath.dev/towpath/test/forges"
)

// keyedTwice lets the server have two comments of the bot's of one key, as two bots leave them that begin
// at the same moment and of which one ended before it could look again.
func keyedTwice(t *testing.T, d *desk) {
	p, err := d.forge.Ensure(t.Context(), d.push(t, branch, "1"))
	must(t, err)
	var ids []int64
	for _, text := range []string{"first", "second", "third"} {
		c, _, err := d.as(t, d.people[bot]).CreateIssueComment(org, d.name, int64(p.Number), sdk.CreateIssueCommentOption{Body: pr.WithKey("gates", text)})
		must(t, err)
		ids = append(ids, c.ID)
	}
	_, _, err = d.as(t, d.people[forges.Alice]).CreateIssueComment(org, d.name, int64(p.Number), sdk.CreateIssueCommentOption{Body: pr.WithKey("gates", "of Alice")})
	must(t, err)
	d.idle(t)
	must(t, d.forge.Comment(t.Context(), p.Number, pr.Comment{Key: "gates", Body: "first"}))
	for what, f := range map[string]*gitea.Forge{"as known": d.forge, "after a restart": open(t, d.front.URL, d.repo, d.people[bot])} {
		pulls, err := f.List(t.Context(), "main")
		must(t, err)
		if c := pulls[0].Comments; len(c) != 2 || c[0].ID != ids[0] || c[0].Body != "first" || c[1].User != forges.Alice {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

// keyedAtOnce has many write the comment of a key at the same moment, through one forge and through others.
func keyedAtOnce(t *testing.T, d *desk) {
	p, err := d.forge.Ensure(t.Context(), d.push(t, branch, "1"))
	must(t, err)
	other := open(t, d.front.URL, d.repo, d.people[bot])
	for i, forges := range [][]*gitea.Forge{{d.forge, d.forge, d.forge, d.forge}, {d.forge, other, open(t, d.server.URL, d.repo, d.people[bot])}} {
		key := fmt.Sprint("key", i)
		var wg sync.WaitGroup
		for _, f := range forges {
			wg.Go(func() {
				if err := f.Comment(t.Context(), p.Number, pr.Comment{Key: key, Body: "waiting"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := other.Get(t.Context(), p.Number)
		must(t, err)
		n := 0
		for _, c := range got.Comments {
			if c.Key == key {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d at once left %d comments: %+v", len(forges), n, got.Comments)
		}
	}
}

// editedElsewhere has another bot edit the bot's comment, and somebody write over its status, for which the
// server does not date the pull request anew.
func editedElsewhere(t *testing.T, d *desk) {
	var late time.Duration
	f, err := gitea.Open(t.Context(), gitea.Config{URL: d.front.URL, Repo: d.repo, Token: token(d.people[bot]), Transport: &http.Transport{},
		Now: func() time.Time { return time.Now().Add(late) }})
	must(t, err)
	t.Cleanup(f.Disconnect)
	r := d.push(t, branch, "1")
	p, err := f.Ensure(t.Context(), r)
	must(t, err)
	must(t, f.Comment(t.Context(), p.Number, pr.Comment{Key: "gates", Body: "waiting"}))
	ours := pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: "waiting", Commit: r.Head}
	must(t, f.SetStatus(t.Context(), p.Number, ours))
	d.forge = f
	d.idle(t)
	must(t, open(t, d.server.URL, d.repo, d.people[bot]).Comment(t.Context(), p.Number, pr.Comment{Key: "gates", Body: "old"}))
	_, _, err = d.as(t, d.people[forges.Alice]).CreateStatus(org, d.name, r.Head, sdk.CreateStatusOption{State: sdk.StatusSuccess, Context: pr.StatusContext})
	must(t, err)
	d.idle(t)
	late = 10 * time.Minute
	d.front.take()
	pulls, err := f.List(t.Context(), "main")
	must(t, err)
	if asked := d.front.take(); len(asked) != 4 { // the list, reviews, comments, statuses
		t.Errorf("after ten minutes %q are asked", asked)
	}
	if c := pulls[0].Comments; len(c) != 1 || c[0].Body != "old" {
		t.Errorf("comments %+v", c)
	}
	if c := pulls[0].Checks; len(c) != 1 || c[0].State != pr.CheckSuccess || c[0].App != forges.Alice {
		t.Errorf("checks %+v", c)
	}
	must(t, f.SetStatus(t.Context(), p.Number, ours))
	must(t, f.Comment(t.Context(), p.Number, pr.Comment{Key: "gates", Body: "waiting"}))
	got, err := d.forge.Get(t.Context(), p.Number)
	must(t, err)
	if len(got.Comments) != 1 || got.Comments[0].Body != "waiting" || len(got.Checks) != 1 || !got.Checks[0].Says(ours) {
		t.Errorf("written again: %+v", got)
	}
	d.idle(t)
}

// refusedClose has somebody close who may comment, and no more.
func refusedClose(t *testing.T, d *desk) {
	p, err := d.forge.Ensure(t.Context(), d.push(t, branch, "1"))
	must(t, err)
	mallory := open(t, d.server.URL, d.repo, d.people[forges.Mallory])
	must(t, mallory.Comment(t.Context(), p.Number, pr.Comment{Body: "a thought"}))
	if err := mallory.Close(t.Context(), p.Number, "Rejected by mallory."); err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("closed by who may not: %v", err)
	}
	got, err := d.forge.Get(t.Context(), p.Number)
	must(t, err)
	if !got.Open || len(got.Comments) != 1 || got.Comments[0].Body != "a thought" {
		t.Errorf("after a refused closing: %+v", got)
	}
	// What failed for another reason is tried again, and says so once.
	d.front.setSpoil(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"message":"tired"}`))
		return true
	})
	for range 2 {
		if err := d.forge.Close(t.Context(), p.Number, "superseded"); err == nil {
			t.Error("closed by a server that is tired")
		}
	}
	d.front.setSpoil(nil)
	must(t, d.forge.Close(t.Context(), p.Number, "superseded"))
	if got, err = d.forge.Get(t.Context(), p.Number); err != nil || got.Open || len(got.Comments) != 2 {
		t.Errorf("closed at last: %+v, %v", got, err)
	}
}
