package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	perPage     = 100             // GitHub's largest page
	maxAllPages = 50              // of any list that must be read to its end
	peopleLife  = 5 * time.Minute // how long it is believed who may write and who is in a team
	maxPeople   = 2000            // answers about people that are kept
)

// memory is what the rarer questions leave behind. All of it is a cache.
type memory struct {
	email string // our public address, where we have one; set by Open

	reportsMu sync.Mutex // held while a report is written: reports come one after the other
	reports   map[string]pr.Report

	peopleMu sync.Mutex           // guards what follows
	writers  map[string]mayWrite  // by login in lower case
	teams    map[string]teamKnown // by org/slug in lower case
}

type mayWrite struct {
	may bool
	at  time.Time
}

type teamKnown struct {
	members []string
	at      time.Time
}

// sameLogin compares logins as GitHub does.
func sameLogin(a, b string) bool { return strings.EqualFold(a, b) }

// everyPage reads a list of GitHub's to its end; path may have a query.
func everyPage[T any](ctx context.Context, f *Forge, path string) ([]T, error) {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	var all []T
	for page := 1; page != 0; {
		if page > maxAllPages {
			return nil, fmt.Errorf("the list has more than %d pages", maxAllPages)
		}
		var some []T
		a, err := f.do(ctx, http.MethodGet, fmt.Sprintf("%s%sper_page=%d&page=%d", path, sep, perPage, page), nil, &some)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if a.next != 0 && a.next <= page {
			return nil, errors.New("the pages of the list run backwards")
		}
		page = a.next
	}
	return all, nil
}

// repository is what GitHub says of the repository itself. Settings are absent where we may not see them.
type repository struct {
	FullName            string          `json:"full_name"`
	Private             bool            `json:"private"`
	Archived            bool            `json:"archived"`
	DefaultBranch       string          `json:"default_branch"`
	Permissions         map[string]bool `json:"permissions"`
	AllowSquash         *bool           `json:"allow_squash_merge"`
	AllowMerge          *bool           `json:"allow_merge_commit"`
	AllowRebase         *bool           `json:"allow_rebase_merge"`
	AllowAutoMerge      *bool           `json:"allow_auto_merge"`
	DeleteBranchOnMerge *bool           `json:"delete_branch_on_merge"`
	Owner               struct {
		Type string `json:"type"`
	} `json:"owner"`
}

func (f *Forge) repository(ctx context.Context) (repository, answer, error) {
	var r repository
	a, err := f.do(ctx, http.MethodGet, strings.TrimSuffix(f.repoPath(""), "/"), nil, &r)
	return r, a, err
}

// Rights are what our credentials let us do. Missing and Optional are in GitHub's words, the latter with
// what for: "Deployments: write (to show …)". What a fine-grained token may is told by GitHub only as far
// as its owner may do it.
func (f *Forge) Rights(ctx context.Context) (pr.Rights, error) {
	r, a, err := f.repository(ctx)
	if err != nil {
		return pr.Rights{}, fmt.Errorf("ask GitHub what we may do in %s/%s: %w", f.owner, f.name, err)
	}
	rights := pr.Rights{User: f.user}
	if f.cfg.App != nil {
		granted, err := f.cfg.App.granted(ctx)
		if err != nil {
			return pr.Rights{}, err
		}
		f.appRights(&rights, granted, r)
	} else {
		f.tokenRights(&rights, a.header, r)
	}
	if r.Archived {
		rights.Write = false
		rights.Missing = append(rights.Missing, "a repository that is not archived")
	}
	return rights, nil
}

func (f *Forge) appRights(rights *pr.Rights, granted map[string]string, r repository) {
	rights.Read = permission{"contents", "read", ""}.within(granted) && permission{"pull_requests", "read", ""}.within(granted)
	rights.Admin = permission{"administration", "write", ""}.within(granted)
	rights.Write = true
	for _, p := range wanted() {
		switch {
		case p.within(granted):
		case p.optional == "":
			rights.Write = false
			rights.Missing = append(rights.Missing, p.String())
		case p.area == "members" && r.Owner.Type != "Organization":
		default:
			rights.Optional = append(rights.Optional, fmt.Sprintf("%s (%s)", p, p.optional))
		}
	}
}

