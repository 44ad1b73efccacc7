package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

const (
	maxTitle = 250   // characters; a server keeps 255
	maxText  = 60000 // characters of a body or comment
	// maxFinds is how often Ensure looks again because what it found was closed meanwhile.
	maxFinds = 3
)

// Ensure makes the open pull request of r.Branch and r.Base have r's title and body and at least r's
// labels, opening one when there is none; a closed one is never opened again. The branch must be there
// already, at r.Head when that is set, else pr.ErrHeadMoved. It writes nothing when all is so already.
func (f *Forge) Ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	f.ensuring.Lock()
	defer f.ensuring.Unlock()
	e, err := f.ensure(ctx, r)
	if err != nil {
		return pr.Pull{}, fmt.Errorf("open pull request %s onto %s: %w", r.Branch, r.Base, err)
	}
	return copied(e.pull), nil
}

func (f *Forge) ensure(ctx context.Context, r pr.Request) (*entry, error) {
	if r.Branch == "" || r.Base == "" || r.Branch == r.Base {
		return nil, errors.New("it needs two different branches")
	}
	r.Title, r.Body = strings.TrimSpace(pr.CutText(r.Title, maxTitle)), pr.CutBody(r.Body, maxText)
	for range maxFinds {
		e, err := f.find(ctx, r.Branch, r.Base)
		switch {
		case err != nil:
			return nil, err
		case e == nil:
			if err := f.branchAt(ctx, r); err != nil {
				return nil, err
			}
			if e, err = f.open(ctx, r); err != nil {
				return nil, err
			}
		}
		if e == nil {
			continue // somebody else was faster
		}
		if e, err = f.headAt(ctx, e, r); err != nil {
			return nil, err
		}
		return f.edit(ctx, e, r)
	}
	return nil, errors.New("somebody else opens and closes it at the same moment")
}

// find returns the open pull request of a pair as it is now; nil: there is none.
func (f *Forge) find(ctx context.Context, branch, base string) (*entry, error) {
	if n := f.openOf(branch, base); n != 0 {
		e, err := f.get(ctx, n)
		switch {
		case status(err) == http.StatusNotFound:
			f.forget(n)
		case err != nil:
			return nil, err
		default:
			f.put(e)
			if e.is(branch, base) {
				return f.now(e), nil
			}
		}
	}
	f.scanning.Lock()
	err := f.scan(ctx)
	f.scanning.Unlock()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[f.openLocked(branch, base)]; e != nil {
		return e.copy(), nil
	}
	return nil, nil
}

// is reports whether e is the open pull request of a pair.
func (e *entry) is(branch, base string) bool {
	return e.pull.Open && !e.pull.Fork && e.pull.Branch == branch && e.pull.Base == base
}

func (e *entry) copy() *entry {
	out := *e
	out.pull = copied(e.pull)
	return &out
}

// now is e with the details that are known of it.
func (f *Forge) now(e *entry) *entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k := f.known[e.pull.Number]; k != nil {
		return k.copy()
	}
	return e
}

func (f *Forge) openOf(branch, base string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.openLocked(branch, base)
}

// openLocked is the number of the oldest open pull request of a pair, 0 when there is none: two bots that
// opened one each at the same moment agree on it.
func (f *Forge) openLocked(branch, base string) int {
	first := 0
	for n, e := range f.known {
		if e.is(branch, base) && (first == 0 || n < first) {
			first = n
		}
	}
	return first
}

// branchAt returns nil once the branch is where the request says. A server may show a push some moments
// late.
func (f *Forge) branchAt(ctx context.Context, r pr.Request) error {
	return f.patiently(ctx, branchPatience, func() error {
		head, err := f.branchHead(ctx, r.Branch)
		switch {
		case err != nil:
			return err
		case head == "":
			return again{fmt.Errorf("%w: the branch is not in the repository; push it first", pr.ErrHeadMoved)}
		case r.Head != "" && head != r.Head:
			return again{fmt.Errorf("%w: it is at %s, not at %s", pr.ErrHeadMoved, short(head), short(r.Head))}
		}
		return nil
	})
}

