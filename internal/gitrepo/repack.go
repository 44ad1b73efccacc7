package gitrepo

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // Git's own checksum of a pack, no protection
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// repack puts the objects of all packs but the largest, and those outside packs,
// into one pack, an object at a time.
func (s *store) repack() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := smallPacks(s.dir)
	if err != nil {
		return err
	}
	wanted := map[plumbing.Hash]bool{}
	for _, base := range old {
		if err := packed(base+".idx", wanted); err != nil {
			return err
		}
	}
	var loose []plumbing.Hash
	for h := range s.loose.objects {
		wanted[h] = true
		loose = append(loose, h)
	}
	hashes := make([]plumbing.Hash, 0, len(wanted))
	for h := range wanted {
		hashes = append(hashes, h)
	}
	plumbing.HashesSort(hashes)
	f, err := os.CreateTemp(packDir(s.dir), "tmp_repack_")
	if err != nil {
		return fmt.Errorf("pack git cache: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := s.encode(f, hashes); err != nil {
		return fmt.Errorf("pack git cache: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("pack git cache: %w", err)
	}
	before := countPacks(s.dir)
	if err := s.addPackLocked(f); err != nil {
		return fmt.Errorf("pack git cache: %w", err)
	}
	if countPacks(s.dir) == before {
		return nil // the same pack was there already
	}
	for _, base := range old {
		err = errors.Join(err, os.Remove(base+".idx"), os.Remove(base+".pack"))
	}
	for _, h := range loose {
		err = errors.Join(err, os.Remove(loosePath(s.dir, h)))
	}
	return errors.Join(err, s.reopen())
}

func loosePath(dir string, h plumbing.Hash) string {
	return filepath.Join(dir, "objects", h.String()[:2], h.String()[2:])
}

// smallPacks lists all packs but the largest, without their endings.
func smallPacks(dir string) ([]string, error) {
	names := matching(packDir(dir), "*.pack")
	var largest int64 = -1
	skip := ""
	for _, n := range names {
		st, err := os.Stat(n)
		if err != nil {
			return nil, fmt.Errorf("list packs: %w", err)
		}
		if st.Size() > largest {
			largest, skip = st.Size(), n
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == skip })
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, ".pack")
	}
	return names, nil
}

// packed adds the objects that an index lists.
func packed(index string, into map[plumbing.Hash]bool) (err error) {
	f, err := os.Open(index)
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	idx := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(idx); err != nil {
		return fmt.Errorf("read index %s: %w", filepath.Base(index), err)
	}
	entries, err := idx.Entries()
	if err != nil {
		return fmt.Errorf("read index %s: %w", filepath.Base(index), err)
	}
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read index %s: %w", filepath.Base(index), err)
		}
		into[e.Hash] = true
	}
}

// encode writes a pack without deltas: every server reads it, also one that
// knows no thin packs, and nothing is held in memory but one object. The caller
// holds mu.
func (s *store) encode(w io.Writer, hashes []plumbing.Hash) error {
	out := &summed{w: bufio.NewWriter(w), sum: sha1.New()} //nolint:gosec // see above
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(hashes)))
	if _, err := out.Write(head); err != nil {
		return err
	}
	z := zlib.NewWriter(out)
	for _, h := range hashes {
		s.count++
		o, err := s.fs.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return fmt.Errorf("read object %s: %w", h, err)
		}
		if _, err := out.Write(objectHead(o.Type(), o.Size())); err != nil {
			return err
		}
		z.Reset(out)
		if err := copyObject(z, o); err != nil {
			return fmt.Errorf("pack object %s: %w", h, err)
		}
		if err := z.Close(); err != nil {
			return err
		}
	}
	if _, err := out.w.Write(out.sum.Sum(nil)); err != nil {
		return err
	}
	return out.w.Flush()
}

// copyObject writes the content of an object, which must be what its hash says.
func copyObject(w io.Writer, o plumbing.EncodedObject) error {
	r, err := o.Reader()
	if err != nil {
		return err
	}
	h := plumbing.NewHasher(o.Type(), o.Size())
	_, err = io.Copy(io.MultiWriter(w, h), r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if h.Sum() != o.Hash() {
		return errors.New("content does not match its hash")
	}
	return nil
}

// objectHead is the header of an object in a pack: type and size, seven bits a
// byte, but four in the first.
func objectHead(t plumbing.ObjectType, size int64) []byte {
	b := []byte{byte(t)<<4 | byte(size&0x0f)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	return b
}

// summed adds up what goes through it.
type summed struct {
	w   *bufio.Writer
	sum hash.Hash
}

func (s *summed) Write(p []byte) (int, error) {
	s.sum.Write(p) // never fails
	return s.w.Write(p)
}

// pack is encode into memory, for a push: its objects are few and small.
func (s *store) pack(hashes []plumbing.Hash) (*bytes.Buffer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	if err := s.encode(&b, hashes); err != nil {
		return nil, fmt.Errorf("pack %d objects: %w", len(hashes), err)
	}
	return &b, nil
}
