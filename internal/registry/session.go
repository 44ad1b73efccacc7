package registry

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"towpath.dev/towpath/internal/image"
)

const (
	pingPath = "/v2/"
	// pingLife is how long the way to log in is believed that led to no token.
	pingLife    = time.Minute
	maxPingBody = 64 << 10 // bytes that are read, so that the connection is used again
	maxScopes   = 10       // of one image; registries may ask for more than pulling
	maxSessions = 10_000
)

// ping is the answer of one host to "how do I log in?".
type ping struct {
	turn      chan struct{} // holds one value while somebody asks
	challenge *transport.Challenge
	at        time.Time // of the answer
}

// session is how one image is asked for.
type session struct {
	turn      chan struct{} // holds one value while somebody logs in
	challenge *transport.Challenge
	scopes    []string  // of the token
	header    string    // Authorization; "" for none
	version   int       // of the credentials it was made with
	until     time.Time // the header is good till then; zero: till it is refused
	ready     bool
}

// take waits for a turn, off the call's clock: whoever has it may be waiting for
// the host's pace.
func take(ctx context.Context, turn chan struct{}) error {
	b := budgetOf(ctx)
	b.pause()
	defer b.resume()
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) sessionOf(repo image.Repo) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[repo.Canonical()]
	if s == nil {
		if len(c.sessions) >= maxSessions {
			clear(c.sessions) // who is logged in stays so until the call ends
		}
		s = &session{turn: make(chan struct{}, 1), scopes: []string{"repository:" + repo.Path() + ":pull"}}
		c.sessions[repo.Canonical()] = s
	}
	return s
}

func (c *Client) pingOf(host string) *ping {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pings[host]
	if p == nil {
		if len(c.pings) >= maxHosts {
			clear(c.pings)
		}
		p = &ping{turn: make(chan struct{}, 1)}
		c.pings[host] = p
	}
	return p
}

// pass is what one request is sent with.
type pass struct {
	header  string // Authorization
	version int    // of the credentials
	fresh   bool   // made for this request
}

// authorize returns the session's header, logging in when there is none or it
// is about to expire.
func (c *Client) authorize(ctx context.Context, repo image.Repo) (pass, error) {
	s := c.sessionOf(repo)
	if err := take(ctx, s.turn); err != nil {
		return pass{}, err
	}
	defer func() { <-s.turn }()
	auth, version, err := c.credentials(ctx, repo)
	if err != nil {
		return pass{}, err
	}
	if s.ready && s.version == version && (s.until.IsZero() || time.Now().Before(s.until)) {
		return pass{header: s.header, version: version}, nil
	}
	if s.challenge == nil {
		if s.challenge, err = c.ping(ctx, repo.Host()); err != nil {
			return pass{}, err
		}
	}
	return c.login(ctx, repo, s, auth, version)
}

// again is told that the registry refused a request with resp. It logs in once
// more if there is a reason to expect another answer.
func (c *Client) again(ctx context.Context, repo image.Repo, used pass, resp *http.Response) (pass, bool, error) {
	challenge := c.challengeOf(ctx, repo.Host(), resp)
	if challenge == nil {
		return pass{}, false, nil
	}
	s := c.sessionOf(repo)
	if err := take(ctx, s.turn); err != nil {
		return pass{}, false, err
	}
	defer func() { <-s.turn }()
	if s.ready && s.header != used.header {
		return pass{header: s.header, version: s.version}, true, nil // another call was faster
	}
	more := s.widen(challenge)
	same := s.challenge != nil && strings.EqualFold(s.challenge.Scheme, challenge.Scheme) &&
		s.challenge.Parameters["realm"] == challenge.Parameters["realm"] && s.challenge.Parameters["service"] == challenge.Parameters["service"]
	if same && !more && (used.fresh || !isBearer(challenge)) {
		return pass{}, false, nil
	}
	s.challenge = challenge
	auth, version, err := c.credentials(ctx, repo)
	if err != nil {
		return pass{}, false, err
	}
	p, err := c.login(ctx, repo, s, auth, version)
	return p, err == nil && p.header != used.header, err
}

