// Package faults is a proxy that stands in front of a real HTTP server and spoils its answers as bad
// networks, tired servers and hostile ones do: for tests of what then becomes of the client. What is
// spoilt is chosen by method and path while the proxy runs, and every request is counted.
//
// The proxy speaks HTTP/1.1, with or without TLS, and takes TCP connections apart itself where HTTP
// cannot say what is wrong. It is for tests only and imports nothing of Towpath.
package faults

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Options say what is behind the proxy and how it is spoken to; Backend is needed.
type Options struct {
	Backend string           // host:port
	RootCAs *x509.CertPool   // who signed its certificate; nil: it speaks plain http
	TLS     *tls.Certificate // what the proxy shows; nil: it speaks plain http
}

// Fault answers in place of the backend, or lets it answer and spoils that. Many requests may be in it
// at the same time; it ends when the request's context does.
type Fault func(w http.ResponseWriter, r *http.Request, backend http.Handler)

// Rule says which requests a fault is for.
type Rule struct {
	Method string // "" for all
	Path   string // of the URL without its query; "*" at its end stands for anything; "" for all
	Times  int    // how many requests; 0 for all
	Fault  Fault
}

// Request is one that came.
type Request struct {
	Method, Path, Query string
	IfNoneMatch         string // of its header
	Status              int    // that was sent; 0 when the fault sent none
}

// Proxy is a running proxy. Its methods may be called while requests are on their way.
type Proxy struct {
	server    *httptest.Server
	transport *http.Transport
	backend   *httputil.ReverseProxy
	dropped   atomic.Int64
	drop      atomic.Bool

	mu       sync.Mutex
	rules    []*Rule
	requests []*Request
}

// Start runs a proxy until the test ends. Without rules it passes everything on as it is.
func Start(t testing.TB, o Options) *Proxy {
	t.Helper()
	p := Run(o)
	t.Cleanup(p.Close)
	return p
}

// Run is Start for who has no test: the proxy runs until Close.
func Run(o Options) *Proxy {
	p := &Proxy{}
	p.transport = &http.Transport{
		DisableCompression: true, // what the client asked for is what it gets
		TLSClientConfig:    &tls.Config{RootCAs: o.RootCAs},
	}
	target := &url.URL{Scheme: "http", Host: o.Backend}
	if o.RootCAs != nil {
		target.Scheme = "https"
	}
	quiet := log.New(io.Discard, "", 0)
	p.backend = &httputil.ReverseProxy{
		Transport: p.transport,
		ErrorLog:  quiet,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			// The backend writes the address it was asked under into its links.
			r.Out.Host = r.In.Host
		},
	}
	p.server = httptest.NewUnstartedServer(p)
	p.server.Config.ErrorLog = quiet
	p.server.Listener = &dropper{Listener: p.server.Listener, proxy: p}
	if o.TLS != nil {
		// Without HTTP/2, whose connections no handler can take over.
		p.server.TLS = &tls.Config{Certificates: []tls.Certificate{*o.TLS}, NextProtos: []string{"http/1.1"}}
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	return p
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	p.server.CloseClientConnections() // ends the contexts of faults that wait
	p.server.Close()
	p.transport.CloseIdleConnections()
}

// Host returns the proxy's host:port.
func (p *Proxy) Host() string { return p.server.Listener.Addr().String() }

// Set replaces the rules; the first that fits a request is the one that counts.
func (p *Proxy) Set(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
	for _, r := range rules {
		if r.Times == 0 {
			r.Times = -1
		}
		p.rules = append(p.rules, &r)
	}
}

// Drop makes every new connection be reset before a byte of it is read, as a port without a server
// behind it or a firewall does; open ones go on. Drop(false) ends that.
func (p *Proxy) Drop(on bool) { p.drop.Store(on) }

// Dropped returns how many connections Drop has reset.
func (p *Proxy) Dropped() int { return int(p.dropped.Load()) }

// Requests returns what came since Start or Reset, in the order of arrival.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Request
	for _, r := range p.requests {
		all = append(all, *r)
	}
	return all
}

// Count returns how many requests had this method and a path that a Rule with this one would fit; an
// empty method or path stands for all.
func (p *Proxy) Count(method, path string) int {
	n := 0
	for _, r := range p.Requests() {
		if fits(method, path, r.Method, r.Path) {
			n++
		}
	}
	return n
}

// Reset forgets the requests that came.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := &Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, IfNoneMatch: r.Header.Get("If-None-Match")}
	fault := p.arrived(seen)
	sw := &statusWriter{ResponseWriter: w, sent: func(status int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		seen.Status = status
	}}
	if fault == nil {
		p.backend.ServeHTTP(sw, r)
		return
	}
	fault(sw, r, p.backend)
}

// arrived notes a request and returns what is to be done to it; nil for nothing.
func (p *Proxy) arrived(seen *Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, seen)
	i := slices.IndexFunc(p.rules, func(r *Rule) bool {
		return r.Times != 0 && fits(r.Method, r.Path, seen.Method, seen.Path)
	})
	if i < 0 {
		return nil
	}
	p.rules[i].Times--
	return p.rules[i].Fault
}

func fits(wantMethod, wantPath, method, path string) bool {
	if wantMethod != "" && wantMethod != method {
		return false
	}
	if prefix, ok := strings.CutSuffix(wantPath, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return wantPath == "" || wantPath == path
}

// statusWriter tells the first status that is sent, and hides from ReverseProxy nothing else.
type statusWriter struct {
	http.ResponseWriter
	sent func(status int)
	told bool
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.told && status >= 200 {
		w.told = true
		w.sent(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if !w.told {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// dropper is a listener that resets connections when the proxy shall.
type dropper struct {
	net.Listener
	proxy *Proxy
}

// Accept implements net.Listener.
func (d *dropper) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || !d.proxy.drop.Load() {
			return conn, err
		}
		d.proxy.dropped.Add(1)
		reset(conn)
	}
}

// reset ends a connection so that the other side gets an error and no orderly end.
func reset(conn net.Conn) {
	raw := conn
	if t, ok := raw.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a reset in place of the end; without it the connection merely closes
	}
	_ = raw.Close()
}
