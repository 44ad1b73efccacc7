package gitrepo

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"sort"
	"time"
)

// FS returns the read-only tree as an fs.FS that is also an fs.StatFS,
// fs.ReadDirFS, fs.ReadFileFS and fs.ReadLinkFS. Times are zero: Git stores
// none. Symbolic links and submodules are listed, with fs.ModeSymlink and
// fs.ModeIrregular; opening them, or anything through them, is an error, and so
// is a file larger than MaxFileSize. Where a link leads can be read, of at most
// maxLink bytes.
func (s Snapshot) FS() fs.FS { return treeFS{s} }

type treeFS struct{ snap Snapshot }

var (
	_ fs.StatFS     = treeFS{}
	_ fs.ReadDirFS  = treeFS{}
	_ fs.ReadFileFS = treeFS{}
	_ fs.ReadLinkFS = treeFS{}
)

// Object is what Sys of a FileInfo or DirEntry of a Snapshot's FS returns: what is
// there, without reading it. Equal Objects are equal content, of equal kind.
type Object struct {
	Hash [20]byte
	Mode uint32 // as Git writes it: 0o100644
}

// ObjectOf returns what a FileInfo or DirEntry is of; false when it is none of a
// Snapshot's.
func ObjectOf(e any) (Object, bool) {
	s, ok := e.(interface{ Sys() any })
	if !ok {
		return Object{}, false
	}
	o, ok := s.Sys().(Object)
	return o, ok
}

// maxLink is the length in bytes of the longest target of a link that is read,
// which is Linux's limit for a path.
const maxLink = 4096

func (f treeFS) entry(op, name string) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, err := f.snap.find(name)
	if err != nil {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return e, nil
}

func (f treeFS) Open(name string) (fs.File, error) {
	e, err := f.entry("open", name)
	if err != nil {
		return nil, err
	}
	info := info{f.snap, e}
	switch {
	case e.isDir():
		list, err := f.list(e)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openDir{info: info, list: list}, nil
	case e.isFile():
		data, err := f.snap.blob(e, f.snap.repo.c.MaxFileSize)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openFile{Reader: bytes.NewReader(data), info: info}, nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: errSpecial(e)}
}

func (f treeFS) Stat(name string) (fs.FileInfo, error) {
	e, err := f.entry("stat", name)
	if err != nil {
		return nil, err
	}
	if !e.isDir() && !e.isFile() {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: errSpecial(e)}
	}
	i := info{f.snap, e}
	if _, err := i.size(); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return i, nil
}

// Lstat is Stat, but of a link or submodule itself.
func (f treeFS) Lstat(name string) (fs.FileInfo, error) {
	e, err := f.entry("lstat", name)
	if err != nil {
		return nil, err
	}
	return info{f.snap, e}, nil
}

// ReadLink returns where a symbolic link leads, as it is written.
func (f treeFS) ReadLink(name string) (string, error) {
	e, err := f.entry("readlink", name)
	switch {
	case err != nil:
		return "", err
	case !e.isLink():
		err = errors.New("is no symbolic link")
	default:
		var data []byte
		if data, err = f.snap.blob(e, maxLink); err == nil {
			return string(data), nil
		}
	}
	return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
}

func (f treeFS) ReadFile(name string) ([]byte, error) {
	e, err := f.entry("read", name)
	switch {
	case err != nil:
		return nil, err
	case e.isDir():
		err = errors.New("is a directory")
	case !e.isFile():
		err = errSpecial(e)
	default:
		var data []byte
		if data, err = f.snap.blob(e, f.snap.repo.c.MaxFileSize); err == nil {
			return data, nil
		}
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: err}
}

func (f treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := f.entry("readdir", name)
	if err != nil {
		return nil, err
	}
	if !e.isDir() {
		err = errors.New("is not a directory")
		if !e.isFile() {
			err = errSpecial(e)
		}
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	list, err := f.list(e)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return list, nil
}

// list returns a directory sorted by name, which is not Git's order.
func (f treeFS) list(e entry) ([]fs.DirEntry, error) {
	t, err := f.snap.tree(e.hash)
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, 0, len(t.entries))
	for _, e := range t.entries {
		out = append(out, info{f.snap, e})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}

// info is both fs.FileInfo and fs.DirEntry of an entry.
type info struct {
	snap  Snapshot
	entry entry
}

func (i info) Name() string               { return i.entry.name }
func (i info) IsDir() bool                { return i.entry.isDir() }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) ModTime() time.Time         { return time.Time{} }
func (i info) Sys() any                   { return Object{i.entry.hash, uint32(i.entry.mode)} }
func (i info) String() string             { return fs.FormatDirEntry(i) }
func (i info) Size() int64                { n, _ := i.size(); return n }
func (i info) Info() (fs.FileInfo, error) { _, err := i.size(); return i, err }

// size is 0 for everything but a file.
func (i info) size() (int64, error) {
	if !i.entry.isFile() {
		return 0, nil
	}
	st, err := i.snap.current()
	if err != nil {
		return 0, err
	}
	n, err := st.blobSize(i.entry.hash)
	if err != nil {
		return 0, i.snap.repo.broken(st, err)
	}
	return n, nil
}

func (i info) Mode() fs.FileMode {
	switch {
	case i.entry.isDir():
		return fs.ModeDir | 0o555
	case i.entry.isFile():
		return 0o444 | fs.FileMode(i.entry.mode)&0o111
	case i.entry.isLink():
		return fs.ModeSymlink | 0o444
	}
	return fs.ModeIrregular
}

// openFile is a file held in memory.
type openFile struct {
	*bytes.Reader
	info info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

// openDir is a directory being read.
type openDir struct {
	info info
	list []fs.DirEntry
	at   int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: errors.New("is a directory")}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.list[d.at:]
	if n <= 0 {
		d.at = len(d.list)
		return rest, nil
	}
	if len(rest) == 0 {
		return nil, io.EOF
	}
	rest = rest[:min(n, len(rest))]
	d.at += len(rest)
	return rest, nil
}
