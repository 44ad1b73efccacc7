package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryCommandOfTheEditorGuideWorks runs the shell blocks of the guide in a
// copy of the example, and finds there the file that the guide's setting names.
func TestEveryCommandOfTheEditorGuideWorks(t *testing.T) {
	guide, err := os.ReadFile("../../docs/guides/editor.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, b := range shellBlock.FindAllStringSubmatch(string(guide), -1) {
		script.WriteString(b[1] + "\n")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/shop")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(script.String())
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(towpathBinary(t))+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "no problems") {
		t.Fatalf("%v\n%s", err, out)
	}
	const schema = ".vscode/towpath.json"
	data, err := os.ReadFile(filepath.Join(dir, schema))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"$id"`) || !strings.Contains(string(guide), `{"`+schema+`": "policies/*.yaml"}`) {
		t.Errorf("%s is no schema, or the guide's setting names another file", schema)
	}
}
