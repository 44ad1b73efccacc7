package gitrepo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	secrets "towpath.dev/towpath/internal/secret"
)

// Limits of an http connection. What stalls later ends with the context.
const (
	httpDialTimeout     = 30 * time.Second
	tlsHandshakeTimeout = 30 * time.Second
	// The server may count objects or run hooks before it says anything.
	responseTimeout = 5 * time.Minute
	maxErrorBody    = 64 << 10 // of an answer that is an error
)

// wireFiles is what the files of TLS and proxy hold; when it changed, new
// connections are made.
type wireFiles struct{ ca, cert, key, proxyPassword string }

// readWireFiles reads them anew.
func (a Auth) readWireFiles() (wireFiles, error) {
	var f wireFiles
	for _, x := range []struct {
		what, path string
		to         *string
	}{
		{"CA certificates", a.CAFile, &f.ca},
		{"client certificate", a.ClientCertFile, &f.cert},
		{"key of the client certificate", a.ClientKeyFile, &f.key},
	} {
		if x.path == "" {
			continue
		}
		b, err := readSecret(x.path)
		if err != nil {
			return f, fmt.Errorf("read %s: %w", x.what, err)
		}
		*x.to = string(b)
	}
	if a.ProxyPasswordFile != "" {
		var err error
		f.proxyPassword, err = readLine("proxy password", a.ProxyPasswordFile)
		return f, err
	}
	return f, nil
}

// httpWire makes http requests with one state of the files. Only the
// repository's own server is shown the client certificate.
type httpWire struct {
	files      wireFiles
	own, other *http.Transport
	origin     string // host:port that own is for
}

func newHTTPWire(r remote, a Auth, f wireFiles, s *secrets.Known) (*httpWire, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("http.DefaultTransport was replaced")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if f.ca != "" {
		if config.RootCAs, err = trusted(a.CAFile, f.ca); err != nil {
			return nil, err
		}
	}
	proxy, err := a.proxy(f, s)
	if err != nil {
		return nil, err
	}
	other := base.Clone()
	other.DialContext = (&net.Dialer{Timeout: httpDialTimeout}).DialContext
	other.TLSHandshakeTimeout, other.ResponseHeaderTimeout = tlsHandshakeTimeout, responseTimeout
	other.TLSClientConfig, other.Proxy, other.OnProxyConnectResponse = config, proxy, proxyRefusal
	w := &httpWire{files: f, own: other, other: other, origin: hostPort(r.scheme, r.host)}
	if f.cert != "" {
		pair, err := clientCertificate(a, f)
		if err != nil {
			return nil, err
		}
		w.own = other.Clone()
		w.own.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	return w, nil
}

// freshCertificate reads the client certificate anew for each connection.
func (a Auth) freshCertificate(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	f, err := a.readWireFiles()
	if err != nil {
		return nil, err
	}
	pair, err := clientCertificate(a, f)
	if err != nil {
		return nil, err
	}
	if info.SupportsCertificate(&pair) != nil {
		return &tls.Certificate{}, nil //nolint:nilerr // the server takes none like it: TLS then sends none
	}
	return &pair, nil
}

// hostPort is a URL's host with its port.
func hostPort(scheme, host string) string {
	u := url.URL{Host: host}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// trusted are the system's authorities and those of a file.
func trusted(path, data string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM([]byte(data)) {
		return nil, fmt.Errorf("CA file %s holds no certificate in PEM form (BEGIN CERTIFICATE)", path)
	}
	return pool, nil
}

func clientCertificate(a Auth, f wireFiles) (tls.Certificate, error) {
	for rest := []byte(f.key); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return tls.Certificate{}, fmt.Errorf("client key %s is encrypted, which is not supported; "+
				"make an open one with `openssl pkey -in KEY -out OPENKEY` and protect the file", a.ClientKeyFile)
		}
	}
	pair, err := tls.X509KeyPair([]byte(f.cert), []byte(f.key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate %s with key %s: %w", a.ClientCertFile, a.ClientKeyFile, err)
	}
	return pair, nil
}

// proxy returns the function that finds the proxy of a request.
func (a Auth) proxy(f wireFiles, s *secrets.Known) (func(*http.Request) (*url.URL, error), error) {
	u, err := a.proxyURL()
	if err != nil {
		return nil, err
	}
	if u != nil {
		if f.proxyPassword != "" {
			u.User = url.UserPassword(u.User.Username(), f.proxyPassword)
			s.AddLogin(u.User.Username(), f.proxyPassword)
		}
		return http.ProxyURL(u), nil
	}
	return func(req *http.Request) (*url.URL, error) {
		u, err := http.ProxyFromEnvironment(req)
		if err != nil {
			return nil, errors.New("the proxy that the environment names (HTTPS_PROXY or HTTP_PROXY) cannot be used")
		}
		if u != nil {
			if password, ok := u.User.Password(); ok {
				s.AddLogin(u.User.Username(), password)
			}
		}
		return u, nil
	}, nil
}

// proxyRefusal makes an error of a proxy's answer to CONNECT.
func proxyRefusal(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusProxyAuthRequired:
		return errProxyLogin(proxy.Host)
	}
	return fmt.Errorf("proxy %s makes no connection: it answered %d", proxy.Host, res.StatusCode)
}

func errProxyLogin(host string) error {
	return fmt.Errorf("%w: the proxy %s wants a user name, in its URL, and a password, in the proxy password file, "+
		"or refuses those it got", ErrUnauthorized, host)
}

// RoundTrip keeps the client certificate to its server and bounds what is read
// of errors, which go-git reads whole.
func (w *httpWire) RoundTrip(req *http.Request) (*http.Response, error) {
	next := w.other
	if hostPort(req.URL.Scheme, req.URL.Host) == w.origin {
		next = w.own
	}
	res, err := next.RoundTrip(req)
	if err != nil {
		return nil, tlsAdvice(err)
	}
	if res.StatusCode == http.StatusProxyAuthRequired {
		_ = res.Body.Close()
		return nil, errProxyLogin("on the way")
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		body := res.Body
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(body, maxErrorBody), body}
	}
	return res, nil
}

// tlsAdvice says what mends a connection that TLS refused.
func tlsAdvice(err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; when the server's authority is your own, give its certificate as CA file", err)
	case strings.Contains(err.Error(), "remote error: tls: ") && strings.Contains(err.Error(), "certificate"):
		return fmt.Errorf("%w; the server wants a client certificate, or refuses the one it got", err)
	}
	return err
}

func (w *httpWire) close() {
	w.own.CloseIdleConnections()
	w.other.CloseIdleConnections()
}
