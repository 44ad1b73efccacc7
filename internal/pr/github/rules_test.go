package github

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

func allMethods() []pr.Method { return []pr.Method{pr.Squash, pr.Merge, pr.Rebase} }

func TestRulesOfABranch(t *testing.T) {
	type world struct {
		repo func(r *fakegithub.Repo)
		role string // of the bot; "": write
	}
	main := []string{"main"}
	for name, c := range map[string]struct {
		world world
		want  pr.Rules
	}{
		"nothing is asked for": {world{}, pr.Rules{Methods: allMethods(), Push: true}},
		"a reader pushes nothing and sees no settings": {world{role: "read"}, pr.Rules{
			Unknown: []string{"which merge methods the repository allows: only who may write to it sees that"}}},
		"settings of the repository": {world{repo: func(r *fakegithub.Repo) {
			r.Settings = fakegithub.Settings{NoMerge: true, AutoMerge: true}
		}}, pr.Rules{Methods: []pr.Method{pr.Squash, pr.Rebase}, AutoMerge: true, Push: true}},
		"a ruleset with everything": {world{repo: func(r *fakegithub.Repo) {
			r.Rulesets = []*fakegithub.Ruleset{{
				Name: "all", Branches: main, Deletion: true, NoForcePush: true, Linear: true, Signed: true, Copilot: true, Strict: true,
				Checks: []fakegithub.Check{{Context: "towpath/gates"}, {Context: "ci"}}, Queue: &fakegithub.QueueRule{},
				PullRequest: &fakegithub.ReviewRule{Approvals: 2, DismissStale: true, CodeOwners: true, LastPush: true, Methods: []string{"squash", "merge"},
					Reviewers: []fakegithub.RequiredReviewers{{Patterns: []string{"envs/prod/**"}, Minimum: 1, Team: "acme/sre"}}},
			}}
		}}, pr.Rules{
			Protected: true, Methods: []pr.Method{pr.Squash}, Approvals: 2, CodeOwners: true, DismissStale: true, LastPush: true, UpToDate: true,
			Checks: []pr.RequiredCheck{{Context: "ci"}, {Context: "towpath/gates"}}, Queue: true, Linear: true, Signed: true,
			Reviewers: []pr.RequiredReviewers{{Paths: []string{"envs/prod/**"}, Reviewers: "acme/sre", Approvals: 1}},
		}},
		"a ruleset that we bypass": {world{repo: func(r *fakegithub.Repo) {
			r.Rulesets = []*fakegithub.Ruleset{{Name: "x", Branches: main, PullRequest: &fakegithub.ReviewRule{Approvals: 1},
				Bypass: []fakegithub.BypassActor{{Type: "RepositoryRole", ID: 5}}}}
		}, role: "admin"}, pr.Rules{Protected: true, Methods: allMethods(), Approvals: 1, Push: true, Bypass: true}},
		"two rulesets, one of which we bypass": {world{repo: func(r *fakegithub.Repo) {
			r.Rulesets = []*fakegithub.Ruleset{
				{Name: "x", Branches: main, PullRequest: &fakegithub.ReviewRule{Approvals: 1, Methods: []string{"squash", "merge"}}, Bypass: []fakegithub.BypassActor{{Type: "RepositoryRole", ID: 5}}},
				{Name: "y", Branches: []string{"~ALL"}, PullRequest: &fakegithub.ReviewRule{Approvals: 3, Methods: []string{"merge"}}},
				{Name: "z", Branches: []string{"other"}, PullRequest: &fakegithub.ReviewRule{Approvals: 4}},
				{Name: "tried out", Evaluate: true, Branches: main, Linear: true},
			}
		}, role: "admin"}, pr.Rules{Protected: true, Methods: []pr.Method{pr.Merge}, Approvals: 3}},
		"rules that no word of ours is for": {world{repo: func(r *fakegithub.Repo) {
			r.Rulesets = []*fakegithub.Ruleset{{Name: "x", Branches: main, Update: true, Told: []string{"required_deployments"},
				PullRequest: &fakegithub.ReviewRule{Conversations: true}}}
		}}, pr.Rules{Protected: true, Methods: allMethods(), Unknown: []string{
			"the rule required_deployments: GitHub merges only after a deployment to ",
			"the rule that all conversations are resolved: Towpath does not look at them",
			"the rule update: only who may bypass it changes the branch at all",
		}}},
		"classic protection, seen by an administrator": {world{repo: func(r *fakegithub.Repo) {
			r.Protections["main"] = &fakegithub.Protection{
				Reviews: &fakegithub.ReviewRule{Approvals: 1, CodeOwners: true}, Checks: []fakegithub.Check{{Context: "ci"}}, Strict: true,
				LinearHistory: true, Signed: true, Conversations: true, EnforceAdmins: true,
			}
		}, role: "admin"}, pr.Rules{Protected: true, Methods: []pr.Method{pr.Squash, pr.Rebase}, Approvals: 1, CodeOwners: true,
			Checks: []pr.RequiredCheck{{Context: "ci"}}, UpToDate: true, Linear: true, Signed: true,
			Unknown: []string{"the rule that all conversations are resolved: Towpath does not look at them"}}},
		"classic protection that holds no administrator": {world{repo: func(r *fakegithub.Repo) {
			r.Protections["main"] = &fakegithub.Protection{Reviews: &fakegithub.ReviewRule{Approvals: 1}, Checks: []fakegithub.Check{{Context: "ci"}}}
		}, role: "admin"}, pr.Rules{Protected: true, Methods: allMethods(), Approvals: 1, Checks: []pr.RequiredCheck{{Context: "ci"}}, Push: true, Bypass: true}},
		"classic protection that only others may push past": {world{repo: func(r *fakegithub.Repo) {
			r.Protections["main"] = &fakegithub.Protection{EnforceAdmins: true, Push: []string{"ann"}}
		}, role: "admin"}, pr.Rules{Protected: true, Methods: allMethods(), Unknown: []string{
			"who may push to main: not we, so that GitHub lets us merge nothing into it; add bot to those who may"}}},
		"classic protection with an exception for us": {world{repo: func(r *fakegithub.Repo) {
			r.Protections["main"] = &fakegithub.Protection{EnforceAdmins: true, Push: []string{"bot"}, Reviews: &fakegithub.ReviewRule{Approvals: 1, Bypass: []string{"BOT", "bot"}}}
		}, role: "admin"}, pr.Rules{Protected: true, Methods: allMethods(), Approvals: 1, Push: true, Bypass: true}},
		"classic protection that we may not see": {world{repo: func(r *fakegithub.Repo) {
			r.Protections["main"] = &fakegithub.Protection{Reviews: &fakegithub.ReviewRule{Approvals: 1}, Checks: []fakegithub.Check{{Context: "ci"}}}
		}}, pr.Rules{Protected: true, Methods: allMethods(), Checks: []pr.RequiredCheck{{Context: "ci"}}, Unknown: []string{
			"the classic protection of main but for its required checks (approvals, who may push): only an administrator of the repository sees it"}}},
		"classic protection that we may not see, without a check": {world{repo: func(r *fakegithub.Repo) {
			r.Protections["main"] = &fakegithub.Protection{}
		}}, pr.Rules{Protected: true, PushUnknown: true, Methods: allMethods(), Unknown: []string{
			"the classic protection of main but for its required checks (approvals, who may push): only an administrator of the repository sees it"}}},
		"classic protection that we may not see, of a reader": {world{repo: func(r *fakegithub.Repo) {
			r.Protections["main"] = &fakegithub.Protection{}
		}, role: "read"}, pr.Rules{Protected: true, Unknown: []string{
			"the classic protection of main but for its required checks (approvals, who may push): only an administrator of the repository sees it",
			"which merge methods the repository allows: only who may write to it sees that"}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.Team("acme", "sre", "ann")
			if c.world.role != "" {
				g.repo.Collaborator("bot", c.world.role)
			}
			if c.world.repo != nil {
				g.repo.Change(c.world.repo)
			}
			got, err := g.as(t, g.User("bot")).Rules(t.Context(), "main")
			if err != nil {
				t.Fatal(err)
			}
			c.want.Branch = "main"
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAnAppsChecksAndBypassAreItsOwn(t *testing.T) {
	g := newGround(t)
	c, a := g.app(t, allPermissions())
	ci := g.App("ci", "acme", &newKey(t).PublicKey, map[string]string{"checks": "write"})
	g.repo.Change(func(r *fakegithub.Repo) {
		r.Rulesets = []*fakegithub.Ruleset{{Name: "x", Branches: []string{"main"},
			Checks: []fakegithub.Check{{Context: "towpath/gates", App: a.ID}, {Context: "build", App: ci.ID}},
			Bypass: []fakegithub.BypassActor{{Type: "Integration", ID: a.ID}}}}
		r.Protections["main"] = &fakegithub.Protection{Push: []string{"towpath[bot]"}}
	})
	f := g.asApp(t, c)
	got, err := f.Rules(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	want := pr.Rules{Branch: "main", Protected: true, Methods: allMethods(), Push: true, Bypass: true,
		Checks:  []pr.RequiredCheck{{Context: "build", App: "App " + strconv.Itoa(ci.ID)}, {Context: "towpath/gates", App: "towpath"}},
		Unknown: []string{"which App is the one with the ID " + strconv.Itoa(ci.ID) + ", of which the check build must be: it wrote no check on the head of main"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestAnAppWithoutAdministrationIsToldWhatItMisses(t *testing.T) {
	g := newGround(t)
	permissions := allPermissions()
	delete(permissions, "administration")
	c, _ := g.app(t, permissions)
	g.repo.Change(func(r *fakegithub.Repo) {
		r.Protections["main"] = &fakegithub.Protection{Reviews: &fakegithub.ReviewRule{Approvals: 1}}
	})
	got, err := g.asApp(t, c).Rules(t.Context(), "main")
	if err != nil || len(got.Unknown) != 1 || !strings.HasSuffix(got.Unknown[0], "give the App Administration: read") {
		t.Errorf("got %v, %v", got.Unknown, err)
	}
}

func TestRulesOfManyPagesAreAllRead(t *testing.T) {
	g := newGround(t)
	var sets []*fakegithub.Ruleset
	for i := range 60 {
		sets = append(sets, &fakegithub.Ruleset{Name: "n", Branches: []string{"main"}, Linear: true, Checks: []fakegithub.Check{{Context: "c" + strconv.Itoa(i)}}})
	}
	g.repo.Change(func(r *fakegithub.Repo) { r.Rulesets = sets })
	got, err := g.as(t, g.User("bot")).Rules(t.Context(), "main")
	if err != nil || len(got.Checks) != 60 {
		t.Errorf("%d checks, %v; want 60", len(got.Checks), err)
	}
}

func TestRulesOfABranchThatIsNotThereAreAnError(t *testing.T) {
	g := newGround(t)
	_, err := g.as(t, g.User("bot")).Rules(t.Context(), "none")
	if err == nil || !strings.Contains(err.Error(), "read GitHub's rules for none of acme/config: ") {
		t.Errorf("got %v", err)
	}
}

func TestARuleOfAKindThatIsNotKnownIsToldAndNoError(t *testing.T) {
	f := &Forge{}
	g := &gathering{f: f, branch: "main"}
	b, err := g.take(t.Context(), branchRule{Type: "moon_phase", Parameters: []byte(`[1]`), Ruleset: 7})
	if err != nil || !b.merge || !b.push {
		t.Errorf("%+v, %v: what is not known must stand in the way", b, err)
	}
	if d := cmp.Diff([]string{"the rule moon_phase of the ruleset 7: this version does not know what it asks for"}, g.rules.Unknown); d != "" {
		t.Error(d)
	}
	if _, err := g.take(t.Context(), branchRule{Type: "pull_request", Parameters: []byte(`[1]`)}); err == nil {
		t.Error("parameters that cannot be read are no error")
	}
}

func TestCodeOwnersAreReadWhereGitHubLooks(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	if path, data, err := f.CodeOwners(t.Context(), "main"); path != "" || data != nil || err != nil {
		t.Errorf("none is there: %q %q %v", path, data, err)
	}
	for _, path := range []string{"docs/CODEOWNERS", "CODEOWNERS", ".github/CODEOWNERS"} {
		text := "# " + path + "\n/envs/prod/ @acme/sre\n" + strings.Repeat("x", 100) + "\n"
		g.commit(t, "main", path, text)
		got, data, err := f.CodeOwners(t.Context(), "main")
		if got != path || string(data) != text || err != nil {
			t.Errorf("%s: %q %q %v", path, got, data, err)
		}
	}
	g.Inject(fakegithub.Fault{Status: 500})
	if _, _, err := f.CodeOwners(context.Background(), "main"); err == nil || !strings.HasPrefix(err.Error(), "read .github/CODEOWNERS at main: ") {
		t.Errorf("a server that fails: %v", err)
	}
}
