package gitea_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/test/gitea"
)

// team is an organization's repository whose branch main wants an approval and a check.
type team struct {
	s                *gitea.Server
	author, reviewer gitea.User
}

const (
	owner = "acme"
	name  = "config"
	repo  = owner + "/" + name
	check = "gate"
)

func newTeam(t *testing.T) team {
	t.Helper()
	ctx := t.Context()
	tm := team{s: gitea.Start(t)}
	tm.author, tm.reviewer = user(t, tm.s, "author"), user(t, tm.s, "reviewer")
	must(t, tm.s.NewOrganization(ctx, owner, tm.s.Admin))
	must(t, tm.s.NewRepository(ctx, repo, gitea.Files{"web.yaml": "tag: 1.0.0\n", "db.yaml": "tag: 5\n"}))
	must(t, tm.s.AddCollaborator(ctx, repo, tm.author, gitea.Write))
	must(t, tm.s.AddCollaborator(ctx, repo, tm.reviewer, gitea.Write))
	must(t, tm.s.Protect(ctx, repo, gitea.Protection{Branch: "main", Approvals: 1, Checks: []string{check}, BindsAdmins: true}))
	return tm
}

// open pushes a branch with a change and opens a pull request of it.
func (tm team) open(t *testing.T, branch string, files gitea.Files) *sdk.PullRequest {
	t.Helper()
	_, err := tm.s.Commit(t.Context(), repo, tm.author, gitea.Change{Branch: branch, From: "main", Files: files})
	must(t, err)
	pull, _, err := client(t, tm.s, tm.author).CreatePullRequest(owner, name, sdk.CreatePullRequestOption{Head: branch, Base: "main", Title: branch})
	must(t, err)
	return pull
}

// later is what Gitea answers to a merge while it looks for conflicts: when a pull request is opened or
// pushed to, and after a merge that failed.
const later = "Please try again later"

// refused fails the test unless a merge of the head is refused with a status and a reason. The vendor's
// client keeps the reason to itself.
func (tm team) refused(t *testing.T, by gitea.User, index int64, head string, status int, why string) {
	t.Helper()
	var got int
	var said string
	eventually(t, func() string {
		got, said = tm.merge(t, by, index, sdk.MergePullRequestOption{Style: sdk.MergeStyleMerge, HeadCommitId: head})
		if strings.Contains(said, later) {
			return said
		}
		return ""
	})
	if got != status || !strings.Contains(said, why) {
		t.Fatalf("a merge by %s: %d: %s, want %d: %s", by.Name, got, said, status, why)
	}
}

func (tm team) merge(t *testing.T, by gitea.User, index int64, o sdk.MergePullRequestOption) (status int, said string) {
	t.Helper()
	body, err := json.Marshal(o)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("%s/api/v1/repos/%s/pulls/%d/merge", tm.s.URL, repo, index), bytes.NewReader(body))
	must(t, err)
	req.Header.Set("Authorization", "token "+by.Token)
	req.Header.Set("Content-Type", "application/json")
	return do(t, req)
}

// get asks for a page as a stranger.
func get(t *testing.T, page string) (status int, said string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, http.NoBody)
	must(t, err)
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (status int, said string) {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(raw)
}

