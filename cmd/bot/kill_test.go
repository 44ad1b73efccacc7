package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/examples"
	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/state"
	"towpath.dev/towpath/test/ociregistry"
)

// killLimit bounds one story on a slow machine; nothing is asserted about time.
const killLimit = 3 * time.Minute

// TestKilledBotsEndLikeOneThatLived runs the story with `towpath run` as a
// process of its own: once undisturbed, and once killed with SIGKILL at five
// moments, each time started again with its cache folder deleted.
func TestKilledBotsEndLikeOneThatLived(t *testing.T) {
	reg, err := ociregistry.Start(ociregistry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	if err := reg.PushAll("shop/web", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	if err := reg.PushAll("shop/api", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	binary := towpathBinary(t)
	want := (&killStory{t: t, reg: reg, binary: binary}).run(nil)
	if !strings.Contains(want, "prod: web 1.0.0 → 1.1.0 (#2)") {
		t.Fatalf("the undisturbed story does not end in prod:\n%s", want)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	got := (&killStory{t: t, reg: reg, binary: binary}).run(rand.New(rand.NewPCG(seed, 0)))
	if got != want {
		t.Errorf("seed %d: killed:\n%s\nundisturbed:\n%s", seed, got, want)
	}
}

// killStory is one run of the story. The agents are played by a goroutine that
// reports whatever Git holds as healthy; everything else is real.
type killStory struct {
	t      *testing.T
	reg    *ociregistry.Server
	binary string
	repo   string
	git    *gitrepo.Repo // the story's own clone: it approves and looks
	log    *os.File
	viewer *promote.Bot
}

const kills = 5

func (k *killStory) run(rnd *rand.Rand) string {
	t := k.t
	_ = k.reg.Delete("shop/web", "1.1.0") // not there the first time
	k.repo = filepath.Join(t.TempDir(), "config.git")
	k.seed()
	var err error
	if k.log, err = os.Create(filepath.Join(t.TempDir(), "run.log")); err != nil {
		t.Fatal(err)
	}
	defer k.log.Close()
	ctx, cancel := context.WithTimeout(t.Context(), killLimit)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	reporter := k.open()
	wg.Go(func() { k.report(ctx, reporter) })
	killed := make(chan error, 1)
	wg.Go(func() { killed <- k.keepRunning(ctx, stop, rnd) })

	if err := k.reg.PushAll("shop/web", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	k.until(ctx, "prod's pull request waits for a person", func(v statusView) bool { return waitsOnly(find(v, "prod", "web"), "approvals") })
	k.approve(ctx)
	k.until(ctx, "prod holds 1.1.0", func(v statusView) bool { return find(v, "prod", "web").Version == "1.1.0" })
	close(stop)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	return k.history(ctx)
}

func (k *killStory) open() *gitrepo.Repo {
	k.t.Helper()
	r, err := gitrepo.Open(k.t.Context(), gitrepo.Config{URL: k.repo, Dir: k.t.TempDir()})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = r.Close() })
	return r
}

// seed makes the config repository of examples/shop with short soaks.
func (k *killStory) seed() {
	t := k.t
	if err := gitrepo.InitBare(k.repo, "main"); err != nil {
		t.Fatal(err)
	}
	files, err := examples.Shop(k.reg.Host())
	if err != nil {
		t.Fatal(err)
	}
	const pipeline = "policies/pipeline.yaml"
	files[pipeline] = bytes.ReplaceAll(files[pipeline], []byte("soak: {for: 5s}"), []byte("soak: {for: 2s}"))
	k.git = k.open()
	c, err := k.git.Commit(t.Context(), gitrepo.Change{Files: files, Message: "shop\n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.git.Push(t.Context(), gitrepo.Update{Ref: "refs/heads/main", New: c.Hash}); err != nil {
		t.Fatal(err)
	}
	conn := connection{repo: k.repo, branch: "main", forge: forgeFlags{kind: forgeLocal}}
	k.viewer = conn.newBot(localSite(k.git, botUser, slog.New(slog.DiscardHandler)), nil, slog.New(slog.DiscardHandler), true)
}

// keepRunning keeps one `towpath run` alive. With rnd it kills it five times, at
// arbitrary moments, and starts it again with an empty cache.
func (k *killStory) keepRunning(ctx context.Context, stop <-chan struct{}, rnd *rand.Rand) error {
	left := 0
	if rnd != nil {
		left = kills
	}
	for {
		cache, err := os.MkdirTemp(k.t.TempDir(), "cache-")
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, k.binary, "run", "--repo", k.repo, "--cache", cache, "--poll", "150ms",
			"--insecure-registry", k.reg.Host(), "--allow-unauthenticated-approvals")
		cmd.Stdout, cmd.Stderr = k.log, k.log
		if err := cmd.Start(); err != nil {
			return err
		}
		life := make(<-chan time.Time)
		if left > 0 {
			life = time.After(time.Duration(100+rnd.IntN(1900)) * time.Millisecond)
		}
		ended := stop
		if left > 0 {
			ended = nil // the kills come first
		}
		select {
		case <-life:
			left--
			_ = cmd.Process.Kill() // SIGKILL
			_ = cmd.Wait()         // its error is the signal
			if err := os.RemoveAll(cache); err != nil {
				return err
			}
		case <-ended:
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return nil
		case <-ctx.Done():
			_ = cmd.Wait()
			return ctx.Err()
		}
	}
}

// report plays the agents: what Git holds is healthy since it was first seen.
func (k *killStory) report(ctx context.Context, git *gitrepo.Repo) {
	conn := connection{repo: k.repo, branch: "main", forge: forgeFlags{kind: forgeLocal}}
	bot := conn.newBot(localSite(git, botUser, slog.New(slog.DiscardHandler)), nil, slog.New(slog.DiscardHandler), true)
	since := map[string]time.Time{}
	for sleep(ctx, 100*time.Millisecond) {
		sit, err := bot.Look(ctx)
		if err != nil {
			continue // looked at again
		}
		for _, env := range demoEnvs {
			r := state.Report{Env: env, Cluster: env, Commit: sit.Commit, At: now()}
			changed := false
			for _, a := range sit.Envs[env].Apps {
				if since[a.Content].IsZero() {
					since[a.Content] = now()
					changed = true
				}
				r.Apps = append(r.Apps, state.AppReport{App: a.Name, Content: a.Content, Phase: state.Healthy, Since: since[a.Content]})
			}
			if changed && state.PutReport(ctx, git, r) != nil {
				for _, a := range r.Apps {
					delete(since, a.Content) // not written: again
				}
			}
		}
	}
}

func (k *killStory) until(ctx context.Context, what string, ok func(statusView) bool) {
	k.t.Helper()
	for {
		sit, err := k.viewer.Look(ctx)
		if err == nil && ok(describeStatus(sit)) {
			return
		}
		if !sleep(ctx, 100*time.Millisecond) {
			log, _ := os.ReadFile(k.log.Name())
			k.t.Fatalf("waited in vain until %s; the bot said:\n%s", what, log)
		}
	}
}

// approve approves prod's pull request until an approval of its head is there: a
// bot that was killed may rebuild it meanwhile.
func (k *killStory) approve(ctx context.Context) {
	k.t.Helper()
	forge := local.New(local.Config{Git: k.git, User: "alice"})
	pull, err := findPull(ctx, forge, "main", "prod/web", false)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := forge.Review(ctx, pull.Number, pr.Review{User: "alice", State: pr.Approved, Commit: pull.Head, At: now()}); err != nil {
		k.t.Fatal(err)
	}
}

// history is what the story left: commits by tree and subject, pull requests,
// branches.
func (k *killStory) history(ctx context.Context) string {
	k.t.Helper()
	if err := k.git.Fetch(ctx); err != nil {
		k.t.Fatal(err)
	}
	head, err := k.git.Head("main")
	if err != nil {
		k.t.Fatal(err)
	}
	log, err := k.git.Log(head, 100)
	if err != nil {
		k.t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range log {
		subject, _, _ := strings.Cut(c.Message, "\n")
		fmt.Fprintf(&b, "commit %s %s\n", c.Tree, subject)
	}
	pulls, err := local.New(local.Config{Git: k.git, User: "alice"}).List(ctx, "main")
	if err != nil {
		k.t.Fatal(err)
	}
	for _, p := range pulls {
		block, err := pr.ParseBlock(p.Body)
		if err != nil {
			k.t.Error(err)
		}
		fmt.Fprintf(&b, "pull #%d %s %q open=%t merged=%t %s\n", p.Number, p.Branch, p.Title, p.Open, p.Merged, block.Content)
	}
	refs, err := k.git.Refs("refs/heads/")
	if err != nil {
		k.t.Fatal(err)
	}
	fmt.Fprintf(&b, "%d branches\n", len(refs))
	return b.String()
}
