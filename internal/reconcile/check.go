package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

// Pauses between looks at the health of one object.
const (
	checkSoon    = 100 * time.Millisecond // after an event, while it rolls out
	checkSettled = time.Second            // after an event, when it was current
	checkAgain   = 5 * time.Second        // without an event, while it rolls out …
	checkMost    = time.Minute            // … growing to this
	checkMany    = 500 * time.Millisecond // after a look at many at once

	podsAfter = 3 * time.Second // a rollout that takes longer has its pods asked why
	bulk      = 8               // more objects of one kind are listed rather than got
)

// checking looks at the health of objects when that is due, until ctx ends.
func (a *Agent) checking(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ids, next := a.checks.pop()
		if len(ids) > 0 {
			a.look(ctx, ids)
			for _, id := range ids {
				a.checks.done(id)
			}
			a.reports.signal()
			if len(ids) > bulk && !sleep(ctx, checkMany) {
				return
			}
			continue
		}
		if next < 0 {
			next = time.Hour
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-a.checks.wake:
		case <-timer.C:
		}
	}
}

// look looks at the health of objects and plans the next look at each.
func (a *Agent) look(ctx context.Context, ids []manifest.ID) {
	kinds := map[kube.Kind][]*Wanted{}
	a.mu.Lock()
	for _, id := range ids {
		if o := a.objects[id]; o != nil && o.want != nil && o.want.Problem == nil && o.entry.UID != "" {
			kinds[o.want.Kind] = append(kinds[o.want.Kind], o.want)
		}
	}
	a.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(a.c.Concurrency)
	for kind, wanted := range kinds {
		if len(wanted) > bulk && kind.Resource != "" {
			a.lookAtMany(ctx, kind, wanted)
			continue
		}
		for _, w := range wanted {
			g.Go(func() error {
				a.lookAt(ctx, w)
				return nil
			})
		}
	}
	_ = g.Wait()
}

// lookAt looks at one object: one request, and one more for pods.
func (a *Agent) lookAt(ctx context.Context, w *Wanted) {
	t, err := a.target(ctx, w)
	if err != nil {
		a.checks.put(w.ID, checkAgain)
		return
	}
	obj, err := a.c.API.Get(ctx, t)
	switch {
	case errors.Is(err, kube.ErrNotFound): // is drift, and seen as such
	case err != nil:
		a.checks.put(w.ID, checkAgain)
	default:
		a.looked(ctx, w, obj)
	}
}

// lookAtMany looks at objects of one kind: one request per page of them.
func (a *Agent) lookAtMany(ctx context.Context, kind kube.Kind, wanted []*Wanted) {
	all, err := a.c.API.List(ctx, kind, "", a.selector())
	if err != nil {
		for _, w := range wanted {
			a.checks.put(w.ID, checkAgain)
		}
		return
	}
	found := make(map[[2]string]kube.Object, len(all))
	for _, obj := range all {
		found[[2]string{obj.Namespace, obj.Name}] = obj
	}
	for _, w := range wanted {
		if obj, ok := found[[2]string{w.ID.Namespace, w.ID.Name}]; ok {
			a.looked(ctx, w, obj)
		}
	}
}

// looked notes the health of obj and plans the next look, unless an event
// will ask for it.
func (a *Agent) looked(ctx context.Context, w *Wanted, obj kube.Object) {
	h := healthOf(obj)
	a.mu.Lock()
	o := a.object(w.ID)
	slow := h.condition == failing || h.condition == inProgress && !o.rolling.IsZero() && time.Since(o.rolling) > podsAfter
	a.mu.Unlock()
	if slow {
		h.pods = a.podsOf(ctx, obj)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.want != w {
		a.checks.put(w.ID, checkSoon) // another commit came meanwhile
		return
	}
	o.setHealth(h)
	if h.condition != current {
		o.checks++
		next := min(checkAgain<<min(max(o.checks-8, 0), 8), checkMost)
		if rolling := time.Since(o.rolling); h.condition == inProgress && rolling <= podsAfter {
			next = min(next, podsAfter-rolling+checkSoon) // its pods can be asked then
		}
		a.checks.put(w.ID, next)
	}
}

// podsOf returns why the pods of a workload are not ready, "" if there is
// nothing to say. One request, for kinds with a selector of pods only.
func (a *Agent) podsOf(ctx context.Context, o kube.Object) string {
	labels, ok, _ := unstructured.NestedStringMap(o.Content, "spec", "selector", "matchLabels")
	if !ok || len(labels) == 0 || o.Namespace == "" {
		return ""
	}
	kind, err := a.c.API.Resolve(ctx, "", "v1", "Pod")
	if err != nil {
		return ""
	}
	var selector []string
	for k, v := range labels {
		selector = append(selector, k+"="+v)
	}
	slices.Sort(selector)
	pods, err := a.c.API.List(ctx, kind, o.Namespace, strings.Join(selector, ","))
	if err != nil {
		return ""
	}
	var reasons []string
	for _, p := range pods {
		if r := podReason(p); r != "" && !slices.Contains(reasons, r) {
			reasons = append(reasons, r)
		}
	}
	slices.Sort(reasons)
	return strings.Join(reasons[:min(len(reasons), 3)], "; ")
}

// podReason returns why a pod is not ready.
func podReason(p kube.Object) string {
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		containers, _, _ := unstructured.NestedSlice(p.Content, "status", list)
		for _, c := range containers {
			m, _ := c.(map[string]any)
			reason, _, _ := unstructured.NestedString(m, "state", "waiting", "reason")
			if reason == "" || reason == "ContainerCreating" || reason == "PodInitializing" {
				continue
			}
			return fmt.Sprintf("container %s (%s): %s", text(m["name"]), text(m["image"]), reason)
		}
	}
	conditions, _, _ := unstructured.NestedSlice(p.Content, "status", "conditions")
	for _, c := range conditions {
		m, _ := c.(map[string]any)
		if m["type"] == "PodScheduled" && m["status"] == "False" {
			return "pod not scheduled: " + text(m["message"])
		}
	}
	return ""
}
