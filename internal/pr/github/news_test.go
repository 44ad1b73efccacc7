package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

// Minutes may lie between a look and the merge that follows from it.
func TestWhatChangedSinceItWasLookedAtIsNotMerged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *ground, ann, eve *Forge, p pr.Pull) error
		want   string
	}{
		"held": {func(_ *ground, ann, _ *Forge, p pr.Pull) error {
			return ann.SetLabel(context.Background(), p.Number, pr.LabelHold, true)
		}, "somebody holds it"},
		"its approval dismissed": {func(_ *ground, ann, _ *Forge, p pr.Pull) error {
			return dismiss(context.Background(), ann, p.Number, "ann")
		}, "its reviews changed"},
		"changes requested": {func(_ *ground, _, eve *Forge, p pr.Pull) error {
			return eve.Review(context.Background(), p.Number, pr.Review{State: pr.ChangesRequested, Body: "no"})
		}, "its reviews changed"},
		"whoever approved may not write any more": {func(g *ground, _, _ *Forge, _ pr.Pull) error {
			g.repo.Collaborator("ann", "read")
			return nil
		}, "its reviews changed"},
		"a comment came": {func(_ *ground, _, eve *Forge, p pr.Pull) error {
			return eve.Comment(context.Background(), p.Number, pr.Comment{Body: "/hold"})
		}, "somebody commented"},
		"onto another base": {func(_ *ground, ann, _ *Forge, p pr.Pull) error {
			_, err := ann.do(context.Background(), http.MethodPatch, ann.repoPath("pulls/%d", p.Number), map[string]any{"base": "release"}, nil)
			return err
		}, "its base is release now, not main"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.repo.Collaborator("ann", "write")
			g.repo.Collaborator("eve", "write")
			g.commit(t, "release", "x", "y")
			f, ann, eve := g.as(t, g.User("bot"), tapped(&tap{})), g.as(t, g.User("ann")), g.as(t, g.User("eve"))
			p := g.propose(t, f, "web")
			g.review(t, ann, p.Number, pr.Approved)
			g.pass(time.Minute)
			listed(t, f)
			g.pass(time.Minute)
			if err := c.change(g, ann, eve, p); err != nil {
				t.Fatal(err)
			}
			m := pr.MergeRequest{Number: p.Number, Head: p.Head, Base: "main", Message: "m\n"}
			if commit, err := f.Merge(t.Context(), m); !errors.Is(err, pr.ErrHeadMoved) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("merged as %q, %v; want %q", commit, err, c.want)
			}
			if strings.HasPrefix(c.want, "its base") {
				return
			}
			// Once it is looked at again, with what changed, that is no reason any more.
			g.pass(time.Minute)
			listed(t, f)
			if _, err := f.Merge(t.Context(), m); (err != nil) != (name == "held") {
				t.Errorf("looked at again: %v", err)
			}
		})
	}
}

// Our own words between the look and the merge are no news.
func TestOurOwnCommentsKeepNobodyFromMerging(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	p := g.propose(t, f, "web")
	g.pass(time.Minute)
	listed(t, f)
	g.pass(time.Minute)
	for _, body := range []string{"all pass", "merging"} {
		if err := f.Comment(t.Context(), p.Number, pr.Comment{Key: body, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Base: "main", Message: "m\n"}); err != nil {
		t.Error(err)
	}
}

// A right to bypass is not used by chance: while GitHub does not know yet, and in states of which we do not.
func TestWithoutBypassOnlyWhatEverybodyMayMergeIsMerged(t *testing.T) {
	for _, state := range []string{"unknown", "", "blocked", "behind", "something new"} {
		t.Run(state, func(t *testing.T) {
			g := newGround(t)
			cfg, app := g.app(t, allPermissions())
			g.repo.Change(func(r *fakegithub.Repo) {
				r.Rulesets = append(r.Rulesets, &fakegithub.Ruleset{Name: "main", Branches: []string{"main"},
					Bypass:      []fakegithub.BypassActor{{Type: "Integration", ID: app.ID}},
					PullRequest: &fakegithub.ReviewRule{Approvals: 2}})
			})
			said := &tap{spoil: func(r *http.Request, resp *http.Response) {
				if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/pulls/1") || resp.StatusCode != http.StatusOK {
					return
				}
				var v map[string]any
				if err := errors.Join(readWhole(resp), json.Unmarshal(bodyOf(resp), &v)); err != nil {
					t.Error(err)
				}
				v["mergeable"], v["mergeable_state"] = true, state
				body, _ := json.Marshal(v)
				setBody(resp, body)
				resp.Header.Del("ETag")
			}}
			f := g.asApp(t, cfg, tapped(said))
			p := g.propose(t, f, "web")
			before := f.Figures().Mutations
			if c, err := f.Merge(t.Context(), pr.MergeRequest{Number: p.Number, Head: p.Head, Message: "m\n"}); !errors.Is(err, pr.ErrNotReady) {
				t.Errorf("merged as %q, %v", c, err)
			}
			if n := f.Figures().Mutations - before; n != 0 {
				t.Errorf("%d writes", n)
			}
		})
	}
}

