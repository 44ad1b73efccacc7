package fakegithub

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Check is a required status check.
type Check struct {
	Context string
	App     int // ID of the App it must come from; 0: anybody
}

// Protection is a branch's classic protection.
type Protection struct {
	Reviews          *ReviewRule // nil: no pull request is asked for
	Checks           []Check
	Strict           bool // the head must contain the base
	EnforceAdmins    bool
	LinearHistory    bool
	AllowForcePushes bool
	AllowDeletions   bool
	Signed           bool // commits must be
	Conversations    bool // must be resolved
	// Push are the logins that may push and merge; nil: everybody with write access.
	Push []string
}

// ReviewRule says what approvals a pull request needs.
type ReviewRule struct {
	Approvals    int
	DismissStale bool
	CodeOwners   bool
	LastPush     bool // the last pusher's own approval does not count
	Bypass       []string
	Reviewers    []RequiredReviewers // of rulesets only
	Methods      []string            // of rulesets only: merge, squash, rebase; nil: all
	// Conversations must be resolved: only told, there are none.
	Conversations bool
}

// RequiredReviewers is the rule that a team approves changes of some files.
type RequiredReviewers struct {
	Patterns []string // of file names, as in path.Match, or a folder with /** at its end
	Minimum  int
	Team     string // org/slug
}

// Ruleset is a set of rules for branches.
type Ruleset struct {
	ID       int // set by Change
	Name     string
	Evaluate bool     // the rules are only tried out
	Branches []string // names, "~DEFAULT_BRANCH" or "~ALL"
	Bypass   []BypassActor

	PullRequest *ReviewRule
	Checks      []Check
	Strict      bool
	Queue       *QueueRule
	Copilot     bool // copilot_code_review
	Deletion    bool
	NoForcePush bool
	Linear      bool
	Update      bool     // only who may bypass pushes
	Signed      bool     // required_signatures, only told
	Told        []string // other kinds of rules, without parameters, only told
}

// BypassActor may do what a ruleset forbids.
type BypassActor struct {
	Type string // Integration, Team, RepositoryRole, OrganizationAdmin, User
	ID   int
	Mode string // always (""), pull_request
}

// QueueRule says how a merge queue works. Method is MERGE, SQUASH or REBASE.
type QueueRule struct{ Method string }

// applies tells whether a ruleset is for a branch.
func (rs *Ruleset) applies(r *Repo, branch string) bool {
	return slices.ContainsFunc(rs.Branches, func(b string) bool {
		name := strings.TrimPrefix(b, "refs/heads/")
		fits, err := path.Match(name, branch)
		return b == "~ALL" || b == "~DEFAULT_BRANCH" && branch == r.Default || err == nil && fits
	})
}

// needs are all rules of a branch together.
type needs struct {
	review       bool // a pull request is wanted
	approvals    int
	dismissStale bool
	codeOwners   bool
	lastPush     bool
	reviewers    []RequiredReviewers
	checks       []Check
	strict       bool
	linear       bool
	methods      []string // nil: those of the repository
	queue        *QueueRule
	push         []string // nil: everybody
	noForce      bool
	noDelete     bool
	noUpdate     bool
}

// needs adds up what holds for somebody; "" for everybody.
func (r *Repo) needs(branch string, who *token) needs {
	var n needs
	if p := r.Protections[branch]; p != nil && (p.EnforceAdmins || who == nil || r.role(who.user.login) < roleAdmin) {
		n.checks, n.strict, n.linear = p.Checks, p.Strict, p.LinearHistory
		n.noForce, n.noDelete, n.push = !p.AllowForcePushes, !p.AllowDeletions, p.Push
		if p.Reviews != nil && !(who != nil && slices.Contains(p.Reviews.Bypass, who.user.login)) {
			n.reviews(p.Reviews)
		}
	}
	for _, rs := range r.Rulesets {
		if rs.Evaluate || !rs.applies(r, branch) || rs.bypassed(r, who) {
			continue
		}
		if rs.PullRequest != nil {
			n.reviews(rs.PullRequest)
		}
		n.checks = append(slices.Clone(n.checks), rs.Checks...)
		n.strict = n.strict || rs.Strict
		n.linear = n.linear || rs.Linear
		n.noForce = n.noForce || rs.NoForcePush
		n.noDelete = n.noDelete || rs.Deletion
		n.noUpdate = n.noUpdate || rs.Update
		if rs.Queue != nil {
			n.queue = rs.Queue
		}
	}
	return n
}

func (n *needs) reviews(rule *ReviewRule) {
	n.review = true
	n.approvals = max(n.approvals, rule.Approvals)
	n.dismissStale = n.dismissStale || rule.DismissStale
	n.codeOwners = n.codeOwners || rule.CodeOwners
	n.lastPush = n.lastPush || rule.LastPush
	n.reviewers = append(n.reviewers, rule.Reviewers...)
	if rule.Methods != nil {
		n.methods = rule.Methods
	}
}

