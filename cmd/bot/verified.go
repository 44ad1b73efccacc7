package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/github"
)

// verifiedGit is the repository, with commits to branches made by GitHub, which
// signs them. Each is made on a branch of its own, read back and compared with
// what was wanted, and only then put where it belongs: no pull request loses its
// commits in between, and the ref is compared and swapped as ever.
type verifiedGit struct {
	*gitrepo.Repo
	forge *github.Forge
}

const (
	headsPrefix = "refs/heads/"
	// madePrefix is where GitHub makes commits. It is none of promote's branches,
	// and one that was left behind is used again.
	madePrefix = "towpath-commit/"
)

// Publish implements promote.Git. Errors are those of gitrepo's: ErrStale for a
// lost race, ErrRejected for what GitHub does not allow.
func (v verifiedGit) Publish(ctx context.Context, c gitrepo.Change, ref, old string) (gitrepo.Commit, error) {
	branch, ok := strings.CutPrefix(ref, headsPrefix)
	if !ok || c.Parent == "" {
		return v.Repo.Publish(ctx, c, ref, old) // records of ours, which no page shows
	}
	planned, err := v.Commit(ctx, c) // into the cache only
	if err != nil {
		return gitrepo.Commit{}, err
	}
	if planned.Hash == c.Parent {
		return planned, v.Push(ctx, gitrepo.Update{Ref: ref, Old: old, New: planned.Hash})
	}
	files, err := v.plainFiles(c.Parent, planned.Hash)
	if err != nil {
		return gitrepo.Commit{}, fmt.Errorf("commit to %s as --verified-commits: %w", branch, err)
	}
	made, err := v.make(ctx, madePrefix+branch, planned, github.Content{Message: c.Message, Files: files})
	if err != nil {
		return gitrepo.Commit{}, err
	}
	err = v.Push(ctx, gitrepo.Update{Ref: ref, Old: old, New: made.Hash},
		gitrepo.Update{Ref: headsPrefix + madePrefix + branch, Old: made.Hash})
	if err != nil {
		v.drop(ctx, madePrefix+branch)
	}
	return made, err
}

// plainFiles are the files that differ between two commits: all that GitHub can
// be told of, which knows neither modes nor links.
func (v verifiedGit) plainFiles(from, to string) (map[string][]byte, error) {
	before, err := v.Snapshot(from)
	if err != nil {
		return nil, err
	}
	after, err := v.Snapshot(to)
	if err != nil {
		return nil, err
	}
	paths, err := before.Changed(after, "")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range paths {
		info, err := fs.Lstat(after.FS(), path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			files[path] = nil
			continue
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is no plain file, and GitHub commits nothing else; leave it out, or commit without that flag", path)
		case info.Mode().Perm()&0o111 != 0:
			return nil, fmt.Errorf("%s is executable, which a commit made by GitHub would undo; take that mode away, or commit without that flag", path)
		}
		if files[path], err = fs.ReadFile(after.FS(), path); err != nil {
			return nil, err
		}
		if files[path] == nil {
			files[path] = []byte{} // an empty file is one
		}
	}
	return files, nil
}

// make lets GitHub make the planned commit on a branch and reads it back. The
// branch stays, unless the commit is not as planned.
func (v verifiedGit) make(ctx context.Context, branch string, planned gitrepo.Commit, c github.Content) (gitrepo.Commit, error) {
	parent := planned.Parents[0]
	if err := v.forge.PutBranch(ctx, branch, parent); err != nil {
		return gitrepo.Commit{}, gitError(err)
	}
	hash, err := v.forge.CommitOnBranch(ctx, branch, parent, c)
	if err != nil {
		if !errors.Is(err, pr.ErrHeadMoved) { // else somebody else is at it
			v.drop(ctx, branch)
		}
		return gitrepo.Commit{}, gitError(err)
	}
	made, err := v.bring(ctx, branch, hash)
	switch {
	case errors.Is(err, gitrepo.ErrNoCommit):
		return gitrepo.Commit{}, fmt.Errorf("%w: the branch %s led elsewhere before its commit was read", gitrepo.ErrStale, branch)
	case err != nil:
		return gitrepo.Commit{}, err
	case made.Tree != planned.Tree || len(made.Parents) != 1 || made.Parents[0] != parent:
		v.drop(ctx, branch)
		return gitrepo.Commit{}, fmt.Errorf("the commit %s that GitHub made is not the one that was asked for: its files or its parent differ, and it is not used", made.Hash)
	}
	return made, nil
}

// bring reads the commit that a branch was put at just now. What the cache knows
// of the branch may be older, so the refs are listed again where it is.
func (v verifiedGit) bring(ctx context.Context, branch, hash string) (gitrepo.Commit, error) {
	if err := v.Bring(ctx, headsPrefix+branch); err != nil {
		return gitrepo.Commit{}, err
	}
	made, err := v.ReadCommit(hash)
	if !errors.Is(err, gitrepo.ErrNoCommit) {
		return made, err
	}
	if err := v.Fetch(ctx); err != nil {
		return gitrepo.Commit{}, err
	}
	if err := v.Bring(ctx, headsPrefix+branch); err != nil {
		return gitrepo.Commit{}, err
	}
	return v.ReadCommit(hash)
}

// drop deletes a branch that a commit was to be made on. It is a courtesy: the
// next commit uses what stays.
func (v verifiedGit) drop(ctx context.Context, branch string) {
	_ = v.forge.DropBranch(ctx, branch)
}

// gitError tells errors of GitHub's in the words of Git.
func gitError(err error) error {
	switch {
	case errors.Is(err, pr.ErrHeadMoved):
		return fmt.Errorf("%w: %w", gitrepo.ErrStale, err)
	case errors.Is(err, pr.ErrForbidden):
		return fmt.Errorf("%w: %w", gitrepo.ErrRejected, err)
	}
	return err
}

// ours reports whether a commit is by us, made here or by GitHub for us. A token
// of a person's makes commits that look like that person's own, but for their
// trailers.
func (v verifiedGit) ours(c gitrepo.Commit) bool {
	return v.Ours(c) || v.forge.Made(c.Author.Email, c.Committer.Email) && strings.Contains(c.Message, "\nTowpath-Content: ")
}
