package promote

import (
	"fmt"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
)

// headSeen is a head of a branch of ours, as it was on a head of the base branch.
type headSeen struct {
	head BranchHead
	base string
}

// branches reads the heads of our own branches, so that a commit somebody else
// put there is seen and a head that is up to date is not built again. What is
// known of a commit stays true; only whether it begins on the base branch is
// asked again when that moved.
func (b *Bot) branches(base string) (map[string]BranchHead, error) {
	refs, err := b.cfg.Git.Refs("refs/heads/towpath/")
	if err != nil {
		return nil, fmt.Errorf("list our branches: %w", err)
	}
	out, now := map[string]BranchHead{}, map[string]headSeen{}
	grown := map[string]bool{} // heads of the base branch that base is made of
	for ref, hash := range refs {
		known, ok := b.seen.heads[hash]
		if !ok {
			known.head, err = b.branchHead(hash)
		}
		if err == nil && known.base != base {
			known, err = b.onBase(known, base, grown)
		}
		if err != nil {
			return nil, fmt.Errorf("read branch %s: %w", strings.TrimPrefix(ref, "refs/heads/"), err)
		}
		now[hash] = known
		out[strings.TrimPrefix(ref, "refs/heads/")] = known.head
	}
	b.seen.heads = now
	return out, nil
}

// onBase finds whether a head of ours begins on the base branch. One that did
// still does when the base branch only grew, which grown keeps for the next one.
func (b *Bot) onBase(known headSeen, base string, grown map[string]bool) (headSeen, error) {
	before := known.base
	known.base = base
	if known.head.Foreign {
		return known, nil // nobody asks
	}
	if known.head.OnBase && before != "" {
		if _, asked := grown[before]; !asked {
			// A commit that is gone is no reason to fail: then the head itself is asked.
			is, err := b.cfg.Git.IsAncestor(before, base)
			grown[before] = is && err == nil
		}
		if grown[before] {
			return known, nil
		}
	}
	is, err := b.cfg.Git.IsAncestor(known.head.Parent, base)
	known.head.OnBase = is
	return known, err
}

// branchHead reads what a head is, but for OnBase.
func (b *Bot) branchHead(hash string) (BranchHead, error) {
	c, err := b.cfg.Git.ReadCommit(hash)
	if err != nil {
		return BranchHead{}, err
	}
	h := BranchHead{Commit: hash, Content: trailer(c.Message, trailerContent)}
	h.People = []gitrepo.Identity{c.Author, c.Committer}
	h.Foreign = !b.cfg.Ours(c) || h.Content == "" || len(c.Parents) != 1
	if h.Foreign {
		return h, nil
	}
	h.Parent = c.Parents[0]
	head, err := b.cfg.Git.Snapshot(hash)
	if err != nil {
		return h, err
	}
	parent, err := b.cfg.Git.Snapshot(h.Parent)
	if err != nil {
		return h, err
	}
	h.Paths, err = head.Changed(parent, "")
	if err != nil {
		return h, err
	}
	h.Files, h.Before = map[string]string{}, map[string]string{}
	for _, p := range h.Paths {
		h.Files[p], _ = head.Hash(p)
		h.Before[p], _ = parent.Hash(p)
	}
	return h, nil
}
