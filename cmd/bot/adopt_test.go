package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	guideFile    = regexp.MustCompile("(?ms)```yaml\n# ([a-z/.]+)\n(.*?\n)```$")
	guideConsole = regexp.MustCompile("(?ms)```console\n\\$ towpath adopt \\.\n(.*?\n)```$")
)

// TestTheGuideToAdoptingShowsWhatIsPrinted adopts the repository of the guide.
func TestTheGuideToAdoptingShowsWhatIsPrinted(t *testing.T) {
	page, err := filepath.Abs("../../docs/guides/adopt.md")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := guideFile.FindAllStringSubmatch(string(guide), -1)
	if len(files) < 2 {
		t.Fatalf("the guide has %d files", len(files))
	}
	for _, f := range files {
		p := filepath.Join(dir, f[1])
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(f[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	adopted := func(args ...string) string {
		var out, msg bytes.Buffer
		if code := run(t.Context(), append([]string{"adopt", "."}, args...), std{in: strings.NewReader(""), out: &out, err: &msg}); code != exitDone {
			t.Fatalf("exit %d: %s", code, msg.String())
		}
		return out.String() + "\n" + msg.String()
	}
	printed := "```console\n$ towpath adopt .\n" + adopted() + "```"
	if *update {
		guide = guideConsole.ReplaceAllLiteral(guide, []byte(printed))
		if err := os.WriteFile(page, guide, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(guideConsole.FindString(string(guide)), printed); d != "" {
		t.Errorf("the guide shows something else; rewrite it with -update:\n%s", d)
	}

	adopted("--write")
	var out bytes.Buffer
	if code := run(t.Context(), []string{"lint", dir}, std{in: strings.NewReader(""), out: &out, err: &out}); code != exitDone || !strings.Contains(out.String(), "no problems") {
		t.Errorf("lint says %d: %s", code, out.String())
	}
}
