package gitrepo

import (
	"context"
	"errors"
	"io/fs"
)

var errSkeleton = errors.New("gitrepo: being built")

// Repo is one remote repository and its cache. Its methods may be called from several goroutines.
type Repo struct{ _ int }

// Open opens the cache of c.URL or clones it. It connects only when it must clone.
func Open(ctx context.Context, c Config) (*Repo, error) { return nil, errSkeleton }

// Close releases the cache for other processes.
func (r *Repo) Close() error { return nil }

// URL is the repository's URL without user information.
func (r *Repo) URL() string { return "" }

// Fetch brings refs and objects of refs/heads/* and refs/towpath/* up to date.
func (r *Repo) Fetch(ctx context.Context) error { return errSkeleton }

// Refs returns full ref names of the remote with prefix and their commits, as of the last Fetch or Push.
func (r *Repo) Refs(prefix string) (map[string]string, error) { return nil, errSkeleton }

// Head returns the commit of a branch; errors.Is ErrNoBranch or ErrEmpty.
func (r *Repo) Head(branch string) (string, error) { return "", errSkeleton }

// Snapshot returns the tree of a commit; errors.Is ErrNoCommit.
func (r *Repo) Snapshot(commit string) (Snapshot, error) { return Snapshot{}, errSkeleton }

// Log lists commit and its ancestors, newest first.
func (r *Repo) Log(commit string, limit int) ([]Commit, error) { return nil, errSkeleton }

// ReadCommit reads one commit; errors.Is ErrNoCommit.
func (r *Repo) ReadCommit(hash string) (Commit, error) { return Commit{}, errSkeleton }

// IsAncestor reports whether a is b or an ancestor of b.
func (r *Repo) IsAncestor(a, b string) (bool, error) { return false, errSkeleton }

// MergeBase returns the best common ancestor of a and b, "" when there is none.
func (r *Repo) MergeBase(a, b string) (string, error) { return "", errSkeleton }

// Commit writes a commit into the cache only. When the tree is Parent's and
// AllowEmpty is not set it writes nothing and returns the parent itself
// (Hash == Change.Parent).
func (r *Repo) Commit(ctx context.Context, c Change) (Commit, error) { return Commit{}, errSkeleton }

// Push moves refs on the server, each only if it is still at its Old; atomic when the server can.
func (r *Repo) Push(ctx context.Context, updates ...Update) error { return errSkeleton }

// Counts returns what was done since Open.
func (r *Repo) Counts() Counts { return Counts{} }

// Snapshot is the tree of one commit.
type Snapshot struct {
	Commit, Tree string
	repo         *Repo
}

// FS is the read-only tree; it implements fs.StatFS, fs.ReadDirFS and fs.ReadFileFS.
func (s Snapshot) FS() fs.FS { return nil }

// Hash returns the object hash of a file or directory.
func (s Snapshot) Hash(path string) (string, bool) { return "", false }

// Files reads the regular files below dir that keep wants (nil: all).
func (s Snapshot) Files(dir string, keep func(path string) bool) (map[string][]byte, error) {
	return nil, errSkeleton
}

// Changed lists the paths below dir that differ between s and other, sorted.
func (s Snapshot) Changed(other Snapshot, dir string) ([]string, error) { return nil, errSkeleton }
