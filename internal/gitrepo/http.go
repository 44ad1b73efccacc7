package gitrepo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	secrets "towpath.dev/towpath/internal/secret"
)

// httpTransport is go-git's smart http client. It follows redirects of the
// first request only, and drops the credentials when one leaves the origin.
type httpTransport struct {
	remote  remote
	auth    Auth
	secrets *secrets.Known
	wire    *httpWire // of the newest connection; its sockets are used again
}

func (t *httpTransport) close() {
	if t.wire != nil {
		t.wire.close()
	}
}

// open reads every file anew. It is not called by two goroutines at once: one
// Fetch or Push runs at a time.
func (t *httpTransport) open(ctx context.Context, service string) (session, error) {
	files, err := t.auth.readWireFiles()
	if err != nil {
		return nil, err
	}
	if t.wire == nil || t.wire.files != files {
		wire, err := newHTTPWire(t.remote, t.auth, files, t.secrets)
		if err != nil {
			return nil, err
		}
		t.close()
		t.wire = wire
	}
	s := &httpSession{transport: t, service: service}
	if err := s.begin(ctx, ""); err != nil {
		return nil, err
	}
	return s, nil
}

// endpoint is the URL as go-git wants it, without user information.
func (t *httpTransport) endpoint() *gittransport.Endpoint {
	u := url.URL{Host: t.remote.host}
	port, _ := strconv.Atoi(u.Port()) // url.Parse let only digits through
	ep := &gittransport.Endpoint{Protocol: t.remote.scheme, Host: u.Hostname(), Port: port, Path: t.remote.path}
	if len(u.Host) > 0 && u.Host[0] == '[' {
		ep.Host = "[" + u.Hostname() + "]"
	}
	return ep
}

// httpSession is one of go-git's two http sessions.
type httpSession struct {
	transport *httpTransport
	service   string
	login     login
	up        gittransport.UploadPackSession
	rp        gittransport.ReceivePackSession
}

// begin makes go-git's session with credentials of this moment. refused is the
// password that the server just refused.
func (s *httpSession) begin(ctx context.Context, refused string) (err error) {
	t := s.transport
	if s.login, err = t.auth.login(ctx, t.remote, refused); err != nil {
		return err
	}
	var method gittransport.AuthMethod
	switch {
	case s.login.none:
	case s.login.bearer:
		t.remote.remember(t.secrets, s.login)
		method = &githttp.TokenAuth{Token: s.login.password}
	default:
		t.remote.remember(t.secrets, s.login)
		method = &githttp.BasicAuth{Username: s.login.user, Password: s.login.password}
	}
	client := githttp.NewClientWithOptions(&http.Client{Transport: t.wire},
		&githttp.ClientOptions{RedirectPolicy: githttp.FollowInitialRedirects})
	if s.service == uploadPack {
		s.up, err = client.NewUploadPackSession(t.endpoint(), method)
		return err
	}
	s.rp, err = client.NewReceivePackSession(t.endpoint(), method)
	return err
}

func (s *httpSession) refs(ctx context.Context) (*packp.AdvRefs, error) {
	ar, err := s.list(ctx)
	if s.transport.auth.Login != nil && errors.Is(err, gittransport.ErrAuthenticationRequired) {
		// A token that was good a moment ago may have been revoked or run out.
		if err := s.begin(ctx, s.login.password); err != nil {
			return nil, err
		}
		ar, err = s.list(ctx)
	}
	return ar, err
}

func (s *httpSession) list(ctx context.Context) (*packp.AdvRefs, error) {
	var ar *packp.AdvRefs
	var err error
	if s.up != nil {
		ar, err = s.up.AdvertisedReferencesContext(ctx)
	} else {
		ar, err = s.rp.AdvertisedReferencesContext(ctx)
	}
	if errors.Is(err, gittransport.ErrEmptyRemoteRepository) {
		ar, err = packp.NewAdvRefs(), nil
		// A server so old that it names no capabilities of an empty repository
		// still knows these.
		_ = ar.Capabilities.Set(capability.ReportStatus)
	}
	return ar, unwrapped(err)
}

// unwrapped is what go-git's error without Unwrap is about.
func unwrapped(err error) error {
	var hidden *plumbing.UnexpectedError
	if errors.As(err, &hidden) {
		return hidden.Err
	}
	return err
}

func (s *httpSession) fetch(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	body, err := s.up.UploadPack(ctx, req)
	if err != nil {
		return nil, unwrapped(err)
	}
	return body, nil
}

func (s *httpSession) push(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	report, err := s.rp.ReceivePack(ctx, req)
	if report != nil {
		return report, nil // its own error only repeats the first line of it
	}
	return nil, unwrapped(err)
}

func (s *httpSession) explain(err error) error { return err }
func (s *httpSession) close() error            { return nil }

// demux returns the pack inside a fetch's answer.
func demux(req *packp.UploadPackRequest, r io.Reader) io.Reader {
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r)
	case req.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r)
	}
	return r
}
