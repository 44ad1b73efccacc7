package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/test/fixtures"
)

// fixtureTree is a Git repository that holds the golden stories of
// internal/patch, one folder each, as they lie on a disk.
type fixtureTree struct {
	dir     string
	stories []fixtures.Story
}

func newFixtureTree(t *testing.T) fixtureTree {
	t.Helper()
	stories, err := fixtures.ReadAll("../../internal/patch/testdata/apply")
	if err != nil {
		t.Fatal(err)
	}
	tree := fixtureTree{dir: t.TempDir(), stories: stories}
	tree.git(t, "init", "-q")
	for _, s := range stories {
		for _, f := range s.Files {
			tree.write(t, filepath.Join(storyName(s), f.Path), f.Data)
		}
	}
	tree.git(t, "add", ".")
	tree.git(t, "commit", "-q", "-m", "before")
	return tree
}

func storyName(s fixtures.Story) string {
	return strings.TrimSuffix(filepath.Base(s.Name), ".txtar")
}

func (tree fixtureTree) write(t *testing.T, path string, data []byte) {
	t.Helper()
	full := filepath.Join(tree.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (tree fixtureTree) git(t *testing.T, args ...string) string {
	t.Helper()
	fixed := []string{"-C", tree.dir, "-c", "core.autocrlf=false", "-c", "core.quotePath=false", "-c", "user.name=a", "-c", "user.email=a@example.com"}
	out, err := exec.CommandContext(t.Context(), "git", append(fixed, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// commandSets are a story's sets as the command takes them: a policy that is
// given twice is a wrong use of the command.
func commandSets(s fixtures.Story) []string {
	count := map[string]int{}
	for _, set := range s.Sets {
		name, _, _ := strings.Cut(set, "=")
		count[name]++
	}
	return slices.DeleteFunc(slices.Clone(s.Sets), func(set string) bool {
		name, _, _ := strings.Cut(set, "=")
		return count[name] > 1
	})
}

// runSet runs `towpath set` and returns what it printed, and whether it had
// something to complain of.
func runSet(t *testing.T, dir string, sets []string) (setResult, bool) {
	t.Helper()
	var out, errs bytes.Buffer
	args := append(append([]string{"set", "-o", "json"}, sets...), dir)
	code := run(t.Context(), args, std{in: strings.NewReader(""), out: &out, err: &errs})
	if code != exitDone && code != exitFindings {
		t.Fatalf("%v: exit %d: %s", args, code, &errs)
	}
	var v setResult
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatalf("%v printed %s: %v", args, &out, err)
	}
	return v, code == exitFindings
}

// changedLine is a place in the "changed" of a golden story.
var changedLine = regexp.MustCompile(`(?m)^([^-+\n].*):(\d+)$`)

// hunkPlace is the place of a change as git says it without context.
var hunkPlace = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@`)

// gitLines are the lines "path:line" of which git says that they were replaced
// by as many others, below a folder.
func (tree fixtureTree) gitLines(t *testing.T, folder string) []string {
	t.Helper()
	var lines []string
	path := ""
	for line := range strings.Lines(tree.git(t, "diff", "-U0", "--text", "--", folder)) {
		if p, ok := strings.CutPrefix(line, "+++ b/"+folder+"/"); ok {
			path = strings.TrimRight(p, "\t\n")
		}
		m := hunkPlace.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] != m[3] || m[2] != m[4] {
			t.Errorf("%s/%s: lines came or went: %s", folder, path, line)
		}
		first, count := 0, 1
		fmt.Sscan(m[1], &first)
		if m[2] != "" {
			fmt.Sscan(m[2], &count)
		}
		for i := range count {
			lines = append(lines, fmt.Sprintf("%s:%d", path, first+i))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestSetOnEveryFixture runs the command on every golden story and lets git
// judge: the lines that differ are those of the edits printed and those of the
// golden file, in every file; a second time nothing changes.
func TestSetOnEveryFixture(t *testing.T) {
	tree := newFixtureTree(t)
	files, changed := 0, map[string]bool{}
	for _, s := range tree.stories {
		name, sets := storyName(s), commandSets(s)
		files += len(s.Files)
		if len(sets) == 0 {
			continue
		}
		printed, _ := runSet(t, filepath.Join(tree.dir, name), sets)
		var edits, golden []string
		for _, e := range printed.Edits {
			edits = append(edits, fmt.Sprintf("%s:%d", e.Path, e.Line))
			changed[name+"/"+e.Path] = true
		}
		for _, m := range changedLine.FindAllStringSubmatch(s.Changed, -1) {
			golden = append(golden, m[1]+":"+m[2])
		}
		slices.Sort(edits)
		slices.Sort(golden)
		inGit := tree.gitLines(t, name)
		if !slices.Equal(inGit, slices.Compact(edits)) {
			t.Errorf("%s: git says that these lines changed:\n%v\nprinted are:\n%v", name, inGit, edits)
		}
		if !slices.Equal(inGit, golden) {
			t.Errorf("%s: git says that these lines changed:\n%v\nthe golden file:\n%v", name, inGit, golden)
		}
		again, _ := runSet(t, filepath.Join(tree.dir, name), sets)
		if len(again.Edits) > 0 || len(again.Skipped) != len(printed.Skipped) {
			t.Errorf("%s: a second time %d edits, %d skipped and not %d", name, len(again.Edits), len(again.Skipped), len(printed.Skipped))
		}
	}
	if files < 150 || len(changed) < 60 {
		t.Errorf("%d files, %d of them changed; the set is meant to hold more", files, len(changed))
	}
	for line := range strings.Lines(tree.git(t, "diff", "--numstat")) {
		var added, gone int
		var path string
		if n, err := fmt.Sscan(line, &added, &gone, &path); n != 3 || added != gone || !changed[path] {
			t.Errorf("git says %q (%v)", line, err)
		}
		delete(changed, path)
	}
	if len(changed) > 0 {
		t.Errorf("git does not know of %v", changed)
	}
	if status := tree.git(t, "status", "--porcelain", "--untracked-files=all"); strings.Contains(status, "?? ") {
		t.Errorf("files are left behind:\n%s", status)
	}
	if summary := tree.git(t, "diff", "--summary"); summary != "" {
		t.Errorf("modes or names changed:\n%s", summary)
	}
}

// TestSetKeepsModesAndLinks has the fixtures that are not bytes: modes, links to
// files and folders within the folder and out of it.
func TestSetKeepsModesAndLinks(t *testing.T) {
	const marked = "image: registry.example/web:1.0.0 # towpath: web\n"
	const wanted = "image: registry.example/web:2.0.0 # towpath: web\n"
	top := t.TempDir()
	dir := filepath.Join(top, "deploy")
	modes := map[string]fs.FileMode{"plain.yaml": 0o644, "executable.yaml": 0o755, "private.yaml": 0o600, "read-only.yaml": 0o444, "shared.yml": 0o664}
	for name, mode := range modes {
		writeMode(t, filepath.Join(dir, name), marked, mode)
	}
	unmarked := filepath.Join(dir, "unmarked.yaml")
	writeMode(t, unmarked, "image: registry.example/web:1.0.0\n", 0o644)
	before, err := os.Stat(unmarked)
	if err != nil {
		t.Fatal(err)
	}
	outside := []string{filepath.Join(top, "outside.yaml"), filepath.Join(top, "other", "values.yaml")}
	for _, path := range outside {
		writeMode(t, path, marked, 0o644)
	}
	links := map[string]string{"inside.yaml": "plain.yaml", "out.yaml": "../outside.yaml", "absolute.yaml": outside[0], "folder": "../other", "dangling.yaml": "nowhere.yaml", "loop.yaml": "loop.yaml"}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	printed, _ := runSet(t, dir, []string{"web=registry.example/web:2.0.0"})
	if len(printed.Edits) != len(modes) {
		t.Errorf("edits: %v, want one for each of %d files", printed.Edits, len(modes))
	}
	verdicts := map[string]patch.Verdict{}
	for _, k := range printed.Skipped {
		verdicts[k.Path] = k.Verdict
	}
	// inside.yaml is silent: the file that it leads to is read at its own place.
	want := map[string]patch.Verdict{"out.yaml": patch.Link, "absolute.yaml": patch.Link, "folder": patch.Link, "dangling.yaml": patch.Link, "loop.yaml": patch.Link}
	if d := cmp.Diff(want, verdicts); d != "" {
		t.Errorf("verdicts (-want +got):\n%s", d)
	}
	for name, mode := range modes {
		expectFile(t, filepath.Join(dir, name), wanted, mode)
	}
	for _, path := range outside {
		expectFile(t, path, marked, 0o644)
	}
	for name, target := range links {
		if got, err := os.Readlink(filepath.Join(dir, name)); err != nil || got != target {
			t.Errorf("the link %s now leads to %q (%v), and not to %s", name, got, err, target)
		}
	}
	after, err := os.Stat(unmarked)
	if err != nil || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("a file without a marker was written: %v", err)
	}
}

func writeMode(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func expectFile(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != text {
		t.Errorf("%s holds %q (%v)", path, data, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != mode {
		t.Errorf("%s has the mode %v (%v), not %v", path, info.Mode(), err, mode)
	}
}
