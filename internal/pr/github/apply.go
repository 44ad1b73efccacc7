package github

import (
	"context"
	"errors"
	"time"

	"towpath.dev/towpath/internal/pr"
)

// apply takes up details that were read at date, GitHub's time. Where they tell of another base or state
// than a list did, the pull request is read anew: it may have left the list unseen.
func (f *Forge) apply(ctx context.Context, number int, d *detailsJSON, date time.Time, writes int) error {
	if f.behind(number, d, date) {
		return nil
	}
	if f.differs(number, d) {
		if _, err := f.readPull(ctx, number); err != nil && !errors.Is(err, pr.ErrNotFound) {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known[number]
	if k == nil {
		return nil
	}
	p := &k.pull
	p.Reviews = d.reviews()
	p.Comments = d.comments()
	p.Queued = p.Open && (d.IsInMergeQueue || d.AutoMergeRequest != nil)
	p.ClosedBy = ""
	if closings := d.TimelineItems.Nodes; !p.Open && len(closings) > 0 {
		p.ClosedBy = closings[0].Actor.login()
	} else if p.Merged {
		p.ClosedBy = nobody
	}
	fits := d.HeadRefOid == p.Head
	if fits {
		p.Checks = d.checks()
	}
	lags := d.lags(p, date)
	k.stale = !fits && p.Open || k.writes != writes || lags
	k.young, k.created = !date.After(p.Updated), false
	if !lags {
		k.read = f.cfg.Now()
	}
	return nil
}

// behind reports whether details are older than what a list told a moment before, and keeps them from
// being taken for news where better ones are known: servers of GitHub's lag behind each other.
func (f *Forge) behind(number int, d *detailsJSON, date time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known[number]
	if k == nil || !d.lags(&k.pull, date) {
		return false
	}
	k.stale = true
	return !k.read.IsZero() || k.created
}

// differs reports whether details are of another base or state than is known.
func (f *Forge) differs(number int, d *detailsJSON) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known[number]
	return k != nil && (d.BaseRefName != k.pull.Base || (d.State == "OPEN") != k.pull.Open || (d.State == "MERGED") != k.pull.Merged)
}

// lags reports whether details read at date are older than p. What is still so after a while is no lag: the
// two interfaces just count differently.
func (d *detailsJSON) lags(p *pr.Pull, date time.Time) bool {
	return d.UpdatedAt.Before(p.Updated) && date.Before(p.Updated.Add(slack))
}
