package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	mergeableReads = 6           // until GitHub has found out whether a pull request can be merged
	mergeablePause = time.Second // between the first two of them; it grows by as much
	maxWhy         = 8           // reasons that an error names
)

// Merge merges a pull request whose head is m.Head. What is merged already, with that head, is no error.
// pr.ErrNotReady comes with what is missing. The branch stays: to look where it is and then to delete it would
// lose what is pushed in between.
func (f *Forge) Merge(ctx context.Context, m pr.MergeRequest) (string, error) {
	commit, err := f.merge(ctx, m)
	if err != nil {
		return "", fmt.Errorf("merge pull request %d: %w", m.Number, err)
	}
	return commit, nil
}

func (f *Forge) merge(ctx context.Context, m pr.MergeRequest) (string, error) {
	j, err := f.mergeable(ctx, m)
	if err != nil {
		return "", err
	}
	if j.MergedAt != nil {
		return j.MergeCommit, nil
	}
	if hasLabel(j.labels(), pr.LabelHold) {
		return "", f.changed(m.Number, "somebody holds it")
	}
	// What GitHub would let pass for everybody; else it might be only us whom it lets pass.
	blocked := !slices.Contains([]string{"clean", "unstable", "has_hooks"}, j.MergeableState)
	headline, body, _ := strings.Cut(strings.TrimSpace(m.Message), "\n")
	body = strings.TrimSpace(body)
	method := m.Method
	if method == "" {
		method = f.cfg.Method
	}
	err = f.enqueue(ctx, handover{
		number: m.Number, node: j.Node, base: j.Base.Ref, head: m.Head, method: method, headline: headline, body: body, blocked: blocked,
		updated: j.Updated,
	})
	if !errors.Is(err, pr.ErrUnsupported) {
		return "", err
	}
	if blocked && !m.Bypass {
		return "", f.notReady(ctx, j)
	}
	commit, err := f.putMerge(ctx, m, method, headline, body)
	if err != nil {
		return "", err
	}
	f.remember(m.Number, func(p *pr.Pull) {
		p.Open, p.Merged, p.MergeCommit, p.ClosedBy, p.Queued = false, true, commit, f.user, false
	})
	return commit, nil
}

// mergeable reads the pull request until it is known whether it can be merged, and refuses what cannot.
func (f *Forge) mergeable(ctx context.Context, m pr.MergeRequest) (pullJSON, error) {
	for n := 1; ; n++ {
		j, err := f.readPull(ctx, m.Number)
		switch {
		case err != nil:
			return j, err
		case j.Head.SHA != m.Head:
			return j, movedTo(j.Head.SHA, m.Head)
		case m.Base != "" && j.Base.Ref != m.Base: // other rules, other gates
			return j, fmt.Errorf("%w: its base is %s now, not %s", pr.ErrHeadMoved, oneLine(j.Base.Ref, maxServerText), m.Base)
		case j.MergedAt != nil:
			return j, nil
		case j.State != "open":
			return j, errors.New("it is closed")
		case j.Draft:
			return j, fmt.Errorf("%w: it is a draft", pr.ErrNotReady)
		case j.Mergeable != nil && !*j.Mergeable || j.MergeableState == "dirty":
			return j, pr.ErrConflict
		case j.Mergeable != nil && j.MergeableState != "" && j.MergeableState != "unknown":
			return j, nil
		case n == mergeableReads:
			return j, fmt.Errorf("%w: GitHub has not found out yet whether it can be merged", pr.ErrNotReady)
		}
		if err := f.pause(ctx, time.Duration(n)*mergeablePause); err != nil {
			return j, err
		}
	}
}

