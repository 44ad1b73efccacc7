package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/kube"
)

// managerPrefix and the installation's id make the name of our field manager.
const managerPrefix = "towpath-"

// takeable are field managers whose fields the agent takes when an object
// comes to be Git's: people at a shell, and tools that deployed it before.
func takeable(manager string) bool {
	for _, prefix := range []string{"kubectl", "helm", "before-first-apply", "kustomize-controller", "helm-controller", "flux", "argocd", "kapp", "fleet", "kluctl"} {
		if manager == prefix || strings.HasPrefix(manager, prefix+"-") || strings.HasPrefix(manager, prefix+"_") {
			return manager != "kubectl-label" && manager != "kubectl-annotate" && manager != "kubectl-rollout"
		}
	}
	return strings.EqualFold(manager, "helm")
}

// write applies the object as Git has it. o.writing is held.
func (a *Agent) write(ctx context.Context, o *object) error {
	a.mu.Lock()
	w, e, live := o.want, o.entry, o.live
	a.mu.Unlock()
	if w == nil {
		return nil
	}
	a.emit(Event{Type: EventApplying, App: w.App, ID: w.ID})
	start := time.Now()
	res, err := a.apply(ctx, w, e, live)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.failed(o, err)
		a.emit(Event{Type: EventFailed, App: w.App, ID: w.ID, Reason: err.Error()})
		a.c.Logger.Warn("object not applied", "env", a.c.Env, "cluster", a.c.Cluster, "app", w.App, "object", w.ID.String(), "error", err)
		return err
	}
	a.wrote(o, w, res)
	a.emit(Event{Type: EventApplied, App: w.App, ID: w.ID, Took: time.Since(start)})
	return nil
}

// apply makes the requests that bring w into the cluster.
func (a *Agent) apply(ctx context.Context, w *Wanted, e Entry, live Live) (kube.Object, error) {
	t, err := a.target(ctx, w)
	if err != nil {
		return kube.Object{}, err
	}
	body := w.Body
	if live.Scaled {
		body = w.withoutReplicas()
	}
	ours := e.UID != ""
	opts := kube.ApplyOptions{Manager: a.manager, Force: ours || w.Force}
	res, err := a.c.API.Apply(ctx, t, body, opts)
	if errors.Is(err, kube.ErrOwned) {
		if err = a.mayTake(ctx, t, err); err == nil {
			opts.Force = true
			res, err = a.c.API.Apply(ctx, t, body, opts)
		}
	}
	if errors.Is(err, kube.ErrNoKind) {
		a.c.API.Forget(w.ID.Group) // its definition was replaced
		if t.Kind, err = a.c.API.Resolve(ctx, w.ID.Group, w.Version, w.ID.Kind); err == nil {
			res, err = a.c.API.Apply(ctx, t, body, opts)
		}
	}
	if errors.Is(err, kube.ErrImmutable) {
		if !w.Recreate {
			return res, fmt.Errorf("%w, or set the annotation %s: \"true\" to have the object deleted and created anew", err, AnnotationRecreate)
		}
		if err := a.acceptable(ctx, t, w); err != nil {
			return res, err
		}
		if err = a.remove(ctx, t, e); err == nil {
			res, err = a.c.API.Apply(ctx, t, body, opts)
		}
	}
	if err != nil {
		return res, err
	}
	take := a.takes(w, e)
	if !slices.ContainsFunc(res.Fields, func(f kube.Fields) bool {
		return f.Subresource == "" && f.Manager != a.manager && take(f.Manager)
	}) {
		return res, nil
	}
	// Others keep their share of our fields, and a field that goes from Git
	// would stay. That they have it is no reason not to go on.
	if took, err := a.c.API.TakeOver(ctx, t, take, a.manager); took && err == nil {
		opts.Force = true
		return a.c.API.Apply(ctx, t, body, opts)
	}
	return res, nil
}

