package fakegithub

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// installationLife is how long the token of an installation is valid.
const installationLife = time.Hour

func getUser(c *call) (*answer, error) {
	if c.who.app != nil {
		return nil, fail(http.StatusForbidden, "Resource not accessible by integration")
	}
	v := c.s.viewSelf(c.who.user)
	v["user_view_type"] = "public"
	return ok(v)
}

func (s *Server) viewApp(a *App) obj {
	url := s.Web + "/apps/" + a.Slug
	return obj{
		"id": a.ID, "slug": a.Slug, "node_id": nodeID("A", a.ID), "owner": s.viewUser(s.account(a.Owner, "Organization")), "name": a.Slug,
		"description": "", "external_url": url, "html_url": url, "created_at": date(s.now()), "updated_at": date(s.now()),
		"permissions": permissions(a.Permissions), "events": []any{},
	}
}

func permissions(m map[string]string) obj {
	v := obj{}
	for k, level := range m {
		v[k] = level
	}
	return v
}

func (s *Server) viewInstallation(a *App) obj {
	url := s.URL + "app/installations/" + strings.TrimPrefix(nodeID("", a.Installation), "_")
	account := s.account(a.Owner, "Organization")
	return obj{
		"id": a.Installation, "account": s.viewUser(account), "repository_selection": "all",
		"access_tokens_url": url + "/access_tokens", "repositories_url": s.URL + "installation/repositories",
		"html_url": s.Web + "/settings/installations", "app_id": a.ID, "target_id": account.id, "target_type": account.kind,
		"permissions": permissions(a.Permissions), "events": []any{}, "created_at": date(s.now()), "updated_at": date(s.now()),
		"single_file_name": nil, "app_slug": a.Slug, "suspended_by": nil, "suspended_at": nil,
	}
}

// onlyApp refuses all but the JWT of an App.
func (c *call) onlyApp() error {
	if !c.who.jwt {
		return fail(http.StatusUnauthorized, "A JSON web token could not be decoded")
	}
	return nil
}

func getApp(c *call) (*answer, error) {
	if err := c.onlyApp(); err != nil {
		return nil, err
	}
	return ok(c.s.viewApp(c.who.app))
}

func repoInstallation(c *call) (*answer, error) {
	if err := c.onlyApp(); err != nil {
		return nil, err
	}
	return ok(c.s.viewInstallation(c.who.app))
}

func getInstallation(c *call) (*answer, error) {
	if err := c.onlyApp(); err != nil {
		return nil, err
	}
	if id, err := c.number("installation_id"); err != nil || id != c.who.app.Installation {
		return nil, notFound()
	}
	return ok(c.s.viewInstallation(c.who.app))
}

func createInstallationToken(c *call) (*answer, error) {
	if err := c.onlyApp(); err != nil {
		return nil, err
	}
	app := c.who.app
	if id, err := c.number("installation_id"); err != nil || id != app.Installation {
		return nil, notFound()
	}
	var in struct {
		Repositories  []string
		RepositoryIDs []int `json:"repository_ids"`
		Permissions   map[string]string
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	t := &token{user: app.bot, app: app, rights: app.Permissions, expires: c.s.now().Add(installationLife)}
	var views []any
	for _, r := range c.s.repos {
		if strings.EqualFold(r.Owner, app.Owner) && (slices.Contains(in.Repositories, r.Name) || slices.Contains(in.RepositoryIDs, r.id)) {
			t.repos = append(t.repos, r.Name)
			views = append(views, r.viewRepository())
		}
	}
	if len(t.repos) != len(in.Repositories)+len(in.RepositoryIDs) {
		return nil, fail(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
	}
	if in.Permissions != nil {
		for area, level := range in.Permissions {
			whole := &token{app: app, rights: app.Permissions}
			if !whole.permits(area, level) {
				return nil, fail(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
			}
		}
		t.rights = in.Permissions
	}
	v := obj{
		"token": c.s.newToken("ghs_", t), "expires_at": date(t.expires), "permissions": permissions(t.rights), "repository_selection": "all",
	}
	if t.repos != nil {
		v["repository_selection"], v["repositories"] = "selected", views
	}
	return respond(http.StatusCreated, v), nil
}

func installationRepos(c *call) (*answer, error) {
	if c.who.app == nil || c.who.jwt {
		return nil, fail(http.StatusForbidden, "You must authenticate with an installation access token in order to list repositories for an installation.")
	}
	var names []string
	for name, r := range c.s.repos {
		if r.allows(c.who, roleRead) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []any
	for _, name := range names {
		all = append(all, c.s.repos[name].viewRepository())
	}
	cut, header := c.page(all)
	a := respond(http.StatusOK, obj{"total_count": len(all), "repositories": cut})
	for k, v := range header {
		a.header[k] = v
	}
	return a, nil
}

func getPermission(c *call) (*answer, error) {
	u := c.s.users[strings.ToLower(c.params["username"])]
	if u == nil {
		return nil, fail(http.StatusNotFound, "%s is not a user", c.params["username"])
	}
	has := c.repo.role(u.login)
	legacy := map[role]string{roleTriage: "read", roleMaintain: "write"}[has]
	if legacy == "" {
		legacy = has.String()
	}
	v, _ := c.s.viewUser(u).(obj)
	v["role_name"] = has.String()
	v["permissions"] = obj{
		"admin": has >= roleAdmin, "maintain": has >= roleMaintain, "push": has >= roleWrite, "triage": has >= roleTriage, "pull": has >= roleRead,
	}
	return ok(obj{"permission": legacy, "role_name": has.String(), "user": v})
}

func (c *call) team() (*Team, error) {
	t := c.s.teams[strings.ToLower(c.params["org"]+"/"+c.params["team_slug"])]
	if t == nil || c.who.app != nil && (!strings.EqualFold(c.who.app.Owner, t.Org) || !c.who.permits("members", "read")) {
		return nil, notFound()
	}
	return t, nil
}

func listTeams(c *call) (*answer, error) {
	org := c.params["org"]
	if c.who.app != nil && (!strings.EqualFold(c.who.app.Owner, org) || !c.who.permits("members", "read")) {
		return nil, fail(http.StatusForbidden, "Resource not accessible by integration")
	}
	names := slices.Sorted(maps.Keys(c.s.teams))
	var all []any
	for _, name := range names {
		if t := c.s.teams[name]; strings.EqualFold(t.Org, org) {
			all = append(all, c.s.viewTeam(t))
		}
	}
	return c.list(all)
}

func listMembers(c *call) (*answer, error) {
	t, err := c.team()
	if err != nil {
		return nil, err
	}
	var all []any
	for _, login := range t.Members {
		all = append(all, c.s.viewUser(c.s.account(login, "User")))
	}
	return c.list(all)
}

func getMembership(c *call) (*answer, error) {
	t, err := c.team()
	if err != nil {
		return nil, err
	}
	if !t.has(c.params["username"]) {
		return nil, notFound()
	}
	return ok(obj{"url": c.s.viewTeam(t)["url"].(string) + "/memberships/" + c.params["username"], "role": "member", "state": "active"})
}
