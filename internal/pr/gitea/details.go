package gitea

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"golang.org/x/sync/errgroup"

	"towpath.dev/towpath/internal/pr"
)

// atOnce is how many pull requests are read side by side.
const atOnce = 4

// fill reads the details of what changed. Those that were read stay known when others fail.
func (f *Forge) fill(ctx context.Context) error {
	now := f.cfg.Now()
	f.mu.Lock()
	var todo []*entry
	for _, e := range f.known {
		switch {
		case e.loaded && (!e.pull.Open || now.Sub(e.read) < believed):
		case e.pull.Open, !e.pull.Merged, e.byWhom:
			todo = append(todo, &entry{pull: copied(e.pull), byWhom: e.byWhom})
		default:
			e.loaded, e.settled = true, true // who merged it long ago is nobody's question
		}
	}
	f.mu.Unlock()
	slices.SortFunc(todo, func(a, b *entry) int { return b.pull.Number - a.pull.Number })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, e := range todo {
		group.Go(func() error {
			err := f.details(ctx, e)
			if errors.Is(err, pr.ErrNotFound) {
				f.forget(e.pull.Number)
				return nil
			}
			if err != nil {
				return fmt.Errorf("pull request %d: %w", e.pull.Number, err)
			}
			e.read = now
			f.keepDetails(e)
			return nil
		})
	}
	return group.Wait()
}

// keepDetails makes known what was read of e, unless it changed meanwhile.
func (f *Forge) keepDetails(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.known[e.pull.Number]
	if now == nil || !now.pull.Updated.Equal(e.pull.Updated) || now.pull.Head != e.pull.Head {
		return
	}
	p := e.pull
	now.pull.Reviews, now.pull.Comments, now.pull.Checks, now.pull.ClosedBy = p.Reviews, p.Comments, p.Checks, p.ClosedBy
	now.loaded, now.settled, now.byWhom, now.read = true, e.settled, false, e.read
}

// details reads what the list does not say: of an open pull request reviews, comments and the statuses
// of its head, of a closed unmerged one comments and who closed it.
func (f *Forge) details(ctx context.Context, e *entry) error {
	p := &e.pull
	if !p.Open {
		switch {
		case !p.Merged:
			return f.closing(ctx, e)
		case e.byWhom:
			alone, err := f.get(ctx, p.Number)
			if err != nil {
				return err
			}
			p.ClosedBy, e.settled = alone.pull.ClosedBy, true
		}
		return nil
	}
	var err error
	var at time.Time
	if p.Reviews, at, err = f.reviews(ctx, p.Number); err != nil {
		return err
	}
	if p.Comments, err = f.comments(ctx, p.Number); err != nil {
		return err
	}
	if p.Checks, err = f.checks(ctx, p.Head); err != nil {
		return err
	}
	e.settled = at.Sub(p.Updated) >= settle
	return nil
}

// reviews reads all reviews that count or undo one, in the order of time, and when it began to.
func (f *Forge) reviews(ctx context.Context, number int) ([]pr.Review, time.Time, error) {
	c, err := f.client(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	var all []*sdk.PullReview
	var began time.Time
	for page := 1; page <= maxPages; page++ {
		got, resp, err := c.ListPullReviews(f.owner, f.name, int64(number), sdk.ListPullReviewsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: f.perPage}})
		if err != nil {
			return nil, began, ofPull(err)
		}
		if page == 1 {
			began = dateOf(resp, f.cfg.Now())
		}
		all = append(all, got...)
		if done(len(all), len(got), f.perPage, resp) {
			break
		}
	}
	inOrder(all)
	var out []pr.Review
	for _, r := range all {
		if review, ok := reviewOf(r); ok {
			out = append(out, review)
		}
	}
	return out, began, nil
}

// done reports whether a page was the last: it says how many there are in all, or is not full.
func done(all, got, asked int, resp *sdk.Response) bool {
	if resp != nil && resp.Response != nil {
		if total, err := strconv.Atoi(resp.Header.Get("X-Total-Count")); err == nil {
			return got == 0 || all >= total
		}
	}
	return got < asked
}

