package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	maxStatusPages = 10
	keyClosed      = "closed" // of the comment that goes with a closing, so that there is one
)

// write does one write about a pull request. Where it is unclear whether it was done, what is known of the
// pull request is not believed any more.
func (f *Forge) write(ctx context.Context, number int, method, path string, in, out any) error {
	_, err := f.do(ctx, method, path, in, out)
	f.mu.Lock()
	defer f.mu.Unlock()
	if k := f.known[number]; k != nil {
		k.writes++
		var limit *pr.LimitError
		if s := status(err); err != nil && !errors.As(err, &limit) && (s == 0 || s >= http.StatusInternalServerError) {
			k.stale, k.created, k.read = true, false, time.Time{}
		}
	}
	return err
}

// remember edits what is known of a pull request after a write of ours.
func (f *Forge) remember(number int, edit func(p *pr.Pull)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if k := f.known[number]; k != nil {
		k.pull = copyOf(k.pull)
		edit(&k.pull)
	}
}

// look returns a pull request whose comments and checks are known, reading them where they are not.
func (f *Forge) look(ctx context.Context, number int) (pr.Pull, error) {
	f.mu.Lock()
	k := f.known[number]
	there, believed := k != nil, k != nil && (k.created || !k.read.IsZero())
	f.mu.Unlock()
	if !there {
		if _, err := f.readPull(ctx, number); err != nil {
			return pr.Pull{}, err
		}
	}
	if !believed {
		if err := f.loadDetails(ctx, []int{number}); err != nil {
			return pr.Pull{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if k = f.known[number]; k == nil {
		return pr.Pull{}, pr.ErrNotFound
	}
	return copyOf(k.pull), nil
}

// Comment writes a comment. One with a key is edited in place, and not written when it says the same.
func (f *Forge) Comment(ctx context.Context, number int, c pr.Comment) error {
	if err := f.comment(ctx, number, c); err != nil {
		return fmt.Errorf("comment on pull request %d: %w", number, err)
	}
	return nil
}

type commentREST struct {
	ID      int64     `json:"id"`
	User    userJSON  `json:"user"`
	Body    string    `json:"body"`
	Created time.Time `json:"created_at"`
}

func (f *Forge) comment(ctx context.Context, number int, c pr.Comment) error {
	c.Body = fitText(c.Key, c.Body)
	in := map[string]any{"body": pr.WithKey(c.Key, c.Body)}
	if c.Key != "" {
		done, err := f.oneAtATime(ctx)
		if err != nil {
			return err
		}
		defer done()
		kept, err := f.kept(ctx, number, c.Key)
		switch {
		case err != nil:
			return err
		case kept != nil && unixText(kept.Body) == unixText(c.Body):
			return nil
		case kept != nil:
			err := f.write(ctx, number, http.MethodPatch, f.repoPath("issues/comments/%d", kept.ID), in, nil)
			if err == nil {
				f.remember(number, func(p *pr.Pull) { setComment(p, kept.ID, c.Body) })
			}
			if !errors.Is(err, pr.ErrNotFound) {
				return err
			}
			f.forget(number, kept.ID) // somebody deleted it
		}
	}
	var made commentREST
	if err := f.write(ctx, number, http.MethodPost, f.repoPath("issues/%d/comments", number), in, &made); err != nil {
		return err
	}
	f.remember(number, func(p *pr.Pull) {
		o := pr.Comment{ID: made.ID, User: made.User.login(), At: made.Created}
		o.Key, o.Body = pr.CutKey(made.Body)
		p.Comments = append(p.Comments, o)
	})
	return nil
}

// kept is our comment with a key; nil for none. Of several, which bots at once may have written, it is the
// first; the others are deleted as far as that can be done.
func (f *Forge) kept(ctx context.Context, number int, key string) (*pr.Comment, error) {
	p, err := f.look(ctx, number)
	if err != nil {
		return nil, err
	}
	var first *pr.Comment
	for _, c := range p.Comments { // in the order of their IDs
		switch {
		case c.Key != key:
		case first == nil:
			first = &c
		default:
			err := f.write(ctx, number, http.MethodDelete, f.repoPath("issues/comments/%d", c.ID), nil, nil)
			if err == nil || errors.Is(err, pr.ErrNotFound) {
				f.forget(number, c.ID)
				continue
			}
			f.cfg.Logger.Warn("a second comment of ours stays", "pull", number, "key", key, "error", err)
		}
	}
	return first, nil
}

func (f *Forge) forget(number int, id int64) {
	f.remember(number, func(p *pr.Pull) {
		p.Comments = slices.DeleteFunc(p.Comments, func(o pr.Comment) bool { return o.ID == id })
	})
}

// oneAtATime keeps others from writing between a look at what is there and the write that follows from it.
func (f *Forge) oneAtATime(ctx context.Context) (done func(), err error) {
	select {
	case f.writing <- struct{}{}:
		return func() { <-f.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func setComment(p *pr.Pull, id int64, body string) {
	for i := range p.Comments {
		if p.Comments[i].ID == id {
			p.Comments[i].Body = body
		}
	}
}

// SetStatus writes a commit status, unless the newest of its context is ours and says the same.
func (f *Forge) SetStatus(ctx context.Context, number int, c pr.Check) error {
	c.Description = pr.CutText(oneLine(c.Description, len(c.Description)+1), maxStatusText)
	if err := f.setStatus(ctx, number, c); err != nil {
		return fmt.Errorf("set status %s of %s: %w", c.Context, shortHash(c.Commit), err)
	}
	return nil
}

func (f *Forge) setStatus(ctx context.Context, number int, c pr.Check) error {
	if c.Commit == "" || c.Context == "" {
		return errors.New("it needs a commit and a context")
	}
	done, err := f.oneAtATime(ctx)
	if err != nil {
		return err
	}
	defer done()
	checks, known := f.checksOf(number, c.Commit)
	if !known {
		if checks, err = f.readStatuses(ctx, c.Commit); err != nil {
			return err
		}
	}
	// The same words of somebody else are not ours: a rule may want the check of our App.
	if slices.ContainsFunc(checks, func(o pr.Check) bool { return c.Says(o) && sameLogin(o.App, appOf(f.user)) }) {
		return nil
	}
	in := map[string]any{"state": string(c.State), "context": c.Context, "description": c.Description}
	if err := f.write(ctx, number, http.MethodPost, f.repoPath("statuses/%s", c.Commit), in, nil); err != nil {
		return err
	}
	c.App = appOf(f.user)
	f.remember(number, func(p *pr.Pull) {
		if p.Head != c.Commit {
			return
		}
		p.Checks = slices.DeleteFunc(p.Checks, func(o pr.Check) bool { return strings.EqualFold(o.Context, c.Context) })
		p.Checks = append(p.Checks, c)
	})
	return nil
}

// checksOf is what is known of a commit's checks.
func (f *Forge) checksOf(number int, commit string) ([]pr.Check, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known[number]
	if k == nil || k.pull.Head != commit || k.read.IsZero() && !k.created {
		return nil, false
	}
	return slices.Clone(k.pull.Checks), true
}

// readStatuses are the newest statuses of a commit, one of each context.
func (f *Forge) readStatuses(ctx context.Context, commit string) ([]pr.Check, error) {
	var all []pr.Check
	for page, n := 1, 0; page != 0 && n < maxStatusPages; n++ {
		var body []struct {
			Context     string   `json:"context"`
			State       string   `json:"state"`
			Description string   `json:"description"`
			Creator     userJSON `json:"creator"`
		}
		// Not the combined status, which does not tell whose they are.
		a, err := f.do(ctx, http.MethodGet, f.repoPath("commits/%s/statuses", commit)+fmt.Sprintf("?per_page=100&page=%d", page), nil, &body)
		if err != nil {
			return nil, err
		}
		for _, s := range body { // the newest first
			if !slices.ContainsFunc(all, func(c pr.Check) bool { return strings.EqualFold(c.Context, s.Context) }) {
				all = append(all, pr.Check{Context: s.Context, State: stateOf(s.State), Description: s.Description, Commit: commit, App: appOf(s.Creator.login())})
			}
		}
		page = a.next
	}
	return all, nil
}

// SetLabel adds or removes a label. One that the repository has not is made.
func (f *Forge) SetLabel(ctx context.Context, number int, label string, on bool) error {
	var err error
	if on {
		_, err = f.addLabels(ctx, number, []string{label})
	} else {
		err = f.removeLabel(ctx, number, label)
	}
	if err != nil {
		return fmt.Errorf("set label %s of pull request %d: %w", label, number, err)
	}
	return nil
}

func (f *Forge) labelsOf(number int) ([]string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := f.known[number]
	if k == nil {
		return nil, false
	}
	return slices.Clone(k.pull.Labels), true
}

type labelsJSON []struct {
	Name string `json:"name"`
}

func (l labelsJSON) names() []string {
	var all []string
	for _, one := range l {
		all = append(all, one.Name)
	}
	return all
}

// addLabels adds labels and returns all that there are then.
func (f *Forge) addLabels(ctx context.Context, number int, labels []string) ([]string, error) {
	if have, known := f.labelsOf(number); known && !slices.ContainsFunc(labels, func(l string) bool { return !hasLabel(have, l) }) {
		return have, nil
	}
	var all labelsJSON
	path := f.repoPath("issues/%d/labels", number)
	in := map[string]any{"labels": labels} // go-github sends the bare list, which GitHub does not describe
	err := f.write(ctx, number, http.MethodPost, path, in, &all)
	var refused *apiError
	if errors.As(err, &refused) && refused.status == http.StatusUnprocessableEntity && refused.exists() {
		// Somebody made the same label at the same moment; now it is there.
		err = f.write(ctx, number, http.MethodPost, path, in, &all)
	}
	if err != nil {
		return nil, err
	}
	f.remember(number, func(p *pr.Pull) { p.Labels = all.names() })
	return all.names(), nil
}

func (f *Forge) removeLabel(ctx context.Context, number int, label string) error {
	if have, known := f.labelsOf(number); known && !hasLabel(have, label) {
		return nil
	}
	var all labelsJSON
	err := f.write(ctx, number, http.MethodDelete, f.repoPath("issues/%d/labels/%s", number, label), nil, &all)
	if errors.Is(err, pr.ErrNotFound) { // the label, or the pull request
		if _, err := f.readPull(ctx, number); err != nil {
			return err
		}
		f.remember(number, func(p *pr.Pull) {
			p.Labels = slices.DeleteFunc(p.Labels, func(l string) bool { return strings.EqualFold(l, label) })
		})
		return nil
	}
	if err == nil {
		f.remember(number, func(p *pr.Pull) { p.Labels = all.names() })
	}
	return err
}

// Close closes a pull request with a comment, "" for none. One that is closed stays as it is. Its branch
// stays.
func (f *Forge) Close(ctx context.Context, number int, comment string) error {
	if err := f.close(ctx, number, comment); err != nil {
		return fmt.Errorf("close pull request %d: %w", number, err)
	}
	return nil
}

func (f *Forge) close(ctx context.Context, number int, comment string) error {
	j, err := f.readPull(ctx, number)
	if err != nil || j.State != "open" {
		return err
	}
	if comment != "" {
		if err := f.comment(ctx, number, pr.Comment{Key: keyClosed, Body: comment}); err != nil {
			return err
		}
	}
	return f.setState(ctx, number, "closed")
}

func (f *Forge) setState(ctx context.Context, number int, state string) error {
	var j pullJSON
	err := f.write(ctx, number, http.MethodPatch, f.repoPath("pulls/%d", number), map[string]any{"state": state}, &j)
	if err != nil {
		return err
	}
	f.take(j)
	if state == "closed" {
		f.remember(number, func(p *pr.Pull) { p.ClosedBy = f.user })
	}
	return nil
}

// Reopen opens a closed pull request; an open one stays as it is.
func (f *Forge) Reopen(ctx context.Context, number int) error {
	j, err := f.readPull(ctx, number)
	switch {
	case err == nil && j.State == "open":
		return nil
	case err == nil && j.MergedAt != nil:
		err = errors.New("it was merged")
	case err == nil:
		err = f.setState(ctx, number, "open")
	}
	if err != nil {
		return fmt.Errorf("reopen pull request %d: %w", number, err)
	}
	return nil
}

// Review reviews a pull request as ourselves: approved, changes requested, or with no state a comment.
// Commit "" is the head as GitHub sees it.
func (f *Forge) Review(ctx context.Context, number int, r pr.Review) error {
	event, known := map[pr.ReviewState]string{pr.Approved: "APPROVE", pr.ChangesRequested: "REQUEST_CHANGES", "": "COMMENT"}[r.State]
	if !known {
		return fmt.Errorf("review pull request %d: nobody gives the review %q", number, r.State)
	}
	in := map[string]any{"event": event}
	if r.Body = fitText("", r.Body); r.Body == "" && event != "APPROVE" {
		r.Body = "Reviewed." // GitHub wants words
	}
	if r.Body != "" {
		in["body"] = r.Body
	}
	if r.Commit != "" {
		in["commit_id"] = r.Commit
	}
	err := f.write(ctx, number, http.MethodPost, f.repoPath("pulls/%d/reviews", number), in, nil)
	var refused *apiError
	if errors.As(err, &refused) && refused.status == http.StatusUnprocessableEntity && refused.says("your own pull request") {
		err = fmt.Errorf("%w: %w", pr.ErrForbidden, err)
	}
	if err != nil {
		return fmt.Errorf("review pull request %d: %w", number, err)
	}
	return nil
}
