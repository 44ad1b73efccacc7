package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

// spoil edits the answers to GraphQL while it is on.
type spoil struct {
	on   atomic.Bool
	edit func(pull func(n int) map[string]any) []any // returns the errors
}

func (s *spoil) around(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		if err != nil || !s.on.Load() || !strings.HasSuffix(r.URL.Path, "/graphql") {
			return resp, err
		}
		if err := readWhole(resp); err != nil {
			return nil, err
		}
		var v map[string]any
		if err := json.Unmarshal(bodyOf(resp), &v); err != nil {
			return nil, err
		}
		repo := v["data"].(map[string]any)["repository"].(map[string]any)
		errs := s.edit(func(n int) map[string]any {
			if p, _ := repo[fmt.Sprint("pull", n)].(map[string]any); p != nil {
				return p
			}
			return repo
		})
		if errs != nil {
			v["errors"] = errs
		}
		body, err := json.Marshal(v)
		setBody(resp, body)
		return resp, err
	})
}

func (s *spoil) into(c *Config) { c.around = s.around }

func nullAt(kind string, path ...any) []any {
	return []any{map[string]any{"type": kind, "message": "Something went wrong.", "path": path}}
}

// A review, or all of a pull request, that GitHub did not get to in time must not pass for one that never was.
func TestDetailsThatAreThereInPartAreNotBelieved(t *testing.T) {
	const heavy = "RESOURCE_LIMITS_EXCEEDED"
	for name, edit := range map[string]func(pull func(int) map[string]any) []any{
		"a review is null": func(pull func(int) map[string]any) []any {
			pull(1)["reviews"].(map[string]any)["nodes"].([]any)[1] = nil
			return nullAt("", "repository", "pull1", "reviews", "nodes", 1, "authorCanPushToRepository")
		},
		"all reviews are null": func(pull func(int) map[string]any) []any {
			pull(1)["reviews"] = nil
			return nullAt("FORBIDDEN", "repository", "pull1", "reviews")
		},
		"a comment is null": func(pull func(int) map[string]any) []any {
			pull(1)["comments"].(map[string]any)["nodes"].([]any)[0] = nil
			return nullAt(heavy, "repository", "pull1", "comments", "nodes", 0)
		},
		"all of it is null": func(pull func(int) map[string]any) []any {
			pull(0)["pull1"] = nil
			return nullAt(heavy, "repository", "pull1")
		},
		"it is null without a word": func(pull func(int) map[string]any) []any {
			pull(0)["pull1"] = nil
			return nil
		},
		"GitHub says it is not there, though it is": func(pull func(int) map[string]any) []any {
			pull(0)["pull1"] = nil
			return nullAt("NOT_FOUND", "repository", "pull1")
		},
		"an error is of nothing in particular": func(func(int) map[string]any) []any { return nullAt("") },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.repo.Collaborator("ann", "write")
			g.repo.Collaborator("bob", "write")
			s := &spoil{edit: edit}
			f, ann, bob := g.as(t, g.User("bot"), s.into), g.as(t, g.User("ann")), g.as(t, g.User("bob"))
			p := g.propose(t, f, "web")
			g.review(t, ann, p.Number, pr.Approved)
			g.review(t, bob, p.Number, pr.ChangesRequested)
			g.pass(time.Minute)
			s.on.Store(true)
			if all, err := f.List(t.Context(), "main"); err == nil {
				t.Errorf("listed without an error: %+v", all)
			}
			if err := g.as(t, g.User("bot"), s.into).Comment(t.Context(), p.Number, pr.Comment{Key: "gates", Body: "changed"}); err == nil {
				t.Error("after a restart, a comment was written by what is there in part")
			}
			s.on.Store(false)
			if got := listed(t, f)[p.Number]; len(got.Reviews) != 2 || len(got.Comments) != 1 {
				t.Errorf("when all is there again: %+v", got)
			}
		})
	}
}

func (g *ground) review(t *testing.T, f *Forge, number int, state pr.ReviewState) {
	t.Helper()
	if err := f.Review(t.Context(), number, pr.Review{State: state, Body: "words"}); err != nil {
		t.Fatal(err)
	}
}

