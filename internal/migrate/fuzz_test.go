package migrate

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"towpath.dev/towpath/internal/patch"
)

// FuzzMigrate: whatever the files are, nothing panics, what is written loads without
// an error beside what is there, replaces nothing and stays in its folder; the same
// files give the same answer.
func FuzzMigrate(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no repositories: %v", err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, p := range []string{"testdata/fields-flux.yaml", "testdata/fields-argocd.yaml"} {
		data, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		for _, d := range documents(data) { // one by one, which is quicker
			f.Add(append([]byte("-- envs/dev/a.yaml --\n"), d.data...))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var files []patch.File
		seen := map[string]bool{}
		for _, file := range txtar.Parse(data).Files {
			name := path.Clean(file.Name)
			if fs.ValidPath(name) && name != "." && !seen[name] {
				seen[name] = true
				files = append(files, patch.File{Path: name, Data: file.Data})
			}
		}
		for _, run := range []func([]patch.File) Result{Flux, ImageUpdater} {
			r := run(files)
			loads(t, files, r)
			for _, file := range r.Files {
				if !fs.ValidPath(file.Path) || path.Dir(file.Path) != PolicyDir || path.Ext(file.Path) != ".yaml" {
					t.Errorf("a file outside %s: %q", PolicyDir, file.Path)
				}
			}
			if d := cmp.Diff(r, run(files)); d != "" {
				t.Errorf("another answer (-first +second):\n%s", d)
			}
		}
	})
}
