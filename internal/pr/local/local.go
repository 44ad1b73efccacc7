// Package local is the forge that needs no server: pull requests live as refs
// and JSON in the bare repository itself. Floor 2: it builds on gitrepo and pr,
// stores nothing anywhere else, and decides nothing about promotions.
//
// # Format
//
// Each pull request is one ref, refs/towpath/pulls/<number>, whose commits are
// its history (`git log refs/towpath/pulls/1`) and whose tree is its present:
//
//	pull.json                      what it is, open or not, its labels
//	reviews/0001.json              one file per review, in order
//	comments/0001.json             one file per comment, in order
//	checks/<head>/<context>.json   commit statuses, a file per head and context
//
// so that `git show refs/towpath/pulls/1:pull.json` shows it. All JSON is
// indented, in the words of package pr.
//
// Every write is one commit on the ref, pushed by compare-and-swap and made
// again on fresh data when another writer was first. A new pull request takes
// the highest number plus one by creating its ref: of two bots with the same
// idea one gets ErrStale, reads again and finds the other's. Pull requests are
// never opened again once closed, so a stale cache can believe one open that is
// closed, never the reverse; that is why there is at most one open per branch
// and base.
//
// Who wrote what is only what the writer said: nothing here is authenticated.
package local

import (
	"context"
	"errors"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
)

// RefPrefix is where the pull requests are.
const RefPrefix = "refs/towpath/pulls/"

// Git is what the forge needs of a repository; *gitrepo.Repo has it.
type Git interface {
	Fetch(ctx context.Context) error
	Refs(prefix string) (map[string]string, error)
	Snapshot(commit string) (gitrepo.Snapshot, error)
	MergeBase(a, b string) (string, error)
	Commit(ctx context.Context, c gitrepo.Change) (gitrepo.Commit, error)
	Push(ctx context.Context, updates ...gitrepo.Update) error
}

// Config describes a Forge. Git and User are required.
type Config struct {
	Git  Git
	User string           // who acts: "towpath" for the bot, a person's name for the CLI
	Now  func() time.Time // nil: time.Now
}

// Forge keeps pull requests in a repository. It may be used from many goroutines.
type Forge struct{ c Config }

var errSkeleton = errors.New("not written")

// New returns a Forge. It reads nothing.
func New(c Config) *Forge { return &Forge{c: c} }

// Authenticated reports whether the forge proves who reviewed; this one cannot.
func (f *Forge) Authenticated() bool { return false }

// List returns the pull requests onto base as of the last Fetch, newest first.
func (f *Forge) List(ctx context.Context, base string) ([]pr.Pull, error) { return nil, errSkeleton }

// Get returns one pull request as of the last Fetch, or pr.ErrNotFound.
func (f *Forge) Get(ctx context.Context, number int) (pr.Pull, error) { return pr.Pull{}, errSkeleton }

// Ensure makes the open pull request of r.Branch and r.Base be as r says.
func (f *Forge) Ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	return pr.Pull{}, errSkeleton
}

// Merge squashes a pull request onto its base and returns the commit.
func (f *Forge) Merge(ctx context.Context, r pr.MergeRequest) (string, error) { return "", errSkeleton }

// Close closes a pull request unmerged.
func (f *Forge) Close(ctx context.Context, number int, comment string) error { return errSkeleton }

// Comment adds a comment, or edits the one of the same Key.
func (f *Forge) Comment(ctx context.Context, number int, c pr.Comment) error { return errSkeleton }

// SetLabel adds or removes a label.
func (f *Forge) SetLabel(ctx context.Context, number int, label string, on bool) error {
	return errSkeleton
}

// SetStatus sets a commit status.
func (f *Forge) SetStatus(ctx context.Context, number int, c pr.Check) error { return errSkeleton }

// Review adds a review.
func (f *Forge) Review(ctx context.Context, number int, r pr.Review) error { return errSkeleton }
