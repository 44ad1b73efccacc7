package promote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// spentError is why a tree is not read to its end.
type spentError string

func (e spentError) Error() string { return string(e) }

func errLate() error { return spentError(fmt.Sprintf("checking it takes longer than %v", maxTreeTime)) }

// isSpent reports whether an error says that a tree is too much.
func isSpent(err error) bool {
	var e spentError
	return errors.As(err, &e)
}

// budget is how much of one tree is read.
type budget struct {
	bytes   int64 // each reading counted
	marked  int64 // those of them in files that may hold a marker, which are parsed
	entries int64 // of folders, each listing counted
}

// meter is a file system of which no more than a budget is read. Once it is spent,
// every call fails, so that whoever reads on comes to the end at once.
type meter struct {
	fsys                   fs.FS
	budget                 budget
	bytes, marked, entries int64        // that were read
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
	return &meter{fsys: fsys, budget: budget{math.MaxInt64, math.MaxInt64, math.MaxInt64}, over: ctx.Err}
}

// take counts what is about to be read: bytes of files, entries of folders.
func (m *meter) take(op, name string, bytes, entries int64) error {
	if m.spent == nil {
		m.spent = m.over()
	}
	m.bytes += bytes
	m.entries += entries
	if (m.bytes > m.budget.bytes || m.entries > m.budget.entries) && m.spent == nil {
		m.spent = spentError(fmt.Sprintf("it holds more than %d MiB or %d files that would have to be read", m.budget.bytes>>20, m.budget.entries))
	}
	if m.spent != nil {
		return &fs.PathError{Op: op, Path: name, Err: m.spent}
	}
	return nil
}

// parse counts a file that will be parsed.
func (m *meter) parse(name string, size int) error {
	if m.marked += int64(size); m.marked > m.budget.marked && m.spent == nil {
		m.spent = spentError(fmt.Sprintf("more than %d MiB of its files hold markers", m.budget.marked>>20))
	}
	return m.take("parse", name, 0, 0)
}

func (m *meter) Open(name string) (fs.File, error) {
	info, err := fs.Lstat(m.fsys, name)
	if err == nil && info.Mode().IsRegular() {
		err = m.take("open", name, info.Size(), 0)
	}
	if err != nil {
		return nil, err
	}
	return m.fsys.Open(name)
}

func (m *meter) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(m.fsys, name)
	return entries, errors.Join(err, m.take("readdir", name, 0, int64(len(entries))+1))
}

func (m *meter) Stat(name string) (fs.FileInfo, error) {
	if err := m.take("stat", name, 0, 0); err != nil {
		return nil, err
	}
	return fs.Stat(m.fsys, name)
}

func (m *meter) Lstat(name string) (fs.FileInfo, error) {
	if err := m.take("lstat", name, 0, 0); err != nil {
		return nil, err
	}
	return fs.Lstat(m.fsys, name)
}

func (m *meter) ReadLink(name string) (string, error) {
	if err := m.take("readlink", name, 0, 0); err != nil {
		return "", err
	}
	return fs.ReadLink(m.fsys, name)
}
