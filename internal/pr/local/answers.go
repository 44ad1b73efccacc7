package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
)

// User is who acts.
func (f *Forge) User() string { return f.c.User }

// Rights are those of whoever reaches the repository: to read it, as this program
// has, and to write as far as the server of the repository lets it, which only a
// push can tell. There are no administrators.
func (f *Forge) Rights(context.Context) (pr.Rights, error) {
	return pr.Rights{User: f.c.User, Read: true, Write: true}, nil
}

// Rules are none: the forge itself asks for nothing. What the server of the
// repository refuses by hooks nobody can read.
func (f *Forge) Rules(ctx context.Context, branch string) (pr.Rules, error) {
	v, err := f.view(ctx)
	if err != nil {
		return pr.Rules{}, fmt.Errorf("read the rules of %s: %w", branch, err)
	}
	if v.head(branch) == "" {
		return pr.Rules{}, fmt.Errorf("read the rules of %s: there is no such branch", branch)
	}
	return pr.Rules{Branch: branch, Methods: []pr.Method{pr.Squash}, Push: true, Bypass: true}, nil
}

// Reopen opens a pull request again that was closed unmerged; one that is open
// stays as it is. It is refused while another one of its branch and base is open,
// and when its branch is gone.
func (f *Forge) Reopen(ctx context.Context, number int) error {
	fetched := false
	err := f.retry(ctx, func() error {
		v, err := f.view(ctx)
		if err != nil {
			return err
		}
		s, err := v.closed(number)
		if err != nil {
			if fetched {
				return err
			}
			fetched = true // what is in the way may be gone by now
			return again{err}
		}
		if s == nil {
			return nil
		}
		return f.reopen(ctx, v, s)
	})
	if err != nil && !errors.Is(err, pr.ErrNotFound) {
		return fmt.Errorf("open pull request %d again: %w", number, err)
	}
	return err
}

// closed returns the pull request that may be opened again; nil when it is open.
func (v view) closed(number int) (*stored, error) {
	s, err := v.find(number)
	switch {
	case err != nil:
		return nil, err
	case s.rec.Open:
		return nil, nil
	case s.rec.Merged:
		return nil, errors.New("it is merged")
	case v.head(s.rec.Branch) == "":
		return nil, fmt.Errorf("its branch %s is gone; push it again first", s.rec.Branch)
	}
	if other := v.open(s.rec.Branch, s.rec.Base); other != nil {
		return nil, fmt.Errorf("%d of the same branch is open", other.rec.Number)
	}
	return s, nil
}

// reopen writes the record and takes a number, so that nobody who has not seen
// this can open another one.
func (f *Forge) reopen(ctx context.Context, v view, s *stored) error {
	rec := s.rec
	rec.Open, rec.Closed, rec.ClosedBy = true, time.Time{}, ""
	opened, err := f.commit(ctx, s, map[string][]byte{pullFile: encode(rec)}, "open again")
	if err != nil {
		return err
	}
	mark := record{Number: v.highest + 1, Reopens: rec.Number, Author: f.c.User, Created: f.now()}
	taken, err := f.commit(ctx, &stored{rec: mark}, map[string][]byte{pullFile: encode(mark)}, fmt.Sprintf("open %d again", rec.Number))
	if err != nil {
		return err
	}
	return f.c.Git.Push(ctx,
		// First, should a server carry out only this one: a number is lost, no more.
		gitrepo.Update{Ref: pullRef(mark.Number), New: taken},
		gitrepo.Update{Ref: pullRef(rec.Number), Old: s.commit, New: opened})
}
