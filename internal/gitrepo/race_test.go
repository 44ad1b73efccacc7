package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/test/githttp"
)

const (
	raceWriters = 10
	raceTries   = 5                     // of one tick; then the next tick tries again
	racePause   = 50 * time.Millisecond // doubled after each lost race of a tick
)

// land puts a file on main: what a tick does, and the next one when five races in
// a row are lost. It returns how many races it lost.
func land(ctx context.Context, r *Repo, name string) (lost int, err error) {
	for try := 1; ; try++ {
		if err := r.Fetch(ctx); err != nil {
			return lost, err
		}
		head, err := r.Head("main")
		if err != nil {
			return lost, err
		}
		c, err := r.Commit(ctx, Change{Parent: head, Message: name, Files: map[string][]byte{name: []byte(name + "\n")}})
		if err != nil {
			return lost, err
		}
		err = r.Push(ctx, Update{Ref: "refs/heads/main", Old: head, New: c.Hash})
		if !errors.Is(err, ErrStale) {
			return lost, err
		}
		lost++
		wait := time.Duration(rand.Int64N(int64(racePause) << (try % raceTries)))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return lost, ctx.Err()
		}
	}
}

// byHand pushes commits with the git program until stop is closed, a pause after
// each, as a person does, who pulls and pushes again when somebody was faster.
func byHand(url, dir string, pause time.Duration, stop <-chan struct{}) (landed []string, err error) {
	run := func(args ...string) error {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if err := run("clone", "--quiet", url, "."); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		if n > 0 { // the first at once
			select {
			case <-stop:
				return landed, nil
			case <-time.After(pause):
			}
		}
		name := fmt.Sprintf("hand/%d", n)
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "hand"), 0o700), os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600)); err != nil {
			return landed, err
		}
		if err := errors.Join(run("add", name), run("commit", "--quiet", "-m", name)); err != nil {
			return landed, err
		}
		for run("push", "--quiet", "origin", "main") != nil {
			if err := run("pull", "--quiet", "--rebase", "origin", "main"); err != nil {
				return landed, err
			}
		}
		landed = append(landed, name)
	}
}

// raced lets ten writers put n files each on one branch while a person pushes by
// hand, and returns what must be there and how many races the writers lost.
func raced(t testing.TB, n int, pause time.Duration) (dir string, names []string, lost int) {
	t.Helper()
	root := t.TempDir()
	dir = bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	url := githttp.Serve(t, root, githttp.Options{}) + "/config.git"
	stop, hand := make(chan struct{}), make(chan error, 1)
	var byHandLanded []string
	clone := t.TempDir()
	go func() {
		var err error
		byHandLanded, err = byHand(url, clone, pause, stop)
		hand <- err
	}()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range raceWriters {
		r := open(t, Config{URL: url, Branch: "main"})
		wg.Go(func() {
			for i := range n {
				name := fmt.Sprintf("w%d/%d", w, i)
				l, err := land(t.Context(), r, name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				mu.Lock()
				lost, names = lost+l, append(names, name)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	close(stop)
	if err := <-hand; err != nil {
		t.Error(err)
	}
	return dir, append(names, byHandLanded...), lost
}

// landed compares what is on main with what was said to have landed.
func landed(t testing.TB, dir string, names []string) {
	t.Helper()
	has := map[string]bool{}
	for name := range strings.SplitSeq(gitRun(t, dir, "ls-tree", "-r", "--name-only", "main"), "\n") {
		has[name] = true
	}
	for _, n := range names {
		if !has[n] {
			t.Errorf("%s was lost", n)
		}
	}
	if log := gitRun(t, dir, "log", "--format=%s", "main"); strings.Count(log, "\n") < len(names) || gitRun(t, dir, "rev-list", "--merges", "main") != "" {
		t.Errorf("%d landed; the log is\n%s", len(names), log)
	}
	gitRun(t, dir, "fsck", "--strict")
}

func TestTenWritersAndAPersonLoseNothing(t *testing.T) {
	dir, names, lost := raced(t, 1, 50*time.Millisecond)
	landed(t, dir, names)
	if len(names) <= raceWriters {
		t.Errorf("%d landed, none of them by hand", len(names))
	}
	t.Logf("%d commits landed, of which %d by hand; %d races were lost", len(names), len(names)-raceWriters, lost)
}

// BenchmarkTenWritersAndAPerson is the time until each of ten writers put three
// commits on one branch over http, while a person pushes by hand every second.
func BenchmarkTenWritersAndAPerson(b *testing.B) {
	var all, lost int
	for range b.N {
		dir, names, l := raced(b, 3, time.Second)
		b.StopTimer()
		landed(b, dir, names)
		all, lost = all+len(names), lost+l
		b.StartTimer()
	}
	b.ReportMetric(float64(all)/float64(b.N), "commits/op")
	b.ReportMetric(float64(lost)/float64(b.N), "lost-races/op")
}
