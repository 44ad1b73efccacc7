package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	secrets "towpath.dev/towpath/internal/secret"
)

// rebuildPause is the least time between two rebuilds of a cache that turned
// out damaged while in use: if a fresh clone is damaged too, the fault is
// elsewhere and cloning at every tick helps nobody.
const rebuildPause = time.Hour

// maxProbed is how many heads are read of a cache that is opened without a base
// branch.
const maxProbed = 8

// Repo is one remote repository and its cache. Its methods may be called from
// several goroutines; Fetch and Push wait for one another.
type Repo struct {
	c      Config
	log    *slog.Logger
	remote remote
	wire   transport
	sent   *secrets.Known // that errors and log lines must not show
	signer *signer
	slot   *slot
	packs  int           // a cache with more of them is packed anew: maxPacks …
	loose  int           // … and maxLoose
	net    chan struct{} // holds one token: one Fetch or Push at a time

	refused [2]plumbing.Hash // rewriting of the base that was refused; used by the holder of the token

	mu      sync.Mutex // guards the rest
	store   *store
	view    view
	dirty   bool // the disk does not hold view
	reads   int  // of stores that were closed
	counts  Counts
	damage  error // found while reading; the next Fetch builds the cache anew
	rebuilt time.Time
	closed  bool
}

// Open opens the cache of c.URL in c.Dir, or clones the repository when there
// is no usable one; only then does it connect. An empty repository is no error.
// Close releases the cache.
func Open(ctx context.Context, c Config) (*Repo, error) {
	rem, err := parseRemote(c.URL)
	if err != nil {
		return nil, err
	}
	r := &Repo{c: withDefaults(c), remote: rem, sent: &secrets.Known{}, signer: &signer{from: c.Sign}, packs: maxPacks, loose: maxLoose, net: make(chan struct{}, 1)}
	r.log = r.c.Logger
	if err := c.Sign.check(); err != nil {
		return nil, fmt.Errorf("open %s: %w", rem.shown, err)
	}
	if r.wire, err = newTransport(rem, c.Auth, r.sent); err != nil {
		return nil, fmt.Errorf("open %s: %w", rem.shown, err)
	}
	if rem.scheme == "http" && c.Auth.sendsSecret(rem) && !isLoopback(rem.host) {
		r.log.Warn("password is sent over plain http", "url", rem.shown)
	}
	if r.slot, err = takeSlot(c.Dir); err != nil {
		return nil, err
	}
	if err := r.openCache(ctx); err != nil {
		r.wire.close()
		return nil, errors.Join(err, r.slot.release())
	}
	return r, nil
}

