// Package scan knows what registries said, when, and whether it may be
// believed, and chooses from it: one listing per image however many policies
// use it, kept between ticks and over a restart.
//
// Floor 2: it stands on the registry client and on policy.Select. It must not
// write to Git, must not read the state ref (first sights come in and go out as
// values) and never acts on an answer that is partial, failed or doubtful:
// then nothing moves, and a Problem says so. Its memory is a cache: without it,
// everything is asked again and nothing else changes.
package scan

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/registry"
)

// Limits.
const (
	// MaxLooked is how many candidates of one want are resolved per listing, in
	// search of one that has its platforms and its age.
	MaxLooked = 10
	// hostParallel bounds the questions to one registry at once. Registries do
	// not share workers: one that hangs delays no other.
	hostParallel = 8
	// lateSaid is how long an answer must be missing before Report.Problems
	// says so: a registry that is a little slow every time is no news.
	lateSaid = 30 * time.Second
)

// Registry is what is asked; *registry.Client has it. List is whole or an
// error.
type Registry interface {
	List(ctx context.Context, repo image.Repo, last registry.Listing) (registry.Listing, error)
	Digest(ctx context.Context, ref image.Ref) (image.Digest, error)
	Platforms(ctx context.Context, repo image.Repo, d image.Digest) ([]image.Platform, error)
	Hold(host string, until time.Time)
}

// Want is one policy at one app of an environment, and what Git holds there.
type Want struct {
	Env, App string
	Policy   policy.Policy
	Current  image.Ref // Repo may be empty
}

// Result is what a policy chooses for one want.
type Result struct {
	policy.Choice
	Env, App   string
	Repository string    // canonical, the key of Report.Listings
	Ref        image.Ref // to be written; of use when Wanted
	Wanted     bool      // Ref differs from what Git holds
	Problem    string    // why nothing can be chosen now; nothing is Wanted then
	// Notes are one line each for people: candidates that were passed over, a
	// current tag that left the registry.
	Notes []string
	// Next is when the choice may change without news from the registry: the
	// age of a digest, a second look. Zero: nothing is waited for.
	Next time.Time
}

// Listing is what a registry said of one repository.
type Listing struct {
	Repo image.Repo
	Tags []string  // of the last answer that is believed; not to be written to
	At   time.Time // of that answer; zero when there is none
	Err  error     // why Tags are not acted on now; nil: they are
}

// Sight is the first time a digest was seen.
type Sight struct {
	Repo   string // canonical
	Digest image.Digest
	Tag    image.Tag
	First  time.Time
	Until  time.Time // when the longest age is reached that a policy of the image wants
}

// Problem is what keeps an image from being looked at, or what people should
// know of it. It reads the same from tick to tick while nothing changes.
type Problem struct {
	Image    string // as the policy writes it
	Registry string // host
	Kind     string // one of the Kind constants
	Tag      string // that it is about; "": the image as a whole
	Problem  string
	Kept     int       // tags of the last good answer, which is kept and not acted on
	KeptAt   time.Time // of that answer; zero: there is none, or it is acted on
	Since    time.Time // the first failure
}

// Report is the outcome of one Scan. It is not to be written to.
type Report struct {
	Results  []Result           // one per want, in their order
	Listings map[string]Listing // by canonical repository
	Sights   []Sight            // digests under a minAge that `first` does not know: to be recorded
	Problems []Problem          // sorted by Registry, Image, Kind and Tag
}

// First tells when a digest of a canonical repository was seen first. It is
// called from many goroutines, and by late work also after Scan returned.
type First func(repo string, d image.Digest) (time.Time, bool)

// Config describes a Scanner. Registry is required.
type Config struct {
	Registry Registry
	// Dir is a cache folder; the Scanner keeps to its subfolder scan. It may be
	// deleted at any time. "": nothing is kept over a restart.
	Dir string
	// Due reports whether a schedule has a time between last and now; nil:
	// every image is due at every Scan.
	Due func(schedule string, last, now time.Time) bool
	// Patience is how long Scan waits for registries; 0: until all answered.
	Patience time.Duration
	// Terse leaves Rejected out of Results: a bot that looks at a million tags
	// and shows none of them needs neither the memory nor the time.
	Terse bool
	// Wake is called when registries that Scan did not wait for have answered:
	// the next Scan sees it. It must not block. nil: nobody is called.
	Wake   func()
	Logger *slog.Logger // nil: discard
}

// Scanner asks and remembers. Poke, Prove and Close may be called at any time;
// Scan calls wait for each other.
type Scanner struct {
	c     Config
	cache *cache

	scanning sync.Mutex // held by Scan
	jobs     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	begun   bool               // there was a Scan
	records map[string]*record // by canonical repository
	hosts   map[string]*host
	built   platformCache
	dirty   bool // memory differs from the index on disk
}

// record is one image.
type record struct {
	mem     memory // not written to in place: replaced as a whole
	loaded  bool   // mem has what the disk knows
	poked   bool
	wanted  bool // by the last Scan
	running *job // nil: nobody asks
	last    *job // what was chosen from mem last, when it is worth keeping; nil otherwise
}

// New returns a Scanner with what its folder remembers. It asks nobody.
func New(c Config) *Scanner {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Scanner{c: c, records: map[string]*record{}, hosts: map[string]*host{}}
	s.cache = newCache(c.Dir, c.Logger)
	for key, mem := range s.cache.index() {
		s.records[key] = &record{mem: mem, wanted: true}
	}
	s.built = newPlatformCache(s.cache.platforms())
	return s
}

