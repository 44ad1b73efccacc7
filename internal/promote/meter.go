package promote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// Why a tree is not read to its end.
var (
	errSpent  = fmt.Errorf("it holds more than %d MiB or %d files that would have to be read", maxLintBytes>>20, maxLintEntries)
	errMarked = fmt.Errorf("more than %d MiB of its files hold markers", maxLintMarked>>20)
	errLate   = fmt.Errorf("checking it takes longer than %v", maxTreeTime)
)

// isSpent reports whether an error says that a tree is too much.
func isSpent(err error) bool {
	return errors.Is(err, errSpent) || errors.Is(err, errMarked) || errors.Is(err, errLate)
}

// meter is a file system of which no more than so much is read. Once it is spent,
// every call fails, so that whoever reads on comes to the end at once.
type meter struct {
	fsys                   fs.FS
	bytes, marked, entries int64        // that may still be read
	over                   func() error // why no more is to be read from now on
	spent                  error        // why nothing is read any more
}

var (
	_ fs.ReadDirFS  = (*meter)(nil)
	_ fs.StatFS     = (*meter)(nil)
	_ fs.ReadLinkFS = (*meter)(nil)
)

// Within is a file system that ends with its context: then every call fails. Its
// reader must ask the context in the end, as what could not be read may be left
// out of a result.
func Within(ctx context.Context, fsys fs.FS) fs.FS {
	return &meter{fsys: fsys, bytes: math.MaxInt64, marked: math.MaxInt64, entries: math.MaxInt64, over: ctx.Err}
}

// take counts what is about to be read.
func (m *meter) take(op, name string, from *int64, n int64) error {
	if m.spent == nil {
		m.spent = m.over()
	}
	if *from -= n; *from < 0 && m.spent == nil {
		m.spent = errSpent
	}
	if m.spent != nil {
		return &fs.PathError{Op: op, Path: name, Err: m.spent}
	}
	return nil
}

// parse counts a file that will be parsed.
func (m *meter) parse(name string, size int) error {
	if m.marked -= int64(size); m.marked < 0 && m.spent == nil {
		m.spent = errMarked
	}
	return m.take("parse", name, &m.bytes, 0)
}

func (m *meter) Open(name string) (fs.File, error) {
	info, err := fs.Lstat(m.fsys, name)
	if err == nil && info.Mode().IsRegular() {
		err = m.take("open", name, &m.bytes, info.Size())
	}
	if err != nil {
		return nil, err
	}
	return m.fsys.Open(name)
}

func (m *meter) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(m.fsys, name)
	return entries, errors.Join(err, m.take("readdir", name, &m.entries, int64(len(entries))+1))
}

func (m *meter) Stat(name string) (fs.FileInfo, error) {
	if err := m.take("stat", name, &m.bytes, 0); err != nil {
		return nil, err
	}
	return fs.Stat(m.fsys, name)
}

func (m *meter) Lstat(name string) (fs.FileInfo, error) {
	if err := m.take("lstat", name, &m.bytes, 0); err != nil {
		return nil, err
	}
	return fs.Lstat(m.fsys, name)
}

func (m *meter) ReadLink(name string) (string, error) {
	if err := m.take("readlink", name, &m.bytes, 0); err != nil {
		return "", err
	}
	return fs.ReadLink(m.fsys, name)
}
