package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// rebuildPause is the least time between two rebuilds of a cache that turned
// out damaged while in use: if a fresh clone is damaged too, the fault is
// elsewhere and cloning at every tick helps nobody.
const rebuildPause = time.Hour

// Repo is one remote repository and its cache. Its methods may be called from
// several goroutines; Fetch and Push wait for one another.
type Repo struct {
	c      Config
	log    *slog.Logger
	remote remote
	wire   transport
	sent   *secrets // that errors and log lines must not show
	slot   *slot
	packs  int           // a cache with more of them is built anew: maxPacks …
	loose  int           // … and maxLoose
	net    chan struct{} // holds one token: one Fetch or Push at a time

	mu      sync.Mutex // guards the rest
	store   *store
	refs    map[string]plumbing.Hash // of the remote; replaced, never changed
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
	r := &Repo{c: withDefaults(c), remote: rem, sent: &secrets{}, packs: maxPacks, loose: maxLoose, net: make(chan struct{}, 1)}
	r.log = r.c.Logger
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
	if c.Author == (Identity{}) {
		c.Author = Identity{Name: "Towpath", Email: "towpath@localhost"}
	}
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
	err := errors.Join(sweep(r.slot.dir), checkCache(r.slot.dir, r.remote.shown))
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
	if err := r.build(ctx); err != nil {
		return r.remoteError(ctx, "clone", err)
	}
	return nil
}

// load opens a cache that passed checkCache and reads the tip of every ref.
func (r *Repo) load() error {
	refs, err := readRefs(r.slot.dir)
	if err != nil {
		return fmt.Errorf("its refs cannot be read: %w", err)
	}
	s := openStore(r.slot.dir)
	for name, h := range refs {
		if err := readable(s, h); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", name, err), s.close())
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store, r.refs = s, refs
	return nil
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
// whole, so that a failed clone leaves what was there.
func (r *Repo) build(ctx context.Context) error {
	fresh := r.slot.dir + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clear git cache: %w", err)
	}
	if err := initCache(fresh); err != nil {
		return err
	}
	s := openStore(fresh)
	refs, err := r.fetchInto(ctx, s, nil)
	err = errors.Join(err, s.close())
	if err == nil {
		err = errors.Join(writeRefs(fresh, refs), writeMarker(fresh, r.remote.shown))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return r.replaceCache(fresh)
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

// count changes the counters.
func (r *Repo) count(f func(*Counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.counts)
}

// state returns the store and the refs to work with.
func (r *Repo) state() (*store, map[string]plumbing.Hash, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, ErrClosed
	}
	return r.store, r.refs, nil
}

// setRefs replaces the view of the remote, in memory and on disk.
func (r *Repo) setRefs(refs map[string]plumbing.Hash) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refs = refs
	return writeRefs(r.slot.dir, refs)
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

// Refs returns the full names of the remote's refs that begin with prefix and
// what they point to, as of the last Fetch or Push.
func (r *Repo) Refs(prefix string) (map[string]string, error) {
	_, refs, err := r.state()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for n, h := range refs {
		if strings.HasPrefix(n, prefix) {
			out[n] = h.String()
		}
	}
	return out, nil
}

// Head returns the commit of a branch as of the last Fetch or Push; errors.Is
// ErrNoBranch, or ErrEmpty when there is no branch at all.
func (r *Repo) Head(branch string) (string, error) {
	_, refs, err := r.state()
	if err != nil {
		return "", err
	}
	if h, ok := refs["refs/heads/"+branch]; ok {
		return h.String(), nil
	}
	for n := range refs {
		if strings.HasPrefix(n, "refs/heads/") {
			return "", fmt.Errorf("%w: %q in %s; push it, or name another branch", ErrNoBranch, branch, r.remote.shown)
		}
	}
	return "", fmt.Errorf("%w: %s has no commits; push a first commit to branch %q", ErrEmpty, r.remote.shown, branch)
}
