package doctor

import (
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// rules compares what the forge asks of the base branch with what the pipeline
// needs.
func (e *examination) rules() {
	if e.RulesErr != nil {
		e.add(Finding{Check: "branch", Object: e.Branch, Level: Warning, Message: "its protection cannot be read: " + e.RulesErr.Error(),
			Why: "whether merges and pushes will be let through is not known", Remedy: "give the right to read it, or compare by hand with the guide"})
		return
	}
	for _, u := range e.Rules.Unknown {
		e.add(Finding{Check: "branch", Object: e.Branch, Level: Warning, Message: "not known: " + u,
			Why: "findings about it may be missing here", Remedy: "compare it by hand with the guide, or run doctor as somebody who may read it"})
	}
	e.methods()
	e.gatesCheck()
	e.hurdles()
	e.environments(e.environment)
}

// methods compares the merge method with what is allowed.
func (e *examination) methods() {
	r := e.Rules
	if len(r.Methods) == 0 {
		if !slices.ContainsFunc(e.Pipelines, merges) || len(r.Unknown) > 0 {
			return
		}
		e.add(Finding{Check: "merge", Object: e.Branch, Level: Error, Message: "no merge method is allowed",
			Why: "pull requests could never be merged", Remedy: "allow squash merging in the repository's settings"})
		return
	}
	want := e.Method
	if want == "" {
		want = pr.Squash
		if !slices.Contains(r.Methods, want) {
			want = r.Methods[0]
		}
	}
	allowed := make([]string, 0, len(r.Methods))
	for _, m := range r.Methods {
		allowed = append(allowed, string(m))
	}
	switch {
	case !slices.Contains(r.Methods, want):
		e.add(Finding{Check: "merge", Object: e.Branch, Level: Error, Message: fmt.Sprintf("%s is not allowed, only %s", want, list(allowed)),
			Why: "every merge would be refused", Remedy: "allow it in the repository's settings, or give --merge-method " + allowed[0]})
	case r.Linear && want == pr.Merge:
		e.add(Finding{Check: "merge", Object: e.Branch, Level: Error, Message: "a linear history is asked for, which merge commits are not",
			Why: "every merge would be refused", Remedy: "give --merge-method squash"})
	default:
		e.ok("merge", e.Branch, "pull requests are merged by %s", want)
	}
}

func merges(p policy.Pipeline) bool {
	return slices.ContainsFunc(p.Environments, func(e policy.Environment) bool { return e.Merge != policy.MergePush })
}

// gatesCheck looks whether the forge itself waits for our gates, and for ours only.
func (e *examination) gatesCheck() {
	if !slices.ContainsFunc(e.Pipelines, merges) {
		return
	}
	i := slices.IndexFunc(e.Rules.Checks, func(c pr.RequiredCheck) bool { return c.Context == pr.StatusContext })
	switch {
	case i < 0 && len(e.Rules.Unknown) > 0 && !e.Rules.Protected:
		return // said already: not known
	case i < 0:
		e.add(Finding{Check: "gates", Object: e.Branch, Level: Warning, Message: pr.StatusContext + " is no required check",
			Why:    "anybody who may merge can merge a proposal before its gates pass; Towpath itself never does",
			Remedy: "make " + pr.StatusContext + " a required check of " + e.Branch + "; Towpath sets it on every pull request, also on those that are no promotion"})
	case e.Rules.Checks[i].App == "" && e.Forge != githubForge:
		e.ok("gates", e.Branch, "%s is required (this forge cannot say from whom: keep the right to write small)", pr.StatusContext)
	case e.Rules.Checks[i].App == "":
		e.add(Finding{Check: "gates", Object: e.Branch, Level: Warning, Message: pr.StatusContext + " is required, but from anybody",
			Why:    "whoever may write a status can say that the gates pass",
			Remedy: "pin the check's source to Towpath's App"})
	case !sameName(e.Rules.Checks[i].App, e.Rights.User):
		e.add(Finding{Check: "gates", Object: e.Branch, Level: Error, Message: fmt.Sprintf("%s must come from %s, but we are %s", pr.StatusContext, e.Rules.Checks[i].App, e.Rights.User),
			Why: "no proposal could ever be merged", Remedy: "pin the check to " + e.Rights.User})
	default:
		e.ok("gates", e.Branch, "%s is required, and must come from us", pr.StatusContext)
	}
}

// hurdles are rules that stop what we do, or make it dear.
func (e *examination) hurdles() {
	r := e.Rules
	if !r.Protected && len(r.Unknown) == 0 {
		e.add(Finding{Check: "branch", Object: e.Branch, Level: Warning, Message: "it is not protected",
			Why:    "anybody who may write can push to it past every gate and approval",
			Remedy: "protect it: require pull requests, approvals and " + pr.StatusContext + ", and let Towpath pass where an environment has merge: push"})
	}
	if r.Signed && !e.Signed {
		e.add(Finding{Check: "signature", Object: e.Branch, Level: Error, Message: "it asks for signed commits, and ours are not",
			Why: "pushes and merges would be refused", Remedy: "give --signing-key-file, or --verified-commits at GitHub"})
	}
	if r.UpToDate && slices.ContainsFunc(e.Pipelines, merges) {
		e.add(Finding{Check: "branch", Object: e.Branch, Level: Warning, Message: "pull requests must be up to date with it before they are merged",
			Why: "each merge makes all other proposals be rebuilt and checked again", Remedy: "turn it off, or use a merge queue; Towpath compares with the base itself before it merges"})
	}
	for _, c := range r.Checks {
		if c.Context == pr.LintContext {
			e.ok("lint", e.Branch, "%s is required", pr.LintContext)
		}
	}
}

// environment compares one environment's way of merging with the rules.
func (e *examination) environment(env policy.Environment) {
	if env.Merge != policy.MergePush && e.Rules.NoMerge != "" {
		e.add(Finding{Check: "merge", Object: env.Name, Level: Error, Message: "none of its proposals could be merged: " + e.Rules.NoMerge,
			Why: "the forge refuses merges of others", Remedy: fmt.Sprintf("name %s among those who may merge into %s", e.name(), e.Branch)})
	}
	switch {
	case env.Merge == policy.MergePush:
		e.pushes(env)
	case env.Gates.Approvals == nil:
		e.mergesAlone(env)
	default:
		e.approved(env)
	}
}

func (e *examination) pushes(env policy.Environment) {
	r := e.Rules
	switch {
	case r.Push:
		e.ok("push", env.Name, "we may push to %s", e.Branch)
	case r.PushUnknown:
		e.add(Finding{Check: "push", Object: env.Name, Level: Warning, Message: fmt.Sprintf("it has merge: push, and whether we may push to %s is not known", e.Branch),
			Why: "if we may not, new versions would never enter it", Remedy: e.pushWay()})
	case len(r.Unknown) > 0 && !r.Protected:
		// Said already: not known.
	default:
		e.add(Finding{Check: "push", Object: env.Name, Level: Error, Message: fmt.Sprintf("it has merge: push, but we may not push to %s", e.Branch),
			Why:    "new versions would never enter it",
			Remedy: e.pushWay()})
	}
}

// pushWay is what lets us push.
func (e *examination) pushWay() string {
	if e.Forge == githubForge && len(e.Rules.Checks) > 0 {
		return fmt.Sprintf("a required check stops pushes, too: use a ruleset with %s in its bypass list instead of classic protection, or set merge: auto", e.name())
	}
	return fmt.Sprintf("let %s push there (a bypass, or the list of who may push), or set merge: auto", e.name())
}

// mergesAlone looks at an environment that nobody is asked to approve.
func (e *examination) mergesAlone(env policy.Environment) {
	r := e.Rules
	owners := e.owners(env)
	var stops []string
	if r.Approvals > 0 {
		stops = append(stops, fmt.Sprintf("%s asks for %s", e.Branch, approvals(r.Approvals)))
	}
	if r.CodeOwners && len(owners) > 0 {
		stops = append(stops, fmt.Sprintf("owners of %s must approve (%s)", env.Path, list(owners)))
	}
	for _, q := range e.requiredReviewers(env) {
		stops = append(stops, fmt.Sprintf("%s must approve changes of %s", q.Reviewers, strings.Join(q.Paths, ", ")))
	}
	switch {
	case len(stops) == 0:
		e.ok("merge", env.Name, "nothing but its gates stands in the way")
	case r.Bypass:
		e.add(Finding{Check: "merge", Object: env.Name, Level: Warning, Message: list(stops) + "; Towpath merges past that",
			Why:    "its pipeline asks for no approval, and we have the right to go past the branch's rules",
			Remedy: "keep it if that is meant; else set merge: approval"})
	default:
		e.add(Finding{Check: "merge", Object: env.Name, Level: Error, Message: "its proposals are to be merged without a person, but " + list(stops),
			Why:    "nobody can approve their own pull request, so each would wait for a person",
			Remedy: e.way(env)})
	}
}

// way is what lets an environment be merged without a person.
func (e *examination) way(env policy.Environment) string {
	if e.Forge == githubForge {
		return fmt.Sprintf("let %s bypass the rule, or set merge: approval for %s", e.name(), env.Name)
	}
	return fmt.Sprintf("take the rule off %s (the gate approvals of other environments stays), or set merge: approval for %s", e.Branch, env.Name)
}

// approved looks at an environment that people approve.
func (e *examination) approved(env policy.Environment) {
	r, a := e.Rules, env.Gates.Approvals
	owners := e.owners(env)
	if r.Bypass && !slices.ContainsFunc(e.Pipelines, needsBypass) {
		e.add(Finding{Check: "approvals", Object: env.Name, Level: Warning, Message: fmt.Sprintf("%s may merge past the rules of %s", e.name(), e.Branch),
			Why:    "Towpath uses no such right where approvals are asked for, but whoever gets its token can",
			Remedy: "take the right away: no environment of the pipeline needs it"})
	}
	if r.Approvals > a.Required {
		e.add(Finding{Check: "approvals", Object: env.Name, Level: Warning, Message: fmt.Sprintf("%s asks for %s, the pipeline for %d", e.Branch, approvals(r.Approvals), a.Required),
			Why: "the larger number holds", Remedy: "make them the same, so that the gate says what is missing"})
	}
	e.reviewers(env, owners)
	asked := a.Required
	if len(a.From) > 0 && !slices.ContainsFunc(a.From, func(s string) bool { return strings.HasPrefix(s, "team:") }) && len(a.From) < asked {
		e.add(Finding{Check: "approvals", Object: env.Name, Level: Error, Message: fmt.Sprintf("it needs %s, but names only %d people", approvals(asked), len(a.From)),
			Why: "it could never be approved", Remedy: "name more people or a team, or lower required"})
		return
	}
	if !e.unread(a.From) { // else an error says so
		e.ok("approvals", env.Name, "%s, by %s", approvals(asked), who(a.From))
	}
}

// needsBypass reports whether a pipeline has an environment that nobody approves.
func needsBypass(p policy.Pipeline) bool {
	return slices.ContainsFunc(p.Environments, func(e policy.Environment) bool { return e.Gates.Approvals == nil })
}

// unread reports whether approvers are of a team whose members are not known.
func (e *examination) unread(from []string) bool {
	return slices.ContainsFunc(from, func(f string) bool {
		team, ok := strings.CutPrefix(f, "team:")
		return ok && e.Teams[team] != nil
	})
}

// reviewers looks at who is asked to review, where CODEOWNERS has GitHub's rules.
func (e *examination) reviewers(env policy.Environment, owners []string) {
	r, a := e.Rules, env.Gates.Approvals
	if e.Forge != githubForge {
		return
	}
	switch {
	case e.Owners == nil || len(owners) > 0:
	case r.CodeOwners:
		e.add(Finding{Check: "owners", Object: env.Name, Level: Warning, Message: fmt.Sprintf("CODEOWNERS names nobody for %s", env.Path),
			Why: "reviews of owners are asked for, but nobody owns this", Remedy: fmt.Sprintf("add a line: /%s/ @your-team", env.Path)})
	}
	if len(owners) > 0 {
		e.ok("owners", env.Name, "%s belongs to %s", env.Path, list(owners))
	} else if e.Owners == nil && !r.CodeOwners {
		e.add(Finding{Check: "owners", Object: env.Name, Level: Warning, Message: fmt.Sprintf("nobody is asked to review changes of %s: there is no CODEOWNERS", env.Path),
			Why: "approvers learn of a proposal only by looking", Remedy: fmt.Sprintf("add CODEOWNERS with a line: /%s/ @your-team", env.Path)})
	}
	if r.CodeOwners && len(owners) > 0 && len(a.From) > 0 && !meet(owners, a.From) {
		e.add(Finding{Check: "approvals", Object: env.Name, Level: Warning, Message: fmt.Sprintf("the owners (%s) are others than the approvers of the pipeline (%s)", list(owners), list(a.From)),
			Why: "both must approve", Remedy: "keep it if that is meant; else make them the same"})
	}
}

// githubForge has CODEOWNERS of one form; Gitea's has regular expressions.
const githubForge = "github"

func who(from []string) string {
	if len(from) == 0 {
		return "anybody with the right to write but the author"
	}
	return list(from)
}

func approvals(n int) string {
	if n == 1 {
		return "1 approval"
	}
	return fmt.Sprintf("%d approvals", n)
}

func (e *examination) name() string {
	if e.Rights.User == "" {
		return "Towpath"
	}
	return e.Rights.User
}

func (e *examination) owners(env policy.Environment) []string {
	if e.Owners == nil {
		return nil
	}
	return e.Owners(env.Path)
}

// requiredReviewers are those whose paths may touch the environment's folder. A
// pattern is read generously: what only might match is said.
func (e *examination) requiredReviewers(env policy.Environment) []pr.RequiredReviewers {
	var out []pr.RequiredReviewers
	for _, q := range e.Rules.Reviewers {
		if q.Approvals > 0 && slices.ContainsFunc(q.Paths, func(p string) bool { return touches(p, env.Path) }) {
			out = append(out, q)
		}
	}
	return out
}

// touches reports whether a pattern may match something below dir: the part before
// its first wildcard is above, at or below dir.
func touches(pattern, dir string) bool {
	fixed := strings.TrimPrefix(pattern, "/")
	if i := strings.IndexAny(fixed, "*?["); i >= 0 {
		fixed = fixed[:i]
	}
	return strings.HasPrefix(dir+"/", fixed) || strings.HasPrefix(fixed, dir+"/")
}

// meet reports whether an owner (@alice, @org/team) is among approvers (user:alice,
// team:team).
func meet(owners, from []string) bool {
	for _, o := range owners {
		name := strings.TrimPrefix(o, "@")
		_, team, isTeam := strings.Cut(name, "/")
		for _, f := range from {
			kind, who, _ := strings.Cut(f, ":")
			if kind == "user" && !isTeam && strings.EqualFold(who, name) ||
				kind == "team" && isTeam && (strings.EqualFold(who, team) || strings.EqualFold(who, name)) {
				return true
			}
		}
	}
	return false
}

// sameName compares an App, which checks name by its slug, with a user's name, to
// which GitHub adds [bot].
func sameName(app, user string) bool {
	return strings.EqualFold(strings.TrimSuffix(app, "[bot]"), strings.TrimSuffix(user, "[bot]"))
}
