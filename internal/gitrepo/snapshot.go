package gitrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Limits of walking a tree, against trees made to be endless.
const (
	maxDepth   = 64        // directories inside one another
	maxEntries = 1_000_000 // entries looked at by one Files or Changed
)

// Snapshot is the tree of one commit. It stays readable until a Fetch clones
// the cache anew without that commit.
type Snapshot struct {
	Commit, Tree string // hashes
	repo         *Repo
}

// Snapshot returns the tree of a commit; errors.Is ErrNoCommit.
func (r *Repo) Snapshot(commit string) (Snapshot, error) {
	s, c, err := r.lookup(commit)
	if err != nil {
		return Snapshot{}, err
	}
	if _, err := s.tree(c.TreeHash); err != nil {
		return Snapshot{}, r.broken(s, err)
	}
	return Snapshot{Commit: commit, Tree: c.TreeHash.String(), repo: r}, nil
}

// current is the store of the moment: a Fetch may have replaced it.
func (s Snapshot) current() (*store, error) {
	st, _, err := s.repo.state()
	return st, err
}

// errSpecial is what opening a symbolic link or a submodule ends in.
func errSpecial(e entry) error { return fmt.Errorf("is %s, which is not followed", e.kind()) }

// find walks to a path, which is valid in the sense of fs.ValidPath.
func (s Snapshot) find(name string) (entry, error) {
	e := entry{name: ".", mode: 0o040000, hash: plumbing.NewHash(s.Tree)}
	if name == "." {
		return e, nil
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return entry{}, fmt.Errorf("is deeper than %d directories", maxDepth)
	}
	for i, part := range parts {
		if !e.isDir() {
			if e.isFile() {
				return entry{}, fs.ErrNotExist
			}
			return entry{}, fmt.Errorf("%s %w", strings.Join(parts[:i], "/"), errSpecial(e))
		}
		t, err := s.tree(e.hash)
		if err != nil {
			return entry{}, err
		}
		var ok bool
		if e, ok = t.find(part); !ok {
			return entry{}, fs.ErrNotExist
		}
	}
	return e, nil
}

func (s Snapshot) tree(h plumbing.Hash) (*tree, error) {
	st, err := s.current()
	if err != nil {
		return nil, err
	}
	t, err := st.tree(h)
	if err != nil {
		return nil, s.repo.broken(st, err)
	}
	return t, nil
}

// blob reads a file, or the target of a link, of at most limit bytes.
func (s Snapshot) blob(e entry, limit int64) ([]byte, error) {
	st, err := s.current()
	if err != nil {
		return nil, err
	}
	data, err := st.read(plumbing.BlobObject, e.hash, limit)
	var large errTooLarge
	if errors.As(err, &large) {
		return nil, err
	}
	if err != nil {
		return nil, s.repo.broken(st, err)
	}
	return data, nil
}

// clean makes "" the root and checks the rest.
func clean(op, name string) (string, error) {
	if name == "" {
		return ".", nil
	}
	name = strings.TrimSuffix(name, "/")
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return name, nil
}

// Hash returns the object hash of a file, directory or anything else at path
// ("" or "." is the root): equal hashes mean equal content.
func (s Snapshot) Hash(path string) (string, bool) {
	name, err := clean("hash", path)
	if err != nil {
		return "", false
	}
	e, err := s.find(name)
	if err != nil {
		return "", false
	}
	return e.hash.String(), true
}

