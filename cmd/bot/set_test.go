package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetChangesOnlyMarkedLines commits files of every make, runs set, and asks
// git what changed: as many lines as markers, in each file.
func TestSetChangesOnlyMarkedLines(t *testing.T) {
	plain := "apiVersion: apps/v1\nkind: Deployment\n\nspec:\n  image: registry.example/web:1.0.0 # towpath: web\n\n  other:   kept  # comment\n"
	files := map[string]struct {
		text    string
		markers int
	}{
		"plain.yaml":           {plain, 1},
		"crlf.yaml":            {strings.ReplaceAll(plain, "\n", "\r\n"), 1},
		"bom.yaml":             {"\ufeff" + plain, 1},
		"bom-crlf.yaml":        {"\ufeff" + strings.ReplaceAll(plain, "\n", "\r\n"), 1},
		"four-spaces.yaml":     {"spec:\n    containers:\n        - name: a\n          image: registry.example/web:1.0.0 # towpath: web\n        - name: b\n          image: 'registry.example/web:1.0.0'   # towpath: web\n", 2},
		"blank-lines.yaml":     {"\n\na: 1\n\n\n\nimage: \"registry.example/web:1.0.0\" # towpath: web\n\n\n\nb: 2\n\n\n", 1},
		"no-final-newline.yml": {"a: 1\nimage: registry.example/web:1.0.0 # towpath: web", 1},
		"documents.yaml":       {"---\n# licence\n---\nimage: registry.example/web:1.0.0 # towpath: web\n...\n---\n{tag: 1.0.0} # towpath: web:tag\n", 2},
		"list.yaml":            {"kind: List\nitems:\n- {image: registry.example/web:1.0.0} # towpath: web\n- text: |\n    folded \n    kept  \n", 1},
		"none.yaml":            {"image: registry.example/web:1.0.0\n", 0},
	}
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "core.autocrlf=false", "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	git("init", "-q")
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(f.text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("add", ".")
	git("commit", "-q", "-m", "before")
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"set", "web=registry.example/web:2.0.0", dir}, std{in: strings.NewReader(""), out: &out, err: &errs}); code != exitDone {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	stat := git("diff", "--numstat")
	edits := 0
	for name, f := range files {
		want := fmt.Sprintf("%d\t%d\t%s\n", f.markers, f.markers, name)
		if has := strings.Contains(stat, want); has != (f.markers > 0) {
			t.Errorf("%s has %d markers; git says\n%s", name, f.markers, stat)
		}
		edits += f.markers
	}
	if n := strings.Count(out.String(), "\n"); n != edits {
		t.Errorf("%d edits are printed, want %d:\n%s", n, edits, &out)
	}
	if code := run(t.Context(), []string{"set", "web=registry.example/web:2.0.0", dir}, std{in: strings.NewReader(""), out: io.Discard, err: io.Discard}); code != exitDone || git("diff", "--numstat") != stat {
		t.Errorf("a second time: exit %d, %s", code, git("diff", "--numstat"))
	}
}
