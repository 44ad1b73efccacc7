package fakegithub

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"
)

// stage is a server with a repository, its owner, a bot that proposes and somebody who reviews.
type stage struct {
	*Server
	contract *Contract
	repo     *Repo
	now      time.Time
	bot, ann *github.Client
}

const owner, name = "acme", "config"

func newStage(t *testing.T, o Options) *stage {
	t.Helper()
	st := &stage{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	o.Now = func() time.Time { return st.now }
	st.Server, st.contract = StartWith(t, o, nil)
	repo, err := st.Server.Repo(owner, name)
	if err != nil {
		t.Fatal(err)
	}
	st.repo = repo
	st.bot, st.ann = st.client(t, "bot"), st.client(t, "ann")
	repo.Collaborator("bot", "write")
	repo.Collaborator("ann", "write")
	st.commit(t, "main", map[string][]byte{"apps/web.yaml": []byte("image: web:1.0.0\n")})
	return st
}

// client is somebody's, under a contract of its own.
func (st *stage) client(t *testing.T, login string) *github.Client {
	t.Helper()
	c := github.NewClient(&http.Client{Transport: CheckContract(t).Transport(nil)}).WithAuthToken(st.User(login))
	c, err := c.WithEnterpriseURLs(st.Web, st.Web)
	if err != nil {
		t.Fatal(err)
	}
	base, err := c.BaseURL.Parse(st.URL)
	if err != nil {
		t.Fatal(err)
	}
	c.BaseURL = base
	return c
}

func (st *stage) commit(t *testing.T, branch string, files map[string][]byte) string {
	t.Helper()
	sha, err := st.repo.Commit("bot", branch, "Change "+branch, files)
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

// propose opens a pull request of a new branch.
func (st *stage) propose(t *testing.T, branch, content string) *github.PullRequest {
	t.Helper()
	st.commit(t, branch, map[string][]byte{"apps/web.yaml": []byte(content)})
	p, _, err := st.bot.PullRequests.Create(context.Background(), owner, name, &github.NewPullRequest{
		Title: github.String("web: " + strings.TrimSpace(content)), Head: github.String(branch), Base: github.String("main"), Body: github.String("Why."),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPullRequestIsCreatedReviewedCheckedAndMerged(t *testing.T) {
	ctx := context.Background()
	st := newStage(t, Options{})
	p := st.propose(t, "bump", "image: web:1.1.0\n")
	if p.Mergeable != nil || p.GetMergeableState() != "unknown" {
		t.Errorf("mergeable %v, %q at first, want null and unknown", p.Mergeable, p.GetMergeableState())
	}
	p, _, err := st.bot.PullRequests.Get(ctx, owner, name, p.GetNumber())
	if err != nil {
		t.Fatal(err)
	}
	if !p.GetMergeable() || p.GetMergeableState() != "clean" {
		t.Errorf("mergeable %v, %q then, want true and clean", p.Mergeable, p.GetMergeableState())
	}
	merged, _, err := st.bot.PullRequests.Merge(ctx, owner, name, p.GetNumber(), "", &github.PullRequestOptions{SHA: p.Head.GetSHA(), MergeMethod: "squash"})
	if err != nil {
		t.Fatal(err)
	}
	if got := st.repo.head("main"); got != merged.GetSHA() {
		t.Errorf("main is at %s, want %s", got, merged.GetSHA())
	}
	if text, err := st.repo.git("show", "main:apps/web.yaml"); err != nil || text != "image: web:1.1.0" {
		t.Errorf("main has %q, %v", text, err)
	}
}
