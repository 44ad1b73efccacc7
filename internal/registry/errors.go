package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"towpath.dev/towpath/internal/image"
)

var (
	errPlainHTTP     = errors.New("plain http is not allowed")
	errOnlyPlainHTTP = errors.New("only plain http is allowed")
	errTimeout       = errors.New("timeout")
)

// badAnswer is what a registry should not have sent.
type badAnswer struct{ reason string }

func (b *badAnswer) Error() string { return b.reason }

func bad(format string, args ...any) error {
	return &badAnswer{fmt.Sprintf(format, args...)}
}

// call is one Tags or Digest.
type call struct {
	ctx    context.Context // of all its requests: with the deadline and the budget
	budget *budget
	outer  context.Context // the caller's
	op     string
	repo   image.Repo
	c      *Client
}

func (c *Client) begin(ctx context.Context, op string, repo image.Repo, pages int) (call, func()) {
	inner, cancel := context.WithTimeoutCause(ctx, c.c.Timeout, errTimeout)
	b := newBudget(pages + spareRequests)
	return call{ctx: context.WithValue(inner, budgetKey{}, b), budget: b, outer: ctx, op: op, repo: repo, c: c}, cancel
}

// verdict is an error in the user's words.
type verdict struct {
	kind         error
	reason, hint string
}

// fail makes of err the one line the user sees. Nothing that a registry wrote
// gets into it but status codes and what this package made of it.
func (k call) fail(err error) error {
	if k.outer.Err() != nil {
		return fmt.Errorf("%s: %w", k.op, context.Cause(k.outer))
	}
	v := k.judge(err)
	if errors.Is(v.kind, ErrUnauthorized) {
		k.c.forget(k.repo)
	}
	out := fmt.Errorf("%s: %w: %s; %s", k.op, v.kind, v.reason, v.hint)
	var rest *resting
	if errors.As(err, &rest) {
		return &withRest{out, rest}
	}
	return out
}

// withRest adds to an error when the host may be asked again.
type withRest struct {
	error
	rest *resting
}

func (w *withRest) Unwrap() []error { return []error{w.error, w.rest} }

func (k call) judge(err error) verdict {
	host := k.repo.Host()
	var status *transport.Error
	var wrong *badAnswer
	var rest *resting
	var none *noLogin
	switch {
	case errors.As(err, &rest):
		return verdict{ErrUnavailable, host + " is " + rest.Error(), "it is tried again then"}
	case errors.As(err, &none):
		return verdict{ErrUnauthorized, none.reason, none.hint}
	case errors.As(err, &wrong):
		return verdict{ErrBadAnswer, host + ": " + wrong.reason, "nothing was changed; ask who runs the registry"}
	case errors.As(err, &status):
		return k.status(status)
	case k.ctx.Err() != nil:
		return verdict{ErrUnavailable, fmt.Sprintf("%s gave no whole answer within %s", host, k.c.c.Timeout), "it is tried again"}
	case errors.Is(err, http.ErrSchemeMismatch):
		return verdict{ErrUnavailable, host + " speaks plain http", "name " + host + " as an insecure registry if that is meant"}
	}
	if v, ok := broken(host, err); ok {
		return v
	}
	// To a host named insecure the library tries https first, and reports that
	// refusal of ours before what the network said.
	if last := k.budget.failed.Load(); last != nil && errors.Is(err, errOnlyPlainHTTP) {
		err = *last
	}
	return network(host, err)
}

func (k call) status(e *transport.Error) verdict {
	host := k.repo.Host()
	reason := fmt.Sprintf("%s answered %d %s", host, e.StatusCode, http.StatusText(e.StatusCode))
	if e.Request != nil && e.Request.URL != nil && e.Request.URL.Host != host {
		reason = fmt.Sprintf("%s sent us to %s, which answered %d %s", host, e.Request.URL.Host, e.StatusCode, http.StatusText(e.StatusCode))
	}
	switch code := e.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return verdict{ErrUnauthorized, reason, k.c.keys.remedy(k.repo)}
	case code == http.StatusNotFound:
		return verdict{ErrNotFound, reason, "check the image's name and tag; some registries say this of private images to strangers"}
	case code == http.StatusTooManyRequests:
		return verdict{ErrUnavailable, reason, "it is tried again; a longer schedule or credentials with a higher limit help"}
	case code == http.StatusRequestTimeout || code >= http.StatusInternalServerError:
		return verdict{ErrUnavailable, reason, "it is tried again"}
	}
	return verdict{ErrBadAnswer, reason, "check that " + host + " is an image registry"}
}

// broken knows the errors of an answer that came but could not be used.
func broken(host string, err error) (verdict, bool) {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.As(err, &kind):
		return verdict{ErrBadAnswer, host + " answered something that is not a list of tags", "check that it is an image registry and no login page is in between"}, true
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return verdict{ErrUnavailable, "the answer of " + host + " was cut short", "it is tried again"}, true
	case isPlain(err):
		return verdict{ErrBadAnswer, host + ": " + oneLine(err), "ask who runs the registry"}, true
	}
	return verdict{}, false
}

// network names what went wrong below HTTP, without the URL, whose query may
// hold a token.
func network(host string, err error) verdict {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
		u = nil
	}
	hint := "check the name and the network; it is tried again"
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		hint = "add the authority that signed its certificate to those this machine trusts"
	}
	return verdict{ErrUnavailable, host + ": " + oneLine(err), hint}
}

// isPlain reports whether err is a complaint of go-containerregistry about an
// answer, rather than of the network: it has no type.
func isPlain(err error) bool {
	var u *url.Error
	var n net.Error
	var o *net.OpError
	var b *badAnswer
	var t *transport.Error
	return !errors.As(err, &u) && !errors.As(err, &n) && !errors.As(err, &o) && !errors.As(err, &b) && !errors.As(err, &t) &&
		!errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// oneLine is the first line of an error, not endless and without control
// characters: what follows may be a registry's own text.
func oneLine(err error) string {
	const most = 200
	s, _, _ := strings.Cut(err.Error(), "\n")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
