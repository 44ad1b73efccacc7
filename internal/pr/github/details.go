package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	detailsBatch = 20  // pull requests a query
	detailsPage  = 100 // reviews, comments and checks of each
	smallestPage = 4
	maxBack      = 5000 // comments, reviews or checks; of more, the first are not looked at
)

// detailsJSON is what GraphQL tells of a pull request.
type detailsJSON struct {
	HeadRefOid       string
	BaseRefName      string
	State            string
	UpdatedAt        time.Time
	IsInMergeQueue   bool
	AutoMergeRequest *struct{ EnabledAt string }
	TimelineItems    struct {
		Nodes []struct{ Actor *actorJSON }
	}
	Reviews  reviewsJSON
	Comments commentsJSON
	Commits  struct {
		Nodes []struct {
			Commit struct {
				Oid               string
				StatusCheckRollup *struct{ Contexts contextsJSON }
			}
		}
	}

	statuses []pr.Check // of the head, where GraphQL does not tell all checks
	partly   bool       // it does not
}

type pageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       string
}

type reviewsJSON struct {
	PageInfo pageInfo
	Nodes    []struct {
		State, Body               string
		SubmittedAt               time.Time
		AuthorCanPushToRepository bool
		Author                    *actorJSON
		Commit                    *struct{ Oid string }
	}
}

type commentsJSON struct {
	PageInfo pageInfo
	Nodes    []commentJSON
}

type commentJSON struct {
	FullDatabaseID  string `json:"fullDatabaseId"`
	Author          *actorJSON
	Body            string
	CreatedAt       time.Time
	ViewerDidAuthor bool
}

type contextsJSON struct {
	PageInfo pageInfo
	Nodes    []contextJSON
}

type contextJSON struct {
	Kind       string `json:"__typename"`
	IsRequired bool
	// Of a status:
	Context, State, Description string
	Creator                     *actorJSON
	// Of a check run:
	Name, Status, Conclusion, Title string
	CheckSuite                      struct{ App *struct{ Slug string } }
}

// actorJSON is an account. GraphQL calls an App's bot "slug", REST "slug[bot]": here it is the latter.
type actorJSON struct {
	Kind  string `json:"__typename"`
	Login string
}

func (a *actorJSON) login() string {
	switch {
	case a == nil || a.Login == "":
		return nobody
	case a.Kind == "Bot" && !strings.HasSuffix(a.Login, "[bot]"):
		return a.Login + "[bot]"
	}
	return a.Login
}

const (
	actorFields   = `{ __typename login }`
	pageFields    = `pageInfo { hasNextPage endCursor hasPreviousPage startCursor }`
	reviewFields  = `{ ` + pageFields + ` nodes { state body submittedAt authorCanPushToRepository author ` + actorFields + ` commit { oid } } }`
	commentFields = `{ ` + pageFields + ` nodes { fullDatabaseId author ` + actorFields + ` body createdAt viewerDidAuthor } }`
	contextFields = `{ ` + pageFields + ` nodes { __typename
      ... on StatusContext { context state description creator ` + actorFields + ` isRequired(pullRequestNumber: %[1]d) }
      ... on CheckRun { name status conclusion title checkSuite { app { slug } } isRequired(pullRequestNumber: %[1]d) } } }`

	// detailsFields of one pull request: %[1]d is its number, %[2]d the page.
	detailsFields = `pull%[1]d: pullRequest(number: %[1]d) {
    headRefOid baseRefName state updatedAt isInMergeQueue autoMergeRequest { enabledAt }
    timelineItems(itemTypes: [CLOSED_EVENT], last: 1) { nodes { __typename ... on ClosedEvent { actor ` + actorFields + ` } } }
    reviews(last: %[2]d) ` + reviewFields + `
    comments(last: %[2]d) ` + commentFields + `
    commits(last: 1) { nodes { commit { oid statusCheckRollup { contexts(first: %[2]d) ` + contextFields + ` } } } }
  }`
)

// loadDetails reads the details of pull requests, many with one query.
func (f *Forge) loadDetails(ctx context.Context, numbers []int) error {
	for batch := range slices.Chunk(numbers, detailsBatch) {
		if err := f.loadBatch(ctx, batch, detailsPage); err != nil {
			return err
		}
	}
	return nil
}

