package registry

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// Limits of the Client's own transport.
const (
	dialTimeout     = 10 * time.Second
	headerTimeout   = 30 * time.Second
	idleTimeout     = 90 * time.Second
	maxIdlePerHost  = 8
	maxHeaderBytes  = 256 << 10
	maxPingsOnDrain = 64 << 10 // bytes of a ping's body that are read at all
)

// wire is the transport under go-containerregistry: what that library leaves to
// the good will of a registry is limited here.
type wire struct {
	inner    http.RoundTripper
	insecure map[string]bool // by host:port: plain http, and nothing else
	maxBody  int64

	mu    sync.Mutex
	pings map[string]*ping // by scheme://host
}

func newWire(inner http.RoundTripper, insecure map[string]bool, maxBody int64) *wire {
	if inner == nil {
		inner = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConnsPerHost:    maxIdlePerHost,
			MaxResponseHeaderBytes: maxHeaderBytes,
		}
	}
	return &wire{inner: inner, insecure: insecure, maxBody: maxBody, pings: map[string]*ping{}}
}

func (w *wire) closeIdle() {
	if c, ok := w.inner.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := w.scheme(req.URL); err != nil {
		return nil, err
	}
	if isPing(req) {
		return w.ping(req)
	}
	return w.send(req)
}

// scheme refuses plain http to hosts that were not named. The library would try
// it on private and loopback addresses by itself.
func (w *wire) scheme(u *url.URL) error {
	plain := w.insecure[u.Host]
	switch {
	case u.Scheme == "http" && !plain:
		return errPlainHTTP
	case u.Scheme == "https" && plain:
		return errOnlyPlainHTTP
	}
	return nil
}

func (w *wire) send(req *http.Request) (*http.Response, error) {
	b, _ := req.Context().Value(budgetKey{}).(*budget)
	if b != nil && b.left.Add(-1) < 0 {
		return nil, bad("one question took more requests than allowed (redirects in a circle?)")
	}
	resp, err := w.inner.RoundTrip(req)
	if err != nil {
		if b != nil {
			b.failed.Store(&err)
		}
		return nil, err
	}
	if !resp.Uncompressed && resp.ContentLength > w.maxBody && req.Method != http.MethodHead {
		_ = resp.Body.Close()
		return nil, bad("an answer is %d bytes long, more than %d", resp.ContentLength, w.maxBody)
	}
	// The body is what the library reads: already decompressed.
	resp.Body = &limited{ReadCloser: resp.Body, left: w.maxBody, max: w.maxBody}
	if err := checkLink(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// checkLink refuses a next page on another host or scheme.
func checkLink(resp *http.Response) error {
	link := resp.Header.Get("Link")
	if link == "" || resp.Request == nil || !strings.HasSuffix(resp.Request.URL.Path, "/tags/list") {
		return nil
	}
	target, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || target == "" || !strings.HasPrefix(link, "<") {
		return bad("its link to the next page of tags cannot be read")
	}
	here := resp.Request.URL
	next, err := here.Parse(target)
	if err != nil {
		return bad("its link to the next page of tags cannot be read")
	}
	if next.Host != here.Host || next.Scheme != here.Scheme {
		return bad("its list of tags continues on another host or scheme")
	}
	// A registry with TLS on a private address: the library insists on the
	// scheme it guessed for such addresses, and asks in the right one again.
	if reg, err := name.NewRegistry(here.Host); err == nil {
		next.Scheme = reg.Scheme()
	}
	resp.Header.Set("Link", "<"+next.String()+">"+rest)
	return nil
}

// limited is a body that is an error once it is too long; io.LimitReader would
// make it look complete.
type limited struct {
	io.ReadCloser
	left, max int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, bad("an answer is longer than %d bytes", l.max)
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more than allowed, to see whether there is more
	}
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, bad("an answer is longer than %d bytes", l.max)
	}
	return n, err
}

// ping is the answer of one host to "how do I log in?". The library asks it for
// every image; a host answers it once.
type ping struct {
	turn   chan struct{} // holds one value while somebody asks
	status int           // 0: not asked yet
	header http.Header
}

func isPing(req *http.Request) bool {
	return req.Method == http.MethodGet && req.URL.Path == "/v2/" && req.URL.RawQuery == "" && req.Header.Get("Authorization") == ""
}

func (w *wire) ping(req *http.Request) (*http.Response, error) {
	p := w.pingOf(req.URL.Scheme + "://" + req.URL.Host)
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
	if p.status == 0 {
		resp, err := w.send(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, maxPingsOnDrain) // so that the connection is used again
		_ = resp.Body.Close()
		p.status, p.header = resp.StatusCode, resp.Header.Clone()
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", p.status, http.StatusText(p.status)),
		StatusCode: p.status,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     p.header.Clone(),
		Body:       http.NoBody,
		Request:    req,
	}, nil
}

func (w *wire) pingOf(host string) *ping {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pings[host]
	if p == nil {
		p = &ping{turn: make(chan struct{}, 1)}
		w.pings[host] = p
	}
	return p
}

func (w *wire) forget(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pings, "http://"+host)
	delete(w.pings, "https://"+host)
}

// budget counts down the requests of one call; it travels in the context
// because redirects and tokens are asked for by the library.
type budget struct {
	left   atomic.Int64
	failed atomic.Pointer[error] // the last error of the network itself
}

type budgetKey struct{}

func newBudget(requests int) *budget {
	b := &budget{}
	b.left.Store(int64(requests))
	return b
}
