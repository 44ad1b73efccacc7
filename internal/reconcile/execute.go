package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

// execute does what the plan says. What happens to an object stays with the
// object; the error is ctx's.
func (a *Agent) execute(ctx context.Context, p Plan) error {
	a.emit(Event{Type: EventPlanned, Plan: &p})
	for _, group := range groups(p.Steps) {
		if err := ctx.Err(); err != nil {
			return err
		}
		var g errgroup.Group
		g.SetLimit(a.c.Concurrency)
		for _, s := range group {
			g.Go(func() error {
				a.step(ctx, s)
				return nil
			})
		}
		_ = g.Wait()
		if group[0].Action == Apply && group[0].Stage == stageDefinitions {
			a.awaitDefinitions(ctx, group)
		}
	}
	return ctx.Err()
}

// groups cuts steps, which are sorted, where the next one has to wait.
func groups(steps []Step) [][]Step {
	var out [][]Step
	for i, s := range steps {
		if i > 0 {
			last := steps[i-1]
			if last.Action == s.Action && last.Stage == s.Stage && last.Wave == s.Wave {
				out[len(out)-1] = append(out[len(out)-1], s)
				continue
			}
		}
		out = append(out, []Step{s})
	}
	return out
}

func (a *Agent) step(ctx context.Context, s Step) {
	a.mu.Lock()
	o := a.object(s.ID)
	a.mu.Unlock()
	switch s.Action {
	case Apply:
		o.writing.Lock()
		defer o.writing.Unlock()
		if err := a.write(ctx, o); err != nil && ctx.Err() == nil {
			a.mu.Lock()
			d := o.retryAfter()
			a.mu.Unlock()
			a.repairs.put(s.ID, d)
		}
	case Prune:
		o.writing.Lock()
		defer o.writing.Unlock()
		a.tryPrune(ctx, o, s.App)
	case Keep:
		a.kept(s)
	}
}

// tryPrune deletes an object, or says why not and plans the next attempt.
// o.writing is held.
func (a *Agent) tryPrune(ctx context.Context, o *object, app string) {
	reason, err := a.prune(ctx, o)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	told := err != nil && o.pruneErr != nil && o.pruneErr.Error() == err.Error()
	if o.pruneErr = err; err == nil {
		o.pruneFailures = 0
	} else {
		o.pruneFailures++
		a.repairs.put(o.id, o.pruneAfter())
	}
	a.mu.Unlock()
	switch {
	case err != nil && !told:
		a.emit(Event{Type: EventFailed, App: app, ID: o.id, Reason: err.Error()})
		a.c.Logger.Warn("object not deleted", "env", a.c.Env, "cluster", a.c.Cluster, "object", o.id.String(), "error", err)
	case err != nil: // said before
	case reason != "":
		a.kept(Step{Action: Keep, ID: o.id, App: app, Reason: reason})
	default:
		a.emit(Event{Type: EventPruned, App: app, ID: o.id})
	}
}

// pruneAgain tries again to delete an object. It does so between passes only,
// when what the last one decided holds.
func (a *Agent) pruneAgain(ctx context.Context, o *object) {
	const busy = time.Second
	if !a.passes.TryLock() {
		a.repairs.put(o.id, busy)
		return
	}
	defer a.passes.Unlock()
	o.writing.Lock()
	defer o.writing.Unlock()
	a.mu.Lock()
	due, app, held := o.want == nil && o.pruneErr != nil, o.entry.App, a.problem != ""
	a.mu.Unlock()
	if !due {
		return
	}
	if held {
		a.repairs.put(o.id, busy)
		return
	}
	a.tryPrune(ctx, o, app)
	if a.changed.Load() {
		a.saves.signal()
	}
	a.reports.signal()
}

