package fakegithub

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
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

// descriptionsRead is the contract that all tests share, which takes a while to read.
var descriptionsRead = sync.OnceValues(func() (*Contract, error) { return NewContract(nil) })

const owner, name = "acme", "config"

func newStage(t *testing.T, o Options) *stage {
	t.Helper()
	st := &stage{now: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}
	o.Now = func() time.Time { return st.now }
	c, err := descriptionsRead()
	if err != nil {
		t.Fatal(err)
	}
	st.contract = c.Checking(t)
	st.Server = StartUnder(t, o, st.contract, nil)
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

// client is somebody's, under the contract on the client's side.
func (st *stage) client(t *testing.T, login string) *github.Client {
	t.Helper()
	c := github.NewClient(&http.Client{Transport: st.contract.Transport(nil)}).WithAuthToken(st.User(login))
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
	st.repo.Change(func(r *Repo) {
		r.Protections["main"] = &Protection{Reviews: &ReviewRule{Approvals: 1}, Checks: []Check{{Context: "towpath/gates"}}}
	})
	p := st.propose(t, "bump", "image: web:1.1.0\n")
	if p.Mergeable != nil || p.GetMergeableState() != "unknown" {
		t.Errorf("mergeable %v, %q at first, want null and unknown", p.Mergeable, p.GetMergeableState())
	}
	number, head := p.GetNumber(), p.Head.GetSHA()
	state := func(want string) {
		t.Helper()
		p, _, err := st.bot.PullRequests.Get(ctx, owner, name, number)
		if err != nil {
			t.Fatal(err)
		}
		if !p.GetMergeable() || p.GetMergeableState() != want {
			t.Errorf("mergeable %v, %q, want true and %s", p.Mergeable, p.GetMergeableState(), want)
		}
	}
	merge := func() (*github.PullRequestMergeResult, error) {
		r, _, err := st.bot.PullRequests.Merge(ctx, owner, name, number, "", &github.PullRequestOptions{SHA: head, MergeMethod: "squash"})
		return r, err
	}
	state("blocked")
	_, err := merge()
	wantError(t, err, http.StatusMethodNotAllowed, "At least 1 approving review is required")

	_, _, err = st.bot.PullRequests.CreateReview(ctx, owner, name, number, &github.PullRequestReviewRequest{Event: github.String("APPROVE")})
	wantError(t, err, http.StatusUnprocessableEntity, "Can not approve your own pull request")
	review, _, err := st.ann.PullRequests.CreateReview(ctx, owner, name, number, &github.PullRequestReviewRequest{Event: github.String("APPROVE"), CommitID: &head})
	if err != nil {
		t.Fatal(err)
	}
	if review.GetState() != "APPROVED" || review.GetCommitID() != head || review.User.GetLogin() != "ann" {
		t.Errorf("review %v", review)
	}
	_, err = merge()
	wantError(t, err, http.StatusMethodNotAllowed, `Required status check "towpath/gates" is expected.`)
	status := &github.RepoStatus{State: github.String("success"), Context: github.String("towpath/gates"), Description: github.String("4 of 4")}
	if _, _, err = st.bot.Repositories.CreateStatus(ctx, owner, name, head, status); err != nil {
		t.Fatal(err)
	}
	state("clean")

	merged, err := merge()
	if err != nil {
		t.Fatal(err)
	}
	if got := st.repo.head("main"); got != merged.GetSHA() {
		t.Errorf("main is at %s, want %s", got, merged.GetSHA())
	}
	if text, err := st.repo.git("show", "main:apps/web.yaml"); err != nil || text != "image: web:1.1.0" {
		t.Errorf("main has %q, %v", text, err)
	}
	if p, _, err = st.bot.PullRequests.Get(ctx, owner, name, number); err != nil || !p.GetMerged() || p.GetMergeCommitSHA() != merged.GetSHA() || p.MergedBy.GetLogin() != "bot" {
		t.Errorf("afterwards %v, %v", p, err)
	}
	_, err = merge()
	wantError(t, err, http.StatusMethodNotAllowed, "Pull Request is not mergeable")
}

// wantError wants GitHub's error with this status and these words.
func wantError(t *testing.T, err error, status int, words string) {
	t.Helper()
	var e *github.ErrorResponse
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %d %s", err, status, words)
	}
	if e.Response.StatusCode != status || !strings.Contains(e.Error(), words) {
		t.Errorf("got %v, want %d %s", err, status, words)
	}
}

