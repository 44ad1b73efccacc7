package gitrepo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// killDelay is how long a killed git may keep its pipes open.
const killDelay = 2 * time.Second

// localTransport runs the git binary on a repository of this machine. go-git's
// own server is no choice: it neither checks the old value of a ref nor is it
// atomic, so a push through it is no compare-and-swap.
type localTransport struct{ path string }

func (t localTransport) close() {}

func (t localTransport) open(ctx context.Context, service string) (session, error) {
	if _, err := os.Stat(t.path); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	// Killed through the session's watch of ctx, which also covers the time
	// after the last read; exec's own watch would race with it.
	cmd := exec.Command("git", strings.TrimPrefix(service, "git-"), t.path)
	cmd.Env = gitEnv(os.Environ())
	cmd.WaitDelay = killDelay
	stderr := &messages{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start git: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start git: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start git: %w; a repository on this machine needs the git program in PATH", err)
	}
	return newPipeSession(ctx, in, out, stderr, &localProcess{cmd: cmd}), nil
}

// localProcess is a git child process.
type localProcess struct {
	cmd    *exec.Cmd
	waited bool
}

func (p *localProcess) kill() { _ = p.cmd.Process.Kill() }

func (p *localProcess) wait() error {
	if p.waited {
		return nil
	}
	p.waited = true
	return p.cmd.Wait()
}

// gitEnv drops the variables that would point git at another repository (they
// are set when towpath itself runs in a hook) and fixes the language, because
// git's words are read.
func gitEnv(env []string) []string {
	out := make([]string, 0, len(env)+1)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
			"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH", "GIT_PREFIX",
			"GIT_PROTOCOL", "LC_ALL", "LANGUAGE":
		default:
			out = append(out, kv)
		}
	}
	return append(out, "LC_ALL=C")
}
