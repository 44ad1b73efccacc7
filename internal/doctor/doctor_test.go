package doctor

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// shop is a pipeline of dev (push), staging (auto) and prod (approval).
func shop() []policy.Pipeline {
	return []policy.Pipeline{{Name: "shop", Branch: "main", Environments: []policy.Environment{
		{Name: "dev", Path: "envs/dev", Merge: policy.MergePush, Update: &policy.Update{Policies: []string{"*"}}},
		{Name: "staging", Path: "envs/staging", From: []string{"dev"}, Merge: policy.MergeAuto},
		{Name: "prod", Path: "envs/prod", From: []string{"staging"}, Merge: policy.MergeApproval,
			Gates: policy.Gates{Approvals: &policy.Approvals{Required: 2, From: []string{"team:sre", "user:alice"}, PreventSelfReview: true}}},
	}}}
}

// good are facts in which nothing is wrong.
func good() Facts {
	return Facts{
		Repo: "https://forge.example/shop/config", Branch: "main", Pipelines: shop(), Forge: "github", Authenticated: true,
		Rights: pr.Rights{User: "towpath[bot]", Read: true, Write: true},
		Rules: pr.Rules{Branch: "main", Protected: true, Methods: []pr.Method{pr.Squash}, Push: true,
			Checks: []pr.RequiredCheck{{Context: pr.StatusContext, App: "towpath"}}},
		Owners:     func(dir string) []string { return map[string][]string{"envs/prod": {"@shop/sre"}}[dir] },
		Teams:      map[string]error{"sre": nil},
		Registries: []Registry{{Image: "ghcr.io/shop/web", Tags: 3}},
	}
}

func TestNothingIsWrong(t *testing.T) {
	for _, f := range Examine(good()) {
		if f.Level != OK {
			t.Errorf("%+v", f)
		}
		if f.Message == "" || f.Object == "" || f.Check == "" {
			t.Errorf("a finding without words: %+v", f)
		}
	}
	if Fails(Examine(good())) {
		t.Error("fails")
	}
}

