package github

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
)

// listed fails the test on an error.
func listed(t *testing.T, f *Forge) map[int]pr.Pull {
	t.Helper()
	all, err := f.List(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	by := map[int]pr.Pull{}
	for _, p := range all {
		by[p.Number] = p
	}
	return by
}

func (g *ground) wantSeen(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := g.seen(); !slices.Equal(got, want) {
		t.Errorf("%s: %d requests, want %d:\n%s", what, len(got), len(want), strings.Join(got, "\n"))
	}
	g.Reset()
}

// propose does what a tick does for a new proposal.
func (g *ground) propose(t *testing.T, f *Forge, app string) pr.Pull {
	t.Helper()
	ctx, branch := t.Context(), "towpath/prod/"+app
	head := g.commit(t, branch, "prod/"+app+".yaml", "image: "+app+":2\n")
	p, err := f.Ensure(ctx, pr.Request{Branch: branch, Base: "main", Head: head, Title: app, Body: "text", Labels: []string{pr.LabelPromo}})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SetStatus(ctx, p.Number, pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: "waits", Commit: head}); err != nil {
		t.Fatal(err)
	}
	if err := f.Comment(ctx, p.Number, pr.Comment{Key: "gates", Body: "waits"}); err != nil {
		t.Fatal(err)
	}
	return p
}

const listRequest = "GET /pulls"

func TestAnIdleLookIsOneRequestThatGitHubDoesNotCount(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	listed(t, f)
	g.propose(t, f, "web")
	g.pass(time.Minute)
	listed(t, f)
	g.Reset()
	for range 3 {
		g.pass(time.Minute)
		listed(t, f)
		g.wantSeen(t, "idle", listRequest+" (free)")
	}
}

func TestAProposalCostsSixRequestsUntilAllIsIdleAgain(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	listed(t, f)
	g.pass(time.Minute)
	g.Reset()
	p := g.propose(t, f, "web")
	g.pass(time.Minute)
	got := listed(t, f)[p.Number]
	if len(got.Comments) != 1 || len(got.Checks) != 1 || !got.HasLabel(pr.LabelPromo) {
		t.Errorf("listed as %+v", got)
	}
	g.wantSeen(t, "a proposal", "POST /pulls", "POST /issues/1/labels", "POST /statuses/"+p.Head, "POST /issues/1/comments", listRequest, "POST /graphql")
	g.pass(time.Minute)
	listed(t, f)
	g.wantSeen(t, "idle", listRequest+" (free)")
}

func TestFortyProposalsAreReadWithTwoQueries(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	listed(t, f)
	const apps = 40
	for i := range apps {
		g.propose(t, f, fmt.Sprintf("app%d", i))
	}
	mutations := f.Figures().Mutations
	if mutations != 4*apps {
		t.Errorf("%d writes of %d proposals, want 4 of each", mutations, apps)
	}
	g.pass(time.Minute)
	g.Reset()
	if n := len(listed(t, f)); n != apps {
		t.Errorf("%d are listed", n)
	}
	g.wantSeen(t, "all of them", listRequest, "POST /graphql", "POST /graphql")
	g.pass(time.Minute)
	listed(t, f)
	g.wantSeen(t, "idle", listRequest+" (free)")
}

func TestAnApprovalIsReadWithTwoRequestsAndAMergeTakesThree(t *testing.T) {
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	f, ann := g.as(t, g.User("bot")), g.as(t, g.User("ann"))
	p := g.propose(t, f, "web")
	g.pass(time.Minute)
	listed(t, f)
	if err := ann.Review(t.Context(), p.Number, pr.Review{State: pr.Approved}); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	g.Reset()
	if got := listed(t, f)[p.Number]; len(got.Reviews) != 1 {
		t.Errorf("reviews %+v", got.Reviews)
	}
	g.wantSeen(t, "an approval", listRequest, "POST /graphql")
	if _, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "m\n"}); err != nil {
		t.Fatal(err)
	}
	g.wantSeen(t, "a merge", "GET /pulls/1", "POST /graphql", "PUT /pulls/1/merge")
	g.pass(time.Minute)
	if got := listed(t, f)[p.Number]; !got.Merged || got.ClosedBy != "bot" {
		t.Errorf("listed as %+v", got)
	}
	g.pass(time.Minute)
	g.Reset()
	listed(t, f)
	g.wantSeen(t, "idle", listRequest+" (free)")
}

