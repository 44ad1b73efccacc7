package github

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

// handover is a pull request that GitHub itself is to merge.
type handover struct {
	number         int
	node           string // its ID in GraphQL
	base, head     string // branch, and the commit that must still be the head
	method         pr.Method
	headline, body string
	blocked        bool      // the forge's rules do not let it be merged now, as far as is known
	updated        time.Time // when it changed last
}

// standing is what GitHub is about to do with a pull request by itself.
type standing struct {
	node, head string
	merged     bool
	waits      bool // in the queue
	asked      bool // auto-merge is on
	queue      bool // its base has a merge queue
	allowed    bool // the repository knows auto-merge

	base     string
	updated  time.Time
	date     time.Time   // GitHub's time
	reviews  reviewsJSON // the last of them
	comments commentsJSON
}

// enqueue hands a pull request over to the merge queue of its base, or asks for auto-merge. pr.ErrQueued
// when GitHub will merge it, pr.ErrUnsupported when neither is there, so that it is to be merged plainly.
//
// Auto-merge is for pull requests, not for heads: whatever is pushed later is merged, too. So it is asked
// for only where pr.StatusContext is a required check, which a later head has to earn anew.
func (f *Forge) enqueue(ctx context.Context, h handover) error {
	s, err := f.standing(ctx, h.number, h.base)
	switch {
	case err != nil:
		return err
	case s.merged:
		return pr.ErrUnsupported // whoever merges plainly finds that out
	case s.head != h.head:
		return fmt.Errorf("%w: it is at %s", pr.ErrHeadMoved, shortHash(s.head))
	case h.base != "" && s.base != h.base:
		return fmt.Errorf("%w: its base is %s now, not %s", pr.ErrHeadMoved, oneLine(s.base, maxServerText), h.base)
	case s.waits:
		return pr.ErrQueued
	}
	if why := f.news(h, s); why != "" {
		return f.changed(h.number, why)
	}
	if s.queue {
		err := f.joinQueue(ctx, s.node, h.head)
		if !errors.Is(err, pr.ErrNotReady) || !f.cfg.AutoMerge {
			return err
		}
		if auto := f.autoMerge(ctx, s, h); !errors.Is(auto, pr.ErrUnsupported) {
			return auto
		}
		return err // GitHub's words of what is missing
	}
	if !f.cfg.AutoMerge || !h.blocked {
		return pr.ErrUnsupported
	}
	return f.autoMerge(ctx, s, h)
}

const standingQuery = `query($owner: String!, $name: String!, $number: Int!, $branch: String) {
  repository(owner: $owner, name: $name) {
    autoMergeAllowed
    mergeQueue(branch: $branch) { id }
    pullRequest(number: $number) {
      id headRefOid baseRefName merged updatedAt isInMergeQueue autoMergeRequest { enabledAt }
      reviews(last: 100) ` + reviewFields + `
      comments(last: 20) { nodes { fullDatabaseId viewerDidAuthor } }
    }
  }
}`

// standing asks for it; base "" is the default branch.
func (f *Forge) standing(ctx context.Context, number int, base string) (standing, error) {
	var data struct {
		Repository struct {
			AutoMergeAllowed bool
			MergeQueue       *struct{ ID string }
			PullRequest      struct {
				ID, HeadRefOid         string
				BaseRefName            string
				UpdatedAt              time.Time
				Reviews                reviewsJSON
				Comments               commentsJSON
				Merged, IsInMergeQueue bool
				AutoMergeRequest       *struct{ EnabledAt string }
			}
		}
	}
	variables := map[string]any{"owner": f.owner, "name": f.name, "number": number, "branch": nil}
	if base != "" {
		variables["branch"] = base
	}
	a, err := f.ask(ctx, standingQuery, variables, &data)
	if err != nil {
		return standing{}, err
	}
	r, p := data.Repository, data.Repository.PullRequest
	return standing{
		node: p.ID, head: p.HeadRefOid, merged: p.Merged, waits: p.IsInMergeQueue, asked: p.AutoMergeRequest != nil,
		queue: r.MergeQueue != nil, allowed: r.AutoMergeAllowed,
		base: p.BaseRefName, updated: p.UpdatedAt, date: dateOf(a.header, f.cfg.Now()), reviews: p.Reviews, comments: p.Comments,
	}, nil
}

// mutate carries out a mutation whose variable is $in.
func (f *Forge) mutate(ctx context.Context, mutation string, in map[string]any, out any) error {
	return f.graphql(ctx, mutation, map[string]any{"in": in}, out)
}

func (f *Forge) joinQueue(ctx context.Context, node, head string) error {
	const mutation = `mutation($in: EnqueuePullRequestInput!) { enqueuePullRequest(input: $in) { mergeQueueEntry { id } } }`
	in := map[string]any{"pullRequestId": node, "expectedHeadOid": head}
	err := f.mutate(ctx, mutation, in, nil)
	if err == nil {
		return pr.ErrQueued
	}
	return handoverError(err)
}