// Files reads the regular files below dir ("" or ".": all) for which keep
// answers true (nil: every one); keep gets paths from the root, as are the keys
// of the result. Symbolic links and submodules are left out. A file over
// MaxFileSize is an error that names it, a missing dir is fs.ErrNotExist.
func (s Snapshot) Files(dir string, keep func(path string) bool) (map[string][]byte, error) {
	dir, err := clean("read", dir)
	if err != nil {
		return nil, err
	}
	e, err := s.find(dir)
	if err == nil && !e.isDir() {
		err = errors.New("is not a directory")
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: dir, Err: err}
	}
	out := map[string][]byte{}
	w := walker{snap: s}
	err = w.walk(dir, e.hash, func(name string, e entry) error {
		if !e.isFile() || keep != nil && !keep(name) {
			return nil
		}
		data, err := s.blob(e, s.repo.c.MaxFileSize)
		if err != nil {
			return &fs.PathError{Op: "read", Path: name, Err: err}
		}
		out[name] = data
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// walker visits everything but directories below one.
type walker struct {
	snap Snapshot
	n    int
}

func (w *walker) walk(dir string, h plumbing.Hash, visit func(string, entry) error) error {
	if strings.Count(dir, "/") >= maxDepth {
		return &fs.PathError{Op: "read", Path: dir, Err: fmt.Errorf("is deeper than %d directories", maxDepth)}
	}
	t, err := w.snap.tree(h)
	if err != nil {
		return &fs.PathError{Op: "read", Path: dir, Err: err}
	}
	for _, e := range t.entries {
		if w.n++; w.n > maxEntries {
			return &fs.PathError{Op: "read", Path: dir, Err: fmt.Errorf("the tree has more than %d entries", maxEntries)}
		}
		name := path.Join(dir, e.name)
		if e.isDir() {
			err = w.walk(name, e.hash, visit)
		} else {
			err = visit(name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Changed lists the paths below dir of files, links and submodules that differ
// between s and other in content or mode, sorted. Equal directories cost nothing.
func (s Snapshot) Changed(other Snapshot, dir string) ([]string, error) {
	dir, err := clean("compare", dir)
	if err != nil {
		return nil, err
	}
	a, aerr := s.find(dir)
	b, berr := other.find(dir)
	if aerr != nil && !errors.Is(aerr, fs.ErrNotExist) {
		return nil, &fs.PathError{Op: "compare", Path: dir, Err: aerr}
	}
	if berr != nil && !errors.Is(berr, fs.ErrNotExist) {
		return nil, &fs.PathError{Op: "compare", Path: dir, Err: berr}
	}
	d := differ{a: walker{snap: s}, b: walker{snap: other}}
	if err := d.compare(dir, a, b); err != nil {
		return nil, err
	}
	sort.Strings(d.out)
	return d.out, nil
}

// differ compares two trees; the zero entry stands for "not there".
type differ struct {
	a, b walker
	out  []string
}

func (d *differ) compare(name string, a, b entry) error {
	if a.hash == b.hash && a.mode == b.mode {
		return nil
	}
	if !a.isDir() && !b.isDir() {
		d.out = append(d.out, name)
		return nil
	}
	add := func(p string, _ entry) error { d.out = append(d.out, p); return nil }
	if !a.isDir() || !b.isDir() {
		for _, side := range []struct {
			w *walker
			e entry
		}{{&d.a, a}, {&d.b, b}} {
			switch {
			case side.e.isDir():
				if err := side.w.walk(name, side.e.hash, add); err != nil {
					return err
				}
			case side.e.mode != 0:
				d.out = append(d.out, name)
			}
		}
		return nil
	}
	return d.compareDirs(name, a, b)
}

func (d *differ) compareDirs(name string, a, b entry) error {
	if strings.Count(name, "/") >= maxDepth {
		return &fs.PathError{Op: "compare", Path: name, Err: fmt.Errorf("is deeper than %d directories", maxDepth)}
	}
	ta, err := d.a.snap.tree(a.hash)
	if err != nil {
		return &fs.PathError{Op: "compare", Path: name, Err: err}
	}
	tb, err := d.b.snap.tree(b.hash)
	if err != nil {
		return &fs.PathError{Op: "compare", Path: name, Err: err}
	}
	for _, ea := range ta.entries {
		if d.a.n++; d.a.n > maxEntries {
			return &fs.PathError{Op: "compare", Path: name, Err: fmt.Errorf("the tree has more than %d entries", maxEntries)}
		}
		eb, _ := tb.find(ea.name)
		if err := d.compare(path.Join(name, ea.name), ea, eb); err != nil {
			return err
		}
	}
	for _, eb := range tb.entries {
		if _, ok := ta.find(eb.name); ok {
			continue
		}
		if err := d.compare(path.Join(name, eb.name), entry{}, eb); err != nil {
			return err
		}
	}
	return nil
}
