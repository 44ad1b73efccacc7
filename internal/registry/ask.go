package registry

import (
	"context"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
)

// maxRedirects of one request.
const maxRedirects = 5

// base is the start of every URL of a registry.
func (c *Client) base(host string) string { return c.scheme(host) + "://" + host }

// scheme is what a registry is spoken to in.
func (c *Client) scheme(host string) string {
	if c.hosts.named(host).PlainHTTP {
		return "http"
	}
	return "https"
}

// send sends one request. It does not follow https to http.
func (c *Client) send(ctx context.Context, method, target string, header http.Header, as *authorized) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, http.NoBody)
	if err != nil {
		return nil, bad("a URL of its cannot be used")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	cl := http.Client{Transport: as, CheckRedirect: checkRedirect}
	return cl.Do(req)
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return bad("it redirects more than %d times", maxRedirects)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return bad("it redirects from https to another scheme")
	}
	if req.URL.User != nil {
		return bad("it redirects to a URL with a password")
	}
	return nil
}

// authorized adds credentials to requests to one host, and to no other.
type authorized struct {
	inner  http.RoundTripper
	base   string // scheme://host
	header string // Authorization
}

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	if a.header != "" && req.URL.Scheme+"://"+req.URL.Host == a.base {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", a.header)
	}
	return a.inner.RoundTrip(req)
}

// ask sends one request to the registry of the call's image, and logs in for it.
func (k call) ask(method, target string, header http.Header) (*http.Response, error) {
	p, err := k.c.authorize(k.ctx, k.repo)
	if err != nil {
		return nil, err
	}
	resp, err := k.as(p, method, target, header)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	if resp.Request.URL.Host != k.repo.Host() {
		return k.askElsewhere(resp, header)
	}
	// Whoever logs in needs one of the places that open answers take.
	drain(resp)
	p, more, err := k.c.again(k.ctx, k.repo, p, resp)
	switch {
	case err != nil:
		return nil, err
	case !more:
		return resp, nil
	}
	return k.as(p, method, target, header)
}

func (k call) as(p pass, method, target string, header http.Header) (*http.Response, error) {
	k.used.Store(int64(p.version))
	return k.c.send(k.ctx, method, target, header, &authorized{inner: k.c.wire, base: k.c.base(k.repo.Host()), header: p.header})
}

// askElsewhere repeats a request that was sent on to another host, which wants
// a token: as a stranger, since the credentials are not for that host.
func (k call) askElsewhere(resp *http.Response, header http.Header) (*http.Response, error) {
	at := resp.Request.URL
	challenge := k.c.challengeOf(k.ctx, at.Host, resp)
	if challenge == nil || !isBearer(challenge) {
		return resp, nil
	}
	drain(resp)
	var scopes []string
	if s := challenge.Parameters["scope"]; s != "" && len(s) <= maxRealm {
		scopes = []string{s}
	}
	token, _, err := k.c.token(k.ctx, naming{challenge, at.Scheme}, scopes, authn.AuthConfig{})
	if err != nil {
		return nil, err
	}
	return k.c.send(k.ctx, resp.Request.Method, at.String(), header, &authorized{inner: k.c.wire, base: at.Scheme + "://" + at.Host, header: "Bearer " + token})
}

// drain ends an answer that is of no use, so that its connection is.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxPingBody)
	_ = resp.Body.Close()
}