// loadBatch asks for less at once where an answer is too large, or takes GitHub too long: anybody may write
// long comments.
func (f *Forge) loadBatch(ctx context.Context, batch []int, page int) error {
	err := f.readDetails(ctx, batch, page)
	if !tooMuch(err) {
		return err
	}
	switch {
	case len(batch) > 1:
		half := len(batch) / 2
		if err := f.loadBatch(ctx, batch[:half], page); err != nil {
			return err
		}
		return f.loadBatch(ctx, batch[half:], page)
	case page > smallestPage:
		return f.loadBatch(ctx, batch, page/5)
	}
	return fmt.Errorf("details of pull request %d: %w", batch[0], err)
}

// readDetails does one query and takes up what it tells.
func (f *Forge) readDetails(ctx context.Context, batch []int, page int) error {
	writes := map[int]int{}
	f.mu.Lock()
	for _, n := range batch {
		if k := f.known[n]; k != nil {
			writes[n] = k.writes
		}
	}
	f.mu.Unlock()
	var query strings.Builder
	query.WriteString("query($owner: String!, $name: String!) {\n  repository(owner: $owner, name: $name) {\n")
	for _, n := range batch {
		fmt.Fprintf(&query, "  "+detailsFields+"\n", n, page)
	}
	query.WriteString("}}")
	var data struct{ Repository map[string]*detailsJSON }
	a, err := f.ask(ctx, query.String(), f.variables(), &data)
	lost, err := f.lost(err)
	if err != nil {
		return err
	}
	date := dateOf(a.header, f.cfg.Now())
	for _, n := range batch {
		d := data.Repository["pull"+strconv.Itoa(n)]
		if d == nil && lost[n] != lostAll {
			return fmt.Errorf("read GitHub's answer: pull request %d is missing in it", n)
		}
		if d == nil { // it is gone, or we may not see it any more
			switch _, err := f.readPull(ctx, n); {
			case errors.Is(err, pr.ErrNotFound):
				continue
			case err != nil:
				return err
			}
			return fmt.Errorf("GitHub tells of pull request %d, and not its details", n)
		}
		d.partly = lost[n] == lostChecks
		if err := f.completeDetails(ctx, n, d, page); err != nil {
			return err
		}
		if err := f.apply(ctx, n, d, date, writes[n]); err != nil {
			return err
		}
	}
	return nil
}

func (f *Forge) variables() map[string]any { return map[string]any{"owner": f.owner, "name": f.name} }

// completeDetails reads what was more than a page. All of it each time: a comment far back may have been
// edited.
func (f *Forge) completeDetails(ctx context.Context, number int, d *detailsJSON, page int) error {
	const head = "query($owner: String!, $name: String!, $number: Int!, $cursor: String) { repository(owner: $owner, name: $name) { pullRequest(number: $number) { "
	ask := func(fields, cursor string) (detailsJSON, error) {
		var data struct {
			Repository struct{ PullRequest detailsJSON }
		}
		variables := f.variables()
		variables["number"], variables["cursor"] = number, cursor
		_, err := f.ask(ctx, head+fields+" } } }", variables, &data)
		return data.Repository.PullRequest, err
	}
	for d.Comments.PageInfo.HasPreviousPage && len(d.Comments.Nodes) < maxBack {
		more, err := ask(fmt.Sprintf("comments(last: %d, before: $cursor) ", page)+commentFields, d.Comments.PageInfo.StartCursor)
		if err != nil {
			return err
		}
		if len(more.Comments.Nodes) == 0 {
			break
		}
		d.Comments.Nodes, d.Comments.PageInfo = append(more.Comments.Nodes, d.Comments.Nodes...), more.Comments.PageInfo
	}
	for d.Reviews.PageInfo.HasPreviousPage && len(d.Reviews.Nodes) < maxBack {
		more, err := ask(fmt.Sprintf("reviews(last: %d, before: $cursor) ", page)+reviewFields, d.Reviews.PageInfo.StartCursor)
		if err != nil {
			return err
		}
		if len(more.Reviews.Nodes) == 0 {
			break
		}
		d.Reviews.Nodes, d.Reviews.PageInfo = append(more.Reviews.Nodes, d.Reviews.Nodes...), more.Reviews.PageInfo
	}
	contexts := d.contexts()
	for contexts != nil && contexts.PageInfo.HasNextPage && len(contexts.Nodes) < maxBack {
		fields := fmt.Sprintf("commits(last: 1) { nodes { commit { oid statusCheckRollup { contexts(first: %[2]d, after: $cursor) "+contextFields+" } } } }", number, page)
		more, err := ask(fields, contexts.PageInfo.EndCursor)
		var e *graphqlError
		if errors.As(err, &e) && e.all(ofChecks) {
			d.partly, err = true, nil
		}
		if err != nil {
			return err
		}
		next := more.contexts()
		if next == nil || len(next.Nodes) == 0 {
			break
		}
		contexts.Nodes, contexts.PageInfo = append(contexts.Nodes, next.Nodes...), next.PageInfo
	}
	if d.partly {
		var err error
		d.statuses, err = f.readStatuses(ctx, d.HeadRefOid)
		if err != nil && !errors.Is(err, pr.ErrForbidden) && !errors.Is(err, pr.ErrNotFound) { // else we may read none at all
			return err
		}
	}
	return nil
}