// comments reads all comments, which the server gives on one page.
func (f *Forge) comments(ctx context.Context, number int) ([]pr.Comment, error) {
	c, err := f.client(ctx)
	if err != nil {
		return nil, err
	}
	got, _, err := c.ListIssueComments(f.owner, f.name, int64(number), sdk.ListIssueCommentOptions{})
	if err != nil {
		return nil, ofPull(err)
	}
	var out []pr.Comment
	for _, one := range got {
		out = append(out, f.commentOf(one))
	}
	slices.SortFunc(out, func(a, b pr.Comment) int { return int(a.ID - b.ID) })
	return out, nil
}

// checks reads the newest status of each context of a commit.
func (f *Forge) checks(ctx context.Context, commit string) ([]pr.Check, error) {
	if commit == "" {
		return nil, nil
	}
	var out []pr.Check
	for page := 1; page <= maxPages; page++ {
		c, err := f.client(withQuery(ctx, url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(f.perPage)}}))
		if err != nil {
			return nil, err
		}
		got, _, err := c.GetCombinedStatus(f.owner, f.name, commit)
		if err != nil {
			return nil, fmt.Errorf("statuses of %s: %w", short(commit), plain(err))
		}
		fresh := 0
		for _, s := range got.Statuses {
			one := checkOf(s, commit)
			if !slices.ContainsFunc(out, func(c pr.Check) bool { return c.Context == one.Context }) {
				out = append(out, one)
				fresh++
			}
		}
		if fresh == 0 || len(got.Statuses) < f.perPage || got.TotalCount > 0 && len(out) >= got.TotalCount {
			break
		}
	}
	return out, nil
}

// event is one of a pull request's history. The vendor's own type does not fit what servers answer.
type event struct {
	ID      int64     `json:"id"`
	Type    string    `json:"type"`
	Poster  *sdk.User `json:"user"`
	Body    string    `json:"body"`
	Created time.Time `json:"created_at"`
}

// history reads one page of a pull request's history, oldest first, and when the server answered.
func (f *Forge) history(ctx context.Context, number, page int) ([]*event, time.Time, error) {
	token, err := f.cfg.Token(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	at := fmt.Sprintf("%s/api/v1/repos/%s/%s/issues/%d/timeline?page=%d&limit=%d", f.cfg.URL, url.PathEscape(f.owner), url.PathEscape(f.name), number, page, f.perPage)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, time.Time{}, err
	}
	req.Header.Set("Authorization", "token "+token)
	req.Header.Set("User-Agent", userAgent)
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, time.Time{}, ofPull(err)
	}
	defer resp.Body.Close()
	var out []*event
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, time.Time{}, fmt.Errorf("history: %w", err)
	}
	return out, dateOf(&sdk.Response{Response: resp}, f.cfg.Now()), nil
}

// closing reads who closed a pull request and its comments from its history.
func (f *Forge) closing(ctx context.Context, e *entry) error {
	p := &e.pull
	p.Comments, p.ClosedBy = nil, ""
	seen := map[int64]bool{}
	for page := 1; page <= maxPages; page++ {
		got, at, err := f.history(ctx, p.Number, page)
		if err != nil {
			return err
		}
		if page == 1 {
			e.settled = at.Sub(p.Updated) >= settle
		}
		fresh := 0
		for _, one := range got {
			if one == nil || seen[one.ID] {
				continue
			}
			seen[one.ID] = true
			fresh++
			switch one.Type {
			case "close":
				p.ClosedBy = nameOf(one.Poster)
			case "comment":
				p.Comments = append(p.Comments, f.commentOf(&sdk.Comment{ID: one.ID, Poster: one.Poster, Body: one.Body, Created: one.Created}))
			}
		}
		if fresh == 0 || len(got) < f.perPage {
			break
		}
	}
	slices.SortFunc(p.Comments, func(a, b pr.Comment) int { return int(a.ID - b.ID) })
	return nil
}
