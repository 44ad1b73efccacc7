package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/reconcile"
	"towpath.dev/towpath/internal/state"
)

// agentFlags are those of `agent`.
type agentFlags struct {
	conn                connection
	env, cluster        string
	kubeconfig, context string
	namespace           string
	poll                time.Duration
	wait                time.Duration
	allowRewind         bool
}

func agentCommand(s std) *cobra.Command {
	var a agentFlags
	var once bool
	cmd := command("agent --env NAME", "the reconciler of one environment, in its cluster",
		"Keeps a cluster equal to an environment's directory: renders it, applies what differs, heals\ndrift as it is seen, prunes with guards and reports health to the config repository. Bad\nmanifests and an unreachable server are reported and tried again; agent does not end for them.",
		"  towpath agent --env dev --repo https://git.example/team/config.git\n  towpath agent --once --env dev --kubeconfig ~/.kube/config --context kind-dev", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if a.env == "" {
				return usagef("--env NAME is required: the environment of the pipeline that this cluster is")
			}
			if a.poll < minPoll {
				return usagef("--poll %s: want at least %s", a.poll, minPoll)
			}
			logger, err := a.conn.logger(s.err)
			if err != nil {
				return err
			}
			open := a.open
			if !once {
				open = a.openPatiently
			}
			agent, closeAll, err := open(cmd.Context(), logger, nil)
			if err != nil && cmd.Context().Err() != nil {
				return nil // stopped before there was anything to do
			}
			if err != nil {
				return err
			}
			defer closeAll()
			if !once {
				return agent.Run(cmd.Context())
			}
			r, err := agent.Once(cmd.Context())
			if err != nil {
				return err
			}
			return agentSummary(s, r)
		})
	a.conn.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&a.env, "env", "", "environment that this cluster is")
	f.StringVar(&a.cluster, "cluster", "", "name of this cluster in reports (default: the environment's)")
	f.StringVar(&a.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or the service account of the pod)")
	f.StringVar(&a.context, "context", "", "context of the kubeconfig (default: its current one)")
	f.StringVar(&a.namespace, "namespace", reconcile.DefaultNamespace, "where the inventory lives in the cluster")
	f.DurationVar(&a.poll, "poll", reconcile.DefaultPoll, "how often the repository is looked at")
	f.DurationVar(&a.wait, "wait", reconcile.DefaultWait, "with --once: how long to wait for health; negative: not at all")
	f.BoolVar(&a.allowRewind, "allow-rewind", false, "follow the branch also to a commit that does not descend from the last one applied")
	f.BoolVar(&once, "once", false, "make one pass and exit; 1 when an app is not healthy")
	return cmd
}

