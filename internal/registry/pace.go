package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How each host is spared. Hosts do not know of each other: one that fails or
// is slow delays no other.
const (
	// DefaultRequestsPerSecond is the rate kept over a while towards one host.
	DefaultRequestsPerSecond = 20
	// RequestBurst is how many requests may come at once after a quiet time.
	RequestBurst = 100
	// MaxRequestsPerHost are under way at once, until their bodies are read.
	MaxRequestsPerHost = 8
	// MaxRetryAfter is the longest that a registry's Retry-After counts for.
	MaxRetryAfter = time.Hour
	// MinCoolDown and MaxCoolDown bound how long a host is left alone that did
	// not say for how long. It doubles from one to the other.
	MinCoolDown = time.Second
	MaxCoolDown = 5 * time.Minute
)

const (
	// failuresToRest in a row, without an answer in between, are a host's and
	// not one image's. A 429 counts for all of them, and so does a request without an
	// answer in time, when the host answered no other meanwhile: each more would
	// wait as long.
	failuresToRest = 3
	// probeWait is how long a call waits for the one request that finds out
	// whether a host is back. A host that is back answers in less.
	probeWait = 2 * time.Second
	// maxHosts are remembered; hosts also come out of redirects, so a registry
	// could name any number.
	maxHosts = 1000
)

// resting is a host that is left alone for a while.
type resting struct {
	host  string
	until time.Time // zero: until one request that is under way has found it back
	told  bool      // by the registry
	hung  bool      // it did not answer in time
}

func (r *resting) Error() string {
	if r.until.IsZero() {
		return r.host + " failed, and one request is finding out whether it is back"
	}
	if r.told {
		return r.host + " asked to be left alone until " + r.until.UTC().Format(time.RFC3339)
	}
	if r.hung {
		return r.host + " did not answer in time and is left alone for a while"
	}
	// Without the time, which is another after each try: status lines stay equal.
	return r.host + " failed several times in a row and is left alone for a while"
}

// RetryAt is when the registry said that it may be asked again; zero: it did
// not.
func RetryAt(err error) time.Time {
	var r *resting
	if errors.As(err, &r) && r.told {
		return r.until
	}
	return time.Time{}
}

// outcome is what a request says about its host.
type outcome int

const (
	unknown outcome = iota // it was given up by the caller
	alive                  // it answered, whatever it said
	failed                 // no answer, a broken one, or 5xx
	hung                   // no answer in time
	busy                   // 429
)

// paces holds what is known of each host.
type paces struct {
	rate func(host string) float64 // requests per second

	mu    sync.Mutex
	hosts map[string]*pace // by host as in URLs, lower case
}

func newPaces(rate func(host string) float64) *paces {
	return &paces{rate: rate, hosts: map[string]*pace{}}
}

func (p *paces) of(host string) *pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[host]
	if h == nil {
		if len(p.hosts) >= maxHosts {
			p.drop()
		}
		h = newPace(host, p.rate(host))
		p.hosts[host] = h
	}
	return h
}

// drop forgets the hosts about which there is nothing to remember. p.mu is held.
func (p *paces) drop() {
	now := time.Now()
	for name, h := range p.hosts {
		h.mu.Lock()
		if h.failures == 0 && !now.Before(h.until) && len(h.slots) == 0 {
			delete(p.hosts, name)
		}
		h.mu.Unlock()
	}
}

// pace is how fast one host is asked, and whether it is asked at all.
type pace struct {
	host    string
	limiter *rate.Limiter
	slots   chan struct{} // holds one value for each request under way

	mu       sync.Mutex
	until    time.Time // not asked before
	told     bool      // until is the registry's word
	hung     bool      // until is because of no answer in time
	answers  int       // so far
	failures int       // in a row; from failuresToRest on, one probe goes first
	round    int       // grows with each rest: what began before it says nothing new
	probe    chan struct{}
}

func newPace(host string, perSecond float64) *pace {
	burst := max(1, min(RequestBurst, int(perSecond*RequestBurst/DefaultRequestsPerSecond)))
	return &pace{host: host, limiter: rate.NewLimiter(rate.Limit(perSecond), burst), slots: make(chan struct{}, MaxRequestsPerHost)}
}

// ticket is the right to send one request. It is given back with end.
type ticket struct {
	p       *pace
	round   int
	answers int           // the host's, when the request was sent
	probe   chan struct{} // not nil: this request finds out whether the host is back
	once    sync.Once
}

// admit waits for the host's turn. It does not wait for a host that is left
// alone: that is an error at once.
func (p *pace) admit(ctx context.Context) (*ticket, error) {
	t, err := p.enter(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		t.leave()
		return nil, context.Cause(ctx)
	}
	if err := p.wait(ctx, t); err != nil {
		<-p.slots
		t.leave()
		return nil, err
	}
	return t, nil
}

