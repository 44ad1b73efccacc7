package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"towpath.dev/towpath/test/ociregistry"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)\n```$")

// TestEveryCommandOfTheGuideWorks runs the shell blocks of the guide, in order,
// in one shell, against a real registry.
func TestEveryCommandOfTheGuideWorks(t *testing.T) {
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	for repo, tags := range map[string][]string{"shop/web": {"1.0.0", "1.1.0"}, "shop/api": {"1.0.0"}} {
		if err := reg.PushAll(repo, tags...); err != nil {
			t.Fatal(err)
		}
	}
	guide, err := os.ReadFile("../../docs/guides/first-repository.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	blocks := shellBlock.FindAllStringSubmatch(string(guide), -1)
	for _, b := range blocks {
		script.WriteString(b[1] + "\n")
	}
	if len(blocks) < 5 {
		t.Fatalf("the guide has only %d shell blocks", len(blocks))
	}
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu")
	cmd.Dir = t.TempDir()
	cmd.Stdin = strings.NewReader(script.String())
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(towpathBinary(t))+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"REGISTRY="+reg.Host(), "TOWPATH_SOURCE="+source, "TOWPATH_CACHE="+t.TempDir(), "TOWPATH_REPO=", "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=alice", "GIT_AUTHOR_EMAIL=alice@example.com", "GIT_COMMITTER_NAME=alice", "GIT_COMMITTER_EMAIL=alice@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"no problems", "push dev: web 1.0.0 → 1.1.0", "dev: web 1.0.0 → 1.1.0", "Towpath-Policy: web",
		"staging/web holds 1.0.0", "no agent has reported from dev yet", `not "1.0.0": lower than the current 1.1.0`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
