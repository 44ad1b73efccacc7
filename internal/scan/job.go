package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
)

// job is what one Scan does for one image. While it runs, its fields belong to
// its worker, but for late, which Scanner.mu guards.
type job struct {
	key   string
	repo  image.Repo
	wants []Want
	at    []int // of the wants, in what Scan was given
	now   time.Time
	first First

	list    bool   // ask for a listing first
	mem     memory // what is known; replaces the record's when the job ends
	results []Result
	sights  []Sight
	broken  bool // it panicked

	behind *job // an earlier job of the image that has not ended; this one does nothing
	closed bool // the Scanner is closed; this one does nothing
	late   bool // Scan did not wait for it
	cancel context.CancelFunc
	done   chan struct{}
}

func (g *job) finish() { close(g.done) }

func (g *job) ended() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// host is the queue of one registry.
type host struct {
	queue   []func()
	workers int
	late    int // jobs that Scan stopped waiting for and that have not ended
}

// start queues a job at its registry. The job outlives ctx, of which it keeps
// the values; Close ends it. The caller holds s.mu.
func (s *Scanner) start(ctx context.Context, g *job) {
	h := s.hosts[g.repo.Host()]
	if h == nil {
		h = &host{}
		s.hosts[g.repo.Host()] = h
	}
	ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	h.queue = append(h.queue, func() {
		defer g.cancel()
		s.run(ctx, g)
		s.end(g, h)
	})
	if h.workers < hostParallel {
		h.workers++
		s.jobs.Go(func() { s.work(h) })
	}
}

// work is one worker of a registry; it goes when nothing is left to do.
func (s *Scanner) work(h *host) {
	for {
		s.mu.Lock()
		if len(h.queue) == 0 {
			h.workers--
			s.mu.Unlock()
			return
		}
		next := h.queue[0]
		h.queue = h.queue[1:]
		s.mu.Unlock()
		next()
	}
}

// end keeps what a job learned and, when Scan no longer waits, wakes somebody
// once the registry has caught up.
func (s *Scanner) end(g *job, h *host) {
	s.mu.Lock()
	r := s.records[g.key]
	r.running = nil
	g.mem.Wanted = r.mem.Wanted
	r.mem, r.loaded, r.last = g.mem, true, nil
	s.dirty = true
	s.keep(r, g)
	g.finish()
	wake := false
	if g.late {
		h.late--
		wake = h.late == 0 && !s.closed
	}
	s.mu.Unlock()
	if wake {
		s.save()
		if s.c.Wake != nil {
			s.c.Wake()
		}
	}
}

// keep remembers what was chosen, so that a Scan without news is cheap. The
// caller holds s.mu.
func (s *Scanner) keep(r *record, g *job) {
	g.first = nil // it may hold much, and is not called again
	aged := slices.ContainsFunc(g.wants, func(w Want) bool { return w.Policy.MinAge > 0 })
	if s.c.Terse && !aged && !g.broken { // an age changes by itself
		r.last = g
	}
}

func (s *Scanner) keepLast(g *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[g.key]
	if !g.broken && !maps.Equal(r.mem.Gone, g.mem.Gone) {
		r.mem.Gone, s.dirty = g.mem.Gone, true
	}
	s.keep(r, g)
}

// repeats takes over the results of an earlier job with the same wants, from the
// same memory; false: there is none.
func (g *job) repeats(last *job) bool {
	if last == nil || len(last.wants) != len(g.wants) || !reflect.DeepEqual(last.wants, g.wants) {
		return false
	}
	g.results, g.mem.Gone = last.results, last.mem.Gone
	return true
}

