package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

// conflictPatience is how long a pull request must be refused as not mergeable before that is taken for
// a conflict: the server says the same while it still looks for one.
const conflictPatience = 4 * time.Second

// errNotMergeable is what a server says while it looks for conflicts, and of conflicts.
var errNotMergeable = errors.New("it is not mergeable: it conflicts with its base, or the server still looks for conflicts")

// Merge merges a pull request whose head is r.Head and returns the commit of the base that carries it.
// Merged already with that head is no error. The branch stays, unless the repository deletes merged ones.
func (f *Forge) Merge(ctx context.Context, r pr.MergeRequest) (string, error) {
	commit, err := f.merging(ctx, r)
	if err != nil {
		return "", fmt.Errorf("merge pull request %d: %w", r.Number, err)
	}
	return commit, nil
}

func (f *Forge) merging(ctx context.Context, r pr.MergeRequest) (string, error) {
	if r.Head == "" {
		return "", fmt.Errorf("%w: no head is given", pr.ErrHeadMoved)
	}
	method, err := f.method(ctx, r.Method)
	if err != nil {
		return "", err
	}
	var commit string
	var refused time.Time // since when it is not mergeable
	err = f.patiently(ctx, patience, func() error {
		e, base, err := f.ready(ctx, r)
		if err != nil {
			return err
		}
		if e.pull.Merged {
			commit = e.pull.MergeCommit
			return nil
		}
		err = f.mergeOnce(ctx, e, r, method)
		if !errors.Is(err, errNotMergeable) {
			refused = time.Time{}
			if err == nil {
				commit, err = f.mergedAs(ctx, r)
			}
			return err
		}
		if refused.IsZero() {
			refused = time.Now()
		}
		// A head that holds its base's head cannot conflict: then the server still looks.
		if base.apart && time.Since(refused) > conflictPatience {
			return pr.ErrConflict
		}
		return again{fmt.Errorf("%w: %w", pr.ErrNotReady, errNotMergeable)}
	})
	return commit, err
}

// relation is how a head and its base stand to each other.
type relation struct{ apart bool } // the base has commits that the head has not

// ready reads the pull request and checks that it may be merged at all: open with r.Head, or merged with it.
func (f *Forge) ready(ctx context.Context, r pr.MergeRequest) (*entry, relation, error) {
	c, err := f.client(ctx)
	if err != nil {
		return nil, relation{}, err
	}
	p, _, err := c.GetPullRequest(f.owner, f.name, int64(r.Number))
	if err != nil {
		return nil, relation{}, ofPull(err)
	}
	e := f.entry(p)
	f.put(e)
	switch {
	case r.Base != "" && e.pull.Base != r.Base: // other rules, other gates
		err = fmt.Errorf("%w: its base is %s now, not %s", pr.ErrHeadMoved, e.pull.Base, r.Base)
	case e.pull.Merged:
		err = f.mergedAt(c, r)
	case !e.pull.Open:
		err = errors.New("it is closed")
	case e.pull.Head == "":
		err = fmt.Errorf("%w: the branch %s is gone", pr.ErrHeadMoved, e.pull.Branch)
	case e.pull.Head != r.Head:
		err = fmt.Errorf("%w: it is at %s, not at %s", pr.ErrHeadMoved, short(e.pull.Head), short(r.Head))
		if !e.pull.Fork { // the server may be behind
			if head, berr := f.branchHead(ctx, e.pull.Branch); berr == nil && head == r.Head {
				err = again{err}
			}
		}
	}
	return e, relation{apart: p.Base == nil || p.MergeBase != p.Base.Sha}, err
}

// mergedAs reads the commit of a merge that the server says it made.
func (f *Forge) mergedAs(ctx context.Context, r pr.MergeRequest) (commit string, err error) {
	err = f.patiently(ctx, patience, func() error {
		e, err := f.get(ctx, r.Number)
		switch {
		case err != nil:
			return err
		case !e.pull.Merged || e.pull.MergeCommit == "":
			return again{errors.New("the server says that it is merged, and shows it open")}
		}
		f.put(e)
		commit = e.pull.MergeCommit
		return nil
	})
	return commit, err
}

