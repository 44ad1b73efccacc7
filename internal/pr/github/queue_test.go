package github

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

// proposed is a pull request of ann's that we are to hand over.
func (g *ground) proposed(t *testing.T, f *Forge) handover {
	t.Helper()
	g.repo.Collaborator("ann", "write")
	head := g.commit(t, "bump", "apps/web.yaml", "image: web:1.1.0\n")
	ann := g.as(t, g.User("ann"))
	var made struct {
		Number int    `json:"number"`
		NodeID string `json:"node_id"`
	}
	if _, err := ann.do(t.Context(), http.MethodPost, ann.repoPath("pulls"), map[string]any{"title": "web 1.1.0", "head": "bump", "base": "main"}, &made); err != nil {
		t.Fatal(err)
	}
	g.Reset()
	return handover{number: made.Number, node: made.NodeID, base: "main", head: head, method: pr.Squash, headline: "web 1.1.0", body: "why", blocked: true}
}

func (g *ground) status(t *testing.T, f *Forge, sha, context string) {
	t.Helper()
	if _, err := f.do(t.Context(), http.MethodPost, f.repoPath("statuses/%s", sha), map[string]any{"state": "success", "context": context}, nil); err != nil {
		t.Fatal(err)
	}
}

func (g *ground) rules(sets ...*fakegithub.Ruleset) {
	for _, rs := range sets {
		if rs.Branches == nil {
			rs.Name, rs.Branches = "main", []string{"main"}
		}
	}
	g.repo.Change(func(r *fakegithub.Repo) { r.Rulesets = sets })
}

func gates() []fakegithub.Check { return []fakegithub.Check{{Context: pr.StatusContext}} }

func TestAPullRequestJoinsTheMergeQueueOnce(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	h := g.proposed(t, f)
	g.rules(&fakegithub.Ruleset{Checks: gates(), Queue: &fakegithub.QueueRule{Method: "SQUASH"}})

	if err := f.enqueue(t.Context(), h); !errors.Is(err, pr.ErrNotReady) || !strings.Contains(err.Error(), pr.StatusContext) {
		t.Errorf("without its check: %v, want ErrNotReady and why", err)
	}
	g.status(t, f, h.head, pr.StatusContext)
	stale := h
	stale.head = strings.Repeat("1", 40)
	if err := f.enqueue(t.Context(), stale); !errors.Is(err, pr.ErrHeadMoved) {
		t.Errorf("for another head: %v, want ErrHeadMoved", err)
	}
	g.Reset()
	for i, requests := range []int{2, 1} {
		g.Reset()
		if err := f.enqueue(t.Context(), h); !errors.Is(err, pr.ErrQueued) {
			t.Fatalf("%d: %v, want ErrQueued", i, err)
		}
		if n := len(g.Requests()); n != requests {
			t.Errorf("%d: %d requests, want %d", i, n, requests)
		}
	}
	if err := f.Unqueue(t.Context(), h.number); err != nil {
		t.Fatal(err)
	}
	s, err := f.standing(t.Context(), h.number, "main")
	if err != nil || s.waits {
		t.Errorf("after Unqueue it waits: %v, %v", s.waits, err)
	}
	g.Reset()
	if err := f.Unqueue(t.Context(), h.number); err != nil || len(g.Requests()) != 1 {
		t.Errorf("Unqueue again: %v, %v", err, g.sent())
	}
}

func TestALostAnswerOfTheQueueIsFoundOut(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	h := g.proposed(t, f)
	g.rules(&fakegithub.Ruleset{Queue: &fakegithub.QueueRule{}, Checks: gates()})
	g.status(t, f, h.head, pr.StatusContext)
	g.Inject(fakegithub.Fault{Path: "/graphql", Skip: 1, Times: 1, Lost: true})
	if err := f.enqueue(t.Context(), h); err == nil || errors.Is(err, pr.ErrQueued) {
		t.Fatalf("the answer was lost, and we got %v", err)
	}
	if err := f.enqueue(t.Context(), h); !errors.Is(err, pr.ErrQueued) {
		t.Errorf("asked again: %v, want ErrQueued", err)
	}
}

