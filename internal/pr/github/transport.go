package github

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	requestTimeout = 30 * time.Second
	userAgent      = "towpath"
)

// transport sends requests with credentials, and only to the host of the interface.
type transport struct {
	cfg  Config
	api  *url.URL
	next http.RoundTripper
	base *http.Transport
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
	return &transport{cfg: c, api: api, next: next, base: base}
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.token(r)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Header.Set("Authorization", "Bearer "+token)
	return t.next.RoundTrip(out)
}

func (t *transport) token(r *http.Request) (string, error) {
	if t.cfg.App != nil {
		return t.cfg.App.Token(r.Context())
	}
	return t.cfg.Token(r.Context())
}

func (t *transport) redirect(*http.Request, []*http.Request) error {
	return errors.New("redirected")
}

func (t *transport) graphqlLimit(_, _ []string) *pr.LimitError { return nil }

func (t *transport) close() { t.base.CloseIdleConnections() }