func TestFindings(t *testing.T) {
	env := func(f *Facts, i int) *policy.Environment { return &f.Pipelines[0].Environments[i] }
	for name, c := range map[string]struct {
		change func(*Facts)
		level  Level
		object string
		says   string
	}{
		"a repository that cannot be read": {func(f *Facts) { f.Fetch = errors.New("not authorized") }, Error, "https://forge.example/shop/config", "cannot be read: not authorized"},
		"a repository that takes no push":  {func(f *Facts) { f.Push = errors.New("read only") }, Error, "https://forge.example/shop/config", "nothing can be pushed: read only"},
		"a broken policy": {func(f *Facts) {
			f.Problems = []policy.Problem{{Path: "policies/a.yaml", Line: 1, Reason: "unknown key"}}
		}, Error, "main", "policies/a.yaml:1"},
		"a warning of lint is none of doctor's":                {func(f *Facts) { f.Problems = []policy.Problem{{Path: "a", Reason: "odd", Warning: true}} }, OK, "main", "can be read"},
		"a token that is not accepted":                         {func(f *Facts) { f.Login = errors.New("401") }, Error, "github", "does not know us: 401"},
		"rights that cannot be read":                           {func(f *Facts) { f.RightsErr = errors.New("403") }, Error, "github", "rights cannot be read"},
		"a right that is missing":                              {func(f *Facts) { f.Rights.Missing = []string{"Pull requests: write"} }, Error, "github", "lacks Pull requests: write"},
		"a token that may only read":                           {func(f *Facts) { f.Rights.Write = false }, Error, "github", "may not write"},
		"a token that may everything":                          {func(f *Facts) { f.Rights.Admin = true }, Warning, "github", "is an administrator"},
		"a team that nobody may see":                           {func(f *Facts) { f.Teams["sre"] = errors.New("404") }, Error, "team:sre", "members cannot be read"},
		"rules that cannot be read":                            {func(f *Facts) { f.RulesErr = errors.New("403") }, Warning, "main", "protection cannot be read"},
		"a part of the rules that cannot be read":              {func(f *Facts) { f.Rules.Unknown = []string{"classic protection: needs Administration: read"} }, Warning, "main", "not known: classic protection"},
		"a merge method that is not allowed":                   {func(f *Facts) { f.Method = pr.Rebase }, Error, "main", "rebase is not allowed, only squash"},
		"no method that is allowed":                            {func(f *Facts) { f.Rules.Methods = nil }, Error, "main", "no merge method"},
		"merge commits where history is to be linear":          {func(f *Facts) { f.Method, f.Rules.Methods, f.Rules.Linear = pr.Merge, []pr.Method{pr.Merge}, true }, Error, "main", "linear history"},
		"gates that are not required":                          {func(f *Facts) { f.Rules.Checks = nil }, Warning, "main", "is no required check"},
		"gates that anybody may set":                           {func(f *Facts) { f.Rules.Checks[0].App = "" }, Warning, "main", "required, but from anybody"},
		"gates that anybody may set where no forge can tell":   {func(f *Facts) { f.Forge, f.Rules.Checks[0].App = "gitea", "" }, OK, "main", "is required (this forge cannot say"},
		"merges that only others may do":                       {func(f *Facts) { f.Rules.NoMerge = "the whitelist is others'" }, Error, "staging", "none of its proposals could be merged: the whitelist"},
		"an approval rule where the forge knows no exceptions": {func(f *Facts) { f.Forge, f.Rules.Approvals = "gitea", 1 }, Error, "staging", "main asks for 1 approval"},
		"gates that somebody else must set":                    {func(f *Facts) { f.Rules.Checks[0].App = "ci" }, Error, "main", "must come from ci"},
		"a branch that is not protected":                       {func(f *Facts) { f.Rules = pr.Rules{Methods: []pr.Method{pr.Squash}, Push: true} }, Warning, "main", "it is not protected"},
		"signed commits where ours are not":                    {func(f *Facts) { f.Rules.Signed = true }, Error, "main", "asks for signed commits"},
		"signed commits where ours are":                        {func(f *Facts) { f.Rules.Signed, f.Signed = true, true }, OK, "dev", "we may push"},
		"branches that must be up to date":                     {func(f *Facts) { f.Rules.UpToDate = true }, Warning, "main", "up to date"},
		"a push that the branch does not let through":          {func(f *Facts) { f.Rules.Push = false }, Error, "dev", "may not push to main"},
		"a push of which nobody can say":                       {func(f *Facts) { f.Rules.Push, f.Rules.PushUnknown, f.Rules.Unknown = false, true, []string{"x"} }, Warning, "dev", "whether we may push to main is not known"},
		"an environment without people where the branch asks":  {func(f *Facts) { f.Rules.Approvals = 1 }, Error, "staging", "main asks for 1 approval"},
		"the same with the right to bypass":                    {func(f *Facts) { f.Rules.Approvals, f.Rules.Bypass = 1, true }, Warning, "staging", "merges past that"},
		"owners who must approve where nobody is asked": {func(f *Facts) {
			f.Rules.CodeOwners = true
			f.Owners = func(string) []string { return []string{"@bob"} }
		}, Error, "staging", "owners of envs/staging must approve (@bob)"},
		"reviewers by path": {func(f *Facts) {
			f.Rules.Reviewers = []pr.RequiredReviewers{{Paths: []string{"envs/**"}, Reviewers: "sre", Approvals: 1}}
		}, Error, "staging", "sre must approve changes of envs/**"},
		"reviewers of another path": {func(f *Facts) {
			f.Rules.Reviewers = []pr.RequiredReviewers{{Paths: []string{"docs/**"}, Reviewers: "sre", Approvals: 1}}
		}, OK, "staging", "nothing but its gates"},
		"a right to bypass that nobody needs": {func(f *Facts) {
			f.Rules.Bypass = true
			f.Pipelines[0].Environments = f.Pipelines[0].Environments[2:]
		}, Warning, "prod", "may merge past the rules"},
		"a right to bypass that a push needs":           {func(f *Facts) { f.Rules.Bypass = true }, OK, "prod", "2 approvals"},
		"a right that is missing but not needed":        {func(f *Facts) { f.Rights.Optional = []string{"Deployments: write (no deployments)"} }, OK, "github", "lacks Deployments"},
		"a base branch that was rewritten":              {func(f *Facts) { f.Fetch, f.Rewritten = errors.New("main was rewritten"), true }, Error, "https://forge.example/shop/config", "main was rewritten"},
		"a branch that asks for more than the pipeline": {func(f *Facts) { f.Rules.Approvals, f.Rules.Bypass = 3, true }, Warning, "prod", "main asks for 3 approvals, the pipeline for 2"},
		"an environment without owners":                 {func(f *Facts) { f.Rules.CodeOwners, f.Owners = true, func(string) []string { return nil } }, Warning, "prod", "names nobody"},
		"no CODEOWNERS at all":                          {func(f *Facts) { f.Owners = nil }, Warning, "prod", "there is no CODEOWNERS"},
		"owners who are others than the approvers": {func(f *Facts) {
			f.Rules.CodeOwners = true
			f.Owners = func(d string) []string { return map[string][]string{"envs/prod": {"@eve"}}[d] }
		}, Warning, "prod", "are others than the approvers"},
		"fewer people than approvals":                    {func(f *Facts) { env(f, 2).Gates.Approvals.From = []string{"user:alice"} }, Error, "prod", "names only 1 people"},
		"a registry that does not answer":                {func(f *Facts) { f.Registries[0].Err = errors.New("401") }, Error, "ghcr.io/shop/web", "cannot be listed: 401"},
		"approvals that nobody proves":                   {func(f *Facts) { f.Forge, f.Authenticated = "local", false }, Error, "prod", "no approval ever counts"},
		"approvals that nobody proves, which are wanted": {func(f *Facts) { f.Forge, f.Authenticated, f.Unauthenticated = "local", false, true }, Warning, "prod", "nobody proves"},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			c.change(&f)
			found := Examine(f)
			for _, x := range found {
				if x.Level == c.level && x.Object == c.object && strings.Contains(x.Message, c.says) {
					if x.Level != OK && x.Why == "" {
						t.Errorf("no rationale: %+v", x)
					}
					if x.Level == Error && x.Remedy == "" {
						t.Errorf("no remedy: %+v", x)
					}
					if Fails(found) != (c.level == Error) && c.level != Warning {
						t.Errorf("fails = %v", Fails(found))
					}
					return
				}
			}
			t.Errorf("want %s of %s that says %q, got\n%s", c.level, c.object, c.says, text(found))
		})
	}
}

func text(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s %s: %s\n", f.Level, f.Check, f.Object, f.Message)
	}
	return b.String()
}

func TestErrorsComeFirst(t *testing.T) {
	f := good()
	f.Rules = pr.Rules{Methods: []pr.Method{pr.Squash}, Signed: true}
	last := -1
	for _, x := range Examine(f) {
		if r := rank(x.Level); r < last {
			t.Fatalf("out of order: %+v", x)
		} else {
			last = r
		}
	}
}
