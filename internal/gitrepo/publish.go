package gitrepo

import (
	"context"
	"errors"
)

// Publish makes the commit of c and puts it at ref, if that is still at old ("":
// absent); errors are those of Commit and Push. A change that changes nothing
// publishes its parent.
func (r *Repo) Publish(ctx context.Context, c Change, ref, old string) (Commit, error) {
	made, err := r.Commit(ctx, c)
	if err != nil {
		return Commit{}, err
	}
	return made, r.Push(ctx, Update{Ref: ref, Old: old, New: made.Hash})
}

// Bring makes the commits readable that refs of the server lead to: full names,
// of any kind, also such as Fetch does not follow. A ref that is not there is no
// error: its commit stays unreadable. It costs one connection, and none when the
// cache holds all as listed last. Later fetches do not follow these refs; what
// was downloaded stays until the cache is cloned anew. Refs shows the new heads;
// those of followed refs stay as they were until Fetch.
func (r *Repo) Bring(ctx context.Context, refs ...string) error {
	ctx, release, err := r.acquire(ctx, "fetch")
	if err != nil {
		return err
	}
	defer release()
	s, old, err := r.state()
	if err != nil {
		return err
	}
	if len(refs) == 0 || s.holds(old, refs) {
		return nil
	}
	fresh, err := r.fetchInto(ctx, s, old, refs)
	if err != nil {
		var broken storeError
		if errors.As(err, &broken) && !onDisk(err) && ctx.Err() == nil {
			err = r.broken(s, err)
		}
		return r.remoteError(ctx, "fetch", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.view.others = fresh.others
	return nil
}

// holds reports whether the cache has what the refs led to when they were listed.
func (s *store) holds(v view, refs []string) bool {
	for _, name := range refs {
		h, ok := v.refs[name]
		if !ok {
			h, ok = v.others[name]
		}
		if !ok || !s.has(h) {
			return false
		}
	}
	return true
}
