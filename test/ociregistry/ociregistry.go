// Package ociregistry is a real OCI registry in this process, on a loopback
// port: for tests and for the demonstration. It keeps images in memory, can ask
// for a password or a token, pages tag lists with Link headers and entity tags,
// fails on demand, and counts what it is asked. It must not import testing: the
// program itself uses it.
package ociregistry

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	readHeaderTimeout = 10 * time.Second
	imageSize         = 64 // bytes of the one layer of a pushed image
)

// Config describes a registry. The zero Config is an anonymous one on a free
// port of 127.0.0.1.
type Config struct {
	Addr string // host:port to listen on; "" means 127.0.0.1:0
	// User and Password, when User is not empty, must be given by every client
	// (HTTP basic).
	User, Password string
	// PageSize is the most tags of one answer, whatever the client asks for;
	// 0 leaves it to the client.
	PageSize int
	// ETags gives each page of a tag list an entity tag, and answers 304 to who
	// has it.
	ETags bool
	// Tokens: the registry wants a bearer token for each repository, from its own
	// /token, which gives them to User, or to everybody when that is empty.
	Tokens bool
	// TokenLife is how long they are good; 0: for ever, and it does not say so.
	TokenLife time.Duration
}

// Request is one request that came over the network.
type Request struct {
	Method, Path string // Path without the query
	Query        string
	Authorized   bool // it carried credentials
	Status       int
	Bytes        int // of the answer's body
}

// Failure is what a registry answers in place of what it was asked.
type Failure struct {
	Status     int    // 429, 503, …
	RetryAfter string // header; "" for none
	Path       string // only requests whose path begins so; "" for all
}

// Server is a running registry. Its methods may be called at once.
type Server struct {
	host    string
	handler http.Handler // the registry itself, without password and log
	http    *http.Server
	done    chan struct{} // closed when the listener has ended

	mu       sync.Mutex
	requests []Request
	failure  *Failure
}

// Start listens and serves until Close.
func Start(c Config) (*Server, error) {
	addr := c.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start the registry: %w", err)
	}
	quiet := log.New(io.Discard, "", 0)
	s := &Server{host: l.Addr().String(), done: make(chan struct{})}
	s.handler = pages(registry.New(registry.Logger(quiet)), c.PageSize)
	public := s.handler
	if c.ETags {
		public = etags(public)
	}
	if c.Tokens {
		public = newTokens(c).wrap(public)
	} else {
		public = password(public, c.User, c.Password)
	}
	s.http = &http.Server{
		Handler:           s.count(s.fail(public)),
		ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog:          quiet,
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // always http.ErrServerClosed, or the listener broke: clients see it
	}()
	return s, nil
}

// Close ends the registry and its connections; what it held is gone.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

// Host returns the registry's host:port. It speaks plain http.
func (s *Server) Host() string { return s.host }

// Image returns the full name of repo in this registry.
func (s *Server) Image(repo string) string { return s.host + "/" + repo }

// Push stores a small random image as repo:tag, replacing what the tag named,
// and returns its digest ("sha256:…"). It is neither counted nor asked for a
// password.
func (s *Server) Push(repo, tag string) (string, error) {
	ref, err := name.NewTag(s.Image(repo)+":"+tag, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("push %s:%s: %w", repo, tag, err)
	}
	img, err := random.Image(imageSize, 1)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	if err := remote.Write(ref, img, remote.WithTransport(direct{s.handler})); err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	return digest.String(), nil
}

// PushAll pushes a random image for each tag of repo.
func (s *Server) PushAll(repo string, tags ...string) error {
	for _, tag := range tags {
		if _, err := s.Push(repo, tag); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes repo:tag; the image stays reachable by its digest.
func (s *Server) Delete(repo, tag string) error {
	req, err := http.NewRequest(http.MethodDelete, "http://"+s.host+"/v2/"+repo+"/manifests/"+tag, nil)
	if err != nil {
		return fmt.Errorf("delete %s:%s: %w", repo, tag, err)
	}
	resp, err := direct{s.handler}.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("delete %s:%s: %w", repo, tag, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("delete %s:%s: %s", repo, tag, resp.Status)
	}
	return nil
}

// Requests returns what came over the network since Start or Reset, in order
// of completion.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count returns how many requests had this method and path; an empty method or
// path matches all.
func (s *Server) Count(method, path string) int {
	n := 0
	for _, r := range s.Requests() {
		if (method == "" || r.Method == method) && (path == "" || r.Path == path) {
			n++
		}
	}
	return n
}

// Listings returns how many tag list requests of repo came (one per page).
func (s *Server) Listings(repo string) int {
	return s.Count(http.MethodGet, "/v2/"+repo+"/tags/list")
}

// Pings returns how often somebody asked how to log in.
func (s *Server) Pings() int { return s.Count(http.MethodGet, "/v2/") }

// Tokens returns how many tokens were asked for.
func (s *Server) Tokens() int { return s.Count("", tokenPath) }

// ListBytes returns how many bytes of tag lists were sent.
func (s *Server) ListBytes() int {
	n := 0
	for _, r := range s.Requests() {
		if isList(r.Method, r.Path) {
			n += r.Bytes
		}
	}
	return n
}

// Fail makes the registry answer with f from now on; nil: as it should.
func (s *Server) Fail(f *Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = f
}

// Reset forgets the requests seen so far.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Authorized: r.Header.Get("Authorization") != ""}
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r)
		rec.Status, rec.Bytes = sw.status, sw.bytes
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, rec)
	})
}

func (s *Server) fail(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		f := s.failure
		s.mu.Unlock()
		if f == nil || !strings.HasPrefix(r.URL.Path, f.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		w.WriteHeader(f.Status)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status, bytes int
}

func (w *statusWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.bytes += n
	return n, err
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func password(next http.Handler, user, password string) http.Handler {
	if user == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		sameUser := subtle.ConstantTimeCompare([]byte(u), []byte(user))
		samePassword := subtle.ConstantTimeCompare([]byte(p), []byte(password))
		if sameUser&samePassword != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// direct is a transport that calls a handler without a network.
type direct struct{ handler http.Handler }

var errNotHTTP = errors.New("the registry speaks plain http only")

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" {
		return nil, errNotHTTP
	}
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	in.RemoteAddr = "127.0.0.1:1"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	d.handler.ServeHTTP(rec, in)
	return rec.response(req), nil
}

// recorder keeps one answer. net/http/httptest has one too, but would bring
// test code into the program.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recorder) response(req *http.Request) *http.Response {
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)),
		StatusCode:    r.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        r.header,
		Body:          io.NopCloser(strings.NewReader(r.body.String())),
		ContentLength: int64(r.body.Len()),
		Request:       req,
	}
}