func TestEveryMethodMerges(t *testing.T) {
	for method, want := range map[string]struct{ parents, subject, author, committer string }{
		"merge":  {"2", "Merge pull request #1 from acme/bump", "bot", "GitHub"},
		"squash": {"1", "web: image: web:1.2.0 (#1)", "bot", "GitHub"},
		"rebase": {"1", "Change bump", "bot", "GitHub"},
	} {
		t.Run(method, func(t *testing.T) {
			st := newStage(t, Options{})
			st.commit(t, "bump", map[string][]byte{"a.txt": []byte("a\n")})
			st.propose(t, "bump", "image: web:1.2.0\n")
			st.commit(t, "main", map[string][]byte{"other.txt": []byte("b\n")})
			if _, _, err := st.bot.PullRequests.Merge(context.Background(), owner, name, 1, "", &github.PullRequestOptions{MergeMethod: method}); err != nil {
				t.Fatal(err)
			}
			out, err := st.repo.git("log", "-1", "--format=%P|%s|%an|%cn", "main")
			if err != nil {
				t.Fatal(err)
			}
			f := strings.Split(out, "|")
			if got := strconv.Itoa(len(strings.Fields(f[0]))); got != want.parents || f[1] != want.subject || f[2] != want.author || f[3] != want.committer {
				t.Errorf("the commit is %q, want %v", f, want)
			}
			if files, err := st.repo.git("ls-tree", "-r", "--name-only", "main"); err != nil || files != "a.txt\napps/web.yaml\nother.txt" {
				t.Errorf("main has %q, %v", files, err)
			}
			if count, err := st.repo.git("rev-list", "--count", "main"); err != nil || count != map[string]string{"merge": "5", "squash": "3", "rebase": "4"}[method] {
				t.Errorf("main has %s commits, %v", count, err)
			}
		})
	}
}

func TestMergesThatMustNotBe(t *testing.T) {
	ctx := context.Background()
	merge := func(st *stage, o github.PullRequestOptions) error {
		_, _, err := st.bot.PullRequests.Merge(ctx, owner, name, 1, "", &o)
		return err
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, st *stage)
		options github.PullRequestOptions
		status  int
		words   string
	}{
		{"the head moved", func(t *testing.T, st *stage) {
			st.commit(t, "bump", map[string][]byte{"x": []byte("x")})
		}, github.PullRequestOptions{SHA: strings.Repeat("1", 40)}, http.StatusConflict, "Head branch was modified"},
		{"both changed the same lines", func(t *testing.T, st *stage) {
			st.commit(t, "main", map[string][]byte{"apps/web.yaml": []byte("image: web:9.9.9\n")})
		}, github.PullRequestOptions{}, http.StatusMethodNotAllowed, "Pull Request is not mergeable"},
		{"the method is not allowed", func(_ *testing.T, st *stage) {
			st.repo.Change(func(r *Repo) { r.Settings.NoSquash = true })
		}, github.PullRequestOptions{MergeMethod: "squash"}, http.StatusMethodNotAllowed, "Squash merges are not allowed on this repository."},
		{"a ruleset allows other methods", func(_ *testing.T, st *stage) {
			st.repo.Change(func(r *Repo) {
				r.Rulesets = []*Ruleset{{Name: "main", Branches: []string{"~DEFAULT_BRANCH"}, PullRequest: &ReviewRule{Methods: []string{"squash"}}}}
			})
		}, github.PullRequestOptions{MergeMethod: "rebase"}, http.StatusMethodNotAllowed, "Rebase merges are not allowed"},
		{"the branch must be up to date", func(t *testing.T, st *stage) {
			st.repo.Change(func(r *Repo) { r.Protections["main"] = &Protection{Strict: true, Checks: []Check{}} })
			st.commit(t, "main", map[string][]byte{"y": []byte("y")})
		}, github.PullRequestOptions{}, http.StatusMethodNotAllowed, "out of date"},
		{"somebody wants changes", func(t *testing.T, st *stage) {
			st.repo.Change(func(r *Repo) { r.Protections["main"] = &Protection{Reviews: &ReviewRule{}} })
			_, _, err := st.ann.PullRequests.CreateReview(ctx, owner, name, 1, &github.PullRequestReviewRequest{Event: github.String("REQUEST_CHANGES"), Body: github.String("No.")})
			if err != nil {
				t.Fatal(err)
			}
		}, github.PullRequestOptions{}, http.StatusMethodNotAllowed, "Changes have been requested"},
		{"there is a merge queue", func(_ *testing.T, st *stage) {
			st.repo.Change(func(r *Repo) {
				r.Rulesets = []*Ruleset{{Name: "main", Branches: []string{"main"}, Queue: &QueueRule{}}}
			})
		}, github.PullRequestOptions{}, http.StatusMethodNotAllowed, "merge queue"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := newStage(t, Options{})
			st.propose(t, "bump", "image: web:1.1.0\n")
			tt.prepare(t, st)
			before := st.repo.head("main")
			wantError(t, merge(st, tt.options), tt.status, tt.words)
			if after := st.repo.head("main"); after != before {
				t.Errorf("main moved from %s to %s", before, after)
			}
		})
	}
}