func TestAPullRequestIsMergedOnceItIsApprovedAndChecked(t *testing.T) {
	tm := newTeam(t)
	author, reviewer := client(t, tm.s, tm.author), client(t, tm.s, tm.reviewer)
	_, err := tm.s.Commit(t.Context(), repo, tm.author, gitea.Change{From: "main", Files: gitea.Files{"web.yaml": "tag: 1.0.1\n"}})
	if err == nil || !strings.Contains(err.Error(), "protected branch") {
		t.Errorf("a push to the protected branch: %v", err)
	}
	pull := tm.open(t, "promote/prod/web", gitea.Files{"web.yaml": "tag: 1.0.1\n"})
	head := pull.Head.Sha
	tm.refused(t, tm.author, pull.Index, head, http.StatusMethodNotAllowed, "status checks")
	_, _, err = author.CreateStatus(owner, name, head, sdk.CreateStatusOption{State: sdk.StatusSuccess, Context: check})
	must(t, err)
	tm.refused(t, tm.author, pull.Index, head, http.StatusMethodNotAllowed, "approvals")
	tm.refused(t, tm.s.Admin, pull.Index, head, http.StatusMethodNotAllowed, "approvals")

	approve := sdk.CreatePullReviewOptions{State: sdk.ReviewStateApproved, CommitID: head}
	if _, resp, err := author.CreatePullReview(owner, name, pull.Index, approve); err == nil || resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("the author approves his own: %v", err)
	}
	review, _, err := reviewer.CreatePullReview(owner, name, pull.Index, approve)
	must(t, err)
	if review.State != sdk.ReviewStateApproved || !review.Official || review.CommitID != head {
		t.Errorf("review %+v", review)
	}
	tm.refused(t, tm.author, pull.Index, strings.Repeat("0", len(head)), http.StatusConflict, "head")
	eventually(t, func() string {
		merged, resp, err := author.MergePullRequest(owner, name, pull.Index, sdk.MergePullRequestOption{Style: sdk.MergeStyleSquash, Title: "promote web", HeadCommitId: head})
		if merged {
			return ""
		}
		if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
			t.Fatalf("not merged: %s, %v", resp.Status, err)
		}
		return "refused"
	})
	pull, _, err = author.GetPullRequest(owner, name, pull.Index)
	must(t, err)
	if !pull.HasMerged || pull.MergedBy == nil || pull.MergedBy.UserName != tm.author.Name || pull.MergedCommitID == nil {
		t.Errorf("the merged pull request is %+v", pull)
	}
	if code, page := get(t, pull.HTMLURL); code != http.StatusOK || !strings.Contains(page, "promote/prod/web") {
		t.Errorf("the pull request's page: %d: %s", code, page)
	}
	for file, want := range map[string]string{"web.yaml": "tag: 1.0.1\n", "db.yaml": "tag: 5\n"} {
		if raw, _, err := author.GetFile(owner, name, "main", file); err != nil || string(raw) != want {
			t.Errorf("%s on main is %q, %v", file, raw, err)
		}
	}
}

func TestAPushDismissesApprovalsWhereAsked(t *testing.T) {
	tm := newTeam(t)
	ctx := t.Context()
	_, err := tm.s.Commit(ctx, repo, tm.author, gitea.Change{Branch: "staging", From: "main"})
	must(t, err)
	must(t, tm.s.Protect(ctx, repo, gitea.Protection{Branch: "staging", Approvals: 1, DismissStale: true}))
	_, err = tm.s.Commit(ctx, repo, tm.author, gitea.Change{Branch: "next", From: "staging", Files: gitea.Files{"a": "1"}})
	must(t, err)
	pull, _, err := client(t, tm.s, tm.author).CreatePullRequest(owner, name, sdk.CreatePullRequestOption{Head: "next", Base: "staging", Title: "next"})
	must(t, err)
	reviewer := client(t, tm.s, tm.reviewer)
	_, _, err = reviewer.CreatePullReview(owner, name, pull.Index, sdk.CreatePullReviewOptions{State: sdk.ReviewStateApproved})
	must(t, err)
	head, err := tm.s.Commit(ctx, repo, tm.author, gitea.Change{Branch: "next", From: "next", Files: gitea.Files{"a": "2"}})
	must(t, err)
	eventually(t, func() string {
		reviews, _, err := reviewer.ListPullReviews(owner, name, pull.Index, sdk.ListPullReviewsOptions{})
		must(t, err)
		if len(reviews) != 1 || !reviews[0].Dismissed {
			return "the approval still counts"
		}
		return ""
	})
	tm.refused(t, tm.author, pull.Index, head, http.StatusMethodNotAllowed, "approvals")
}

