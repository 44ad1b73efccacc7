// Package doctor says what would keep Towpath from doing its work in a repository,
// before it does: credentials, rights, and what the forge's own rules make of the
// pipeline. Floor 3.
//
// Examine is a function from facts to findings. The package asks nobody: whoever
// wires it gathers the facts, and a fact that could not be had is a finding.
package doctor

import (
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// Level is how much a finding matters.
type Level string

// The levels of findings.
const (
	OK      Level = "ok"      // looked at and good
	Warning Level = "warning" // works, but not as safely or as well as it could, or is not known
	Error   Level = "error"   // something would fail
)

// Finding is one thing that was looked at.
type Finding struct {
	Check   string `json:"check"`  // what was looked at: git, login, rights, branch, approvals, …
	Object  string `json:"object"` // of what: an environment, a branch, an image
	Level   Level  `json:"level"`
	Message string `json:"message"`
	Why     string `json:"why,omitempty"`    // why it matters
	Remedy  string `json:"remedy,omitempty"` // what to do
}

// Facts are what the findings are made of. An error beside a fact says why it is
// not known.
type Facts struct {
	Repo   string // URL of the config repository, without credentials
	Branch string
	Fetch  error // nil: it could be read
	// Rewritten: it is not followed because its base branch was rewritten.
	Rewritten bool
	Push      error // nil: the server would take a push
	Signed    bool  // our commits carry a signature that the forge can prove

	Pipelines []policy.Pipeline
	Problems  []policy.Problem // of policies, environments and markers

	Forge           string // local, github, gitea
	Authenticated   bool   // it proves who reviews
	Unauthenticated bool   // approvals that nobody proves are counted
	Login           error  // nil: the forge knows us
	Rights          pr.Rights
	RightsErr       error
	Rules           pr.Rules
	RulesErr        error
	Method          pr.Method        // wanted; "" = squash, or what is allowed
	Teams           map[string]error // team of approvals.from → why its members are not known
	// Owners says who owns everything below a folder by the forge's CODEOWNERS;
	// nil: there is no such file.
	Owners func(dir string) []string

	Registries []Registry
}

// Registry is one image that a policy watches.
type Registry struct {
	Image string
	Tags  int
	Err   error
}

// Fails reports whether something would fail.
func Fails(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Level == Error })
}

// Examine makes findings of facts: errors first, then warnings, then what is good.
func Examine(f Facts) []Finding {
	e := &examination{Facts: f}
	e.git()
	e.configuration()
	e.login()
	if f.Forge != localForge && f.Login == nil {
		e.rights()
		e.rules()
	}
	e.local()
	e.registries()
	slices.SortStableFunc(e.found, func(a, b Finding) int { return rank(a.Level) - rank(b.Level) })
	return e.found
}

// localForge keeps pull requests in the repository and has no rules.
const localForge = "local"

func rank(l Level) int {
	return slices.Index([]Level{Error, Warning, OK}, l)
}

type examination struct {
	Facts
	found []Finding
}

func (e *examination) add(f Finding) { e.found = append(e.found, f) }

func (e *examination) ok(check, object, format string, args ...any) {
	e.add(Finding{Check: check, Object: object, Level: OK, Message: fmt.Sprintf(format, args...)})
}

// environments calls do for each environment with its pipeline's name.
func (e *examination) environments(do func(policy.Environment)) {
	for _, p := range e.Pipelines {
		for _, env := range p.Environments {
			do(env)
		}
	}
}

func (e *examination) git() {
	if e.Fetch != nil {
		f := Finding{Check: "git", Object: e.Repo, Level: Error, Message: "it cannot be read: " + e.Fetch.Error(),
			Why: "everything begins with reading the repository", Remedy: "check the URL and the credentials for Git"}
		if e.Rewritten {
			f.Why, f.Remedy = "whoever rewrites the base branch can take back what clusters run", "look at what happened; put the old commits back, or follow the new ones with --allow-rewritten-base"
		}
		e.add(f)
		return
	}
	e.ok("git", e.Repo, "it can be read")
	if e.Push != nil {
		e.add(Finding{Check: "git", Object: e.Repo, Level: Error, Message: "nothing can be pushed: " + e.Push.Error(),
			Why: "versions are commits, and proposals are branches", Remedy: "give the credentials the right to write, or use others"})
		return
	}
	e.ok("git", e.Repo, "the server takes pushes")
}

