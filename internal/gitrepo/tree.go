package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
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
	entries []entry        // in Git's order
	index   map[string]int // name → index in entries
}

func (t *tree) find(name string) (entry, bool) {
	i, ok := t.index[name]
	if !ok {
		return entry{}, false
	}
	return t.entries[i], true
}

var errMalformedTree = errors.New("malformed tree object")

// decodeTree parses a tree object. Names that could leave the tree are refused.
func decodeTree(h plumbing.Hash, data []byte) (*tree, error) {
	t := &tree{hash: h, index: map[string]int{}}
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
		if _, dup := t.index[e.name]; dup {
			return nil, fmt.Errorf("%w: name %q twice", errMalformedTree, e.name)
		}
		t.index[e.name] = len(t.entries)
		t.entries = append(t.entries, e)
		data = data[nul+1+len(h):]
	}
	return t, nil
}

// encodeTree sorts entries by Git's rule (a directory compares as if its name
// ended in a slash) and returns the bytes of the tree object.
func encodeTree(entries []entry) []byte {
	sort.Slice(entries, func(i, j int) bool { return sortName(entries[i]) < sortName(entries[j]) })
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%o %s\x00", uint32(e.mode), e.name)
		b.Write(e.hash[:])
	}
	return b.Bytes()
}

func sortName(e entry) string {
	if e.isDir() {
		return e.name + "/"
	}
	return e.name
}
