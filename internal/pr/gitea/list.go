package gitea

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

const (
	// maxClosed is how many closed pull requests of ours List returns.
	maxClosed = 500
	// idlePage is how many pull requests are read to see that nothing changed; the server writes some
	// ten kilobytes for each.
	idlePage = 20
	// overlap is how far behind the last scan the next one still looks: a change becomes visible
	// somewhat later than the second that the server writes down for it.
	overlap = time.Minute
	// settle is how much older than a reading a change must be for the reading to hold all of the
	// second in which it was made.
	settle = 3 * time.Second
	// recount is how often the open pull requests are counted anew, for what the server does not date:
	// deleted ones, and all that happened while its clock was put back.
	recount = time.Hour
	// believed is how long the details of an open pull request are taken for true: servers date it anew
	// neither for statuses nor for comments that were edited or deleted.
	believed = 10 * time.Minute
	// maxCounts is how often counting begins again because pull requests were closed meanwhile.
	maxCounts = 5
)

// entry is what is known of a pull request.
type entry struct {
	pull   pr.Pull
	labels map[string]int64 // id by name
	// loaded: details were read for this Updated and Head. settled: so late that nothing of the same
	// second can be missing.
	loaded, settled bool
	read            time.Time // by our clock: when its details were
	// byWhom: it was merged while we looked, and lists do not say by whom.
	byWhom bool
}

// scanState is what scanning remembers.
type scanState struct {
	counted time.Time // by our clock: when the open ones were counted
	through time.Time // by the server's: everything before it is known; zero: nothing is
}

