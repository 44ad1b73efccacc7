package promote

import (
	"errors"
	"io/fs"
	"log/slog"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// What is kept of files, each in two generations: when the younger is full, the
// older is forgotten.
const (
	maxPlain  = 250_000  // hashes of files with nothing in them
	maxParsed = 20_000   // files that hold something …
	maxHeld   = 32 << 20 // … and their bytes
)

// appFile is what a file of an app holds.
type appFile struct {
	file      patch.File // only with markers
	markers   []patch.Marker
	skipped   []patch.Skipped // of markers, or of the whole file
	misplaced []policy.Problem
}

// plain reports whether nothing is in it that anybody looks for, wherever it lies.
func (f appFile) plain() bool { return len(f.markers)+len(f.skipped)+len(f.misplaced) == 0 }

// lasting reports whether another reading of the same bytes gives the same.
func (f appFile) lasting() bool {
	for _, k := range f.skipped {
		if k.Verdict == patch.NotRead {
			return false
		}
	}
	return true
}

// readAppFile reads a file of an app of an environment.
func readAppFile(fsys fs.FS, env, p string) appFile {
	f, k := readFile(fsys, p)
	if k != nil {
		return appFile{skipped: []patch.Skipped{*k}}
	}
	out := appFile{misplaced: documents(env, f)}
	out.markers, out.skipped = patch.Markers(f)
	if len(out.markers) > 0 {
		out.file = f
	}
	return out
}

// blobs remembers what files hold by what Git calls their bytes, so that a file
// is read once whatever commits, branches and folders it is in. It never says
// anything that reading would not say. Not safe for concurrent use.
type blobs struct {
	file   string // where the plain ones are kept over a restart; "" = nowhere
	logger *slog.Logger
	loaded bool
	news   bool // plain ones that the file lacks

	plain, oldPlain   map[[20]byte]struct{}
	parsed, oldParsed map[blobAt]appFile
	held              int // bytes of the files of parsed
}

// blobAt is a file's bytes at a place: verdicts and markers name it.
type blobAt struct {
	env, path string
	hash      [20]byte
}

// read is readAppFile, from memory where that knows. A nil receiver knows nothing.
func (b *blobs) read(fsys fs.FS, env, p string) appFile {
	if b == nil {
		return readAppFile(fsys, env, p)
	}
	info, err := fs.Lstat(fsys, p)
	if err != nil || !info.Mode().IsRegular() {
		return readAppFile(fsys, env, p)
	}
	o, ok := gitrepo.ObjectOf(info)
	if !ok {
		return readAppFile(fsys, env, p)
	}
	b.load()
	if b.isPlain(o.Hash) {
		return appFile{}
	}
	at := blobAt{env, p, o.Hash}
	if f, known := b.parsedAt(at); known {
		return f
	}
	f := readAppFile(fsys, env, p)
	switch {
	case f.plain():
		b.addPlain(o.Hash)
		b.news = true
	case f.lasting():
		b.addParsed(at, f)
	}
	return f
}

func (b *blobs) isPlain(h [20]byte) bool {
	if _, ok := b.plain[h]; ok {
		return true
	}
	_, ok := b.oldPlain[h]
	if ok {
		b.addPlain(h)
	}
	return ok
}

func (b *blobs) addPlain(h [20]byte) {
	if len(b.plain) >= maxPlain {
		b.plain, b.oldPlain = nil, b.plain
	}
	if b.plain == nil {
		b.plain = map[[20]byte]struct{}{}
	}
	b.plain[h] = struct{}{}
	delete(b.oldPlain, h)
}

func (b *blobs) parsedAt(at blobAt) (appFile, bool) {
	if f, ok := b.parsed[at]; ok {
		return f, true
	}
	f, ok := b.oldParsed[at]
	if ok {
		b.addParsed(at, f)
	}
	return f, ok
}

func (b *blobs) addParsed(at blobAt, f appFile) {
	if len(b.parsed) >= maxParsed || b.held >= maxHeld {
		b.parsed, b.oldParsed, b.held = nil, b.parsed, 0
	}
	if b.parsed == nil {
		b.parsed = map[blobAt]appFile{}
	}
	b.parsed[at] = f
	b.held += len(f.file.Data)
	delete(b.oldParsed, at)
}

// load reads the file once; what is in it that is not ours is as if it were not
// there.
func (b *blobs) load() {
	if b.loaded || b.file == "" {
		return
	}
	b.loaded = true
	hashes, err := readPlain(b.file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.logger.Warn("what was known of files is not used, and found anew", "file", b.file, "reason", err.Error())
		}
		return
	}
	if b.oldPlain == nil {
		b.oldPlain = make(map[[20]byte]struct{}, len(hashes))
	}
	for _, h := range hashes {
		b.oldPlain[h] = struct{}{}
	}
}

// save writes the file when there is news. A failure costs the next process the
// reading of all files, and is said.
func (b *blobs) save() {
	if !b.news || b.file == "" {
		return
	}
	b.news = false
	hashes := make([][20]byte, 0, len(b.plain)+len(b.oldPlain))
	for h := range b.plain {
		hashes = append(hashes, h)
	}
	for h := range b.oldPlain {
		hashes = append(hashes, h)
	}
	if err := writePlain(b.file, hashes); err != nil {
		b.logger.Warn("what is known of files is not kept", "file", b.file, "reason", err.Error())
	}
}
