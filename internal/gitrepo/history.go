package gitrepo

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxLog is the most commits that Log returns, and what a limit ≤ 0 means.
const maxLog = 10_000

// visit is a commit met on a walk, with the walk's marks on it.
type visit struct {
	commit *object.Commit
	flags  uint8
	queued bool
}

// queue walks history newest first. A commit whose marks change after it was
// popped comes again, so marks reach all ancestors whatever the clocks said.
type queue struct {
	items []*visit
	seen  map[plumbing.Hash]*visit
	err   error // of the first commit that could not be read
}

func (q *queue) Len() int { return len(q.items) }
func (q *queue) Less(i, j int) bool {
	a, b := q.items[i].commit, q.items[j].commit
	if !a.Committer.When.Equal(b.Committer.When) {
		return a.Committer.When.After(b.Committer.When)
	}
	return bytes.Compare(a.Hash[:], b.Hash[:]) < 0
}
func (q *queue) Swap(i, j int) { q.items[i], q.items[j] = q.items[j], q.items[i] }

// Push and Pop are for container/heap only.
func (q *queue) Push(x any) { q.items = append(q.items, x.(*visit)) }
func (q *queue) Pop() any {
	last := q.items[len(q.items)-1]
	q.items = q.items[:len(q.items)-1]
	return last
}

// push adds marks to a commit and queues it when that is news.
func (q *queue) push(s *store, h plumbing.Hash, flags uint8) {
	if q.seen == nil {
		q.seen = map[plumbing.Hash]*visit{}
	}
	v := q.seen[h]
	if v == nil {
		c, err := s.commit(h)
		if err != nil {
			q.err = errors.Join(q.err, err)
			return
		}
		v = &visit{commit: c}
		q.seen[h] = v
	} else if v.flags|flags == v.flags {
		return
	}
	v.flags |= flags
	if !v.queued {
		v.queued = true
		heap.Push(q, v)
	}
}

func (q *queue) pop() (*visit, bool) {
	if len(q.items) == 0 {
		return nil, false
	}
	v := heap.Pop(q).(*visit)
	v.queued = false
	return v, true
}

// lookup returns a commit that a caller named: a missing one is ErrNoCommit,
// not damage, because hashes are also kept outside the repository.
func (r *Repo) lookup(hash string) (*store, *object.Commit, error) {
	s, v, err := r.state()
	if err != nil {
		return nil, nil, err
	}
	if len(hash) != hexHashSize || !plumbing.IsHash(hash) {
		return nil, nil, fmt.Errorf("%w: %q is no commit hash", ErrNoCommit, hash)
	}
	h := plumbing.NewHash(hash)
	c, err := s.commit(h)
	if errors.Is(err, plumbing.ErrObjectNotFound) && (!v.leadsTo(h) || s.has(h)) {
		return nil, nil, fmt.Errorf("%w: %s in %s; it may have been rewritten away, or not been fetched yet",
			ErrNoCommit, hash, r.remote.shown)
	}
	if err != nil {
		return nil, nil, r.broken(s, err)
	}
	return s, c, nil
}

// ReadCommit reads one commit of the cache; errors.Is ErrNoCommit.
func (r *Repo) ReadCommit(hash string) (Commit, error) {
	_, c, err := r.lookup(hash)
	if err != nil {
		return Commit{}, err
	}
	return commitOf(c), nil
}

func commitOf(c *object.Commit) Commit {
	out := Commit{
		Hash:      c.Hash.String(),
		Tree:      c.TreeHash.String(),
		Message:   c.Message,
		Author:    Identity{Name: c.Author.Name, Email: c.Author.Email},
		Committer: Identity{Name: c.Committer.Name, Email: c.Committer.Email},
		Time:      c.Committer.When.UTC(),
	}
	for _, p := range c.ParentHashes {
		out.Parents = append(out.Parents, p.String())
	}
	return out
}

// Log lists commit and its ancestors over all parents, newest first by commit
// time, at most limit of them (≤ 0 or too many: 10,000).
func (r *Repo) Log(commit string, limit int) ([]Commit, error) {
	s, c, err := r.lookup(commit)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > maxLog {
		limit = maxLog
	}
	var q queue
	q.push(s, c.Hash, 0)
	var out []Commit
	for len(out) < limit {
		v, ok := q.pop()
		if !ok {
			break
		}
		out = append(out, commitOf(v.commit))
		for _, p := range v.commit.ParentHashes {
			q.push(s, p, 0)
		}
		if q.err != nil {
			return nil, r.broken(s, q.err)
		}
	}
	return out, nil
}

// Marks of a walk from two commits.
const (
	fromA uint8 = 1 << iota
	fromB
	stale // an ancestor of a common ancestor
)

// common marks the ancestors of a and b until what is left to visit is known
// to be older than a common ancestor.
func (r *Repo) common(a, b string) (*queue, []*visit, error) {
	s, ca, err := r.lookup(a)
	if err != nil {
		return nil, nil, err
	}
	if _, _, err := r.lookup(b); err != nil {
		return nil, nil, err
	}
	q, found, err := common(s, ca.Hash, plumbing.NewHash(b))
	if err != nil {
		return nil, nil, r.broken(s, err)
	}
	return q, found, nil
}

func common(s *store, a, b plumbing.Hash) (*queue, []*visit, error) {
	q := &queue{}
	q.push(s, a, fromA)
	q.push(s, b, fromB)
	var found []*visit
	for q.err == nil && q.fresh() {
		v, _ := q.pop()
		flags := v.flags
		if flags&(fromA|fromB) == fromA|fromB {
			if flags&stale == 0 {
				found = append(found, v)
			}
			flags |= stale
		}
		for _, p := range v.commit.ParentHashes {
			q.push(s, p, flags)
		}
	}
	if q.err != nil {
		return nil, nil, q.err
	}
	return q, slices.DeleteFunc(found, func(v *visit) bool { return v.flags&stale != 0 }), nil
}

// fresh reports whether something is queued that is not stale.
func (q *queue) fresh() bool {
	return slices.ContainsFunc(q.items, func(v *visit) bool { return v.flags&stale == 0 })
}

// descends reports whether b is a or one of its descendants. What the store does
// not hold is no ancestor of what it holds.
func descends(s *store, a, b plumbing.Hash) (bool, error) {
	if !s.has(a) {
		return false, nil
	}
	q, _, err := common(s, a, b)
	if err != nil {
		return false, err
	}
	return q.seen[a].flags&fromB != 0, nil
}

// IsAncestor reports whether a is b or one of b's ancestors; errors.Is ErrNoCommit.
func (r *Repo) IsAncestor(a, b string) (bool, error) {
	q, _, err := r.common(a, b)
	if err != nil {
		return false, err
	}
	return q.seen[plumbing.NewHash(a)].flags&fromB != 0, nil
}

// MergeBase returns the newest best common ancestor of a and b, "" when they
// have none; errors.Is ErrNoCommit.
func (r *Repo) MergeBase(a, b string) (string, error) {
	_, found, err := r.common(a, b)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].commit.Hash.String(), nil
}
