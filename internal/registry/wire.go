package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// userAgent is what registries see in their logs.
const userAgent = "towpath"

// wire is the transport under everything that is asked: each host's pace, its
// scheme, proxy and certificates, and the limits of an answer are kept here,
// for tokens and redirects too.
type wire struct {
	inner   http.RoundTripper // a test's; nil: transports
	hosts   hosts
	paces   *paces
	ways    *transports
	maxBody int64
}

func newWire(c Config, h hosts) *wire {
	return &wire{
		inner: c.Transport, hosts: h, maxBody: c.MaxBody, ways: newTransports(c.AllowNetworks),
		paces: newPaces(func(host string) float64 {
			if r := h.named(host).RequestsPerSecond; r > 0 {
				return r
			}
			return DefaultRequestsPerSecond
		}),
	}
}

func (w *wire) closeIdle() {
	w.ways.closeIdle()
	if c, ok := w.inner.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// scheme refuses plain http to hosts that were not named for it, and anything
// else to those that were.
func scheme(u *url.URL, h Host) error {
	switch {
	case u.Scheme == "http" && !h.PlainHTTP:
		return errPlainHTTP
	case u.Scheme == "https" && h.PlainHTTP:
		return errOnlyPlainHTTP
	case u.Scheme != "http" && u.Scheme != "https":
		return errNoHTTP
	}
	return nil
}

// permit is scheme, and for plain http looks at the address first: nobody is to
// name a host where clouds keep credentials because a registry led there.
func (w *wire) permit(u *url.URL, h Host) error {
	err := scheme(u, h)
	var refused *guarded
	if errors.Is(err, errPlainHTTP) {
		if errors.As((guard{allow: w.ways.allow}).target(u.Hostname()), &refused) && refused.never {
			return refused
		}
	}
	return err
}

// RoundTrip implements http.RoundTripper. The answer's body must be closed: until
// then it counts as a request under way.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	h := w.hosts.of(req.URL)
	if err := w.permit(req.URL, h); err != nil {
		return nil, err
	}
	ctx := req.Context()
	b := budgetOf(ctx)
	if b.left.Add(-1) < 0 {
		return nil, bad("one question took more requests than allowed")
	}
	inner := w.inner
	if inner == nil {
		var err error
		if inner, err = w.ways.of(req, h); err != nil {
			return nil, err
		}
	}
	b.pause()
	t, err := w.paces.of(strings.ToLower(req.URL.Host)).admit(ctx)
	b.resume()
	if err != nil {
		b.rested(err)
		return nil, err
	}
	return w.send(req, inner, t, b)
}

func (w *wire) send(req *http.Request, inner http.RoundTripper, t *ticket, b *budget) (*http.Response, error) {
	if req.Header.Get("User-Agent") == "" {
		req = req.Clone(req.Context())
		req.Header.Set("User-Agent", userAgent)
	}
	resp, err := inner.RoundTrip(req)
	if err != nil {
		t.end(judgeSilence(req.Context(), err), time.Time{})
		return nil, err
	}
	what := judgeStatus(resp.StatusCode)
	if at := retryAfter(resp, time.Now()); !at.IsZero() {
		b.rest.Store(&resting{host: t.p.host, until: at, told: true})
		t.p.learn(t, what, at)
		what = unknown
	}
	if !resp.Uncompressed && resp.ContentLength > w.maxBody && req.Method != http.MethodHead {
		_ = resp.Body.Close()
		t.end(what, time.Time{})
		return nil, bad("an answer is %d bytes long, more than %d", resp.ContentLength, w.maxBody)
	}
	// The body is what is read by us: already decompressed.
	resp.Body = &body{inner: resp.Body, left: w.maxBody, max: w.maxBody, ctx: req.Context(), ticket: t, what: what}
	return resp, nil
}

// judgeError is what a request without an answer says about its host.
func judgeError(ctx context.Context, err error) outcome {
	var refused *guarded
	switch {
	case errors.As(err, &refused):
		return unknown
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimeout):
		return unknown // the caller went away
	}
	return failed
}

// judgeSilence is judgeError for a request that got not even a status line.
func judgeSilence(ctx context.Context, err error) outcome {
	what := judgeError(ctx, err)
	var late net.Error
	if what == failed && (ctx.Err() != nil || errors.As(err, &late) && late.Timeout()) {
		return hung
	}
	return what
}

// body is the body of an answer. It is an error once it is too long;
// io.LimitReader would make it look complete. Closing it ends the request.
type body struct {
	inner     io.ReadCloser
	left, max int64
	ctx       context.Context // of the request, to tell who gave up
	ticket    *ticket
	what      outcome // if nothing goes wrong from here
}

func (l *body) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, bad("an answer is longer than %d bytes", l.max)
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more than allowed, to see whether there is more
	}
	n, err := l.inner.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, bad("an answer is longer than %d bytes", l.max)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		l.what = judgeError(l.ctx, err)
	}
	return n, err
}

func (l *body) Close() error {
	err := l.inner.Close()
	l.ticket.end(l.what, time.Time{})
	return err
}

// budget is what one call may cost: requests, and time that it does not spend
// waiting for its turn. It travels in the context, because tokens are asked for
// by the library.
type budget struct {
	left atomic.Int64
	rest atomic.Pointer[resting] // the last rest it met or caused

	mu      sync.Mutex
	timer   *time.Timer
	remain  time.Duration
	since   time.Time
	waiting int // pauses that did not end yet
}

type budgetKey struct{}

// newBudget calls over when the time has been used up.
func newBudget(requests int, limit time.Duration, over func()) *budget {
	b := &budget{remain: limit, since: time.Now(), timer: time.AfterFunc(limit, over)}
	b.left.Store(int64(requests))
	return b
}

// budgetOf returns the call's budget. Every request has one.
func budgetOf(ctx context.Context) *budget {
	return ctx.Value(budgetKey{}).(*budget)
}

// pause stops the clock: the call is waiting for a host's turn.
func (b *budget) pause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting++; b.waiting == 1 && b.timer.Stop() {
		b.remain -= time.Since(b.since)
	}
}

func (b *budget) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting--; b.waiting == 0 {
		b.since = time.Now()
		b.timer.Reset(max(b.remain, 0))
	}
}

func (b *budget) rested(err error) {
	var r *resting
	if errors.As(err, &r) {
		b.rest.Store(r)
	}
}