func (f *Forge) pause(ctx context.Context, d time.Duration) error {
	if f.cfg.pause != nil {
		return f.cfg.pause(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// putMerge merges. Where nobody said by which method, it is the first that the repository allows.
func (f *Forge) putMerge(ctx context.Context, m pr.MergeRequest, method pr.Method, headline, body string) (string, error) {
	methods := []pr.Method{method}
	if method == "" {
		methods = []pr.Method{pr.Squash, pr.Merge, pr.Rebase}
		f.mu.Lock()
		if f.method != "" {
			methods = []pr.Method{f.method}
		}
		f.mu.Unlock()
	}
	var err error
	for _, method := range methods {
		in := map[string]any{"sha": m.Head, "merge_method": string(method)}
		if headline != "" && method != pr.Rebase {
			in["commit_title"], in["commit_message"] = headline, body
		}
		var done struct {
			SHA    string `json:"sha"`
			Merged bool   `json:"merged"`
		}
		err = f.write(ctx, m.Number, http.MethodPut, f.repoPath("pulls/%d/merge", m.Number), in, &done)
		if err == nil && !done.Merged {
			err = fmt.Errorf("%w: GitHub answered that it is not merged", pr.ErrNotReady)
		}
		f.mu.Lock()
		switch err = mergeError(err); {
		case err == nil && m.Method == "" && f.cfg.Method == "":
			f.method = method
		case errors.Is(err, pr.ErrMethod):
			f.method = ""
		}
		f.mu.Unlock()
		if !errors.Is(err, pr.ErrMethod) {
			return done.SHA, err
		}
	}
	return "", err
}

// mergeError tells GitHub's refusals apart, which have little but words.
func mergeError(err error) error {
	var e *apiError
	if !errors.As(err, &e) {
		return err
	}
	is := func(sentinel error) error { return fmt.Errorf("%w: %w", sentinel, err) }
	switch {
	case e.status == http.StatusConflict && e.says("base branch was modified"),
		e.status == http.StatusMethodNotAllowed && e.says("base branch was modified"):
		return is(pr.ErrBaseMoved)
	case e.status == http.StatusConflict:
		return is(pr.ErrHeadMoved)
	case e.status != http.StatusMethodNotAllowed && e.status != http.StatusUnprocessableEntity:
		return err
	case e.says("not allowed on this repository", "merge method", "not allowed for this repository"):
		return is(pr.ErrMethod)
	case e.says("not authorized to push", "not authorized to merge"):
		return is(pr.ErrForbidden)
	case e.says("merge conflict", "can't be rebased", "cannot be rebased"):
		return is(pr.ErrConflict)
	case e.status == http.StatusMethodNotAllowed: // "not mergeable" too: it comes and goes while GitHub works
		return is(pr.ErrNotReady)
	}
	return err
}

// notReady says what GitHub waits for.
func (f *Forge) notReady(ctx context.Context, j pullJSON) error {
	why, err := f.missing(ctx, j.Number)
	switch {
	case err != nil:
		return err
	case j.MergeableState == "behind":
		why = append([]string{"the branch is behind its base, and the rules of the base want it up to date"}, why...)
	case len(why) == 0:
		why = []string{"the rules of the branch " + j.Base.Ref + " are not met, and GitHub does not say which"}
	}
	if len(why) > maxWhy {
		why = append(why[:maxWhy:maxWhy], fmt.Sprintf("and %d more", len(why)-maxWhy))
	}
	return fmt.Errorf("%w: %s", pr.ErrNotReady, strings.Join(why, "; "))
}

// missing are the reviews and the required checks that a pull request has not. A required check of which
// nothing was ever said is none of the head's, so that its name comes from the rules.
func (f *Forge) missing(ctx context.Context, number int) ([]string, error) {
	var data struct {
		Repository struct {
			PullRequest struct {
				ReviewDecision, BaseRefName string
				detailsJSON
			}
		}
	}
	query := fmt.Sprintf(`query($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { pullRequest(number: %[1]d) {
  reviewDecision baseRefName headRefOid
  commits(last: 1) { nodes { commit { oid statusCheckRollup { contexts(first: 100) `+contextFields+` } } } } } } }`, number)
	if _, err := f.ask(ctx, query, f.variables(), &data); err != nil {
		return nil, err
	}
	p := data.Repository.PullRequest
	var why []string
	switch p.ReviewDecision {
	case "REVIEW_REQUIRED":
		why = append(why, "an approving review is required")
	case "CHANGES_REQUESTED":
		why = append(why, "a review requests changes")
	}
	wanted, err := f.requiredContexts(ctx, p.BaseRefName)
	if err != nil {
		return nil, err
	}
	said := map[string]bool{}
	if contexts := p.contexts(); contexts != nil {
		for _, n := range contexts.Nodes {
			c := n.value("")
			said[c.Context] = true
			if c.State != pr.CheckSuccess && (n.IsRequired || wanted[c.Context]) {
				word := map[pr.CheckState]string{pr.CheckPending: "is pending", pr.CheckFailure: "has failed"}[c.State]
				why = append(why, "the required check "+oneLine(c.Context, maxServerText)+" "+word)
			}
		}
	}
	for _, context := range slices.Sorted(maps.Keys(wanted)) {
		if !said[context] {
			why = append(why, "the required check "+oneLine(context, maxServerText)+" has not reported")
		}
	}
	return slices.Compact(why), nil
}
