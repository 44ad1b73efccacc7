package registry

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// Limits of the Client's own transports.
const (
	dialTimeout    = 10 * time.Second
	headerTimeout  = 30 * time.Second
	idleTimeout    = 90 * time.Second
	pingAfter      = 20 * time.Second
	maxHeaderBytes = 256 << 10
	// maxPEM bytes of a CA, certificate or key file.
	maxPEM = 1 << 20
)

// direct as a Host.Proxy means that there is none.
const direct = "direct"

// errSettings is what was said of a host and cannot be used.
var errSettings = errors.New("its settings cannot be used")

// proxyRefused is a proxy that did not open a way to the host.
type proxyRefused struct{ code int }

func (p *proxyRefused) Error() string {
	return fmt.Sprintf("the proxy answered %d %s", p.code, http.StatusText(p.code))
}

// transports hands out one http.Transport per distinct way to reach a host, so
// that hosts with equal settings share their connections' pool.
type transports struct {
	allow []netip.Prefix

	mu     sync.Mutex
	open   map[way]*http.Transport
	pems   map[string]pems // by host: the last that could be used
	reread func(path string) ([]byte, error)
}

// way is all that tells transports apart. It is comparable.
type way struct {
	private bool
	proxy   string   // URL; "" for none
	pems    [32]byte // digest; zero for none
}

// pems are the contents of a host's files.
type pems struct {
	ca, cert, key []byte
	sum           [32]byte
}

func newTransports(allow []netip.Prefix) *transports {
	return &transports{allow: allow, open: map[way]*http.Transport{}, pems: map[string]pems{}, reread: func(path string) ([]byte, error) {
		return readFile(path, maxPEM)
	}}
}

// of returns the transport for a request to a host of which h was said.
func (t *transports) of(req *http.Request, h Host) (http.RoundTripper, error) {
	private := h.PrivateNetwork || h.PlainHTTP
	proxy, err := proxyOf(req, h.Proxy)
	if err != nil {
		return nil, err
	}
	w := way{private: private}
	if proxy != nil {
		if err := (guard{private: private, allow: t.allow}).target(req.URL.Hostname()); err != nil {
			return nil, err
		}
		w.proxy = proxy.String()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	files, err := t.files(h)
	if err != nil {
		return nil, err
	}
	w.pems = files.sum
	tr := t.open[w]
	if tr == nil {
		if tr, err = t.make(w, proxy, files); err != nil {
			return nil, fmt.Errorf("%w: %w", errSettings, err)
		}
		t.open[w] = tr
	}
	return tr, nil
}

// proxyOf returns the proxy for a request, nil for none. Errors hold no URL: it
// may hold a password.
func proxyOf(req *http.Request, said string) (*url.URL, error) {
	switch said {
	case direct:
		return nil, nil
	case "":
		u, err := http.ProxyFromEnvironment(req)
		if err != nil {
			return nil, fmt.Errorf("%w: the proxy of the environment is no URL", errSettings)
		}
		return u, nil
	}
	u, err := url.Parse(said)
	if err != nil {
		return nil, fmt.Errorf("%w: its proxy is no URL", errSettings)
	}
	return u, nil
}

// files reads what the host's settings name. Files that became unreadable or
// half-written leave the last good ones in use. t.mu is held.
func (t *transports) files(h Host) (pems, error) {
	if h.CAFile == "" && h.CertFile == "" && h.KeyFile == "" {
		return pems{}, nil
	}
	last, had := t.pems[h.Host]
	now, err := t.read(h)
	switch {
	case err == nil && now.sum == last.sum:
		return last, nil
	case err == nil:
		_, err = now.config()
	}
	if err != nil {
		if had {
			return last, nil
		}
		return pems{}, fmt.Errorf("%w: %w", errSettings, err)
	}
	t.pems[h.Host] = now
	for w, tr := range t.open {
		if had && w.pems == last.sum {
			tr.CloseIdleConnections()
			delete(t.open, w)
		}
	}
	return now, nil
}

func (t *transports) read(h Host) (pems, error) {
	var p pems
	sum := sha256.New()
	for _, f := range []struct {
		path string
		into *[]byte
	}{{h.CAFile, &p.ca}, {h.CertFile, &p.cert}, {h.KeyFile, &p.key}} {
		if f.path != "" {
			data, err := t.reread(f.path)
			if err != nil {
				return pems{}, fmt.Errorf("%s: %w", f.path, err)
			}
			*f.into = data
		}
		fmt.Fprintf(sum, "%d:", len(*f.into))
		sum.Write(*f.into)
	}
	p.sum = [32]byte(sum.Sum(nil))
	return p, nil
}

// config never quotes a file in an error: one of them is a key.
func (p pems) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.ca != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(p.ca) {
			return nil, errors.New("caFile holds no certificate")
		}
		c.RootCAs = pool
	}
	if p.cert != nil || p.key != nil {
		pair, err := tls.X509KeyPair(p.cert, p.key)
		if err != nil {
			return nil, errors.New("certFile and keyFile are no certificate and its key")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (t *transports) make(w way, proxy *url.URL, files pems) (*http.Transport, error) {
	config, err := files.config()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if proxy == nil {
		dialer.Control = guard{private: w.private, allow: t.allow}.control
	}
	tr := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    MaxRequestsPerHost,
		MaxResponseHeaderBytes: maxHeaderBytes,
		// A connection of HTTP/2 that died without a word would be used for minutes.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: dialTimeout},
		// An error text of the proxy's would come without a type.
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode != http.StatusOK {
				return &proxyRefused{resp.StatusCode}
			}
			return nil
		},
	}
	if proxy != nil {
		tr.Proxy = http.ProxyURL(proxy)
	}
	return tr, nil
}

func (t *transports) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range t.open {
		tr.CloseIdleConnections()
	}
}
