package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	listPage       = 100 // pull requests a page
	maxPages       = 50  // of open pull requests, or of what changed since the last look
	maxPasses      = 4   // over the pages of open pull requests
	maxClosedPages = 10  // looked through for closed ones of ours
	maxClosed      = 500 // of ours that are kept
	// slack is how far GitHub's lists may be behind its own clock.
	slack = time.Minute
	// refreshAfter is how old details of an open pull request get: a review that is dismissed or a comment
	// that is deleted need not show in a list.
	refreshAfter = 10 * time.Minute
)

// views are what was read of pull requests. All of it is a cache.
type views struct {
	saidOnce sync.Once // that GitHub does not tell all checks

	mu    sync.Mutex // guards what follows, and what it leads to
	known map[int]*known
	bases map[string]*view
	// method is by which the repository was last found to merge, where nobody said by which.
	method pr.Method
}

// view is what was read of one base's list.
type view struct {
	turn     chan struct{} // held by the List on its way
	complete bool          // everything was read once
	settled  bool          // the list as read last was taken up to its end
	horizon  time.Time     // by GitHub's clock: what changed before it is known
}

// known is a pull request as read last.
type known struct {
	pull    pr.Pull
	stale   bool      // its details are older than the rest, or were never read
	young   bool      // they were read in the second in which it changed last: there may be more
	read    time.Time // when, by our clock
	writes  int       // of our own: details that were asked for before one may lack it
	created bool      // by us, a moment ago: without comments, reviews and statuses
}

// List returns every open pull request onto a base and the newest 500 closed ones of ours, newest first.
// While nothing changed that is one request, which GitHub does not count.
func (f *Forge) List(ctx context.Context, base string) ([]pr.Pull, error) {
	v := f.view(base)
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	date, err := f.follow(ctx, base, v)
	if err == nil {
		err = f.loadDetails(ctx, f.wanted(base, date))
	}
	if err != nil {
		return nil, fmt.Errorf("list pull requests onto %s: %w", base, err)
	}
	return f.listed(base), nil
}

func (f *Forge) view(base string) *view {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bases == nil {
		f.bases, f.known = map[string]*view{}, map[int]*known{}
	}
	if f.bases[base] == nil {
		f.bases[base] = &view{turn: make(chan struct{}, 1)}
	}
	return f.bases[base]
}

// listed is a copy that no later look changes.
func (f *Forge) listed(base string) []pr.Pull {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []pr.Pull
	for _, k := range f.known {
		if k.pull.Base == base && (k.pull.Open || f.ours(k.pull)) {
			all = append(all, copyOf(k.pull))
		}
	}
	slices.SortFunc(all, func(a, b pr.Pull) int { return b.Number - a.Number })
	closed := 0
	return slices.DeleteFunc(all, func(p pr.Pull) bool {
		if p.Open {
			return false
		}
		closed++
		return closed > maxClosed
	})
}

func copyOf(p pr.Pull) pr.Pull {
	p.Labels, p.Reviews = slices.Clone(p.Labels), slices.Clone(p.Reviews)
	p.Comments, p.Checks = slices.Clone(p.Comments), slices.Clone(p.Checks)
	return p
}

// follow takes up what changed, and returns GitHub's time.
func (f *Forge) follow(ctx context.Context, base string, v *view) (time.Time, error) {
	page, a, err := f.pullPage(ctx, base, "all", 1)
	if err != nil {
		return time.Time{}, err
	}
	date := dateOf(a.header, f.cfg.Now())
	if a.header.Get(fromCache) != "" && v.settled {
		return date, nil
	}
	// Until all is taken up, the same answer again is news.
	v.settled = false
	f.takeAll(page)
	switch {
	case v.complete:
		err = f.followPages(ctx, base, v, page, a.next)
	case a.next == 0:
		err = f.vanished(ctx, base, page, time.Time{})
	default:
		err = f.loadAll(ctx, base)
	}
	if err != nil {
		return time.Time{}, err
	}
	f.trim(base)
	v.complete, v.settled, v.horizon = true, true, date.Add(-slack)
	return date, nil
}

// followPages reads on to what had not changed when the list was read last. Whatever moves meanwhile moves
// to the front, where the next look finds it.
func (f *Forge) followPages(ctx context.Context, base string, v *view, page []pullJSON, next int) error {
	seen := slices.Clone(page)
	for n := 1; next != 0 && oldest(page).After(v.horizon); n++ {
		if n == maxPages { // too much for one look at changes: all is read anew
			return f.loadAll(ctx, base)
		}
		var a answer
		var err error
		if page, a, err = f.pullPage(ctx, base, "all", next); err != nil {
			return err
		}
		f.takeAll(page)
		seen, next = append(seen, page...), a.next
	}
	from := oldest(seen)
	if next == 0 {
		from = time.Time{}
	}
	return f.vanished(ctx, base, seen, from)
}

func oldest(page []pullJSON) time.Time {
	if len(page) == 0 {
		return time.Time{}
	}
	return page[len(page)-1].Updated
}

// vanished looks after open pull requests that the list should have had, being no older than from: their
// base was changed.
func (f *Forge) vanished(ctx context.Context, base string, seen []pullJSON, from time.Time) error {
	there := map[int]bool{}
	for _, j := range seen {
		there[j.Number] = true
	}
	f.mu.Lock()
	var gone []int
	for n, k := range f.known {
		if k.pull.Base == base && k.pull.Open && !there[n] && k.pull.Updated.After(from) {
			gone = append(gone, n)
		}
	}
	f.mu.Unlock()
	slices.Sort(gone)
	for _, n := range gone {
		if _, err := f.readPull(ctx, n); err != nil && !errors.Is(err, pr.ErrNotFound) {
			return err
		}
	}
	return nil
}