func TestPushesAreForThoseWhoMay(t *testing.T) {
	s := gitea.Start(t)
	ctx := t.Context()
	const repo = "boss/config"
	boss, bot, writer, reader := user(t, s, "boss"), user(t, s, "bot"), user(t, s, "writer"), user(t, s, "reader")
	must(t, s.NewRepository(ctx, repo, gitea.Files{"a": "1", "b": "1"}))
	must(t, s.AddCollaborator(ctx, repo, bot, gitea.Write))
	must(t, s.AddCollaborator(ctx, repo, writer, gitea.Write))
	must(t, s.AddCollaborator(ctx, repo, reader, gitea.Read))
	must(t, s.Protect(ctx, repo, gitea.Protection{Branch: "main", Pushers: []string{bot.Name}}))
	for _, tc := range []struct {
		name   string
		by     gitea.User
		change gitea.Change
		why    string // "" when it succeeds
	}{
		{"who is named pushes to the protected branch", bot, gitea.Change{From: "main", Files: gitea.Files{"a": "2"}, Delete: []string{"b"}}, ""},
		{"but not by force", bot, gitea.Change{Files: gitea.Files{"a": "3"}, Force: true}, "force push"},
		{"another may not", writer, gitea.Change{From: "main", Files: gitea.Files{"a": "4"}}, "protected branch"},
		{"nor the owner", boss, gitea.Change{From: "main", Files: gitea.Files{"a": "4"}}, "protected branch"},
		{"to another branch he may", writer, gitea.Change{Branch: "else", From: "main", Files: gitea.Files{"a": "4"}}, ""},
		{"and by force, too", writer, gitea.Change{Branch: "else", Files: gitea.Files{"a": "5"}, Force: true}, ""},
		{"a reader may not push", reader, gitea.Change{Branch: "mine", From: "main", Files: gitea.Files{"a": "6"}}, "permission denied"},
		{"nor who has no right token", gitea.User{Name: boss.Name, Token: "wrong"}, gitea.Change{Branch: "mine", Files: gitea.Files{"a": "6"}}, "could not read Username"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hash, err := s.Commit(ctx, repo, tc.by, tc.change)
			switch {
			case tc.why == "" && (err != nil || len(hash) != 40):
				t.Errorf("%q, %v", hash, err)
			case tc.why != "" && (err == nil || !strings.Contains(err.Error(), tc.why)):
				t.Errorf("want %q, got %v", tc.why, err)
			}
			if err != nil && strings.Contains(err.Error(), boss.Token) {
				t.Error("the error has the token")
			}
		})
	}
	c := client(t, s, boss)
	if raw, _, err := c.GetFile("boss", "config", "main", "a"); err != nil || string(raw) != "2" {
		t.Errorf("a on main is %q, %v", raw, err)
	}
	if _, resp, err := c.GetFile("boss", "config", "main", "b"); err == nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("b on main: %v", err)
	}
}

func TestWebhooksAreSigned(t *testing.T) {
	type delivery struct {
		event, signature string
		body             []byte
	}
	got := make(chan delivery, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- delivery{r.Header.Get("X-Gitea-Event"), r.Header.Get("X-Gitea-Signature"), body}
	}))
	t.Cleanup(receiver.Close)
	s := gitea.Start(t)
	ctx := t.Context()
	u := user(t, s, "bot")
	const repo, secret = "bot/config", "hook-canary"
	must(t, s.NewRepository(ctx, repo, gitea.Files{"a": "1"}))
	must(t, s.AddWebhook(ctx, repo, receiver.URL, secret, "push"))
	hash, err := s.Commit(ctx, repo, u, gitea.Change{Branch: "next", From: "main", Files: gitea.Files{"a": "2"}})
	must(t, err)
	var push struct {
		Ref, After string
		Repository struct {
			CloneURL string `json:"clone_url"`
		}
	}
	// The first commit's push may be told, too: Gitea looks for webhooks a while after it.
	for push.Ref != "refs/heads/next" {
		d := <-got
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(d.body)
		if want := hex.EncodeToString(mac.Sum(nil)); d.event != "push" || d.signature != want {
			t.Errorf("event %q, signature %q, want push, %q", d.event, d.signature, want)
		}
		must(t, json.Unmarshal(d.body, &push))
	}
	if push.After != hash || push.Repository.CloneURL != s.CloneURL(repo) {
		t.Errorf("push %+v", push)
	}
}
