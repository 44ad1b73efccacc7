package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/patch"
)

func TestGitAppliesTheDiff(t *testing.T) {
	lines := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			b.WriteString("line " + string(rune('a'+i%26)) + strings.Repeat("x", i%7) + "\n")
		}
		return b.String()
	}
	for name, c := range map[string]struct{ old, new string }{
		"a value":                {"a: 1\nb: 2\nc: 3\n", "a: 1\nb: 3 # x\nc: 3\n"},
		"no final newline":       {"a: 1\nb: 2", "a: 1\nb: 2 # x"},
		"a final newline more":   {"a: 1", "a: 1\nb: 2\n"},
		"CRLF":                   {"a: 1\r\nb: 2\r\n", "a: 1 # y\r\nb: 2\r\n"},
		"far apart":              {lines(0, 60), "first\n" + lines(1, 59) + "last\n"},
		"seven lines between":    {"x\n" + lines(0, 7) + "y\n", "1\n" + lines(0, 7) + "2\n"},
		"six lines between":      {"x\n" + lines(0, 6) + "y\n", "1\n" + lines(0, 6) + "2\n"},
		"lines added and gone":   {lines(0, 40), lines(3, 20) + "more\n" + lines(21, 44)},
		"everything else":        {lines(0, 5), "z\n"},
		"from nothing to a line": {"", "z\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var diff bytes.Buffer
			unifiedDiff(&diff, "a/f.yaml", "b/f.yaml", []byte(c.old), []byte(c.new))
			if err := os.WriteFile(filepath.Join(dir, "f.yaml"), []byte(c.old), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("git", "apply", "--whitespace=nowarn", "-")
			cmd.Dir, cmd.Stdin = dir, bytes.NewReader(diff.Bytes())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s\n%s", err, out, diff.String())
			}
			got, err := os.ReadFile(filepath.Join(dir, "f.yaml"))
			if err != nil || string(got) != c.new {
				t.Errorf("%v: git made %q\nof\n%s", err, got, diff.String())
			}
		})
	}
}

func TestNothingIsWrittenWhenAnyFileCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a file that changed since it was read": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "b.yaml"), []byte("b: 2\n"), 0o600)
		}, "b.yaml: it changed since it was read"},
		"a link in its place": {func(dir string) error {
			_ = os.Remove(filepath.Join(dir, "b.yaml")) // it was made a line above
			return os.Symlink("a.yaml", filepath.Join(dir, "b.yaml"))
		}, "b.yaml: it is no regular file"},
		"a new file that is there": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "policies", "c.yaml"), nil, 0o600)
		}, "policies/c.yaml: it is there already"},
		"a folder that is a link": {func(dir string) error {
			_ = os.Remove(filepath.Join(dir, "policies"))
			return os.Symlink(os.TempDir(), filepath.Join(dir, "policies"))
		}, "policies is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old := map[string][]byte{"a.yaml": []byte("a: 1\n"), "b.yaml": []byte("b: 1\n")}
			for p, data := range old {
				if err := os.WriteFile(filepath.Join(dir, p), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			err := writeFiles(dir, old, []patch.File{{Path: "a.yaml", Data: []byte("a: 2\n")}, {Path: "b.yaml", Data: []byte("b: 3\n")},
				{Path: "policies/c.yaml", Data: []byte("c: 1\n")}})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing was written") {
				t.Errorf("error %v, want %s", err, c.want)
			}
			if a, err := os.ReadFile(filepath.Join(dir, "a.yaml")); err != nil || string(a) != "a: 1\n" {
				t.Errorf("a.yaml was written: %q %v", a, err)
			}
		})
	}
}
