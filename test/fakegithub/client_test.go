package fakegithub

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"
)

// What go-github v60 gets wrong is seen against the fake as against GitHub: a client must do these itself.
func TestWhatGoGithubCannotDoIsSeen(t *testing.T) {
	ctx := context.Background()
	st := newStage(t, Options{})
	st.propose(t, "bump", "image: web:1.1.0\n")
	for what, rules := range map[string]*Ruleset{
		"a merge queue":      {Queue: &QueueRule{}},
		"reviews by Copilot": {Copilot: true},
	} {
		rules.Name, rules.Branches = what, []string{"main"}
		st.repo.Change(func(r *Repo) { r.Rulesets = []*Ruleset{rules} })
		if _, _, err := st.bot.Repositories.GetRulesForBranch(ctx, owner, name, "main"); err == nil || !strings.Contains(err.Error(), "not yet implemented") {
			t.Errorf("rules with %s: %v, want an error of go-github", what, err)
		}
	}

	found, c := st.contract.keep()
	client := github.NewClient(&http.Client{Transport: c.Transport(nil)}).WithAuthToken(st.User("bot"))
	client.BaseURL = st.bot.BaseURL
	st.contract.quietly(func() {
		if _, _, err := client.Issues.AddLabelsToIssue(ctx, owner, name, 1, []string{"towpath/hold"}); err != nil {
			t.Error(err)
		}
	})
	checkBreach(t, found.text(), `request of POST /repos/{owner}/{repo}/issues/{issue_number}/labels: body /`)
}

// quietly runs f while the contract reports nothing.
func (c *Contract) quietly(f func()) {
	report := c.report
	c.report = func(Breach) {}
	defer func() { c.report = report }()
	f()
}
