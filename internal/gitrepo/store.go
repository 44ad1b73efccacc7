package gitrepo

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Limits of what is kept in memory.
const (
	objectCacheBytes = 8 << 20  // objects as they are read; bases of deltas are most of it
	maxCachedEntries = 400_000  // entries of decoded trees, about 60 bytes each; all are dropped when there are more
	maxTreeBytes     = 64 << 20 // one tree or commit object
)

// store is the object database of a cache folder. go-git's storage is not safe
// for several goroutines, so every access holds mu.
type store struct {
	dir string

	mu      sync.Mutex
	fs      *filesystem.Storage
	loose   *looseFS
	trees   map[plumbing.Hash]*tree
	entries int // of all trees
	count   int // objects read
}

func openStore(dir string) (*store, error) {
	s := &store{dir: dir, trees: map[plumbing.Hash]*tree{}}
	err := s.reopen()
	return s, err
}

// reopen forgets what is known of the files. The caller holds mu, or nobody else
// has the store.
func (s *store) reopen() error {
	if s.fs != nil {
		_ = s.fs.Close() // only read
	}
	loose, err := newLooseFS(s.dir)
	if err != nil {
		return fmt.Errorf("open git cache: %w", err)
	}
	// A descriptor per pack stays open: opening a pack for each object costs
	// more than reading it.
	s.loose = loose
	s.fs = filesystem.NewStorageWithOptions(loose, cache.NewObjectLRU(objectCacheBytes),
		filesystem.Options{KeepDescriptors: true})
	return nil
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fs.Close()
}

// reads is how many objects were read.
func (s *store) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// has reports whether the object is there, without reading it.
func (s *store) has(h plumbing.Hash) bool { return s.lacks(h) == nil }

// lacks says why the object cannot be read, as far as that shows without reading it.
func (s *store) lacks(h plumbing.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fs.HasEncodedObject(h)
}

// read returns the bytes of an object of at most limit bytes; errTooLarge otherwise.
func (s *store) read(t plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readLocked(t, h, limit)
}

// errTooLarge carries the size of an object that is over a limit.
type errTooLarge struct{ size, limit int64 }

func (e errTooLarge) Error() string {
	return fmt.Sprintf("%d bytes are more than the limit of %d", e.size, e.limit)
}

func (s *store) readLocked(t plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	s.count++
	// Only small objects are unpacked by this; of others it tells the size.
	o, err := s.fs.EncodedObject(t, h)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", t, h, err)
	}
	size := o.Size()
	if size > limit {
		return nil, errTooLarge{size, limit}
	}
	r, err := o.Reader()
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", t, h, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", t, h, err)
	}
	if int64(len(data)) != size || plumbing.ComputeHash(t, data) != h {
		return nil, fmt.Errorf("read %s %s: content does not match its hash", t, h)
	}
	return data, nil
}

// blobSize returns the size of a blob without unpacking it.
func (s *store) blobSize(h plumbing.Hash) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.fs.EncodedObjectSize(h)
	if err != nil {
		return 0, fmt.Errorf("read blob %s: %w", h, err)
	}
	return n, nil
}

// emptyTree is the hash of the tree without entries; Git knows it without an object.
var emptyTree = plumbing.ComputeHash(plumbing.TreeObject, nil)

func (s *store) tree(h plumbing.Hash) (*tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.trees[h]; t != nil {
		return t, nil
	}
	var data []byte
	var err error
	if h != emptyTree {
		if data, err = s.readLocked(plumbing.TreeObject, h, maxTreeBytes); err != nil {
			return nil, err
		}
	}
	t, err := decodeTree(h, data)
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", h, err)
	}
	if s.entries += len(t.entries) + 1; s.entries > maxCachedEntries {
		clear(s.trees)
		s.entries = len(t.entries) + 1
	}
	s.trees[h] = t
	return t, nil
}

func (s *store) commit(h plumbing.Hash) (*object.Commit, error) {
	data, err := s.read(plumbing.CommitObject, h, maxTreeBytes)
	if err != nil {
		return nil, err
	}
	o := &plumbing.MemoryObject{}
	o.SetType(plumbing.CommitObject)
	_, _ = o.Write(data) // a MemoryObject never fails to take bytes
	c := &object.Commit{}
	if err := c.Decode(o); err != nil {
		return nil, fmt.Errorf("read commit %s: %w", h, err)
	}
	return c, nil
}

// put writes an object unless it is there, and reports whether it wrote.
func (s *store) put(t plumbing.ObjectType, data []byte) (plumbing.Hash, bool, error) {
	h := plumbing.ComputeHash(t, data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fs.HasEncodedObject(h) == nil {
		return h, false, nil
	}
	o := &plumbing.MemoryObject{}
	o.SetType(t)
	_, _ = o.Write(data) // a MemoryObject never fails to take bytes
	if _, err := s.fs.SetEncodedObject(o); err != nil {
		return h, false, errors.Join(fmt.Errorf("write %s %s: %w", t, h, err), sweepPack(s.dir))
	}
	s.loose.add(h)
	return h, true, nil
}

// addPack stores a received pack with its index, or nothing of it.
func (s *store) addPack(r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addPackLocked(r)
}

func (s *store) addPackLocked(r io.Reader) error {
	err := packfile.UpdateObjectStorage(s.fs, r)
	if err == nil || errors.Is(err, packfile.ErrEmptyPackfile) {
		return nil
	}
	return errors.Join(err, sweepPack(s.dir), s.reopen())
}