// One that is too much for GitHub does not keep the others from being read.
func TestTooMuchAtOnceIsAskedForInParts(t *testing.T) {
	g := newGround(t)
	s := &spoil{}
	f := g.as(t, g.User("bot"), s.into)
	for i := range 4 {
		g.propose(t, f, fmt.Sprint("app", i))
	}
	s.edit = func(pull func(int) map[string]any) []any {
		if repo := pull(0); len(repo) > 1 {
			repo["pull1"] = nil
			return nullAt("RESOURCE_LIMITS_EXCEEDED", "repository", "pull1")
		}
		return nil
	}
	g.pass(time.Minute)
	s.on.Store(true)
	for n, p := range listed(t, f) {
		if len(p.Comments) != 1 {
			t.Errorf("pull request %d: %+v", n, p)
		}
	}
}

// GitHub's search and GraphQL servers lag behind its lists by seconds.
func TestDetailsThatLagBehindTheListAreReadAgain(t *testing.T) {
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	g.repo.Collaborator("bob", "write")
	s := &spoil{}
	f, ann, bob := g.as(t, g.User("bot"), s.into), g.as(t, g.User("ann")), g.as(t, g.User("bob"))
	p := g.propose(t, f, "web")
	g.review(t, ann, p.Number, pr.Approved)
	g.pass(time.Minute)
	then := listed(t, f)[p.Number].Updated.Format(time.RFC3339)
	g.review(t, bob, p.Number, pr.ChangesRequested)
	g.pass(2 * time.Second)
	s.edit = func(pull func(int) map[string]any) []any {
		v := pull(1)
		if one, ok := v["pullRequest"].(map[string]any); ok {
			v = one
		}
		v["updatedAt"] = then
		reviews := v["reviews"].(map[string]any)
		reviews["nodes"] = reviews["nodes"].([]any)[:1]
		return nil
	}
	s.on.Store(true)
	if got := listed(t, f)[p.Number]; len(got.Reviews) != 1 || len(got.Comments) != 1 {
		t.Errorf("while it lags: %+v", got)
	}
	if _, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "m\n"}); err == nil {
		t.Error("merged by what lags")
	}
	s.on.Store(false)
	g.pass(2 * time.Second)
	g.Reset()
	if got := listed(t, f)[p.Number]; len(got.Reviews) != 2 {
		t.Errorf("reviews %+v", got.Reviews)
	}
	g.wantSeen(t, "once more", listRequest+" (free)", "POST /graphql")
	g.pass(2 * time.Second)
	listed(t, f)
	g.wantSeen(t, "idle", listRequest+" (free)")
}

// What differs between the two interfaces for good is no lag: it must not cost a query at each look.
func TestInterfacesThatCountDifferentlyAreBelievedAfterAWhile(t *testing.T) {
	g := newGround(t)
	s := &spoil{edit: func(pull func(int) map[string]any) []any {
		pull(1)["updatedAt"] = "2026-11-01T00:00:00Z"
		return nil
	}}
	f := g.as(t, g.User("bot"), s.into)
	g.propose(t, f, "web")
	s.on.Store(true)
	g.pass(2 * time.Second)
	listed(t, f)
	g.pass(slack)
	listed(t, f)
	g.pass(time.Second)
	g.Reset()
	listed(t, f)
	g.wantSeen(t, "idle", listRequest+" (free)")
}

