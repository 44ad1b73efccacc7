package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

// carry proposes and merges one change, as ticks do: each call is made again while it fails.
func (g *ground) carry(t *testing.T, f *Forge) (commit string) {
	t.Helper()
	ctx, branch := t.Context(), "towpath/prod/web"
	head := g.commit(t, branch, "prod/web.yaml", "image: web:2\n")
	again := func(what string, do func() error) {
		t.Helper()
		var err error
		for range 8 {
			if err = do(); err == nil {
				return
			}
			g.tells(t, what, err)
			g.pass(time.Hour + time.Minute) // limits end
		}
		t.Fatalf("%s: %v", what, err)
	}
	var p pr.Pull
	again("list", func() error { _, err := f.List(ctx, "main"); return err })
	again("ensure", func() (err error) {
		p, err = f.Ensure(ctx, pr.Request{Branch: branch, Base: "main", Head: head, Title: "web", Body: "text", Labels: []string{pr.LabelPromo}})
		return err
	})
	again("status", func() error {
		return f.SetStatus(ctx, p.Number, pr.Check{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "ok", Commit: head})
	})
	again("comment", func() error { return f.Comment(ctx, p.Number, pr.Comment{Key: "gates", Body: "all pass"}) })
	again("list", func() error { _, err := f.List(ctx, "main"); return err })
	again("merge", func() (err error) {
		commit, err = f.Merge(ctx, pr.MergeRequest{Number: p.Number, Head: head, Message: "web\n"})
		return err
	})
	return commit
}

// tells fails the test where an error is of more than one line, or says nothing of what was done.
func (g *ground) tells(t *testing.T, what string, err error) {
	t.Helper()
	if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, "ghp_") || len(text) > 500 {
		t.Errorf("%s: %q", what, text)
	}
}

// once fails the test unless there is one of all things, and the base holds the change once.
func (g *ground) once(t *testing.T, commit string) {
	t.Helper()
	g.pass(2 * time.Hour) // limits end
	f := g.as(t, g.User("bot"))
	all, err := f.List(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 {
		t.Fatalf("%d pull requests: %+v", len(all), all)
	}
	p, err := f.Get(t.Context(), all[0].Number)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Merged || p.MergeCommit != commit || len(p.Comments) != 1 || !p.HasLabel(pr.LabelPromo) {
		t.Errorf("in the end: %+v", p)
	}
	var statuses []struct{ Context string }
	if _, err := f.do(t.Context(), http.MethodGet, f.repoPath("commits/%s/statuses", p.Head), nil, &statuses); err != nil || len(statuses) != 1 {
		t.Errorf("%d statuses, %v", len(statuses), err)
	}
}

// Whichever request goes wrong, and however, in the end there is one pull request, one comment, one status
// and one merge.
func TestWhicheverRequestFailsAllIsDoneOnce(t *testing.T) {
	const requests = 12
	for name, fault := range map[string]fakegithub.Fault{
		"the answer is lost":             {Lost: true},
		"a front server answers instead": {LostAs: 502},
		"the connection ends":            {Cut: true},
		"503":                            {Status: 503},
		"too much at once":               {Secondary: time.Minute},
		"the hour is used up":            {Primary: true},
	} {
		t.Run(name, func(t *testing.T) {
			for skip := range requests {
				g := newGround(t)
				f := g.as(t, g.User("bot"), tapped(&tap{}))
				fault.Skip, fault.Times = skip, 1
				g.Inject(fault)
				commit := g.carry(t, f)
				g.Heal()
				g.once(t, commit)
				if t.Failed() {
					t.Fatalf("request %d, counted from 0", skip)
				}
			}
		})
	}
}

// Every answer is cut in the middle once.
func TestCutAnswersAreErrorsAndAllIsDoneOnce(t *testing.T) {
	for n := range 12 {
		g := newGround(t)
		var mu sync.Mutex
		seen := 0
		f := g.as(t, g.User("bot"), func(c *Config) {
			c.around = func(next http.RoundTripper) http.RoundTripper {
				return roundTripper(func(r *http.Request) (*http.Response, error) {
					resp, err := next.RoundTrip(r)
					mu.Lock()
					defer mu.Unlock()
					if seen++; err == nil && seen == n+3 { // Open are the first two
						if err := readWhole(resp); err != nil {
							return nil, err
						}
						body := bodyOf(resp)
						setBody(resp, body[:len(body)/2])
					}
					return resp, err
				})
			}
			c.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
		})
		commit := g.carry(t, f)
		g.once(t, commit)
		if t.Failed() {
			t.Fatalf("request %d", n)
		}
	}
}

func TestASlowGitHubEndsWithTheContext(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	g.Inject(fakegithub.Fault{Latency: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.List(ctx, "main"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// The contract can fail: where a field that GitHub always sends is missing, it says so.
func TestAnAnswerThatGitHubWouldNeverGiveIsReported(t *testing.T) {
	contract, err := groundContract()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, field, want string }{
		"REST":    {"/repos/acme/config/pulls", "updated_at", "GET /repos/{owner}/{repo}/pulls: body /0"},
		"GraphQL": {"/graphql", "isInMergeQueue", "POST /graphql: body /data/repository/pull1/isInMergeQueue: was asked for and is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var found []string
			spoilt := contract.Reporting(func(b fakegithub.Breach) {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, b.String())
			})
			g := newGround(t)
			f := g.as(t, g.User("bot"), func(cfg *Config) {
				cfg.around = func(next http.RoundTripper) http.RoundTripper {
					return spoilt.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
						resp, err := next.RoundTrip(r)
						if err == nil && r.URL.Path == c.path && !writes(r) {
							err = without(resp, c.field)
						}
						return resp, err
					}))
				}
			})
			g.propose(t, f, "web")
			_, _ = f.List(t.Context(), "main") // whatever becomes of it
			mu.Lock()
			defer mu.Unlock()
			all := strings.Join(found, "\n")
			if !strings.Contains(all, c.want) {
				t.Errorf("the contract reports %q, want %q", all, c.want)
			}
			if strings.Contains(all, "request of") {
				t.Errorf("requests are reported: %s", all)
			}
		})
	}
}

