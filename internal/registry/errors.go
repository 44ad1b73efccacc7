package registry

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

var (
	errPlainHTTP     = errors.New("plain http is not allowed")
	errOnlyPlainHTTP = errors.New("only plain http is allowed")
	errNoHTTP        = errors.New("its scheme is neither https nor http")
	errTimeout       = errors.New("timeout")
)

// badAnswer is what a registry should not have sent.
type badAnswer struct{ reason string }

func (b *badAnswer) Error() string { return b.reason }

// bad makes a badAnswer. Nothing that a registry wrote belongs into it.
func bad(format string, args ...any) error {
	return &badAnswer{fmt.Sprintf(format, args...)}
}

// statusError is an answer that is not the one asked for.
type statusError struct {
	code  int
	host  string
	login bool // of the way to log in, not of the image
}

func (s *statusError) Error() string { return fmt.Sprintf("%d %s", s.code, http.StatusText(s.code)) }

func statusOf(resp *http.Response) error {
	return &statusError{code: resp.StatusCode, host: resp.Request.URL.Host, login: resp.Request.URL.Path == pingPath}
}

// verdict is an error in the user's words.
type verdict struct {
	kind         error
	reason, hint string
}

// withRest adds to an error when the host may be asked again.
type withRest struct {
	error
	rest *resting
}

func (w *withRest) Unwrap() []error { return []error{w.error, w.rest} }

// fail makes of err the one line the user sees. Nothing that a registry wrote
// gets into it but status codes, names of hosts, and what this package made of
// the rest.
func (k call) fail(err error) error {
	if k.outer.Err() != nil {
		return fmt.Errorf("%s: %w", k.op, context.Cause(k.outer))
	}
	v := k.judge(err)
	rest := k.budget.rest.Load()
	if errors.Is(v.kind, ErrUnavailable) && rest != nil {
		if rest.told && !errors.As(err, new(*resting)) {
			v.reason += ", and asked to be left alone until " + rest.until.UTC().Format(time.RFC3339)
		}
		return &withRest{fmt.Errorf("%s: %w: %s; %s", k.op, v.kind, v.reason, v.hint), rest}
	}
	return fmt.Errorf("%s: %w: %s; %s", k.op, v.kind, v.reason, v.hint)
}

func (k call) judge(err error) verdict {
	host := k.repo.Host()
	who := host
	if other := otherHost(err, host); other != "" {
		who = host + " sent us to " + other + ", and it"
	}
	var rest *resting
	var none *noLogin
	var wrong *badAnswer
	var refused *guarded
	var proxy *proxyRefused
	switch {
	case errors.As(err, &rest):
		return verdict{ErrUnavailable, rest.Error(), "it is tried again after that"}
	case errors.As(err, &none):
		return verdict{ErrUnauthorized, none.reason, none.hint}
	case errors.As(err, &wrong):
		return verdict{ErrBadAnswer, host + ": " + wrong.reason, "nothing was changed; ask who runs the registry"}
	case errors.As(err, &refused):
		return verdict{ErrUnavailable, who + " leads to an address that is not asked: " + refused.Error(), refused.hint(nameOf(err, host))}
	case errors.As(err, &proxy):
		return verdict{ErrUnavailable, host + ": " + proxy.Error(), "check its proxy in the registries file, or HTTPS_PROXY and NO_PROXY"}
	case errors.Is(err, errSettings):
		return verdict{ErrUnavailable, nameOf(err, host) + ": " + oneLine(lastOf(err)), "correct them in the registries file or the environment"}
	}
	if s, ok := asStatus(err); ok {
		return k.status(s)
	}
	if errors.Is(context.Cause(k.ctx), errTimeout) || errors.Is(err, errTimeout) {
		return verdict{ErrUnavailable, fmt.Sprintf("%s gave no whole answer within %s", host, k.c.c.Timeout), "it is tried again"}
	}
	if v, ok := schemes(host, who, nameOf(err, host), err); ok {
		return v
	}
	if v, ok := broken(host, err); ok {
		return v
	}
	return network(who, err)
}

// asStatus finds the status code of an answer, our own or the library's.
func asStatus(err error) (statusError, bool) {
	var own *statusError
	if errors.As(err, &own) {
		return *own, true
	}
	var lib *transport.Error
	if !errors.As(err, &lib) {
		return statusError{}, false
	}
	s := statusError{code: lib.StatusCode, login: true} // the library only logs in
	if lib.Request != nil && lib.Request.URL != nil {
		s.host = lib.Request.URL.Host
	}
	return s, true
}

// nameOf returns the host that an error of a request is about.
func nameOf(err error, host string) string {
	if other := otherHost(err, host); other != "" {
		return other
	}
	return host
}

// otherHost returns the host that an error of a request names, when it is not
// the registry itself.
func otherHost(err error, host string) string {
	var u *url.Error
	if !errors.As(err, &u) {
		return ""
	}
	parsed, perr := url.Parse(u.URL)
	if perr != nil || parsed.Host == "" || parsed.Host == host {
		return ""
	}
	return safeHost(parsed.Host)
}

// safeHost is a host that a registry named, fit to be shown.
func safeHost(host string) string {
	const most = 100
	if len(host) > most || strings.ContainsFunc(host, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]", r)
	}) {
		return "another host"
	}
	return host
}

