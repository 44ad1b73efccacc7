package promote_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr/github"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
	"towpath.dev/towpath/test/fakegithub"
	"towpath.dev/towpath/test/githttp"
	"towpath.dev/towpath/test/ociregistry"
)

// maxProposal is how many requests GitHub may count for a new proposal until all is
// idle again.
const maxProposal = 6

const oneEntry = `apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: web}
spec:
  image: HOST/shop/web
  select: {semver: {range: "1.x"}}
---
apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: shop}
spec:
  branch: main
  environments:
  - {name: prod, path: envs/prod, update: {policies: ["*"]}, merge: approval, gates: {approvals: {required: 2}}}
`

// atGitHub is a bot over a GitHub with one app; pass lets time go by.
func atGitHub(t *testing.T, reg *ociregistry.Server) (gh *fakegithub.Server, bot *promote.Bot, pass func()) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	dir := t.TempDir()
	wire, err := githttp.Handler(dir, githttp.Options{})
	must(err)
	gh = fakegithub.Start(t, fakegithub.Options{Dir: dir, Git: wire, Unknown: -1, Now: clock})
	gh.Organization("acme")
	repo, err := gh.Repo("acme", "config")
	must(err)
	repo.Collaborator("bot", "write")
	_, err = repo.Commit("alice", "main", "shop", map[string][]byte{
		"policies/shop.yaml":     []byte(strings.ReplaceAll(oneEntry, "HOST", reg.Host())),
		"envs/prod/web/web.yaml": []byte("kind: Pod\nspec:\n  image: " + reg.Host() + "/shop/web:1.0.0 # towpath: web\n"),
	})
	must(err)
	token := gh.User("bot")
	file := filepath.Join(t.TempDir(), "token")
	must(os.WriteFile(file, []byte(token), 0o600))
	forge, err := github.Open(t.Context(), github.Config{URL: "https://github.com", API: gh.URL, Repo: "acme/config", Now: clock,
		Token: func(context.Context) (string, error) { return token, nil }, Pace: time.Nanosecond, Floor: -1})
	must(err)
	t.Cleanup(forge.Disconnect)
	git, err := gitrepo.Open(t.Context(), gitrepo.Config{URL: gh.Web + "/acme/config.git", Dir: t.TempDir(), Branch: "main", Auth: gitrepo.Auth{PasswordFile: file}})
	must(err)
	t.Cleanup(func() { _ = git.Close() })
	scanner := scan.New(scan.Config{Registry: registry.New(registry.Config{Hosts: []registry.Host{{Host: reg.Host(), PlainHTTP: true, PrivateNetwork: true, RequestsPerSecond: 1e4}}})})
	t.Cleanup(scanner.Close)
	bot = promote.New(promote.Config{Git: git, Scanner: scanner, Forge: forge, User: forge.User(), Now: clock, Author: git.Author(), States: state.NewLoader(git).Load})
	return gh, bot, func() { now = now.Add(time.Minute) }
}

func TestAProposalAtGitHubCostsSixRequestsUntilAllIsIdle(t *testing.T) {
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	if err := reg.PushAll("shop/web", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	gh, bot, pass := atGitHub(t, reg)
	tick := func() (out promote.Outcome, counted []string) {
		t.Helper()
		gh.Reset()
		out, err := bot.Tick(t.Context())
		if err != nil || len(out.Failures) > 0 {
			t.Fatalf("%v %v", err, out.Failures)
		}
		for _, r := range gh.Requests() {
			if !r.Free {
				counted = append(counted, r.Method+" "+strings.TrimPrefix(r.Path, "/repos/acme/config"))
			}
		}
		pass()
		return out, counted
	}
	for range 3 {
		tick()
	}
	if _, counted := tick(); len(counted) > 0 {
		t.Fatalf("idle before: %v", counted)
	}
	if err := reg.PushAll("shop/web", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	out, all := tick()
	if len(out.Proposed) != 1 {
		t.Fatalf("%+v", out.Plan)
	}
	for range 3 {
		_, counted := tick()
		all = append(all, counted...)
	}
	if len(all) > maxProposal {
		t.Errorf("%d requests, want at most %d:\n%s", len(all), maxProposal, strings.Join(all, "\n"))
	}
	if _, counted := tick(); len(counted) > 0 {
		t.Errorf("not idle after: %v", counted)
	}
}
