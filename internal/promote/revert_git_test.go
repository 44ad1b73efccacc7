package promote_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
)

// setTag makes a person's commit that changes the tag of web in an environment.
func (l *line) setTag(env, from, to string) string {
	l.t.Helper()
	path := "envs/" + env + "/web/deployment.yaml"
	l.commit("by hand\n", map[string][]byte{path: []byte(strings.ReplaceAll(l.file(l.head(), path), "web:"+from, "web:"+to))})
	return l.head()
}

// held returns why web waits in an environment.
func (l *line) held(env string) string {
	l.t.Helper()
	for _, m := range l.tick().Plan.Waiting {
		if m.Key() == env+"/web" {
			return strings.Join(m.Hold, "; ")
		}
	}
	return ""
}

func (l *line) mustHold(env, commit, from, to string) {
	l.t.Helper()
	head := l.head()
	want := from + " was in " + env + " until commit " + commit[:12] + " took it back to " + to
	if got := l.held(env); !strings.HasPrefix(got, want) {
		l.t.Errorf("%s waits because %q, want %q…", env, got, want)
	}
	if l.head() != head {
		l.t.Errorf("the person was undone: %s", l.versions("web"))
	}
}

// TestAPersonsRevertHolds takes back what the bot wrote, in an environment that
// is pushed to and in one behind a pull request: the bot leaves it so until there
// is something newer.
func TestAPersonsRevertHolds(t *testing.T) {
	for _, env := range []string{"dev", "staging"} {
		t.Run(env, func(t *testing.T) {
			l := newLine(t, nil)
			l.push("1.1.0")
			l.settle()
			if got := l.versions("web"); got != "1.1.0 1.1.0 1.0.0" {
				t.Fatal(got)
			}
			path := "envs/" + env + "/web/deployment.yaml"
			l.commit("this breaks checkout\n", map[string][]byte{path: []byte(strings.ReplaceAll(l.file(l.head(), path), "web:1.1.0", "web:1.0.0"))})
			reverted := l.head()
			l.settle()
			if l.versions("web"); l.head() != reverted {
				t.Errorf("the person was undone: %s", l.versions("web"))
			}
			var why []string
			for _, m := range l.tick().Plan.Waiting {
				if m.Env.Name == env {
					why = m.Hold
				}
			}
			if got := strings.Join(why, "; "); !strings.Contains(got, "1.1.0 was in "+env+" until commit "+reverted[:12]+" took it back to 1.0.0; it waits for something newer than 1.1.0") {
				t.Errorf("%s waits because %q", env, got)
			}
			l.push("1.1.1")
			l.settle()
			if got := l.versions("web"); got != "1.1.1 1.1.1 1.0.0" {
				t.Errorf("something newer: %s", got)
			}
		})
	}
}

func TestARevertHoldsAlsoWhenItIsNotTheLastThingThatTowpathWrote(t *testing.T) {
	l := newLine(t, nil)
	for _, tag := range []string{"1.1.0", "1.2.0"} {
		l.push(tag)
		l.settle()
	}
	reverted := l.setTag("dev", "1.2.0", "1.1.0")
	again := l.setTag("dev", "1.1.0", "1.0.0")
	l.mustHold("dev", reverted, "1.2.0", "1.1.0")
	if err := l.reg.Delete("shop/web", "1.2.0"); err != nil { // 1.1.0 is the best one now
		t.Fatal(err)
	}
	l.mustHold("dev", again, "1.1.0", "1.0.0")
	if err := l.reg.PushAll("shop/web", "1.2.1"); err != nil {
		t.Fatal(err)
	}
	l.settle()
	if got := l.versions("web"); !strings.HasPrefix(got, "1.2.1 ") {
		t.Errorf("something newer: %s", got)
	}
}

func TestARevertOfARevertReleases(t *testing.T) {
	l := newLine(t, nil)
	l.push("1.1.0")
	l.settle()
	reverted := l.setTag("staging", "1.1.0", "1.0.0")
	l.reportGreen()
	l.mustHold("staging", reverted, "1.1.0", "1.0.0")
	l.setTag("staging", "1.0.0", "1.1.0")
	l.settle()
	if why := l.held("staging"); why != "" {
		t.Errorf("staging waits: %s", why)
	}
	l.push("1.2.0")
	l.settle()
	if got := l.versions("web"); got != "1.2.0 1.2.0 1.0.0" {
		t.Errorf("the next version: %s", got)
	}
}

func TestAPolicyNarrowedBelowARevertedVersionMovesOn(t *testing.T) {
	l := newLine(t, nil)
	if err := l.reg.PushAll("shop/web", "1.1.0", "1.2.0"); err != nil {
		t.Fatal(err)
	}
	l.settle()
	reverted := l.setTag("dev", "1.2.0", "1.0.0")
	l.mustHold("dev", reverted, "1.2.0", "1.0.0")
	l.commit("1.1 only\n", map[string][]byte{"policies/web.yaml": []byte(strings.ReplaceAll(l.file(l.head(), "policies/web.yaml"), `"1.x"`, `"~1.1"`))})
	l.settle()
	if got := l.versions("web"); !strings.HasPrefix(got, "1.1.0 ") {
		t.Errorf("versions %s", got)
	}
}