// configuration repeats what lint would say, in short.
func (e *examination) configuration() {
	if e.Fetch != nil {
		return
	}
	bad := 0
	for _, p := range e.Problems {
		if !p.Warning {
			bad++
		}
	}
	switch {
	case bad > 0:
		first := e.Problems[slices.IndexFunc(e.Problems, func(p policy.Problem) bool { return !p.Warning })]
		more := ""
		if bad > 1 {
			more = fmt.Sprintf(" (and %d more)", bad-1)
		}
		e.add(Finding{Check: "configuration", Object: e.Branch, Level: Error, Message: first.String() + more,
			Why: "what cannot be read does not move", Remedy: "run towpath lint in a clone"})
	default:
		e.ok("configuration", e.Branch, "policies, pipeline and markers can be read")
	}
}

func (e *examination) login() {
	if e.Forge == localForge {
		return
	}
	if e.Login != nil {
		e.add(Finding{Check: "login", Object: e.Forge, Level: Error, Message: "it does not know us: " + e.Login.Error(),
			Why: "without it no pull request can be opened or judged", Remedy: "check --forge-url, --forge-repo and the token"})
		return
	}
	e.ok("login", e.Forge, "we are %s there", e.Rights.User)
}

func (e *examination) rights() {
	if e.RightsErr != nil {
		e.add(Finding{Check: "rights", Object: e.Forge, Level: Error, Message: "our rights cannot be read: " + e.RightsErr.Error(),
			Why: "nobody can say what would fail", Remedy: "check that the token may read the repository"})
		return
	}
	for _, m := range e.Rights.Missing {
		e.add(Finding{Check: "rights", Object: e.Forge, Level: Error, Message: fmt.Sprintf("%s lacks %s", e.Rights.User, m),
			Why: "proposing, showing gates and merging need it", Remedy: "give it to the account, the token or the App's installation, whichever lacks it"})
	}
	for _, m := range e.Rights.Optional {
		e.ok("rights", e.Forge, "%s lacks %s", e.Rights.User, m)
	}
	switch {
	case len(e.Rights.Missing) > 0:
	case !e.Rights.Write:
		e.add(Finding{Check: "rights", Object: e.Forge, Level: Error, Message: e.Rights.User + " may not write to the repository",
			Why: "proposing and merging need it", Remedy: "make it a collaborator with the right to write"})
	case e.Rights.Admin:
		e.add(Finding{Check: "rights", Object: e.Forge, Level: Warning, Message: e.Rights.User + " is an administrator of the repository",
			Why: "Towpath needs no such right, and whoever gets the token has it", Remedy: "use an account or App with the right to write only"})
	default:
		e.ok("rights", e.Forge, "%s may do what Towpath needs", e.Rights.User)
	}
	for _, team := range sortedKeys(e.Teams) {
		if err := e.Teams[team]; err != nil {
			e.add(Finding{Check: "approvals", Object: "team:" + team, Level: Error, Message: "its members cannot be read: " + err.Error(),
				Why: "an approval counts only when it is known to be of the team", Remedy: "correct the name, or give the right to read members of the organisation"})
		} else {
			e.ok("approvals", "team:"+team, "its members are known")
		}
	}
}

// local says what the local forge cannot do.
func (e *examination) local() {
	if e.Authenticated || e.Forge != localForge {
		return
	}
	e.environments(func(env policy.Environment) {
		if env.Gates.Approvals == nil {
			return
		}
		f := Finding{Check: "approvals", Object: env.Name, Why: "the local forge takes everybody's word for who they are",
			Remedy: "use a forge that knows its users (--forge), or accept it with --allow-unauthenticated-approvals"}
		if e.Unauthenticated {
			f.Level, f.Message = Warning, "approvals are counted although nobody proves who gave them"
		} else {
			f.Level, f.Message = Error, "no approval ever counts, so it stays closed"
		}
		e.add(f)
	})
}

func (e *examination) registries() {
	for _, r := range e.Registries {
		if r.Err != nil {
			e.add(Finding{Check: "registry", Object: r.Image, Level: Error, Message: "its tags cannot be listed: " + r.Err.Error(),
				Why: "no new version of it is ever seen", Remedy: "check the image's name and the credentials for its registry"})
			continue
		}
		e.ok("registry", r.Image, "its tags can be listed (%d)", r.Tags)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// list names things: a, b and c.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
