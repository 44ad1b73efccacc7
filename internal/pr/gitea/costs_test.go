package gitea_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/gitea"
	"towpath.dev/towpath/test/forges"
	real "towpath.dev/towpath/test/gitea"
)

const branch = "towpath/prod/web"

// desk is a repository with the bot's forge behind a front.
type desk struct {
	*site
	repo, name string
	front      *front
	forge      *gitea.Forge
}

func (s *site) desk(t *testing.T) *desk {
	repo := s.repository(t)
	f := s.front(t)
	return &desk{s, repo, strings.TrimPrefix(repo, org+"/"), f, open(t, f.URL, repo, s.people[bot])}
}

// push puts a file on the bot's branch and returns what to ask of Ensure.
func (d *desk) push(t *testing.T, branch, text string) pr.Request {
	t.Helper()
	head, err := d.server.Commit(t.Context(), d.repo, d.people[bot], real.Change{Branch: branch, From: "main", Files: real.Files{"web.yaml": text}})
	must(t, err)
	return pr.Request{Branch: branch, Base: "main", Head: head, Title: "prod: web", Body: "body\n\n" + pr.Block{Env: "prod", App: "web"}.String(), Labels: []string{pr.LabelPromo}}
}

// idle lists until a list costs one request and nothing else.
func (d *desk) idle(t *testing.T) []pr.Pull {
	t.Helper()
	var asked []string
	for range 60 {
		d.front.take()
		pulls, err := d.forge.List(t.Context(), "main")
		must(t, err)
		if asked = d.front.take(); len(asked) == 1 {
			if want := "GET /api/v1/repos/" + d.repo + "/pulls"; asked[0] != want {
				t.Fatalf("an idle look asks %q, want %q", asked, want)
			}
			return pulls
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("an idle look asks %d times: %q", len(asked), asked)
	return nil
}

func TestWhatItCosts(t *testing.T) {
	s := start(t)
	for name, run := range map[string]func(*testing.T, *desk){
		"a look without change is one request":                        idleCost,
		"a change is read once, and only of what changed":             changeCost,
		"no lost answer makes anything twice":                         lostAnswers,
		"spoilt answers name the thing and change nothing":            spoilt,
		"who opened it is told by the server, and what a token lacks": tokens,
		"an administrator reads the rules and may merge past them":    administrator,
		"of several comments of a key the first stays":                keyedTwice,
		"a comment of a key that many write at once is one":           keyedAtOnce,
		"what is not dated anew is seen ten minutes later":            editedElsewhere,
		"who may not close leaves no comment":                         refusedClose,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, s.desk(t))
		})
	}
}

func idleCost(t *testing.T, d *desk) {
	r := d.push(t, branch, "1")
	p, err := d.forge.Ensure(t.Context(), r)
	must(t, err)
	d.idle(t)
	for range 3 {
		d.front.take()
		pulls, err := d.forge.List(t.Context(), "main")
		must(t, err)
		if asked := d.front.take(); len(asked) != 1 || len(pulls) != 1 || pulls[0].Number != p.Number {
			t.Errorf("%d pull requests by %q", len(pulls), asked)
		}
	}
	before := d.forge.Figures()
	_, err = d.forge.List(t.Context(), "main")
	must(t, err)
	if after := d.forge.Figures(); after.Requests != before.Requests+1 || after.Mutations != before.Mutations {
		t.Errorf("figures %+v, before %+v", after, before)
	}
}

func changeCost(t *testing.T, d *desk) {
	var numbers []int
	for i := range 3 {
		p, err := d.forge.Ensure(t.Context(), d.push(t, fmt.Sprintf("%s-%d", branch, i), "1"))
		must(t, err)
		numbers = append(numbers, p.Number)
	}
	d.idle(t)
	_, _, err := d.as(t, d.people[forges.Alice]).CreateIssueComment(org, d.name, int64(numbers[1]), sdk.CreateIssueCommentOption{Body: "/hold"})
	must(t, err)
	d.front.take()
	pulls, err := d.forge.List(t.Context(), "main")
	must(t, err)
	asked := d.front.take()
	for _, a := range asked[1:] {
		if !strings.Contains(a, fmt.Sprintf("/%d/", numbers[1])) && !strings.Contains(a, "/commits/") {
			t.Errorf("asked %q, only %d changed", a, numbers[1])
		}
	}
	if len(asked) != 4 { // the list, reviews, comments, statuses
		t.Errorf("asked %d times: %q", len(asked), asked)
	}
	i := slices.IndexFunc(pulls, func(p pr.Pull) bool { return p.Number == numbers[1] })
	if i < 0 || len(pulls[i].Comments) != 1 {
		t.Errorf("listed %+v", pulls)
	}
}