// autoMerge asks GitHub to merge when its rules are met; pr.ErrUnsupported where it cannot, or should not.
func (f *Forge) autoMerge(ctx context.Context, s standing, h handover) error {
	switch {
	case s.asked:
		return pr.ErrQueued
	case !s.allowed:
		return pr.ErrUnsupported
	}
	checks, err := f.requiredContexts(ctx, h.base)
	if err != nil {
		return err
	}
	if !checks[pr.StatusContext] {
		f.cfg.Logger.Debug("auto-merge is not asked for", "pull", h.number, "reason", pr.StatusContext+" is no required check of "+h.base)
		return pr.ErrUnsupported
	}
	methods := []pr.Method{h.method}
	if h.method == "" {
		methods = []pr.Method{pr.Squash, pr.Merge, pr.Rebase}
	}
	for _, method := range methods {
		if err = f.askAutoMerge(ctx, s.node, method, h); !errors.Is(err, pr.ErrMethod) {
			break
		}
	}
	return err
}

func (f *Forge) askAutoMerge(ctx context.Context, node string, method pr.Method, h handover) error {
	const mutation = `mutation($in: EnablePullRequestAutoMergeInput!) { enablePullRequestAutoMerge(input: $in) { clientMutationId } }`
	in := map[string]any{"pullRequestId": node, "expectedHeadOid": h.head, "mergeMethod": strings.ToUpper(string(method))}
	if method != pr.Rebase {
		in["commitHeadline"], in["commitBody"] = h.headline, h.body
	}
	if err := f.mutate(ctx, mutation, in, nil); err != nil {
		return handoverError(err)
	}
	return pr.ErrQueued
}

// handoverError tells GitHub's refusals apart, which have only words.
func handoverError(err error) error {
	var e *graphqlError
	if !errors.As(err, &e) || errors.Is(err, pr.ErrForbidden) || errors.Is(err, pr.ErrNotFound) {
		return err
	}
	words := strings.ToLower(strings.Join(e.messages, "; "))
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(words, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("head branch was modified", "expected head", "expectedheadoid"):
		return fmt.Errorf("%w: %w", pr.ErrHeadMoved, err)
	case has("already in the queue", "already in the merge queue", "already queued", "auto-merge is already", "auto merge is already"):
		return pr.ErrQueued
	case has("clean status", "unstable status", "has_hooks status", "auto merge is not allowed", "auto-merge is not allowed",
		"merge queue is not enabled"):
		return pr.ErrUnsupported // there is nothing to wait for, or nobody who would
	case has("dirty status", "merge conflict"):
		return fmt.Errorf("%w: %w", pr.ErrConflict, err)
	case has("not allowed on this repository", "merge method"):
		return fmt.Errorf("%w: %w", pr.ErrMethod, err)
	}
	return fmt.Errorf("%w: %w", pr.ErrNotReady, err)
}

// Unqueue takes a pull request out of the merge queue and ends auto-merge, whoever asked for it: somebody
// holds it. Nothing is written where neither is.
func (f *Forge) Unqueue(ctx context.Context, number int) error {
	if err := f.unqueue(ctx, number); err != nil {
		return fmt.Errorf("keep GitHub from merging #%d: %w", number, err)
	}
	return nil
}

func (f *Forge) unqueue(ctx context.Context, number int) error {
	s, err := f.standing(ctx, number, "")
	if err != nil {
		return err
	}
	if s.waits {
		const mutation = `mutation($in: DequeuePullRequestInput!) { dequeuePullRequest(input: $in) { clientMutationId } }`
		err := f.mutate(ctx, mutation, map[string]any{"id": s.node}, nil)
		if err != nil && !saysAny(err, "not in the merge queue", "not in the queue") {
			return err
		}
	}
	if s.asked {
		const mutation = `mutation($in: DisablePullRequestAutoMergeInput!) { disablePullRequestAutoMerge(input: $in) { clientMutationId } }`
		err := f.mutate(ctx, mutation, map[string]any{"pullRequestId": s.node}, nil)
		if err != nil && !saysAny(err, "can't disable auto-merge") {
			return err
		}
	}
	return nil
}

// saysAny reports whether GraphQL's errors have one of the texts.
func saysAny(err error, texts ...string) bool {
	var e *graphqlError
	if !errors.As(err, &e) {
		return false
	}
	have := strings.ToLower(strings.Join(e.messages, "; "))
	for _, t := range texts {
		if strings.Contains(have, t) {
			return true
		}
	}
	return false
}

// shortHash is a commit as people read it.
func shortHash(hash string) string { return hash[:min(len(hash), 10)] }
