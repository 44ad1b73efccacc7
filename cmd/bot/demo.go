package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/test/controlplane"
)

// demoFlags are those of `demo`.
type demoFlags struct {
	keep       bool
	buildOnly  bool
	contexts   []string
	kubeconfig string
	source     string
	cache      string
	forge      string
}

func demoCommand(s std) *cobra.Command {
	var d demoFlags
	cmd := command("demo", "the whole line on this machine, nothing else needed",
		"Starts three Kubernetes control planes (real API servers, controllers and schedulers; pods are\nsimulated), a registry, a Git repository, the bot and three agents, and carries a version from\nthe registry to production before your eyes. Everything is removed at the end. The control\nplanes are built from source the first time, which takes minutes; run it in a checkout of Towpath.",
		"  towpath demo\n  towpath demo --keep\n  towpath demo --forge gitea\n  towpath demo --contexts kind-dev,kind-staging,kind-prod", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if n := len(d.contexts); n != 0 && n != len(demoEnvs) {
				return usagef("--contexts: want one context for each of %s", strings.Join(demoEnvs[:], ", "))
			}
			if d.forge != forgeLocal && d.forge != forgeGitea {
				return usagef("--forge %s: the demo has local and gitea", d.forge)
			}
			if d.buildOnly {
				_, err := controlplane.Build(cmd.Context(), d.controlplane(nil, s.err))
				return err
			}
			return d.run(cmd.Context(), s)
		})
	f := cmd.Flags()
	f.BoolVar(&d.keep, "keep", false, "wait for your approval, keep everything running at the end and say how to look around")
	f.BoolVar(&d.buildOnly, "build-only", false, "only build the control planes into the cache")
	f.StringSliceVar(&d.contexts, "contexts", nil, "use these three contexts of your kubeconfig (dev,staging,prod) instead of own control planes; their nodes must simulate pods, as kwok's do")
	f.StringVar(&d.kubeconfig, "kubeconfig", "", "kubeconfig for --contexts (default: $KUBECONFIG, ~/.kube/config)")
	f.StringVar(&d.forge, "forge", forgeLocal, "where the demo's pull requests live: local, or gitea (a real one, with two reviewers)")
	f.StringVar(&d.source, "source", "", "checkout of Towpath to build the control planes from (default: found upward from here)")
	f.StringVar(&d.cache, "cache", "", "where the built control planes are kept (default $TOWPATH_CACHE, else the user's cache folder)")
	return cmd
}

// demoEnvs are the environments of examples/shop.
var demoEnvs = [...]string{"dev", "staging", "prod"}

func (d demoFlags) controlplane(failing []string, progress io.Writer) controlplane.Config {
	return controlplane.Config{Names: demoEnvs[:], FailingImages: failing, CacheDir: d.cache, Source: d.source, Progress: progress}
}

func (d demoFlags) run(ctx context.Context, s std) (err error) {
	tell := newTeller(s.out)
	w, err := d.startWorld(ctx, s, tell)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := w.close(); err == nil {
			err = cerr
		}
	}()
	err = w.story(ctx, tell, d.keep)
	if err != nil && !errors.Is(err, context.Canceled) {
		w.explainFailure(s.err)
	}
	if err == nil && d.keep {
		w.lookAround(tell)
		<-ctx.Done()
		tell.say("stopped; everything is being removed")
	}
	if err == nil && !d.keep {
		tell.say("the end; everything is being removed (make demo KEEP=1 waits for your approval and keeps all running)")
	}
	if errors.Is(err, context.Canceled) {
		tell.say("stopped; everything is being removed")
		return errors.New("stopped before the end of the story")
	}
	return err
}

// teller prints the steps of the story, each with its time since the start.
type teller struct {
	mu    sync.Mutex // guards w: agents speak from goroutines of their own
	w     io.Writer
	start time.Time
}

func newTeller(w io.Writer) *teller { return &teller{w: w, start: now()} }

// say prints one step.
func (t *teller) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%6.1fs  %s\n", now().Sub(t.start).Seconds(), fmt.Sprintf(format, args...))
}

// show prints a text below a step, set in.
func (t *teller) show(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(t.w, "         | %s\n", strings.TrimRight(line, "\n"))
	}
}

// explainFailure prints what a person needs to see why a step did not happen.
func (w *world) explainFailure(out io.Writer) {
	var b strings.Builder
	if sit, err := w.viewer.Look(context.Background()); err == nil {
		printStatus(&b, describeStatus(sit), true)
	}
	fmt.Fprintf(out, "the demo did not go as told; status:\n%s", b.String())
	for _, l := range w.logs {
		data, err := os.ReadFile(l)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		fmt.Fprintf(out, "last lines of %s:\n%s\n", l, strings.Join(lines[max(0, len(lines)-maxLogLines):], "\n"))
	}
}

const maxLogLines = 12
