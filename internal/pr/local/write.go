package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
)

const (
	maxTries = 10                     // writes tried before giving up
	firstTry = 20 * time.Millisecond  // wait after the first lost race, at random around it
	lastTry  = 500 * time.Millisecond // longest wait between two tries

	maxDescription = 140 // characters of a status, as on GitHub
)

// again is what a write returns to be tried once more after a Fetch.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

// retry runs try until it does not return again or ErrStale, fetching in
// between, at most maxTries times.
func (f *Forge) retry(ctx context.Context, try func() error) error {
	op := func() (struct{}, error) {
		err := try()
		if err == nil {
			return struct{}{}, nil
		}
		if !errors.As(err, &again{}) && !errors.Is(err, gitrepo.ErrStale) {
			return struct{}{}, backoff.Permanent(err)
		}
		if ferr := f.c.Git.Fetch(ctx); ferr != nil {
			return struct{}{}, backoff.Permanent(ferr)
		}
		return struct{}{}, err
	}
	waits := &backoff.ExponentialBackOff{
		InitialInterval: firstTry, RandomizationFactor: 0.9, Multiplier: 1.6, MaxInterval: lastTry,
	}
	_, err := backoff.Retry(ctx, op, backoff.WithBackOff(waits), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0))
	var a again
	if errors.As(err, &a) {
		return a.error
	}
	return err
}

// Ensure makes the open pull request of r.Branch and r.Base have r's title and
// body and at least r's labels, opening one when there is none (a closed one is
// never opened again). The branch must be in the repository already, at r.Head
// when that is set, else pr.ErrHeadMoved. It writes nothing when all is so
// already; two callers at once make one pull request.
func (f *Forge) Ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	var out pr.Pull
	fetched := false
	err := f.retry(ctx, func() error {
		v, err := f.view(ctx)
		if err != nil {
			return err
		}
		if err := checkRequest(v, r); err != nil {
			if fetched || !errors.Is(err, pr.ErrHeadMoved) {
				return err
			}
			fetched = true // the cache may be older than the push of the branch
			return again{err}
		}
		out, err = f.ensure(ctx, v, r)
		return err
	})
	if err != nil {
		return pr.Pull{}, fmt.Errorf("open the pull request %s → %s: %w", r.Branch, r.Base, err)
	}
	return out, nil
}

func checkRequest(v view, r pr.Request) error {
	if r.Branch == "" || r.Base == "" || r.Branch == r.Base {
		return errors.New("it needs two different branches")
	}
	if v.head(r.Base) == "" {
		return fmt.Errorf("base branch %q is not in the repository: %w", r.Base, gitrepo.ErrNoBranch)
	}
	switch head := v.head(r.Branch); {
	case head == "":
		return fmt.Errorf("%w: the branch is not in the repository; push it first", pr.ErrHeadMoved)
	case r.Head != "" && head != r.Head:
		return fmt.Errorf("%w: it is at %s, not at %s", pr.ErrHeadMoved, short(head), short(r.Head))
	}
	return nil
}

func (f *Forge) ensure(ctx context.Context, v view, r pr.Request) (pr.Pull, error) {
	old := v.open(r.Branch, r.Base)
	if old == nil {
		rec := record{
			Number: v.highest + 1, Open: true, Branch: r.Branch, Base: r.Base,
			Title: r.Title, Body: r.Body, Author: f.c.User,
			Labels: union(nil, r.Labels), Created: f.now(),
		}
		return f.put(ctx, v, &stored{rec: rec}, map[string][]byte{pullFile: encode(rec)}, "open "+r.Branch+" onto "+r.Base)
	}
	rec := old.rec
	rec.Title, rec.Body, rec.Labels = r.Title, r.Body, union(rec.Labels, r.Labels)
	if rec.Title == old.rec.Title && rec.Body == old.rec.Body && len(rec.Labels) == len(old.rec.Labels) {
		return old.pull(v.heads), nil
	}
	return f.put(ctx, v, old, map[string][]byte{pullFile: encode(rec)}, "edit")
}

// Unqueue does nothing: nothing is merged later here.
func (f *Forge) Unqueue(context.Context, int) error { return nil }

// Close closes a pull request unmerged, with a comment unless it is empty. A
// closed one stays as it is. The branch stays.
func (f *Forge) Close(ctx context.Context, number int, comment string) error {
	return f.update(ctx, number, "close", func(s *stored) (map[string][]byte, error) {
		if !s.rec.Open {
			return nil, nil
		}
		rec := s.rec
		rec.Open, rec.Closed, rec.ClosedBy = false, f.now(), f.c.User
		files := map[string][]byte{pullFile: encode(rec)}
		if comment != "" {
			files[next(commentsDir, s.comments)] = encode(pr.Comment{User: f.c.User, Body: comment, At: f.now()})
		}
		return files, nil
	})
}

// Comment adds c, by Config.User now unless c says otherwise. With a Key the
// comment of that key is edited in place, or left alone when its text is the
// same.
func (f *Forge) Comment(ctx context.Context, number int, c pr.Comment) error {
	return f.update(ctx, number, "comment", func(s *stored) (map[string][]byte, error) {
		c := c
		if c.User == "" {
			c.User = f.c.User
		}
		if c.At.IsZero() {
			c.At = f.now()
		}
		name := next(commentsDir, s.comments)
		if c.Key != "" {
			for _, n := range names(s.comments) {
				if old := s.comments[n]; old.Key == c.Key {
					if old.Body == c.Body {
						return nil, nil
					}
					name = n
					break
				}
			}
		}
		return map[string][]byte{name: encode(c)}, nil
	})
}

