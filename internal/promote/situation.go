package promote

import (
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

// Situation is everything a decision is made from, loaded once. Nothing in it
// changes afterwards.
type Situation struct {
	Now       time.Time
	Branch    string
	Commit    string // head of Branch
	Policies  []policy.Policy
	Pipelines []policy.Pipeline
	Problems  []policy.Problem // bad documents, manifests and markers
	Envs      map[string]EnvState
	Listings  map[string]scan.Listing // canonical repository → what the registry said
	Choices   []scan.Result           // one per policy at an app of an entry environment
	Asked     bool                    // registries were asked; if not, Choices say nothing
	Sights    []state.Sight           // digests seen for the first time: recorded before anything else
	Scans     []state.ScanProblem     // what keeps registries' answers from being acted on, as recorded when not Asked
	Reports   []state.Report
	Pulls     []pr.Pull
	Branches  map[string]BranchHead // towpath/… branch → its head
	Past      map[string][]Held     // environment/app → what it held, newest first; only where something would move
	Teams     map[string]Team       // the teams that an approval depends on
	Limit     *pr.LimitError        // the forge is not to be asked now: Pulls is empty whatever there is
	Config    Rules

	record  bool               // Sights and Scans are news
	refused map[string]refusal // head → why the forge did not merge it
	unheard map[int]bool       // pull requests with commands that are not carried out yet
}

// Rules are the parts of Config that decisions depend on.
type Rules struct {
	AllowUnauthenticated bool
	Authenticated        bool // the forge proves who wrote a review
	Silence              time.Duration
	User                 string // our name at the forge
	Howto                Howto
}

// EnvState is an environment as its directory on the base branch holds it.
type EnvState struct {
	Env     policy.Environment
	Apps    []AppState // sorted by name
	Problem string     // why the directory could not be read; Apps is empty then

	problems []policy.Problem // with single apps, which are left out
}

// App returns the state of one app.
func (e EnvState) App(name string) (AppState, bool) {
	i, ok := slices.BinarySearchFunc(e.Apps, name, func(a AppState, name string) int { return strings.Compare(a.Name, name) })
	if ok {
		return e.Apps[i], true
	}
	return AppState{}, false
}

// AppState is one app of an environment.
type AppState struct {
	Env, Name, Dir string
	Files          []patch.File   // only files with markers
	Markers        []patch.Marker // usable ones
	Skipped        []patch.Skipped
	Values         map[string]image.Ref // policy → what the markers hold; Repo may be empty when only :tag is marked
	Content        string               // patch.Content of Values

	misplaced []policy.Problem // policies and pipelines among its files
}

// BranchHead is the head commit of one of our branches.
type BranchHead struct {
	Commit  string
	Parent  string
	Foreign bool               // not made by us: hands off
	OnBase  bool               // Parent is on the base branch
	Files   map[string]string  // path → object hash at Commit, of the paths that differ from Parent
	Before  map[string]string  // the same at Parent
	Paths   []string           // paths that differ from Parent
	Content string             // from the trailer
	People  []gitrepo.Identity // author and committer
}

// Move is a step that should happen: wanted values for one app in one
// environment. A move that may not be proposed yet has Hold set.
type Move struct {
	Env        policy.Environment
	App        string
	From       string // environment before, or "registry"
	FromCommit string // base commit at which From held the values
	Sets       []patch.Set
	Edits      []patch.Edit
	Files      []patch.File // changed files, whole
	Values     map[string]image.Ref
	Content    string
	Why        []string // one line per value
	Hold       []string // why it is not proposed now; empty: go
	Reverted   []string // policies whose values a person took back; Hold says why
	Next       time.Time
}

// Key identifies the move: at most one pull request is open per key.
func (m Move) Key() string { return m.Env.Name + "/" + m.App }

// ownPrefix is how the names of our branches begin.
const ownPrefix = "towpath/"

// BranchOf is the head branch of a key's pull request.
func BranchOf(env, app string) string { return ownPrefix + env + "/" + app }
