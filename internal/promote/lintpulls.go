package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// What checking other people's pull requests may cost. What is read is what
// strangers wrote.
const (
	maxLinted   = 20               // heads of one tick
	maxLintTime = 30 * time.Second // after which a tick begins with no further head
	maxTreeTime = 10 * time.Second // after which nothing more is read of one tree
)

// lintBudget is what one tree may cost.
func lintBudget() budget { return budget{bytes: 128 << 20, marked: 32 << 20, entries: 500_000} }

// lints remembers what was found, so that a failed write costs no second look.
type lints struct {
	base    string            // the base branch's commit that all of it is about
	trees   map[string]linted // tree hash of a common ancestor → what lint says of it
	heads   map[string]news   // head commit → what it brings
	tried   map[string]bool   // heads that were looked at: others come first
	brought map[string]bool   // heads that the server was asked for
	spent   map[string]spent  // head commit → why checking it was given up; a new base makes it no smaller
}

// spent is a head that was too much against one base.
type spent struct {
	base string // tree hash of the common ancestor
	news news
}

// linted is what lint says of one tree; problem says why it cannot.
type linted struct {
	problems []policy.Problem
	problem  error
}

// news is what a head brings in that its base has not.
type news struct {
	concerned bool // it changes something that lint looks at
	problems  []policy.Problem
	problem   error // why it could not be checked, which no second look mends
}

// lintPulls checks the open pull requests that are not ours, each head once: a
// status on the head, and a comment where there is something to say. A tick
// without a new head costs no call.
func (b *Bot) lintPulls(ctx context.Context, s Situation, out *Outcome) {
	var todo []pr.Pull
	for _, p := range s.Pulls {
		checked := slices.ContainsFunc(p.Checks, func(c pr.Check) bool { return c.Context == pr.LintContext && c.Commit == p.Head })
		if p.Open && p.Head != "" && !checked && !s.proved(p) {
			todo = append(todo, p)
		}
	}
	b.lints.keep(s.Commit, todo)
	slices.SortStableFunc(todo, func(p, q pr.Pull) int { return rank(b.lints.tried[p.Head]) - rank(b.lints.tried[q.Head]) })
	began, looked := b.cfg.Now(), 0
	for _, p := range todo {
		if ctx.Err() != nil || looked == maxLinted || b.cfg.Now().Sub(began) > maxLintTime {
			return
		}
		n, err := b.news(ctx, s, p)
		if !out.failed(err, "check pull request #%d", p.Number) {
			looked++
			out.failed(b.tell(ctx, p, n), "say what is wrong with pull request #%d", p.Number)
		}
	}
}

// proved reports whether a pull request's head is a commit of ours, whose content
// was proved when it was made.
func (s Situation) proved(p pr.Pull) bool {
	_, ours := ownBlock(p)
	head := s.Branches[p.Branch]
	return ours && head.Commit == p.Head && !head.Foreign
}

func rank(tried bool) int {
	if tried {
		return 1
	}
	return 0
}

// keep forgets what is not about these pull requests onto this commit.
func (l *lints) keep(base string, pulls []pr.Pull) {
	old := *l
	*l = lints{base: base, trees: map[string]linted{}, heads: map[string]news{}, tried: map[string]bool{}, brought: map[string]bool{}, spent: map[string]spent{}}
	for _, p := range pulls {
		if e, ok := old.spent[p.Head]; ok {
			l.spent[p.Head] = e
		}
		if n, ok := old.heads[p.Head]; ok && old.base == base {
			l.heads[p.Head] = n
		}
		if old.brought[p.Head] {
			l.brought[p.Head] = true
		}
		if old.tried[p.Head] {
			l.tried[p.Head] = true
		}
	}
	if old.base == base && len(pulls) > 0 {
		l.trees = old.trees
	}
}

