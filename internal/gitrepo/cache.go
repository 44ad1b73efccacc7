package gitrepo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Limits and names of the cache folder.
const (
	maxSlots    = 64                // processes on one Config.Dir at a time
	maxPacks    = 64                // a cache with more packs is packed anew …
	maxLoose    = 10_000            // … and one with more objects outside packs
	markerFile  = "towpath-cache"   // written last: a cache without it is half built
	markerText  = "towpath cache 1" // followed by the URL
	refPrefix   = "refs/origin/"    // the remote's refs/heads/x is refs/origin/heads/x here
	seenPrefix  = "refs/seen/"      // the head of a base branch that was seen last
	packedRefs  = "packed-refs"
	hexHashSize = 40
)

// Canonical returns the URL that is one for all ways to name a repository from
// here: without user information, a path made absolute. Caches are kept by it.
func Canonical(url string) (string, error) {
	r, err := parseRemote(url)
	if err != nil {
		return "", err
	}
	return r.shown, nil
}

// slot is the part of Config.Dir that this Repo owns: a lock and a folder.
type slot struct {
	lock *os.File
	dir  string
}

// takeSlot locks the first free slot of dir.
func takeSlot(dir string) (*slot, error) {
	if dir == "" {
		return nil, errors.New("no folder for the git cache is given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make git cache folder: %w", err)
	}
	for i := range maxSlots {
		name := filepath.Join(dir, fmt.Sprintf("clone-%d", i))
		f, ok, err := lockFile(name + ".lock")
		if err != nil {
			return nil, fmt.Errorf("lock git cache: %w", err)
		}
		if ok {
			return &slot{lock: f, dir: name}, nil
		}
	}
	return nil, fmt.Errorf("git cache %s: all %d places are in use by other processes", dir, maxSlots)
}

func (s *slot) release() error { return s.lock.Close() }

// initCache makes a bare repository without objects in an empty or new folder.
func initCache(dir string) error {
	for _, d := range []string{"objects/pack", "objects/info", "refs/heads"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return fmt.Errorf("make git cache: %w", err)
		}
	}
	files := map[string]string{
		"HEAD":   "ref: refs/heads/main\n",
		"config": "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("make git cache: %w", err)
		}
	}
	return nil
}

// writeMarker says that the cache is whole and whose it is.
func writeMarker(dir, url string) error {
	return os.WriteFile(filepath.Join(dir, markerFile), []byte(markerText+"\n"+url+"\n"), 0o600)
}

// errNoCache: there is none, which is no damage.
var errNoCache = errors.New("there is no cache yet")

