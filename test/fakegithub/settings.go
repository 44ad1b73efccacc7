package fakegithub

import (
	"net/http"
	"slices"
	"strings"
)

func contexts(list []Check) []any {
	all := []any{}
	for _, c := range list {
		all = append(all, c.Context)
	}
	return all
}

func checks(list []Check) []any {
	all := []any{}
	for _, c := range list {
		v := obj{"context": c.Context, "app_id": nil}
		if c.App != 0 {
			v["app_id"] = c.App
		}
		all = append(all, v)
	}
	return all
}

func getProtection(c *call) (*answer, error) {
	branch := c.params["branch"]
	if c.repo.head(branch) == "" {
		return nil, fail(http.StatusNotFound, "Branch not found")
	}
	p := c.repo.Protections[branch]
	if p == nil {
		return nil, fail(http.StatusNotFound, "Branch not protected")
	}
	url := c.repo.url("branches/%s/protection", branch)
	on := func(b bool) obj { return obj{"enabled": b} }
	v := obj{
		"url": url, "enforce_admins": obj{"url": url + "/enforce_admins", "enabled": p.EnforceAdmins},
		"required_linear_history": on(p.LinearHistory), "allow_force_pushes": on(p.AllowForcePushes), "allow_deletions": on(p.AllowDeletions),
		"block_creations": on(false), "required_conversation_resolution": on(p.Conversations), "lock_branch": on(false), "allow_fork_syncing": on(false),
		"required_signatures": obj{"url": url + "/required_signatures", "enabled": p.Signed},
	}
	if p.Reviews != nil {
		reviews := obj{
			"url": url + "/required_pull_request_reviews", "dismiss_stale_reviews": p.Reviews.DismissStale,
			"require_code_owner_reviews": p.Reviews.CodeOwners, "required_approving_review_count": p.Reviews.Approvals,
			"require_last_push_approval": p.Reviews.LastPush,
		}
		if len(p.Reviews.Bypass) > 0 {
			users, apps := c.s.split(p.Reviews.Bypass)
			reviews["bypass_pull_request_allowances"] = obj{"users": users, "teams": []any{}, "apps": apps}
		}
		v["required_pull_request_reviews"] = reviews
	}
	if p.Checks != nil {
		under := url + "/required_status_checks"
		v["required_status_checks"] = obj{
			"url": under, "strict": p.Strict, "contexts": contexts(p.Checks), "contexts_url": under + "/contexts", "checks": checks(p.Checks),
		}
	}
	if p.Push != nil {
		users, apps := c.s.split(p.Push)
		under := url + "/restrictions"
		v["restrictions"] = obj{
			"url": under, "users_url": under + "/users", "teams_url": under + "/teams", "apps_url": under + "/apps",
			"users": users, "teams": []any{}, "apps": apps,
		}
	}
	return ok(v)
}

// split tells users from Apps, by login.
func (s *Server) split(logins []string) (users, apps []any) {
	users, apps = []any{}, []any{}
	for _, login := range logins {
		i := slices.IndexFunc(s.apps, func(a *App) bool { return a.bot.login == login })
		if i >= 0 {
			apps = append(apps, s.viewApp(s.apps[i]))
		} else {
			users = append(users, s.viewUser(s.account(login, "User")))
		}
	}
	return users, apps
}

// rules are those of a ruleset, as {type, parameters}.
func (rs *Ruleset) rules(s *Server) []obj {
	var all []obj
	add := func(wanted bool, kind string, parameters obj) {
		if !wanted {
			return
		}
		rule := obj{"type": kind}
		if parameters != nil {
			rule["parameters"] = parameters
		}
		all = append(all, rule)
	}
	add(rs.Deletion, "deletion", nil)
	add(rs.NoForcePush, "non_fast_forward", nil)
	add(rs.Linear, "required_linear_history", nil)
	add(rs.Update, "update", nil)
	add(rs.Signed, "required_signatures", nil)
	for _, kind := range rs.Told {
		add(true, kind, nil)
	}
	if rs.PullRequest != nil {
		add(true, "pull_request", rs.PullRequest.parameters(s))
	}
	var required []any
	for _, c := range rs.Checks {
		check := obj{"context": c.Context}
		if c.App != 0 {
			check["integration_id"] = c.App
		}
		required = append(required, check)
	}
	add(len(required) > 0, "required_status_checks", obj{
		"required_status_checks": required, "strict_required_status_checks_policy": rs.Strict, "do_not_enforce_on_create": false,
	})
	if rs.Queue != nil {
		add(true, "merge_queue", obj{
			"check_response_timeout_minutes": 60, "grouping_strategy": "ALLGREEN", "max_entries_to_build": 5, "max_entries_to_merge": 5,
			"merge_method": rs.Queue.method(), "min_entries_to_merge": 1, "min_entries_to_merge_wait_minutes": 5,
		})
	}
	add(rs.Copilot, "copilot_code_review", obj{"review_on_push": true, "review_draft_pull_requests": false})
	return all
}