// news finds what a head brings in. An error is one that may mend itself, such as
// a head that is not here yet.
func (b *Bot) news(ctx context.Context, s Situation, p pr.Pull) (news, error) {
	if n, ok := b.lints.heads[p.Head]; ok {
		return n, nil
	}
	b.lints.tried[p.Head] = true
	head, err := b.headOf(ctx, p)
	if err != nil {
		return news{}, err
	}
	from, err := b.cfg.Git.MergeBase(s.Commit, p.Head)
	if err != nil {
		return news{}, err
	}
	base, err := b.cfg.Git.Snapshot(cmp.Or(from, s.Commit)) // the base branch itself when they have nothing in common
	if err != nil {
		return news{}, err
	}
	if e, ok := b.lints.spent[p.Head]; ok && e.base == base.Tree {
		b.lints.heads[p.Head] = e.news
		return e.news, nil
	}
	changed, err := head.Changed(base, "")
	n := news{problem: err, concerned: slices.ContainsFunc(changed, s.concerns)}
	if err == nil && n.concerned {
		before, ok := b.lints.trees[base.Tree]
		if !ok {
			if before = b.lintTree(ctx, base); ctx.Err() == nil {
				b.lints.trees[base.Tree] = before
			}
		}
		n = brought(before, b.lintTree(ctx, head))
		if ctx.Err() != nil {
			return news{}, ctx.Err()
		}
		if isSpent(n.problem) {
			b.lints.spent[p.Head] = spent{base.Tree, n}
		}
	}
	b.lints.heads[p.Head] = n
	return n, nil
}

// headOf is the tree of a pull request's head. A head that is not here, because
// nobody's branches but ours are followed, is brought, once.
func (b *Bot) headOf(ctx context.Context, p pr.Pull) (gitrepo.Snapshot, error) {
	head, err := b.cfg.Git.Snapshot(p.Head)
	if !errors.Is(err, gitrepo.ErrNoCommit) || b.lints.brought[p.Head] {
		return head, err
	}
	if err := b.cfg.Git.Bring(ctx, p.HeadRef()); err != nil {
		return gitrepo.Snapshot{}, err
	}
	b.lints.brought[p.Head] = true
	return b.cfg.Git.Snapshot(p.Head)
}

// concerns reports whether lint looks at a path.
func (s Situation) concerns(p string) bool {
	if mayMark(p, nil) || strings.HasPrefix(p, PolicyDir+"/") || p == PolicyDir {
		return true
	}
	for _, pl := range s.Pipelines {
		for _, e := range pl.Environments {
			if e.Path == "." || p == e.Path || strings.HasPrefix(p, e.Path+"/") {
				return true
			}
		}
	}
	return false
}

// lintTree checks one tree, as far as it is not too much.
func (b *Bot) lintTree(ctx context.Context, snap gitrepo.Snapshot) linted {
	began := b.cfg.Now()
	m := &meter{fsys: snap.FS(), budget: b.lintBudget}
	m.over = func() error {
		if b.cfg.Now().Sub(began) > maxTreeTime {
			return errLate()
		}
		return ctx.Err()
	}
	problems, err := Lint(m)
	if m.spent != nil {
		return linted{problem: m.spent}
	}
	return linted{problems, err}
}

// brought is what a tree brings in that the one before has not.
func brought(before, after linted) news {
	n := news{concerned: true, problem: after.problem}
	switch {
	case after.problem != nil:
	case before.problem != nil: // all there is would seem new
		n.problem = fmt.Errorf("the commit that it began from: %w", before.problem)
	default:
		n.problems = added(before.problems, after.problems)
	}
	return n
}

// added returns the problems that are not there before, each as often as it is
// new: their lines may have moved.
func added(before, after []policy.Problem) []policy.Problem {
	left := map[policy.Problem]int{}
	key := func(p policy.Problem) policy.Problem {
		p.Line, p.Column = 0, 0
		return p
	}
	for _, p := range before {
		left[key(p)]++
	}
	var out []policy.Problem
	for _, p := range after {
		if left[key(p)]--; left[key(p)] < 0 {
			out = append(out, p)
		}
	}
	return out
}

// tell writes the comment and then the status, which says that all is said.
func (b *Bot) tell(ctx context.Context, p pr.Pull, n news) error {
	i := slices.IndexFunc(p.Comments, func(c pr.Comment) bool { return c.Key == keyLint })
	text := lintComment(n)
	if text == "" && i >= 0 {
		text = lintMended
	}
	if text != "" && (i < 0 || p.Comments[i].Body != text) {
		if err := b.cfg.Forge.Comment(ctx, p.Number, pr.Comment{Key: keyLint, Body: text}); err != nil {
			return err
		}
	}
	c := lintStatus(n, p.Head)
	if err := b.cfg.Forge.SetStatus(ctx, p.Number, c); err != nil {
		return err
	}
	b.cfg.Logger.Info("pull request checked", "number", p.Number, "head", p.Head, "state", string(c.State), "problems", len(n.problems))
	return nil
}
