package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"towpath.dev/towpath/test/ociregistry"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestABotKilledNextToAnyCallOfAProposalEndsLikeOneThatLived kills `towpath run
// --once` with SIGKILL just before and just after each call of a proposal that
// writes something anywhere, and starts it again, with its cache folder and
// without. A call that reads changes nothing: being killed next to it is being
// killed next to the writing one that is nearest.
func TestABotKilledNextToAnyCallOfAProposalEndsLikeOneThatLived(t *testing.T) {
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	if err := reg.PushAll("shop/web", "1.0.0", "1.1.0", "1.2.0"); err != nil {
		t.Fatal(err)
	}
	binary := shippedBinary(t)
	for _, world := range []func(*testing.T) *forgeWorld{githubWorld, giteaWorld} {
		w := world(t)
		t.Run(w.kind, func(t *testing.T) {
			k := &forgeKill{w: w, registry: reg.Host(), binary: binary}
			t.Run("opening", func(t *testing.T) { k.everywhere(t, k.open, []string{"kept", "deleted"}) })
			t.Run("superseding", func(t *testing.T) { k.everywhere(t, k.supersede, []string{"deleted"}) })
		})
	}
}

// everywhere kills next to each call of what scene leads up to.
func (k *forgeKill) everywhere(t *testing.T, scene func(t *testing.T, name string, args []string), caches []string) {
	want, points := k.undisturbed(t, scene)
	t.Logf("the calls that write: %s", strings.Join(points, ", "))
	if !slices.Contains(points, "git push") || len(points) < 4 {
		t.Fatalf("only these write: %q", points)
	}
	for i, point := range points {
		for _, when := range []string{"before", "after"} {
			for _, cache := range caches {
				t.Run(fmt.Sprintf("%s %d %s, cache %s", when, i+1, strings.ReplaceAll(point, "/", "."), cache), func(t *testing.T) {
					if got := k.killed(t, scene, strike{i + 1, when == "after", cache == "deleted"}); got != want {
						t.Errorf("killed:\n%s\nundisturbed:\n%s", got, want)
					}
				})
			}
		}
	}
}

// strike is where the bot is killed: at the n-th call that writes, before or after
// it takes effect; forget deletes its cache folder then.
type strike struct {
	n             int
	after, forget bool
}

// open is the scene of a repository whose policy has just found a version.
func (k *forgeKill) open(*testing.T, string, []string) {}

// supersede is the scene of an open proposal when a newer version is found.
func (k *forgeKill) supersede(t *testing.T, name string, args []string) {
	t.Helper()
	k.rest(t, args, t.TempDir())
	wider := shopFiles(k.registry, "1.x")
	if err := k.w.commit(name, map[string][]byte{policyFile: wider[policyFile]}); err != nil {
		t.Fatal(err)
	}
}

type forgeKill struct {
	w        *forgeWorld
	registry string
	binary   string
}

// settled is how many runs a bot gets to come to rest.
const settled = 4

func (k *forgeKill) command(args []string, cache string) *exec.Cmd {
	args = append([]string{"run", "--once", "--cache", cache, "--insecure-registry", k.registry, "--forge-pace", "1ms"}, args...)
	return exec.Command(k.binary, args...)
}

// rest runs the bot until it writes nothing any more.
func (k *forgeKill) rest(t *testing.T, args []string, cache string) (calls []string) {
	t.Helper()
	for range settled {
		k.w.watch.reset(0, false, nil)
		out, err := k.command(args, cache).CombinedOutput()
		if err != nil {
			t.Fatalf("run: %v\n%s", err, out)
		}
		seen := k.w.watch.seen()
		if len(seen) == 0 {
			return calls
		}
		calls = append(calls, seen...)
	}
	t.Fatalf("never comes to rest: %q", calls)
	return nil
}

func (k *forgeKill) undisturbed(t *testing.T, scene func(*testing.T, string, []string)) (outcome string, points []string) {
	name, _ := k.w.repo(t, shopFiles(k.registry, "<1.2"))
	args := k.w.args(t, name, k.w.token)
	scene(t, name, args)
	points = k.rest(t, args, t.TempDir())
	return k.w.outcome(t, name), points
}

// killed lets the bot live until the strike, and start again after it.
func (k *forgeKill) killed(t *testing.T, scene func(*testing.T, string, []string), at strike) string {
	name, _ := k.w.repo(t, shopFiles(k.registry, "<1.2"))
	args, cache := k.w.args(t, name, k.w.token), filepath.Join(t.TempDir(), "cache")
	scene(t, name, args)
	var died atomic.Bool
	left := at.n
	for range settled {
		cmd, started := k.command(args, cache), make(chan struct{})
		k.w.watch.reset(left, at.after, func() {
			<-started // cmd.Process is written by Start
			died.Store(true)
			_ = cmd.Process.Kill() // SIGKILL
		})
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		close(started)
		_ = cmd.Wait() // when it was killed, its error is the signal
		if died.Load() {
			break
		}
		left -= len(k.w.watch.seen())
	}
	if !died.Load() {
		t.Fatalf("call %d was not met", at.n)
	}
	if at.forget {
		if err := os.RemoveAll(cache); err != nil {
			t.Fatal(err)
		}
	}
	k.rest(t, args, cache)
	return k.w.outcome(t, name)
}
