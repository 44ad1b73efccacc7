package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/kube"
)

// pullSecretFlags name the Kubernetes pull secrets that registries are logged in
// at with.
type pullSecretFlags struct {
	names               []string
	account, namespace  string
	kubeconfig, context string
}

func (p *pullSecretFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&p.names, "pull-secret", nil, "Kubernetes pull secret with credentials for registries; may be repeated")
	f.StringVar(&p.account, "pull-secret-service-account", "", "Kubernetes service account whose pull secrets are used as well")
	f.StringVar(&p.namespace, "pull-secret-namespace", "", "namespace of the pull secrets and their account (default: that of the kubeconfig's context, or of the pod)")
	f.StringVar(&p.kubeconfig, "kubeconfig", "", "kubeconfig file for pull secrets (default: $KUBECONFIG, ~/.kube/config, or the service account of the pod)")
	f.StringVar(&p.context, "context", "", "context of the kubeconfig for pull secrets (default: its current one)")
}

// source returns what reads the pull secrets, nil when none are named, and what
// ends its connections. The cluster is first asked when a registry is.
func (p *pullSecretFlags) source() (read func(ctx context.Context) ([][]byte, error), end func()) {
	if len(p.names) == 0 && p.account == "" {
		return nil, func() {}
	}
	c := &lazyCluster{flags: *p}
	return c.pullSecrets, c.end
}

// lazyCluster opens a cluster at its first use, and again while that fails: a
// bot that starts before its API server must not end for it.
type lazyCluster struct {
	flags pullSecretFlags

	mu     sync.Mutex
	client *kube.Client
}

func (l *lazyCluster) open() (*kube.Client, string, error) {
	path, err := kubeconfig(l.flags.kubeconfig)
	if err != nil {
		return nil, "", err
	}
	conf := kube.Config{Kubeconfig: path, Context: l.flags.context}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client == nil {
		if l.client, err = kube.Open(conf); err != nil {
			return nil, "", err
		}
	}
	namespace := l.flags.namespace
	if namespace == "" {
		namespace = kube.Namespace(conf)
	}
	return l.client, namespace, nil
}

func (l *lazyCluster) pullSecrets(ctx context.Context) ([][]byte, error) {
	client, namespace, err := l.open()
	if err != nil {
		return nil, err
	}
	return client.PullSecrets(ctx, namespace, l.flags.account, l.flags.names)
}

func (l *lazyCluster) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		l.client.Close()
	}
}
