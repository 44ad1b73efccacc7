package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

// pass looks at the branch and brings the cluster there. It makes no request
// to the cluster when nothing changed since the last one. With watching, live
// objects are known by watches, else they are listed. The error is what kept
// it from ending; what has to do with apps and objects is with them.
func (a *Agent) pass(ctx context.Context, watching bool) error {
	a.passes.Lock()
	defer a.passes.Unlock()
	start := time.Now()
	acted, err := a.advance(ctx, watching)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	a.mu.Lock()
	changed := a.problem != problem
	a.problem = problem
	commit := a.commit
	a.mu.Unlock()
	if changed && err != nil {
		a.c.Logger.Error("environment not applied", "env", a.c.Env, "cluster", a.c.Cluster, "error", err)
	}
	if acted || changed {
		a.reports.signal()
	}
	a.emit(Event{Type: EventPass, Commit: commit, Reason: problem, Took: time.Since(start)})
	return err
}

// advance does the work of a pass and reports whether there was any.
func (a *Agent) advance(ctx context.Context, watching bool) (acted bool, err error) {
	fetchErr := a.c.Source.Fetch(ctx)
	if fetchErr != nil {
		fetchErr = fmt.Errorf("fetch the repository: %w", fetchErr)
	}
	a.loadPrevious(ctx)
	head, err := a.c.Source.Head(a.c.Branch)
	if err != nil {
		return false, errors.Join(fetchErr, err)
	}
	if a.ready && head == a.commit && !a.again && watching {
		return false, fetchErr
	}
	if err := a.loadInventory(ctx); err != nil {
		return false, errors.Join(fetchErr, err)
	}
	if err := a.mayFollow(head); err != nil {
		return false, errors.Join(fetchErr, err)
	}
	snap, err := a.c.Source.Snapshot(head)
	if err != nil {
		return false, errors.Join(fetchErr, fmt.Errorf("read commit %s: %w", head, err))
	}
	place, err := a.c.Locate(snap)
	if err != nil {
		return false, errors.Join(fetchErr, fmt.Errorf("find environment %s in commit %s: %w", a.c.Env, short(head), err))
	}
	if !a.rendered.same(place.Path, snap) {
		r, err := render(a.c.Renderer, snap, a.c.Env, place.Path)
		if err != nil {
			return false, errors.Join(fetchErr, err)
		}
		a.rendered, a.again = r, true // until it was applied
	} else if a.ready && !a.again && watching {
		a.mu.Lock()
		a.commit = head
		a.mu.Unlock()
		return true, fetchErr
	}
	return true, errors.Join(fetchErr, a.reconcile(ctx, head, watching))
}

// mayFollow returns why the branch must not be followed to head.
func (a *Agent) mayFollow(head string) error {
	if a.commit == "" || a.commit == head || a.c.AllowRewind {
		return nil
	}
	ok, err := a.c.Source.IsAncestor(a.commit, head)
	switch {
	case err != nil:
		return fmt.Errorf("commit %s of branch %s cannot be compared with %s, the last one applied: %w; if the branch was rewritten on purpose, allow it once with --allow-rewind", short(head), a.c.Branch, short(a.commit), err)
	case !ok:
		return fmt.Errorf("commit %s of branch %s does not descend from %s, the last one applied; if the branch was rewritten on purpose, allow it once with --allow-rewind", short(head), a.c.Branch, short(a.commit))
	}
	return nil
}

func short(commit string) string { return commit[:min(len(commit), 12)] }