// lostAnswers loses the n-th answer to a write of a proposal, for every n, and does it again.
func lostAnswers(t *testing.T, d *desk) {
	ctx := t.Context()
	for n := 1; n <= 5; n++ {
		r := d.push(t, fmt.Sprintf("%s-%d", branch, n), "1")
		r.Labels = append(r.Labels, fmt.Sprintf("new/%d", n))
		writes := 0
		d.front.setSpoil(func(w http.ResponseWriter, r *http.Request) bool {
			if !mutates(r.Method) {
				return false
			}
			if writes++; writes != n {
				return false
			}
			d.front.to.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
		propose := func() (int, error) {
			p, err := d.forge.Ensure(ctx, r)
			if err == nil {
				err = d.forge.SetStatus(ctx, p.Number, pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: "waiting", Commit: r.Head})
			}
			if err == nil {
				err = d.forge.Comment(ctx, p.Number, pr.Comment{Key: "gates", Body: "waiting"})
			}
			return p.Number, err
		}
		number, err := propose()
		if err != nil {
			number, err = propose()
		}
		must(t, err)
		d.front.setSpoil(nil)
		got, err := open(t, d.front.URL, d.repo, d.people[bot]).Get(ctx, number)
		must(t, err)
		if len(got.Comments) != 1 || len(got.Checks) != 1 || len(got.Labels) != 2 {
			t.Errorf("write %d lost: %+v", n, got)
		}
		all, _, err := d.as(t, d.server.Admin).ListStatuses(org, d.name, r.Head, sdk.ListStatusesOption{})
		must(t, err)
		if len(all) != 1 {
			t.Errorf("write %d lost: %d statuses", n, len(all))
		}
	}
	pulls := d.idle(t)
	labels, _, err := d.as(t, d.server.Admin).ListRepoLabels(org, d.name, sdk.ListLabelsOptions{ListOptions: sdk.ListOptions{PageSize: 50}})
	must(t, err)
	if len(pulls) != 5 || len(labels) != 6 {
		t.Errorf("%d pull requests and %d labels, want 5 and 6", len(pulls), len(labels))
	}
}

func spoilt(t *testing.T, d *desk) {
	r := d.push(t, branch, "1")
	p, err := d.forge.Ensure(t.Context(), r)
	must(t, err)
	for name, spoil := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"a tired server": func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway)
			return true
		},
		"an answer cut short": func(w http.ResponseWriter, r *http.Request) bool {
			rec := httptest.NewRecorder()
			d.front.to.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			return true
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>sign in</html>"))
			return true
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusTemporaryRedirect)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			d.front.setSpoil(func(w http.ResponseWriter, r *http.Request) bool { return !mutates(r.Method) && spoil(w, r) })
			defer d.front.setSpoil(nil)
			_, err := d.forge.Get(t.Context(), p.Number)
			if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("read pull request %d: ", p.Number)) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("get: %v", err)
			}
			if _, err := d.forge.List(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), d.repo) {
				t.Errorf("list: %v", err)
			}
			if strings.Contains(fmt.Sprint(err), d.people[bot].Token) {
				t.Error("the error has the token")
			}
		})
	}
	pulls := d.idle(t)
	if len(pulls) != 1 || pulls[0].Number != p.Number {
		t.Errorf("afterwards: %+v", pulls)
	}
}

func tokens(t *testing.T, d *desk) {
	ctx := t.Context()
	for want, scopes := range map[string][]string{
		"[]":                               {"write:repository", "write:issue", "read:user", "read:organization"},
		"[token: write:issue]":             {"write:repository", "read:issue", "read:user"},
		"[token: write:repository]":        {"read:repository", "write:issue", "read:user"},
		"[collaborator: write] by mallory": {"all"},
	} {
		u := d.people[bot]
		if strings.HasSuffix(want, "mallory") {
			u = d.people[forges.Mallory]
		}
		made, err := d.server.NewToken(ctx, u, scopes...)
		must(t, err)
		f := open(t, d.server.URL, d.repo, real.User{Name: u.Name, Token: made})
		got, err := f.Rights(ctx)
		must(t, err)
		if fmt.Sprint(got.Missing) != strings.TrimSuffix(want, " by mallory") || got.Write != (want == "[]") || got.User != u.Name || got.Admin {
			t.Errorf("%s: %+v", want, got)
		}
	}
	_, err := gitea.Open(ctx, gitea.Config{URL: d.server.URL, Repo: d.repo, Token: token(real.User{Token: "wrong-canary"}), Transport: &http.Transport{DisableKeepAlives: true}})
	if !errors.Is(err, pr.ErrUnauthorized) || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong token: %v", err)
	}
}

func administrator(t *testing.T, d *desk) {
	ctx := t.Context()
	must(t, d.server.Protect(ctx, d.repo, real.Protection{Branch: "main", Approvals: 1, Checks: []string{pr.StatusContext}, DismissStale: true, UpToDate: true}))
	boss := open(t, d.server.URL, d.repo, d.server.Admin)
	got, err := boss.Rules(ctx, "main")
	must(t, err)
	if !got.Protected || got.Approvals != 1 || len(got.Checks) != 1 || !got.DismissStale || !got.UpToDate || !got.Bypass || len(got.Unknown) != 0 {
		t.Errorf("rules %+v", got)
	}
	if got, err = d.forge.Rules(ctx, "main"); err != nil || !got.Protected || got.Approvals != 1 || len(got.Checks) != 1 || got.Bypass || len(got.Unknown) != 1 {
		t.Errorf("as a writer: %+v, %v", got, err)
	}
	r := d.push(t, branch, "1")
	p, err := d.forge.Ensure(ctx, r)
	must(t, err)
	m := pr.MergeRequest{Number: p.Number, Head: r.Head, Message: "web"}
	if _, err := boss.Merge(ctx, m); !errors.Is(err, pr.ErrNotReady) {
		t.Errorf("without leave to: %v", err)
	}
	m.Bypass = true
	if _, err := d.forge.Merge(ctx, m); !errors.Is(err, pr.ErrNotReady) {
		t.Errorf("without the right: %v", err)
	}
	if _, err := boss.Merge(ctx, m); err != nil {
		t.Error(err)
	}
}