// checkCache says why the folder cannot be used as the cache of url: nil means
// it can, errNoCache that there is none. It reads no object; a hole in the
// history is found when something reads there.
func checkCache(dir, url string) error {
	marker, err := os.ReadFile(filepath.Join(dir, markerFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := os.Stat(dir); errors.Is(serr, fs.ErrNotExist) {
			return errNoCache
		}
		return errors.New("it is half built or not a cache")
	}
	if err != nil {
		return err
	}
	if string(marker) != markerText+"\n"+url+"\n" {
		return errors.New("it is the cache of another repository or version")
	}
	return checkPacks(packDir(dir))
}

// sweep removes what a killed process left. Only at the start: later such files
// may be in use.
func sweep(dir string) error {
	err := os.RemoveAll(dir + ".new")
	for _, f := range append(matching(packDir(dir), "tmp_*"), matching(dir, "*.lock", "*.new")...) {
		err = errors.Join(err, os.RemoveAll(f))
	}
	return err
}

func packDir(dir string) string { return filepath.Join(dir, "objects", "pack") }

// matching lists the files of a folder whose names match a pattern. The folder's
// own path is none, whatever characters it has. A folder that cannot be read has
// no files.
func matching(dir string, patterns ...string) []string {
	files, _ := os.ReadDir(dir)
	var out []string
	for _, f := range files {
		for _, p := range patterns {
			if ok, _ := path.Match(p, f.Name()); ok { // the patterns are well formed
				out = append(out, filepath.Join(dir, f.Name()))
				break
			}
		}
	}
	return out
}

// sweepPack removes what a pack that could not be stored left behind.
func sweepPack(dir string) error {
	left := matching(packDir(dir), "tmp_pack_*", "tmp_obj_*")
	for _, f := range matching(packDir(dir), "*.idx") {
		if _, err := os.Stat(strings.TrimSuffix(f, "idx") + "pack"); errors.Is(err, fs.ErrNotExist) {
			left = append(left, f)
		}
	}
	var err error
	for _, f := range left {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// checkPacks finds packs that are cut off or without index.
func checkPacks(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	seen := map[string]int{}
	for _, f := range files {
		name := f.Name()
		base, isPack := strings.CutSuffix(name, ".pack")
		if !isPack {
			if base, ok := strings.CutSuffix(name, ".idx"); ok {
				seen[base]++
			}
			continue
		}
		seen[base] += 2
		if err := checkPack(filepath.Join(dir, base)); err != nil {
			return err
		}
	}
	for base, n := range seen {
		if n != 3 {
			return fmt.Errorf("%s lacks its pack or its index", base)
		}
	}
	return nil
}

// checkPack compares the checksum at the end of a pack with the one its index
// holds, which finds a pack that was cut off without reading it.
func checkPack(base string) error {
	const sum = 20
	inPack, err := tail(base+".pack", sum)
	if err != nil {
		return err
	}
	inIndex, err := tail(base+".idx", 2*sum)
	if err != nil {
		return err
	}
	if !bytes.Equal(inPack, inIndex[:sum]) {
		return fmt.Errorf("%s.pack is damaged", filepath.Base(base))
	}
	return nil
}

func tail(path string, n int64) (_ []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < n {
		return nil, fmt.Errorf("%s is cut off", filepath.Base(path))
	}
	b := make([]byte, n)
	_, err = f.ReadAt(b, st.Size()-n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// countPacks returns how many packs the cache has.
func countPacks(dir string) int {
	return len(matching(packDir(dir), "*.pack"))
}

// countLoose estimates the objects outside packs as git gc does: hashes are
// spread evenly, so one of the 256 folders tells.
func countLoose(dir string) int {
	files, _ := os.ReadDir(filepath.Join(dir, "objects", "17"))
	return 256 * len(files)
}

// writeRefs stores what is known of the remote as one packed-refs file, replaced
// at once. Refs that are not followed are not in it.
func writeRefs(dir string, v view) error {
	var lines []string
	for n, h := range v.refs {
		lines = append(lines, fmt.Sprintf("%s%s %s", refPrefix, strings.TrimPrefix(n, "refs/"), h))
	}
	for n, h := range v.seen {
		lines = append(lines, fmt.Sprintf("%s%s %s", seenPrefix, strings.TrimPrefix(n, "refs/"), h))
	}
	sort.Strings(lines)
	var b bytes.Buffer
	b.WriteString("# pack-refs with: sorted\n")
	for _, l := range lines {
		name, hash, _ := strings.Cut(l, " ")
		fmt.Fprintf(&b, "%s %s\n", hash, name)
	}
	tmp := filepath.Join(dir, packedRefs+".new")
	err := os.WriteFile(tmp, b.Bytes(), 0o600)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, packedRefs))
	}
	if err != nil {
		_ = os.Remove(tmp)
		return storeError{fmt.Errorf("store refs in git cache: %w", err)}
	}
	return nil
}

// readRefs is the reverse of writeRefs.
func readRefs(dir string) (refs, seen map[string]plumbing.Hash, err error) {
	data, err := os.ReadFile(filepath.Join(dir, packedRefs))
	if err != nil {
		return nil, nil, err
	}
	refs, seen = map[string]plumbing.Hash{}, map[string]plumbing.Hash{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		into := refs
		hash, full, ok := strings.Cut(line, " ")
		name, isOurs := strings.CutPrefix(full, refPrefix)
		if !isOurs {
			into = seen
			name, isOurs = strings.CutPrefix(full, seenPrefix)
		}
		if !ok || !isOurs || !plumbing.IsHash(hash) || len(hash) != hexHashSize {
			return nil, nil, errors.New("its refs cannot be read")
		}
		into["refs/"+name] = plumbing.NewHash(hash)
	}
	if !bytes.HasSuffix(data, []byte("\n")) {
		return nil, nil, errors.New("its refs are cut off")
	}
	return refs, seen, lines.Err()
}

// lastSeen is what a cache that is not usable still tells: which head of the base
// branch was seen last, if it is one of url. A process that was killed while it
// put a new one in its place left only that.
//
// A place that is new asks the others of the same folder: a base branch that one
// process refuses is not followed by the next because that took another place.
func lastSeen(dir, url string) view {
	places := []string{dir, dir + ".new"}
	others, err := os.ReadDir(filepath.Dir(dir))
	if err == nil { // else there are none
		for _, o := range others {
			if o.IsDir() {
				places = append(places, filepath.Join(filepath.Dir(dir), o.Name()))
			}
		}
	}
	for _, place := range places {
		if v := seenIn(place, url); v.seen != nil {
			return v
		}
	}
	return view{}
}

func seenIn(dir, url string) view {
	marker, err := os.ReadFile(filepath.Join(dir, markerFile))
	if err != nil || string(marker) != markerText+"\n"+url+"\n" {
		return view{}
	}
	_, seen, err := readRefs(dir)
	if err != nil {
		return view{}
	}
	return view{seen: seen}
}
