package gitrepo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Limits of the git programs that are run.
const (
	killDelay     = 2 * time.Second  // a killed one may keep its pipes open so long
	configTimeout = 10 * time.Second // of reading settings
	maxSafeDirs   = 10_000
)

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
	cmd.Env = gitEnv(os.Environ(), safeDirectories(ctx, os.Environ()))
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

// gitEnv is the environment of the git programs that serve a repository. Of
// whatever the variables and the settings of user and system say, only
// safe.directory counts: others would point git at another repository (they are
// set when towpath itself runs in a hook), or have it run programs, write traces
// or speak another language, and git's words are read.
func gitEnv(env, safe []string) []string {
	out := cleanEnv(env)
	out = append(out, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(safe)))
	for i, dir := range safe {
		out = append(out, fmt.Sprintf("GIT_CONFIG_KEY_%d=safe.directory", i), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, dir))
	}
	return out
}

// cleanEnv drops git's own variables but the one that says where its programs
// are, and fixes the language.
func cleanEnv(env []string) []string {
	out := make([]string, 0, len(env)+1)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "GIT_") && name != "GIT_EXEC_PATH" || name == "LC_ALL" || name == "LANGUAGE" {
			continue
		}
		out = append(out, kv)
	}
	return append(out, "LC_ALL=C")
}

// safeDirectories are the values of safe.directory, which git takes from the
// settings of user, system and environment only, never from a repository. Git is
// asked, because settings may include others; asking runs nothing. Without an
// answer there are none.
func safeDirectories(ctx context.Context, env []string) []string {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "config", "--null", "--get-all", "safe.directory")
	cmd.WaitDelay = killDelay
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "GIT_") || strings.HasPrefix(name, "GIT_CONFIG") || name == "GIT_EXEC_PATH" {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	// In no repository, wherever we stand, and without traces that settings ask for.
	cmd.Env = append(cmd.Env, "GIT_DIR="+os.DevNull, "GIT_TRACE2=0", "GIT_TRACE2_EVENT=0", "GIT_TRACE2_PERF=0")
	said, err := cmd.Output()
	if err != nil || len(said) == 0 {
		return nil
	}
	dirs := strings.Split(strings.TrimSuffix(string(said), "\x00"), "\x00")
	return dirs[:min(len(dirs), maxSafeDirs)]
}