// kept says that an object stays, once per reason.
func (a *Agent) kept(s Step) {
	a.mu.Lock()
	o := a.object(s.ID)
	told := o.keptFor == s.Reason
	o.keptFor, o.refused = s.Reason, s.Refused
	o.pruneErr, o.pruneFailures = nil, 0
	a.mu.Unlock()
	if told {
		return
	}
	a.emit(Event{Type: EventKept, App: s.App, ID: s.ID, Reason: s.Reason})
	a.c.Logger.Info("object kept", "env", a.c.Env, "cluster", a.c.Cluster, "object", s.ID.String(), "reason", s.Reason)
}

// prune deletes an object that Git has no more, if it still is ours. It
// returns why the object stays, if it does. An entry leaves the inventory only
// when its object is gone or another one has its name.
func (a *Agent) prune(ctx context.Context, o *object) (reason string, err error) {
	a.mu.Lock()
	e := o.entry
	a.mu.Unlock()
	kind, err := a.c.API.Resolve(ctx, e.Group, e.Version, e.Kind)
	if errors.Is(err, kube.ErrNoKind) {
		kind, err = a.c.API.Resolve(ctx, e.Group, "", e.Kind) // another version, perhaps
	}
	if errors.Is(err, kube.ErrNoKind) {
		a.drop(o.id) // its objects went with it
		return "", nil
	}
	if err != nil {
		return "", err
	}
	t := kube.Target{Kind: kind, Namespace: e.Namespace, Name: e.Name}
	m, err := a.c.API.GetMeta(ctx, t)
	if errors.Is(err, kube.ErrNotFound) {
		a.drop(o.id)
		return "", nil
	}
	if err != nil {
		return "", err
	}
	_, applied := m.Applied(a.manager)
	ours := m.Labels[LabelEnv] == a.c.Env
	switch {
	case m.UID != e.UID && !(ours && applied):
		a.drop(o.id) // never written by us, or somebody made another one
		return "another object has its name", nil
	case !ours:
		return "it has lost our label; delete it by hand, or put the label " + LabelEnv + ": " + a.c.Env + " back", nil
	case m.Annotations[AnnotationPrune] == "disabled":
		return "annotation " + AnnotationPrune + ": disabled", nil
	case m.Deleting:
		return "it is being deleted", nil
	}
	if err := a.c.API.Delete(ctx, t, kube.DeleteOptions{UID: m.UID}); err != nil && !errors.Is(err, kube.ErrNotFound) {
		return "", err
	}
	if _, err := a.c.API.GetMeta(ctx, t); errors.Is(err, kube.ErrNotFound) {
		a.drop(o.id)
	}
	return "", nil
}

// drop forgets an object that is gone.
func (a *Agent) drop(id manifest.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o := a.objects[id]; o != nil && o.want == nil {
		if o.inventory {
			a.changed.Store(true)
		}
		delete(a.objects, id)
	}
}

// awaitDefinitions waits until the definitions that were just written are
// served, so that objects of their kinds can follow. It gives up quietly: the
// objects then say that their kind is unknown, and are tried again.
func (a *Agent) awaitDefinitions(ctx context.Context, group []Step) {
	const patience, pause = 15 * time.Second, 25 * time.Millisecond
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not served within %s", patience))
	defer cancel()
	for _, s := range group {
		a.mu.Lock()
		o := a.object(s.ID)
		w, bad := o.want, o.err != nil
		a.mu.Unlock()
		if w == nil || bad || w.Defines == (kindID{}) {
			continue
		}
		for !a.established(ctx, w) && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
		a.c.API.Forget(w.Defines.Group)
	}
}

// established reports whether the definition is accepted and discovery knows
// every kind that the plan needs of it.
func (a *Agent) established(ctx context.Context, w *Wanted) bool {
	t, err := a.target(ctx, w)
	if err != nil {
		return false
	}
	o, err := a.c.API.Get(ctx, t)
	if err != nil {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(o.Content, "status", "conditions")
	ok := slices.ContainsFunc(conditions, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == "Established" && m["status"] == "True"
	})
	if !ok {
		return false
	}
	a.c.API.Forget(w.Defines.Group)
	_, err = a.c.API.Resolve(ctx, w.Defines.Group, "", w.Defines.Kind)
	return err == nil
}
