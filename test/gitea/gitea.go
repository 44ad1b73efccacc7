// Package gitea runs Gitea, a whole forge, for tests and for the demo: its API, pull requests, reviews,
// branch protection, commit statuses, webhooks and Git over HTTP are the real ones. The server is a
// process of its own, built once into the user's cache from test/gitea/server; it keeps its data in a
// folder it is given, listens on a free loopback port, asks nobody but that machine, and is gone when
// Close returns or when the process that started it dies. It needs the git program.
//
// Gitea's pages come without style sheets and scripts, which its module does not contain.
//
// It is for tests and the demo only, and imports nothing of Towpath but test/build.
package gitea

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"towpath.dev/towpath/test/build"
)

const (
	// startTimeout bounds a start without the build. It is generous: a loaded machine takes many times
	// the usual few seconds.
	startTimeout = 2 * time.Minute
	// stopTimeout is how long the server may take to end what it does before it is killed.
	stopTimeout = 10 * time.Second
	// portTries is how often the server is started anew because another process took its port.
	portTries = 5
	// pollEvery is the pause between two looks at something that is not ready yet.
	pollEvery = 20 * time.Millisecond
	// logTail bounds how much of the server's log an error or a failed test shows, in bytes.
	logTail = 8 << 10
	// binary is the name of the server's file in the folder that Build returns.
	binary = "gitea"
	// adminName is the site's administrator; Gitea reserves "admin".
	adminName = "root"
)

// User is somebody with an account.
type User struct {
	Name     string
	Password string
	Token    string // for the API and for Git, where the user's name goes with it; it may all that the user may
}

// Server is a running Gitea.
type Server struct {
	URL   string // "http://127.0.0.1:port"
	Admin User   // may do everything, but is nobody's collaborator

	bin    string
	dir    string
	client *http.Client
	cmd    *exec.Cmd
	stdin  io.Closer
	done   chan struct{} // closed once the process is gone and waited for; nil before the start
	err    error         // how it ended; valid once done is closed
}

// Servers are what Build compiles.
func servers() build.Servers {
	return build.Servers{
		Name:   "gitea",
		Title:  "the forge of the tests",
		Module: "test/gitea/server",
		Intro:  []string{"building a real forge (Gitea) for tests from source, about 1500 packages; the result is kept in"},
		Steps:  []build.Step{{Folder: ".", Package: ".", Binary: binary, What: "Gitea"}},
		Files:  []build.Files{{Module: "code.gitea.io/gitea", Folders: []string{"options", "public", "templates"}}},
	}
}

// Build returns the folder with Gitea's binary and what it reads, made when the cache has none for these
// sources.
func Build(ctx context.Context, cfg build.Config) (string, error) {
	return servers().Build(ctx, cfg)
}

// Start runs a Gitea with no data but its administrator until the test ends. A failed test shows the end
// of the server's log.
func Start(t testing.TB) *Server {
	t.Helper()
	built, err := Build(t.Context(), build.Config{Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Run(t.Context(), built, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of Gitea's log:\n%s", s.log())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Run runs the Gitea that Build returned until Close. dir, an empty folder or one to be made, gets its
// data and its log and is the caller's to remove. ctx bounds the start only.
func Run(ctx context.Context, built, dir string) (*Server, error) {
	s := newServer(built)
	if err := s.start(ctx, built, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("start Gitea: %w", err), s.Close())
	}
	return s, nil
}

func newServer(built string) *Server {
	return &Server{bin: filepath.Join(built, binary), client: &http.Client{Transport: &http.Transport{}}}
}

func (s *Server) start(ctx context.Context, built, dir string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.prepare(dir); err != nil {
		return err
	}
	for range portTries {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		if err = s.startAt(ctx, built, port); !errors.Is(err, errPortTaken) {
			break
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := s.makeAdmin(ctx); err != nil {
		return fmt.Errorf("make its administrator: %w", err)
	}
	return nil
}

// prepare makes the folders that the server takes for granted.
func (s *Server) prepare(dir string) (err error) {
	if s.dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	for _, folder := range []string{s.tmp(), filepath.Join(s.dir, "data")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	return nil
}

var errPortTaken = errors.New("another process took the port")

// freePort returns a port that another process may take before the server does. The server cannot be
// given the open socket instead: a Gitea that is takes itself for its parent's successor and ends that.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (s *Server) startAt(ctx context.Context, built string, port int) error {
	s.URL = "http://127.0.0.1:" + strconv.Itoa(port)
	if err := s.configure(built, port); err != nil {
		return err
	}
	if err := s.launch(); err != nil {
		return err
	}
	return s.ready(ctx)
}

var madeAdmin = regexp.MustCompile(`(?s)random password is '([^']+)'.*Access token was successfully created\.\.\. (\S+)`)

// makeAdmin needs the tables that the server makes when it starts.
func (s *Server) makeAdmin(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.bin, "admin", "user", "create", "--config", s.config(), "--admin",
		"--username", adminName, "--email", adminName+"@example.com", "--random-password", "--access-token")
	cmd.Env = s.environment()
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	m := madeAdmin.FindSubmatch(out)
	if err == nil && m == nil {
		err = errors.New("it did not say which")
	}
	if err != nil {
		return fmt.Errorf("%w; it said:\n%s", err, bytes.TrimSpace(out[max(0, len(out)-logTail):]))
	}
	s.Admin = User{Name: adminName, Password: string(m[1]), Token: string(m[2])}
	return nil
}

func (s *Server) launch() error {
	log, err := os.Create(s.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	// Not CommandContext: the context ends with the start, the server goes on.
	cmd := exec.Command(s.bin, "web", "--quiet", "--config", s.config())
	cmd.Env = s.environment()
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = log, log
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.done = cmd, make(chan struct{})
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	return nil
}

// ready waits until the server says that it is well.
func (s *Server) ready(ctx context.Context) error {
	for {
		err := s.well(ctx)
		if err == nil {
			return nil
		}
		// A Gitea that cannot listen says so, and does not end.
		if strings.Contains(s.log(), "address already in use") {
			return errPortTaken
		}
		select {
		case <-s.done:
			return fmt.Errorf("it ended (%w); the end of its log:\n%s", s.err, s.log())
		case <-ctx.Done():
			return fmt.Errorf("it is not ready (%w, %w); the end of its log:\n%s", context.Cause(ctx), err, s.log())
		case <-time.After(pollEvery):
		}
	}
}

// well returns nil when the server is well. Another process that has the port may be, too: what it says
// names another folder.
func (s *Server) well(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/healthz", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var health struct{ Status, Description string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&health); err != nil {
		return err
	}
	if health.Status != "pass" || health.Description != s.title() {
		return fmt.Errorf("%s: %+v", resp.Status, health)
	}
	return nil
}

// Close ends the server and its connections. The server is asked first, because it has git processes to
// wait for that would go on writing into its folder; that it had to be killed is an error.
func (s *Server) Close() error {
	s.client.CloseIdleConnections()
	if s.done == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	var err error
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		err = fmt.Errorf("end Gitea: killed after %s; the end of its log:\n%s", stopTimeout, s.log())
		_ = s.cmd.Process.Kill()
	}
	_ = s.stdin.Close()
	<-s.done
	return err
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// log returns the end of what the server wrote, or why there is nothing.
func (s *Server) log() string {
	raw, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-logTail):])
}