func TestAPushTakesBackApprovalsWhereARuleSaysSo(t *testing.T) {
	ctx := context.Background()
	st := newStage(t, Options{})
	st.repo.Change(func(r *Repo) {
		r.Protections["main"] = &Protection{Reviews: &ReviewRule{Approvals: 1, DismissStale: true}}
	})
	st.propose(t, "bump", "image: web:1.1.0\n")
	if _, _, err := st.ann.PullRequests.CreateReview(ctx, owner, name, 1, &github.PullRequestReviewRequest{Event: github.String("APPROVE")}); err != nil {
		t.Fatal(err)
	}
	head := st.commit(t, "bump", map[string][]byte{"apps/web.yaml": []byte("image: web:1.1.1\n")})
	reviews, _, err := st.bot.PullRequests.ListReviews(ctx, owner, name, 1, nil)
	if err != nil || len(reviews) != 1 || reviews[0].GetState() != "DISMISSED" || reviews[0].GetCommitID() == head {
		t.Errorf("reviews %v, %v; want one dismissed, of the old head", reviews, err)
	}
	_, _, err = st.bot.PullRequests.Merge(ctx, owner, name, 1, "", nil)
	wantError(t, err, http.StatusMethodNotAllowed, "At least 1 approving review")
}

func TestOwnersAndRequiredReviewersMustApprove(t *testing.T) {
	ctx := context.Background()
	st := newStage(t, Options{})
	carl := st.client(t, "carl")
	st.repo.Collaborator("carl", "write")
	st.Team(owner, "sre", "carl")
	st.commit(t, "main", map[string][]byte{".github/CODEOWNERS": []byte("* @ann\n/apps/ @acme/sre\n")})
	approve := func(c *github.Client) {
		t.Helper()
		if _, _, err := c.PullRequests.CreateReview(ctx, owner, name, 1, &github.PullRequestReviewRequest{Event: github.String("APPROVE")}); err != nil {
			t.Fatal(err)
		}
	}
	merge := func() error {
		_, _, err := st.bot.PullRequests.Merge(ctx, owner, name, 1, "", nil)
		return err
	}
	st.propose(t, "bump", "image: web:1.1.0\n")
	st.repo.Change(func(r *Repo) {
		r.Rulesets = []*Ruleset{{Name: "main", Branches: []string{"main"}, PullRequest: &ReviewRule{
			Approvals: 1, CodeOwners: true, Reviewers: []RequiredReviewers{{Patterns: []string{"apps/**"}, Minimum: 1, Team: "acme/sre"}},
		}}}
	})
	approve(st.ann)
	wantError(t, merge(), http.StatusMethodNotAllowed, "Waiting on code owner review. Waiting on review from acme/sre.")
	approve(carl)
	if err := merge(); err != nil {
		t.Error(err)
	}
}

func TestAPullRequestFollowsItsBranches(t *testing.T) {
	ctx := context.Background()
	st := newStage(t, Options{})
	get := func(number int) *github.PullRequest {
		t.Helper()
		p, _, err := st.bot.PullRequests.Get(ctx, owner, name, number)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	st.propose(t, "one", "image: web:1.1.0\n")
	st.propose(t, "two", "image: web:1.2.0\n")
	_, _, err := st.bot.PullRequests.Create(ctx, owner, name, &github.NewPullRequest{Title: github.String("again"), Head: github.String("one"), Base: github.String("main")})
	wantError(t, err, http.StatusUnprocessableEntity, "A pull request already exists for acme:one.")

	if _, err := st.bot.Git.DeleteRef(ctx, owner, name, "heads/one"); err != nil {
		t.Fatal(err)
	}
	if p := get(1); p.GetState() != "closed" || p.GetMerged() {
		t.Errorf("without its branch: %s, merged %v", p.GetState(), p.GetMerged())
	}
	// Somebody pushes the other to main by hand.
	if err := st.repo.setRef("refs/heads/main", st.repo.head("two"), ""); err != nil {
		t.Fatal(err)
	}
	if p := get(2); p.GetState() != "closed" || !p.GetMerged() {
		t.Errorf("pushed to its base: %s, merged %v", p.GetState(), p.GetMerged())
	}
}