// enter lets the request in, or only one of them when the host failed before.
func (p *pace) enter(ctx context.Context) (*ticket, error) {
	var patience <-chan time.Time
	for {
		p.mu.Lock()
		if rest := p.resting(); rest != nil {
			p.mu.Unlock()
			return nil, rest
		}
		if p.failures < failuresToRest {
			t := &ticket{p: p, round: p.round}
			p.mu.Unlock()
			return t, nil
		}
		probe := p.probe
		if probe == nil {
			p.probe = make(chan struct{})
			t := &ticket{p: p, round: p.round, probe: p.probe}
			p.mu.Unlock()
			return t, nil
		}
		p.mu.Unlock()
		if patience == nil {
			patience = time.After(probeWait)
		}
		select {
		case <-probe:
		case <-patience:
			return nil, &resting{host: p.host}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// resting returns the rest the host has now. p.mu is held.
func (p *pace) resting() *resting {
	if !time.Now().Before(p.until) {
		return nil
	}
	return &resting{host: p.host, until: p.until, told: p.told, hung: p.hung}
}

// wait keeps the rate. A rest that began meanwhile ends it.
func (p *pace) wait(ctx context.Context, t *ticket) error {
	turn := p.limiter.Reserve()
	if delay := turn.Delay(); delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			turn.Cancel()
			return context.Cause(ctx)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if rest := p.resting(); rest != nil {
		return rest
	}
	t.round, t.answers = p.round, p.answers
	return nil
}

// end gives the ticket back; only the first call counts. until is the
// registry's word on when to come back; zero: none.
func (t *ticket) end(what outcome, until time.Time) {
	t.once.Do(func() {
		<-t.p.slots
		t.p.learn(t, what, until)
		t.leave()
	})
}

func (t *ticket) leave() {
	if t.probe == nil {
		return
	}
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if t.p.probe == t.probe {
		t.p.probe = nil
		close(t.probe)
	}
}

func (p *pace) learn(t *ticket, what outcome, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if what == alive {
		p.answers++
	}
	if until.After(now) {
		p.rest(until, true, false)
		return
	}
	if t.round != p.round {
		return
	}
	if what == hung && p.answers != t.answers {
		what = failed
	}
	switch what {
	case alive:
		p.failures = 0
	case failed:
		p.failures++
	case busy, hung:
		p.failures = max(p.failures+1, failuresToRest)
	case unknown:
	}
	if (what == failed || what == busy || what == hung) && p.failures >= failuresToRest {
		d := coolDown(p.failures - failuresToRest)
		p.rest(now.Add(d+rand.N(d/4)), false, what == hung)
	}
}

// rest keeps the host unasked until then, or longer when that was said before.
// p.mu is held.
func (p *pace) rest(until time.Time, told, hung bool) {
	if until.After(p.until) {
		p.until, p.told, p.hung = until, told, hung
	}
	p.failures = max(p.failures, failuresToRest)
	p.round++
}

func (p *pace) hold(until time.Time) {
	now := time.Now()
	if !until.After(now) {
		return
	}
	if latest := now.Add(MaxRetryAfter); until.After(latest) {
		until = latest // the clock was set back, or the file is not ours
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest(until, true, false)
}

// coolDown is the rest after so many rests in a row that helped nothing.
func coolDown(rests int) time.Duration {
	d := MinCoolDown
	for range rests {
		if d *= 2; d >= MaxCoolDown {
			return MaxCoolDown
		}
	}
	return d
}

// retryAfter reads a Retry-After of 429 and 503: seconds or a date, an hour at
// most; zero: none that can be read or lies ahead.
func retryAfter(resp *http.Response, now time.Time) time.Time {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return time.Time{}
	}
	value := resp.Header.Get("Retry-After")
	var at time.Time
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		at = now.Add(time.Duration(min(seconds, uint64(MaxRetryAfter/time.Second))) * time.Second)
	} else if at, err = http.ParseTime(value); err != nil {
		return time.Time{}
	}
	if latest := now.Add(MaxRetryAfter); at.After(latest) {
		at = latest
	}
	if !at.After(now) {
		return time.Time{}
	}
	return at
}

// judgeStatus is what a status code says about the host.
func judgeStatus(code int) outcome {
	switch {
	case code == http.StatusTooManyRequests:
		return busy
	case code == http.StatusNotImplemented:
		return alive // what some say to HEAD
	case code >= http.StatusInternalServerError, code == http.StatusRequestTimeout:
		return failed
	}
	return alive
}