// An App without Checks: read, and every fine-grained token, is not told what it may read of them either.
func TestWithoutTheRightToChecksStatusesAreReadApartAndWrittenOnce(t *testing.T) {
	rollup := []any{"repository", "pull1", "commits", "nodes", 0, "commit", "statusCheckRollup"}
	commit := func(pull func(int) map[string]any) map[string]any {
		return pull(1)["commits"].(map[string]any)["nodes"].([]any)[0].(map[string]any)["commit"].(map[string]any)
	}
	for name, edit := range map[string]func(pull func(int) map[string]any) []any{
		"none of them": func(pull func(int) map[string]any) []any {
			commit(pull)["statusCheckRollup"] = nil
			return nullAt("FORBIDDEN", rollup...)
		},
		"one of them": func(pull func(int) map[string]any) []any {
			contexts := commit(pull)["statusCheckRollup"].(map[string]any)["contexts"].(map[string]any)
			contexts["nodes"] = append([]any{nil}, contexts["nodes"].([]any)...)
			return nullAt("FORBIDDEN", append(slices.Clone(rollup), "contexts", "nodes", 0, "checkSuite")...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			s := &spoil{edit: edit}
			f := g.as(t, g.User("bot"), s.into)
			p := g.propose(t, f, "web")
			s.on.Store(true)
			c := pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: "waits", Commit: p.Head}
			for range 3 {
				g.pass(11 * time.Minute)
				got := listed(t, f)[p.Number]
				if len(got.Checks) != 1 || !got.Checks[0].Says(c) || got.Checks[0].App != "bot" {
					t.Errorf("checks %+v", got.Checks)
				}
				g.Reset()
				if err := f.SetStatus(t.Context(), p.Number, c); err != nil || len(g.sent()) != 0 {
					t.Errorf("%v, sent %v", err, g.sent())
				}
				g.pass(time.Minute)
				listed(t, f)
				g.wantSeen(t, "idle", listRequest+" (free)")
			}
		})
	}
}

// It leaves the list without being on its first page.
func TestABaseThatChangedBeyondThePageIsSeenAfterAWhile(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	p := g.propose(t, f, "web")
	g.commit(t, "other", "x", "y")
	g.pass(time.Hour)
	if err := g.repo.ManyPulls("bot", "x/", "main", 130, true); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Hour)
	listed(t, f)
	g.pass(time.Minute)
	if _, err := f.do(t.Context(), "PATCH", f.repoPath("pulls/%d", p.Number), map[string]any{"base": "other"}, nil); err != nil {
		t.Fatal(err)
	}
	g.pass(refreshAfter)
	if got, ok := listed(t, f)[p.Number]; ok {
		t.Errorf("listed onto main: %+v", got)
	}
}

// What closes while the first look reads page after page moves others onto pages that were read already.
func TestTheFirstLookMissesNothingWhenSomeCloseMeanwhile(t *testing.T) {
	g := newGround(t)
	if err := g.repo.ManyPulls("bot", "towpath/many/", "main", 130, false); err != nil {
		t.Fatal(err)
	}
	g.pass(time.Hour)
	other := g.as(t, g.User("bot"))
	n, m := 0, &meddler{}
	f := g.as(t, g.User("bot"), func(c *Config) { c.around = m.around })
	m.do = func() {
		if n++; n == 2 { // the first page of those that are open
			m.do = nil
			for i := 126; i <= 130; i++ {
				if err := other.Close(t.Context(), i, ""); err != nil {
					t.Error(err)
				}
			}
		}
	}
	have := listed(t, f)
	for i := 1; i <= 125; i++ {
		if !have[i].Open {
			t.Errorf("pull request %d is missing", i)
		}
	}
}

func TestALongListIsKeptToo(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	if err := g.repo.ManyPulls("bot", "x/", "main", 80, false); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 80; n++ {
		if _, err := f.do(t.Context(), "PATCH", f.repoPath("pulls/%d", n), map[string]any{"body": strings.Repeat("x", 64000)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	g.pass(time.Hour)
	listed(t, f)
	g.pass(time.Minute)
	g.Reset()
	listed(t, f)
	g.wantSeen(t, "idle", listRequest+" (free)")
}

func TestLimitsOfTheAppItselfAreKept(t *testing.T) {
	for name, fault := range map[string]fakegithub.Fault{"secondary": {Secondary: 24 * time.Hour}, "primary": {Primary: true}} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			cfg, _ := g.app(t, allPermissions())
			fault.Path, fault.Times = "/repos/acme/config/installation", 1
			g.Inject(fault)
			a := newApp(t, cfg)
			g.Reset()
			for range 5 {
				if _, err := a.Token(t.Context()); err == nil {
					t.Error("no error")
				}
			}
			if len(g.Requests()) != 1 {
				t.Errorf("while left alone: %v", g.sent())
			}
			g.pass(longestWait + time.Minute)
			if _, err := a.Token(t.Context()); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
