// Package fakegithub is a GitHub for tests and demonstrations: its REST interface, and the few parts of
// GraphQL that REST lacks, over real bare repositories with real merges. What keeps it honest is Contract:
// every request to it and every answer of it is compared with GitHub's own description.
//
// It has users, Apps, reviews, statuses, checks, protections, rulesets, a merge queue, limits and faults,
// as far as a bot that proposes and merges sees them; forks beyond the heads of their pull requests, issues
// without a pull request, webhooks and Actions it has not. It runs the git program (2.38 or newer), and must never face the internet.
package fakegithub

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
)

// Options say how a Server is; the zero value of each is usable.
type Options struct {
	// Dir is where the bare repositories are: Dir/owner/name.git. Start takes the test's own folder for "".
	Dir string
	// Now is the clock of everything: dates, limits, tokens. nil: time.Now.
	Now func() time.Time
	// Git serves the repositories below Dir for git's own protocol, as test/githttp does; nil: nobody does.
	Git http.Handler
	// Enterprise puts everything where a GitHub Enterprise Server has it: /api/v3 and /api/graphql.
	Enterprise bool
	// Unknown is how often a pull request is read before it is known whether it can be merged, after each
	// change of its head or base; 0: once, as GitHub mostly does; -1: it is known at once.
	Unknown int
	// Limits are those of each user and installation; the zero value is 5,000 requests an hour.
	Limits Limits
	// Logf is told of every request; nil: nobody is.
	Logf func(format string, args ...any)
}

// Server is a GitHub. Its methods may be called while it answers.
type Server struct {
	// URL is the root of the REST interface, with a slash at its end, and Web that of the pages; set them
	// before the first request where the server runs by other means than Start.
	URL, Web string

	opts    Options
	routes  []*route
	graphql *ast.Schema

	mu       sync.Mutex
	lastID   int
	users    map[string]*user // by login in lower case
	teams    map[string]*Team // by org/slug
	tokens   map[string]*token
	apps     []*App
	repos    map[string]*Repo // by owner/name in lower case
	usage    map[string]*usage
	faults   []*Fault
	requests []Request
}

// New returns a server without users and repositories. It listens nowhere: it is an http.Handler.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Unknown == 0 {
		o.Unknown = 1
	}
	if o.Limits.PerHour == 0 {
		o.Limits.PerHour = 5000
	}
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	s := &Server{
		opts: o, users: map[string]*user{}, teams: map[string]*Team{}, tokens: map[string]*token{},
		repos: map[string]*Repo{}, usage: map[string]*usage{},
	}
	if s.graphql, err = loadGraphQL(); err != nil {
		return nil, err
	}
	for _, r := range table() {
		if err := r.compile(); err != nil {
			return nil, err
		}
		s.routes = append(s.routes, r)
	}
	return s, nil
}

// Start runs a server on a loopback port until the test ends. All it is asked and answers is compared
// with GitHub's contract; a breach fails the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	return StartUnder(t, o, CheckContract(t), nil)
}

// StartUnder is Start under a contract of the caller's, with something between the server and the contract
// for tests that spoil answers; a nil between is nothing.
func StartUnder(t testing.TB, o Options, c *Contract, between func(http.Handler) http.Handler) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = s
	if between != nil {
		h = between(h)
	}
	server := httptest.NewServer(c.Handler(h))
	t.Cleanup(func() {
		server.CloseClientConnections() // ends the contexts of faults that wait
		server.Close()
	})
	s.At(server.URL)
	return s
}

// At says under which URL the server is reached: scheme and host.
func (s *Server) At(base string) {
	base = strings.TrimSuffix(base, "/")
	s.Web, s.URL = base, base+"/"
	if s.opts.Enterprise {
		s.URL = base + enterprisePrefix + "/"
	}
}

// GraphQL is the URL of the GraphQL interface.
func (s *Server) GraphQL() string {
	if s.opts.Enterprise {
		return s.Web + "/api/graphql"
	}
	return s.Web + "/graphql"
}

// now is the clock's time as GitHub tells it: UTC, whole seconds.
func (s *Server) now() time.Time { return s.opts.Now().UTC().Truncate(time.Second) }

// next returns a number that nothing else has.
func (s *Server) next() int {
	s.lastID++
	return s.lastID
}

// Request is one that came.
type Request struct {
	Method, Path, Query string
	Login               string // who asked; "" for nobody
	Status              int    // 0: no answer was sent
	Free                bool   // did not count against the limit
}

// Requests returns what came since the start or Reset, in the order of the answers.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Reset forgets the requests that came.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, api := apiPath(r)
	if !api {
		s.serveGit(w, r)
		return
	}
	if s.opts.Enterprise && path == r.URL.EscapedPath() {
		notFound().answer().send(w)
		return
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	c := &call{s: s, r: r, path: path, body: body.Bytes(), query: r.URL.Query()}
	a := s.answer(c)
	if a != nil {
		a.send(w)
	}
	s.note(c, a)
	if a == nil {
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
}

// answer carries a request out, or does what a fault says; nil when no answer is to be sent.
func (s *Server) answer(c *call) *answer {
	fault := s.takeFault(c)
	if fault != nil {
		if a, done := fault.before(c); done {
			return a
		}
	}
	a := s.carryOut(c)
	if fault != nil {
		return fault.after(c, a)
	}
	return a
}

func (s *Server) note(c *call, a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := Request{Method: c.r.Method, Path: c.r.URL.Path, Query: c.r.URL.RawQuery}
	if c.who != nil {
		seen.Login = c.who.user.login
	}
	if a != nil {
		seen.Status, seen.Free = a.status, a.free
	}
	s.requests = append(s.requests, seen)
	s.opts.Logf("%s %s: %d", seen.Method, c.r.URL.RequestURI(), seen.Status)
}