// mergedAt returns nil when a merged pull request was merged with r.Head. What the server shows as its
// head is whatever has the branch's name now.
func (f *Forge) mergedAt(c *sdk.Client, r pr.MergeRequest) error {
	ref := fmt.Sprintf("pull/%d/head", r.Number)
	refs, _, err := c.GetRepoRefs(f.owner, f.name, ref)
	if err != nil {
		return plain(err)
	}
	for _, got := range refs {
		if got.Ref != "refs/"+ref || got.Object == nil {
			continue
		}
		if got.Object.SHA != r.Head {
			return fmt.Errorf("%w: it was merged at %s, not at %s", pr.ErrHeadMoved, short(got.Object.SHA), short(r.Head))
		}
		return nil
	}
	return fmt.Errorf("%w: it is merged, and the server does not say with which head", pr.ErrHeadMoved)
}

// mergeOnce asks for the merge. A right to merge past the rules is used only where the request allows it,
// and only after the rules said no.
func (f *Forge) mergeOnce(ctx context.Context, e *entry, r pr.MergeRequest, method pr.Method) error {
	subject, body, _ := strings.Cut(strings.TrimSpace(r.Message), "\n")
	o := sdk.MergePullRequestOption{Style: sdk.MergeStyle(method), Title: subject, Message: strings.TrimSpace(body), HeadCommitId: r.Head}
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	_, _, err = c.MergePullRequest(f.owner, f.name, int64(r.Number), o)
	if err = mergeError(err); errors.Is(err, pr.ErrNotReady) && !errors.As(err, new(again)) && r.Bypass {
		o.ForceMerge = true
		_, _, forced := c.MergePullRequest(f.owner, f.name, int64(r.Number), o)
		if ferr := mergeError(forced); ferr == nil || !errors.Is(ferr, pr.ErrNotReady) {
			return ferr
		}
	}
	return err
}

// mergeError is what a refused merge means.
func mergeError(err error) error {
	switch {
	case err == nil:
		return nil
	case status(err) == http.StatusMethodNotAllowed:
		return notAllowed(err)
	case status(err) == http.StatusConflict:
		return conflicting(err)
	case status(err) == http.StatusNotFound:
		return again{ofPull(err)} // closed, or gone, a moment ago: reading it says which
	}
	return plain(err)
}

// notAllowed tells the reasons of 405 apart.
func notAllowed(err error) error {
	switch why := plain(err); {
	case says(err, "try again later"):
		return errNotMergeable
	case says(err, "already merged"):
		return again{why}
	case says(err, "user not allowed"):
		return fmt.Errorf("%w: %w; the branch's protection names who may merge, or we may not write", pr.ErrForbidden, why)
	case says(err, "merge style"), says(err, "merge method"):
		return fmt.Errorf("%w: %w", pr.ErrMethod, why)
	default: // statuses, approvals, rejections, an outdated branch, a draft, dependencies, signatures
		return fmt.Errorf("%w: %w", pr.ErrNotReady, why)
	}
}

// conflicting tells the reasons of 409 apart.
func conflicting(err error) error {
	switch why := plain(err); {
	case says(err, "head out of date"):
		return again{fmt.Errorf("%w: %w", pr.ErrHeadMoved, why)}
	case says(err, "out of date"):
		return again{fmt.Errorf("%w: %w", pr.ErrBaseMoved, why)}
	case says(err, "pushrejected"):
		return fmt.Errorf("%w: %w", pr.ErrNotReady, why)
	case says(err, "automerge"), says(err, "auto merge"):
		return fmt.Errorf("%w: %w", pr.ErrQueued, why)
	default: // the server describes the conflict as an object without a message
		return fmt.Errorf("%w: %w", pr.ErrConflict, why)
	}
}

// method is the one asked for, the one of our configuration, or the first that the repository allows.
func (f *Forge) method(ctx context.Context, asked pr.Method) (pr.Method, error) {
	if asked != "" {
		return asked, nil
	}
	if f.cfg.Method != "" {
		return f.cfg.Method, nil
	}
	c, err := f.client(ctx)
	if err != nil {
		return "", err
	}
	repo, _, err := c.GetRepo(f.owner, f.name)
	if err != nil {
		return "", plain(err)
	}
	all := methods(repo)
	if len(all) == 0 {
		return "", fmt.Errorf("%w: the repository allows none of squash, merge and rebase", pr.ErrMethod)
	}
	return all[0], nil
}

// methods are those that a repository allows, the one that keeps our message first.
func methods(r *sdk.Repository) (out []pr.Method) {
	if r.AllowSquash {
		out = append(out, pr.Squash)
	}
	if r.AllowMerge {
		out = append(out, pr.Merge)
	}
	if r.AllowRebase {
		out = append(out, pr.Rebase)
	}
	return out
}
