package promote

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// Team is who is in a team at the forge, or why nobody knows.
type Team struct {
	Members []string
	Problem string
}

// judgeChanges holds that nobody whose word counts asked for changes. In a
// repository that anybody may comment on, a stranger's word stops nothing.
func judgeChanges(rules Rules, env policy.Environment, p pr.Pull) GateResult {
	note := ""
	for _, r := range pr.Latest(p.Reviews) {
		switch {
		case r.State != pr.ChangesRequested:
		case rules.Authenticated && r.Authenticated && !r.CanWrite && !named(env.Gates.Approvals, r.User):
			note = fmt.Sprintf("; %s asked for changes, but may not write here", r.User)
		default:
			return GateResult{Gate: "changesRequested", State: Fail, Reason: r.User + " asked for changes"}
		}
	}
	return GateResult{Gate: "changesRequested", State: Pass, Reason: "nobody asked for changes" + note}
}

// judgeApprovals counts people's latest reviews on the current head.
func judgeApprovals(s Situation, a policy.Approvals, p pr.Pull) GateResult {
	var names, notes []string
	for _, r := range pr.Latest(p.Reviews) {
		if r.State != pr.Approved {
			continue
		}
		switch why := s.discount(a, p, r); why {
		case "":
			names = append(names, r.User)
		default:
			notes = append(notes, fmt.Sprintf("%s does not count: %s", r.User, why))
		}
	}
	note := ""
	if len(notes) > 0 {
		note = "; " + strings.Join(notes, "; ")
	}
	g := GateResult{Gate: "approvals", State: Pending, Reason: fmt.Sprintf("%d of %d approvals%s", len(names), a.Required, note)}
	if len(names) >= a.Required {
		g.State = Pass
		g.Reason = fmt.Sprintf("approved by %s (needs %d)%s", strings.Join(names, ", "), a.Required, note)
	}
	return g
}

// discount returns why an approval does not count, "" when it does.
func (s Situation) discount(a policy.Approvals, p pr.Pull, r pr.Review) string {
	if why := s.unfit(a, p, r); why != "" {
		return why
	}
	if named(&a, r.User) {
		return "" // the base branch names the person, whatever else they may do
	}
	inTeam, unknown := s.teamOf(a, r.User)
	switch {
	case inTeam:
		return ""
	case unknown != "":
		return unknown
	case len(a.From) > 0:
		return "not among " + strings.Join(a.From, ", ")
	case r.Authenticated && !r.CanWrite:
		return "may not write to the repository, and in a public one anybody can approve"
	}
	return ""
}

// unfit returns why an approval cannot count, whoever is asked for.
func (s Situation) unfit(a policy.Approvals, p pr.Pull, r pr.Review) string {
	switch {
	case r.Commit != p.Head:
		return "given for another commit"
	case a.PreventSelfReview && (sameName(r.User, p.Author) || sameName(r.User, s.Config.User)):
		return "the author cannot approve"
	case a.PreventSelfReview && s.Branches[p.Branch].by(r.User):
		return "who committed it cannot approve"
	case !r.Authenticated && !s.Config.AllowUnauthenticated:
		return "this forge cannot prove who approved (--allow-unauthenticated-approvals counts it)"
	}
	return ""
}

// sameName compares names of people: no forge tells them apart by case.
func sameName(a, b string) bool { return strings.EqualFold(a, b) }

// named reports whether the gate names a person, and not just a team.
func named(a *policy.Approvals, user string) bool {
	return a != nil && slices.ContainsFunc(a.From, func(f string) bool {
		name, ok := strings.CutPrefix(f, "user:")
		return ok && sameName(name, user)
	})
}

// teamsOf lists the teams that the gate names.
func teamsOf(a policy.Approvals) []string {
	var out []string
	for _, f := range a.From {
		if name, ok := strings.CutPrefix(f, "team:"); ok {
			out = append(out, name)
		}
	}
	return out
}

// teamOf reports whether a person is in one of the gate's teams, or else why
// that is not known.
func (s Situation) teamOf(a policy.Approvals, user string) (in bool, unknown string) {
	for _, name := range teamsOf(a) {
		t, known := s.Teams[name]
		switch {
		case slices.ContainsFunc(t.Members, func(m string) bool { return sameName(m, user) }):
			return true, ""
		case t.Problem != "":
			unknown = fmt.Sprintf("who is in team %s is not known: %s", name, t.Problem)
		case !known && unknown == "":
			unknown = fmt.Sprintf("who is in team %s is not known", name)
		}
	}
	return false, unknown
}

// noreply is an address by which GitHub hides a person's own.
var noreply = regexp.MustCompile(`^(?:\d+\+)?([^@+]+)@users\.noreply\.`)

// by reports whether a person is author or committer of the head, as far as names
// and addresses tell.
func (h BranchHead) by(user string) bool {
	return slices.ContainsFunc(h.People, func(id gitrepo.Identity) bool {
		m := noreply.FindStringSubmatch(id.Email)
		return sameName(id.Name, user) || sameName(id.Email, user) || len(m) > 1 && sameName(m[1], user)
	})
}