func TestARevertByDeletingTheFileAndAddingItAgain(t *testing.T) {
	l := newLine(t, nil)
	l.push("1.1.0")
	l.settle()
	const path = "envs/dev/web/deployment.yaml"
	text := l.file(l.head(), path)
	l.commit("away\n", map[string][]byte{path: nil})
	l.tick()
	l.commit("back\n", map[string][]byte{path: []byte(strings.ReplaceAll(text, "web:1.1.0", "web:1.0.0"))})
	l.mustHold("dev", l.head(), "1.1.0", "1.0.0")
}

func TestOfTwoAppsOneRevertHoldsOne(t *testing.T) {
	l := newLine(t, nil)
	if err := l.reg.PushAll("shop/api", "1.0.1"); err != nil {
		t.Fatal(err)
	}
	l.push("1.1.0")
	l.settle()
	reverted := l.setTag("dev", "1.1.0", "1.0.0")
	if err := l.reg.PushAll("shop/api", "1.0.2"); err != nil {
		t.Fatal(err)
	}
	l.settle()
	if got := l.versions("api"); !strings.HasPrefix(got, "1.0.2 ") {
		t.Errorf("api %s", got)
	}
	l.mustHold("dev", reverted, "1.1.0", "1.0.0")
}

// TestAPersonsMergeCountsAtTheMergeCommit merges a branch that takes a version
// back: the commits on the branch are not on the line of first parents.
func TestAPersonsMergeCountsAtTheMergeCommit(t *testing.T) {
	l := newLine(t, nil)
	l.push("1.1.0")
	l.settle()
	work := filepath.Join(t.TempDir(), "work")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", work, "-c", "user.name=alice", "-c", "user.email=alice@example.com"}, args...)...)
		if args[0] == "clone" {
			cmd = exec.Command("git", args...)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("clone", "-q", l.url, work)
	git("checkout", "-q", "-b", "back")
	// The quoted trailers of what is reverted do not make it ours.
	git("revert", "--no-commit", "main")
	git("commit", "-q", "-m", "Revert \"staging: web\"\n\n"+l.message())
	git("checkout", "-q", "main")
	git("merge", "-q", "--no-ff", "-m", "Merge branch back", "back")
	git("push", "-q", "origin", "main")
	l.reportGreen()
	l.now = l.now.Add(1e9)
	if got := l.versions("web"); got != "1.1.0 1.0.0 1.0.0" {
		t.Fatal(got)
	}
	l.reportGreen()
	l.mustHold("staging", l.head(), "1.1.0", "1.0.0")
}

// message is that of the head.
func (l *line) message() string {
	l.t.Helper()
	c, err := l.git.ReadCommit(l.head())
	if err != nil {
		l.t.Fatal(err)
	}
	return c.Message
}

// countedGit counts what is read of the history.
type countedGit struct {
	*gitrepo.Repo
	commits, snapshots int
}

func (g *countedGit) ReadCommit(hash string) (gitrepo.Commit, error) {
	g.commits++
	return g.Repo.ReadCommit(hash)
}

func (g *countedGit) Snapshot(hash string) (gitrepo.Snapshot, error) {
	g.snapshots++
	return g.Repo.Snapshot(hash)
}

func TestTheHistoryIsReadOnlyWhenSomethingWouldMoveAndEachCommitOnce(t *testing.T) {
	l := newLine(t, nil)
	for range 30 {
		l.commit("by hand\n", map[string][]byte{"README.md": []byte(l.head())})
	}
	l.settle()
	git := &countedGit{Repo: l.git}
	bot := promote.New(promote.Config{Git: git, Forge: local.New(local.Config{Git: l.git, User: "towpath", Now: l.clock}), Author: l.git.Author(), Now: l.clock,
		Scanner: l.scanner(nil)})
	read := func() (commits, snapshots int) {
		t.Helper()
		git.commits, git.snapshots = 0, 0
		if _, err := bot.Look(context.Background()); err != nil {
			t.Fatal(err)
		}
		return git.commits, git.snapshots
	}
	if c, s := read(); c != 0 || s != 1 {
		t.Errorf("nothing would move, but %d commits and %d trees were read", c, s)
	}
	l.push("1.1.0")
	if c, s := read(); c != 31 || s != 31 {
		t.Errorf("something would move: %d commits and %d trees were read, want each of 31 once, the head's tree being known", c, s)
	}
	if c, s := read(); c != 0 || s != 0 {
		t.Errorf("the head is as before, but %d commits and %d trees were read", c, s)
	}
	l.commit("by hand\n", map[string][]byte{"README.md": []byte("x")})
	if c, s := read(); c != 1 || s != 2 {
		t.Errorf("one new commit: %d commits and %d trees were read", c, s)
	}
}