// bypassed tells whether somebody may ignore a ruleset.
func (rs *Ruleset) bypassed(r *Repo, who *token) bool {
	if who == nil {
		return false
	}
	return slices.ContainsFunc(rs.Bypass, func(b BypassActor) bool {
		switch b.Type {
		case "Integration":
			return who.app != nil && who.app.ID == b.ID
		case "User":
			return who.app == nil && who.user.id == b.ID
		case "Team":
			for _, t := range r.s.teams {
				if t.id == b.ID {
					return t.has(who.user.login)
				}
			}
		case "OrganizationAdmin", "RepositoryRole":
			return r.role(who.user.login) >= roleAdmin
		}
		return false
	})
}

// missing says in GitHub's words why a pull request must not be merged yet, by reviews and checks.
func (r *Repo) missing(p *pull, n needs) ([]string, error) {
	var why []string
	approved, requested := r.verdicts(p, n)
	if requested {
		why = append(why, "Changes have been requested.")
	}
	if have := len(approved); n.approvals > have {
		plural := map[bool]string{true: "", false: "s"}[n.approvals == 1]
		why = append(why, fmt.Sprintf("At least %d approving review%s %s required by reviewers with write access.", n.approvals, plural,
			map[bool]string{true: "is", false: "are"}[n.approvals == 1]))
	}
	files, err := r.diffStat(p)
	if err != nil {
		return nil, err
	}
	if n.codeOwners && !r.ownersApprove(p, files.files, approved) {
		why = append(why, "Waiting on code owner review.")
	}
	for _, rule := range n.reviewers {
		if touches(files.files, rule.Patterns) && r.teamApprovals(rule.Team, approved) < rule.Minimum {
			why = append(why, fmt.Sprintf("Waiting on review from %s.", rule.Team))
		}
	}
	for _, check := range n.checks {
		switch r.checkState(p.headSHA, check) {
		case "success":
		case "":
			why = append(why, fmt.Sprintf("Required status check %q is expected.", check.Context))
		case "pending":
			why = append(why, fmt.Sprintf("Required status check %q is pending.", check.Context))
		default:
			why = append(why, fmt.Sprintf("Required status check %q is failing.", check.Context))
		}
	}
	return why, nil
}

// verdicts returns who approves, with write access, and whether somebody wants changes.
func (r *Repo) verdicts(p *pull, n needs) (approved []string, requested bool) {
	for login, state := range r.latest(p) {
		switch state {
		case "CHANGES_REQUESTED":
			requested = n.review
		case "APPROVED":
			if !n.lastPush || p.pusher == nil || p.pusher.login != login {
				approved = append(approved, login)
			}
		}
	}
	slices.Sort(approved)
	return approved, requested
}

// latest is each reviewer's standing word, of those who may write.
func (r *Repo) latest(p *pull) map[string]string {
	last := map[string]string{}
	for _, v := range p.reviews {
		switch v.state {
		case "APPROVED", "CHANGES_REQUESTED", "DISMISSED":
			if r.role(v.user.login) >= roleWrite {
				last[v.user.login] = v.state
			}
		}
	}
	return last
}

func (r *Repo) teamApprovals(name string, approved []string) int {
	team := r.s.teams[strings.ToLower(name)]
	n := 0
	for _, login := range approved {
		if team != nil && team.has(login) {
			n++
		}
	}
	return n
}

func touches(files []file, patterns []string) bool {
	return slices.ContainsFunc(files, func(f file) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, f.path) })
	})
}

// fits compares a path with a pattern of CODEOWNERS or of a ruleset; only the common forms are known:
// *, a name, a folder, a folder with /** and a glob.
func fits(pattern, name string) bool {
	rooted := strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
	pattern = strings.TrimPrefix(pattern, "/")
	if pattern == "*" || pattern == "**" {
		return true
	}
	folder := strings.TrimSuffix(strings.TrimSuffix(pattern, "**"), "/")
	if folder == name || strings.HasPrefix(name, folder+"/") {
		return true
	}
	if !rooted {
		name = path.Base(name)
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// ownersApprove tells whether for each file with owners one of them approves, by the CODEOWNERS file of
// the base: its last line that fits a file counts.
func (r *Repo) ownersApprove(p *pull, files []file, approved []string) bool {
	lines := r.codeOwners(p.baseSHA)
	for _, f := range files {
		var owners []string
		for _, line := range lines {
			if fits(line[0], f.path) {
				owners = line[1:]
			}
		}
		if len(owners) > 0 && !slices.ContainsFunc(owners, func(o string) bool { return r.owns(o, approved) }) {
			return false
		}
	}
	return true
}

// owns tells whether an owner, "@login" or "@org/team", is among logins.
func (r *Repo) owns(owner string, logins []string) bool {
	name := strings.TrimPrefix(owner, "@")
	if team := r.s.teams[strings.ToLower(name)]; team != nil {
		return slices.ContainsFunc(logins, team.has)
	}
	return slices.ContainsFunc(logins, func(l string) bool { return strings.EqualFold(l, name) })
}

// codeOwners reads the first CODEOWNERS file there is: pattern and owners of each line.
func (r *Repo) codeOwners(commit string) [][]string {
	for _, name := range []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"} {
		text, err := r.git("cat-file", "blob", commit+":"+name)
		if err != nil {
			continue
		}
		var lines [][]string
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			if fields := strings.Fields(line); len(fields) > 0 {
				lines = append(lines, fields)
			}
		}
		return lines
	}
	return nil
}