// A rule may want the check of our App, so the same words of somebody else do not stand for ours.
func TestTheSameStatusOfSomebodyElseIsNotOurs(t *testing.T) {
	for name, look := range map[string]bool{"after a look": true, "without one": false} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.repo.Collaborator("eve", "write")
			cfg, _ := g.app(t, allPermissions())
			f, eve := g.asApp(t, cfg), g.as(t, g.User("eve"))
			head := g.commit(t, "towpath/prod/web", "prod/web.yaml", "image: web:2\n")
			p, err := eve.Ensure(t.Context(), pr.Request{Branch: "towpath/prod/web", Base: "main", Head: head, Title: "t", Body: "b"})
			if err != nil {
				t.Fatal(err)
			}
			c := pr.Check{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "all gates pass", Commit: head}
			if err := eve.SetStatus(t.Context(), p.Number, c); err != nil {
				t.Fatal(err)
			}
			g.pass(time.Minute)
			if look {
				listed(t, f)
			}
			for range 2 {
				if err := f.SetStatus(t.Context(), p.Number, c); err != nil {
					t.Fatal(err)
				}
			}
			if n := f.Figures().Mutations; n != 1 {
				t.Errorf("%d writes, want ours once", n)
			}
			if got, err := f.Get(t.Context(), p.Number); err != nil || len(got.Checks) != 1 || got.Checks[0].App != "towpath" {
				t.Errorf("checks %+v, %v", got.Checks, err)
			}
		})
	}
}

func (g *ground) keyed(t *testing.T, key string) (all []pr.Comment) {
	t.Helper()
	p, err := g.as(t, g.User("bot")).Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Comments {
		if c.Key == key {
			all = append(all, c)
		}
	}
	return all
}