func (q *QueueRule) method() string {
	if q.Method == "" {
		return "MERGE"
	}
	return q.Method
}

func (r *ReviewRule) parameters(s *Server) obj {
	v := obj{
		"dismiss_stale_reviews_on_push": r.DismissStale, "require_code_owner_review": r.CodeOwners,
		"require_last_push_approval": r.LastPush, "required_approving_review_count": r.Approvals,
		"required_review_thread_resolution": r.Conversations,
	}
	if r.Methods != nil {
		v["allowed_merge_methods"] = r.Methods
	}
	var reviewers []any
	for _, rule := range r.Reviewers {
		id := 0
		if t := s.teams[strings.ToLower(rule.Team)]; t != nil {
			id = t.id
		}
		reviewers = append(reviewers, obj{
			"file_patterns": rule.Patterns, "minimum_approvals": rule.Minimum, "reviewer": obj{"id": id, "type": "Team"},
		})
	}
	if reviewers != nil {
		v["required_reviewers"] = reviewers
	}
	return v
}

// branchRules are the active rules of a branch.
func branchRules(c *call) (*answer, error) {
	var all []any
	for _, rs := range c.repo.Rulesets {
		if rs.Evaluate || !rs.applies(c.repo, c.params["branch"]) {
			continue
		}
		for _, rule := range rs.rules(c.s) {
			rule["ruleset_source_type"], rule["ruleset_source"], rule["ruleset_id"] = "Repository", c.repo.fullName(), rs.ID
			all = append(all, rule)
		}
	}
	return c.list(all)
}

func (r *Repo) viewRuleset(rs *Ruleset) obj {
	enforcement := "active"
	if rs.Evaluate {
		enforcement = "evaluate"
	}
	return obj{
		"id": rs.ID, "name": rs.Name, "target": "branch", "source_type": "Repository", "source": r.fullName(), "enforcement": enforcement,
		"node_id": nodeID("RRS", rs.ID), "created_at": date(r.created), "updated_at": date(r.created),
		"_links": obj{"self": obj{"href": r.url("rulesets/%d", rs.ID)}, "html": obj{"href": r.web("rules/%d", rs.ID)}},
	}
}

func listRulesets(c *call) (*answer, error) {
	var all []any
	for _, rs := range c.repo.Rulesets {
		all = append(all, c.repo.viewRuleset(rs))
	}
	return c.list(all)
}

func getRuleset(c *call) (*answer, error) {
	id, err := c.number("ruleset_id")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.repo.Rulesets, func(rs *Ruleset) bool { return rs.ID == id })
	if i < 0 {
		return nil, notFound()
	}
	rs := c.repo.Rulesets[i]
	v := c.repo.viewRuleset(rs)
	include, rules, actors := []any{}, []any{}, []any{}
	for _, b := range rs.Branches {
		if !strings.HasPrefix(b, "~") && !strings.HasPrefix(b, "refs/") {
			b = "refs/heads/" + b
		}
		include = append(include, b)
	}
	for _, rule := range rs.rules(c.s) {
		rules = append(rules, rule)
	}
	mine := "never"
	for _, b := range rs.Bypass {
		mode := b.Mode
		if mode == "" {
			mode = "always"
		}
		actors = append(actors, obj{"actor_id": b.ID, "actor_type": b.Type, "bypass_mode": mode})
	}
	if rs.bypassed(c.repo, c.who) {
		mine = "always"
	}
	v["conditions"], v["rules"], v["current_user_can_bypass"] = obj{"ref_name": obj{"include": include, "exclude": []any{}}}, rules, mine
	if c.who.app == nil && c.repo.role(c.who.user.login) >= roleWrite || c.who.permits("administration", "write") && c.who.app != nil {
		v["bypass_actors"] = actors // hidden from who could not change them
	}
	return ok(v)
}
