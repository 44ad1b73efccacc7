package policies

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copiedFile is a file that people copy.
type copiedFile struct{ path, text string }

// copied are the policies of this folder and of every example.
func copied(t testing.TB) []copiedFile {
	t.Helper()
	var files []copiedFile
	for _, pattern := range []string{"*.yaml", "../examples/*/policies/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files: %s: %v", pattern, err)
		}
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, copiedFile{p, string(data)})
		}
	}
	return files
}

// TestEveryCopiedFileNamesItsSchema demands the line that editors look for, of
// the kind that is in the file.
func TestEveryCopiedFileNamesItsSchema(t *testing.T) {
	for _, f := range copied(t) {
		kinds := map[string]bool{}
		for line := range strings.Lines(f.text) {
			if kind, ok := strings.CutPrefix(line, "kind: "); ok {
				kinds[strings.ToLower(strings.TrimSpace(kind))] = true
			}
		}
		schema := "all"
		for kind := range kinds {
			if len(kinds) == 1 {
				schema = kind
			}
		}
		first, _, _ := strings.Cut(f.text, "\n")
		if want := "# yaml-language-server: $schema=" + schemaBase + schema + ".json"; first != want {
			t.Errorf("%s begins with %q, want %q", f.path, first, want)
		}
	}
}
