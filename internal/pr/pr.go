// Package pr holds pull requests as plain values: what is asked of a forge and
// what a forge answered. It is on floor 0: it knows no forge, no Git and no
// network, and must not import anything that does. The forges live in its
// subfolders (pr/local, pr/github, pr/gitea).
package pr

import (
	"slices"
	"time"
)

// Labels with a meaning to Towpath. People may set or remove them.
const (
	LabelHold   = "towpath/hold"   // a person's stop: never merge while it is there
	LabelRetry  = "towpath/retry"  // releases a rejected (closed unmerged) content
	LabelEdited = "towpath/edited" // somebody else committed to the branch: hands off
	LabelPromo  = "towpath/promotion"
)

// KeyHold is the key of the comment that says who holds a pull request and why.
const KeyHold = "hold"

// The commit statuses that Towpath writes: on every head of its own, and on every
// head of somebody else's that it has checked.
const (
	StatusContext = "towpath/gates"
	LintContext   = "towpath/lint"
)

// Request is a wanted pull request. Branch and Base identify it: at most one
// open pull request exists per pair.
type Request struct {
	Branch string // head branch, without refs/heads/
	Base   string // base branch, without refs/heads/
	Head   string // commit the branch must point at
	Title  string
	Body   string // ends with the hidden block, see Block
	Labels []string
}

// Pull is a pull request loaded once from a forge.
type Pull struct {
	Number   int       `json:"number"`
	Branch   string    `json:"branch"`
	Base     string    `json:"base"`
	Head     string    `json:"head"` // commit the branch pointed at when loaded; "" when the branch is gone
	Title    string    `json:"title"`
	Body     string    `json:"body"`
	Author   string    `json:"author"`
	Open     bool      `json:"open"`
	Merged   bool      `json:"merged"`
	ClosedBy string    `json:"closedBy,omitempty"`
	Created  time.Time `json:"created"`
	Closed   time.Time `json:"closed,omitzero"`
	Labels   []string  `json:"labels,omitempty"`
	Reviews  []Review  `json:"reviews,omitempty"`
	Comments []Comment `json:"comments,omitempty"`
	Checks   []Check   `json:"checks,omitempty"` // of Head only
	URL      string    `json:"url,omitempty"`
	// MergeCommit is the commit on Base that carried it in, when Merged.
	MergeCommit string `json:"mergeCommit,omitempty"`
	// Ref is the full name of a ref of the repository that leads to Head:
	// refs/heads/x, refs/pull/7/head. "" is refs/heads/Branch.
	Ref string `json:"ref,omitempty"`
	// Fork: the head is a branch of another repository, so Branch is none of
	// ours whatever it is called.
	Fork    bool      `json:"fork,omitempty"`
	Draft   bool      `json:"draft,omitempty"`
	Updated time.Time `json:"updated,omitzero"`
	// Queued: it waits in the base's merge queue, or the forge was asked to merge
	// it as soon as its own rules are met.
	Queued bool `json:"queued,omitempty"`
}

// HeadRef is Ref, or the branch's.
func (p Pull) HeadRef() string {
	if p.Ref != "" || p.Branch == "" {
		return p.Ref
	}
	return "refs/heads/" + p.Branch
}

// HasLabel reports whether l is among the pull request's labels.
func (p Pull) HasLabel(l string) bool { return slices.Contains(p.Labels, l) }

// ReviewState is a person's word on a pull request.
type ReviewState string

// The states of a review.
const (
	Approved         ReviewState = "approved"
	ChangesRequested ReviewState = "changes_requested"
	Dismissed        ReviewState = "dismissed"
)

// Review is one review of one person.
type Review struct {
	User   string      `json:"user"`
	State  ReviewState `json:"state"`
	Commit string      `json:"commit"` // head it was given for
	At     time.Time   `json:"at"`
	Body   string      `json:"body,omitempty"`
	// Authenticated reports whether the forge proved who User is. The local
	// forge cannot.
	Authenticated bool `json:"authenticated"`
	// CanWrite reports whether the forge says that User may write to the
	// repository: in a public one anybody may approve.
	CanWrite bool `json:"canWrite,omitempty"`
}