// widen adds the scope that the registry asked for, and reports whether it is new.
func (s *session) widen(challenge *transport.Challenge) bool {
	want := challenge.Parameters["scope"]
	if want == "" || len(want) > maxRealm || len(s.scopes) >= maxScopes {
		return false
	}
	for _, have := range s.scopes {
		if have == want {
			return false
		}
	}
	// Some registries only look at the first.
	s.scopes = append([]string{want}, s.scopes...)
	return true
}

// credentials returns who we are to the registry of repo.
func (c *Client) credentials(ctx context.Context, repo image.Repo) (authn.AuthConfig, int, error) {
	keys, version, err := c.keys.resolver(ctx, repo)
	if err != nil {
		return authn.AuthConfig{}, 0, err
	}
	reg, err := name.NewRegistry(repo.Host())
	if err != nil {
		return authn.AuthConfig{}, 0, bad("%.100q is no registry's name", repo.Host())
	}
	auth, err := authn.Resolve(ctx, keys, reg.Repo(repo.Path()))
	if err != nil {
		return authn.AuthConfig{}, 0, err
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return authn.AuthConfig{}, 0, err
	}
	return *config, version, nil
}

// forget makes the next call log in anew.
func (c *Client) forget(repo image.Repo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, repo.Canonical())
}

// login fills the session. Its turn is held.
func (c *Client) login(ctx context.Context, repo image.Repo, s *session, auth authn.AuthConfig, version int) (pass, error) {
	s.ready, s.until, s.version = false, time.Time{}, version
	switch {
	case auth.RegistryToken != "":
		s.header = "Bearer " + auth.RegistryToken
	case isBearer(s.challenge):
		token, life, err := c.token(ctx, naming{s.challenge, c.scheme(repo.Host())}, s.scopes, auth)
		if err != nil {
			s.challenge = nil
			c.forgetPing(repo.Host())
			return pass{}, err
		}
		s.header, s.until = "Bearer "+token, time.Now().Add(life)
	case auth.Username != "" && auth.Password != "":
		s.header = "Basic " + base64.StdEncoding.EncodeToString([]byte(auth.Username+":"+auth.Password))
	case auth.Auth != "":
		s.header = "Basic " + auth.Auth
	default:
		s.header = ""
	}
	s.ready = true
	return pass{header: s.header, version: version, fresh: true}, nil
}

// ping asks a host how to log in, once.
func (c *Client) ping(ctx context.Context, host string) (*transport.Challenge, error) {
	p := c.pingOf(host)
	if err := take(ctx, p.turn); err != nil {
		return nil, err
	}
	defer func() { <-p.turn }()
	if p.challenge != nil {
		return p.challenge, nil
	}
	resp, err := c.send(ctx, http.MethodGet, c.base(host)+pingPath, nil, &authorized{inner: c.wire})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
		return nil, statusOf(resp)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxPingBody)
	p.challenge, p.at = c.challengeOf(ctx, host, resp), time.Now()
	if p.challenge == nil {
		p.challenge = &transport.Challenge{}
	}
	return p.challenge, nil
}

// forgetPing makes the host be asked again how to log in, unless it just was.
func (c *Client) forgetPing(host string) {
	p := c.pingOf(host)
	select {
	case p.turn <- struct{}{}:
		if time.Since(p.at) >= pingLife {
			p.challenge = nil
		}
		<-p.turn
	default: // somebody is asking
	}
}

// challengeOf reads how to log in out of an answer; nil: it does not say.
func (c *Client) challengeOf(ctx context.Context, host string, resp *http.Response) *transport.Challenge {
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
		return nil
	}
	reg, err := name.NewRegistry(host)
	if err != nil {
		return nil
	}
	// The library's reader of challenges is behind its ping; this gives it the
	// answer that is already here.
	challenge, err := transport.Ping(ctx, reg, replay{resp})
	if err != nil {
		return nil
	}
	return challenge
}

// replay answers every request with the head of one answer.
type replay struct{ resp *http.Response }

// RoundTrip implements http.RoundTripper.
func (r replay) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: r.resp.Status, StatusCode: r.resp.StatusCode, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.resp.Header.Clone(), Body: http.NoBody, Request: req,
	}, nil
}
