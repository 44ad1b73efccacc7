package bigrepo_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"towpath.dev/towpath/test/bigrepo"
)

func TestARepositoryHasItsShapeAndIsTheSameEveryTime(t *testing.T) {
	var heads []string
	for range 2 {
		dir := filepath.Join(t.TempDir(), "big.git")
		if err := bigrepo.Make(t.Context(), dir, bigrepo.Shape{Files: 450, Commits: 50, Branches: 7}); err != nil {
			t.Fatal(err)
		}
		git := func(args ...string) string {
			cmd := exec.Command("git", args...)
			cmd.Dir = dir
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("git %v: %v", args, err)
			}
			return strings.TrimSpace(string(out))
		}
		if got := git("rev-list", "--count", "main"); got != "50" {
			t.Errorf("%s commits", got)
		}
		names := strings.Split(git("ls-tree", "-r", "--name-only", "main"), "\n")
		if len(names) != 450 || names[0] != bigrepo.Path(0) {
			t.Errorf("%d files, the first is %s", len(names), names[0])
		}
		refs := git("for-each-ref", "--format=%(objectname) %(refname)")
		if n := strings.Count(refs, "refs/heads/people/"); n != 7 {
			t.Errorf("%s branches of people", strconv.Itoa(n))
		}
		git("fsck", "--strict")
		heads = append(heads, refs)
	}
	if heads[0] != heads[1] {
		t.Errorf("two repositories differ:\n%s\n%s", heads[0], heads[1])
	}
}

func TestAFailureOfGitIsSaid(t *testing.T) {
	err := bigrepo.Make(t.Context(), filepath.Join("/dev/null", "big.git"), bigrepo.Shape{})
	if err == nil || !strings.Contains(err.Error(), "git init") {
		t.Errorf("got %v", err)
	}
}

func TestAConfigRepositoryHasOneMarkerInEachApp(t *testing.T) {
	c := bigrepo.Config{Files: 400, Commits: 30}
	dir := filepath.Join(t.TempDir(), "config.git")
	if err := bigrepo.Make(t.Context(), dir, c.Shape()); err != nil {
		t.Fatal(err)
	}
	count := func(args ...string) int {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return strings.Count(string(out), "\n")
	}
	if got, want := count("ls-tree", "-r", "--name-only", "main"), c.Files+c.Policies()+1; got != want {
		t.Errorf("%d files, want %d", got, want)
	}
	if got, want := count("grep", "-l", "# towpath: image-", "main", "--", "envs/*/"+bigrepo.Marked), 3*c.Apps(); got != want {
		t.Errorf("%d files with a marker, want %d", got, want)
	}
	if got, want := count("ls-tree", "--name-only", "main:envs/prod"), c.Apps(); got != want {
		t.Errorf("%d apps, want %d", got, want)
	}
}
