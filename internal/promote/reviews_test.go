package promote

import (
	"maps"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

func TestWhoseApprovalCounts(t *testing.T) {
	const head = "1234"
	review := func(edit func(*pr.Review)) []pr.Review {
		r := pr.Review{User: "alice", State: pr.Approved, Commit: head, At: t0, Authenticated: true, CanWrite: true}
		if edit != nil {
			edit(&r)
		}
		return []pr.Review{r}
	}
	stranger := func(r *pr.Review) { r.CanWrite = false }
	sre := map[string]Team{"sre": {Members: []string{"Alice"}}}
	for _, tt := range []struct {
		name    string
		from    []string
		reviews []pr.Review
		teams   map[string]Team
		head    BranchHead
		want    string // of the reason; "" = counts
	}{
		{"somebody with the right to write", nil, review(nil), nil, BranchHead{}, ""},
		{"a stranger, as in a public repository", nil, review(stranger), nil, BranchHead{}, "alice does not count: may not write to the repository"},
		{"a stranger whom the gate names", []string{"user:alice"}, review(stranger), nil, BranchHead{}, ""},
		{"a name in other letters", []string{"user:Alice"}, review(nil), nil, BranchHead{}, ""},
		{"somebody whom it does not name", []string{"user:bob"}, review(nil), nil, BranchHead{}, "not among user:bob"},
		{"a member of a team that it names", []string{"team:sre"}, review(stranger), sre, BranchHead{}, ""},
		{"no member", []string{"team:sre", "user:bob"}, review(nil), map[string]Team{"sre": {Members: []string{"carol"}}}, BranchHead{}, "not among team:sre, user:bob"},
		{"a team that cannot be read", []string{"team:sre"}, review(nil), map[string]Team{"sre": {Problem: "403"}}, BranchHead{}, "who is in team sre is not known: 403"},
		{"a team that nobody asked for", []string{"team:sre"}, review(nil), nil, BranchHead{}, "who is in team sre is not known"},
		{"an approval of another commit", nil, review(func(r *pr.Review) { r.Commit = "old" }), nil, BranchHead{}, "given for another commit"},
		{"the author in other letters", nil, review(func(r *pr.Review) { r.User = "TowPath" }), nil, BranchHead{}, "the author cannot approve"},
		{"who committed it", nil, review(nil), nil, BranchHead{People: []gitrepo.Identity{{Name: "x", Email: "12+Alice@users.noreply.github.com"}}}, "who committed it cannot approve"},
		{"whose name is on the commit", nil, review(nil), nil, BranchHead{People: []gitrepo.Identity{{Name: "alice", Email: "a@example.com"}}}, "who committed it cannot approve"},
		{"a dismissed approval", nil, append(review(nil), review(func(r *pr.Review) { r.State, r.At = pr.Dismissed, t0.Add(time.Second) })...), nil, BranchHead{}, "0 of 1 approvals"},
		{"changes asked for later by the same person in other letters", nil, append(review(nil), review(func(r *pr.Review) {
			r.User, r.State, r.At = "ALICE", pr.ChangesRequested, t0.Add(time.Second)
		})...), nil, BranchHead{}, "0 of 1 approvals"},
		{"a forge that proves nothing", nil, review(func(r *pr.Review) { r.Authenticated = false }), nil, BranchHead{}, "cannot prove who approved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pr.Pull{Branch: "towpath/prod/web", Head: head, Author: "towpath", Reviews: tt.reviews}
			s := Situation{Config: Rules{User: "towpath", Authenticated: true}, Teams: tt.teams, Branches: map[string]BranchHead{p.Branch: tt.head}}
			g := judgeApprovals(s, policy.Approvals{Required: 1, From: tt.from, PreventSelfReview: true}, p)
			if (g.State == Pass) != (tt.want == "") || !strings.Contains(g.Reason, tt.want) {
				t.Errorf("%s: %s, want %q", g.State, g.Reason, tt.want)
			}
		})
	}
}

func TestWhoseRequestForChangesStops(t *testing.T) {
	env := policy.Environment{Gates: policy.Gates{Approvals: &policy.Approvals{From: []string{"user:bob"}}}}
	for _, tt := range []struct {
		user  string
		write bool
		want  GateState
	}{{"alice", true, Fail}, {"mallory", false, Pass}, {"bob", false, Fail}} {
		p := pr.Pull{Reviews: []pr.Review{{User: tt.user, State: pr.ChangesRequested, Authenticated: true, CanWrite: tt.write}}}
		if g := judgeChanges(Rules{Authenticated: true}, env, p); g.State != tt.want || !strings.Contains(g.Reason, tt.user) {
			t.Errorf("%s: %+v", tt.user, g)
		}
		p.Reviews[0].Authenticated = false
		if g := judgeChanges(Rules{}, env, p); g.State != Fail {
			t.Errorf("%s at a forge that proves nothing: %+v", tt.user, g)
		}
	}
}