// tokenRights reads a role and, of classic tokens, scopes.
func (f *Forge) tokenRights(rights *pr.Rights, h http.Header, r repository) {
	rights.Read, rights.Write, rights.Admin = r.Permissions["pull"], r.Permissions["push"], r.Permissions["admin"]
	if !rights.Write {
		rights.Missing = append(rights.Missing, fmt.Sprintf("the role Write in %s/%s for %s", f.owner, f.name, f.user))
	}
	if len(h.Values("X-Oauth-Scopes")) == 0 {
		return // a fine-grained token
	}
	scopes := strings.FieldsFunc(h.Get("X-Oauth-Scopes"), func(r rune) bool { return r == ',' || r == ' ' })
	if !slices.Contains(scopes, "repo") && (r.Private || !slices.Contains(scopes, "public_repo")) {
		rights.Write = false
		rights.Missing = append(rights.Missing, "the scope repo of the token")
	}
	org := slices.ContainsFunc(scopes, func(s string) bool { return s == "read:org" || s == "write:org" || s == "admin:org" })
	if !org && r.Owner.Type == "Organization" {
		rights.Optional = append(rights.Optional, "the scope read:org of the token (for approvals of teams)")
	}
}

// MayWrite reports whether a person may write to the repository, as GitHub knows it; the answer may be
// five minutes old.
func (f *Forge) MayWrite(ctx context.Context, user string) (bool, error) {
	key, now := strings.ToLower(user), f.cfg.Now()
	if key == "" {
		return false, nil
	}
	f.peopleMu.Lock()
	known, ok := f.writers[key]
	f.peopleMu.Unlock()
	if ok && now.Sub(known.at) < peopleLife {
		return known.may, nil
	}
	var has struct {
		Permission string `json:"permission"`
	}
	_, err := f.do(ctx, http.MethodGet, f.repoPath("collaborators/%s/permission", user), nil, &has)
	switch {
	case status(err) == http.StatusNotFound: // nobody of that name
	case err != nil:
		return false, fmt.Errorf("ask GitHub whether %s may write to %s/%s: %w", oneLine(user, maxServerText), f.owner, f.name, err)
	}
	may := has.Permission == "write" || has.Permission == "admin" // "maintain" is told as write
	f.peopleMu.Lock()
	defer f.peopleMu.Unlock()
	if f.writers == nil || len(f.writers) >= maxPeople {
		f.writers = map[string]mayWrite{}
	}
	f.writers[key] = mayWrite{may, now}
	return may, nil
}

// Members are the logins of a team, "org/slug" or "slug" of the repository's owner, those of the teams
// below it too; the answer may be five minutes old.
func (f *Forge) Members(ctx context.Context, team string) ([]string, error) {
	org, slug, ok := strings.Cut(strings.TrimPrefix(team, "@"), "/")
	if !ok {
		org, slug = f.owner, org
	}
	if org == "" || slug == "" || strings.Contains(slug, "/") {
		return nil, fmt.Errorf("team %q: want a team's name, or organization/name", team)
	}
	key, now := strings.ToLower(org+"/"+slug), f.cfg.Now()
	f.peopleMu.Lock()
	known, ok := f.teams[key]
	f.peopleMu.Unlock()
	if ok && now.Sub(known.at) < peopleLife {
		return slices.Clone(known.members), nil
	}
	path := "orgs/" + url.PathEscape(org) + "/teams/" + url.PathEscape(slug) + "/members"
	people, err := everyPage[struct {
		Login string `json:"login"`
	}](ctx, f, path)
	if err != nil {
		return nil, fmt.Errorf("read the members of the team %s/%s: %w%s", org, slug, err, f.teamHint(err))
	}
	members := make([]string, 0, len(people))
	for _, p := range people {
		members = append(members, p.Login)
	}
	f.peopleMu.Lock()
	defer f.peopleMu.Unlock()
	if f.teams == nil || len(f.teams) >= maxPeople {
		f.teams = map[string]teamKnown{}
	}
	f.teams[key] = teamKnown{members, now}
	return slices.Clone(members), nil
}

// teamHint says what helps when a team cannot be read, which GitHub tells as if it were not there.
func (f *Forge) teamHint(err error) string {
	if s := status(err); s != http.StatusNotFound && s != http.StatusForbidden {
		return ""
	}
	if f.cfg.App != nil {
		return " (is it spelled so, and may the App read Members of the organization?)"
	}
	return " (is it spelled so, and has the token the scope read:org?)"
}