// branchHead is where a branch is; "" when it is not there.
func (f *Forge) branchHead(ctx context.Context, branch string) (string, error) {
	c, err := f.client(ctx)
	if err != nil {
		return "", err
	}
	b, _, err := c.GetRepoBranch(f.owner, f.name, branch)
	switch {
	case status(err) == http.StatusNotFound:
		return "", nil
	case err != nil:
		return "", plain(err)
	case b.Commit == nil:
		return "", nil
	}
	return b.Commit.ID, nil
}

// open opens the pull request; nil without an error: there is one now that was not there a moment ago.
func (f *Forge) open(ctx context.Context, r pr.Request) (*entry, error) {
	ids, err := f.labelIDs(ctx, r.Labels)
	if err != nil {
		return nil, err
	}
	c, err := f.client(ctx)
	if err != nil {
		return nil, err
	}
	p, _, err := c.CreatePullRequest(f.owner, f.name, sdk.CreatePullRequestOption{Head: r.Branch, Base: r.Base, Title: r.Title, Body: r.Body, Labels: ids})
	switch {
	case status(err) == http.StatusConflict:
		f.forgetScan()
		return nil, nil
	case status(err) == http.StatusNotFound:
		return nil, fmt.Errorf("%w; is there a branch %s, and may %s write to the repository?", plain(err), r.Base, f.user)
	case err != nil:
		return nil, plain(err)
	}
	e := f.entry(p)
	f.put(e)
	return f.settleTwins(ctx, e, r)
}

// forgetScan makes the next scan read everything.
func (f *Forge) forgetScan() {
	f.scanning.Lock()
	defer f.scanning.Unlock()
	f.seen = scanState{}
}

// settleTwins closes e when another of the same pair was opened before it: of two requests at the same
// moment a server may carry out both.
func (f *Forge) settleTwins(ctx context.Context, e *entry, r pr.Request) (*entry, error) {
	f.scanning.Lock()
	err := f.scan(ctx)
	f.scanning.Unlock()
	if err != nil {
		return nil, err
	}
	n := f.openOf(r.Branch, r.Base)
	if n == e.pull.Number || n == 0 {
		return e, nil
	}
	first, err := f.get(ctx, n)
	if err != nil || !first.is(r.Branch, r.Base) {
		return e, err
	}
	if err := f.setState(ctx, e.pull.Number, sdk.StateClosed); err != nil {
		return nil, err
	}
	return first, nil
}

// headAt waits until the server has seen that the branch is at r.Head.
func (f *Forge) headAt(ctx context.Context, e *entry, r pr.Request) (*entry, error) {
	if r.Head == "" || e.pull.Head == r.Head {
		return e, nil
	}
	if err := f.branchAt(ctx, r); err != nil {
		return nil, err
	}
	err := f.patiently(ctx, patience, func() error {
		now, err := f.get(ctx, e.pull.Number)
		if err != nil {
			return err
		}
		if now.pull.Head != r.Head {
			return again{fmt.Errorf("%w: the server has not seen the push of %s yet", pr.ErrHeadMoved, short(r.Head))}
		}
		f.put(now)
		e = f.now(now)
		return nil
	})
	return e, err
}

// edit writes what differs.
func (f *Forge) edit(ctx context.Context, e *entry, r pr.Request) (*entry, error) {
	if e.pull.Title != r.Title || !sameText(e.pull.Body, r.Body) {
		c, err := f.client(ctx)
		if err != nil {
			return nil, err
		}
		p, _, err := c.EditPullRequest(f.owner, f.name, int64(e.pull.Number), sdk.EditPullRequestOption{Title: r.Title, Body: &r.Body})
		if err != nil {
			return nil, ofPull(err)
		}
		e = f.entry(p)
		f.put(e)
	}
	var missing []string
	for _, l := range r.Labels {
		if !slices.Contains(e.pull.Labels, l) {
			missing = append(missing, l)
		}
	}
	if len(missing) == 0 {
		return f.now(e), nil
	}
	if err := f.addLabels(ctx, e, missing); err != nil {
		return nil, err
	}
	return f.now(e), nil
}

// sameText compares texts as servers keep them: line ends may change.
func sameText(a, b string) bool {
	norm := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return norm(a) == norm(b)
}
