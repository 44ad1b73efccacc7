package fakegithub

import "net/http"

// table lists the operations. Each is one of the contract's, too.
func table() []*route {
	const repo = "/repos/{owner}/{repo}"
	const pulls, issues = repo + "/pulls/{pull_number}", repo + "/issues/{issue_number}"
	get := func(path, permission string, h func(*call) (*answer, error)) *route {
		return &route{method: http.MethodGet, template: path, role: roleRead, permission: permission, handle: h}
	}
	write := func(method, path string, needed role, permission string, h func(*call) (*answer, error)) *route {
		return &route{method: method, template: path, role: needed, permission: permission, handle: h}
	}
	return []*route{
		graphqlRoute(),
		get("/rate_limit", "", getRateLimit),
		get("/user", "", getUser),
		get("/app", "", getApp),
		get("/app/installations/{installation_id}", "", getInstallation),
		write(http.MethodPost, "/app/installations/{installation_id}/access_tokens", roleNone, "", createInstallationToken),
		get("/installation/repositories", "", installationRepos),
		get("/orgs/{org}/teams", "", listTeams),
		get("/orgs/{org}/teams/{team_slug}/members", "", listMembers),
		get("/orgs/{org}/teams/{team_slug}/memberships/{username}", "", getMembership),

		get(repo, "metadata:read", getRepo),
		get(repo+"/installation", "", repoInstallation),
		get(repo+"/collaborators/{username}/permission", "metadata:read", getPermission),
		get(repo+"/branches/{branch}", "contents:read", getBranch),
		write(http.MethodGet, repo+"/branches/{branch}/protection", roleAdmin, "administration:read", getProtection),
		get(repo+"/rules/branches/{branch}", "metadata:read", branchRules),
		get(repo+"/rulesets", "metadata:read", listRulesets),
		get(repo+"/rulesets/{ruleset_id}", "metadata:read", getRuleset),
		get(repo+"/contents/{path}", "contents:read", getContents),
		get(repo+"/commits/{ref}", "contents:read", getCommit),
		get(repo+"/git/ref/{ref}", "contents:read", getRef),
		get(repo+"/git/matching-refs/{ref}", "contents:read", matchingRefs),
		write(http.MethodPost, repo+"/git/refs", roleWrite, "contents:write", createRef),
		write(http.MethodPatch, repo+"/git/refs/{ref}", roleWrite, "contents:write", updateRef),
		write(http.MethodDelete, repo+"/git/refs/{ref}", roleWrite, "contents:write", deleteRef),

		get(repo+"/deployments", "deployments:read", listDeployments),
		write(http.MethodPost, repo+"/deployments", roleWrite, "deployments:write", createDeployment),
		get(repo+"/deployments/{deployment_id}/statuses", "deployments:read", listDeploymentStatuses),
		write(http.MethodPost, repo+"/deployments/{deployment_id}/statuses", roleWrite, "deployments:write", createDeploymentStatus),

		get(repo+"/pulls", "pull_requests:read", listPulls),
		get(pulls, "pull_requests:read", getPull),
		get(pulls+"/files", "pull_requests:read", listFiles),
		write(http.MethodPost, repo+"/pulls", roleRead, "pull_requests:write", createPull),
		write(http.MethodPatch, pulls, roleRead, "pull_requests:write", updatePull),
		write(http.MethodPut, pulls+"/merge", roleWrite, "contents:write", mergePull),

		get(pulls+"/reviews", "pull_requests:read", listReviews),
		write(http.MethodPost, pulls+"/reviews", roleRead, "pull_requests:write", createReview),
		write(http.MethodPut, pulls+"/reviews/{review_id}/dismissals", roleWrite, "pull_requests:write", dismissReview),
		get(pulls+"/requested_reviewers", "pull_requests:read", listRequested),
		write(http.MethodPost, pulls+"/requested_reviewers", roleWrite, "pull_requests:write", requestReviewers),
		write(http.MethodDelete, pulls+"/requested_reviewers", roleWrite, "pull_requests:write", removeReviewers),

		write(http.MethodPost, repo+"/statuses/{sha}", roleWrite, "statuses:write", createStatus),
		get(repo+"/commits/{ref}/statuses", "statuses:read", listStatuses),
		get(repo+"/commits/{ref}/status", "statuses:read", combinedStatus),
		get(repo+"/commits/{ref}/check-runs", "checks:read", listCheckRuns),

		get(repo+"/labels", "issues:read", listRepoLabels),
		write(http.MethodPost, repo+"/labels", roleWrite, "issues:write", createLabel),
		get(issues+"/labels", "pull_requests:read", listLabels),
		write(http.MethodPost, issues+"/labels", roleTriage, "pull_requests:write", addLabels),
		write(http.MethodDelete, issues+"/labels/{name}", roleTriage, "pull_requests:write", removeLabel),

		get(issues+"/comments", "pull_requests:read", listComments),
		write(http.MethodPost, issues+"/comments", roleRead, "pull_requests:write", createComment),
		write(http.MethodPatch, repo+"/issues/comments/{comment_id}", roleRead, "pull_requests:write", updateComment),
		write(http.MethodDelete, repo+"/issues/comments/{comment_id}", roleRead, "pull_requests:write", deleteComment),
	}
}
