package fakegithub

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"
	"go.uber.org/goleak"

	"towpath.dev/towpath/test/githttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clone is a clone over HTTP with somebody's token, and a function that runs git in it.
func (st *stage) clone(t *testing.T, login string) func(args ...string) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = filepath.Dir(dir)
		if _, err := os.Stat(dir); err == nil {
			cmd.Dir = dir
		}
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
			"GIT_AUTHOR_NAME=x", "GIT_AUTHOR_EMAIL=x@example.com", "GIT_COMMITTER_NAME=x", "GIT_COMMITTER_EMAIL=x@example.com")
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	url := strings.Replace(st.Web, "http://", "http://x:"+st.User(login)+"@", 1) + "/acme/config.git"
	if out, err := run("clone", "--quiet", url, dir); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	return run
}

func TestGitPushesWithTheTokensOfTheInterface(t *testing.T) {
	dir := t.TempDir()
	wire, err := githttp.Handler(dir, githttp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st := newStage(t, Options{Dir: dir, Git: wire, Unknown: -1})
	st.repo.Change(func(r *Repo) {
		r.Protections["main"] = &Protection{Reviews: &ReviewRule{Approvals: 1, DismissStale: true}}
	})
	st.propose(t, "bump", "image: web:1.1.0\n")
	if _, _, err := st.ann.PullRequests.CreateReview(context.Background(), owner, name, 1, &github.PullRequestReviewRequest{Event: github.String("APPROVE")}); err != nil {
		t.Fatal(err)
	}
	git := st.clone(t, "bot")
	for _, args := range [][]string{{"checkout", "--quiet", "bump"}, {"commit", "--quiet", "--allow-empty", "-m", "More"}, {"push", "--quiet", "origin", "bump"}} {
		if out, err := git(args...); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	head, err := git("rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	bot := st.as(t, "bot")
	wantAt(t, bot.do(200, "GET", "pulls/1", nil), head, "head", "sha")
	wantAt(t, bot.do(200, "GET", "pulls/1/reviews", nil), "DISMISSED", 0, "state")

	before := st.repo.head("main")
	if out, err := git("push", "origin", "bump:main"); err == nil || !strings.Contains(out, "Changes must be made through a pull request.") {
		t.Errorf("a push past the pull request: %v\n%s", err, out)
	}
	st.repo.Collaborator("reader", "read")
	read := st.clone(t, "reader")
	if out, err := read("push", "origin", "HEAD:refs/heads/new"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("a push of a reader: %v\n%s", err, out)
	}
	if st.repo.head("main") != before || st.repo.head("new") != "" {
		t.Error("what was refused was taken")
	}
	if status, _, _ := get(t, http.DefaultClient, "", "GET", st.Web+"/acme/config.git/info/refs?service=git-upload-pack", ""); status != 401 {
		t.Errorf("without a token: %d, want 401", status)
	}
}

func TestAnEnterpriseServerHasOtherPaths(t *testing.T) {
	st := newStage(t, Options{Enterprise: true})
	p := st.propose(t, "bump", "image: web:1.1.0\n")
	if !strings.HasPrefix(p.GetURL(), st.Web+"/api/v3/repos/") {
		t.Errorf("url %s", p.GetURL())
	}
	ann := st.as(t, "ann")
	if status, _, body := get(t, ann.http, ann.token, "POST", st.GraphQL(), `{"query":"{ viewer { login } }"}`); status != 200 || !strings.Contains(body, `"ann"`) {
		t.Errorf("GraphQL: %d %s", status, body)
	}
	if status, _, _ := get(t, http.DefaultClient, ann.token, "GET", st.Web+"/user", ""); status != 404 {
		t.Errorf("the paths of github.com: %d, want 404", status)
	}
}
