package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/github"
	"towpath.dev/towpath/test/fakegithub"
	"towpath.dev/towpath/test/githttp"
)

// verifiedWorld is a GitHub with acme/config and our clone of it.
type verifiedWorld struct {
	*fakegithub.Server
	repo *fakegithub.Repo
	git  verifiedGit
	base string
}

func newVerifiedWorld(t *testing.T) *verifiedWorld {
	t.Helper()
	dir := t.TempDir()
	wire, err := githttp.Handler(dir, githttp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &verifiedWorld{Server: fakegithub.Start(t, fakegithub.Options{Dir: dir, Git: wire, Unknown: -1})}
	if w.repo, err = w.Server.Repo("acme", "config"); err != nil {
		t.Fatal(err)
	}
	w.repo.Collaborator("bot", "write")
	w.base = w.commit(t, "main", map[string][]byte{"web.yaml": []byte("image: web:1.0.0\n"), "old.yaml": []byte("x\n")})
	token := w.User("bot")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	forge, err := github.Open(t.Context(), github.Config{URL: "https://github.com", API: w.URL, Repo: "acme/config",
		Token: func(context.Context) (string, error) { return token, nil }, Pace: time.Nanosecond, Floor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(forge.Disconnect)
	repo, err := gitrepo.Open(t.Context(), gitrepo.Config{URL: w.Web + "/acme/config.git", Dir: t.TempDir(), Branch: "main", Auth: gitrepo.Auth{PasswordFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = repo.Close() })
	w.git = verifiedGit{Repo: repo, forge: forge}
	return w
}

func (w *verifiedWorld) commit(t *testing.T, branch string, files map[string][]byte) string {
	t.Helper()
	sha, err := w.repo.Commit("ann", branch, "change", files)
	if err != nil {
		t.Fatal(err)
	}
	return sha
}

// run runs git in the server's repository.
func (w *verifiedWorld) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = w.repo.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *verifiedWorld) branches(t *testing.T) string {
	t.Helper()
	return strings.ReplaceAll(w.run(t, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"), "\n", " ")
}

const ourBranch = "towpath/prod/web"

func bump(parent, version string) gitrepo.Change {
	return gitrepo.Change{Parent: parent, Message: "web: " + version + "\n\nWhy.\n\nTowpath-Environment: prod\nTowpath-Content: sha256:" + version + "\n",
		Files: map[string][]byte{"web.yaml": []byte("image: web:" + version + "\n"), "old.yaml": nil, "sub/empty.yaml": {}}}
}

// publish wants the commit to be GitHub's, to be as asked for, and nothing to be left.
func (w *verifiedWorld) publish(t *testing.T, c gitrepo.Change, branch, old string) gitrepo.Commit {
	t.Helper()
	made, err := w.git.Publish(t.Context(), c, "refs/heads/"+branch, old)
	if err != nil {
		t.Fatal(err)
	}
	if at := w.run(t, "rev-parse", branch); at != made.Hash {
		t.Errorf("%s is at %s, want %s", branch, at, made.Hash)
	}
	if d := cmp.Diff(strings.TrimSpace(c.Message), w.run(t, "log", "-1", "--format=%B", made.Hash)); d != "" {
		t.Errorf("message: %s", d)
	}
	if got := w.run(t, "log", "-1", "--format=%an, %cn <%ce>, on %P", made.Hash); got != "bot, GitHub <noreply@github.com>, on "+c.Parent {
		t.Errorf("the commit is by %s", got)
	}
	if !w.git.ours(made) {
		t.Error("the commit is not taken for ours")
	}
	if left := w.branches(t); strings.Contains(left, madePrefix) {
		t.Errorf("left: %s", left)
	}
	return made
}

func TestGitHubMakesTheCommitOfAProposal(t *testing.T) {
	w := newVerifiedWorld(t)
	made := w.publish(t, bump(w.base, "1.1.0"), ourBranch, "")
	if files := w.run(t, "ls-tree", "-r", "--name-only", made.Hash); files != "sub/empty.yaml\nweb.yaml" {
		t.Errorf("files: %q", files)
	}
	if head, err := w.git.Refs("refs/heads/towpath/"); err != nil || head["refs/heads/"+ourBranch] != made.Hash {
		t.Errorf("the clone has %v, %v", head, err)
	}
}

func TestAPullRequestStaysOpenWhileItsBranchIsRebuilt(t *testing.T) {
	w := newVerifiedWorld(t)
	first := w.publish(t, bump(w.base, "1.1.0"), ourBranch, "")
	pull, err := w.git.forge.Ensure(t.Context(), pr.Request{Branch: ourBranch, Base: "main", Head: first.Hash, Title: "web 1.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	base := w.commit(t, "main", map[string][]byte{"other.yaml": []byte("y\n")})
	if err := w.git.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := w.publish(t, bump(base, "1.2.0"), ourBranch, first.Hash)
	got, err := w.git.forge.Get(t.Context(), pull.Number)
	if err != nil || !got.Open || got.Head != second.Hash {
		t.Errorf("open %v at %s, %v; want open at %s", got.Open, got.Head, err, second.Hash)
	}
}

func TestTheBaseBranchGetsItsCommitFromGitHub(t *testing.T) {
	w := newVerifiedWorld(t)
	one := w.publish(t, bump(w.base, "1.1.0"), "main", w.base)
	two := w.publish(t, gitrepo.Change{Parent: one.Hash, Message: "again\n\nTowpath-Content: x\n", Files: map[string][]byte{"web.yaml": []byte("image: web:1.2.0\n")}}, "main", one.Hash)
	if _, err := w.git.Publish(t.Context(), gitrepo.Change{Parent: two.Hash, Message: "same", Files: map[string][]byte{"web.yaml": []byte("image: web:1.2.0\n")}}, "refs/heads/main", two.Hash); err != nil {
		t.Errorf("no change: %v", err)
	}
	if at := w.run(t, "rev-parse", "main"); at != two.Hash {
		t.Errorf("a change that changes nothing made %s", at)
	}
}

func TestALostRaceMovesNothing(t *testing.T) {
	w := newVerifiedWorld(t)
	first := w.publish(t, bump(w.base, "1.1.0"), ourBranch, "")
	for name, old := range map[string]string{"absent": "", "elsewhere": w.base} {
		if _, err := w.git.Publish(t.Context(), bump(w.base, "1.2.0"), "refs/heads/"+ourBranch, old); !errors.Is(err, gitrepo.ErrStale) {
			t.Errorf("expected %s: %v, want ErrStale", name, err)
		}
	}
	if at, left := w.run(t, "rev-parse", ourBranch), w.branches(t); at != first.Hash || left != "main "+ourBranch {
		t.Errorf("at %s with %s", at, left)
	}
}

func TestWhatWasLeftBehindIsUsedAgain(t *testing.T) {
	w := newVerifiedWorld(t)
	w.commit(t, madePrefix+ourBranch, map[string][]byte{"junk": []byte("left")})
	if err := w.git.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.git.Bring(t.Context(), headsPrefix+madePrefix+ourBranch); err != nil {
		t.Fatal(err)
	}
	w.publish(t, bump(w.base, "1.1.0"), ourBranch, "")
}

func TestLostAnswersOfGitHubLeaveNoWrongCommit(t *testing.T) {
	for name, c := range map[string]struct {
		fault fakegithub.Fault
		left  bool // by an attempt before
	}{
		"the branch was made":      {fakegithub.Fault{Method: http.MethodPost, Path: "/repos/acme/config/git/refs", Times: 1, Lost: true}, false},
		"the commit was made":      {fakegithub.Fault{Path: "/graphql", Times: 1, Lost: true}, false},
		"the commit was not made":  {fakegithub.Fault{Path: "/graphql", Times: 1, Cut: true}, false},
		"a front server answered":  {fakegithub.Fault{Path: "/graphql", Times: 1, LostAs: http.StatusBadGateway}, false},
		"the branch was not moved": {fakegithub.Fault{Method: http.MethodPatch, Times: 1, Cut: true}, true},
		"the branch was moved":     {fakegithub.Fault{Method: http.MethodPatch, Times: 1, Lost: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newVerifiedWorld(t)
			if c.left {
				w.commit(t, madePrefix+ourBranch, map[string][]byte{"x": []byte("left")})
			}
			w.Inject(c.fault)
			if _, err := w.git.Publish(t.Context(), bump(w.base, "1.1.0"), "refs/heads/"+ourBranch, ""); err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(" "+w.branches(t)+" ", " "+ourBranch+" ") {
				t.Error("the branch is there")
			}
			w.publish(t, bump(w.base, "1.1.0"), ourBranch, "")
		})
	}
}

func TestWhatGitHubCannotCommitIsRefusedBefore(t *testing.T) {
	w := newVerifiedWorld(t)
	blob := w.run(t, "rev-parse", "main:web.yaml")
	tree := w.tree(t, "100755 blob "+blob+"\trun.sh\n120000 blob "+blob+"\tlink\n100644 blob "+blob+"\tweb.yaml\n")
	head := w.run(t, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit-tree", "-p", w.base, "-m", "modes", tree)
	w.run(t, "update-ref", "refs/heads/main", head)
	if err := w.git.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change gitrepo.Change
		want   string
	}{
		"executable": {gitrepo.Change{Parent: head, Message: "m", Files: map[string][]byte{"run.sh": []byte("x")}}, "run.sh is executable"},
		"a link":     {gitrepo.Change{Parent: w.base, Message: "m", Copy: map[string]string{"link": head}}, "link is no plain file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.git.Publish(t.Context(), c.change, "refs/heads/"+ourBranch, "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left := w.branches(t); left != "main" {
				t.Errorf("branches: %s", left)
			}
		})
	}
	made, err := w.git.Publish(t.Context(), gitrepo.Change{Parent: head, Message: "m", Files: map[string][]byte{"run.sh": nil, "web.yaml": []byte("x\n")}}, "refs/heads/"+ourBranch, "")
	if err != nil || w.run(t, "ls-tree", "--name-only", made.Hash) != "link\nweb.yaml" {
		t.Errorf("what goes may have been executable: %v", err)
	}
}

func (w *verifiedWorld) tree(t *testing.T, lines string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "mktree")
	cmd.Dir, cmd.Stdin = w.repo.Dir, strings.NewReader(lines)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestAProtectedBranchIsNoLostRace(t *testing.T) {
	w := newVerifiedWorld(t)
	w.repo.Change(func(r *fakegithub.Repo) {
		r.Rulesets = []*fakegithub.Ruleset{{Name: "x", Branches: []string{"main"}, PullRequest: &fakegithub.ReviewRule{Approvals: 1}}}
	})
	_, err := w.git.Publish(t.Context(), bump(w.base, "1.1.0"), "refs/heads/main", w.base)
	if !errors.Is(err, gitrepo.ErrRejected) || errors.Is(err, gitrepo.ErrStale) || !strings.Contains(err.Error(), "through a pull request") {
		t.Errorf("got %v, want ErrRejected", err)
	}
	if at, left := w.run(t, "rev-parse", "main"), w.branches(t); at != w.base || left != "main" {
		t.Errorf("main is at %s; %s", at, left)
	}
}

func TestCommitsOfPeopleAreNotOurs(t *testing.T) {
	w := newVerifiedWorld(t)
	const trailers = "web: 1\n\nTowpath-Content: x\n"
	us := gitrepo.Identity{Name: "bot", Email: "4+bot@users.noreply.github.com"}
	github := gitrepo.Identity{Name: "GitHub", Email: "noreply@github.com"}
	for name, c := range map[string]struct {
		commit gitrepo.Commit
		want   bool
	}{
		"GitHub's for us":             {gitrepo.Commit{Author: us, Committer: github, Message: trailers}, true},
		"without a number":            {gitrepo.Commit{Author: gitrepo.Identity{Email: "Bot@users.noreply.github.com"}, Committer: github, Message: trailers}, true},
		"edited on GitHub's pages":    {gitrepo.Commit{Author: us, Committer: github, Message: "Update web.yaml"}, false},
		"GitHub's for somebody else":  {gitrepo.Commit{Author: gitrepo.Identity{Email: "5+ann@users.noreply.github.com"}, Committer: github, Message: trailers}, false},
		"pushed by somebody as us":    {gitrepo.Commit{Author: us, Committer: gitrepo.Identity{Email: "ann@example.com"}, Message: trailers}, false},
		"a name that ends as ours":    {gitrepo.Commit{Author: gitrepo.Identity{Email: "4+robot@users.noreply.github.com"}, Committer: github, Message: trailers}, false},
		"an address of another place": {gitrepo.Commit{Author: gitrepo.Identity{Email: "4+bot@example.com"}, Committer: github, Message: trailers}, false},
		"no address":                  {gitrepo.Commit{Message: trailers}, false},
		"one that we pushed":          {gitrepo.Commit{Author: w.git.Author(), Committer: w.git.Author(), Message: "m"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if w.git.ours(c.commit) != c.want {
				t.Errorf("ours: %v, want %v", !c.want, c.want)
			}
		})
	}
}