// contexts are the checks of the head; nil where there are none.
func (d *detailsJSON) contexts() *contextsJSON {
	if len(d.Commits.Nodes) == 0 || d.Commits.Nodes[0].Commit.StatusCheckRollup == nil {
		return nil
	}
	return &d.Commits.Nodes[0].Commit.StatusCheckRollup.Contexts
}

func (d *detailsJSON) reviews() []pr.Review {
	var all []pr.Review
	for _, n := range d.Reviews.Nodes {
		state := map[string]pr.ReviewState{"APPROVED": pr.Approved, "CHANGES_REQUESTED": pr.ChangesRequested, "DISMISSED": pr.Dismissed}[n.State]
		if state == "" {
			continue // a comment, or one that is being written
		}
		r := pr.Review{
			User: n.Author.login(), State: state, At: n.SubmittedAt, Body: n.Body, Authenticated: true, CanWrite: n.AuthorCanPushToRepository,
		}
		if n.Commit != nil {
			r.Commit = n.Commit.Oid
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b pr.Review) int { return a.At.Compare(b.At) })
	return all
}

func (d *detailsJSON) comments() []pr.Comment {
	var all []pr.Comment
	for _, n := range d.Comments.Nodes {
		all = append(all, n.value())
	}
	slices.SortStableFunc(all, func(a, b pr.Comment) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (j commentJSON) value() pr.Comment {
	c := pr.Comment{User: j.Author.login(), Body: j.Body, At: j.CreatedAt}
	c.ID, _ = strconv.ParseInt(j.FullDatabaseID, 10, 64) // 0: GitHub gave none
	if j.ViewerDidAuthor {
		c.Key, c.Body = pr.CutKey(j.Body)
	}
	return c
}

// checks are of the head as GraphQL sees it; statuses as REST does, where GraphQL tells not all.
func (d *detailsJSON) checks() []pr.Check {
	all := slices.Clone(d.statuses)
	contexts := d.contexts()
	if contexts == nil {
		return all
	}
	for _, n := range contexts.Nodes {
		if n.Kind == "CheckRun" || n.Kind == "StatusContext" && !d.partly {
			all = append(all, n.value(d.Commits.Nodes[0].Commit.Oid))
		}
	}
	return all
}

func (j contextJSON) value(commit string) pr.Check {
	if j.Kind == "CheckRun" {
		c := pr.Check{Context: j.Name, State: pr.CheckFailure, Description: j.Title, Commit: commit}
		if app := j.CheckSuite.App; app != nil {
			c.App = app.Slug
		}
		switch {
		case j.Status != "COMPLETED":
			c.State = pr.CheckPending
		case j.Conclusion == "SUCCESS" || j.Conclusion == "NEUTRAL" || j.Conclusion == "SKIPPED":
			c.State = pr.CheckSuccess
		}
		return c
	}
	return pr.Check{Context: j.Context, State: stateOf(j.State), Description: j.Description, Commit: commit, App: appOf(j.Creator.login())}
}

// stateOf reads a status's state in the words of REST or GraphQL.
func stateOf(s string) pr.CheckState {
	switch strings.ToUpper(s) {
	case "SUCCESS":
		return pr.CheckSuccess
	case "PENDING", "EXPECTED":
		return pr.CheckPending
	}
	return pr.CheckFailure
}

// appOf is an App's name where a login is its bot's: check runs and rules name it so.
func appOf(login string) string { return strings.TrimSuffix(login, "[bot]") }
