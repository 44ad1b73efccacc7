package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"towpath.dev/towpath/internal/secret"
)

const (
	requestTimeout = 30 * time.Second // of one request, its answer included; not of waiting for its turn
	userAgent      = "towpath"
	maxBody        = 16 << 20 // bytes of a request or an answer
	maxRedirects   = 3
	defaultPace    = time.Second
)

// errTooLarge: an answer had more than maxBody.
var errTooLarge = fmt.Errorf("read GitHub's answer: more than %d bytes", maxBody)

// Figures are counts since Open.
type Figures struct {
	Requests    int           // sent
	NotModified int           // of them answered 304, which GitHub does not count
	Mutations   int           // of them writes
	Waited      time.Duration // between writes
	Limited     int           // times that GitHub asked to be left alone
	Refused     int           // calls that were not sent because of that
	Limit       int           // requests an hour; 0: not known yet
	Remaining   int           // of Limit
	Reset       time.Time     // when Remaining is Limit again
}

// Figures returns what was sent and what is left.
func (f *Forge) Figures() Figures { return f.transport.figures() }

// transport sends requests with credentials, and only to the host of the interface. It reads every answer
// whole, keeps those to GET with an ETag, keeps writes apart and keeps GitHub's limits.
type transport struct {
	cfg    Config
	api    *url.URL
	next   http.RoundTripper
	base   *http.Transport
	cache  *etags
	limits *limits

	secrets secret.Known // what was sent: cut out of what GitHub says of a failure

	mu    sync.Mutex
	count Figures

	turn chan struct{} // held by the write on its way
	last time.Time     // when the last write was sent; guarded by turn
}

func newTransport(c Config, api *url.URL) *transport {
	base := c.Transport
	if base == nil {
		base = http.DefaultTransport.(*http.Transport).Clone()
	}
	var next http.RoundTripper = base
	if c.around != nil {
		next = c.around(base)
	}
	if c.Pace == 0 {
		c.Pace = defaultPace
	}
	t := &transport{cfg: c, api: api, next: next, base: base, cache: newEtags(), turn: make(chan struct{}, 1)}
	t.limits = newLimits(c)
	return t
}

func (t *transport) close() { t.base.CloseIdleConnections() }

func (t *transport) figures() Figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.count
	t.limits.tell(&all)
	return all
}

func (t *transport) counted(f func(*Figures)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.count)
}

// readsOnly marks the context of a GraphQL query: a POST that writes nothing.
type readsOnly struct{}

func writes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Context().Value(readsOnly{}) == nil
}

// RoundTrip implements http.RoundTripper. The answer's body is whole.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != t.api.Host || r.URL.Scheme != t.api.Scheme {
		return nil, fmt.Errorf("credentials for %s are not for %s", t.api.Host, r.URL.Host)
	}
	if r.ContentLength > maxBody {
		return nil, fmt.Errorf("request of %d bytes: at most %d", r.ContentLength, maxBody)
	}
	if writes(r) {
		done, err := t.await(r.Context())
		if err != nil {
			return nil, err
		}
		defer done()
	}
	token, err := t.token(r.Context())
	if err != nil {
		return nil, err
	}
	resp, err := t.send(r, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || t.cfg.App == nil {
		return resp, err
	}
	t.cfg.App.Refused(token) // an installation token may end before its time
	if r.GetBody != nil {
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	if token, err = t.token(r.Context()); err != nil {
		return nil, err
	}
	return t.send(r, token)
}

func (t *transport) token(ctx context.Context) (token string, err error) {
	if t.cfg.App != nil {
		token, err = t.cfg.App.Token(ctx)
	} else {
		token, err = t.cfg.Token(ctx)
	}
	token = strings.TrimSpace(token)
	if err == nil && (token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })) {
		err = errors.New("token of GitHub is empty or has characters that no token has") // and is not shown
	}
	return token, err
}

// await keeps writes apart from each other: one at a time, and Pace between their beginnings.
func (t *transport) await(ctx context.Context) (done func(), err error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done = func() { <-t.turn }
	if wait := time.Until(t.last.Add(t.cfg.Pace)); wait > 0 && !t.last.IsZero() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			t.counted(func(f *Figures) { f.Waited += wait })
		case <-ctx.Done():
			done()
			return nil, ctx.Err()
		}
	}
	t.last = time.Now()
	return done, nil
}

// send sends one request once, unless GitHub asked to be left alone.
func (t *transport) send(r *http.Request, token string) (*http.Response, error) {
	who := credential(token, t.cfg.App != nil)
	if limit := t.limits.asked(who); limit != nil {
		t.counted(func(f *Figures) { f.Refused++ })
		return nil, limit
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	out := r.Clone(ctx)
	out.Header.Set("Authorization", "Bearer "+token)
	key := cacheKey(r, who)
	kept := t.cache.get(key)
	if kept != nil {
		out.Header.Set("If-None-Match", kept.etag)
	}
	t.counted(func(f *Figures) {
		f.Requests++
		if writes(r) {
			f.Mutations++
		}
	})
	resp, err := t.next.RoundTrip(out)
	if err != nil {
		return nil, t.tooLate(ctx, r, err)
	}
	if err := readWhole(resp); err != nil {
		return nil, t.tooLate(ctx, r, err)
	}
	t.secrets.Add(token)
	if t.base.Proxy != nil {
		proxy, _ := t.base.Proxy(out) // without an answer nothing was sent
		t.secrets.AddProxy(proxy)
	}
	if resp.StatusCode != http.StatusOK || strings.HasSuffix(r.URL.Path, "/graphql") { // errors of GraphQL are answers, too
		setBody(resp, []byte(t.secrets.Cut(string(bodyOf(resp)))))
	}
	if limit := t.limits.told(who, r, resp); limit != nil {
		t.counted(func(f *Figures) { f.Limited++ })
		return nil, limit
	}
	hide(resp)
	switch {
	case resp.StatusCode == http.StatusNotModified && kept != nil:
		t.counted(func(f *Figures) { f.NotModified++ })
		return kept.replay(resp), nil
	case resp.StatusCode == http.StatusOK:
		t.cache.put(key, resp)
	}
	return resp, nil
}

// tooLate says of an error that it was the time.
func (t *transport) tooLate(ctx context.Context, r *http.Request, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && r.Context().Err() == nil {
		return fmt.Errorf("GitHub did not answer within %s", requestTimeout)
	}
	return err
}

// readWhole reads the body, so that an answer that was cut is an error of the request.
func readWhole(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("read GitHub's answer: %w", err)
	case len(body) > maxBody:
		return errTooLarge
	}
	setBody(resp, body)
	return nil
}

func setBody(resp *http.Response, body []byte) {
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// bodyOf is the body of an answer that was read whole; it can be read again.
func bodyOf(resp *http.Response) []byte {
	body, err := io.ReadAll(resp.Body)
	if err != nil { // it is in memory: cannot happen
		return nil
	}
	setBody(resp, body)
	return body
}

// hide takes the limit's headers off an answer. go-github would keep a limit of its own by them and by the
// clock of this machine, and refuse in its own words what is allowed, or later than we know.
func hide(resp *http.Response) {
	for name := range resp.Header {
		if strings.HasPrefix(strings.ToLower(name), "x-ratelimit-") {
			resp.Header.Del(name)
		}
	}
}

// redirect follows GitHub within its own host: a repository that was renamed. Another host, and a write
// that would become a read, are not followed.
func (t *transport) redirect(r *http.Request, via []*http.Request) error {
	from := via[len(via)-1]
	if r.URL.Host != t.api.Host || r.URL.Scheme != t.api.Scheme || r.Method != from.Method || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}
