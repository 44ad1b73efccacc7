package gitea_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"go.uber.org/goleak"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/gitea"
	"towpath.dev/towpath/test/forges"
	real "towpath.dev/towpath/test/gitea"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	org  = "acme"
	team = "sre"
	bot  = "towpath-bot"
)

// site is one server with the people of the tests and an organization.
type site struct {
	server *real.Server
	people map[string]real.User
	made   atomic.Int64 // repositories
}

// start runs one Gitea for all tests of t.
func start(t *testing.T) *site {
	t.Helper()
	s := &site{server: real.Start(t), people: map[string]real.User{}}
	ctx := t.Context()
	must(t, s.server.NewOrganization(ctx, org, s.server.Admin))
	for _, name := range []string{bot, forges.Alice, forges.Bob, forges.Mallory} {
		u, err := s.server.NewUser(ctx, name)
		must(t, err)
		s.people[name] = u
	}
	admin := s.as(t, s.server.Admin)
	for name, members := range map[string][]string{team: {forges.Alice, forges.Bob, bot}, "bots": {bot}} {
		made, _, err := admin.CreateTeam(org, sdk.CreateTeamOption{Name: name, Permission: sdk.AccessModeWrite, IncludesAllRepositories: true,
			Units: []sdk.RepoUnitType{sdk.RepoUnitCode, sdk.RepoUnitPulls, sdk.RepoUnitIssues}})
		must(t, err)
		for _, m := range members {
			_, err := admin.AddTeamMember(made.ID, m)
			must(t, err)
		}
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is the vendor's client for somebody.
func (s *site) as(t *testing.T, u real.User) *sdk.Client {
	t.Helper()
	c, err := sdk.NewClient(s.server.URL, sdk.SetContext(t.Context()), sdk.SetToken(u.Token),
		sdk.SetHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
	must(t, err)
	return c
}

// repository makes one of the organization's, that everybody may read and both teams write to. It has a
// first commit: of one without, the server takes notice of the first push some moments late.
func (s *site) repository(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("config-%d", s.made.Add(1))
	_, _, err := s.as(t, s.server.Admin).CreateOrgRepo(org, sdk.CreateRepoOption{Name: name, AutoInit: true, DefaultBranch: "main"})
	must(t, err)
	return org + "/" + name
}

// front stands before the server: it counts what is asked and spoils answers.
type front struct {
	*httptest.Server
	to *httputil.ReverseProxy

	mu    sync.Mutex
	asked []string // method and path
	lose  int
	spoil func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func (s *site) front(t *testing.T) *front {
	t.Helper()
	target, err := url.Parse(s.server.URL)
	must(t, err)
	transport := &http.Transport{}
	f := &front{to: &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.Server.CloseClientConnections()
		f.Server.Close()
		transport.CloseIdleConnections()
	})
	return f
}

func mutates(method string) bool { return method != http.MethodGet && method != http.MethodHead }

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+r.URL.Path)
	lost := mutates(r.Method) && f.lose > 0
	if lost {
		f.lose--
	}
	spoil := f.spoil
	f.mu.Unlock()
	switch {
	case lost:
		f.to.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case spoil != nil && spoil(w, r):
	default:
		f.to.ServeHTTP(w, r)
	}
}

func (f *front) setLose(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = n
}

func (f *front) setSpoil(s func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoil = s
}

// count forgets and returns what was asked.
func (f *front) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.asked
	f.asked = nil
	return out
}

func (f *front) writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.asked {
		method, _, _ := strings.Cut(a, " ")
		if mutates(method) {
			n++
		}
	}
	return n
}

func token(u real.User) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return u.Token, nil }
}

// open is a Forge over a repository, for somebody, by some way.
func open(t *testing.T, at, repo string, u real.User) *gitea.Forge {
	t.Helper()
	f, err := gitea.Open(t.Context(), gitea.Config{URL: at, Repo: repo, Token: token(u), Transport: &http.Transport{}})
	must(t, err)
	t.Cleanup(f.Disconnect)
	return f
}

func TestEveryForgesPromises(t *testing.T) {
	s := start(t)
	forges.Run(t, 6, func(t *testing.T) *forges.World { return s.world(t) })
}

