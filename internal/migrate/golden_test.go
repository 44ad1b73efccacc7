package migrate

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestWholeRepositories migrates whole repositories: what is written stands behind
// want/, the notes in want-notes.
func TestWholeRepositories(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no repositories: %v", err)
	}
	for _, p := range paths {
		archive, err := txtar.ParseFile(p)
		if err != nil {
			t.Fatal(err)
		}
		var files []patch.File
		out := &txtar.Archive{Comment: archive.Comment}
		for _, f := range archive.Files {
			if !strings.HasPrefix(f.Name, "want") {
				files = append(files, patch.File{Path: f.Name, Data: f.Data})
				out.Files = append(out.Files, f)
			}
		}
		run := Flux
		if strings.HasPrefix(filepath.Base(p), "argocd") {
			run = ImageUpdater
		}
		result := run(files, "")
		loads(t, files, result)
		for _, f := range result.Files {
			out.Files = append(out.Files, txtar.File{Name: "want/" + f.Path, Data: f.Data})
		}
		out.Files = append(out.Files, txtar.File{Name: "want-notes", Data: []byte(notesOf(result))})
		if *update {
			if err := os.WriteFile(p, txtar.Format(out), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if d := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(out))); d != "" {
			t.Errorf("%s: run go test -run WholeRepositories -update after reading this (-want +got):\n%s", p, d)
		}
	}
}

func notesOf(r Result) string {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.String() + "\n")
	}
	return b.String()
}

// loads demands that what is written has no error, beside the policies that are there,
// and replaces no file.
func loads(t *testing.T, files []patch.File, r Result) policy.Config {
	t.Helper()
	var all []policy.File
	there, written := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		there[f.Path] = true
		if filepath.Dir(f.Path) == PolicyDir {
			all = append(all, policy.File{Path: f.Path, Data: f.Data})
		}
	}
	for _, f := range r.Files {
		if there[f.Path] || written[f.Path] {
			t.Errorf("%s is written although it is there", f.Path)
		}
		written[f.Path] = true
		all = append(all, policy.File{Path: f.Path, Data: f.Data})
	}
	config := policy.Load(all)
	for _, p := range config.Problems {
		if written[p.Path] && !p.Warning {
			t.Errorf("what is written has an error: %s", p)
		}
	}
	for _, n := range r.Notes {
		if strings.ContainsAny(n.String(), "\r\n") || n.Text == "" || n.Path == "" {
			t.Errorf("a note without place or text, or of several lines: %q", n)
		}
	}
	return config
}
