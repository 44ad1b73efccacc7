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
		get("/rate_limit", "", getRateLimit),

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
