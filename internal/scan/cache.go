package scan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
)

const (
	cacheFolder   = "scan"
	indexFile     = "index"
	platformsFile = "platforms"
	tagsPrefix    = "tags-"
	tempPrefix    = "new-"

	// cacheFormat is the first word of each file; another one is another
	// version's, and thrown away.
	cacheFormat = "towpath-scan-1"

	maxIndexFile = 64 << 20 // bytes
	maxTagsFile  = 64 << 20 // bytes
	maxTags      = 1_000_000
)

// cache is the memory on disk: one small index, one file of platforms, and one
// file of tags per image. A file is a line with its format and checksum, then
// JSON; it is replaced as a whole or not at all.
type cache struct {
	dir    string // "": there is none
	logger *slog.Logger
	saving sync.Mutex // held while the index is written, so that an older one never replaces a newer
}

// tagsOf is a file of tags.
type tagsOf struct {
	Repo    string           `json:"repo"` // canonical
	At      time.Time        `json:"at"`
	Listing registry.Listing `json:"listing"`
}

// builtFor is a line of the file of platforms.
type builtFor struct {
	Digest    image.Digest     `json:"digest"`
	Platforms []image.Platform `json:"platforms"`
}

// newCache opens the folder. Without one that can be written nothing is kept.
func newCache(dir string, logger *slog.Logger) *cache {
	c := &cache{logger: logger}
	if dir == "" {
		return c
	}
	dir = filepath.Join(dir, cacheFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		logger.Warn("listings are not kept over a restart", "error", err)
		return c
	}
	c.dir = dir
	c.sweep()
	return c
}

// sweep throws away what is not ours, or was left half-written.
func (c *cache) sweep() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.logger.Warn("cache of listings not read", "error", err)
		return
	}
	for _, e := range entries {
		name := e.Name()
		ours := name == indexFile || name == platformsFile || strings.HasPrefix(name, tagsPrefix)
		if e.Type().IsRegular() && ours || e.IsDir() {
			continue
		}
		if !strings.HasPrefix(name, tempPrefix) {
			c.logger.Warn("foreign file thrown away", "file", filepath.Join(c.dir, name))
		}
		_ = os.Remove(filepath.Join(c.dir, name)) // the next start tries again
	}
}

// index is what is remembered of every image, without its tags. Files of tags
// that it has not known for long are thrown away.
func (c *cache) index() map[string]memory {
	var read map[string]memory
	if c.read(indexFile, maxIndexFile, &read) {
		c.orphans(read)
	}
	out := make(map[string]memory, len(read))
	for key, mem := range read {
		repo, err := image.ParseRepo(key)
		if err != nil || repo.Canonical() != key {
			c.logger.Warn("cache names what is no image", "image", key)
			continue
		}
		out[key] = mem.sound()
	}
	return out
}

// orphans removes the files of tags that were left long before the index was
// written: one that is newer may be on its way into it.
func (c *cache) orphans(index map[string]memory) {
	known := map[string]bool{}
	for key := range index {
		known[tagsName(key)] = true
	}
	at, err := os.Stat(filepath.Join(c.dir, indexFile))
	if err != nil {
		return // gone meanwhile
	}
	names, _ := filepath.Glob(filepath.Join(c.dir, tagsPrefix+"*")) // the pattern is good
	for _, name := range names {
		if info, err := os.Lstat(name); err == nil && !known[filepath.Base(name)] && at.ModTime().Sub(info.ModTime()) > keepUnwanted {
			_ = os.Remove(name) // the next start tries again
		}
	}
}

// sound is m without what could not have been written by us.
func (m memory) sound() memory {
	for tag, f := range m.Facts {
		if f.Digest == "" && f.Err != "" {
			continue
		}
		if _, err := image.ParseDigest(string(f.Digest)); err != nil {
			delete(m.Facts, tag)
		}
	}
	if m.Doubt != nil && m.Doubt.Tags < 0 {
		m.Doubt = nil
	}
	return m
}

func (c *cache) platforms() []builtFor {
	var read []builtFor
	c.read(platformsFile, maxIndexFile, &read)
	out := make([]builtFor, 0, len(read))
	for _, b := range read {
		if _, err := image.ParseDigest(string(b.Digest)); err == nil {
			out = append(out, b)
		}
	}
	return out
}

