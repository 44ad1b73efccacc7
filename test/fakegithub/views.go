package fakegithub

import (
	"encoding/base64"
	"fmt"
	"maps"
	"time"
)

// nodeID is the name of a thing in GraphQL.
func nodeID(kind string, id int) string {
	return kind + "_" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s%08d", kind, id))
}

// date is a time as GitHub writes it; null for none.
func date(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

// text is null for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (s *Server) viewUser(u *user) any {
	if u == nil {
		return nil
	}
	url := s.URL + "users/" + u.login
	return obj{
		"login": u.login, "id": u.id, "node_id": nodeID("U", u.id), "type": u.kind, "site_admin": false,
		"avatar_url": s.Web + "/avatars/u/" + fmt.Sprint(u.id), "gravatar_id": "", "url": url, "html_url": s.Web + "/" + u.login,
		"followers_url": url + "/followers", "following_url": url + "/following{/other_user}", "gists_url": url + "/gists{/gist_id}",
		"starred_url": url + "/starred{/owner}{/repo}", "subscriptions_url": url + "/subscriptions", "organizations_url": url + "/orgs",
		"repos_url": url + "/repos", "events_url": url + "/events{/privacy}", "received_events_url": url + "/received_events",
	}
}

// viewSelf is the public profile of who asks.
func (s *Server) viewSelf(u *user) obj {
	v, _ := s.viewUser(u).(obj)
	maps.Copy(v, obj{
		"name": nil, "company": nil, "blog": "", "location": nil, "email": nil, "hireable": nil, "bio": nil,
		"public_repos": 0, "public_gists": 0, "followers": 0, "following": 0,
		"created_at": date(s.now()), "updated_at": date(s.now()),
	})
	return v
}

// viewMinimal is a repository as it stands within other things.
func (r *Repo) viewMinimal() obj {
	v := obj{
		"id": r.id, "node_id": nodeID("R", r.id), "name": r.Name, "full_name": r.fullName(), "private": r.Settings.Private,
		"owner": r.s.viewUser(r.s.account(r.Owner, "Organization")), "html_url": r.web(""), "description": nil, "fork": false, "url": r.url(""),
	}
	for name, path := range map[string]string{
		"archive": "{archive_format}{/ref}", "assignees": "assignees{/user}", "blobs": "git/blobs{/sha}", "branches": "branches{/branch}",
		"collaborators": "collaborators{/collaborator}", "comments": "comments{/number}", "commits": "commits{/sha}",
		"compare": "compare/{base}...{head}", "contents": "contents/{+path}", "contributors": "contributors", "deployments": "deployments",
		"downloads": "downloads", "events": "events", "forks": "forks", "git_commits": "git/commits{/sha}", "git_refs": "git/refs{/sha}",
		"git_tags": "git/tags{/sha}", "issue_comment": "issues/comments{/number}", "issue_events": "issues/events{/number}",
		"issues": "issues{/number}", "keys": "keys{/key_id}", "labels": "labels{/name}", "languages": "languages", "merges": "merges",
		"milestones": "milestones{/number}", "notifications": "notifications{?since,all,participating}", "pulls": "pulls{/number}",
		"releases": "releases{/id}", "stargazers": "stargazers", "statuses": "statuses/{sha}", "subscribers": "subscribers",
		"subscription": "subscription", "tags": "tags", "teams": "teams", "trees": "git/trees{/sha}", "hooks": "hooks",
	} {
		v[name+"_url"] = r.url("%s", path)
	}
	return v
}

// viewRepository is a repository as it stands within a pull request.
func (r *Repo) viewRepository() obj {
	v := r.viewMinimal()
	maps.Copy(v, obj{
		"git_url": "git" + r.web("")[len("http"):] + ".git", "ssh_url": fmt.Sprintf("git@localhost:%s.git", r.fullName()),
		"clone_url": r.web("") + ".git", "svn_url": r.web(""), "mirror_url": nil, "homepage": nil, "language": nil, "license": nil,
		"forks": 0, "forks_count": 0, "stargazers_count": 0, "watchers": 0, "watchers_count": 0, "size": 0,
		"default_branch": r.Default, "open_issues": 0, "open_issues_count": 0,
		"has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_downloads": true, "has_discussions": false,
		"archived": false, "disabled": false, "visibility": map[bool]string{true: "private", false: "public"}[r.Settings.Private],
		"pushed_at": date(r.created), "created_at": date(r.created), "updated_at": date(r.created),
		"topics": []any{}, "is_template": false, "allow_forking": true, "web_commit_signoff_required": false,
	})
	return v
}

// viewFull is a repository alone, for somebody with a role in it.
func (r *Repo) viewFull(mine role) obj {
	v := r.viewRepository()
	maps.Copy(v, obj{
		"subscribers_count": 0, "network_count": 0,
		"permissions": obj{
			"admin": mine >= roleAdmin, "maintain": mine >= roleMaintain, "push": mine >= roleWrite,
			"triage": mine >= roleTriage, "pull": mine >= roleRead,
		},
	})
	if mine >= roleWrite { // GitHub shows these to who could use them
		maps.Copy(v, obj{
			"allow_merge_commit": !r.Settings.NoMerge, "allow_squash_merge": !r.Settings.NoSquash, "allow_rebase_merge": !r.Settings.NoRebase,
			"allow_auto_merge": r.Settings.AutoMerge, "delete_branch_on_merge": r.Settings.DeleteBranchOnMerge, "allow_update_branch": false,
			"squash_merge_commit_title": "COMMIT_OR_PR_TITLE", "squash_merge_commit_message": "COMMIT_MESSAGES",
			"merge_commit_title": "MERGE_MESSAGE", "merge_commit_message": "PR_TITLE",
		})
	}
	return v
}

