package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

const maxDescription = 140 // characters of a status

// Unqueue does nothing: we never ask the server to merge later.
func (f *Forge) Unqueue(context.Context, int) error { return nil }

// Close closes a pull request unmerged, with a comment unless it is empty. A closed one stays as it is.
// The branch stays.
func (f *Forge) Close(ctx context.Context, number int, comment string) error {
	if err := f.close(ctx, number, comment); err != nil {
		return fmt.Errorf("close pull request %d: %w", number, err)
	}
	return nil
}

func (f *Forge) close(ctx context.Context, number int, comment string) error {
	e, err := f.get(ctx, number)
	if err != nil || !e.pull.Open {
		return err
	}
	var written int64
	if comment != "" {
		if written, err = f.commentOnce(ctx, number, comment); err != nil {
			return err
		}
	}
	err = f.setState(ctx, number, sdk.StateClosed)
	if errors.Is(err, pr.ErrForbidden) && written != 0 {
		f.uncomment(ctx, number, written) // who may comment need not be one who may close
	}
	return err
}

// Reopen opens a closed pull request again; an open one stays as it is.
func (f *Forge) Reopen(ctx context.Context, number int) error {
	e, err := f.get(ctx, number)
	switch {
	case err != nil:
	case e.pull.Merged:
		err = errors.New("it is merged")
	case !e.pull.Open:
		err = f.reopen(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("reopen pull request %d: %w", number, err)
	}
	return nil
}

// reopen opens e again unless another of its branch is open: a server may let both be.
func (f *Forge) reopen(ctx context.Context, e *entry) error {
	f.ensuring.Lock()
	defer f.ensuring.Unlock()
	if !e.pull.Fork {
		other, err := f.find(ctx, e.pull.Branch, e.pull.Base)
		if err != nil {
			return err
		}
		if other != nil && other.pull.Number != e.pull.Number {
			return fmt.Errorf("pull request %d of the same branch is open", other.pull.Number)
		}
	}
	return f.setState(ctx, e.pull.Number, sdk.StateOpen)
}

func (f *Forge) setState(ctx context.Context, number int, state sdk.StateType) error {
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	p, _, err := c.EditPullRequest(f.owner, f.name, int64(number), sdk.EditPullRequestOption{State: &state})
	if err != nil {
		return ofPull(err)
	}
	f.put(f.entry(p))
	return nil
}

// SetStatus sets the status c.Context of c.Commit; no write when its newest says so already. The
// description is cut to 140 characters.
func (f *Forge) SetStatus(ctx context.Context, number int, c pr.Check) error {
	c.Description = pr.CutText(c.Description, maxDescription)
	f.mu.Lock()
	e := f.known[number]
	said := e != nil && slices.ContainsFunc(e.pull.Checks, c.Says)
	f.mu.Unlock()
	if said {
		return nil
	}
	var err error
	if e == nil {
		_, err = f.get(ctx, number)
	}
	if err == nil {
		err = f.setStatus(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("set status %s of pull request %d: %w", c.Context, number, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[number]; e != nil && e.pull.Head == c.Commit { // the server does not date it anew for it
		c.App = f.user
		e.pull.Checks = append(slices.DeleteFunc(slices.Clone(e.pull.Checks), func(o pr.Check) bool { return o.Context == c.Context }), c)
	}
	return nil
}

func (f *Forge) setStatus(ctx context.Context, want pr.Check) error {
	if want.Commit == "" || want.Context == "" {
		return errors.New("it needs a commit and a context")
	}
	all, err := f.checks(ctx, want.Commit)
	if err != nil || slices.ContainsFunc(all, want.Says) {
		return err
	}
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	_, _, err = c.CreateStatus(f.owner, f.name, want.Commit, sdk.CreateStatusOption{State: stateOf(want.State), Context: want.Context, Description: want.Description})
	return plain(err)
}

// Report shows what an environment runs as a status of the commit, towpath/<environment>.
func (f *Forge) Report(ctx context.Context, r pr.Report) error {
	c := pr.Check{Context: "towpath/" + r.Env, Commit: r.Commit, Description: pr.CutText(r.Description, maxDescription), State: pr.CheckPending}
	if c.Context == pr.StatusContext || c.Context == pr.LintContext {
		c.Context = "towpath/env/" + r.Env // an environment must not speak for a pull request
	}
	switch r.State {
	case pr.ReportHealthy:
		c.State = pr.CheckSuccess
	case pr.ReportFailing:
		c.State = pr.CheckFailure
	}
	if err := f.setStatus(ctx, c); err != nil {
		return fmt.Errorf("report %s at %s: %w", r.Env, short(r.Commit), err)
	}
	return nil
}

// Review reviews as ourselves: approves, asks for changes, dismisses our last word, or, with no State,
// comments. Of the current head unless r.Commit says otherwise.
func (f *Forge) Review(ctx context.Context, number int, r pr.Review) error {
	if err := f.review(ctx, number, r); err != nil {
		return fmt.Errorf("review pull request %d: %w", number, err)
	}
	return nil
}

func (f *Forge) review(ctx context.Context, number int, r pr.Review) error {
	o := sdk.CreatePullReviewOptions{State: sdk.ReviewStateComment, Body: pr.CutBody(r.Body, maxText), CommitID: r.Commit}
	switch r.State {
	case pr.Approved:
		o.State = sdk.ReviewStateApproved
	case pr.ChangesRequested:
		o.State = sdk.ReviewStateRequestChanges
		if o.Body == "" {
			o.Body = "Changes are requested."
		}
	case pr.Dismissed:
		return f.dismiss(ctx, number, r.Body)
	case "":
	default:
		return fmt.Errorf("no such review: %s", r.State)
	}
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	_, _, err = c.CreatePullReview(f.owner, f.name, int64(number), o)
	if status(err) == http.StatusUnprocessableEntity && says(err, "your own pull") {
		return fmt.Errorf("%w: the author's own review does not count: %w", pr.ErrForbidden, plain(err))
	}
	return ofPull(err)
}

// dismiss takes our last word back.
func (f *Forge) dismiss(ctx context.Context, number int, why string) error {
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	var last *sdk.PullReview
	for page, all := 1, 0; page <= maxPages; page++ {
		got, resp, err := c.ListPullReviews(f.owner, f.name, int64(number), sdk.ListPullReviewsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: f.perPage}})
		if err != nil {
			return ofPull(err)
		}
		for _, r := range got {
			if word, ok := reviewOf(r); ok && f.ours(r.Reviewer) && word.State != pr.Dismissed && (last == nil || r.ID > last.ID) {
				last = r
			}
		}
		if all += len(got); done(all, len(got), f.perPage, resp) {
			break
		}
	}
	if last == nil {
		return nil
	}
	_, err = c.DismissPullReview(f.owner, f.name, int64(number), last.ID, sdk.DismissPullReviewOptions{Message: why})
	return ofPull(err)
}