func TestWhatHappensInTheSecondOfALookIsReadWithTheNext(t *testing.T) {
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	f, ann := g.as(t, g.User("bot")), g.as(t, g.User("ann"))
	p := g.propose(t, f, "web")
	listed(t, f) // in the same second as the last change
	if err := ann.Comment(t.Context(), p.Number, pr.Comment{Body: "/hold"}); err != nil {
		t.Fatal(err)
	}
	listed(t, f)
	g.pass(time.Second)
	g.Reset()
	if got := listed(t, f)[p.Number]; len(got.Comments) != 2 {
		t.Errorf("comments %+v", got.Comments)
	}
	g.wantSeen(t, "once more", listRequest+" (free)", "POST /graphql")
	g.pass(time.Second)
	listed(t, f)
	g.wantSeen(t, "idle", listRequest+" (free)")
}

func TestWhatNoListShowsIsReadAfterTenMinutes(t *testing.T) {
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	f, ann := g.as(t, g.User("bot")), g.as(t, g.User("ann"))
	p := g.propose(t, f, "web")
	if err := ann.Review(t.Context(), p.Number, pr.Review{State: pr.Approved}); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	listed(t, f)
	if err := dismiss(t.Context(), ann, p.Number, "ann"); err != nil { // the fake does not touch updated_at then
		t.Fatal(err)
	}
	g.pass(refreshAfter)
	if got := listed(t, f)[p.Number]; len(got.Reviews) != 1 || got.Reviews[0].State != pr.Dismissed {
		t.Errorf("reviews %+v", got.Reviews)
	}
}

func TestAPullRequestWhoseBaseChangedIsListedNoMore(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	p := g.propose(t, f, "web")
	g.commit(t, "release", "r", "r\n")
	listed(t, f)
	g.pass(time.Minute)
	if _, err := f.do(t.Context(), "PATCH", f.repoPath("pulls/%d", p.Number), map[string]any{"base": "release"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, f); len(got) != 0 {
		t.Errorf("listed: %+v", got)
	}
	there, err := f.List(t.Context(), "release")
	if err != nil || len(there) != 1 {
		t.Errorf("onto release: %+v, %v", there, err)
	}
}

// Whatever is changed between two requests of a look is seen at the latest when all is quiet.
func TestNothingIsMissedWhateverChangesBetweenTwoRequests(t *testing.T) {
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	token := g.User("bot")
	between := &meddler{}
	f := g.as(t, token, func(c *Config) { c.around = between.around })
	ann := g.as(t, g.User("ann"))
	if err := g.repo.ManyPulls("bot", "towpath/many/", "main", 130, false); err != nil {
		t.Fatal(err)
	}
	if err := g.repo.ManyPulls("bot", "towpath/done/", "main", 30, true); err != nil {
		t.Fatal(err)
	}
	n := 0
	between.do = func() {
		n++
		number := n*7%130 + 1
		var err error
		switch n % 4 {
		case 0:
			err = ann.Comment(t.Context(), number, pr.Comment{Body: fmt.Sprint("comment ", n)})
		case 1:
			err = ann.SetLabel(t.Context(), number, fmt.Sprint("label", n), true)
		case 2:
			err = ann.Close(t.Context(), number, "")
		case 3:
			err = ann.Review(t.Context(), 131-number, pr.Review{State: "", Body: "words"})
		}
		if err != nil && !strings.Contains(err.Error(), "closed pull request") {
			t.Error(err)
		}
		if n%3 == 0 {
			g.pass(time.Second)
		}
	}
	for range 5 {
		if _, err := f.List(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
	}
	between.do = nil
	g.pass(2 * time.Second)
	listed(t, f)
	got, want := listed(t, f), listed(t, g.as(t, token))
	if n < 20 {
		t.Errorf("only %d changes were made", n)
	}
	if len(got) != len(want) {
		t.Errorf("%d are listed, want %d", len(got), len(want))
	}
	for number, w := range want {
		if d := diff(w, got[number]); d != "" {
			t.Errorf("pull request %d after %d changes (-want +got):\n%s", number, n, d)
		}
	}
}