// SetLabel adds or removes a label, also of a closed pull request; no write
// when it is so already.
func (f *Forge) SetLabel(ctx context.Context, number int, label string, on bool) error {
	what := "remove label "
	if on {
		what = "add label "
	}
	return f.update(ctx, number, what+label, func(s *stored) (map[string][]byte, error) {
		if slices.Contains(s.rec.Labels, label) == on {
			return nil, nil
		}
		rec := s.rec
		if on {
			rec.Labels = union(rec.Labels, []string{label})
		} else {
			rec.Labels = slices.DeleteFunc(slices.Clone(rec.Labels), func(l string) bool { return l == label })
		}
		return map[string][]byte{pullFile: encode(rec)}, nil
	})
}

// SetStatus sets the status c.Context of c.Commit, by Config.User unless c says
// otherwise; no write when it is so already, whoever said it. The description is
// cut to 140 characters.
func (f *Forge) SetStatus(ctx context.Context, number int, c pr.Check) error {
	c.Description = pr.CutText(c.Description, maxDescription)
	if c.App == "" {
		c.App = f.c.User
	}
	name, err := checkFile(c)
	if err != nil {
		return fmt.Errorf("pull request %d: %w", number, err)
	}
	return f.update(ctx, number, "status "+c.Context, func(s *stored) (map[string][]byte, error) {
		if old, ok := s.checks[name]; ok && old.Says(c) {
			return nil, nil
		}
		return map[string][]byte{name: encode(c)}, nil
	})
}

// Review adds r, by Config.User, now and of the current head unless r says
// otherwise. It is never authenticated. The same word again on the same head
// costs no write. A closed pull request takes none. Without a State it is a
// comment, and needs a Body.
func (f *Forge) Review(ctx context.Context, number int, r pr.Review) error {
	if r.State == "" {
		if r.Body == "" {
			return fmt.Errorf("pull request %d: review: it has neither a verdict nor a text", number)
		}
		return f.Comment(ctx, number, pr.Comment{User: r.User, Body: r.Body, At: r.At})
	}
	return f.update(ctx, number, "review "+string(r.State), func(s *stored) (map[string][]byte, error) {
		if !s.rec.Open {
			return nil, errors.New("it is closed")
		}
		r := r
		r.Authenticated = false
		if r.User == "" {
			r.User = f.c.User
		}
		if r.At.IsZero() {
			r.At = f.now()
		}
		if r.Commit == "" {
			refs, err := f.c.Git.Refs(headRef(s.rec.Branch))
			if err != nil {
				return nil, err
			}
			r.Commit = refs[headRef(s.rec.Branch)]
		}
		if said(s, r) {
			return nil, nil
		}
		return map[string][]byte{next(reviewsDir, s.reviews): encode(r)}, nil
	})
}

// said reports whether r repeats the last review of its user.
func said(s *stored, r pr.Review) bool {
	last := pr.Review{}
	for _, old := range inOrder(s.reviews) {
		if old.User == r.User {
			last = old
		}
	}
	return last.User == r.User && last.State == r.State && last.Commit == r.Commit && last.Body == r.Body
}

// update writes the files that edit returns (none: no write) to a pull request.
func (f *Forge) update(ctx context.Context, number int, what string, edit func(*stored) (map[string][]byte, error)) error {
	fetched := false
	err := f.retry(ctx, func() error {
		v, err := f.view(ctx)
		if err != nil {
			return err
		}
		s, err := v.find(number)
		if err != nil {
			if fetched {
				return err
			}
			fetched = true // another bot may just have opened it
			return again{err}
		}
		files, err := edit(s)
		if err != nil || len(files) == 0 {
			return err
		}
		_, err = f.put(ctx, v, s, files, what)
		return err
	})
	if err != nil && !errors.Is(err, pr.ErrNotFound) { // which names the number itself
		return fmt.Errorf("pull request %d: %s: %w", number, what, err)
	}
	return err
}

// put writes files on top of s, which has no commit when it is new, and pushes.
func (f *Forge) put(ctx context.Context, v view, s *stored, files map[string][]byte, what string) (pr.Pull, error) {
	c, err := f.commit(ctx, s, files, what)
	if err != nil {
		return pr.Pull{}, err
	}
	if err := f.c.Git.Push(ctx, gitrepo.Update{Ref: pullRef(s.rec.Number), Old: s.commit, New: c}); err != nil {
		return pr.Pull{}, err
	}
	now, err := read(f.c.Git, s.rec.Number, c)
	if err != nil {
		return pr.Pull{}, err
	}
	return now.pull(v.heads), nil
}

func (f *Forge) commit(ctx context.Context, s *stored, files map[string][]byte, what string) (string, error) {
	c, err := f.c.Git.Commit(ctx, gitrepo.Change{
		Parent:  s.commit,
		Files:   files,
		Message: fmt.Sprintf("pull %d: %s\n", s.rec.Number, oneLine(what)),
		Author:  gitrepo.Identity{Name: oneLine(f.c.User), Email: "towpath@localhost"},
		Time:    f.now(),
	})
	return c.Hash, err
}

func (f *Forge) now() time.Time { return f.c.Now().UTC().Truncate(time.Second) }

// union returns a followed by what of b it lacks.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, l := range b {
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// oneLine keeps names and labels from breaking out of a Git header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == '<' || r == '>' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func short(commit string) string {
	const n = 10
	if len(commit) > n {
		return commit[:n]
	}
	return commit
}
