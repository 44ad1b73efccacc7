package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bigTree is a checkout that takes a while to read: files with a marker in each
// of their many lines.
func bigTree(t *testing.T) (dir string, files int) {
	t.Helper()
	dir, files = t.TempDir(), 100
	text := []byte(strings.Repeat("image: registry.example/web:1.0.0 # towpath: web\n", 5000))
	for _, sub := range []string{".git", "policies", "envs/dev/web"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, "envs/dev/web", fmt.Sprintf("%d.yaml", i)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

// changedIn counts the files of bigTree that hold new values, and those that are
// left of half a write.
func changedIn(t *testing.T, dir string) (changed, left int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "envs/dev/web"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".towpath") {
			left++
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "envs/dev/web", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "2.0.0") {
			changed++
		}
	}
	return changed, left
}

func TestACommandWhoseContextEndedWritesNothing(t *testing.T) {
	dir, _ := bigTree(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"set", "web=registry.example/web:2.0.0", dir}, {"lint", dir}, {"adopt", dir, "--write"}, {"migrate", "flux", dir, "--write"},
	} {
		t.Run(args[0], func(t *testing.T) {
			var out, errs strings.Builder
			code := run(ctx, args, std{in: strings.NewReader(""), out: &out, err: &errs})
			if code != exitFailed || !strings.Contains(errs.String(), "interrupted: ") || out.Len() > 0 {
				t.Errorf("exit %d\n%s%s", code, &out, &errs)
			}
		})
	}
	if changed, left := changedIn(t, dir); changed+left > 0 {
		t.Errorf("%d files changed, %d left behind", changed, left)
	}
}

// TestASignalStopsSet sends SIGTERM to a process at work. One that comes before the
// process listens kills it, and says nothing; then it comes later.
func TestASignalStopsSet(t *testing.T) {
	binary := towpathBinary(t)
	dir, files := bigTree(t)
	for wait := 200 * time.Millisecond; wait < time.Minute; wait *= 2 {
		var errs strings.Builder
		cmd := exec.CommandContext(t.Context(), binary, "set", "web=registry.example/web:2.0.0", dir)
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		_ = cmd.Wait() // its code is looked at
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			continue
		}
		changed, left := changedIn(t, dir)
		switch {
		case cmd.ProcessState.ExitCode() != exitFailed || left > 0:
			t.Errorf("exit %d after %v, %d files left behind\n%s", cmd.ProcessState.ExitCode(), wait, left, &errs)
		case changed == 0 && !strings.Contains(errs.String(), "interrupted: nothing was written"),
			changed > 0 && !strings.Contains(errs.String(), fmt.Sprintf("interrupted: %d of %d files", changed, files)):
			t.Errorf("%d files changed\n%s", changed, &errs)
		}
		return
	}
	t.Error("the process never listened")
}