// kubeconfig is the flag, else $KUBECONFIG, else ~/.kube/config when there is
// one, else "": the service account of the pod we are in.
func kubeconfig(flag string) (string, error) {
	if flag != "" {
		if _, err := os.Stat(flag); err != nil {
			return "", usagef("--kubeconfig: %w", err)
		}
		return flag, nil
	}
	if env := os.Getenv("KUBECONFIG"); env != "" {
		return env, nil
	}
	path := ""
	if home, err := os.UserHomeDir(); err == nil {
		path = filepath.Join(home, ".kube", "config")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	if os.Getenv("KUBERNETES_SERVICE_HOST") == "" {
		return "", usagef("no cluster: this is no pod, and there is no %s; give --kubeconfig or set KUBECONFIG", path)
	}
	return "", nil
}

// openCluster connects to the cluster that the flags name.
func (a agentFlags) openCluster() (*kube.Client, error) {
	path, err := kubeconfig(a.kubeconfig)
	if err != nil {
		return nil, err
	}
	return kube.Open(kube.Config{Kubeconfig: path, Context: a.context})
}

// agentSummary prints the report of one pass.
func agentSummary(s std, r state.Report) error {
	rows := [][]string{{"APP", "HEALTH", "CONTENT"}}
	healthy := r.Problem == ""
	for _, a := range r.Apps {
		rows = append(rows, []string{a.App, string(a.Phase), a.Content})
		healthy = healthy && a.Phase == state.Healthy
	}
	table(s.out, rows)
	if r.Problem != "" {
		fmt.Fprintf(s.err, "%s: %s\n", r.Env, r.Problem)
	}
	for _, a := range r.Apps {
		for _, f := range a.Failing {
			fmt.Fprintf(s.err, "%s: %s: %s\n", a.App, f.Object, f.Reason)
		}
	}
	if !healthy {
		return errFindings
	}
	return nil
}

// openPatiently opens an agent, and tries again while what it needs is out of
// reach: a pod that starts during an outage of Git must not end for it. Mistakes
// in flags end it at once.
func (a agentFlags) openPatiently(ctx context.Context, logger *slog.Logger, onEvent func(reconcile.Event)) (*reconcile.Agent, func(), error) {
	said := ""
	for {
		agent, closeAll, err := a.open(ctx, logger, onEvent)
		var usage usageError
		if err == nil || errors.As(err, &usage) || ctx.Err() != nil {
			return agent, closeAll, err
		}
		if err.Error() != said {
			said = err.Error()
			logger.Error("not started yet", "error", err, "again_in", a.poll)
		}
		if !sleep(ctx, a.poll) {
			return nil, nil, ctx.Err()
		}
	}
}

// open wires an agent. onEvent may be nil.
func (a agentFlags) open(ctx context.Context, logger *slog.Logger, onEvent func(reconcile.Event)) (*reconcile.Agent, func(), error) {
	if a.cluster == "" {
		a.cluster = a.env
	}
	if err := a.conn.check(); err != nil {
		return nil, nil, err
	}
	client, err := a.openCluster()
	if err != nil {
		return nil, nil, err
	}
	repo, err := a.conn.openRepo(ctx, logger)
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	closeAll := func() {
		_ = repo.Close() // a cache: nothing is lost
		client.Close()
	}
	agent, err := reconcile.New(reconcile.Config{
		Env: a.env, Cluster: a.cluster, Branch: a.conn.branch, Locate: locate(a.env),
		Source: repo, API: client, Renderer: manifest.NewRenderer(manifest.Limits{}),
		Report:   func(ctx context.Context, r state.Report) error { return state.PutReport(ctx, repo, r) },
		Previous: func(ctx context.Context) (state.Report, bool) { return previous(ctx, repo, a.env, a.cluster) },
		Now:      now, Poll: a.poll, Wait: a.wait, AllowRewind: a.allowRewind, Namespace: a.namespace, Logger: logger, OnEvent: onEvent,
	})
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return agent, closeAll, nil
}

// locate finds an environment's directory in the pipelines of a snapshot.
func locate(env string) func(gitrepo.Snapshot) (reconcile.Place, error) {
	return func(snap gitrepo.Snapshot) (reconcile.Place, error) {
		cfg, err := promote.LoadConfig(snap.FS())
		if err != nil {
			return reconcile.Place{}, err
		}
		var names []string
		for _, p := range cfg.Pipelines {
			for _, e := range p.Environments {
				if e.Name == env {
					return reconcile.Place{Path: e.Path}, nil
				}
				names = append(names, e.Name)
			}
		}
		for _, p := range cfg.Problems {
			if !p.Warning {
				return reconcile.Place{}, fmt.Errorf("no pipeline names environment %s; first problem: %w", env, p)
			}
		}
		return reconcile.Place{}, fmt.Errorf("no pipeline names environment %s (there are: %v)", env, names)
	}
}

func previous(ctx context.Context, repo *gitrepo.Repo, env, cluster string) (state.Report, bool) {
	st, err := state.Load(ctx, repo)
	if err != nil {
		return state.Report{}, false
	}
	for _, r := range st.Report(env) {
		if r.Cluster == cluster {
			return r, true
		}
	}
	return state.Report{}, false
}