// waiting is a proposal for staging that every gate lets through.
func waiting(t *testing.T) Situation {
	t.Helper()
	s := shop(t, "1.1.0", "1.0.0", "1.0.0").green("dev", time.Hour).proposed(t)
	if v := theVerdict(t, s); v.Act != ActMerge {
		t.Fatalf("%+v", v)
	}
	return s
}

func theVerdict(t *testing.T, s Situation) Verdict {
	t.Helper()
	plan := Decide(s)
	if len(plan.Judged) != 1 {
		t.Fatalf("judged %d, plan %+v", len(plan.Judged), plan)
	}
	return plan.Judged[0].Verdict
}

func gateOf(v Verdict, gate string) string {
	for _, g := range v.Gates {
		if g.Gate == gate {
			return string(g.State) + ": " + g.Reason
		}
	}
	return ""
}

func TestAPullRequestOfAForkIsNeverOurs(t *testing.T) {
	s := waiting(t).pull(func(p *pr.Pull) { p.Fork = true })
	plan := Decide(s)
	if len(plan.Judged)+len(plan.Close) != 0 || len(plan.Propose) != 1 || plan.Propose[0].Pull != 0 {
		t.Errorf("%+v", plan)
	}
	if s.proved(s.Pulls[0]) {
		t.Error("its head counts as proved")
	}
	t.Run("nor is a closed one a rejection", func(t *testing.T) {
		s := s.pull(func(p *pr.Pull) { p.Open, p.ClosedBy = false, "mallory" })
		if plan := Decide(s); len(plan.Propose) != 1 {
			t.Errorf("%+v", plan.Waiting)
		}
	})
}

func TestADraftOfOursWaits(t *testing.T) {
	v := theVerdict(t, waiting(t).pull(func(p *pr.Pull) { p.Draft = true }))
	if v.Act != ActWait || !strings.HasPrefix(gateOf(v, "draft"), "pending: it is a draft") {
		t.Errorf("%+v", v)
	}
}

func TestWhatTheForgeWaitsForIsSeenButNotInOurStatus(t *testing.T) {
	s := waiting(t).pull(func(p *pr.Pull) { p.Queued = true })
	v := theVerdict(t, s)
	if v.Act != ActWait || gateOf(v, gateForge) == "" || !strings.Contains(GateComment(v), inQueue) {
		t.Errorf("%+v", v)
	}
	if c := Status(v, "h"); c.State != pr.CheckSuccess {
		t.Errorf("the status would keep the forge waiting: %+v", c)
	}
	v = theVerdict(t, s.pull(func(p *pr.Pull) { p.Labels = []string{pr.LabelHold} }))
	if c := Status(v, "h"); v.Act != ActBlocked || c.State != pr.CheckFailure {
		t.Errorf("held: %+v %+v", v, c)
	}
}

// Anybody who may push can write our name, our address and our trailers into a
// commit, and our block into a pull request: what counts is what the commit
// changes.
func TestAForgedHeadIsNeverMerged(t *testing.T) {
	other := strings.Repeat("e", 40)
	for name, forge := range map[string]func(*BranchHead){
		"another file as well": func(h *BranchHead) {
			h.Paths = append(h.Paths, "envs/prod/web/secret.yaml")
			h.Files["envs/prod/web/secret.yaml"] = other
		},
		"other bytes": func(h *BranchHead) {
			for p := range h.Files {
				h.Files[p] = other
			}
		},
		"another file instead": func(h *BranchHead) {
			h.Paths, h.Files, h.Before = []string{"policies/shop.yaml"}, map[string]string{"policies/shop.yaml": other}, map[string]string{}
		},
		"nothing": func(h *BranchHead) { h.Paths, h.Files, h.Before = nil, nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			for _, wanted := range []bool{true, false} {
				s := waiting(t)
				if !wanted { // nothing is proposed that could replace it, and every gate passes
					s = s.with("staging", func(a *AppState) {
						a.Files = append(a.Files, patch.File{Path: "envs/staging/web/bad.yaml", Data: []byte("images: # towpath: web\n- a\n")})
					})
				}
				before := Decide(s)
				h := s.Branches["towpath/staging/web"]
				h.Files, h.Before = maps.Clone(h.Files), maps.Clone(h.Before)
				forge(&h)
				s.Branches["towpath/staging/web"] = h
				plan := Decide(s)
				for _, j := range plan.Judged {
					if j.wantsMerge() {
						t.Errorf("wanted %t: merged: %+v", wanted, j.Verdict)
					}
				}
				if wanted && (len(plan.Propose) != 1 || plan.Propose[0].Reuse != "") {
					t.Errorf("it is not rebuilt: %+v", plan.Propose)
				}
				if !wanted && (len(before.Judged) != 1 || before.Judged[0].Verdict.Act != ActMerge) {
					t.Errorf("the case is not the one meant: %+v", before)
				}
			}
		})
	}
}
