package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// defaultTokenLife is what a token without expires_in is good for.
	// https://distribution.github.io/distribution/spec/auth/token/
	defaultTokenLife = time.Minute
	maxTokenLife     = 24 * time.Hour
	// tokenMargin is how long before its end a token is no longer used.
	tokenMargin = 15 * time.Second
	maxRealm    = 2 << 10 // bytes, and of a scope
)

func isBearer(c *transport.Challenge) bool { return strings.EqualFold(c.Scheme, "bearer") }

// naming is an answer that names a token server, and the scheme it came over.
type naming struct {
	*transport.Challenge
	scheme string
}

// token asks the token server that the registry names. https is never left for
// http, whatever the token server was named for: what is sent there logs in at
// the registry.
func (c *Client) token(ctx context.Context, challenge naming, scopes []string, auth authn.AuthConfig) (string, time.Duration, error) {
	realm := challenge.Parameters["realm"]
	u, err := url.Parse(realm)
	if err != nil || len(realm) > maxRealm || u.Host == "" || u.User != nil {
		return "", 0, bad("its login names no token server")
	}
	if challenge.scheme == "https" && u.Scheme == "http" {
		return "", 0, bad("its login leads from https to plain http")
	}
	if err := c.wire.permit(u, c.wire.hosts.of(u)); err != nil {
		return "", 0, &url.Error{Op: "get", URL: u.Scheme + "://" + u.Host, Err: err}
	}
	// The library's own rules on addresses are for those who have no guard; a
	// token server on the registry's host is no matter for them.
	reg, err := name.NewRegistry(u.Host, name.Insecure)
	if err != nil {
		return "", 0, bad("its login names no token server")
	}
	ask := *challenge.Challenge
	ask.Insecure = u.Scheme == "http"
	got, err := transport.Exchange(ctx, reg, authn.FromConfig(auth), &sameHost{inner: c.wire, host: u.Host}, scopes, &ask)
	if err != nil {
		return "", 0, tokenFault(err)
	}
	token := got.AccessToken
	if token == "" {
		token = got.Token
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", 0, bad("its token server gave no token")
	}
	return token, tokenLife(got.ExpiresIn), nil
}

// tokenLife is how long a token is used, in time for the next.
func tokenLife(seconds int) time.Duration {
	life := defaultTokenLife
	if seconds > 0 {
		life = time.Duration(min(seconds, int(maxTokenLife/time.Second))) * time.Second
	}
	return life - min(tokenMargin, life/4)
}

// tokenFault keeps of an error what is not the token server's own text.
func tokenFault(err error) error {
	var status *transport.Error
	var wrong *badAnswer
	var u *url.Error
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &status), errors.As(err, &wrong), errors.As(err, &u):
		return err
	case errors.As(err, &syntax):
		return bad("its token server answered something that is no token")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled), errors.Is(err, errTimeout):
		return err
	}
	return bad("its token server gave no token")
}

// sameHost lets a token server redirect to itself only: the request carries the
// password, in its body as well.
type sameHost struct {
	inner http.RoundTripper
	host  string
	n     int
}

// RoundTrip implements http.RoundTripper.
func (s *sameHost) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.inner.RoundTrip(req)
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
		return resp, err
	}
	s.n++
	to, err := resp.Location()
	switch {
	case errors.Is(err, http.ErrNoLocation):
		return resp, nil
	case err != nil:
		err = bad("its token server redirects to what is no URL")
	case to.Host != s.host || to.Scheme != req.URL.Scheme:
		err = bad("its token server redirects to another host or scheme")
	case s.n > maxRedirects:
		err = bad("its token server redirects more than %d times", maxRedirects)
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}
