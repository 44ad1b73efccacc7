package gitrepo

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	secrets "towpath.dev/towpath/internal/secret"
)

// Transport makes http connections to the server at root (https://HOST) as those
// of Git over https are made: the same authorities, client certificate and
// proxy. The client certificate and the proxy's password are read again for each
// connection, the authorities are not. Whoever uses it must follow no redirect to
// another host, which would be shown the client certificate.
func (a Auth) Transport(root string) (*http.Transport, error) {
	u, err := url.Parse(root)
	if err != nil || u.Host == "" {
		return nil, errors.New("connect: the server's URL cannot be read")
	}
	files, err := a.readWireFiles()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	w, err := newHTTPWire(remote{scheme: u.Scheme, host: u.Host}, a, files, &secrets.Known{})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	if files.cert != "" {
		w.own.TLSClientConfig.Certificates = nil
		w.own.TLSClientConfig.GetClientCertificate = a.freshCertificate
	}
	if files.proxyPassword != "" {
		w.own.Proxy = a.freshProxy
	}
	return w.own, nil
}

// freshProxy reads the proxy's password anew for each request.
func (a Auth) freshProxy(req *http.Request) (*url.URL, error) {
	password, err := readLine("proxy password", a.ProxyPasswordFile)
	if err != nil {
		return nil, err
	}
	proxy, err := a.proxy(wireFiles{proxyPassword: password}, &secrets.Known{})
	if err != nil {
		return nil, err
	}
	return proxy(req)
}
