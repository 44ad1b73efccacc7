package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	gittransport "github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// maxErrorBody limits what is read of an answer that is an error.
const maxErrorBody = 64 << 10

// httpTransport is go-git's smart http client. It follows redirects of the
// first request only, and drops the credentials when one leaves the origin.
type httpTransport struct {
	remote remote
	auth   Auth
	idle   *http.Transport
	client gittransport.Transport
}

func newHTTPTransport(r remote, a Auth) (transport, error) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("http.DefaultTransport was replaced")
	}
	idle := base.Clone()
	client := githttp.NewClientWithOptions(
		&http.Client{Transport: limitErrors{idle}},
		&githttp.ClientOptions{RedirectPolicy: githttp.FollowInitialRedirects})
	return &httpTransport{remote: r, auth: a, idle: idle, client: client}, nil
}

func (t *httpTransport) close() { t.idle.CloseIdleConnections() }

func (t *httpTransport) open(_ context.Context, service string) (session, error) {
	auth, err := t.basicAuth()
	if err != nil {
		return nil, err
	}
	u := url.URL{Host: t.remote.host}
	port, _ := strconv.Atoi(u.Port()) // url.Parse let only digits through
	ep := &gittransport.Endpoint{Protocol: t.remote.scheme, Host: u.Hostname(), Port: port, Path: t.remote.path}
	if len(u.Host) > 0 && u.Host[0] == '[' {
		ep.Host = "[" + u.Hostname() + "]"
	}
	var method gittransport.AuthMethod
	if auth != nil {
		method = auth
	}
	if service == uploadPack {
		up, err := t.client.NewUploadPackSession(ep, method)
		return &httpSession{up: up}, err
	}
	rp, err := t.client.NewReceivePackSession(ep, method)
	return &httpSession{rp: rp}, err
}

// basicAuth reads the credential files anew, so that a rotated token is used
// at the next connection. Without files the URL's userinfo is used.
func (t *httpTransport) basicAuth() (*githttp.BasicAuth, error) {
	if t.auth.UsernameFile == "" && t.auth.PasswordFile == "" {
		if t.remote.user == "" && t.remote.password == "" {
			return nil, nil
		}
		return &githttp.BasicAuth{Username: t.remote.user, Password: t.remote.password}, nil
	}
	a := &githttp.BasicAuth{Username: "git"}
	if t.auth.UsernameFile != "" {
		b, err := readSecret(t.auth.UsernameFile)
		if err != nil {
			return nil, fmt.Errorf("read user name: %w", err)
		}
		a.Username = trimNewline(b)
	}
	if t.auth.PasswordFile != "" {
		b, err := readSecret(t.auth.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read password: %w", err)
		}
		a.Password = trimNewline(b)
	}
	return a, nil
}

// limitErrors bounds the body of answers that are errors; go-git reads them whole.
type limitErrors struct{ next http.RoundTripper }

func (l limitErrors) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(req)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		body := res.Body
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(body, maxErrorBody), body}
	}
	return res, err
}

// httpSession is one of go-git's two http sessions.
type httpSession struct {
	up gittransport.UploadPackSession
	rp gittransport.ReceivePackSession
}

func (s *httpSession) refs(ctx context.Context) (*packp.AdvRefs, error) {
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
	return ar, err
}

func (s *httpSession) fetch(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error) {
	return s.up.UploadPack(ctx, req)
}

func (s *httpSession) push(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	report, err := s.rp.ReceivePack(ctx, req)
	if report != nil {
		return report, nil // its own error only repeats the first line of it
	}
	return nil, err
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
