package main

import (
	"os/exec"
	"strings"
	"testing"

	"towpath.dev/towpath/test/ociregistry"
)

// TestAPersonSeesWhatTheBotSees looks at an approved proposal with the token of who
// approved it, who is not the bot.
func TestAPersonSeesWhatTheBotSees(t *testing.T) {
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	if err := reg.PushAll("shop/web", "1.0.0", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	w := githubWorld(t)
	files := shopFiles(reg.Host(), "1.x")
	files[policyFile] = []byte(strings.Replace(string(files[policyFile]), "required: 1", "required: 2", 1))
	name, _ := w.repo(t, files)
	bot, alice := w.args(t, name, w.token), w.args(t, name, w.alice)
	binary, cache := towpathBinary(t), t.TempDir()
	towpath := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(binary, append(args, "--cache", cache)...).CombinedOutput()
		if err != nil {
			t.Fatalf("towpath %s: %v\n%s", args[0], err, out)
		}
		return string(out)
	}
	run := append([]string{"run", "--once", "--forge-pace", "1ms", "--insecure-registry", reg.Host()}, bot...)
	towpath(run...)
	towpath(run...)
	towpath(append([]string{"hold", "prod/web", "--reason", "lunch"}, alice...)...)
	towpath(append([]string{"approve", "prod/web"}, alice...)...)
	towpath(run...)
	for _, who := range [][]string{bot, alice} {
		status := towpath(append([]string{"status", "-o", "json"}, who...)...)
		for _, want := range []string{"1 of 2 approvals", "held by `alice`: `lunch`"} {
			if !strings.Contains(status, want) {
				t.Errorf("status of %q lacks %q:\n%s", who[len(who)-1], want, status)
			}
		}
		if strings.Contains(status, "does not count") {
			t.Errorf("the approval is not counted:\n%s", status)
		}
		if pulls := towpath(append([]string{"pulls", "prod/web"}, who...)...); strings.Contains(pulls, "towpath:comment") {
			t.Errorf("a hidden key is shown:\n%s", pulls)
		}
	}
}
