package gitrepo

import (
	"errors"
	"log/slog"
	"time"
)

// Errors a caller branches on. Every returned error wraps at most one of them
// and says what to do.
var (
	// ErrStale: an Old of a Push no longer holds on the server. Fetch and decide again.
	ErrStale = errors.New("the remote ref has moved")
	// ErrNoBranch: the repository has commits, but not this branch.
	ErrNoBranch = errors.New("branch not found")
	// ErrEmpty: the repository has no branch at all.
	ErrEmpty = errors.New("repository is empty")
	// ErrNoCommit: the cache holds no such commit.
	ErrNoCommit = errors.New("commit not found")
	// ErrUnauthorized: the server refused the credentials, or wants some.
	ErrUnauthorized = errors.New("not authorized")
	// ErrNotFound: there is no repository at the URL (or the server hides it).
	ErrNotFound = errors.New("repository not found")
	// ErrHostKey: the ssh server's key is unknown or is another one.
	ErrHostKey = errors.New("ssh host key not accepted")
	// ErrRejected: the server took the push but refused to move a ref: a hook,
	// a protected branch, a rule. Trying again does not help.
	ErrRejected = errors.New("push rejected")
	// ErrRewritten: the base branch's new head does not descend from the one seen
	// last. Nothing is followed until Config.AllowRewrite is set.
	ErrRewritten = errors.New("base branch was rewritten")
	// ErrShallow: the server's own repository lacks a part of the history.
	ErrShallow = errors.New("repository is shallow")
	// ErrFormat: the repository names its objects by another hash than SHA-1.
	ErrFormat = errors.New("object format is not supported")
	// ErrClosed: the Repo was closed.
	ErrClosed = errors.New("repository is closed")
)

// Config says which repository and where its cache lies.
type Config struct {
	// URL is a path, file://, http(s)://, ssh:// or scp-like (git@host:path).
	// User information in it is used when Auth names no files, and never shown.
	URL string
	// Dir holds the cache; it may be deleted whenever no process uses it. The
	// first process takes Dir/clone-0, a second one at the same time Dir/clone-1, …
	Dir string
	// Branch is the base branch. With it only that, refs/heads/towpath/*,
	// refs/towpath/* and refs/heads/gh-readonly-queue/Branch/* are downloaded;
	// of other branches and pull requests the hash is known, and Bring downloads
	// them. "" downloads every branch, and no rewriting is noticed.
	Branch string
	// AllowRewrite follows a base branch that was rewritten, with one warning.
	// The head seen last is in the cache: with an empty one nothing is known.
	AllowRewrite bool
	// Auth names the files that hold credentials, read again at each connection.
	Auth Auth
	// Author is who commits are by; what is empty is "Towpath", "towpath@localhost".
	Author Identity
	// Committer is who makes them; what is empty is Author's.
	Committer Identity
	// Sign signs every commit with a key; the zero value signs none.
	Sign Signing
	// Now is the clock of commits; nil is time.Now.
	Now func() time.Time
	// MaxFileSize limits what is read from one file; 0 is DefaultMaxFileSize.
	MaxFileSize int64
	// Timeout limits one Fetch or Push; 0 is DefaultTimeout.
	Timeout time.Duration
	// Logger gets one line per rebuilt cache or rewritten base; nil is silent.
	Logger *slog.Logger
}

// Limits. A Config may change those that have a field.
const (
	DefaultMaxFileSize = 4 << 20          // bytes of one file
	DefaultTimeout     = 10 * time.Minute // one Fetch or Push
)

// Identity is a name and an address as Git writes them.
type Identity struct{ Name, Email string }

// Commit is a commit as read from, or written to, the cache.
type Commit struct {
	Hash, Tree, Message string
	Parents             []string
	Author, Committer   Identity
	Time                time.Time // of the committer, UTC
}

// Change is a wanted commit.
type Change struct {
	// Parent is the commit it builds on; "" makes a commit without parent.
	Parent string
	// Files maps slash-separated paths to new contents; nil deletes (deleting
	// what is not there is no change), []byte{} is an empty file. Modes of
	// existing files are kept, new files are 100644. Symbolic links, submodules
	// and directories are never overwritten.
	Files map[string][]byte
	// Copy maps paths to commits: the entry at path (file with its mode, link
	// or whole directory) is taken from that commit as it is there; when it
	// has none, the path is deleted. No path may be in Files as well.
	Copy map[string]string
	// ReplaceTree: the tree holds only Files and Copy, nothing of Parent's.
	ReplaceTree bool
	// AllowEmpty makes a commit even when the tree is Parent's.
	AllowEmpty bool
	Message    string
	Author     Identity  // zero: Config.Author. The committer is always Config.Committer
	Time       time.Time // zero: Config.Now; kept to the second, in UTC
}

// Update moves one ref of the server, if it is still at Old.
type Update struct {
	Ref string // full name, refs/heads/… or refs/towpath/…
	Old string // commit expected there; "" = the ref must not exist
	New string // commit to put there; "" = delete
}

// Counts is what a Repo has done since Open.
type Counts struct {
	Clones         int // caches built from nothing
	Fetches        int // successful connections that read refs
	Pushes         int // successful pushes
	ObjectsWritten int // blobs, trees and commits newly written by Commit
	ObjectsSent    int // objects in the packs of all pushes
	Connections    int // conversations begun with the server; each begins with one listing of the refs
}