// List returns the pull requests onto base ("" means any), newest first: every open one, and the newest
// maxClosed closed ones of our prefix. When nothing changed it costs one request. Details of open ones
// are read when they changed and every ten minutes; who closed them and the comments of closed unmerged ones of ours as well.
func (f *Forge) List(ctx context.Context, base string) ([]pr.Pull, error) {
	if err := f.refresh(ctx); err != nil {
		return nil, fmt.Errorf("list pull requests of %s: %w", f.cfg.Repo, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []pr.Pull
	for _, e := range f.known {
		if base == "" || e.pull.Base == base {
			out = append(out, copied(e.pull))
		}
	}
	slices.SortFunc(out, func(a, b pr.Pull) int { return b.Number - a.Number })
	closed := 0
	return slices.DeleteFunc(out, func(p pr.Pull) bool {
		if !p.Open {
			closed++
		}
		return !p.Open && closed > maxClosed
	}), nil
}

// Get returns one pull request with its details, or pr.ErrNotFound.
func (f *Forge) Get(ctx context.Context, number int) (pr.Pull, error) {
	e, err := f.get(ctx, number)
	if err == nil {
		err = f.details(ctx, e)
	}
	if err != nil {
		return pr.Pull{}, fmt.Errorf("read pull request %d: %w", number, err)
	}
	return copied(e.pull), nil
}

// get reads one pull request without its details.
func (f *Forge) get(ctx context.Context, number int) (*entry, error) {
	if number < 1 {
		return nil, pr.ErrNotFound
	}
	c, err := f.client(ctx)
	if err != nil {
		return nil, err
	}
	p, _, err := c.GetPullRequest(f.owner, f.name, int64(number))
	if err != nil {
		return nil, ofPull(err)
	}
	return f.entry(p), nil
}

// refresh makes known what changed since the last time, details and all.
func (f *Forge) refresh(ctx context.Context) error {
	f.scanning.Lock()
	defer f.scanning.Unlock()
	if err := f.scan(ctx); err != nil {
		return err
	}
	return f.fill(ctx)
}

// scan reads the list: all of it at first and once in a while, else what changed.
func (f *Forge) scan(ctx context.Context) error {
	if !f.seen.through.IsZero() && f.cfg.Now().Sub(f.seen.counted) < recount {
		went, err := f.scanChanged(ctx)
		if err != nil || went {
			return err
		}
	}
	return f.scanAll(ctx)
}

// scanChanged reads the pull requests that changed last, back to where the last scan was sure. It
// reports false when that cannot be done: the server's clock went back, or too much changed.
func (f *Forge) scanChanged(ctx context.Context) (bool, error) {
	until := f.seen.through.Add(-overlap)
	var got []*sdk.PullRequest
	var began time.Time
	// All pages are of one size, or they would not meet.
	size := min(idlePage, f.perPage)
	for page := 1; page <= maxPages; page++ {
		pulls, resp, err := f.page(ctx, sdk.StateAll, page, size)
		if err != nil {
			return false, err
		}
		if page == 1 {
			if began = dateOf(resp, f.cfg.Now()); began.Before(f.seen.through.Add(-settle)) {
				return false, nil
			}
		}
		got = append(got, pulls...)
		if len(pulls) == 0 || resp.NextPage == 0 || updated(pulls[len(pulls)-1]).Before(until) {
			f.merge(got, began)
			f.seen.through = began
			return true, nil
		}
	}
	return false, nil
}

// scanAll counts the open pull requests, and at first reads the closed ones, too.
func (f *Forge) scanAll(ctx context.Context) error {
	now := f.cfg.Now()
	open, began, err := f.count(ctx)
	if err != nil {
		return err
	}
	got := open
	if f.seen.through.IsZero() || began.Before(f.seen.through) {
		closed, err := f.closed(ctx)
		if err != nil {
			return err
		}
		got = slices.Concat(open, closed) // what was read last is what is true
	}
	f.merge(got, began)
	if err := f.missing(ctx, open); err != nil {
		return err
	}
	f.seen.through, f.seen.counted = began, now
	return nil
}

// count reads all open pull requests. When some are closed meanwhile the pages shift and others may be
// passed over: then the server's total changes, and it is read again.
func (f *Forge) count(ctx context.Context) (open []*sdk.PullRequest, began time.Time, err error) {
	before := ""
	for range maxCounts {
		var total string
		steady, pages := true, 0
		seen := map[int64]*sdk.PullRequest{}
		for page := 1; ; page++ {
			if page > maxPages {
				return nil, began, fmt.Errorf("more than %d pull requests are open", maxPages*f.perPage)
			}
			pulls, resp, err := f.page(ctx, sdk.StateOpen, page, f.perPage)
			if err != nil {
				return nil, began, err
			}
			if now := resp.Header.Get("X-Total-Count"); page == 1 {
				total = now
				if began.IsZero() {
					began = dateOf(resp, f.cfg.Now())
				}
			} else if now != total {
				steady = false
			}
			for _, p := range pulls {
				seen[p.Index] = p
			}
			pages = page
			if len(pulls) == 0 || resp.NextPage == 0 {
				break
			}
		}
		open = slices.Collect(maps.Values(seen))
		// A server that counts otherwise than it lists says the same twice.
		now := fmt.Sprint(len(seen), " of ", total)
		if steady && (pages == 1 || total == "" || total == fmt.Sprint(len(seen)) || now == before) {
			return open, began, nil
		}
		before = now
	}
	return nil, began, fmt.Errorf("pull requests are opened and closed faster than they can be listed, %d times in a row", maxCounts)
}

// closed reads the closed pull requests that changed last, until there are enough of ours. One that is
// opened again meanwhile has changed, and the next scan finds it.
func (f *Forge) closed(ctx context.Context) (closed []*sdk.PullRequest, err error) {
	ours := 0
	for page := 1; page <= maxPages && ours < maxClosed; page++ {
		pulls, resp, err := f.page(ctx, sdk.StateClosed, page, f.perPage)
		if err != nil {
			return nil, err
		}
		for _, p := range pulls {
			closed = append(closed, p)
			if f.kept(f.entry(p).pull) {
				ours++
			}
		}
		if len(pulls) == 0 || resp.NextPage == 0 {
			break
		}
	}
	return closed, nil
}

// missing looks after what was open and is not listed any more: closed while it was counted, or deleted.
func (f *Forge) missing(ctx context.Context, open []*sdk.PullRequest) error {
	listed := map[int]bool{}
	for _, p := range open {
		listed[int(p.Index)] = true
	}
	f.mu.Lock()
	var lost []int
	for n, e := range f.known {
		if e.pull.Open && !listed[n] {
			lost = append(lost, n)
		}
	}
	f.mu.Unlock()
	for _, n := range lost {
		e, err := f.get(ctx, n)
		switch {
		case status(err) == http.StatusNotFound:
			f.forget(n)
		case err != nil:
			return err
		default:
			f.put(e)
		}
	}
	return nil
}

// page reads one page of the list, what changed last first.
func (f *Forge) page(ctx context.Context, state sdk.StateType, page, size int) ([]*sdk.PullRequest, *sdk.Response, error) {
	c, err := f.client(ctx)
	if err != nil {
		return nil, nil, err
	}
	pulls, resp, err := c.ListRepoPullRequests(f.owner, f.name, sdk.ListPullRequestsOptions{
		ListOptions: sdk.ListOptions{Page: page, PageSize: size}, State: state, Sort: "recentupdate",
	})
	if err != nil {
		return nil, nil, plain(err)
	}
	return pulls, resp, nil
}

// merge makes pull requests known as they were listed by a time, the last reading of one counts.
func (f *Forge) merge(pulls []*sdk.PullRequest, at time.Time) {
	for _, p := range pulls {
		f.put(f.entry(p))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.known {
		if e.loaded && !e.settled && at.Sub(e.pull.Updated) >= settle {
			e.loaded = false // read once more: something of the same second may be missing
		}
	}
}

// put makes e known, keeping the details of what did not change.
func (f *Forge) put(e *entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.known[e.pull.Number]
	if !f.kept(e.pull) {
		delete(f.known, e.pull.Number)
		return
	}
	if old != nil {
		p := &e.pull
		p.Reviews, p.Comments = old.pull.Reviews, old.pull.Comments
		if p.Head == old.pull.Head {
			p.Checks = old.pull.Checks
		}
		if !p.Open && p.ClosedBy == "" && p.Merged == old.pull.Merged {
			p.ClosedBy = old.pull.ClosedBy
		}
		e.byWhom = p.Merged && p.ClosedBy == ""
		if p.Updated.Equal(old.pull.Updated) && p.Head == old.pull.Head && p.Open == old.pull.Open {
			e.loaded, e.settled, e.read = old.loaded, old.settled, old.read
		}
	}
	f.known[e.pull.Number] = e
}

func (f *Forge) forget(number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, number)
}

// kept reports whether List has use for a pull request.
func (f *Forge) kept(p pr.Pull) bool { return p.Open || !p.Fork && hasPrefix(p.Branch, f.cfg.Prefix) }

// dateOf is the server's time when it answered.
func dateOf(resp *sdk.Response, now time.Time) time.Time {
	if resp != nil && resp.Response != nil {
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			return at
		}
	}
	return now
}

func updated(p *sdk.PullRequest) time.Time {
	if p.Updated == nil {
		return time.Time{}
	}
	return *p.Updated
}
