package reconcile

import (
	"errors"
	"sync"
	"time"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

// object is everything the agent knows about one object: of Git, of its own
// inventory, or of both.
type object struct {
	writing sync.Mutex // held while the object is written, by a pass or by a repair

	// What follows is guarded by Agent.mu.
	id        manifest.ID
	want      *Wanted // nil = Git has it no more
	entry     Entry
	inventory bool      // entry is in the inventory
	written   string    // resource version of our last write; older events say nothing
	live      Live      // as last seen …
	known     bool      // … if at all
	seen      time.Time // when the drift that is being repaired was seen
	suspect   string    // a difference that our fields do not show
	verified  string    // resource version at which suspect was looked into
	keptFor   string    // why it stays although Git has it no more
	refused   bool      // … and a person should look at that
	health    health
	rolling   time.Time // when it last stopped being current
	checks    int       // looks at its health since then
	err       error     // of the last write
	failures  int       // since the last good write
	fight     fight

	pruneErr      error // of the last attempt to delete it; tried again by repairs
	pruneFailures int   // since then
}

// needs returns why the object must be written outside of a pass, "" if it
// need not be.
func (o *object) needs() string {
	switch {
	case o.want == nil || o.want.Problem != nil:
		return ""
	case o.err != nil:
		return "tried again"
	case o.entry.UID == "":
		return "" // the next pass writes it
	case o.suspect != "":
		return o.suspect
	case o.known:
		return drift(o.entry, o.live)
	}
	return ""
}

// notDeleted returns why an object that Git has no more is still there, if a
// person should know.
func (o *object) notDeleted() string {
	switch {
	case o.want != nil:
	case o.pruneErr != nil:
		return o.pruneErr.Error()
	case o.refused:
		return o.keptFor
	}
	return ""
}

// object returns what is known of id, making a place for it. a.mu is held.
func (a *Agent) object(id manifest.ID) *object {
	o, ok := a.objects[id]
	if !ok {
		o = &object{id: id}
		a.objects[id] = o
	}
	return o
}

// liveOf is what matters of m to the agent.
func (a *Agent) liveOf(m kube.Meta) Live {
	l := Live{Exists: true, UID: m.UID, ResourceVersion: m.ResourceVersion, Deleting: m.Deleting, Other: m.Other(a.manager)}
	if f, ok := m.Applied(a.manager); ok {
		l.Fields = f.Hash()
	}
	for _, f := range m.Fields {
		if f.Subresource == "scale" && f.Manager == autoscaler && f.Owns("spec", "replicas") {
			l.Scaled = true
		}
	}
	return l
}

// autoscaler is the field manager of the HorizontalPodAutoscaler's controller.
const autoscaler = "kube-controller-manager"

// inventory returns the inventory. a.mu is held.
func (a *Agent) inventory() Inventory {
	inv := Inventory{Install: a.install, Commit: a.commit, Entries: map[manifest.ID]Entry{}}
	for id, o := range a.objects {
		if o.inventory {
			inv.Entries[id] = o.entry
		}
	}
	return inv
}

// wrote records a write that worked.
// Its verified resource version keeps a sweep from asking twice.
func (a *Agent) wrote(o *object, w *Wanted, res kube.Object) {
	h := healthOf(res)
	a.mu.Lock()
	defer a.mu.Unlock()
	live := a.liveOf(res.Meta)
	e := Entry{
		Group: w.ID.Group, Version: w.Version, Kind: w.ID.Kind, Namespace: w.ID.Namespace, Name: w.ID.Name,
		UID: res.UID, App: w.App, Fields: live.Fields, Want: w.Hash, Prune: w.Prune,
	}
	if e != o.entry || !o.inventory {
		o.entry, o.inventory = e, true
		a.changed.Store(true)
	}
	o.written = res.ResourceVersion
	if !o.known || !kube.Newer(o.live.ResourceVersion, res.ResourceVersion) {
		o.live, o.known = live, true
	}
	if o.err, o.failures = nil, 0; o.suspect != "" {
		o.suspect, o.verified = "", res.ResourceVersion
	}
	o.setHealth(h)
}

// failed records a write that did not work.
func (a *Agent) failed(o *object, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	o.err = err
	o.failures++
}

// retryAfter returns the pause before the next attempt to write o. a.mu is held.
func (o *object) retryAfter() time.Duration {
	const first, most = 2 * time.Second, 5 * time.Minute
	if errors.Is(o.err, kube.ErrStale) {
		return 100 * time.Millisecond
	}
	return min(first<<min(max(o.failures-1, 0), 10), most)
}

// pruneAfter returns the pause before the next attempt to delete o. a.mu is held.
func (o *object) pruneAfter() time.Duration {
	const first, most = 2 * time.Second, time.Minute
	return min(first<<min(max(o.pruneFailures-1, 0), 10), most)
}