// Scan asks for every image of wants that is due and chooses for every want.
// It returns when all have answered or Patience is over; who has not answered
// then has a Problem, and is not asked again before it did.
func (s *Scanner) Scan(ctx context.Context, now time.Time, wants []Want, first First) Report {
	s.scanning.Lock()
	defer s.scanning.Unlock()
	if first == nil {
		first = func(string, image.Digest) (time.Time, bool) { return time.Time{}, false }
	}
	now = now.UTC()
	groups := group(wants)
	s.begin(now, groups)
	for _, g := range groups {
		g.first, g.now = first, now
		s.look(ctx, g)
	}
	s.wait(ctx, groups)
	rep := s.report(now, len(wants), groups)
	s.save()
	return rep
}

// group puts the wants of one image together, in the order of their first one.
func group(wants []Want) []*job {
	var out []*job
	byRepo := map[string]*job{}
	for i, w := range wants {
		key := w.Policy.Image.Canonical()
		g := byRepo[key]
		if g == nil {
			g = &job{key: key, repo: w.Policy.Image, done: make(chan struct{})}
			byRepo[key] = g
			out = append(out, g)
		}
		g.wants = append(g.wants, w)
		g.at = append(g.at, i)
	}
	return out
}

// begin notes what is wanted, loads it and forgets what nobody wanted for long.
func (s *Scanner) begin(now time.Time, groups []*job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		s.holdAgain(now)
	}
	for _, r := range s.records {
		r.wanted = false
	}
	for _, g := range groups {
		r := s.records[g.key]
		if r == nil {
			r = &record{}
			s.records[g.key] = r
		}
		r.wanted = true
		if !r.loaded && r.running == nil {
			r.mem = s.cache.load(g.key, r.mem)
			r.loaded = true
		}
		if now.Sub(r.mem.Wanted).Abs() > wantedGrain {
			r.mem.Wanted = now
			s.dirty = true
		}
	}
	s.forget(now)
}

// holdAgain tells the client what registries asked for before a restart.
func (s *Scanner) holdAgain(now time.Time) {
	for key, r := range s.records {
		if until := r.mem.held(now); !until.IsZero() {
			if repo, err := image.ParseRepo(key); err == nil {
				s.c.Registry.Hold(repo.Host(), until)
			}
		}
	}
}

// look starts the work of a group, or does it here when that needs no request.
func (s *Scanner) look(ctx context.Context, g *job) {
	s.mu.Lock()
	r := s.records[g.key]
	if r.running != nil {
		g.mem = r.mem
		g.behind = r.running
		s.mu.Unlock()
		return
	}
	g.mem = r.mem
	g.list = r.poked || s.due(g)
	last := r.last
	s.mu.Unlock()
	if !g.list && (g.repeats(last) || s.choose(ctx, g, false)) {
		s.keepLast(g)
		g.finish()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		g.closed = true
		g.finish()
		return
	}
	g.mem = r.mem // a Prove may have added to it
	r.running = g
	if g.list {
		r.poked = false
	}
	s.start(ctx, g)
}

// due reports whether the group's image is to be asked now.
func (s *Scanner) due(g *job) bool {
	m := g.mem
	if m.Asked.IsZero() || m.Asked.After(g.now) {
		return true
	}
	if !m.held(g.now).IsZero() {
		return false
	}
	if !m.Again.IsZero() && !g.now.Before(m.Again) {
		return true
	}
	if s.c.Due == nil {
		return true
	}
	late := jitter(g.key, m.Asked, g.now)
	for _, w := range g.wants {
		if s.c.Due(w.Policy.Schedule, m.Asked, g.now.Add(-late)) {
			return true
		}
	}
	return false
}

// run is a job on one of its registry's workers.
func (s *Scanner) run(ctx context.Context, g *job) {
	defer s.survive(g)
	if g.list {
		s.list(ctx, g)
	}
	s.choose(ctx, g, true)
}

// survive keeps a fault at one image from stopping all others.
func (s *Scanner) survive(g *job) {
	if v := recover(); v != nil {
		s.c.Logger.Error("looking at an image panicked", "image", g.repo.String(), "panic", v, "stack", string(debug.Stack()))
		g.results, g.sights, g.broken = nil, nil, true
	}
}

// choose fills the group's results. Without online nothing is asked, and false
// means that something would have to be.
func (s *Scanner) choose(ctx context.Context, g *job, online bool) (done bool) {
	defer func() { done = done || g.broken }()
	defer s.survive(g)
	c := newChooser(s, g, online)
	g.results = make([]Result, len(g.wants))
	for i, w := range g.wants {
		res, err := c.choose(ctx, w)
		if errors.Is(err, errAsk) {
			g.results, g.sights = nil, nil
			return false
		}
		g.results[i] = res
	}
	c.missed()
	g.sights = c.sights
	return true
}

// Poke makes the next Scan ask for this image, due or not. False: no policy
// wants it. Calling Scan is up to the caller.
func (s *Scanner) Poke(repo image.Repo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[repo.Canonical()]
	if r == nil || !r.wanted {
		return false
	}
	r.poked = true
	return true
}

// Close ends what runs in the background, waits for it and keeps what is known.
// A Scan that comes later asks nobody.
func (s *Scanner) Close() {
	s.mu.Lock()
	s.closed = true
	for _, r := range s.records {
		if r.running != nil {
			r.running.cancel()
		}
	}
	s.mu.Unlock()
	s.jobs.Wait()
	s.save()
}
