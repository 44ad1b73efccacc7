package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/reconcile"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/test/controlplane"
	"towpath.dev/towpath/test/gitea"
	"towpath.dev/towpath/test/ociregistry"
)

// How often the demo's bot and agents look at the repository.
const demoPoll = 500 * time.Millisecond

// world is everything the demo starts, and stops.
type world struct {
	dir      string // temporary: repository, clones, logs
	registry *ociregistry.Server
	planes   *controlplane.Set // nil with --contexts
	clusters map[string]agentFlags
	viewer   *promote.Bot // reads what the story waits for; writes nothing
	forge    forge
	gitea    *gitea.Server // nil with the local forge
	people   []demoPerson  // who must approve prod
	git      *gitrepo.Repo
	conn     connection
	reg      registryFlags
	logs     []string
	files    []*os.File

	events  chan demoEvent
	cancel  context.CancelFunc
	wg      sync.WaitGroup // the bot and the agents
	closers []func()
	undo    []func(context.Context) error
}

type demoEvent struct {
	env string
	reconcile.Event
}

// startWorld starts everything. On an error nothing is left.
func (d demoFlags) startWorld(ctx context.Context, s std, tell *teller) (*world, error) {
	dir, err := os.MkdirTemp("", "towpath-demo-")
	if err != nil {
		return nil, fmt.Errorf("create a folder for the demo: %w", err)
	}
	w := &world{dir: dir, events: make(chan demoEvent, 1024), clusters: map[string]agentFlags{}}
	if err := w.start(ctx, d, s, tell); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) start(ctx context.Context, d demoFlags, s std, tell *teller) error {
	var err error
	if w.registry, err = ociregistry.Start(ociregistry.Config{}); err != nil {
		return err
	}
	for _, image := range []string{"shop/web", "shop/api"} {
		if _, err := w.registry.Push(image, "1.0.0"); err != nil {
			return err
		}
	}
	tell.say("a registry at %s holds shop/web:1.0.0 and shop/api:1.0.0", w.registry.Host())
	w.reg = registryFlags{insecure: []string{w.registry.Host()}}
	if err := w.startForge(ctx, d, s, tell); err != nil {
		return err
	}
	if err := w.startClusters(ctx, d, s, tell); err != nil {
		return err
	}
	return w.startTowpath(ctx)
}

func (w *world) startClusters(ctx context.Context, d demoFlags, s std, tell *teller) error {
	if len(d.contexts) > 0 {
		for i, env := range demoEnvs {
			w.clusters[env] = agentFlags{kubeconfig: d.kubeconfig, context: d.contexts[i]}
		}
		return w.borrow(ctx, tell)
	}
	tell.say("starting three Kubernetes control planes: dev, staging, prod (real API servers, controllers and schedulers; only the pods are simulated)")
	planes, err := controlplane.Start(ctx, d.controlplane([]string{w.registry.Image("shop/web") + ":1.2.0"}, s.err))
	if err != nil {
		return err
	}
	w.planes = planes
	for _, env := range demoEnvs {
		w.clusters[env] = agentFlags{kubeconfig: planes.Kubeconfig(env), context: env}
	}
	tell.say("the control planes are ready (%.1f s)", planes.Ready().Seconds())
	return nil
}

// startTowpath starts the bot and one agent per cluster, the same code as
// `towpath run` and `towpath agent`.
func (w *world) startTowpath(ctx context.Context) error {
	ctx, w.cancel = context.WithCancel(ctx)
	logger, err := w.log("run")
	if err != nil {
		return err
	}
	bot := &botLoop{conn: w.conn, reg: w.reg, unauthenticated: true, logger: logger}
	w.wg.Go(func() {
		defer bot.close()
		if err := bot.run(ctx, demoPoll); err != nil {
			logger.Error("run ended", "error", err)
		}
	})
	for _, env := range demoEnvs {
		if err := w.startAgent(ctx, env); err != nil {
			return err
		}
	}
	a := w.reg.asker(scan.Config{Due: due, Logger: slog.New(slog.DiscardHandler)})
	w.closers = append(w.closers, a.close)
	at, err := w.conn.siteOf(ctx, w.git, botUser, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	w.forge = at.forge
	w.viewer = w.conn.newBot(at, a, slog.New(slog.DiscardHandler), true)
	return nil
}

func (w *world) startAgent(ctx context.Context, env string) error {
	logger, err := w.log("agent-" + env)
	if err != nil {
		return err
	}
	flags := w.clusters[env]
	flags.conn, flags.env, flags.cluster, flags.poll, flags.namespace = w.conn, env, env, demoPoll, reconcile.DefaultNamespace
	flags.conn.cache = filepath.Join(w.dir, "cache-"+env)
	agent, closeAgent, err := flags.open(ctx, logger, func(e reconcile.Event) {
		select {
		case w.events <- demoEvent{env, e}:
		default: // the story is not listening; the log has it
		}
	})
	if err != nil {
		return err
	}
	w.wg.Go(func() {
		defer closeAgent()
		if err := agent.Run(ctx); err != nil {
			logger.Error("agent ended", "error", err)
		}
	})
	return nil
}

func (w *world) log(name string) (*slog.Logger, error) {
	f, err := os.Create(filepath.Join(w.dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	w.files = append(w.files, f)
	w.logs = append(w.logs, f.Name())
	return slog.New(slog.NewTextHandler(f, nil)), nil
}

// cleanTimeout bounds how long a borrowed cluster is cleaned.
const cleanTimeout = 2 * time.Minute

// close stops and removes everything, in the opposite order.
func (w *world) close() error {
	var errs []error
	if w.cancel != nil {
		w.cancel()
	}
	w.wg.Wait()
	for _, f := range w.closers {
		f()
	}
	ctx, stop := context.WithTimeout(context.Background(), cleanTimeout)
	defer stop()
	var undone errgroup.Group
	for _, undo := range w.undo {
		undone.Go(func() error { return undo(ctx) })
	}
	errs = append(errs, undone.Wait())
	if w.planes != nil {
		errs = append(errs, w.planes.Stop())
	}
	if w.registry != nil {
		errs = append(errs, w.registry.Close())
	}
	if w.gitea != nil {
		errs = append(errs, w.gitea.Close())
	}
	if w.git != nil {
		errs = append(errs, w.git.Close())
	}
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	errs = append(errs, os.RemoveAll(w.dir))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up after the demo: %w", err)
	}
	return nil
}

// self is what a person types to run this binary.
func self() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "towpath"
}

// lookAround says how to see what runs, for --keep.
func (w *world) lookAround(tell *teller) {
	var b strings.Builder
	fmt.Fprintf(&b, "config repository   git clone %s shop\n", w.conn.repo)
	fmt.Fprintf(&b, "registry            http://%s/v2/shop/web/tags/list\n", w.registry.Host())
	for _, env := range demoEnvs {
		fmt.Fprintf(&b, "cluster %-11s kubectl --kubeconfig %s get pods -A\n", env, w.clusters[env].kubeconfig)
	}
	for _, l := range w.logs {
		fmt.Fprintf(&b, "log                 %s\n", l)
	}
	fmt.Fprintf(&b, "export TOWPATH_REPO=%s\n", w.conn.repo)
	fmt.Fprintf(&b, "%s status%s\n", self(), w.conn.forgeWords())
	fmt.Fprintf(&b, "%s why web --insecure-registry %s%s\n", self(), w.registry.Host(), w.conn.forgeWords())
	tell.say("everything keeps running until you press Ctrl-C; look around:")
	tell.show(b.String())
}
