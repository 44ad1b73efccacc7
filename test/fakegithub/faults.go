package fakegithub

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Fault spoils answers to some requests. It comes before or after the request is carried out, which is
// the difference that a client has to live with: an answer that is lost tells nothing of what happened.
type Fault struct {
	Method string // "" for all
	Path   string // of the URL, as in "/repos/o/r/pulls/1/merge"; "*" at its end stands for anything; "" for all
	Skip   int    // so many requests pass first
	Times  int    // how many requests then; 0 for all

	// What happens; the first that is set counts.
	Status    int           // answered in place of carrying the request out: any, or with Message
	Message   string        // GitHub's words; "" for those of the status
	Primary   bool          // the hour's requests are used up
	Secondary time.Duration // too many at once: Retry-After
	Cut       bool          // the connection ends, and nothing was carried out
	Lost      bool          // the request is carried out, and the connection ends without an answer
	LostAs    int           // the request is carried out, and this status is answered, as front servers do
	Latency   time.Duration // the answer comes late; with any of the above, too
}

// Inject adds faults; the first that fits a request counts.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = -1
		}
		s.faults = append(s.faults, &f)
	}
}

// Heal takes all faults away.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault finds the fault for a request and counts it.
func (s *Server) takeFault(c *call) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times == 0 || f.Method != "" && f.Method != c.r.Method || !f.fits(c.path) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Times--
		return f
	}
	return nil
}

func (f *Fault) fits(path string) bool {
	if prefix, ok := strings.CutSuffix(f.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return f.Path == "" || f.Path == path
}

// before does what comes in place of the request; done is false when it is to be carried out.
func (f *Fault) before(c *call) (a *answer, done bool) {
	if f.Latency > 0 {
		timer := time.NewTimer(f.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.r.Context().Done():
			return nil, true
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch {
	case f.Cut:
		return nil, true
	case f.Primary:
		if c.s.authenticate(c) != nil {
			return nil, true
		}
		c.s.usageOf(c.who).used = c.s.opts.Limits.PerHour
		a = exceeded(c.who).answer()
		c.s.charge(c, a)
		return a, true
	case f.Secondary > 0:
		return secondary(f.Secondary).answer(), true
	case f.Status > 0:
		return f.plain(f.Status), true
	}
	return nil, false
}

// after spoils the answer of a request that was carried out.
func (f *Fault) after(_ *call, a *answer) *answer {
	switch {
	case f.Lost:
		return nil
	case f.LostAs > 0:
		return f.plain(f.LostAs)
	}
	return a
}

// plain is an error: JSON of GitHub's own, or the page of a front server for what is 5xx.
func (f *Fault) plain(status int) *answer {
	if status < http.StatusInternalServerError {
		words := f.Message
		if words == "" {
			words = http.StatusText(status)
		}
		return fail(status, "%s", words).answer()
	}
	a := &answer{status: status, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}}
	a.body = fmt.Appendf(nil, "<html><head><title>%d %s</title></head><body><h1>Unicorn!</h1></body></html>", status, http.StatusText(status))
	return a
}