// hint says what to name where, so that the address is asked.
func (g *guarded) hint(host string) string {
	const allow = "allow its network with --allow-registry-network"
	if g.never {
		return "ask who runs the registry, or, if that address is meant, " + allow
	}
	return fmt.Sprintf("if it is meant, name %s with privateNetwork (or plainHTTP, if that is what it speaks) in the registries file, or %s", host, allow)
}

func (k call) status(s statusError) verdict {
	host := k.repo.Host()
	reason := fmt.Sprintf("%s answered %s", host, s.Error())
	if s.host != "" && s.host != host {
		reason = fmt.Sprintf("%s sent us to %s, which answered %s", host, safeHost(s.host), s.Error())
	}
	switch code := s.code; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return verdict{ErrUnauthorized, reason, k.c.keys.remedy(k.repo)}
	case code == http.StatusNotFound && s.login:
		return verdict{ErrBadAnswer, reason + " where one logs in", "check that " + host + " is an image registry"}
	case code == http.StatusNotFound:
		return verdict{ErrNotFound, reason, "check the image's name and tag; some registries say this of private images to strangers"}
	case code == http.StatusTooManyRequests:
		return verdict{ErrUnavailable, reason, "it is tried again; a longer schedule or credentials with a higher limit help"}
	case code == http.StatusRequestTimeout || code >= http.StatusInternalServerError:
		return verdict{ErrUnavailable, reason, "it is tried again"}
	}
	return verdict{ErrBadAnswer, reason, "check that " + host + " is an image registry"}
}

// schemes knows the errors of http where https is meant, and the other way round.
func schemes(host, who, name string, err error) (verdict, bool) {
	switch {
	case errors.Is(err, http.ErrSchemeMismatch):
		return verdict{ErrUnavailable, who + " speaks plain http", "if that is meant, name " + name + " as an insecure registry (--insecure-registry, or plainHTTP in the registries file)"}, true
	case errors.Is(err, errPlainHTTP) && name != host:
		return verdict{ErrUnavailable, host + " sent us to " + name + " over plain http, and plain http is not allowed there", "if that is meant, name " + name + " as an insecure registry (--insecure-registry, or plainHTTP in the registries file)"}, true
	case errors.Is(err, errPlainHTTP), errors.Is(err, errOnlyPlainHTTP), errors.Is(err, errNoHTTP):
		return verdict{ErrUnavailable, who + ": " + oneLine(lastOf(err)), "name its hosts as insecure registries or do not, but all in one way"}, true
	}
	return verdict{}, false
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
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, new(flate.CorruptInputError)):
		return verdict{ErrBadAnswer, host + " answered something that says it is gzip and is not", "ask who runs the registry"}, true
	case httpSays(err, "malformed"), httpSays(err, "bad Content-Length"):
		return verdict{ErrBadAnswer, host + " answered something that is not HTTP", "check the registry's name and port"}, true
	case httpSays(err, "headers exceeded"), httpSays(err, "header list larger"):
		return verdict{ErrBadAnswer, fmt.Sprintf("the headers of an answer of %s are larger than %d bytes", host, maxHeaderBytes), "ask who runs the registry"}, true
	}
	return verdict{}, false
}

// httpSays knows errors of net/http that have no type. They may quote the
// registry, so only their sort is looked at.
func httpSays(err error, what string) bool {
	var o *net.OpError
	return !errors.As(err, &o) && strings.Contains(lastOf(err).Error(), what)
}

// lastOf strips the URL of an error, whose query may hold a token.
func lastOf(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
		u = nil
	}
	return err
}

// network names what went wrong below HTTP. Of the texts of others it takes none:
// certificates and servers may say anything.
func network(who string, err error) verdict {
	hint := "check the name and the network; it is tried again"
	reason := "the connection broke"
	err = lastOf(err)
	var dns *net.DNSError
	var errno syscall.Errno
	var op *net.OpError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		reason = "its name cannot be found (no such host)"
	case errors.As(err, &dns):
		reason = "its name cannot be looked up now"
	case errors.As(err, &errno):
		reason = "dial: " + errno.Error()
		if errors.Is(errno, syscall.ECONNRESET) || errors.Is(errno, syscall.EPIPE) {
			reason = "the connection broke: " + errno.Error()
		}
	case errors.As(err, &record):
		reason = "it does not speak TLS"
	case errors.As(err, &op) && op.Op == "remote error":
		reason = "it ended the TLS handshake (" + oneLine(op.Err) + ")" // of the list in crypto/tls
		hint = "it may want a client certificate (certFile and keyFile in the registries file)"
	case strings.Contains(err.Error(), "unsupported protocol version"):
		reason, hint = "it speaks no TLS of protocol version 1.2 or later", "ask who runs the registry"
	case errors.As(err, &timeout) && timeout.Timeout():
		reason = "no answer in time"
	default:
		if said, ok := certificate(err); ok {
			reason, hint = said, "check the name; give caFile in the registries file if its authority is one of your own"
		}
	}
	return verdict{ErrUnavailable, who + ": " + reason, hint}
}

// certificate says why a certificate was refused.
func certificate(err error) (string, bool) {
	var verify *tls.CertificateVerificationError
	if !errors.As(err, &verify) {
		return "", false
	}
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "its certificate is for another name", true
	case errors.As(err, &authority):
		return "its certificate is signed by an authority that is not trusted here", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet", true
	}
	return "its certificate is not valid", true
}

// oneLine is the first line of an error, not endless and without control
// characters.
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
