package reconcile

import (
	"context"
	"errors"
	"time"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

// watching is the watch of one kind. It implements kube.Handler.
type watching struct {
	agent *Agent
	kind  kube.Kind
	stop  context.CancelFunc
	done  chan struct{} // closed when the watch has ended

	// Guarded by Agent.mu.
	synced      chan struct{} // closed at the first sync or failure
	ready       bool          // synced at least once
	broken      error         // of the last attempt …
	brokenSince time.Time     // … and of all since then
}

func (a *Agent) selector() string { return LabelEnv + "=" + a.c.Env }

// watch starts a watch for each kind that has none and ends those of kinds
// that are not in kinds. It returns those that are running.
func (a *Agent) watch(ctx context.Context, kinds map[kube.Kind]bool) []*watching {
	a.mu.Lock()
	var ended, running []*watching
	for k, w := range a.watches {
		if !kinds[k] {
			delete(a.watches, k)
			ended = append(ended, w)
		}
	}
	for k := range kinds {
		w, ok := a.watches[k]
		if !ok {
			w = &watching{agent: a, kind: k, done: make(chan struct{}), synced: make(chan struct{})}
			var wctx context.Context
			wctx, w.stop = context.WithCancel(ctx)
			a.watches[k] = w
			go func() {
				defer close(w.done)
				a.c.API.Watch(wctx, k, a.selector(), w)
			}()
		}
		running = append(running, w)
	}
	a.mu.Unlock()
	for _, w := range ended {
		w.stop()
		<-w.done
	}
	return running
}

// Synced compares everything of the kind.
func (w *watching) Synced(all []kube.Meta, resourceVersion string) {
	a := w.agent
	a.mu.Lock()
	there := make(map[manifest.ID]bool, len(all))
	for _, m := range all {
		there[w.id(m)] = true
		w.observe(m)
	}
	for id, o := range a.objects {
		if kindOf(id) != (kindID{w.kind.Group, w.kind.Kind}) || there[id] || o.entry.UID == "" {
			continue
		}
		if o.written != "" && kube.Newer(o.written, resourceVersion) {
			continue // written after the list was made
		}
		w.gone(o, resourceVersion)
	}
	first := !w.ready
	w.ready, w.broken = true, nil
	w.settle()
	a.hurry()
	a.mu.Unlock()
	if first {
		a.emit(Event{Type: EventSynced, ID: manifest.ID{Group: w.kind.Group, Kind: w.kind.Kind}})
	}
}

// Changed compares one object.
func (w *watching) Changed(m kube.Meta) {
	w.agent.mu.Lock()
	defer w.agent.mu.Unlock()
	w.observe(m)
}

// Gone notes that an object was deleted or has lost our label.
func (w *watching) Gone(m kube.Meta) {
	w.agent.mu.Lock()
	defer w.agent.mu.Unlock()
	o, ok := w.agent.objects[w.id(m)]
	if !ok || o.written != "" && !kube.Newer(m.ResourceVersion, o.written) {
		return
	}
	if o.known && o.live.UID != m.UID {
		return // an earlier object of that name
	}
	w.gone(o, m.ResourceVersion)
}

// Broken notes that the kind cannot be watched.
func (w *watching) Broken(err error) {
	a := w.agent
	a.mu.Lock()
	was := w.broken
	if w.broken = err; was == nil {
		w.brokenSince = a.c.Now()
	}
	if err != nil {
		w.settle()
	} else if was != nil {
		a.hurry()
	}
	a.mu.Unlock()
	if err != nil && (was == nil || was.Error() != err.Error()) {
		a.c.Logger.Warn("kind cannot be watched", "env", a.c.Env, "cluster", a.c.Cluster, "kind", w.kind.String(), "error", err)
	}
	if (err == nil) != (was == nil) {
		a.reports.signal()
	}
}

// hurry tries again what failed because the cluster could not be reached.
// a.mu is held.
func (a *Agent) hurry() {
	for id, o := range a.objects {
		if errors.Is(o.err, kube.ErrUnreachable) {
			a.repairs.put(id, 0)
		}
	}
}

// settle ends the wait for the first sync. a.mu is held.
func (w *watching) settle() {
	select {
	case <-w.synced:
	default:
		close(w.synced)
	}
}

func (w *watching) id(m kube.Meta) manifest.ID {
	return manifest.ID{Group: w.kind.Group, Kind: w.kind.Kind, Namespace: m.Namespace, Name: m.Name}
}

// observe takes m in. a.mu is held.
func (w *watching) observe(m kube.Meta) {
	a := w.agent
	o, ok := a.objects[w.id(m)]
	if !ok {
		return // carries our label, yet is not in the inventory: not ours
	}
	if o.written != "" && !kube.Newer(m.ResourceVersion, o.written) {
		return // our own write, or what was before it
	}
	o.live, o.known = a.liveOf(m), true
	if m.Deleting && o.health.condition != terminating {
		// Also when Git has it no more: it may come back before it is gone.
		o.setHealth(health{condition: terminating, message: "it is being deleted"})
		a.reports.signal()
	}
	if a.noteDrift(o) || o.want == nil || o.entry.UID == "" {
		return
	}
	switch {
	case !w.kind.HasStatus:
		if o.health.condition == unknown {
			o.setHealth(health{condition: current})
			a.reports.signal()
		}
	case o.health.condition == unknown && !w.ready:
		// The pass lists the whole kind at once.
	case o.health.condition == current:
		a.checks.put(o.id, checkSettled)
	default:
		a.checks.put(o.id, checkSoon)
	}
}

// gone notes that o is not there. a.mu is held.
func (w *watching) gone(o *object, resourceVersion string) {
	a := w.agent
	o.live, o.known = Live{ResourceVersion: resourceVersion}, true
	if o.want == nil {
		// It was pruned. If it only lost our label, it is not ours any more.
		if o.inventory {
			a.changed.Store(true)
			a.saves.signal()
		}
		delete(a.objects, o.id)
		return
	}
	a.noteDrift(o)
}

// noteDrift asks for a repair if o needs one. a.mu is held.
func (a *Agent) noteDrift(o *object) bool {
	if o.want == nil || o.want.Problem != nil || o.entry.UID == "" {
		return false
	}
	reason := drift(o.entry, o.live)
	if reason == "" {
		return false
	}
	if o.seen.IsZero() {
		o.seen = time.Now()
		a.emit(Event{Type: EventDrift, App: o.want.App, ID: o.id, Reason: reason, Manager: o.live.Other})
	}
	if o.err != nil {
		a.repairs.put(o.id, o.retryAfter()) // it was tried, and each event tries no harder
	} else {
		a.repairs.put(o.id, 0)
	}
	return true
}

// repair writes one object again, if it still needs it.
func (a *Agent) repair(ctx context.Context, id manifest.ID) {
	a.mu.Lock()
	o, ok := a.objects[id]
	prune := ok && o.want == nil && o.pruneErr != nil
	a.mu.Unlock()
	if !ok {
		return
	}
	if prune {
		a.pruneAgain(ctx, o)
		return
	}
	o.writing.Lock()
	defer o.writing.Unlock()
	a.mu.Lock()
	reason, retry := o.needs(), o.err != nil
	if reason == "" {
		o.seen = time.Time{}
		a.mu.Unlock()
		return
	}
	if !retry && o.suspect == "" {
		if wait, began := o.fight.wait(a.c.Now()); wait > 0 {
			app, other := o.want.App, o.live.Other
			a.mu.Unlock()
			if began {
				a.emit(Event{Type: EventFight, App: app, ID: id, Reason: fightReason(other), Manager: other})
				a.c.Logger.Warn("object is fought over", "env", a.c.Env, "cluster", a.c.Cluster, "object", id.String(), "manager", other, "pause", wait)
			}
			a.repairs.put(id, wait)
			a.reports.signal()
			return
		}
	}
	seen, other := o.seen, o.live.Other
	a.mu.Unlock()

	err := a.write(ctx, o)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.repairs.put(id, o.retryAfter())
		a.reports.signal()
		return
	}
	o.seen = time.Time{}
	if !seen.IsZero() {
		a.emit(Event{Type: EventHealed, App: o.want.App, ID: id, Reason: reason, Manager: other, Took: time.Since(seen)})
		a.c.Logger.Info("drift healed", "env", a.c.Env, "cluster", a.c.Cluster, "object", id.String(), "reason", reason, "manager", other)
	}
	if o.health.condition != current {
		a.checks.put(id, checkAgain)
	}
	if a.changed.Load() {
		a.saves.signal()
	}
	a.noteDrift(o) // somebody was faster than our answer
	a.reports.signal()
}

func fightReason(other string) string {
	if other == "" {
		other = "somebody"
	}
	return other + " changes it again and again, so repairs are paused; stop that, or take the fields out of Git"
}