func withDefaults(c Config) Config {
	c.Author = c.Author.or(Identity{Name: "Towpath", Email: "towpath@localhost"})
	c.Committer = c.Committer.or(c.Author)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxFileSize <= 0 {
		c.MaxFileSize = DefaultMaxFileSize
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// openCache uses the cache when it is good and clones otherwise.
func (r *Repo) openCache(ctx context.Context) error {
	err := checkCache(r.slot.dir, r.remote.shown)
	seen := lastSeen(r.slot.dir, r.remote.shown) // before what a killed process left is removed
	if serr := sweep(r.slot.dir); serr != nil {
		return fmt.Errorf("clear git cache: %w", serr)
	}
	if err == nil {
		if err = r.load(); err == nil {
			return nil
		}
	}
	if !errors.Is(err, errNoCache) {
		r.log.Warn("git cache is not usable and is cloned anew", "url", r.remote.shown, "dir", r.slot.dir, "reason", err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.Timeout)
	defer cancel()
	if err := r.build(ctx, seen); err != nil {
		return r.remoteError(ctx, "clone", err)
	}
	return nil
}

// load opens a cache that passed checkCache and reads the base branch's head;
// without a base branch, those of a few refs. What the others lack is found when
// it is read.
func (r *Repo) load() error {
	refs, seen, err := readRefs(r.slot.dir)
	if err != nil {
		return fmt.Errorf("its refs cannot be read: %w", err)
	}
	v := view{seen: seen}
	v.refs, v.others = r.c.sort(refs)
	s, err := openStore(r.slot.dir)
	if err != nil {
		return err
	}
	for name, h := range v.probes(r.c.Branch) {
		err := s.lacks(h)
		if err == nil {
			err = readable(s, h)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", name, err), s.close())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store != nil {
		r.reads += r.store.reads()
	}
	r.store, r.view, r.dirty = s, r.c.see(v), false
	return nil
}

// probes are the refs whose commits are read when a cache is opened.
func (v view) probes(branch string) map[string]plumbing.Hash {
	out := map[string]plumbing.Hash{}
	if branch != "" {
		base := headsPrefix + branch
		if h, ok := v.refs[base]; ok {
			out[base] = h
		}
		return out
	}
	for name, h := range v.refs {
		if len(out) == maxProbed {
			break
		}
		out[name] = h
	}
	return out
}

// readable reads a commit and its root tree. A ref may also name something else.
func readable(s *store, h plumbing.Hash) error {
	c, err := s.commit(h)
	if errors.Is(err, plumbing.ErrObjectNotFound) && s.has(h) {
		return nil // a tag or a blob: not ours to read
	}
	if err != nil {
		return err
	}
	_, err = s.tree(c.TreeHash)
	return err
}

// build clones into a new folder and puts it in the cache's place when it is
// whole, so that a failed clone leaves what was there. Of old only what was seen
// last counts.
func (r *Repo) build(ctx context.Context, old view) error {
	fresh := r.slot.dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clear git cache: %w", err)
	}
	if err := initCache(fresh); err != nil {
		return err
	}
	s, err := openStore(fresh)
	if err != nil {
		return err
	}
	v, err := r.fetchInto(ctx, s, view{seen: old.seen}, nil)
	if err == nil {
		err = r.checkBase(s, old, v)
	}
	err = errors.Join(err, s.close())
	if err == nil {
		err = errors.Join(writeRefs(fresh, v), writeMarker(fresh, r.remote.shown))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := r.replaceCache(fresh); err != nil {
		return err
	}
	r.mu.Lock()
	r.view = v // with what only a listing tells
	r.mu.Unlock()
	// Indexing a first pack takes memory in the size of the history, a tick a
	// fraction: what it leaves is given back at once.
	debug.FreeOSMemory()
	return nil
}

// replaceCache moves a whole cache into its place and opens it.
func (r *Repo) replaceCache(fresh string) error {
	r.mu.Lock()
	old := r.store
	r.mu.Unlock()
	if old != nil {
		_ = old.close() // its files go away with it
	}
	if err := os.RemoveAll(r.slot.dir); err != nil {
		return fmt.Errorf("replace git cache: %w", err)
	}
	if err := os.Rename(fresh, r.slot.dir); err != nil {
		return fmt.Errorf("replace git cache: %w", err)
	}
	if err := r.load(); err != nil {
		return fmt.Errorf("open git cache: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Clones++
	r.damage = nil
	return nil
}

// Close releases the cache for other processes. The Repo is of no use afterwards.
func (r *Repo) Close() error {
	r.net <- struct{}{} // waits for a running Fetch or Push
	defer func() { <-r.net }()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.wire.close()
	return errors.Join(r.store.close(), r.slot.release())
}

// URL is the repository's URL without user information.
func (r *Repo) URL() string { return r.remote.shown }

// Counts returns what was done since Open.
func (r *Repo) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// ObjectsRead is how many objects were read from the cache since Open; decoded
// trees are kept, anything else that is asked for again counts again.
func (r *Repo) ObjectsRead() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads + r.store.reads()
}

// count changes the counters.
func (r *Repo) count(f func(*Counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.counts)
}

// state returns the store and the view to work with.
func (r *Repo) state() (*store, view, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, view{}, ErrClosed
	}
	return r.store, r.view, nil
}

// setView replaces the view of the remote, on disk and then in memory.
func (r *Repo) setView(v view) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dirty || !v.sameOnDisk(r.view) {
		if err := writeRefs(r.slot.dir, v); err != nil {
			return err
		}
	}
	r.view, r.dirty = v, false
	return nil
}

// broken notes that the cache lacks what it should hold, so that the next Fetch
// builds it anew, and returns the error with that advice.
func (r *Repo) broken(s *store, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.store != s {
		return fmt.Errorf("git cache of %s was cloned anew meanwhile, try again: %w", r.remote.shown, err)
	}
	if r.damage == nil {
		r.damage = err
	}
	return fmt.Errorf("git cache of %s is damaged (the next fetch clones it anew): %w", r.remote.shown, err)
}