// loadInventory reads the inventory, once.
func (a *Agent) loadInventory(ctx context.Context) error {
	if a.loaded {
		return nil
	}
	inv, err := a.store.load(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.install, a.manager = inv.Install, managerPrefix+inv.Install
	a.commit = inv.Commit
	for id, e := range inv.Entries {
		o := a.object(id)
		o.entry, o.inventory = e, true
	}
	a.loaded = true
	return nil
}

// loadPrevious reads the last report, once: before this process writes its
// first one, which takes the place of it.
func (a *Agent) loadPrevious(ctx context.Context) {
	if a.ready || a.recalled || a.c.Previous == nil {
		return
	}
	r, ok := a.c.Previous(ctx)
	if !ok {
		return
	}
	a.recalled = true
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before, a.previous, a.started = r, previousApps(r), a.c.Now()
}

// reconcile plans and executes what was rendered.
func (a *Agent) reconcile(ctx context.Context, head string, watching bool) error {
	apps, complete := a.prepare(ctx, a.rendered)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.mu.Lock()
	fresh := a.commit != head || !a.ready
	a.mu.Unlock()
	a.want(apps, fresh)
	if a.ready {
		a.reports.signal() // says what is pending
	}
	live, err := a.observe(ctx, watching)
	if err != nil {
		return err
	}
	a.mu.Lock()
	plan := MakePlan(PlanInput{Apps: apps, Inventory: a.inventory(), Live: live, Namespace: a.c.Namespace})
	if watching && !fresh {
		plan = a.withoutRetries(plan)
	}
	intent := a.intend(plan)
	a.mu.Unlock()
	if intent {
		// What is about to be written is known before it is.
		if err := a.save(ctx); err != nil {
			return err
		}
	}
	if err := a.execute(ctx, plan); err != nil {
		return err
	}
	a.mu.Lock()
	if a.commit != head && (a.changed.Load() || intent || len(plan.Steps) > 0) {
		a.changed.Store(true)
	}
	a.commit = head
	a.mu.Unlock()
	if watching {
		a.watch(ctx, a.kinds(ctx))
	}
	a.refresh(ctx)
	if err := a.save(ctx); err != nil {
		return err
	}
	a.again = !complete
	a.mu.Lock()
	a.ready = true
	a.mu.Unlock()
	return nil
}

// withoutRetries leaves out what failed before and waits for its next attempt
// in the queue of repairs. a.mu is held.
func (a *Agent) withoutRetries(p Plan) Plan {
	var out Plan
	for _, s := range p.Steps {
		if o := a.object(s.ID); s.Action == Apply && o.err != nil || s.Action == Prune && o.pruneErr != nil {
			continue
		}
		out.Steps = append(out.Steps, s)
	}
	return out
}

// want makes apps what Git wants. fresh is that a commit was not applied yet:
// it ends fights, and what failed is tried at once.
func (a *Agent) want(apps []App, fresh bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apps = apps
	for _, o := range a.objects {
		o.want, o.keptFor, o.refused = nil, "", false
	}
	for _, app := range apps {
		for _, w := range app.Objects {
			o := a.object(w.ID)
			o.want, o.pruneErr, o.pruneFailures = w, nil, 0
			if fresh {
				o.fight = fight{}
			}
			if fresh && o.entry.Want != w.Hash {
				o.err, o.failures = nil, 0
			}
		}
	}
	for id, o := range a.objects {
		if o.want == nil && !o.inventory {
			delete(a.objects, id)
		}
	}
}

// intend puts what the plan will write for the first time into the inventory
// and reports whether there is any. a.mu is held.
func (a *Agent) intend(p Plan) bool {
	found := false
	for _, s := range p.Steps {
		if s.Action != Apply {
			continue
		}
		o := a.object(s.ID)
		if o.inventory || o.want == nil {
			continue
		}
		w := o.want
		o.entry = Entry{
			Group: w.ID.Group, Version: w.Version, Kind: w.ID.Kind, Namespace: w.ID.Namespace, Name: w.ID.Name,
			App: w.App, Prune: w.Prune,
		}
		o.inventory, found = true, true
	}
	if found {
		a.changed.Store(true)
	}
	return found
}

// kinds returns how the kinds of everything wanted or in the inventory are
// served, each in one version.
func (a *Agent) kinds(ctx context.Context) map[kube.Kind]bool {
	a.mu.Lock()
	versions := map[kindID]string{}
	for id, o := range a.objects {
		if o.want != nil && o.want.ScopeUnknown {
			continue // was asked for in vain just now
		}
		if o.want != nil {
			versions[kindOf(id)] = o.want.Version
		} else if versions[kindOf(id)] == "" {
			versions[kindOf(id)] = o.entry.Version
		}
	}
	a.mu.Unlock()
	out := map[kube.Kind]bool{}
	for k, v := range versions {
		kind, err := a.c.API.Resolve(ctx, k.Group, v, k.Kind)
		if err != nil {
			continue // its objects say so themselves
		}
		out[kind] = true
	}
	return out
}

// observe returns what is known of live objects.
func (a *Agent) observe(ctx context.Context, watching bool) (map[manifest.ID]Live, error) {
	kinds := a.kinds(ctx)
	if watching {
		a.awaitSync(ctx, a.watch(ctx, kinds))
	} else {
		a.list(ctx, kinds)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	live := map[manifest.ID]Live{}
	for id, o := range a.objects {
		if o.known {
			live[id] = o.live
		}
	}
	return live, nil
}

// awaitSync waits until each watch has synced or failed, for a while.
func (a *Agent) awaitSync(ctx context.Context, watches []*watching) {
	const patience = 10 * time.Second
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for _, w := range watches {
		select {
		case <-w.synced:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// list asks for the metadata of all kinds instead of watching them.
func (a *Agent) list(ctx context.Context, kinds map[kube.Kind]bool) {
	var g errgroup.Group
	g.SetLimit(a.c.Concurrency)
	for k := range kinds {
		g.Go(func() error {
			all, err := a.c.API.ListMeta(ctx, k, a.selector())
			if err != nil {
				return nil // its objects are applied, and say what is wrong
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			for id, o := range a.objects {
				if kindOf(id) == (kindID{k.Group, k.Kind}) {
					o.live, o.known = Live{}, true
				}
			}
			for _, m := range all {
				id := manifest.ID{Group: k.Group, Kind: k.Kind, Namespace: m.Namespace, Name: m.Name}
				if o, ok := a.objects[id]; ok {
					o.live, o.known = a.liveOf(m), true
				}
			}
			return nil
		})
	}
	_ = g.Wait()
}

// refresh finds out the health of what is applied and was not written by this
// process: one list per kind that has a status.
func (a *Agent) refresh(ctx context.Context) {
	for k := range a.kinds(ctx) {
		if !a.settle(k) {
			continue
		}
		all, err := a.c.API.List(ctx, k, "", a.selector())
		if err != nil {
			continue
		}
		a.mu.Lock()
		for _, obj := range all {
			id := manifest.ID{Group: k.Group, Kind: k.Kind, Namespace: obj.Namespace, Name: obj.Name}
			if o, ok := a.objects[id]; ok && o.want != nil && o.health.condition == unknown {
				o.setHealth(healthOf(obj))
			}
		}
		a.mu.Unlock()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, o := range a.objects {
		if o.want != nil && o.entry.UID != "" && o.health.condition != current {
			a.checks.put(id, checkSoon)
		}
	}
}

// settle marks objects of kinds without a status as current, and reports
// whether others of the kind must be looked at.
func (a *Agent) settle(k kube.Kind) (look bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, o := range a.objects {
		if kindOf(id) != (kindID{k.Group, k.Kind}) || o.want == nil || o.entry.UID == "" || o.health.condition != unknown {
			continue
		}
		switch {
		case k.HasStatus:
			look = true
		case o.known && o.live.Deleting:
			o.setHealth(health{condition: terminating, message: "it is being deleted"})
		case o.known && o.live.Exists:
			o.setHealth(health{condition: current})
		}
	}
	return look
}

// save writes the inventory if it changed.
func (a *Agent) save(ctx context.Context) error {
	a.saving.Lock()
	defer a.saving.Unlock()
	if !a.changed.Swap(false) {
		return nil
	}
	a.mu.Lock()
	inv := a.inventory()
	a.mu.Unlock()
	added, err := a.store.save(ctx, inv)
	a.mu.Lock()
	for _, e := range added {
		if o := a.object(e.ID()); !o.inventory {
			o.entry, o.inventory = e, true
		}
	}
	a.mu.Unlock()
	if err != nil {
		a.changed.Store(true)
	}
	return err
}
