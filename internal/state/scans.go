package state

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
)

const (
	seenDir   = "seen"
	scansFile = "scans.json"

	maxSights      = 1000 // of one repository: under 200 kB
	maxProblemText = 1000 // bytes of one problem

	maxYear = 9999 // that JSON can hold; in UTC, a time may be beyond
)

// MaxScans is how many problems are kept, the first as SortScans sorts them.
const MaxScans = 1000

// Change is what one Put writes.
type Change struct {
	Sights []Sight        // added; one that is there keeps its earlier First
	Scans  *[]ScanProblem // all there are now; nil: those that are there stay
	At     time.Time      // of the commit; sights whose Until is not after it wait for nothing
}

// seenFile is seen/<repository>.json.
type seenFile struct {
	Repo string      `json:"repo"`
	Seen []seenEntry `json:"seen"` // oldest first
}

type seenEntry struct {
	Digest image.Digest `json:"digest"`
	Tag    image.Tag    `json:"tag,omitempty"`
	First  time.Time    `json:"first"`
	Until  time.Time    `json:"until,omitzero"`
}

// Put writes sights and problems in one commit, as PutReport does, and leaves
// all else as it is. When nothing changes nothing is pushed. Of a repository
// with more than maxSights those are dropped that wait for nothing, the oldest
// first, and then the newest of all: what is about to reach its age reaches it,
// and the age of a dropped one starts when there is room, which is later and
// therefore safe. A file of the same repository that cannot be read is replaced.
func Put(ctx context.Context, g Git, c Change) error {
	var edits []edit
	var what []string
	byRepo := map[string][]Sight{}
	for _, s := range c.Sights {
		if err := s.check(); err != nil {
			return err
		}
		byRepo[s.Repo] = append(byRepo[s.Repo], s)
	}
	for repo, sights := range byRepo {
		edits = append(edits, edit{seenPath(repo), func(old []byte) ([]byte, error) { return addSights(old, repo, sights, c.At) }})
	}
	if len(byRepo) > 0 {
		what = append(what, "first sights")
	}
	if c.Scans != nil {
		what = append(what, "scans")
		edits = append(edits, edit{scansFile, func(old []byte) ([]byte, error) { return putScans(old, *c.Scans) }})
	}
	if len(edits) == 0 {
		return nil
	}
	return write(ctx, g, strings.Join(what, " and "), c.At, edits)
}

func (s Sight) check() error {
	repo, err := image.ParseRepo(s.Repo)
	if err == nil && repo.Canonical() != s.Repo {
		err = fmt.Errorf("its canonical name is %s", repo.Canonical())
	}
	if err != nil {
		return fmt.Errorf("sight of %q: %w", s.Repo, err)
	}
	if _, err := image.ParseDigest(string(s.Digest)); err != nil {
		return fmt.Errorf("sight of %s: %w", s.Repo, err)
	}
	if s.First.IsZero() {
		return fmt.Errorf("sight of %s@%s: it has no time", s.Repo, s.Digest)
	}
	return nil
}

// addSights is the file of a repository with sights added.
func addSights(old []byte, repo string, sights []Sight, now time.Time) ([]byte, error) {
	have := map[image.Digest]Sight{}
	if f, err := readSeen(old, repo); err == nil {
		have = f
	}
	for _, s := range sights {
		s.First, s.Until = s.First.UTC(), s.Until.UTC()
		if h, ok := have[s.Digest]; !ok || s.First.Before(h.First) {
			have[s.Digest] = s
		}
	}
	f := seenFile{Repo: repo, Seen: make([]seenEntry, 0, len(have))}
	for _, s := range have {
		f.Seen = append(f.Seen, seenEntry{s.Digest, s.Tag, s.First, s.Until})
	}
	slices.SortFunc(f.Seen, func(a, b seenEntry) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Digest, b.Digest))
	})
	spare := max(0, len(f.Seen)-maxSights)
	f.Seen = slices.DeleteFunc(f.Seen, func(e seenEntry) bool {
		if spare > 0 && !e.Until.After(now) {
			spare--
			return true
		}
		return false
	})
	f.Seen = f.Seen[:min(len(f.Seen), maxSights)]
	return encode(f)
}

// readSeen reads a file of sights; entries that cannot be right are left out.
func readSeen(data []byte, repo string) (map[image.Digest]Sight, error) {
	var f seenFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Repo != repo {
		return nil, fmt.Errorf("is about %q", f.Repo)
	}
	out := make(map[image.Digest]Sight, len(f.Seen))
	for _, e := range f.Seen {
		first := e.First.UTC()
		if _, err := image.ParseDigest(string(e.Digest)); err == nil && !first.IsZero() && first.Year() <= maxYear {
			out[e.Digest] = Sight{Repo: repo, Digest: e.Digest, Tag: e.Tag, First: first, Until: until(e)}
		}
	}
	return out, nil
}

