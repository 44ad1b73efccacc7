package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
	"towpath.dev/towpath/test/forges"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// wire stands between a Forge and GitHub: it counts writes and loses answers.
type wire struct {
	next http.RoundTripper
	*tap
}

type tap struct {
	writes atomic.Int64
	lose   atomic.Int64
	spoil  func(r *http.Request, resp *http.Response) // nil: nothing
}

var errLost = errors.New("connection reset by peer")

func (t *tap) around(next http.RoundTripper) http.RoundTripper { return &wire{next, t} }

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	write := writes(r)
	if write {
		w.writes.Add(1)
	}
	resp, err := w.next.RoundTrip(r)
	if err == nil && write && w.lose.Add(-1) >= 0 {
		resp.Body.Close()
		return nil, errLost
	}
	if err == nil && w.spoil != nil {
		w.spoil(r, resp)
	}
	return resp, err
}

// tapped counts a Forge's writes and does not wait for GitHub.
func tapped(t *tap) func(*Config) {
	return func(c *Config) {
		c.around = t.around
		c.pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	}
}

func TestGitHubIsAForge(t *testing.T) {
	forges.Run(t, 2, func(t *testing.T) *forges.World { return newWorld(t, fakegithub.Options{}).World })
}

type world struct {
	*forges.World
	*ground
	tap *tap
}

func newWorld(t *testing.T, o fakegithub.Options) world {
	t.Helper()
	g := newGroundOf(t, o)
	for _, who := range []string{forges.Alice, forges.Bob} {
		g.repo.Collaborator(who, "write")
	}
	g.Team("acme", "sre", forges.Alice, forges.Bob)
	bot := &tap{}
	people := map[string]*Forge{}
	for _, who := range []string{forges.Alice, forges.Bob, forges.Mallory} {
		people[who] = g.as(t, g.User(who), tapped(&tap{}))
	}
	token := g.User("bot")
	w := &forges.World{
		Forge:   g.as(t, token, tapped(bot)),
		Restart: func() forges.Forge { return g.as(t, token, tapped(bot)) },
		As: func(user string) forges.Forge {
			if f := people[user]; f != nil {
				return f
			}
			return nil
		},
		Remote: g.repo.Dir, Team: "sre",
		Writes: func() int { return int(bot.writes.Load()) },
		Later:  func() { g.pass(2 * time.Second) },
		Lose:   func(n int) { bot.lose.Store(int64(n)) },
	}
	w.Protect = func(r pr.Rules) error {
		g.repo.Change(func(repo *fakegithub.Repo) {
			p := &fakegithub.Protection{EnforceAdmins: true}
			if r.Approvals > 0 {
				p.Reviews = &fakegithub.ReviewRule{Approvals: r.Approvals}
			}
			for _, c := range r.Checks {
				p.Checks = append(p.Checks, fakegithub.Check{Context: c.Context})
			}
			repo.Protections["main"] = p
			if r.Methods != nil {
				repo.Settings.NoMerge = !slices.Contains(r.Methods, pr.Merge)
				repo.Settings.NoSquash = !slices.Contains(r.Methods, pr.Squash)
				repo.Settings.NoRebase = !slices.Contains(r.Methods, pr.Rebase)
			}
		})
		return nil
	}
	w.Fork = func(branch string) (int, error) {
		return g.repo.ForkPull(forges.Mallory, branch, "main", map[string][]byte{"prod/evil.yaml": []byte("image: evil:1\n")})
	}
	alice := people[forges.Alice]
	w.Dismiss = func(number int, user string) error { return dismiss(t.Context(), alice, number, user) }
	w.Reported = func(env, commit string) (pr.ReportState, error) {
		return reportedState(t.Context(), alice, env, commit)
	}
	w.Many = func(n int, closed bool) error { return g.repo.ManyPulls("bot", "towpath/many/", "main", n, closed) }
	return world{w, g, bot}
}

// dismiss takes back the newest review of a person.
func dismiss(ctx context.Context, f *Forge, number int, user string) error {
	var all []struct {
		ID   int64    `json:"id"`
		User userJSON `json:"user"`
	}
	if _, err := f.do(ctx, http.MethodGet, f.repoPath("pulls/%d/reviews", number), nil, &all); err != nil {
		return err
	}
	for _, r := range slices.Backward(all) {
		if r.User.Login == user {
			_, err := f.do(ctx, http.MethodPut, f.repoPath("pulls/%d/reviews/%d/dismissals", number, r.ID), map[string]any{"message": "no"}, nil)
			return err
		}
	}
	return errors.New("there is no review of " + user)
}

// reportedState reads a deployment back.
func reportedState(ctx context.Context, f *Forge, env, commit string) (pr.ReportState, error) {
	var all []deployment
	if _, err := f.do(ctx, http.MethodGet, f.repoPath("deployments")+"?environment="+env+"&sha="+commit, nil, &all); err != nil {
		return "", err
	}
	if len(all) != 1 {
		return "", fmt.Errorf("%d deployments", len(all))
	}
	var statuses []deploymentStatus
	if _, err := f.do(ctx, http.MethodGet, f.repoPath("deployments/%d/statuses", all[0].ID), nil, &statuses); err != nil {
		return "", err
	}
	if len(statuses) == 0 {
		return "", errors.New("it has no status")
	}
	return map[string]pr.ReportState{"in_progress": pr.ReportProgress, "success": pr.ReportHealthy, "failure": pr.ReportFailing}[statuses[0].State], nil
}

// seen are the requests since the last Reset, as "METHOD path".
func (g *ground) seen() []string {
	var all []string
	for _, r := range g.Requests() {
		free := ""
		if r.Free {
			free = " (free)"
		}
		all = append(all, r.Method+" "+strings.TrimPrefix(r.Path, "/repos/acme/config")+free)
	}
	return all
}
