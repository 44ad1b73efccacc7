package promote

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

// queuePrefix is where GitHub's merge queue puts the commits that it tries.
const queuePrefix = "refs/heads/gh-readonly-queue/"

// maxQueued is how many commits of a merge queue a tick looks at.
const maxQueued = 50

var queueName = regexp.MustCompile(`^pr-([1-9][0-9]{0,8})-`)

// entry is a commit that a merge queue tries, for one pull request.
type entry struct {
	ref, head string
	number    int
	verdict   Verdict // of the pull request's own gates
	ours      bool
}

// queue says on the commits that a merge queue tries what we say of their pull
// requests: success when one is not ours or its gates pass, failure when a person
// stopped it; nothing while it waits. Written once per commit.
func (b *Bot) queue(ctx context.Context, s Situation, out *Outcome) {
	refs, err := b.cfg.Git.Refs(queuePrefix + s.Branch + "/")
	if err != nil || len(refs) == 0 {
		b.queued = nil
		out.failed(err, "list the merge queue of %s", s.Branch)
		return
	}
	entries := s.entries(refs)
	before := b.queued
	b.queued = map[string]pr.CheckState{}
	for i, e := range entries {
		if i == maxQueued || out.Limit != nil {
			return
		}
		want := freeStatus(e.head)
		if e.ours || slices.ContainsFunc(entries, func(o entry) bool { return o.ours }) {
			var wait bool
			if want, wait = b.queueStatus(ctx, e, entries); wait {
				continue
			}
		}
		if before[e.head] != want.State && out.failed(b.cfg.Forge.SetStatus(ctx, e.number, want), "set the status of %s", e.ref) {
			continue
		}
		b.queued[e.head] = want.State
	}
}

// entries are the commits of the queue, by ref.
func (s Situation) entries(refs map[string]string) []entry {
	var out []entry
	plan := Decide(s)
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		m := queueName.FindStringSubmatch(ref[strings.LastIndexByte(ref, '/')+1:])
		if m == nil {
			continue
		}
		number, err := strconv.Atoi(m[1])
		i := slices.IndexFunc(s.Pulls, func(p pr.Pull) bool { return p.Number == number })
		if err != nil || i < 0 || !s.Pulls[i].Open {
			continue // not known yet, or not any more
		}
		e := entry{ref: ref, head: refs[ref], number: number}
		if _, e.ours = ownBlock(s.Pulls[i]); e.ours {
			e.verdict = verdict([]GateResult{{Gate: "head", State: Pending, Reason: "it is not looked at now"}})
			if j := slices.IndexFunc(plan.Judged, func(j Judged) bool { return j.Pull.Number == number }); j >= 0 {
				e.verdict = plan.Judged[j].Verdict.own()
			}
		}
		out = append(out, e)
	}
	return out
}

// own is a verdict without what the forge itself waits for.
func (v Verdict) own() Verdict {
	return verdict(slices.DeleteFunc(slices.Clone(v.Gates), func(g GateResult) bool { return g.Gate == gateForge }))
}

// queueStatus is what is said on a commit of the queue: it holds the changes of
// those before it, too, and a queue may merge them all by the word on the last.
func (b *Bot) queueStatus(ctx context.Context, e entry, all []entry) (c pr.Check, wait bool) {
	c = freeStatus(e.head)
	if e.ours {
		c.Description = "every gate passes"
	}
	for _, o := range all {
		if !o.ours || o.verdict.Act == ActMerge || o.number != e.number && !b.holdsCommit(ctx, e, o) {
			continue
		}
		if o.verdict.Act != ActBlocked {
			wait = true
			continue
		}
		c.State = pr.CheckFailure
		g := o.verdict.Missing()[0]
		c.Description = cut(printable(fmt.Sprintf("#%d: %s: %s", o.number, g.Gate, g.Reason)), maxDescription)
		return c, false
	}
	return c, wait
}

// holdsCommit reports whether e's commit holds o's; what is not known counts as
// so.
func (b *Bot) holdsCommit(ctx context.Context, e, o entry) bool {
	if err := b.cfg.Git.Bring(ctx, e.ref, o.ref); err != nil {
		return true
	}
	is, err := b.cfg.Git.IsAncestor(o.head, e.head)
	return is || err != nil
}