// wait returns when the jobs of this Scan have ended, when Patience is over or
// when ctx ends.
func (s *Scanner) wait(ctx context.Context, groups []*job) {
	var over <-chan time.Time
	if s.c.Patience > 0 {
		t := time.NewTimer(s.c.Patience)
		defer t.Stop()
		over = t.C
	}
	for _, g := range groups {
		if g.behind != nil { // was given its time by an earlier Scan
			continue
		}
		select {
		case <-g.done:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
	}
}

// list asks for a listing, and believes it or not.
func (s *Scanner) list(ctx context.Context, g *job) {
	before := g.mem
	last := before.Good
	age := g.now.Sub(before.Whole)
	whole := before.Doubt != nil || age < 0 || age >= wholeEvery // the second look is at the whole list
	if whole {
		last = registry.Listing{}
	}
	l, err := s.c.Registry.List(ctx, g.repo, last)
	switch {
	case err != nil && ctx.Err() != nil: // closed: this says nothing of the registry
		return
	case err != nil:
		g.mem = before.failed(err, g.now)
		if g.mem.Kind != before.Kind {
			s.c.Logger.Warn("registry not listed", "image", g.repo.String(), "error", g.mem.Err)
		}
		return
	}
	g.mem = before.answered(l, g.now, s.secondLook(g))
	if whole {
		g.mem.Whole = g.now
	}
	switch {
	case g.mem.Doubt != nil:
		s.c.Logger.Warn("listing doubted", "image", g.repo.String(), "tags", len(l.Tags), "before", len(before.Good.Tags))
		return
	case g.mem.Emptied != before.Emptied && len(l.Tags) == 0:
		s.c.Logger.Warn("listing is empty", "image", g.repo.String(), "before", len(before.Good.Tags))
	case before.Err != "" || before.Doubt != nil || !before.Emptied.IsZero() && len(l.Tags) > 0:
		s.c.Logger.Info("registry listed again", "image", g.repo.String(), "tags", len(l.Tags))
	}
	if before.At.IsZero() || !slices.Equal(l.Tags, before.Good.Tags) || !slices.Equal(l.Pages, before.Good.Pages) {
		s.cache.put(g.key, g.mem)
	} else {
		g.mem.Good = before.Good // not two copies of the same tags
	}
}

// secondLook reports whether enough time has passed since a doubted answer.
func (s *Scanner) secondLook(g *job) bool {
	d := g.mem.Doubt
	if d == nil {
		return false
	}
	if g.now.Sub(d.At) >= secondLook {
		return true
	}
	if s.c.Due == nil { // two Scans may be an instant apart
		return false
	}
	for _, w := range g.wants {
		if s.c.Due(w.Policy.Schedule, d.At, g.now) {
			return true
		}
	}
	return false
}

var errClosed = errors.New("the scanner is closed")

// report puts together what the groups found.
func (s *Scanner) report(now time.Time, wants int, groups []*job) Report {
	rep := Report{Results: make([]Result, wants), Listings: make(map[string]Listing, len(groups))}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range groups {
		mem, why := s.outcome(g)
		listing := mem.listing(g.repo)
		if why == "" {
			rep.Sights = append(rep.Sights, g.sights...)
		} else {
			listing.Err = errors.New(why)
		}
		for i, at := range g.at {
			if why == "" {
				rep.Results[at] = g.results[i]
			} else {
				rep.Results[at] = blank(g.wants[i])
				rep.Results[at].Problem = why
			}
		}
		rep.Listings[g.key] = listing
		if p := mem.problems(g.repo); len(p) > 0 {
			rep.Problems = append(rep.Problems, p...)
		} else if asked := g.asked(); why != "" && now.Sub(asked) >= lateSaid {
			rep.Problems = append(rep.Problems, Problem{Image: g.repo.String(), Registry: g.repo.Host(), Kind: KindLate,
				Problem: "it has not answered yet", Kept: len(mem.Good.Tags), KeptAt: mem.At, Since: asked})
		}
	}
	sortReport(&rep)
	return rep
}

// outcome is what is known of a group's image, and why it has no results; "":
// it has. A group that has not ended becomes late. The caller holds s.mu.
func (s *Scanner) outcome(g *job) (memory, string) {
	switch {
	case g.closed:
		return g.mem, errClosed.Error()
	case g.behind == nil && !g.ended():
		g.late = true
		s.hosts[g.repo.Host()].late++
		return s.records[g.key].mem, g.unanswered() // g.mem is the worker's
	case g.behind != nil:
		return g.mem, g.unanswered()
	case g.broken:
		return g.mem, fmt.Sprintf("looking at %s failed by a fault of Towpath, which is in its log; nothing moves for it", g.repo)
	}
	return g.mem, ""
}

// asked is when the work began that a group waits for.
func (g *job) asked() time.Time {
	if g.behind != nil {
		return g.behind.now
	}
	return g.now
}

func (g *job) unanswered() string {
	return fmt.Sprintf("%s has not answered yet for %s (asked at %s); nothing moves for it", g.repo.Host(), g.repo, stamp(g.asked()))
}

func sortReport(rep *Report) {
	slices.SortStableFunc(rep.Problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Registry, b.Registry), strings.Compare(a.Image, b.Image), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Tag, b.Tag))
	})
	slices.SortFunc(rep.Sights, func(a, b Sight) int {
		return cmp.Or(strings.Compare(a.Repo, b.Repo), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Tag, b.Tag))
	})
	rep.Sights = slices.CompactFunc(rep.Sights, func(a, b Sight) bool { return a.Repo == b.Repo && a.Digest == b.Digest })
}
