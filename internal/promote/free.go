package promote

import (
	"context"
	"slices"

	"towpath.dev/towpath/internal/pr"
)

// maxFreed is on how many heads of other people's pull requests a tick sets our
// status.
const maxFreed = 20

// freeStatus is our status on a head that carries nothing of ours, so that it may
// be a required check: a check that never comes holds a pull request up for good.
func freeStatus(head string) pr.Check {
	return pr.Check{Context: pr.StatusContext, Commit: head, State: pr.CheckSuccess, Description: "no promotion of Towpath"}
}

// free sets that status on the heads of open pull requests that are not ours, once
// per head. Statuses belong to commits: a commit that is also the head of one of
// our branches or pull requests keeps what is said there.
func (b *Bot) free(ctx context.Context, s Situation, out *Outcome) {
	held := map[string]bool{}
	for _, h := range s.Branches {
		held[h.Commit] = true
	}
	for _, p := range s.Pulls {
		if _, ours := ownBlock(p); ours {
			held[p.Head] = true
		}
	}
	n := 0
	for _, p := range s.Pulls {
		want := freeStatus(p.Head)
		if !p.Open || p.Head == "" || held[p.Head] || slices.ContainsFunc(p.Checks, b.said(want)) {
			continue
		}
		if n++; n > maxFreed || ctx.Err() != nil || out.Limit != nil {
			return
		}
		out.failed(b.cfg.Forge.SetStatus(ctx, p.Number, want), "set the status of pull request #%d", p.Number)
	}
}
