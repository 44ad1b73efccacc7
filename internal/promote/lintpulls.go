package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	maxLinted      = 20               // heads of one tick
	maxLintTime    = 30 * time.Second // after which a tick begins with no further head
	maxLintBytes   = 128 << 20        // bytes read of one head, each reading counted
	maxLintEntries = 500_000          // entries of folders listed of one head, each listing counted
)

// lints remembers what was found, so that a failed write costs no second look.
type lints struct {
	base  string            // the base branch's commit that all of it is about
	trees map[string]linted // tree hash of a common ancestor → what lint says of it
	heads map[string]news   // head commit → what it brings
	tried map[string]bool   // heads that were looked at: others come first
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
		n, err := b.news(s, p)
		if !out.failed(err, "check pull request #%d", p.Number) {
			looked++
			out.failed(b.tell(ctx, p, n), "say what is wrong with pull request #%d", p.Number)
		}
	}
}

// proved reports whether a pull request's head is a commit of ours, whose content
// was proved when it was made.
func (s Situation) proved(p pr.Pull) bool {
	block, err := pr.ParseBlock(p.Body)
	head := s.Branches[p.Branch]
	return err == nil && BranchOf(block.Env, block.App) == p.Branch && head.Commit == p.Head && !head.Foreign
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
	*l = lints{base: base, trees: map[string]linted{}, heads: map[string]news{}, tried: map[string]bool{}}
	for _, p := range pulls {
		if n, ok := old.heads[p.Head]; ok && old.base == base {
			l.heads[p.Head] = n
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
func (b *Bot) news(s Situation, p pr.Pull) (news, error) {
	if n, ok := b.lints.heads[p.Head]; ok {
		return n, nil
	}
	b.lints.tried[p.Head] = true
	head, err := b.cfg.Git.Snapshot(p.Head)
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
	changed, err := head.Changed(base, "")
	n := news{problem: err, concerned: slices.ContainsFunc(changed, s.concerns)}
	if err == nil && n.concerned {
		before, ok := b.lints.trees[base.Tree]
		if !ok {
			before = lintTree(base)
			b.lints.trees[base.Tree] = before
		}
		after := lintTree(head)
		n.problems, n.problem = added(before.problems, after.problems), after.problem
	}
	b.lints.heads[p.Head] = n
	return n, nil
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

func lintTree(snap gitrepo.Snapshot) linted {
	m := &meter{fsys: snap.FS(), bytes: maxLintBytes, entries: maxLintEntries}
	problems, err := lint(m)
	if m.spent {
		err = errSpent
	}
	return linted{problems, err}
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

// errSpent is why a tree cannot be checked that is larger than any repository.
var errSpent = fmt.Errorf("it holds more than %d MiB or %d files that would have to be read", maxLintBytes>>20, maxLintEntries)

// meter is a file system of which no more than so much is read.
type meter struct {
	fsys           fs.FS
	bytes, entries int64 // that may still be read
	spent          bool
}

var (
	_ fs.ReadDirFS  = (*meter)(nil)
	_ fs.StatFS     = (*meter)(nil)
	_ fs.ReadLinkFS = (*meter)(nil)
)

func (m *meter) take(op, name string, from *int64, n int64) error {
	if *from -= n; *from < 0 || m.spent {
		m.spent = true
		return &fs.PathError{Op: op, Path: name, Err: errSpent}
	}
	return nil
}

func (m *meter) Open(name string) (fs.File, error) {
	info, err := fs.Lstat(m.fsys, name)
	if err == nil && info.Mode().IsRegular() {
		err = m.take("open", name, &m.bytes, info.Size())
	}
	if err != nil {
		return nil, err
	}
	return m.fsys.Open(name)
}

func (m *meter) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(m.fsys, name)
	return entries, errors.Join(err, m.take("readdir", name, &m.entries, int64(len(entries))+1))
}

func (m *meter) Stat(name string) (fs.FileInfo, error)  { return fs.Stat(m.fsys, name) }
func (m *meter) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(m.fsys, name) }
func (m *meter) ReadLink(name string) (string, error)   { return fs.ReadLink(m.fsys, name) }
