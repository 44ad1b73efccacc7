package gitea

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

// nowhere is a number that no pull request has: what is asked of it changes nothing, and the server says
// first whether the token may ask.
const nowhere = 0

// Rights are what the server lets us do: our permission in the repository, within what the token is for.
func (f *Forge) Rights(ctx context.Context) (pr.Rights, error) {
	r := pr.Rights{User: f.user}
	c, err := f.client(ctx)
	if err != nil {
		return r, fmt.Errorf("read our rights in %s: %w", f.cfg.Repo, err)
	}
	repo, _, err := c.GetRepo(f.owner, f.name)
	if err != nil {
		return r, fmt.Errorf("read our rights in %s: %w", f.cfg.Repo, plain(err))
	}
	if p := repo.Permissions; p != nil {
		r.Read, r.Write, r.Admin = p.Pull, p.Push, p.Admin
	}
	if !r.Write {
		r.Missing = append(r.Missing, "collaborator: write")
	}
	if repo.Archived {
		r.Missing = append(r.Missing, "the repository is archived")
	}
	if !repo.HasPullRequests {
		r.Missing = append(r.Missing, "the repository has pull requests turned off")
	}
	title := "-"
	_, _, err = c.EditPullRequest(f.owner, f.name, nowhere, sdk.EditPullRequestOption{Title: title})
	r.Missing = append(r.Missing, scope(err)...)
	_, _, err = c.EditIssue(f.owner, f.name, nowhere, sdk.EditIssueOption{Title: title})
	r.Missing = append(r.Missing, scope(err)...)
	r.Write = r.Write && !slices.ContainsFunc(r.Missing, func(m string) bool { return strings.HasPrefix(m, "token: ") })
	return r, nil
}

// scope is the right that a token lacks, from the refusal of a request: "token: write:issue".
func scope(err error) []string {
	if status(err) != http.StatusForbidden || !says(err, "scope") {
		return nil
	}
	said := plain(err).Error()
	_, list, ok := strings.Cut(said, "[")
	list, _, closed := strings.Cut(list, "]")
	if !ok || !closed {
		return []string{"token: " + said}
	}
	return []string{"token: " + list}
}

// Rules are what the server asks of changes to a branch. Who is no administrator of the repository is told
// part of them, and the rest is Unknown.
func (f *Forge) Rules(ctx context.Context, branch string) (pr.Rules, error) {
	r, err := f.rules(ctx, branch)
	if err != nil {
		return r, fmt.Errorf("read the rules of branch %s: %w", branch, err)
	}
	return r, nil
}

func (f *Forge) rules(ctx context.Context, branch string) (pr.Rules, error) {
	out := pr.Rules{Branch: branch}
	c, err := f.client(ctx)
	if err != nil {
		return out, err
	}
	repo, _, err := c.GetRepo(f.owner, f.name)
	if err != nil {
		return out, plain(err)
	}
	out.Methods = methods(repo)
	b, _, err := c.GetRepoBranch(f.owner, f.name, branch)
	if err != nil {
		return out, plain(err)
	}
	out.Protected, out.Push = b.Protected, b.UserCanPush
	if !b.Protected {
		return out, nil
	}
	out.Approvals = int(b.RequiredApprovals)
	if b.EnableStatusCheck {
		out.Checks = checksOf(b.StatusCheckContexts)
	}
	if !b.UserCanMerge {
		out.NoMerge = "the branch's protection names who may merge, and " + f.user + " is not among them"
	}
	rule, why, err := f.protection(ctx, c, branch, b.EffectiveBranchProtectionName)
	if err != nil {
		return out, err
	}
	if rule == nil {
		out.Unknown = append(out.Unknown, why)
		return out, nil
	}
	out.Approvals, out.DismissStale, out.UpToDate, out.Signed = int(rule.RequiredApprovals), rule.DismissStaleApprovals, rule.BlockOnOutdatedBranch, rule.RequireSignedCommits
	out.Bypass = repo.Permissions != nil && repo.Permissions.Admin && !rule.BlockAdminMergeOverride
	if out.Checks = nil; rule.EnableStatusCheck {
		out.Checks = checksOf(rule.StatusCheckContexts)
	}
	if rule.EnableApprovalsWhitelist {
		who := strings.Join(append(slices.Clone(rule.ApprovalsWhitelistUsernames), rule.ApprovalsWhitelistTeams...), ", ")
		out.Reviewers = []pr.RequiredReviewers{{Paths: []string{"**"}, Reviewers: who, Approvals: out.Approvals}}
	}
	return out, nil
}

// protection is the rule of a branch; nil with the reason when it cannot be read.
func (f *Forge) protection(ctx context.Context, c *sdk.Client, branch, name string) (*sdk.BranchProtection, string, error) {
	all, _, err := c.ListBranchProtections(f.owner, f.name, sdk.ListBranchProtectionsOptions{})
	switch s := status(err); {
	case s == http.StatusForbidden, s == http.StatusNotFound:
		return nil, "dismissal of stale approvals, outdated branches, rejected reviews, signatures and exceptions of branch " + branch +
			": only administrators of the repository may read its protection; ask one", nil
	case err != nil:
		return nil, "", plain(err)
	}
	for _, want := range []string{name, branch} {
		for _, p := range all {
			if want != "" && (p.RuleName == want || p.BranchName == want) {
				return p, "", nil
			}
		}
	}
	return nil, "the protection of branch " + branch + ": it comes from a pattern, and the server does not say from which", nil
}

func checksOf(contexts []string) (out []pr.RequiredCheck) {
	for _, c := range contexts {
		out = append(out, pr.RequiredCheck{Context: c})
	}
	return out
}