// Comment is one comment. Key, when not empty, names a comment of ours that is
// edited in place instead of repeated.
type Comment struct {
	// ID orders the comments of one pull request; 0 where the forge gives none.
	ID   int64     `json:"id,omitempty"`
	User string    `json:"user"`
	Key  string    `json:"key,omitempty"`
	Body string    `json:"body"`
	At   time.Time `json:"at"`
}

// CheckState is the state of a commit status.
type CheckState string

// The states of a check.
const (
	CheckPending CheckState = "pending"
	CheckSuccess CheckState = "success"
	CheckFailure CheckState = "failure"
)

// Check is a commit status. Description is at most 140 characters (GitHub's limit).
type Check struct {
	Context     string     `json:"context"`
	State       CheckState `json:"state"`
	Description string     `json:"description"`
	Commit      string     `json:"commit"`
	// App is who wrote it, as far as the forge tells: a user's name or an App's.
	App string `json:"app,omitempty"`
}

// Says reports whether c says the same as d, whoever wrote it.
func (c Check) Says(d Check) bool {
	c.App, d.App = "", ""
	return c == d
}

// Method is how a pull request becomes commits of its base.
type Method string

// The methods of merging.
const (
	Squash Method = "squash" // one commit with the message of the request
	Merge  Method = "merge"  // a merge commit
	Rebase Method = "rebase" // the commits themselves, made anew on the base
)

// MergeRequest asks a forge to merge a pull request.
type MergeRequest struct {
	Number  int
	Head    string // must still be the head, else ErrHeadMoved
	Base    string // must still be the base, else ErrHeadMoved; "": not looked at
	Message string // of the squash or merge commit: subject, body and trailers
	Method  Method // "": the forge's Config says, else squash where it is allowed
	// Bypass: a right to merge past the forge's own rules may be used. Never for
	// an environment that asks for approvals.
	Bypass bool
}

// ReportState is how an environment is, in a Report.
type ReportState string

// The states of a report.
const (
	ReportProgress ReportState = "progress"
	ReportHealthy  ReportState = "healthy"
	ReportFailing  ReportState = "failing"
)

// Report is what an environment runs, for the forge's own pages: a deployment
// where the forge knows such.
type Report struct {
	Env         string
	Commit      string // of the base branch
	State       ReportState
	Description string // at most 140 characters
}

// Rights are what the forge lets us do in the repository.
type Rights struct {
	User  string // our name there
	Read  bool
	Write bool // push, pull requests, statuses
	Admin bool
	// Missing names rights that Towpath needs and has not, in the forge's words:
	// "pull requests: write".
	Missing []string
	// Optional names rights that are missing, too, but without which only something
	// less is shown or checked; each says what.
	Optional []string
}

// RequiredCheck is a check that the forge wants before it merges. App is whose it
// must be; "": anybody's.
type RequiredCheck struct{ Context, App string }

// RequiredReviewers must approve changes of some paths.
type RequiredReviewers struct {
	Paths     []string
	Reviewers string // a team or user
	Approvals int
}

// Rules are what the forge itself asks of changes to a branch, however it words
// it (branch protection, rulesets), and what it lets us do.
type Rules struct {
	Branch    string
	Protected bool
	Methods   []Method // that the repository and the rules allow
	// Push: we may push to it without a pull request; Bypass: we may merge past
	// the rules.
	Push, Bypass bool
	// PushUnknown: what would say whether we may push cannot be read. Push is false then.
	PushUnknown  bool
	NoMerge      string // why we may not merge at all, in the forge's terms; "": nothing is known against it
	Approvals    int    // that it asks for, of people with the right to write
	CodeOwners   bool
	DismissStale bool // a new head drops approvals
	LastPush     bool // the last push must be approved by somebody else
	Checks       []RequiredCheck
	UpToDate     bool // the head must hold the base's
	Queue        bool // merges go through a merge queue
	AutoMerge    bool // it merges by itself what it was asked to, once its rules are met
	Linear       bool
	Signed       bool
	Reviewers    []RequiredReviewers
	// Unknown are the parts that could not be read, each with why and what would
	// help. Nothing may be concluded from their zero values.
	Unknown []string
}