// association is what an author is to the repository.
func (r *Repo) association(u *user) string {
	switch has := r.role(u.login); {
	case u.login == r.Owner:
		return "OWNER"
	case has >= roleWrite || r.collaborators[u.login] > roleNone:
		return "COLLABORATOR"
	}
	return "NONE"
}

func (r *Repo) viewLabel(l *label) obj {
	return obj{
		"id": l.id, "node_id": nodeID("LA", l.id), "url": r.url("labels/%s", escape(l.name)), "name": l.name,
		"description": text(l.description), "color": l.color, "default": false,
	}
}

func (r *Repo) viewSide(branch, sha string) obj {
	return obj{
		"label": r.Owner + ":" + branch, "ref": branch, "sha": sha,
		"user": r.s.viewUser(r.s.account(r.Owner, "Organization")), "repo": r.viewRepository(),
	}
}

// viewPull is a pull request as lists have it.
func (r *Repo) viewPull(p *pull) obj {
	labels := []any{}
	for _, l := range p.labels {
		v := r.viewLabel(l)
		v["description"] = l.description // a text here, never null
		labels = append(labels, v)
	}
	reviewers, teams := []any{}, []any{}
	for _, u := range p.requested {
		reviewers = append(reviewers, r.s.viewUser(u))
	}
	for _, t := range p.requestedTeams {
		teams = append(teams, r.s.viewTeam(t))
	}
	state := "open"
	if !p.closed.IsZero() {
		state = "closed"
	}
	web, api, issue := r.web("pull/%d", p.number), r.url("pulls/%d", p.number), r.url("issues/%d", p.number)
	links := obj{}
	for name, href := range map[string]string{
		"self": api, "html": web, "issue": issue, "comments": issue + "/comments", "review_comments": api + "/comments",
		"review_comment": r.url("pulls/comments{/number}"), "commits": api + "/commits", "statuses": r.url("statuses/%s", p.headSHA),
	} {
		links[name] = obj{"href": href}
	}
	return obj{
		"url": api, "id": p.id, "node_id": nodeID("PR", p.id), "html_url": web, "diff_url": web + ".diff", "patch_url": web + ".patch",
		"issue_url": issue, "commits_url": api + "/commits", "review_comments_url": api + "/comments",
		"review_comment_url": r.url("pulls/comments{/number}"), "comments_url": issue + "/comments", "statuses_url": r.url("statuses/%s", p.headSHA),
		"number": p.number, "state": state, "locked": false, "title": p.title, "user": r.s.viewUser(p.author), "body": text(p.body),
		"labels": labels, "milestone": nil, "created_at": date(p.created), "updated_at": date(p.updated),
		"closed_at": date(p.closed), "merged_at": date(p.mergedAt()), "merge_commit_sha": text(p.mergeSHA),
		"assignee": nil, "assignees": []any{}, "requested_reviewers": reviewers, "requested_teams": teams,
		"head": r.viewHead(p), "base": r.viewSide(p.base, p.baseSHA), "_links": links,
		"author_association": r.association(p.author), "auto_merge": r.viewAutoMerge(p), "draft": p.draft, "active_lock_reason": nil,
	}
}

// viewPullFull is a pull request alone.
func (r *Repo) viewPullFull(p *pull) (obj, error) {
	v := r.viewPull(p)
	for _, l := range v["labels"].([]any) {
		if o := l.(obj); o["description"] == "" {
			o["description"] = nil
		}
	}
	stat, err := r.diffStat(p)
	if err != nil {
		return nil, err
	}
	mergeable, state, err := r.mergeability(p)
	if err != nil {
		return nil, err
	}
	maps.Copy(v, obj{
		"merged": p.merged, "mergeable": mergeable, "mergeable_state": state, "rebaseable": mergeable, "merged_by": r.s.viewUser(p.mergedBy),
		"comments": len(p.comments), "review_comments": 0, "maintainer_can_modify": false,
		"commits": stat.commits, "additions": stat.additions, "deletions": stat.deletions, "changed_files": len(stat.files),
	})
	v["merge_commit_sha"] = text(p.mergeSHA)
	return v, nil
}

func (r *Repo) viewAutoMerge(p *pull) any {
	if p.auto == nil {
		return nil
	}
	return obj{
		"enabled_by": r.s.viewUser(p.auto.by), "merge_method": p.auto.method,
		"commit_title": p.auto.title, "commit_message": p.auto.message,
	}
}

func (s *Server) viewTeam(t *Team) obj {
	return obj{
		"id": t.id, "node_id": nodeID("T", t.id), "url": s.URL + fmt.Sprintf("organizations/0/team/%d", t.id), "html_url": s.Web + "/orgs/" + t.Org + "/teams/" + t.Slug,
		"name": t.Slug, "slug": t.Slug, "description": nil, "privacy": "closed", "notification_setting": "notifications_enabled",
		"permission": "pull", "type": "organization", "organization_id": s.account(t.Org, "Organization").id, "members_url": s.URL + fmt.Sprintf("organizations/0/team/%d/members{/member}", t.id),
		"repositories_url": s.URL + fmt.Sprintf("organizations/0/team/%d/repos", t.id), "parent": nil,
	}
}
