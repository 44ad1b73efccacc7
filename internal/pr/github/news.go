package github

import (
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/pr"
)

// Between a look and a merge there may be minutes: writes wait for each other, and GitHub for itself.

// changed is the error of a pull request that is not what it was when it was looked at; the next look reads
// it anew.
func (f *Forge) changed(number int, why string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k := f.known[number]; k != nil {
		k.stale = true
	}
	return fmt.Errorf("%w: %s", pr.ErrHeadMoved, why)
}

// news is what people said since the pull request was looked at; "" for nothing, and where it never was.
func (f *Forge) news(h handover, s standing) string {
	f.mu.Lock()
	k := f.known[h.number]
	if k == nil || k.read.IsZero() {
		f.mu.Unlock()
		return ""
	}
	p := copyOf(k.pull)
	f.mu.Unlock()
	now := (&detailsJSON{Reviews: s.reviews}).reviews()
	if s.updated.Before(h.updated) && s.date.Before(h.updated.Add(slack)) {
		return "it changed, and GitHub does not tell how yet"
	}
	missing := func(in []pr.Review) func(pr.Review) bool {
		return func(r pr.Review) bool {
			return !slices.ContainsFunc(in, func(o pr.Review) bool {
				return o.User == r.User && o.State == r.State && o.Commit == r.Commit && o.CanWrite == r.CanWrite && o.At.Equal(r.At)
			})
		}
	}
	if slices.ContainsFunc(now, missing(p.Reviews)) || !s.reviews.PageInfo.HasPreviousPage && slices.ContainsFunc(p.Reviews, missing(now)) {
		return "its reviews changed since it was looked at"
	}
	for _, j := range s.comments.Nodes {
		if c := j.value(); !j.ViewerDidAuthor && !slices.ContainsFunc(p.Comments, func(o pr.Comment) bool { return o.ID == c.ID }) {
			return "somebody commented on it since it was looked at"
		}
	}
	return ""
}
