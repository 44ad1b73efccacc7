package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withFiles is one binary of a module that requires another, from which two folders are copied.
func withFiles() Servers {
	s := some()
	s.Steps = s.Steps[:1]
	s.Files = []Files{{Module: "example.com/data", Folders: []string{"templates", "options"}}}
	return s
}

// filesSources are sources whose module has the required one in a folder below.
func filesSources(t *testing.T) string {
	t.Helper()
	root := sources(t)
	module := filepath.Join(root, filepath.FromSlash(modulePath))
	for name, text := range map[string]string{
		"go.mod":                 "module example.com/servers\n\ngo 1.26\n\nrequire example.com/data v1.0.0\n\nreplace example.com/data => ./data\n",
		"data/go.mod":            "module example.com/data\n\ngo 1.26\n",
		"data/templates/a/b.txt": "b",
		"data/options/c.txt":     "c",
		"data/else/d.txt":        "d",
	} {
		write(t, filepath.Join(module, filepath.FromSlash(name)), text)
	}
	if err := os.Chmod(filepath.Join(module, "data", "options", "c.txt"), 0o444); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestFilesAreCopiedBesideTheBinaries(t *testing.T) {
	cfg := Config{Source: filesSources(t), CacheDir: t.TempDir()}
	dir, err := withFiles().Build(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"templates/a/b.txt": "b", "options/c.txt": "c"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		raw, err := os.ReadFile(path)
		if err != nil || string(raw) != want {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
		if info, err := os.Stat(path); err == nil && info.Mode()&0o200 == 0 {
			t.Errorf("%s is read-only", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "else")); err == nil {
		t.Error("a folder that was not asked for was copied")
	}
	fewer := withFiles()
	fewer.Files[0].Folders = fewer.Files[0].Folders[:1]
	if other, err := fewer.Build(t.Context(), cfg); err != nil || other == dir {
		t.Errorf("fewer files are kept in %s, more in %s, %v", other, dir, err)
	}
}

func TestFilesThatAreMissingFailTheBuild(t *testing.T) {
	for name, files := range map[string]Files{
		"a module that is not required": {Module: "example.com/else", Folders: []string{"options"}},
		"a folder that is not there":    {Module: "example.com/data", Folders: []string{"nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Source: filesSources(t), CacheDir: t.TempDir()}
			s := withFiles()
			s.Files = []Files{files}
			_, err := s.Build(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), "build some servers: ") || !strings.Contains(err.Error(), files.Module) {
				t.Errorf("got %v", err)
			}
			if left := kept(t, cfg.CacheDir); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}
