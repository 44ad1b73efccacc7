package gitea

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

const headsPrefix = "refs/heads/"

// entry is a pull request as it is listed.
func (f *Forge) entry(p *sdk.PullRequest) *entry {
	out := pr.Pull{
		Number: int(p.Index), Title: p.Title, Body: p.Body, URL: p.HTMLURL, Draft: p.Draft,
		Author: nameOf(p.Poster), Open: p.State == sdk.StateOpen, Merged: p.HasMerged,
		Created: when(p.Created), Updated: when(p.Updated), Closed: when(p.Closed),
	}
	if p.Base != nil {
		out.Base = p.Base.Ref
	}
	number := fmt.Sprintf("refs/pull/%d/head", p.Index)
	out.Ref = number
	if h := p.Head; h != nil {
		// The label is the branch's name, also once the branch is gone; what was pushed without a branch
		// of its own (to refs/for/…) has none.
		out.Branch, out.Head = h.Name, h.Sha
		out.Fork = h.Name == "" || h.RepoID <= 0 || p.Base == nil || h.RepoID != p.Base.RepoID
		switch gone := h.Ref != h.Name; {
		case out.Fork:
		case !gone && out.Open:
			out.Ref = headsPrefix + h.Name
		case gone && out.Open:
			out.Head = ""
		}
	}
	if out.Open {
		out.Closed = time.Time{}
	} else {
		// Of a closed one servers list the last head, and show alone what has the branch's name today.
		out.Head = ""
	}
	if out.Merged {
		out.Open = false
		out.ClosedBy = nameOf(p.MergedBy)
		if p.MergedCommitID != nil {
			out.MergeCommit = *p.MergedCommitID
		}
		if p.Merged != nil {
			out.Closed = when(p.Merged)
		}
	}
	e := &entry{pull: out, labels: map[string]int64{}}
	for _, l := range p.Labels {
		if l != nil && e.labels[l.Name] == 0 {
			e.labels[l.Name] = l.ID
			e.pull.Labels = append(e.pull.Labels, l.Name)
		}
	}
	return e
}

// reviewOf is a review in the words of package pr; false for what is none: comments, drafts, requests.
func reviewOf(r *sdk.PullReview) (pr.Review, bool) {
	out := pr.Review{User: nameOf(r.Reviewer), Commit: r.CommitID, At: r.Submitted.UTC(), Body: r.Body, Authenticated: true, CanWrite: r.Official}
	switch r.State {
	case sdk.ReviewStateApproved:
		out.State = pr.Approved
	case sdk.ReviewStateRequestChanges:
		out.State = pr.ChangesRequested
	default:
		return out, false
	}
	if r.Dismissed {
		out.State = pr.Dismissed
	}
	return out, r.Reviewer != nil && r.Reviewer.UserName != ""
}

// checkOf is a status in the words of package pr.
func checkOf(s *sdk.Status, commit string) pr.Check {
	c := pr.Check{Context: s.Context, Description: s.Description, Commit: commit, App: nameOf(s.Creator)}
	switch s.State {
	case sdk.StatusSuccess, "skipped":
		c.State = pr.CheckSuccess
	case sdk.StatusPending:
		c.State = pr.CheckPending
	default:
		c.State = pr.CheckFailure
	}
	return c
}

func stateOf(s pr.CheckState) sdk.StatusState {
	switch s {
	case pr.CheckSuccess:
		return sdk.StatusSuccess
	case pr.CheckPending:
		return sdk.StatusPending
	}
	return sdk.StatusFailure
}

// commentOf is a comment in the words of package pr. Only in our own ones a hidden line is a key.
func (f *Forge) commentOf(c *sdk.Comment) pr.Comment {
	out := pr.Comment{ID: c.ID, User: nameOf(c.Poster), Body: c.Body, At: c.Created.UTC()}
	if f.ours(c.Poster) {
		out.Key, out.Body = pr.CutKey(c.Body)
	}
	return out
}

// nameOf is an account's name; accounts that are gone have one, too, "Ghost".
func nameOf(u *sdk.User) string {
	if u == nil {
		return ""
	}
	return u.UserName
}

func when(t *time.Time) time.Time {
	if t == nil || t.Unix() <= 0 {
		return time.Time{}
	}
	return t.UTC()
}

// copied is a pull request that shares nothing with what is known.
func copied(p pr.Pull) pr.Pull {
	p.Labels, p.Reviews = slices.Clone(p.Labels), slices.Clone(p.Reviews)
	p.Comments, p.Checks = slices.Clone(p.Comments), slices.Clone(p.Checks)
	return p
}

// inOrder sorts reviews by time; of one second the later id is the later review.
func inOrder(reviews []*sdk.PullReview) {
	slices.SortStableFunc(reviews, func(a, b *sdk.PullReview) int {
		return cmp.Or(a.Submitted.Compare(b.Submitted), cmp.Compare(a.ID, b.ID))
	})
}

func hasPrefix(branch, prefix string) bool { return strings.HasPrefix(branch, prefix) }

func short(commit string) string { return commit[:min(len(commit), 10)] }
