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
