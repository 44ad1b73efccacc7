package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// tree reads a file system for one app: it keeps the limits, refuses links and
// records what was reached.
type tree struct {
	fsys    fs.FS
	limits  Limits
	left    int64             // bytes that may still be read
	reads   int               // files read so far
	reached map[string]bool   // paths read, listed or looked for
	kinds   map[string]kind   // what a path was found to be
	files   map[string][]byte // what was read
	refused error             // the first thing that must not be: kept because kustomize swallows errors
	schema  bool              // a kustomization replaced kustomize's global schema
}

// kind is what is at a path.
type kind int

const (
	absent kind = iota
	file
	folder
)

func newTree(fsys fs.FS, l Limits) *tree {
	return &tree{fsys: fsys, limits: l, left: l.Bytes, reached: map[string]bool{}, kinds: map[string]kind{}, files: map[string][]byte{}}
}

func (t *tree) reachedPaths() []string { return slices.Sorted(maps.Keys(t.reached)) }

// refuse keeps the first refusal and returns err.
func (t *tree) refuse(err error) error {
	if t.refused == nil {
		t.refused = err
	}
	return err
}

// look says what is at name and records that it was asked for.
func (t *tree) look(name string) (kind, error) {
	t.reached[name] = true
	return t.find(name)
}

// find says what is at name, after the folders on the way: none of them may be
// a link. Those are not recorded, as their hashes change with every commit.
func (t *tree) find(name string) (kind, error) {
	if !fs.ValidPath(name) {
		return absent, t.refuse(fmt.Errorf("%s leaves the repository", name))
	}
	if k, known := t.kinds[name]; known {
		return k, nil
	}
	if name != "." {
		switch k, err := t.find(path.Dir(name)); {
		case err != nil:
			return absent, err
		case k != folder:
			return absent, nil
		}
	}
	info, err := fs.Lstat(t.fsys, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.kinds[name] = absent
		return absent, nil
	case err != nil:
		return absent, t.refuse(fmt.Errorf("%s: %w", name, cause(err)))
	case info.IsDir():
		t.kinds[name] = folder
	case info.Mode().IsRegular():
		t.kinds[name] = file
	default:
		return absent, t.refuse(notRegular(name))
	}
	return t.kinds[name], nil
}

func notRegular(name string) error {
	return fmt.Errorf("%s is a link or no regular file, and is not followed; put a copy there, or name its target in a kustomization.yaml", name)
}

// cause takes the path out of an error whose text names it already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// read returns a file's bytes; they must not be changed.
func (t *tree) read(name string) ([]byte, error) {
	switch k, err := t.look(name); {
	case err != nil:
		return nil, err
	case k != file:
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if t.reads++; t.reads > t.limits.Files {
		return nil, t.refuse(fmt.Errorf("%s: more than %d files are read; split the app", name, t.limits.Files))
	}
	if data, known := t.files[name]; known {
		return data, nil
	}
	f, err := t.fsys.Open(name)
	if err != nil {
		return nil, t.refuse(fmt.Errorf("%s: %w", name, cause(err)))
	}
	defer func() { _ = f.Close() }() // opened for reading: nothing is lost
	data, err := io.ReadAll(io.LimitReader(f, t.left+1))
	if err != nil {
		return nil, t.refuse(fmt.Errorf("%s: %w", name, cause(err)))
	}
	if int64(len(data)) > t.left {
		return nil, t.refuse(fmt.Errorf("%s: more than %d bytes are read; split the app", name, t.limits.Bytes))
	}
	t.left -= int64(len(data))
	t.files[name] = data
	return data, nil
}

// list returns a folder's entries, sorted by name.
func (t *tree) list(name string) ([]fs.DirEntry, error) {
	if k, err := t.look(name); err != nil {
		return nil, err
	} else if k != folder {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	entries, err := fs.ReadDir(t.fsys, name)
	if err != nil {
		return nil, t.refuse(fmt.Errorf("%s: %w", name, cause(err)))
	}
	return entries, nil
}

// holding is what a folder holds, sorted by path.
type holding struct {
	files []string // YAML files
	odd   []string // what is named like one, or like a folder, and is neither
}

// walk returns what lies in and, when deep, below dir. Names that start with a
// dot are left out. With an error it returns what was found before.
func (t *tree) walk(dir string, deep bool, depth int) (h holding, err error) {
	if depth > t.limits.Depth {
		return h, fmt.Errorf("%s: folders are nested deeper than %d", dir, t.limits.Depth)
	}
	entries, err := t.list(dir)
	if err != nil {
		return h, err
	}
	if depth > 0 && isSubmodule(entries) {
		return holding{odd: []string{dir}}, nil
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		switch {
		case isHidden(e.Name()):
		case e.IsDir():
			if !deep {
				continue
			}
			below, err := t.walk(name, deep, depth+1)
			h.files, h.odd = append(h.files, below.files...), append(h.odd, below.odd...)
			if err != nil {
				return h, err
			}
		case e.Type().IsRegular():
			if isYAML(e.Name()) {
				h.files = append(h.files, name)
			}
		case mayMatter(e.Name()) && (deep || isYAML(e.Name())):
			h.odd = append(h.odd, name)
		}
		if len(h.files) > t.limits.Files {
			return h, fmt.Errorf("%s: more than %d files; split the app", dir, t.limits.Files)
		}
	}
	slices.Sort(h.files)
	slices.Sort(h.odd)
	return h, nil
}

// isSubmodule reports whether a folder of a checkout is another repository's:
// Git puts a file called .git into it. In a commit it is no folder at all.
func isSubmodule(entries []fs.DirEntry) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ".git" && e.Type().IsRegular() })
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

// isYAML reports whether a file of this name holds manifests.
func isYAML(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".yaml" || ext == ".yml" || slices.Contains(kustomizationNames, name)
}

// mayMatter reports whether a link of this name may stand for manifests: it is
// named like them or like a folder. A linked README is nobody's problem.
func mayMatter(name string) bool { return isYAML(name) || path.Ext(name) == "" }
