package gitrepo

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
)

// looseFS is the file system of a cache. It knows which objects lie outside
// packs: go-git looks there first, which costs more than reading from a pack.
// Whoever owns a cache is the only one to write into it.
type looseFS struct {
	billy.Filesystem
	objects map[plumbing.Hash]bool
}

func newLooseFS(dir string) (*looseFS, error) {
	f := &looseFS{Filesystem: osfs.New(dir), objects: map[plumbing.Hash]bool{}}
	folders, err := os.ReadDir(filepath.Join(dir, "objects"))
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, "objects", folder.Name()))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if name := folder.Name() + file.Name(); plumbing.IsHash(name) && len(name) == hexHashSize {
				f.objects[plumbing.NewHash(name)] = true
			}
		}
	}
	return f, nil
}

func (f *looseFS) add(h plumbing.Hash) { f.objects[h] = true }

// Open opens a file; an object that is not there costs nothing.
func (f *looseFS) Open(name string) (billy.File, error) {
	if rest, ok := strings.CutPrefix(name, "objects/"); ok && len(rest) == hexHashSize+1 && rest[2] == '/' {
		if hash := rest[:2] + rest[3:]; plumbing.IsHash(hash) && !f.objects[plumbing.NewHash(hash)] {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
	}
	return f.Filesystem.Open(name)
}
