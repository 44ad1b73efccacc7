package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// view shows a tree to kustomize, rooted at "/", to read only.
type view struct{ t *tree }

var _ filesys.FileSystem = view{}

var errReadOnly = errors.New("the repository is read only here")

// virtual is the path that kustomize sees for one of the tree.
func virtual(name string) string { return path.Join("/", name) }

// actual is the tree's path for one that kustomize asks for.
func actual(p string) string {
	name := strings.TrimPrefix(path.Clean("/"+p), "/")
	if name == "" {
		return "."
	}
	return name
}

// ReadFile reads a file; a kustomization only after it was screened.
func (v view) ReadFile(p string) ([]byte, error) {
	name := actual(p)
	if slices.Contains(kustomizationNames, path.Base(name)) {
		if _, err := v.t.kustomizationAt(name); err != nil {
			return nil, err
		}
	}
	return v.t.read(name)
}

// ReadDir lists the names in a folder.
func (v view) ReadDir(p string) ([]string, error) {
	entries, err := v.t.list(actual(p))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// IsDir reports whether p is a folder.
func (v view) IsDir(p string) bool {
	k, err := v.t.look(actual(p))
	return err == nil && k == folder
}

// Exists reports whether p is a file or a folder.
func (v view) Exists(p string) bool {
	k, err := v.t.look(actual(p))
	return err == nil && k != absent
}

// CleanedAbs splits p into a folder that exists and a file, "" for a folder.
func (v view) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	name := actual(p)
	switch k, err := v.t.look(name); {
	case err != nil:
		return "", "", err
	case k == absent:
		return "", "", fmt.Errorf("%s does not exist", name)
	case k == folder:
		return filesys.ConfirmedDir(virtual(name)), "", nil
	}
	return filesys.ConfirmedDir(virtual(path.Dir(name))), path.Base(name), nil
}

// Open, Glob and Walk are not needed by a build; what a later kustomize might
// want of them must be looked at first.
func (v view) Open(p string) (filesys.File, error)      { return nil, v.unsupported("open", p) }
func (v view) Glob(p string) ([]string, error)          { return nil, v.unsupported("glob", p) }
func (v view) Walk(p string, _ filepath.WalkFunc) error { return v.unsupported("walk", p) }
func (v view) Create(string) (filesys.File, error)      { return nil, errReadOnly }
func (v view) Mkdir(string) error                       { return errReadOnly }
func (v view) MkdirAll(string) error                    { return errReadOnly }
func (v view) RemoveAll(string) error                   { return errReadOnly }
func (v view) WriteFile(string, []byte) error           { return errReadOnly }
func (v view) unsupported(op, p string) error {
	return v.t.refuse(&fs.PathError{Op: op, Path: actual(p), Err: errors.ErrUnsupported})
}
