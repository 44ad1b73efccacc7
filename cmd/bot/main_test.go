package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// raceExit has a process with the race detector, such as each towpath of a story,
// end at once: it lingers for a second otherwise, in case a race shows yet.
const raceExit = "atexit_sleep_ms=20"

func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		if err := os.Setenv("GORACE", raceExit); err != nil {
			panic(err)
		}
	}
	testscript.Main(m, map[string]func(){"towpath": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], std{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
	}})
}

// TestScripts runs the stories in testdata/script with the real command.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, UpdateScripts: *update, Cmds: scriptCommands(),
		Setup: func(e *testscript.Env) error {
			e.Values[registryKey{}] = &registryHolder{}
			e.Values[privateKey{}] = &privateHolder{}
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("EXAMPLES", examples)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("TOWPATH_CACHE", filepath.Join(e.WorkDir, ".cache"))
			e.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			e.Setenv("GIT_AUTHOR_NAME", "alice")
			e.Setenv("GIT_AUTHOR_EMAIL", "alice@example.com")
			e.Setenv("GIT_COMMITTER_NAME", "alice")
			e.Setenv("GIT_COMMITTER_EMAIL", "alice@example.com")
			return nil
		},
	})
}

// shippedBinary builds towpath as make build does. A process that is killed tells of
// no race, and one without the race detector starts in a fifth of the time.
func shippedBinary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "towpath")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// towpathBinary is a path at which this test binary acts as towpath.
func towpathBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "towpath")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}
