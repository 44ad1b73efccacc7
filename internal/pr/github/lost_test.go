package github

import (
	"net/http"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

// What was known of a pull request before an answer was lost is not believed after it.
func TestALostAnswerAfterALookLeadsToNoSecondOne(t *testing.T) {
	g := newGround(t)
	lost := &tap{}
	f := g.as(t, g.User("bot"), tapped(lost))
	p := g.propose(t, f, "web")
	g.pass(time.Minute)
	listed(t, f)
	for what, do := range map[string]func() error{
		"comment": func() error { return f.Comment(t.Context(), p.Number, pr.Comment{Key: "new", Body: "text"}) },
		"status": func() error {
			return f.SetStatus(t.Context(), p.Number, pr.Check{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "ok", Commit: p.Head})
		},
	} {
		before := lost.writes.Load()
		lost.lose.Store(1)
		if err := do(); err == nil {
			t.Errorf("%s: no error", what)
		}
		lost.lose.Store(0)
		if err := do(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := lost.writes.Load() - before; n != 1 {
			t.Errorf("%s: %d writes", what, n)
		}
	}
	if got, err := f.Get(t.Context(), p.Number); err != nil || len(got.Comments) != 2 {
		t.Errorf("comments %+v, %v", got.Comments, err)
	}
}

// More changes than a page holds, and the second page fails at first: the same first page again is news.
func TestChangesBeyondAPageAreReadAlsoAfterAFailure(t *testing.T) {
	const many = 130
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	f, ann := g.as(t, g.User("bot")), g.as(t, g.User("ann"))
	if err := g.repo.ManyPulls("bot", "towpath/many/", "main", many, false); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Hour)
	listed(t, f)
	g.pass(refreshAfter / 2) // else all details would be read again anyway
	for n := range many {
		if err := ann.Comment(t.Context(), n+1, pr.Comment{Body: "/hold"}); err != nil {
			t.Fatal(err)
		}
	}
	g.pass(time.Second)
	g.Inject(fakegithub.Fault{Method: http.MethodGet, Path: "/repos/acme/config/pulls", Skip: 1, Times: 1, Status: http.StatusBadGateway})
	if _, err := f.List(t.Context(), "main"); err == nil {
		t.Error("no error")
	}
	for number, p := range listed(t, f) {
		if len(p.Comments) != 1 {
			t.Errorf("pull request %d: comments %+v", number, p.Comments)
		}
	}
}