// without takes a field out of an answer wherever it is.
func without(resp *http.Response, field string) error {
	if err := readWhole(resp); err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(bodyOf(resp), &v); err != nil {
		return err
	}
	var drop func(v any)
	drop = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, field)
			for _, in := range v {
				drop(in)
			}
		case []any:
			for _, in := range v {
				drop(in)
			}
		}
	}
	drop(v)
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	setBody(resp, body)
	return nil
}

func TestABotIsCalledTheSameEverywhere(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	f := g.asApp(t, c, tapped(&tap{}))
	p := g.propose(t, f, "web")
	got := listed(t, f)[p.Number]
	if f.User() != "towpath[bot]" || got.Author != f.User() || got.Comments[0].User != f.User() || got.Comments[0].Key != "gates" {
		t.Errorf("we are %q; %+v", f.User(), got)
	}
	if got.Checks[0].App != "towpath" {
		t.Errorf("checks %+v", got.Checks)
	}
	if err := f.Close(t.Context(), p.Number, ""); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Minute)
	for what, f := range map[string]*Forge{"followed": f, "after a restart": g.asApp(t, c)} {
		if got := listed(t, f)[p.Number]; got.ClosedBy != "towpath[bot]" {
			t.Errorf("%s: closed by %q", what, got.ClosedBy)
		}
	}
}

func TestATokenThatEndsBeforeItsTimeIsMintedAnew(t *testing.T) {
	g := newGround(t)
	c, _ := g.app(t, allPermissions())
	f := g.asApp(t, c, tapped(&tap{}))
	token, err := f.cfg.App.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.Revoke(token)
	p := g.propose(t, f, "web")
	if len(listed(t, f)[p.Number].Comments) != 1 {
		t.Error("the comment is missing")
	}
}

