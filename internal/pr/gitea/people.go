package gitea

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

// mayFor is how long an answer about a person's rights is believed.
const mayFor = 5 * time.Minute

type mayAnswer struct {
	may   bool
	until time.Time
}

// MayWrite reports whether a person may write to the repository; nobody the server does not know may.
// Where only administrators may ask that and we are none, it is seen from whom pull requests can be
// assigned to, as far as that is the same.
func (f *Forge) MayWrite(ctx context.Context, user string) (bool, error) {
	key, now := strings.ToLower(user), f.cfg.Now()
	f.mu.Lock()
	known, ok := f.may[key]
	f.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.may, nil
	}
	may, err := f.mayWrite(ctx, user)
	if err != nil {
		return false, fmt.Errorf("ask whether %s may write to %s: %w", user, f.cfg.Repo, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.may[key] = mayAnswer{may, now.Add(mayFor)}
	return may, nil
}

func (f *Forge) mayWrite(ctx context.Context, user string) (bool, error) {
	if user == "" {
		return false, nil
	}
	c, err := f.client(ctx)
	if err != nil {
		return false, err
	}
	p, _, err := c.CollaboratorPermission(f.owner, f.name, user)
	switch s := status(err); {
	case err == nil:
		switch p.Permission {
		case sdk.AccessModeWrite, sdk.AccessModeAdmin, sdk.AccessModeOwner:
			return true, nil
		}
		return false, nil
	case s == http.StatusNotFound:
		return false, nil
	case s != http.StatusForbidden:
		return false, plain(err)
	}
	return f.assignable(ctx, c, user)
}

// assignable answers from the people that pull requests can be assigned to: those who may write, and in an
// organization also teams that may only read them.
func (f *Forge) assignable(ctx context.Context, c *sdk.Client, user string) (bool, error) {
	people, _, err := c.GetAssignees(f.owner, f.name)
	if err != nil {
		return false, plain(err)
	}
	found := false
	for _, p := range people {
		found = found || strings.EqualFold(p.UserName, user)
	}
	if !found {
		return false, nil
	}
	teams, _, err := c.GetRepoTeams(f.owner, f.name)
	switch status(err) {
	case http.StatusMethodNotAllowed, http.StatusNotFound: // a person's repository has no teams
		return true, nil
	}
	if err != nil {
		return false, plain(err)
	}
	for _, t := range teams {
		if !writes(t) {
			return false, fmt.Errorf("%w: the team %s may only read the repository, and who of its people may write only an administrator can ask; make %s one", pr.ErrForbidden, t.Name, f.user)
		}
	}
	return true, nil
}

// writes reports whether everybody in a team may write to the repository.
func writes(t *sdk.Team) bool {
	switch t.Permission {
	case sdk.AccessModeWrite, sdk.AccessModeAdmin, sdk.AccessModeOwner:
		return true
	}
	code := t.UnitsMap["repo.code"]
	return code == "write" || code == "admin"
}

// Members lists the people of a team of the organization that owns the repository, by the team's name;
// "organization/team" is understood, too. We are none of them. The server tells it only to members of the
// team and to the organization's owners.
func (f *Forge) Members(ctx context.Context, team string) ([]string, error) {
	out, err := f.members(ctx, team)
	if err != nil {
		return nil, fmt.Errorf("list team %s: %w", team, err)
	}
	return out, nil
}

func (f *Forge) members(ctx context.Context, team string) ([]string, error) {
	org := f.owner
	if o, t, ok := strings.Cut(team, "/"); ok {
		org, team = o, t
	}
	c, err := f.client(ctx)
	if err != nil {
		return nil, err
	}
	id, err := f.teamID(c, org, team)
	if err != nil {
		return nil, err
	}
	var out []string
	for page, all := 1, 0; page <= maxPages; page++ {
		got, resp, err := c.ListTeamMembers(id, sdk.ListTeamMembersOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: f.perPage}})
		if err != nil {
			return nil, hinted(err, f.user)
		}
		for _, u := range got {
			if !f.ours(u) { // who has to be in it to read it
				out = append(out, u.UserName)
			}
		}
		if all += len(got); done(all, len(got), f.perPage, resp) {
			break
		}
	}
	return out, nil
}

func (f *Forge) teamID(c *sdk.Client, org, team string) (int64, error) {
	for page, all := 1, 0; page <= maxPages; page++ {
		got, resp, err := c.ListOrgTeams(org, sdk.ListTeamsOptions{ListOptions: sdk.ListOptions{Page: page, PageSize: f.perPage}})
		if err != nil {
			return 0, hinted(err, f.user)
		}
		for _, t := range got {
			if strings.EqualFold(t.Name, team) {
				return t.ID, nil
			}
		}
		if all += len(got); done(all, len(got), f.perPage, resp) {
			break
		}
	}
	return 0, fmt.Errorf("the organization %s has no such team, or %s may not see it", org, f.user)
}

// hinted says what helps when teams cannot be read.
func hinted(err error, user string) error {
	switch status(err) {
	case http.StatusNotFound:
		return fmt.Errorf("%w; teams are those of an organization, is its name right?", plain(err))
	case http.StatusForbidden:
		return fmt.Errorf("%w; only members of a team see who is in it, and the token needs read:organization; make %s a member of the team", plain(err), user)
	}
	return plain(err)
}
