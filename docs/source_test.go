// Package docs_test keeps the project's papers true: the floors and walls of
// architecture.md, dependencies.md, the Dockerfile, the Makefile and the
// changelog are compared with the code. Every check is a function from what was
// read to a list of findings, and is itself tested on sources that break it.
package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "towpath.dev/towpath"
	root   = ".." // tests run in their own folder
)

// source is the Go code of one module, read without building it.
type source struct {
	fset     *token.FileSet
	packages []goPackage // sorted by folder
	nested   []string    // folders with a go.mod of their own
}

// goPackage is the Go files of one folder.
type goPackage struct {
	dir   string // relative to the module, with slashes
	files []goFile
}

type goFile struct {
	name   string
	test   bool
	syntax *ast.File
}

// readSource parses every Go file of the module at the root of fsys, whatever
// its build tags.
func readSource(fsys fs.FS) (source, error) {
	src := source{fset: token.NewFileSet()}
	byDir := map[string]*goPackage{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return src.enter(fsys, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(src.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = &goPackage{dir: dir}
		}
		byDir[dir].files = append(byDir[dir].files, goFile{path.Base(name), strings.HasSuffix(name, "_test.go"), syntax})
		return nil
	})
	for _, p := range byDir {
		src.packages = append(src.packages, *p)
	}
	slices.SortFunc(src.packages, func(a, b goPackage) int { return strings.Compare(a.dir, b.dir) })
	return src, err
}

// enter decides whether a folder belongs to the module, as the go command does.
func (src *source) enter(fsys fs.FS, name string) error {
	base := path.Base(name)
	if name == "." {
		return nil
	}
	if base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if !isModule(fsys, name) {
		return nil
	}
	// A module in a module is another module, and there may be one more below.
	err := fs.WalkDir(fsys, name, func(inner string, _ fs.DirEntry, err error) error {
		if err == nil && path.Base(inner) == "go.mod" {
			src.nested = append(src.nested, path.Dir(inner))
		}
		return err
	})
	if err != nil {
		return err
	}
	return fs.SkipDir
}

func isModule(fsys fs.FS, dir string) bool {
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

// code returns the files that end up in a binary: no tests.
func (p goPackage) code() []goFile {
	return slices.DeleteFunc(slices.Clone(p.files), func(f goFile) bool { return f.test })
}

// imports returns the import paths of files, sorted, each once.
func imports(files []goFile) []string {
	var all []string
	for _, f := range files {
		for _, spec := range f.syntax.Imports {
			if p, err := strconv.Unquote(spec.Path.Value); err == nil {
				all = append(all, p)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// local returns the folder of an import path of this module.
func local(importPath string) (string, bool) {
	return strings.CutPrefix(importPath, module+"/")
}

func (src source) at(pos token.Pos) string {
	p := src.fset.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// readModule reads this module.
func readModule(t *testing.T) source {
	t.Helper()
	src, err := readSource(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func readText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(path.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// none fails the test with every finding.
func none(t *testing.T, findings []string) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}
