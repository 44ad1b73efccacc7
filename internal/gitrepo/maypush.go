package gitrepo

import "context"

// MayPush asks whether the server would take a push of ours at all, without
// pushing: servers refuse to list the refs to those who may only read. A rule
// about single branches is not asked.
func (r *Repo) MayPush(ctx context.Context) error {
	ctx, release, err := r.acquire(ctx, "push to")
	if err != nil {
		return err
	}
	defer release()
	if _, err := r.listForPush(ctx); err != nil {
		return r.remoteError(ctx, "push to", err)
	}
	return nil
}