// loadAll reads all open pull requests, and the closed ones of ours that changed last.
func (f *Forge) loadAll(ctx context.Context, base string) error {
	seen, err := f.loadOpen(ctx, base)
	if err != nil {
		return err
	}
	ours := 0
	for next, n := 1, 0; next != 0 && n < maxClosedPages && ours < maxClosed; n++ {
		page, a, err := f.pullPage(ctx, base, "closed", next)
		if err != nil {
			return err
		}
		f.takeAll(page)
		for _, j := range page {
			if f.ours(j.value()) {
				ours++
			}
		}
		seen, next = append(seen, page...), a.next
	}
	return f.vanished(ctx, base, seen, time.Time{})
}

// loadOpen reads all open pull requests. Where one is closed meanwhile, others move onto pages that were read
// already: the pages are read until that brings nothing new, which GitHub does not count.
func (f *Forge) loadOpen(ctx context.Context, base string) ([]pullJSON, error) {
	var seen []pullJSON
	there := map[int]bool{}
	for range maxPasses {
		news, pages := false, 0
		for next := 1; next != 0; pages++ {
			if pages == maxPages {
				return nil, fmt.Errorf("more than %d are open", maxPages*listPage)
			}
			page, a, err := f.pullPage(ctx, base, "open", next)
			if err != nil {
				return nil, err
			}
			f.takeAll(page)
			for _, j := range page {
				news, there[j.Number] = news || !there[j.Number], true
			}
			seen, next = append(seen, page...), a.next
		}
		if !news || pages == 1 {
			break
		}
	}
	return seen, nil
}

func (f *Forge) pullPage(ctx context.Context, base, state string, number int) ([]pullJSON, answer, error) {
	q := url.Values{
		"base": {base}, "direction": {"desc"}, "per_page": {strconv.Itoa(listPage)}, "sort": {"updated"}, "state": {state},
	}
	if number > 1 {
		q.Set("page", strconv.Itoa(number))
	}
	var page []pullJSON
	a, err := f.do(ctx, http.MethodGet, f.repoPath("pulls")+"?"+q.Encode(), nil, &page)
	return page, a, err
}

// readPull reads one pull request and takes it up.
func (f *Forge) readPull(ctx context.Context, number int) (pullJSON, error) {
	var j pullJSON
	_, err := f.do(ctx, http.MethodGet, f.repoPath("pulls/%d", number), nil, &j)
	if errors.Is(err, pr.ErrNotFound) {
		f.mu.Lock()
		delete(f.known, number)
		f.mu.Unlock()
	}
	if err == nil {
		f.take(j)
	}
	return j, err
}

func (f *Forge) takeAll(page []pullJSON) {
	for _, j := range page {
		f.take(j)
	}
}

// take takes up a pull request as GitHub told it.
func (f *Forge) take(j pullJSON) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takeLocked(j)
}

func (f *Forge) takeLocked(j pullJSON) *known {
	if f.known == nil {
		f.bases, f.known = map[string]*view{}, map[int]*known{}
	}
	p, k := j.value(), f.known[j.Number]
	if k == nil {
		k = &known{pull: p, stale: !p.Merged} // of what was merged before we looked, nobody asks by whom
		f.known[j.Number] = k
		return k
	}
	old := k.pull
	if p.Updated.Before(old.Updated) {
		return k // of a server that lags
	}
	if !p.Updated.Equal(old.Updated) || p.Head != old.Head || p.Open != old.Open || p.Merged != old.Merged {
		k.stale = true
	}
	if p.Head == old.Head {
		p.Checks = old.Checks
	}
	p.Reviews, p.Comments, p.Queued = old.Reviews, old.Comments, old.Queued && p.Open
	if p.ClosedBy == "" && !p.Open {
		p.ClosedBy = old.ClosedBy
	}
	k.pull = p
	return k
}

// wanted are the pull requests whose details are to be read, by number.
func (f *Forge) wanted(base string, date time.Time) []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Now()
	var all []int
	for _, n := range slices.Sorted(maps.Keys(f.known)) {
		k := f.known[n]
		p := k.pull
		switch {
		case p.Base != base, !p.Open && !f.ours(p), p.Merged && p.ClosedBy != "":
		case k.stale, k.young && date.After(p.Updated), p.Open && now.Sub(k.read) >= refreshAfter:
			all = append(all, n)
		}
	}
	return all
}

// trim forgets closed pull requests that nobody asks for.
func (f *Forge) trim(base string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var closed []int
	for n, k := range f.known {
		switch p := k.pull; {
		case p.Base != base || p.Open:
		case !f.ours(p):
			delete(f.known, n)
		default:
			closed = append(closed, n)
		}
	}
	slices.Sort(closed)
	for _, n := range closed[:max(0, len(closed)-maxClosed)] {
		delete(f.known, n)
	}
}

// Get returns one pull request with all details.
func (f *Forge) Get(ctx context.Context, number int) (pr.Pull, error) {
	_, err := f.readPull(ctx, number)
	if err == nil {
		err = f.loadDetails(ctx, []int{number})
	}
	if err != nil {
		return pr.Pull{}, fmt.Errorf("read pull request %d: %w", number, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if k := f.known[number]; k != nil {
		return copyOf(k.pull), nil
	}
	return pr.Pull{}, fmt.Errorf("read pull request %d: %w", number, pr.ErrNotFound)
}