func TestAutoMergeIsAskedForWhereItIsSafe(t *testing.T) {
	auto := func(c *Config) { c.AutoMerge = true }
	for name, c := range map[string]struct {
		auto, blocked, allowed bool
		checks                 []fakegithub.Check
		green                  bool // before it is asked
		want                   error
	}{
		"our gates are required and pending":       {true, true, true, gates(), false, pr.ErrQueued},
		"nobody asks for it":                       {false, true, true, gates(), false, pr.ErrUnsupported},
		"the repository does not allow it":         {true, true, false, gates(), false, pr.ErrUnsupported},
		"it is not blocked":                        {true, false, true, gates(), false, pr.ErrUnsupported},
		"a later head would be merged unseen":      {true, true, true, []fakegithub.Check{{Context: "ci"}}, false, pr.ErrUnsupported},
		"GitHub finds it clean, so nothing waits":  {true, true, true, gates(), true, pr.ErrUnsupported},
		"the gates are required beside other ones": {true, true, true, append(gates(), fakegithub.Check{Context: "ci"}), true, pr.ErrQueued},
	} {
		for kind, protect := range map[string]func(g *ground){
			"ruleset": func(g *ground) { g.rules(&fakegithub.Ruleset{Checks: c.checks}) },
			"classic": func(g *ground) {
				g.repo.Change(func(r *fakegithub.Repo) { r.Protections["main"] = &fakegithub.Protection{Checks: c.checks} })
			},
		} {
			t.Run(name+", by "+kind, func(t *testing.T) {
				g := newGround(t)
				f := g.as(t, g.User("bot"), func(cfg *Config) {
					if c.auto {
						auto(cfg)
					}
				})
				h := g.proposed(t, f)
				h.blocked = c.blocked
				g.repo.Change(func(r *fakegithub.Repo) { r.Settings.AutoMerge = c.allowed })
				protect(g)
				if c.green {
					g.status(t, f, h.head, pr.StatusContext)
				}
				if err := f.enqueue(t.Context(), h); !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				s, err := f.standing(t.Context(), h.number, "main")
				if err != nil || s.asked != errors.Is(c.want, pr.ErrQueued) {
					t.Errorf("auto-merge is on: %v, %v", s.asked, err)
				}
			})
		}
	}
}

func TestAutoMergeHappensWithOurMessageAndEndsByAHold(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"), func(c *Config) { c.AutoMerge = true })
	h := g.proposed(t, f)
	g.repo.Change(func(r *fakegithub.Repo) { r.Settings.AutoMerge = true })
	g.rules(&fakegithub.Ruleset{Checks: gates()})
	ask := func() {
		t.Helper()
		if err := f.enqueue(t.Context(), h); !errors.Is(err, pr.ErrQueued) {
			t.Fatal(err)
		}
	}
	ask()
	g.Reset()
	ask() // again: nothing is written
	if n := len(g.Requests()); n != 1 {
		t.Errorf("asked again with %v", g.sent())
	}
	if err := f.Unqueue(t.Context(), h.number); err != nil {
		t.Fatal(err)
	}
	if s, err := f.standing(t.Context(), h.number, ""); err != nil || s.asked {
		t.Fatalf("still on: %v, %v", s.asked, err)
	}
	ask()
	g.status(t, f, h.head, pr.StatusContext)
	var base struct {
		Commit struct {
			Commit struct {
				Message string `json:"message"`
			} `json:"commit"`
		} `json:"commit"`
	}
	if _, err := f.do(t.Context(), http.MethodGet, f.repoPath("branches/%s", "main"), nil, &base); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("web 1.1.0\n\nwhy", base.Commit.Commit.Message); d != "" {
		t.Errorf("message of the merge: %s", d)
	}
	if err := f.enqueue(t.Context(), h); !errors.Is(err, pr.ErrUnsupported) {
		t.Errorf("of a merged one: %v", err)
	}
}

func TestGitHubsWordsOfHandingOver(t *testing.T) {
	for words, want := range map[string]error{
		"Head branch was modified. Review and try the merge again.":     pr.ErrHeadMoved,
		"Pull request is already in the queue":                          pr.ErrQueued,
		"Pull request Pull request is in clean status":                  pr.ErrUnsupported,
		"Pull request Pull request is in unstable status":               pr.ErrUnsupported,
		"Auto merge is not allowed for this repository":                 pr.ErrUnsupported,
		"Pull request Pull request is in dirty status":                  pr.ErrConflict,
		"Merge method squash merging is not allowed on this repository": pr.ErrMethod,
		"Something that nobody has said before":                         pr.ErrNotReady,
	} {
		if err := handoverError(&graphqlError{kinds: []string{"UNPROCESSABLE"}, messages: []string{words}}); !errors.Is(err, want) {
			t.Errorf("%q is %v, want %v", words, err, want)
		}
	}
	limit := &pr.LimitError{What: "x"}
	if err := handoverError(limit); !errors.Is(err, limit) {
		t.Errorf("a limit became %v", err)
	}
	if err := handoverError(context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context became %v", err)
	}
	if err := handoverError(&graphqlError{kinds: []string{"FORBIDDEN"}, messages: []string{"no"}}); !errors.Is(err, pr.ErrForbidden) {
		t.Errorf("a missing right became %v", err)
	}
}
