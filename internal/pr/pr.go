// Package pr holds pull requests as plain values: what is asked of a forge and
// what a forge answered. It is on floor 0: it knows no forge, no Git and no
// network, and must not import anything that does. The forges live in its
// subfolders (pr/local, later pr/github and pr/gitea).
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
}

// Comment is one comment. Key, when not empty, names a comment of ours that is
// edited in place instead of repeated.
type Comment struct {
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
}

// MergeRequest asks a forge to merge a pull request.
type MergeRequest struct {
	Number  int
	Head    string // must still be the head, else ErrHeadMoved
	Message string // squash message: subject, body and trailers
}
