package local_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/forges"
)

// liar is a good forge but for one thing.
type liar struct {
	forges.Forge
	pull    func(p *pr.Pull) // as listed
	list    func(f forges.Forge, pulls []pr.Pull) []pr.Pull
	ensure  func(f forges.Forge, r pr.Request) (pr.Pull, error)
	merge   func(f forges.Forge, m pr.MergeRequest) (string, error)
	close   func(f forges.Forge, number int, comment string) error
	reopen  func(f forges.Forge, number int) error
	comment func(f forges.Forge, number int, c pr.Comment) error
	label   func(f forges.Forge, number int, label string, on bool) error
	status  func(f forges.Forge, number int, c pr.Check) error
	rules   func(r *pr.Rules)
	base    func(base string) string
}

func (l *liar) List(ctx context.Context, base string) ([]pr.Pull, error) {
	if l.base != nil {
		base = l.base(base)
	}
	pulls, err := l.Forge.List(ctx, base)
	for i := range pulls {
		if l.pull != nil {
			l.pull(&pulls[i])
		}
	}
	if l.list != nil {
		pulls = l.list(l.Forge, pulls)
	}
	return pulls, err
}

func (l *liar) Ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	if l.ensure != nil {
		return l.ensure(l.Forge, r)
	}
	return l.Forge.Ensure(ctx, r)
}

func (l *liar) Merge(ctx context.Context, m pr.MergeRequest) (string, error) {
	if l.merge != nil {
		return l.merge(l.Forge, m)
	}
	return l.Forge.Merge(ctx, m)
}

func (l *liar) Close(ctx context.Context, number int, comment string) error {
	if l.close != nil {
		return l.close(l.Forge, number, comment)
	}
	return l.Forge.Close(ctx, number, comment)
}

func (l *liar) Reopen(ctx context.Context, number int) error {
	if l.reopen != nil {
		return l.reopen(l.Forge, number)
	}
	return l.Forge.Reopen(ctx, number)
}

func (l *liar) Comment(ctx context.Context, number int, c pr.Comment) error {
	if l.comment != nil {
		return l.comment(l.Forge, number, c)
	}
	return l.Forge.Comment(ctx, number, c)
}

func (l *liar) SetLabel(ctx context.Context, number int, label string, on bool) error {
	if l.label != nil {
		return l.label(l.Forge, number, label, on)
	}
	return l.Forge.SetLabel(ctx, number, label, on)
}

func (l *liar) SetStatus(ctx context.Context, number int, c pr.Check) error {
	if l.status != nil {
		return l.status(l.Forge, number, c)
	}
	return l.Forge.SetStatus(ctx, number, c)
}

func (l *liar) Rules(ctx context.Context, branch string) (pr.Rules, error) {
	r, err := l.Forge.Rules(ctx, branch)
	if l.rules != nil {
		l.rules(&r)
	}
	return r, err
}

