package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// entry is one line of a tree. The mode is kept as it was read, so that a
// directory that is rewritten changes nothing but what was asked.
type entry struct {
	name string
	mode filemode.FileMode
	hash plumbing.Hash
}

// isDir, isFile: everything else is a symbolic link or a submodule.
func (e entry) isDir() bool  { return e.mode&0o170000 == 0o040000 }
func (e entry) isFile() bool { return e.mode&0o170000 == 0o100000 }

func (e entry) isLink() bool { return e.mode&0o170000 == 0o120000 }

// kind names what the entry is in error messages.
func (e entry) kind() string {
	switch {
	case e.isDir():
		return "a directory"
	case e.isFile():
		return "a file"
	case e.isLink():
		return "a symbolic link"
	}
	return "a submodule"
}

// tree is a decoded tree object; it is shared and never changed.
type tree struct {
	hash    plumbing.Hash
	entries []entry        // in Git's order …
	index   map[string]int // … or, where a tree has another, name → index in entries
}

func (t *tree) find(name string) (entry, bool) {
	if t.index != nil {
		i, ok := t.index[name]
		if !ok {
			return entry{}, false
		}
		return t.entries[i], true
	}
	for _, dir := range []bool{false, true} { // the two places where it may be
		i, ok := slices.BinarySearchFunc(t.entries, name, func(e entry, name string) int {
			return compareNames(e.name, e.isDir(), name, dir)
		})
		if ok {
			return t.entries[i], true
		}
	}
	return entry{}, false
}

// compareNames is Git's order: a directory compares as if its name ended in a slash.
func compareNames(a string, aDir bool, b string, bDir bool) int {
	n := min(len(a), len(b))
	if c := strings.Compare(a[:n], b[:n]); c != 0 {
		return c
	}
	return int(byteAt(a, n, aDir)) - int(byteAt(b, n, bDir))
}

// byteAt is the byte at i; 0 is the end, which no name holds.
func byteAt(s string, i int, dir bool) byte {
	switch {
	case i < len(s):
		return s[i]
	case dir:
		return '/'
	}
	return 0
}

var errMalformedTree = errors.New("malformed tree object")

// decodeTree parses a tree object. Names that could leave the tree are refused.
func decodeTree(h plumbing.Hash, data []byte) (*tree, error) {
	t := &tree{hash: h, entries: make([]entry, 0, bytes.Count(data, []byte{0}))}
	sorted := true
	for len(data) > 0 {
		sp := bytes.IndexByte(data, ' ')
		nul := bytes.IndexByte(data, 0)
		if sp <= 0 || nul < sp || len(data) < nul+1+len(h) {
			return nil, errMalformedTree
		}
		mode, err := strconv.ParseUint(string(data[:sp]), 8, 32)
		if err != nil {
			return nil, errMalformedTree
		}
		e := entry{name: string(data[sp+1 : nul]), mode: filemode.FileMode(mode)}
		copy(e.hash[:], data[nul+1:])
		if e.name == "" || e.name == "." || e.name == ".." || strings.Contains(e.name, "/") {
			return nil, fmt.Errorf("%w: name %q", errMalformedTree, e.name)
		}
		if n := len(t.entries); n > 0 {
			last := t.entries[n-1]
			sorted = sorted && compareNames(last.name, last.isDir(), e.name, e.isDir()) < 0
		}
		t.entries = append(t.entries, e)
		data = data[nul+1+len(h):]
	}
	t.entries = slices.Clip(t.entries)
	err := t.check(sorted)
	return t, err
}

// check refuses a name that is there twice, and makes the index of a tree that
// is not sorted.
func (t *tree) check(sorted bool) error {
	if !sorted {
		index := map[string]int{}
		for i, e := range t.entries {
			if _, dup := index[e.name]; dup {
				return fmt.Errorf("%w: name %q twice", errMalformedTree, e.name)
			}
			index[e.name] = i
		}
		t.index = index
		return nil
	}
	for _, e := range t.entries {
		if other, _ := t.find(e.name); other != e { // a file and a directory of one name
			return fmt.Errorf("%w: name %q twice", errMalformedTree, e.name)
		}
	}
	return nil
}

// encodeTree sorts entries by Git's rule and returns the bytes of the tree object.
func encodeTree(entries []entry) []byte {
	slices.SortFunc(entries, func(a, b entry) int { return compareNames(a.name, a.isDir(), b.name, b.isDir()) })
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%o %s\x00", uint32(e.mode), e.name)
		b.Write(e.hash[:])
	}
	return b.Bytes()
}
