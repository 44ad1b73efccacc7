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
// proxy. The files are read now and not again. Whoever uses it must follow no
// redirect to another host, which would be shown the client certificate.
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
	return w.own, nil
}
