package migrate

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		files := parted(data)
		for _, run := range []func([]patch.File, string) Result{Flux, ImageUpdater} {
			r := run(files, "")
			loads(t, files, r)
			for _, file := range r.Files {
				if !fs.ValidPath(file.Path) || path.Dir(file.Path) != PolicyDir || path.Ext(file.Path) != ".yaml" {
					t.Errorf("a file outside %s: %q", PolicyDir, file.Path)
				}
			}
			if d := cmp.Diff(r, run(files, "")); d != "" {
				t.Errorf("another answer (-first +second):\n%s", d)
			}
		}
	})
}

// parted cuts an archive into its files; txtar.Parse panics on some.
func parted(data []byte) []patch.File {
	var files []patch.File
	seen := map[string]bool{}
	keep := false
	for line := range bytes.Lines(data) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "-- ")
		if name, ok2 := strings.CutSuffix(name, " --"); ok && ok2 {
			name = path.Clean(name)
			if keep = fs.ValidPath(name) && name != "." && !seen[name]; keep {
				seen[name] = true
				files = append(files, patch.File{Path: name})
			}
			continue
		}
		if keep {
			files[len(files)-1].Data = append(files[len(files)-1].Data, line...)
		}
	}
	return files
}
