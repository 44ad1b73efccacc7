package local

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
)

const maxNamed = 3 // conflicting files named in an error

// errClosed: closed as far as we know; somebody may have opened it again.
var errClosed = errors.New("it is closed")

// Merge puts what the head changed since it left the base onto the base's head
// as one commit with r.Message, closes the pull request and deletes its branch
// when that has our prefix, all in one atomic push, and returns that commit. When
// the base holds the change already, there is no new commit and the base's head is
// returned. Merging again returns the same commit.
//
// It knows squashes only, other methods are pr.ErrMethod. It refuses with
// pr.ErrHeadMoved when the head is not r.Head, with
// pr.ErrConflict when a file was changed on both sides (files are never merged
// as text), and with pr.ErrBaseMoved when others pushed twice meanwhile.
func (f *Forge) Merge(ctx context.Context, r pr.MergeRequest) (string, error) {
	if r.Method != "" && r.Method != pr.Squash {
		return "", fmt.Errorf("merge pull request %d: %w: %s; the local forge squashes", r.Number, pr.ErrMethod, r.Method)
	}
	commit, err := f.merge(ctx, r)
	if errors.Is(err, gitrepo.ErrStale) || errors.Is(err, pr.ErrNotFound) || errors.Is(err, errClosed) {
		if err = f.c.Git.Fetch(ctx); err == nil {
			commit, err = f.merge(ctx, r)
		}
	}
	if errors.Is(err, gitrepo.ErrStale) {
		commit, err = f.overtaken(ctx, r, err)
	}
	if err != nil {
		return "", fmt.Errorf("merge pull request %d: %w", r.Number, err)
	}
	return commit, nil
}

// overtaken looks whether whoever was first merged this very pull request.
func (f *Forge) overtaken(ctx context.Context, r pr.MergeRequest, stale error) (string, error) {
	if err := f.c.Git.Fetch(ctx); err != nil {
		return "", err
	}
	v, err := f.view(ctx)
	if err != nil {
		return "", err
	}
	if s, err := v.find(r.Number); err == nil && s.rec.Merged && s.rec.MergedHead == r.Head {
		return s.rec.MergeCommit, nil
	}
	return "", fmt.Errorf("%w: %w", pr.ErrBaseMoved, stale)
}

func (f *Forge) merge(ctx context.Context, r pr.MergeRequest) (string, error) {
	v, err := f.view(ctx)
	if err != nil {
		return "", err
	}
	s, err := v.find(r.Number)
	if err != nil {
		return "", err
	}
	if r.Base != "" && s.rec.Base != r.Base {
		return "", fmt.Errorf("%w: its base is %s, not %s", pr.ErrHeadMoved, s.rec.Base, r.Base)
	}
	if s.rec.Merged && s.rec.MergedHead == r.Head {
		return s.rec.MergeCommit, nil
	}
	if !s.rec.Open {
		return "", errClosed
	}
	head, base := v.head(s.rec.Branch), v.head(s.rec.Base)
	switch {
	case head == "":
		return "", fmt.Errorf("%w: the branch %s is gone", pr.ErrHeadMoved, s.rec.Branch)
	case head != r.Head:
		return "", fmt.Errorf("%w: it is at %s, not at %s", pr.ErrHeadMoved, short(head), short(r.Head))
	case base == "":
		return "", fmt.Errorf("base branch %q is not in the repository: %w", s.rec.Base, gitrepo.ErrNoBranch)
	}
	commit, err := f.squash(ctx, s, head, base, r.Message)
	if err != nil {
		return "", err
	}
	return commit, f.land(ctx, s, head, base, commit)
}

// squash makes the commit: the base's head with the files that the head changed.
func (f *Forge) squash(ctx context.Context, s *stored, head, base, message string) (string, error) {
	paths, err := f.changed(head, base)
	if err != nil {
		return "", err
	}
	if message == "" {
		message = fmt.Sprintf("%s (#%d)\n", s.rec.Title, s.rec.Number)
	}
	from := map[string]string{}
	for _, p := range paths {
		from[p] = head
	}
	c, err := f.c.Git.Commit(ctx, gitrepo.Change{Parent: base, Copy: from, Message: message, Time: f.now()})
	return c.Hash, err
}

// changed lists what the head changed since it left the base, or pr.ErrConflict
// when the base changed some of it otherwise.
func (f *Forge) changed(head, base string) ([]string, error) {
	parted, err := f.c.Git.MergeBase(head, base)
	if err != nil {
		return nil, err
	}
	if parted == "" {
		return nil, fmt.Errorf("%w: the branches have no common commit", pr.ErrConflict)
	}
	var snaps [3]gitrepo.Snapshot
	for i, commit := range []string{parted, head, base} {
		if snaps[i], err = f.c.Git.Snapshot(commit); err != nil {
			return nil, err
		}
	}
	paths, err := snaps[0].Changed(snaps[1], ".")
	if err != nil {
		return nil, err
	}
	paths = topmost(paths)
	var both []string
	for _, p := range paths {
		was, _ := snaps[0].Hash(p)
		theirs, _ := snaps[1].Hash(p)
		ours, _ := snaps[2].Hash(p)
		if ours != was && ours != theirs {
			both = append(both, p)
		}
	}
	if len(both) > 0 {
		return nil, fmt.Errorf("%w: changed on both sides: %s", pr.ErrConflict, some(both))
	}
	return paths, nil
}

// land moves the base, closes the record and deletes the branch in one push.
func (f *Forge) land(ctx context.Context, s *stored, head, base, commit string) error {
	rec := s.rec
	rec.Open, rec.Merged = false, true
	rec.Closed, rec.ClosedBy = f.now(), f.c.User
	rec.MergedHead, rec.MergeCommit = head, commit
	closed, err := f.commit(ctx, s, map[string][]byte{pullFile: encode(rec)}, "merge as "+commit)
	if err != nil {
		return err
	}
	left := "" // of the branch
	if !strings.HasPrefix(rec.Branch, f.c.Prefix) {
		left = head
	}
	return f.c.Git.Push(ctx,
		// The base first: should a server carry out only the first of them, the
		// next Merge finds the change there and closes the record. When the base
		// holds the change already this moves nothing, but must still be true.
		gitrepo.Update{Ref: headRef(rec.Base), Old: base, New: commit},
		gitrepo.Update{Ref: pullRef(rec.Number), Old: s.commit, New: closed},
		gitrepo.Update{Ref: headRef(rec.Branch), Old: head, New: left})
}

// topmost drops paths below another path of the list: where a file became a
// directory, the directory is taken whole. paths is sorted.
func topmost(paths []string) []string {
	in := map[string]bool{}
	for _, p := range paths {
		in[p] = true
	}
	var out []string
	for _, p := range paths {
		below := false
		for i, c := range p {
			below = below || c == '/' && in[p[:i]]
		}
		if !below {
			out = append(out, p)
		}
	}
	return out
}

func some(paths []string) string {
	if len(paths) <= maxNamed {
		return strings.Join(paths, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(paths[:maxNamed], ", "), len(paths)-maxNamed)
}
