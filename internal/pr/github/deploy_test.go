package github

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

// deployed is what GitHub's page of an environment shows, oldest first: "COMMIT state, state".
func (g *ground) deployed(t *testing.T, f *Forge, env string) []string {
	t.Helper()
	var all []struct {
		ID         int64  `json:"id"`
		SHA        string `json:"sha"`
		Production bool   `json:"production_environment"`
	}
	if _, err := f.do(t.Context(), http.MethodGet, f.repoPath("deployments?environment=%s", env), nil, &all); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range all {
		var states []deploymentStatus
		if _, err := f.do(t.Context(), http.MethodGet, f.repoPath("deployments/%d/statuses", d.ID), nil, &states); err != nil {
			t.Fatal(err)
		}
		line := d.SHA[:7]
		for _, s := range states {
			line = strings.Replace(line, d.SHA[:7], d.SHA[:7]+" "+s.State, 1)
		}
		if d.Production {
			line += " (production)"
		}
		lines = append([]string{line}, lines...)
	}
	return lines
}

func TestAnEnvironmentIsShownOnceByCommitAndState(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	one := g.commit(t, "main", "envs/staging/a", "1")
	two := g.commit(t, "main", "envs/staging/a", "2")
	report := func(f *Forge, commit string, state pr.ReportState, writes int) {
		t.Helper()
		g.Reset()
		if err := f.Report(t.Context(), pr.Report{Env: "staging", Commit: commit, State: state, Description: "web 1.1.0"}); err != nil {
			t.Fatal(err)
		}
		if n := g.writes(t); n != writes {
			t.Errorf("%s %s: %d writes, want %d: %v", commit[:7], state, n, writes, g.sent())
		}
	}
	report(f, one, pr.ReportProgress, 2)
	report(f, one, pr.ReportHealthy, 1)
	report(f, one, pr.ReportHealthy, 0)
	if len(g.Requests()) != 0 {
		t.Errorf("the same again is asked about: %v", g.sent())
	}
	f = g.as(t, g.User("bot")) // restarted
	report(f, one, pr.ReportHealthy, 0)
	report(f, two, pr.ReportFailing, 2)
	report(f, two, pr.ReportHealthy, 1)
	want := []string{one[:7] + " in_progress success inactive", two[:7] + " failure success"}
	if d := cmp.Diff(want, g.deployed(t, f, "staging")); d != "" {
		t.Error(d)
	}
	report(f, one, pr.ReportHealthy, 2) // back again
	want = []string{want[0], two[:7] + " failure success inactive", one[:7] + " success"}
	if d := cmp.Diff(want, g.deployed(t, f, "staging")); d != "" {
		t.Error(d)
	}
}

func TestADeploymentIsNotWhatChecksOrTheBaseSay(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	old := g.commit(t, "main", "a", "1")
	g.commit(t, "main", "a", "2") // GitHub would merge main into the old commit and want its checks green
	if _, err := f.do(t.Context(), http.MethodPost, f.repoPath("statuses/%s", old), map[string]any{"state": "failure", "context": "ci"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Report(t.Context(), pr.Report{Env: "prod-eu", Commit: old, State: pr.ReportHealthy}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{old[:7] + " success (production)"}, g.deployed(t, f, "prod-eu")); d != "" {
		t.Error(d)
	}
}

func TestDeploymentsOfOthersAreLeftAlone(t *testing.T) {
	g := newGround(t)
	g.repo.Collaborator("ann", "write")
	head := g.commit(t, "main", "a", "1")
	ann, f := g.as(t, g.User("ann")), g.as(t, g.User("bot"))
	for _, who := range []*Forge{ann, f} {
		if err := who.Report(t.Context(), pr.Report{Env: "qa", Commit: head, State: pr.ReportProgress}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{head[:7] + " in_progress", head[:7] + " in_progress"}
	if d := cmp.Diff(want, g.deployed(t, f, "qa")); d != "" {
		t.Error(d)
	}
}

func TestALostAnswerMakesNoSecondDeployment(t *testing.T) {
	for _, path := range []string{"/repos/acme/config/deployments", "/repos/acme/config/deployments/*"} {
		g := newGround(t)
		f := g.as(t, g.User("bot"))
		r := pr.Report{Env: "qa", Commit: g.commit(t, "main", "a", "1"), State: pr.ReportHealthy}
		g.Inject(fakegithub.Fault{Method: http.MethodPost, Path: path, Times: 1, Lost: true})
		if err := f.Report(t.Context(), r); err == nil {
			t.Fatal("the answer was lost, and no error")
		}
		if err := f.Report(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{r.Commit[:7] + " success"}, g.deployed(t, f, "qa")); d != "" {
			t.Errorf("lost at %s: %s", path, d)
		}
	}
}

func TestAReportThatCannotBeMadeSaysWhy(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	head := g.commit(t, "main", "a", "1")
	for name, c := range map[string]struct {
		r     pr.Report
		fault *fakegithub.Fault
		want  string
	}{
		"a conflict": {pr.Report{Env: "qa", Commit: head, State: pr.ReportHealthy}, &fakegithub.Fault{Method: http.MethodPost, Status: 409, Message: "Conflict"},
			"show qa at GitHub as deployed: GitHub takes no deployment of " + head[:10] + " now: GitHub answered 409: Conflict"},
		"no such commit": {pr.Report{Env: "qa", Commit: strings.Repeat("1", 40), State: pr.ReportHealthy}, nil, "No ref found"},
		"no such state":  {pr.Report{Env: "qa", Commit: head, State: "odd"}, nil, `a report of "qa" that is "odd"`},
		"no right":       {pr.Report{Env: "qa", Commit: head, State: pr.ReportHealthy}, &fakegithub.Fault{Method: http.MethodPost, Status: 403, Message: "Resource not accessible"}, "Resource not accessible"},
	} {
		t.Run(name, func(t *testing.T) {
			g.Heal()
			if c.fault != nil {
				g.Inject(*c.fault)
			}
			err := f.Report(t.Context(), c.r)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestProductionIsToldByTheName(t *testing.T) {
	for name, want := range map[string]bool{"prod": true, "production": true, "prod-eu": true, "eu_prod": true, "Live": true, "apps/prod": true,
		"preprod": false, "staging": false, "product": false, "delivery": false, "non-production": false, "pre-prod": false, "eu-non-prod": false} {
		if production(name) != want {
			t.Errorf("%s is production: %v, want %v", name, !want, want)
		}
	}
}