func TestWhatAMergeWaitsForIsNamed(t *testing.T) {
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	f, ann := g.as(t, g.User("bot"), tapped(&tap{})), g.as(t, g.User("ann"))
	p := g.propose(t, f, "web")
	g.repo.Change(func(r *fakegithub.Repo) {
		r.Protections["main"] = &fakegithub.Protection{
			Reviews: &fakegithub.ReviewRule{Approvals: 1}, Checks: []fakegithub.Check{{Context: "ci/build"}, {Context: "ci/slow"}, {Context: "ci/new"}}, EnforceAdmins: true,
		}
	})
	for context, state := range map[string]pr.CheckState{"ci/build": pr.CheckFailure, "ci/slow": pr.CheckPending, "ci/other": pr.CheckFailure} {
		if err := ann.SetStatus(t.Context(), p.Number, pr.Check{Context: context, State: state, Commit: p.Head}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "m\n"})
	if !errors.Is(err, pr.ErrNotReady) {
		t.Fatalf("%v, want pr.ErrNotReady", err)
	}
	for _, want := range []string{"an approving review is required", "the required check ci/build has failed", "the required check ci/slow is pending", "the required check ci/new has not reported"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "ci/other") {
		t.Errorf("%q names a check that is not required", err)
	}
	if n := f.Figures().Mutations; n != 4 {
		t.Errorf("%d writes, the merge was tried", n-4)
	}
	// With the right to go past the rules, which we have not, GitHub is asked and says no.
	if _, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "m\n", Bypass: true}); !errors.Is(err, pr.ErrNotReady) {
		t.Errorf("%v, want pr.ErrNotReady", err)
	}
	if n := f.Figures().Mutations; n != 5 {
		t.Errorf("%d writes, want the merge to be tried", n-4)
	}
}

func TestRefusalsOfAMergeAreToldApart(t *testing.T) {
	for _, c := range []struct {
		status int
		words  string
		want   error
	}{
		{405, "Base branch was modified. Review and try the merge again.", pr.ErrBaseMoved},
		{409, "Base branch was modified. Review and try the merge again.", pr.ErrBaseMoved},
		{409, "Head branch was modified. Review and try the merge again.", pr.ErrHeadMoved},
		{405, "Pull Request is not mergeable", pr.ErrNotReady},
		{405, "Squash merges are not allowed on this repository.", pr.ErrMethod},
		{405, "Merge commits are not allowed on this repository.", pr.ErrMethod},
		{405, "At least 1 approving review is required by reviewers with write access.", pr.ErrNotReady},
		{405, "Required status check \"ci\" is expected.", pr.ErrNotReady},
		{405, "You're not authorized to push to this branch.", pr.ErrForbidden},
		{405, "This branch can't be rebased", pr.ErrConflict},
		{405, "Repository rule violations found\n\nChanges must be made through the merge queue", pr.ErrNotReady},
		{403, "Resource not accessible by integration", pr.ErrForbidden},
		{404, "Not Found", pr.ErrNotFound},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.words), func(t *testing.T) {
			g := newGround(t)
			f := g.as(t, g.User("bot"), tapped(&tap{}))
			p := g.propose(t, f, "web")
			g.Inject(fakegithub.Fault{Method: http.MethodPut, Status: c.status, Message: c.words})
			_, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "m\n", Method: pr.Squash})
			if !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestTheMethodIsTheFirstThatIsAllowed(t *testing.T) {
	g := newGround(t)
	g.repo.Change(func(r *fakegithub.Repo) { r.Settings.NoSquash = true })
	f := g.as(t, g.User("bot"), tapped(&tap{}))
	for i, app := range []string{"web", "db"} {
		p := g.propose(t, f, app)
		g.Reset()
		if _, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "m\n"}); err != nil {
			t.Fatal(err)
		}
		tries := strings.Count(strings.Join(g.seen(), "\n"), "PUT ")
		if want := 2 - i; tries != want {
			t.Errorf("%s: %d tries, want %d", app, tries, want)
		}
	}
}