// target resolves the kind of w again when it was not served at first.
func (a *Agent) target(ctx context.Context, w *Wanted) (kube.Target, error) {
	t := w.target()
	if t.Kind.Resource != "" {
		return t, nil
	}
	var err error
	t.Kind, err = a.c.API.Resolve(ctx, w.ID.Group, w.Version, w.ID.Kind)
	return t, err
}

// mayTake returns nil if the owners in a conflict give way to us.
func (a *Agent) mayTake(ctx context.Context, t kube.Target, conflict error) error {
	var e *kube.Error
	if !errors.As(conflict, &e) {
		return conflict
	}
	for _, c := range e.Conflicts {
		if takeable(c.Manager) {
			continue
		}
		if !strings.HasPrefix(c.Manager, managerPrefix) {
			return fmt.Errorf("%w; remove the fields from Git, or set the annotation %s: \"true\" to take them", conflict, AnnotationForce)
		}
		// An earlier installation for this environment, or somebody else's object.
		m, err := a.c.API.GetMeta(ctx, t)
		if err != nil {
			return err
		}
		if env := m.Labels[LabelEnv]; env != a.c.Env {
			return fmt.Errorf("%w; it belongs to environment %q: let only one environment have it", conflict, env)
		}
	}
	return nil
}

// takes returns whose fields are taken over once w was applied: of people and
// earlier tools when the object comes to be ours; of other installations for
// this environment then, and with each change in Git, so that two agents at
// work do not take from each other without end. That the object is of this
// environment is known by then: without force, its label would be a conflict.
func (a *Agent) takes(w *Wanted, e Entry) func(manager string) bool {
	ours := e.UID != ""
	theirs := ours && e.Want != w.Hash || !ours && !w.Force
	return func(manager string) bool {
		if strings.HasPrefix(manager, managerPrefix) {
			return theirs && manager != inventoryManager
		}
		return !ours && takeable(manager)
	}
}

// acceptable returns why the API server would refuse to create w, which it
// is asked under another name: the live object goes only for one that can come.
func (a *Agent) acceptable(ctx context.Context, t kube.Target, w *Wanted) error {
	name := t.Name
	t.Name = "towpath-check-" + w.Hash[:min(len(w.Hash), 10)]
	body, err := w.named(t.Name)
	if err == nil {
		_, err = a.c.API.Apply(ctx, t, body, kube.ApplyOptions{Manager: a.manager, DryRun: true})
	}
	var e *kube.Error
	if errors.As(err, &e) {
		if errors.Is(e, kube.ErrInvalid) && len(e.Fields) > 0 && !slices.ContainsFunc(e.Fields, func(f string) bool { return f != "metadata.name" }) {
			return nil // the name was ours
		}
		told := *e
		told.Op, told.Message = "replace", "an immutable field would change, and the new object would be refused, so the old one stays: "+strings.ReplaceAll(e.Message, t.Name, name)
		t.Name = name
		told.Object = t.String()
		return &told
	}
	return err
}

// remove deletes an object that is to be created anew, and waits until it is gone.
func (a *Agent) remove(ctx context.Context, t kube.Target, e Entry) error {
	const patience, pause = 20 * time.Second, 50 * time.Millisecond
	m, err := a.c.API.GetMeta(ctx, t)
	if errors.Is(err, kube.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if m.Labels[LabelEnv] != a.c.Env && m.UID != e.UID {
		return fmt.Errorf("replace %s: an immutable field would change, and the object is not ours yet; delete it by hand", t)
	}
	if err := a.c.API.Delete(ctx, t, kube.DeleteOptions{UID: m.UID}); err != nil && !errors.Is(err, kube.ErrNotFound) {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("replace %s: it is still there %s after its deletion; look at its finalizers", t, patience))
	defer cancel()
	for {
		now, err := a.c.API.GetMeta(ctx, t)
		switch {
		case errors.Is(err, kube.ErrNotFound):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case now.UID != m.UID:
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
