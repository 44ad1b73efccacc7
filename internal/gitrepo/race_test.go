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
	racePause   = 50 * time.Millisecond // doubled after each lost race of a tick, at random around it, as the bot does
	raceTick    = 4 * time.Second       // from tick to tick, far less than bots wait
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
		wait := racePause << ((try - 1) % raceTries)
		if try%raceTries == 0 {
			wait = raceTick
		}
		if err := around(ctx, wait); err != nil {
			return lost, err
		}
	}
}

// around waits about so long, at random.
func around(ctx context.Context, wait time.Duration) error {
	select {
	case <-time.After(wait/2 + rand.N(wait)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// byHand pushes commits with the git program until stop is closed, a pause after
// each, as a person does, who pulls and pushes again when somebody was faster.
// The longest is how long one of them took to land.
func byHand(url, dir string, pause time.Duration, stop <-chan struct{}) (landed []string, longest time.Duration, err error) {
	run := func(args ...string) error {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if err := run("clone", "--quiet", url, "."); err != nil {
		return nil, 0, err
	}
	for n := 0; ; n++ {
		if n > 0 { // the first at once
			select {
			case <-stop:
				return landed, longest, nil
			case <-time.After(pause):
			}
		}
		name := fmt.Sprintf("hand/%d", n)
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "hand"), 0o700), os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600)); err != nil {
			return landed, longest, err
		}
		begun := time.Now()
		if err := errors.Join(run("add", name), run("commit", "--quiet", "-m", name)); err != nil {
			return landed, longest, err
		}
		for run("push", "--quiet", "origin", "main") != nil {
			if err := run("pull", "--quiet", "--rebase", "origin", "main"); err != nil {
				return landed, longest, err
			}
		}
		longest = max(longest, time.Since(begun))
		landed = append(landed, name)
	}
}

// race is what became of ten writers and a person on one branch.
type race struct {
	dir     string
	names   []string // that must be there
	lost    int      // races, by the writers
	hand    int      // commits that landed by hand
	longest time.Duration
}

// raced lets ten writers put n files each on one branch while a person pushes by
// hand.
func raced(t testing.TB, n int, pause time.Duration) (out race) {
	t.Helper()
	root := t.TempDir()
	out.dir = bare(t, root, "config.git")
	put(t, out.dir, "main", "", map[string]string{"a": "0\n"})
	url := githttp.Serve(t, root, githttp.Options{}) + "/config.git"
	stop, hand := make(chan struct{}), make(chan error, 1)
	var byHandLanded []string
	clone := t.TempDir()
	go func() {
		var err error
		byHandLanded, out.longest, err = byHand(url, clone, pause, stop)
		hand <- err
	}()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range raceWriters {
		r := open(t, Config{URL: url, Branch: "main"})
		wg.Go(func() {
			for i := range n {
				if i > 0 {
					if err := around(t.Context(), raceTick); err != nil {
						t.Error(err)
						return
					}
				}
				name := fmt.Sprintf("w%d/%d", w, i)
				l, err := land(t.Context(), r, name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				mu.Lock()
				out.lost, out.names = out.lost+l, append(out.names, name)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	close(stop)
	if err := <-hand; err != nil {
		t.Error(err)
	}
	out.hand, out.names = len(byHandLanded), append(out.names, byHandLanded...)
	return out
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
	r := raced(t, 1, 50*time.Millisecond)
	landed(t, r.dir, r.names)
	if r.hand == 0 {
		t.Errorf("%d landed, none of them by hand", len(r.names))
	}
	t.Logf("%d commits landed, of which %d by hand; %d races were lost", len(r.names), r.hand, r.lost)
}

// BenchmarkTenWritersAndAPerson is the time until each of ten writers put three
// commits on one branch over http, one a tick, while a person pushes by hand a
// second after each push that landed.
func BenchmarkTenWritersAndAPerson(b *testing.B) {
	var lost, hand int
	var longest time.Duration
	for range b.N {
		r := raced(b, 3, time.Second)
		b.StopTimer()
		landed(b, r.dir, r.names)
		lost, hand, longest = lost+r.lost, hand+r.hand, max(longest, r.longest)
		b.StartTimer()
	}
	b.ReportMetric(float64(hand)/float64(b.N), "by-hand/op")
	b.ReportMetric(longest.Seconds(), "longest-s-by-hand")
	b.ReportMetric(float64(lost)/float64(b.N), "lost-races/op")
}
