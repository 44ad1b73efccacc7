package github

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

func TestRightsOfATokenAreTheRoleAndTheScopes(t *testing.T) {
	const needsRole = "the role Write in acme/config for bot"
	const needsRepo = "the scope repo of the token"
	const needsOrg = "the scope read:org of the token (for approvals of teams)"
	for name, c := range map[string]struct {
		role    string
		private bool
		scopes  []string
		want    pr.Rights
	}{
		"a fine-grained token of a writer": {"write", false, nil, pr.Rights{Read: true, Write: true}},
		"of an administrator":              {"admin", true, nil, pr.Rights{Read: true, Write: true, Admin: true}},
		"of a reader":                      {"read", false, nil, pr.Rights{Read: true, Missing: []string{needsRole}}},
		"a classic token with all":         {"write", true, []string{"repo", "read:org"}, pr.Rights{Read: true, Write: true}},
		"for public repositories, private": {"write", true, []string{"public_repo", "admin:org"}, pr.Rights{Read: true, Missing: []string{needsRepo}}},
		"for public repositories":          {"write", false, []string{"public_repo"}, pr.Rights{Read: true, Write: true, Optional: []string{needsOrg}}},
		"without scopes":                   {"write", false, []string{}, pr.Rights{Read: true, Missing: []string{needsRepo}, Optional: []string{needsOrg}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGround(t)
			g.repo.Collaborator("bot", c.role)
			g.repo.Change(func(r *fakegithub.Repo) { r.Settings.Private = c.private })
			token := g.User("bot")
			if c.scopes != nil {
				g.Scopes(token, c.scopes...)
			}
			got, err := g.as(t, token).Rights(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.want.User = "bot"
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if len(g.Requests()) != 1 {
				t.Errorf("asked by %v", g.sent())
			}
		})
	}
}

func TestRightsOfAnAppAreItsPermissions(t *testing.T) {
	g := newGround(t)
	permissions := allPermissions()
	delete(permissions, "statuses")
	delete(permissions, "administration")
	permissions["pull_requests"], permissions["deployments"] = "read", "read"
	c, _ := g.app(t, permissions)
	got, err := g.asApp(t, c).Rights(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := pr.Rights{User: "towpath[bot]", Read: true, Missing: []string{
		"Pull requests: write", "Commit statuses: write",
	}, Optional: []string{
		"Deployments: write (to show environments on GitHub's pages)",
		"Administration: read (to read the protection of branches)",
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhoMayWriteIsAskedOnceInFiveMinutes(t *testing.T) {
	g := newGround(t)
	for login, role := range map[string]string{"wren": "write", "mia": "maintain", "ada": "admin", "tim": "triage", "rob": "read"} {
		g.repo.Collaborator(login, role)
	}
	g.User("stranger")
	f := g.as(t, g.User("bot"))
	for login, want := range map[string]bool{"wren": true, "mia": true, "ada": true, "tim": false, "rob": false, "stranger": false, "nobody": false, "": false} {
		may, err := f.MayWrite(t.Context(), login)
		if err != nil || may != want {
			t.Errorf("%s: %v %v, want %v", login, may, err, want)
		}
	}
	g.Reset()
	g.repo.Collaborator("wren", "read")
	g.pass(peopleLife - time.Second)
	if may, err := f.MayWrite(t.Context(), "WREN"); err != nil || !may || len(g.Requests()) != 0 {
		t.Errorf("within five minutes: %v %v %v", may, err, g.sent())
	}
	g.pass(time.Second)
	if may, err := f.MayWrite(t.Context(), "wren"); err != nil || may {
		t.Errorf("after five minutes: %v %v", may, err)
	}
	if _, err := f.MayWrite(t.Context(), "../../x y%"); err != nil {
		t.Errorf("an odd name: %v", err)
	}
	g.Inject(fakegithub.Fault{Status: 500})
	if _, err := f.MayWrite(t.Context(), "new"); err == nil || !strings.Contains(err.Error(), "ask GitHub whether new may write to acme/config") {
		t.Errorf("a server that fails: %v", err)
	}
}

func TestMembersOfATeamAreAllOfThem(t *testing.T) {
	g := newGround(t)
	var people []string
	for i := range 205 {
		people = append(people, fmt.Sprintf("p%03d", i))
	}
	g.Team("acme", "sre", people...)
	g.Team("other", "sre", "olga")
	f := g.as(t, g.User("bot"))
	for _, name := range []string{"sre", "acme/sre", "@acme/sre", "ACME/SRE"} {
		got, err := f.Members(t.Context(), name)
		if err != nil || !slices.Equal(got, people) {
			t.Errorf("%s: %d people, %v", name, len(got), err)
		}
	}
	if n := len(g.Requests()); n != 3 {
		t.Errorf("%d requests, want the three pages once: %v", n, g.sent())
	}
	if got, err := f.Members(t.Context(), "other/sre"); err != nil || !slices.Equal(got, []string{"olga"}) {
		t.Errorf("of another organisation: %v, %v", got, err)
	}
	g.pass(peopleLife)
	g.Team("acme", "sre", "ann")
	if got, err := f.Members(t.Context(), "sre"); err != nil || !slices.Equal(got, []string{"ann"}) {
		t.Errorf("five minutes later: %v, %v", got, err)
	}
	_, err := f.Members(t.Context(), "none")
	if !errors.Is(err, pr.ErrNotFound) || !strings.Contains(err.Error(), "read:org") {
		t.Errorf("a team that is not there: %v", err)
	}
	for _, bad := range []string{"", "a/b/c", "/x", "x/"} {
		if _, err := f.Members(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "want a team's name") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAnAppThatMayNotReadTeamsIsToldSo(t *testing.T) {
	g := newGround(t)
	g.Team("acme", "sre", "ann")
	permissions := allPermissions()
	delete(permissions, "members")
	c, _ := g.app(t, permissions)
	_, err := g.asApp(t, c).Members(t.Context(), "sre")
	if err == nil || !strings.Contains(err.Error(), "may the App read Members of the organization?") {
		t.Errorf("got %v", err)
	}
}