// load adds the tags of an image to what the index knew of it.
func (c *cache) load(key string, m memory) memory {
	var f tagsOf
	name := tagsName(key)
	if !c.read(name, maxTagsFile, &f) {
		return m.untold()
	}
	if f.Repo != key || f.At.IsZero() || len(f.Listing.Tags) > maxTags {
		c.throw(name, errors.New("it is not of "+key))
		return m.untold()
	}
	pages := 0
	for _, p := range f.Listing.Pages {
		pages += max(0, p.Tags)
	}
	if pages != len(f.Listing.Tags) {
		f.Listing.Pages = nil // no ETag is sent for what does not fit
	}
	m.Good = f.Listing
	m.Good.Tags = compact(f.Listing.Tags)
	if f.At.After(m.At) {
		m.At = f.At
	}
	return m
}

// untold is m when its tags are lost: it is asked at once, unless the registry
// asked to be left alone.
func (m memory) untold() memory {
	m.At, m.Doubt, m.Facts = time.Time{}, nil, nil
	m.Emptied, m.Gone = time.Time{}, nil
	if m.Err == "" {
		m.Asked = time.Time{}
	}
	return m
}

// put keeps the tags of an image.
func (c *cache) put(key string, m memory) {
	c.write(tagsName(key), tagsOf{Repo: key, At: m.At, Listing: m.Good})
}

func (c *cache) remove(key string) {
	if c.dir != "" {
		_ = os.Remove(filepath.Join(c.dir, tagsName(key))) // not there, or swept when it is foreign
	}
}

// tagsName is the file of an image: its name may hold what no file name can.
func tagsName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return tagsPrefix + hex.EncodeToString(sum[:16])
}

// save writes the index and the platforms when they changed.
func (s *Scanner) save() {
	s.cache.saving.Lock()
	defer s.cache.saving.Unlock()
	s.mu.Lock()
	var index map[string]memory
	var platforms []builtFor
	if s.dirty {
		index = make(map[string]memory, len(s.records))
		for key, r := range s.records {
			index[key] = r.mem
		}
	}
	if s.built.dirty {
		for _, d := range s.built.order {
			platforms = append(platforms, builtFor{d, s.built.by[d]})
		}
	}
	s.dirty, s.built.dirty = false, false
	s.mu.Unlock()
	if index != nil {
		s.cache.write(indexFile, index)
	}
	if platforms != nil {
		s.cache.write(platformsFile, platforms)
	}
}

// read fills v from a file. What cannot be read is thrown away: it is a cache.
func (c *cache) read(name string, most int64, v any) bool {
	if c.dir == "" {
		return false
	}
	data, err := readFile(filepath.Join(c.dir, name), most)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err == nil {
		err = unpack(data, v)
	}
	if err != nil {
		c.throw(name, err)
		return false
	}
	return true
}

func (c *cache) throw(name string, err error) {
	c.logger.Warn("cached listing thrown away", "file", filepath.Join(c.dir, name), "error", err)
	_ = os.Remove(filepath.Join(c.dir, name)) // it is thrown away again at the next start
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("larger than %d bytes", most)
	}
	return data, err
}

// write replaces a file. A cache that cannot be written costs requests after a
// restart, and nothing now.
func (c *cache) write(name string, v any) {
	if c.dir == "" {
		return
	}
	if err := c.replace(name, v); err != nil {
		c.logger.Warn("listing not kept", "file", filepath.Join(c.dir, name), "error", err)
	}
}

func (c *cache) replace(name string, v any) error {
	data, err := pack(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil { // somebody deleted it, which is allowed
		return err
	}
	f, err := os.CreateTemp(c.dir, tempPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(c.dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// pack is a file's content: format, checksum and JSON.
func pack(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return append(fmt.Appendf(nil, "%s %x\n", cacheFormat, sum), body...), nil
}

// unpack checks a file's content and reads it into v.
func unpack(data []byte, v any) error {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	format, sum, _ := strings.Cut(string(head), " ")
	if format != cacheFormat {
		return errors.New("not a file of this version")
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != sum {
		return errors.New("its checksum is wrong")
	}
	return json.Unmarshal(body, v)
}