// until is an entry's, unless JSON could not hold it again.
func until(e seenEntry) time.Time {
	if u := e.Until.UTC(); u.Year() <= maxYear {
		return u
	}
	return time.Time{}
}

// putScans is the file of problems; none and no file needs no file.
func putScans(old []byte, scans []ScanProblem) ([]byte, error) {
	if len(scans) == 0 && old == nil {
		return nil, nil
	}
	out := make([]ScanProblem, 0, len(scans))
	for _, p := range scans {
		p.Problem = cut(p.Problem)
		p.KeptAt, p.Since, p.At = p.KeptAt.UTC(), p.Since.UTC(), p.At.UTC()
		out = append(out, p)
	}
	SortScans(out)
	return encode(out[:min(len(out), MaxScans)])
}

// SortScans sorts by Registry, Image, Kind and Tag.
func SortScans(s []ScanProblem) {
	slices.SortFunc(s, func(a, b ScanProblem) int {
		return cmp.Or(strings.Compare(a.Registry, b.Registry), strings.Compare(a.Image, b.Image),
			strings.Compare(a.Kind, b.Kind), strings.Compare(a.Tag, b.Tag), strings.Compare(a.Problem, b.Problem))
	})
}

func cut(s string) string {
	if len(s) > maxProblemText {
		return strings.ToValidUTF8(s[:maxProblemText], "") + "…"
	}
	return s
}

// seenCache is what was read of seen/ at the last Load.
type seenCache struct {
	hash     string // of the directory
	files    map[string]seenRead
	seen     Seen
	problems []string
}

type seenRead struct {
	hash    string
	sights  map[image.Digest]Sight
	problem string
}

// load adds sights to s. What cannot be read is said; its digests count as never
// seen, which only makes them wait longer.
func (c *seenCache) load(ctx context.Context, snap gitrepo.Snapshot, s *State) error {
	hash, ok := snap.Hash(seenDir)
	if !ok || hash != c.hash {
		if err := c.read(ctx, snap); err != nil {
			return err
		}
		c.hash = hash
	}
	s.Seen, s.Problems = c.seen, slices.Clone(c.problems)
	return nil
}

func (c *seenCache) read(ctx context.Context, snap gitrepo.Snapshot) error {
	fsys := snap.FS()
	entries, err := list(fsys, seenDir)
	if err != nil {
		return err
	}
	old := c.files
	c.hash, c.files, c.seen, c.problems = "", map[string]seenRead{}, Seen{}, nil
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e.IsDir() || !strings.HasSuffix(e.Name(), jsonExt) {
			continue
		}
		name := path.Join(seenDir, e.Name())
		repo := unescape(strings.TrimSuffix(e.Name(), jsonExt))
		hash, _ := snap.Hash(name)
		f := old[name]
		if f.hash != hash || hash == "" {
			f = readSeenFile(fsys, name, repo)
			f.hash = hash
		}
		c.files[name] = f
		if f.problem != "" {
			c.problems = append(c.problems, f.problem)
		} else {
			c.seen[repo] = f.sights
		}
	}
	return nil
}

func readSeenFile(fsys fs.FS, name, repo string) seenRead {
	data, err := fs.ReadFile(fsys, name)
	if err == nil {
		var sights map[image.Digest]Sight
		if sights, err = readSeen(data, repo); err == nil {
			return seenRead{sights: sights}
		}
	}
	return seenRead{problem: unreadable(name, err, "ages of "+repo+" start anew, and the next sight replaces it")}
}

// loadScans reads the problems.
func (s *State) loadScans(fsys fs.FS) {
	data, err := fs.ReadFile(fsys, scansFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(data, &s.Scans)
	}
	if err != nil {
		s.Scans = nil
		s.Problems = append(s.Problems, unreadable(scansFile, err, "the bot's next tick replaces it"))
	}
	SortScans(s.Scans)
}

func unreadable(name string, err error, hint string) string {
	return fmt.Sprintf("%s in %s: %s; %s", name, Ref, reason(err), hint)
}

// seenPath is seen/<repository>.json, where / and whatever else is special in a
// path is escaped.
func seenPath(repo string) string { return path.Join(seenDir, escape(repo)+jsonExt) }