// TestTheSuiteSeesAForgeThatLies runs the case that each lie is against.
func TestTheSuiteSeesAForgeThatLies(t *testing.T) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		against string // the case
		liar    liar
	}{
		"it opens a pull request for whatever the branch holds": {
			"a branch that is not where the request says is refused",
			liar{ensure: func(f forges.Forge, r pr.Request) (pr.Pull, error) { r.Head = ""; return f.Ensure(ctx, r) }},
		},
		"it edits what needs no edit": {
			"a pull request is opened once",
			liar{ensure: func(f forges.Forge, r pr.Request) (pr.Pull, error) {
				p, err := f.Ensure(ctx, r)
				return p, errors.Join(err, f.SetLabel(ctx, p.Number, "seen", !p.HasLabel("seen")))
			}},
		},
		"it opens a closed one again": {
			"a closed pull request is never opened again by Ensure",
			liar{ensure: func(f forges.Forge, r pr.Request) (pr.Pull, error) {
				if f.Reopen(ctx, 1) == nil {
					return f.Get(ctx, 1)
				}
				return f.Ensure(ctx, r)
			}},
		},
		"it takes every branch for the same": {
			"a branch whose name begins like ours is another's",
			liar{ensure: func(f forges.Forge, r pr.Request) (pr.Pull, error) {
				if p, err := f.Get(ctx, 1); err == nil && p.Open {
					return p, nil
				}
				return f.Ensure(ctx, r)
			}},
		},
		"it shows checks of the head before": {
			"a new head keeps old approvals on their commit and drops old checks",
			liar{pull: func(p *pr.Pull) {
				p.Checks = []pr.Check{{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "ok", Commit: p.Head}}
			}},
		},
		"it drops a review": {
			"reviews of two people are listed in the order of time",
			liar{pull: func(p *pr.Pull) { p.Reviews = p.Reviews[:min(1, len(p.Reviews))] }},
		},
		"it shows reviews newest first": {
			"reviews of two people are listed in the order of time",
			liar{pull: func(p *pr.Pull) { slices.Reverse(p.Reviews) }},
		},
		"it says that every review is of the newest head": {
			"an approval is of the head it was given for",
			liar{pull: func(p *pr.Pull) {
				for i := range p.Reviews {
					p.Reviews[i].Commit = p.Head
				}
			}},
		},
		"it forgets who wrote a check": {
			"checks of others are listed with whose they are",
			liar{pull: func(p *pr.Pull) {
				for i := range p.Checks {
					p.Checks[i].App = ""
				}
			}},
		},
		"it writes a status that is so already": {
			"a status is shown, and written once",
			liar{status: func(f forges.Forge, number int, c pr.Check) error {
				again := c
				again.Description += "."
				return errors.Join(f.SetStatus(ctx, number, again), f.SetStatus(ctx, number, c))
			}},
		},
		"it never removes a label": {
			"a label is added once and removed",
			liar{label: func(f forges.Forge, number int, label string, on bool) error {
				if !on {
					return nil
				}
				return f.SetLabel(ctx, number, label, on)
			}},
		},
		"it repeats a sticky comment": {
			"a sticky comment is made once and edited in place",
			liar{comment: func(f forges.Forge, number int, c pr.Comment) error {
				return errors.Join(f.Comment(ctx, number, c), f.Comment(ctx, number, pr.Comment{Body: c.Body}))
			}},
		},
		"it shows the hidden line of its comments": {
			"a comment comes back as it was written",
			liar{pull: func(p *pr.Pull) {
				for i, c := range p.Comments {
					p.Comments[i].Body = pr.WithKey(c.Key, c.Body)
				}
			}},
		},
		"it loses what HTML hides": {
			"a comment comes back as it was written",
			liar{pull: func(p *pr.Pull) {
				for i, c := range p.Comments {
					p.Comments[i].Body, _, _ = strings.Cut(c.Body, "<!--")
				}
			}},
		},
		"it merges whatever the head is": {
			"another head is never merged",
			liar{merge: func(f forges.Forge, m pr.MergeRequest) (string, error) {
				p, err := f.Get(ctx, m.Number)
				m.Head = p.Head
				commit, err2 := f.Merge(ctx, m)
				return commit, errors.Join(err, err2)
			}},
		},
		"it drops the trailers": {
			"a squash puts one commit with our message on the base",
			liar{merge: func(f forges.Forge, m pr.MergeRequest) (string, error) {
				m.Message, _, _ = strings.Cut(m.Message, "\n\nTowpath-")
				return f.Merge(ctx, m)
			}},
		},
		"it says another commit than it made": {
			"a merge again is the same commit",
			liar{merge: func(f forges.Forge, m pr.MergeRequest) (string, error) {
				_, err := f.Merge(ctx, m)
				return m.Head, err
			}},
		},
		"it does not tell a conflict from a failure": {
			"a conflict is told apart and nothing is merged",
			liar{merge: func(f forges.Forge, m pr.MergeRequest) (string, error) {
				commit, err := f.Merge(ctx, m)
				if errors.Is(err, pr.ErrConflict) {
					err = errors.New("405")
				}
				return commit, err
			}},
		},
		"it closes without the comment": {
			"a pull request is closed with a comment, once",
			liar{close: func(f forges.Forge, number int, _ string) error { return f.Close(ctx, number, "") }},
		},
		"it comments again when it is closed": {
			"a pull request is closed with a comment, once",
			liar{close: func(f forges.Forge, number int, comment string) error {
				return errors.Join(f.Close(ctx, number, ""), f.Comment(ctx, number, pr.Comment{Body: comment}))
			}},
		},
		"it says that we close everything": {
			"who closed it is told",
			liar{pull: func(p *pr.Pull) {
				if p.ClosedBy != "" {
					p.ClosedBy = "towpath"
				}
			}},
		},
		"it opens nothing again": {
			"a closed pull request is opened again and closed again",
			liar{reopen: func(forges.Forge, int) error { return nil }},
		},
		"it lists the oldest first": {
			"pull requests are listed newest first, those onto another base are not",
			liar{list: func(_ forges.Forge, pulls []pr.Pull) []pr.Pull { slices.Reverse(pulls); return pulls }},
		},
		"it lists what goes onto another base": {
			"pull requests are listed newest first, those onto another base are not",
			liar{base: func(string) string { return "" }},
		},
		"it forgets what was rejected": {
			"rejected ones are listed with their labels",
			liar{list: func(_ forges.Forge, pulls []pr.Pull) []pr.Pull {
				return slices.DeleteFunc(pulls, func(p pr.Pull) bool { return !p.Open && !p.Merged })
			}},
		},
		"it lists less than it knows": {
			"Get is what List lists",
			liar{pull: func(p *pr.Pull) { p.Comments = nil }},
		},
		"it knows every number": {
			"a pull request that is not there is not found",
			liar{label: func(forges.Forge, int, string, bool) error { return nil }},
		},
		"it makes rules up": {
			"the rules of a branch are told",
			liar{rules: func(r *pr.Rules) { r.Approvals = 1 }},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t)
			restart := w.Restart
			lie := func(f forges.Forge) forges.Forge {
				l := tc.liar
				l.Forge = f
				return &l
			}
			w.Forge, w.Restart = lie(w.Forge), func() forges.Forge { return lie(restart()) }
			said := forges.Failures(t, tc.against, w)
			if len(said) == 0 {
				t.Errorf("%q sees nothing wrong", tc.against)
			}
			for _, s := range said {
				t.Logf("%.150s", s)
			}
		})
	}
}