func TestManyWhoWriteOneCommentAtOnceWriteOne(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	p := g.propose(t, f, "web")
	g.pass(time.Minute)
	listed(t, f)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := f.Comment(t.Context(), p.Number, pr.Comment{Key: "k", Body: "same"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := g.keyed(t, "k"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// Two bots at once, as in a rolling update, may write two comments; one of them stays.
func TestSecondCommentsOfAKeyAreDeleted(t *testing.T) {
	for name, c := range map[string]struct {
		body  string // written in the end
		fault fakegithub.Fault
		want  int
	}{
		"with other words":             {"new", fakegithub.Fault{}, 1},
		"with the same words":          {"first", fakegithub.Fault{}, 1},
		"what cannot be deleted stays": {"new", fakegithub.Fault{Method: http.MethodDelete, Status: 403}, 2},
		"what somebody deleted":        {"new", fakegithub.Fault{Method: http.MethodDelete, LostAs: 404}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			token := g.User("bot")
			f, other := g.as(t, token), g.as(t, token)
			p := g.propose(t, f, "web")
			g.pass(time.Minute)
			listed(t, f)
			listed(t, other)
			for body, f := range map[string]*Forge{"first": f, "second": other} {
				if err := f.Comment(t.Context(), p.Number, pr.Comment{Key: "k", Body: body}); err != nil {
					t.Fatal(err)
				}
			}
			before := g.keyed(t, "k")
			g.pass(time.Minute)
			listed(t, f)
			if c.fault.Method != "" {
				g.Inject(c.fault)
			}
			if c.body == "first" {
				c.body = before[0].Body
			}
			if err := f.Comment(t.Context(), p.Number, pr.Comment{Key: "k", Body: c.body}); err != nil {
				t.Error(err)
			}
			g.Heal()
			got := g.keyed(t, "k")
			if len(before) != 2 || len(got) != c.want || got[0].ID != before[0].ID || got[0].Body != c.body {
				t.Errorf("before %+v, now %+v", before, got)
			}
		})
	}
}

func TestOpenSaysThatTheRepositoryIsNotThere(t *testing.T) {
	g := newGround(t)
	c, token := g.config(), g.User("bot")
	c.Repo, c.Token = "acme/nowhere", func(context.Context) (string, error) { return token, nil }
	if _, err := Open(t.Context(), c); !errors.Is(err, pr.ErrNotFound) || !strings.Contains(err.Error(), "repository acme/nowhere at GitHub: it is not there, or bot may not read it") {
		t.Errorf("%v", err)
	}
}

// renamed is a GitHub that answers as it does for a repository whose owner has another name now.
type renamed struct {
	*httptest.Server
	now               string // owner/name
	redirects, listed int
}

func newRenamed(t *testing.T, now string) *renamed {
	t.Helper()
	s := &renamed{now: now}
	pull := fmt.Sprintf(`{"number":1,"state":"open","title":"t","body":"b","head":{"ref":"towpath/prod/web","sha":"1","repo":{"full_name":%q}},"base":{"ref":"main","repo":{"full_name":%[1]q}}}`, now)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		owner, _, _ := strings.Cut(s.now, "/")
		path, direct := strings.CutPrefix(r.URL.Path, "/repos/"+s.now)
		if !direct {
			path, direct = strings.CutPrefix(r.URL.Path, "/repositories/1")
		}
		switch {
		case r.URL.Path == "/user":
			fmt.Fprint(w, `{"login":"bot"}`)
		case !direct:
			s.redirects++
			w.Header().Set("Location", s.URL+"/repositories/1"+strings.TrimPrefix(r.URL.RequestURI(), "/repos/acme/config"))
			w.WriteHeader(map[bool]int{true: 301, false: 307}[r.Method == http.MethodGet])
		case path == "":
			fmt.Fprintf(w, `{"full_name":%q}`, s.now)
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"message":"Validation Failed","errors":[{"message":"A pull request already exists for %s:towpath/prod/web."}]}`, owner)
		case r.URL.Query().Get("head") == "" || strings.HasPrefix(r.URL.Query().Get("head"), owner+":"):
			s.listed++
			fmt.Fprint(w, "["+pull+"]")
		default:
			fmt.Fprint(w, `[]`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestARepositoryThatHasAnotherNameNowIsFollowed(t *testing.T) {
	for name, before := range map[string]bool{"since before the start": true, "since the start": false} {
		t.Run(name, func(t *testing.T) {
			s := newRenamed(t, "new-org/config")
			if !before {
				s.now = "acme/config"
			}
			f, err := Open(t.Context(), Config{URL: "https://github.com", API: s.URL, Repo: "acme/config", Pace: time.Nanosecond, Floor: -1,
				Token: func(context.Context) (string, error) { return "token", nil }})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Disconnect()
			s.now, s.redirects = "new-org/config", 0
			p, err := f.Ensure(t.Context(), pr.Request{Branch: "towpath/prod/web", Base: "main", Title: "t", Body: "b"})
			if err != nil || p.Number != 1 || s.listed == 0 {
				t.Errorf("%+v, %v", p, err)
			}
			if before && s.redirects != 0 {
				t.Errorf("%d redirects", s.redirects)
			}
		})
	}
}
