package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// pollEvery is the pause between two looks at something that is not ready yet.
	pollEvery = 100 * time.Millisecond
	// tailBytes and tailLines bound how much of a server's log an error shows.
	tailBytes = 16 << 10
	tailLines = 15
	// portTries is how often a server is started anew because another process took the port that was
	// found free a moment before.
	portTries = 5
)

// serverSpec is what to run.
type serverSpec struct {
	name string // for errors, e.g. "kube-apiserver of dev"
	path string // the binary
	args []string
	env  []string // added to the environment
	dir  string   // working directory; empty for this process's
	log  string   // file that gets its output
}

// server is a child process. It ends when its standard input is closed, which the kernel does when
// this process is gone.
type server struct {
	spec  serverSpec
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed once the process is gone and waited for
	err   error         // how it ended; valid once done is closed
}

func startServer(spec serverSpec) (*server, error) {
	log, err := os.OpenFile(spec.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.name, err)
	}
	defer log.Close()
	// Not CommandContext: a start's context ends with the start, the server goes on.
	cmd := exec.Command(spec.path, spec.args...)
	cmd.Env = append(os.Environ(), spec.env...)
	cmd.Dir = spec.dir
	cmd.Stdout, cmd.Stderr = log, log
	detach(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.name, err)
	}
	s := &server{spec: spec, cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	return s, nil
}

// kill ends the process without waiting. The data of these servers is thrown away, so none is asked
// to end in order.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.stdin.Close()
}

func (s *server) wait() { <-s.done }

// died returns nil while the process runs.
func (s *server) died() error {
	select {
	case <-s.done:
	default:
		return nil
	}
	how := "exit status 0"
	if s.err != nil {
		how = s.err.Error()
	}
	return fmt.Errorf("%s ended (%s); the end of its log:\n%s", s.spec.name, how, s.logTail())
}

// until polls ready until it returns nil, one of the servers dies, ctx ends or readyTimeout is over.
// what names the thing waited for; the log of the last server is the one shown when time is over.
func until(ctx context.Context, what string, servers []*server, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errNotReady)
	defer cancel()
	for {
		err := ready(ctx)
		// Even when ready is content: the answer may be another process's, which has the port.
		for _, s := range servers {
			if died := s.died(); died != nil {
				return died
			}
		}
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, errNotReady) {
				return fmt.Errorf("wait for %s: %w", what, cause)
			}
			last := servers[len(servers)-1]
			return fmt.Errorf("%s: not there after %s (%w); the end of the log of %s:\n%s",
				what, readyTimeout, err, last.spec.name, last.logTail())
		}
	}
}

// errNotReady is the cause of the end of a context in until.
var errNotReady = errors.New("not ready in time")

// portTaken reports whether the server has ended because its port was in use.
func (s *server) portTaken() bool {
	return s.died() != nil && strings.Contains(s.logTail(), "address already in use")
}

// logTail returns the last lines of the log, or why there are none.
func (s *server) logTail() string {
	text, err := tail(s.spec.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	if text == "" {
		return "(the log is empty)"
	}
	return text
}

func tail(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	from := max(0, info.Size()-tailBytes)
	raw, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n"), nil
}