func (s *site) world(t *testing.T) *forges.World {
	repo := s.repository(t)
	_, name, _ := strings.Cut(repo, "/")
	before := s.front(t)
	admin := s.as(t, s.server.Admin)
	people := map[string]forges.Forge{}
	alice := s.people[forges.Alice]
	return &forges.World{
		Forge: open(t, before.URL, repo, s.people[bot]),
		As: func(user string) forges.Forge {
			if people[user] == nil {
				people[user] = open(t, s.server.URL, repo, s.people[user])
			}
			return people[user]
		},
		Restart: func() forges.Forge { return open(t, before.URL, repo, s.people[bot]) },
		Remote:  strings.Replace(s.server.CloneURL(repo), "://", "://"+alice.Name+":"+alice.Token+"@", 1),
		Writes:  before.writes,
		Later:   func() { time.Sleep(400 * time.Millisecond) },
		Lose:    before.setLose,
		Protect: func(r pr.Rules) error { return s.protect(t, repo, r) },
		Fork:    func(branch string) (int, error) { return s.fork(t, repo, branch) },
		Team:    team,
		Dismiss: func(number int, user string) error {
			all, _, err := admin.ListPullReviews(org, name, int64(number), sdk.ListPullReviewsOptions{})
			if err != nil {
				return err
			}
			var last int64
			for _, r := range all {
				if r.Reviewer != nil && r.Reviewer.UserName == user && r.ID > last {
					last = r.ID
				}
			}
			_, err = admin.DismissPullReview(org, name, int64(number), last, sdk.DismissPullReviewOptions{Message: "no"})
			return err
		},
		Reported: func(env, commit string) (pr.ReportState, error) {
			got, _, err := admin.GetCombinedStatus(org, name, commit)
			if err != nil {
				return "", err
			}
			for _, c := range got.Statuses {
				if c.Context == "towpath/"+env {
					return map[sdk.StatusState]pr.ReportState{sdk.StatusPending: pr.ReportProgress, sdk.StatusSuccess: pr.ReportHealthy, sdk.StatusFailure: pr.ReportFailing}[c.State], nil
				}
			}
			return "", errors.New("no status")
		},
		Page: real.PageSize,
		Many: func(n int, closed bool) error { return s.many(t, repo, n, closed) },
	}
}

func (s *site) protect(t *testing.T, repo string, r pr.Rules) error {
	p := real.Protection{Branch: "main", Approvals: r.Approvals, BindsAdmins: true}
	for _, c := range r.Checks {
		p.Checks = append(p.Checks, c.Context)
	}
	if r.Methods != nil {
		no, yes := false, true
		o := sdk.EditRepoOption{AllowMerge: &no, AllowRebase: &no, AllowRebaseMerge: &no, AllowSquash: &no}
		for _, m := range r.Methods {
			switch m {
			case pr.Squash:
				o.AllowSquash = &yes
			case pr.Merge:
				o.AllowMerge = &yes
			case pr.Rebase:
				o.AllowRebase = &yes
			}
		}
		_, name, _ := strings.Cut(repo, "/")
		if _, _, err := s.as(t, s.server.Admin).EditRepo(org, name, o); err != nil {
			return err
		}
	}
	return s.server.Protect(t.Context(), repo, p)
}

func (s *site) fork(t *testing.T, repo, branch string) (int, error) {
	_, name, _ := strings.Cut(repo, "/")
	mallory := s.people[forges.Mallory]
	c := s.as(t, mallory)
	if _, _, err := c.CreateFork(org, name, sdk.CreateForkOption{}); err != nil {
		return 0, err
	}
	if _, err := s.server.Commit(t.Context(), mallory.Name+"/"+name, mallory, real.Change{Branch: branch, From: "main", Files: real.Files{"evil": "1\n"}}); err != nil {
		return 0, err
	}
	p, _, err := c.CreatePullRequest(org, name, sdk.CreatePullRequestOption{Head: mallory.Name + ":" + branch, Base: "main", Title: "fork"})
	if err != nil {
		return 0, err
	}
	return int(p.Index), nil
}

// many pushes the branches at once and opens their pull requests one after the other; closed ones are all of
// one branch.
func (s *site) many(t *testing.T, repo string, n int, closed bool) error {
	_, name, _ := strings.Cut(repo, "/")
	c := s.as(t, s.people[forges.Alice])
	branches := []string{"towpath/many/1"}
	for i := 2; i <= n && !closed; i++ {
		branches = append(branches, fmt.Sprintf("towpath/many/%d", i))
	}
	_, err := s.server.Commit(t.Context(), repo, s.people[forges.Alice], real.Change{Branch: branches[0], More: branches[1:], From: "main", Files: real.Files{"many": "1\n"}})
	if err != nil {
		return err
	}
	for i := range n {
		p, _, err := c.CreatePullRequest(org, name, sdk.CreatePullRequestOption{Head: branches[i%len(branches)], Base: "main", Title: "many"})
		if err != nil {
			return err
		}
		if closed {
			state := sdk.StateClosed
			if _, _, err := c.EditPullRequest(org, name, p.Index, sdk.EditPullRequestOption{State: &state}); err != nil {
				return err
			}
		}
	}
	return nil
}
