package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/reconcile"
)

// demoNamespaces are what the demo creates in a cluster, and deletes again.
var demoNamespaces = [...]string{"web", "api", reconcile.DefaultNamespace}

// borrow makes sure that the clusters of --contexts hold nothing that the demo
// would overwrite, and that what it creates is deleted at the end.
func (w *world) borrow(ctx context.Context, tell *teller) error {
	for _, env := range demoEnvs {
		if err := mayBorrow(ctx, w.clusters[env]); err != nil {
			return err
		}
	}
	for _, env := range demoEnvs {
		flags := w.clusters[env]
		w.undo = append(w.undo, func(ctx context.Context) error { return giveBack(ctx, flags) })
		tell.say("%s is the cluster of context %s; the demo creates the namespaces web, api and %s there and deletes them at the end", env, flags.context, reconcile.DefaultNamespace)
	}
	return nil
}

// mayBorrow refuses a cluster that has a namespace which the demo would use.
func mayBorrow(ctx context.Context, flags agentFlags) error {
	client, err := flags.openCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	for _, name := range demoNamespaces {
		t, err := namespace(ctx, client, name)
		if err != nil {
			return err
		}
		switch _, err := client.GetMeta(ctx, t); {
		case err == nil:
			return fmt.Errorf("context %s has a namespace %s already; the demo only borrows clusters where it can create and delete it", flags.context, name)
		case !errors.Is(err, kube.ErrNotFound):
			return err
		}
	}
	return nil
}

func namespace(ctx context.Context, c *kube.Client, name string) (kube.Target, error) {
	kind, err := c.Resolve(ctx, "", "v1", "Namespace")
	return kube.Target{Kind: kind, Name: name}, err
}

// giveBack deletes what the demo created in a borrowed cluster and waits until
// it is gone.
func giveBack(ctx context.Context, flags agentFlags) error {
	client, err := flags.openCluster()
	if err != nil {
		return err
	}
	defer client.Close()
	var gone []kube.Target
	for _, name := range demoNamespaces {
		t, err := namespace(ctx, client, name)
		if err != nil {
			return err
		}
		m, err := client.GetMeta(ctx, t)
		if err == nil {
			err = client.Delete(ctx, t, kube.DeleteOptions{UID: m.UID})
		}
		switch {
		case errors.Is(err, kube.ErrNotFound):
		case err != nil:
			return err
		default:
			gone = append(gone, t)
		}
	}
	for _, t := range gone {
		if err := untilGone(ctx, client, t); err != nil {
			return err
		}
	}
	return nil
}

func untilGone(ctx context.Context, client *kube.Client, t kube.Target) error {
	for {
		_, err := client.GetMeta(ctx, t)
		if errors.Is(err, kube.ErrNotFound) {
			return nil
		}
		if !sleep(ctx, 300*time.Millisecond) {
			return fmt.Errorf("namespace %s is still being deleted", t.Name)
		}
	}
}
