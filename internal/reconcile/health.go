package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

// condition is how far one object is.
type condition string

const (
	current     condition = "current"
	inProgress  condition = "in progress"
	failing     condition = "failed"
	terminating condition = "terminating"
	unknown     condition = "" // not looked at
)

// health is the condition of one object and, unless it is current, why.
type health struct {
	condition condition
	message   string
	pods      string // why its pods are not ready, if they were asked
}

// healthOf computes the health of an object by the rules of kstatus.
func healthOf(o kube.Object) health {
	res, err := status.Compute(&unstructured.Unstructured{Object: o.Content})
	if err != nil {
		return health{condition: inProgress, message: "its status cannot be read"}
	}
	switch res.Status {
	case status.CurrentStatus:
		return health{condition: current}
	case status.FailedStatus:
		return health{condition: failing, message: res.Message}
	case status.TerminatingStatus:
		return health{condition: terminating, message: "it is being deleted"}
	}
	return health{condition: inProgress, message: res.Message}
}

func (h health) String() string {
	s := h.message
	if s == "" {
		s = string(h.condition)
	}
	if h.pods != "" {
		s += "; " + h.pods
	}
	return s
}

// setHealth notes h. The reason of pods stays until the object is current.
func (o *object) setHealth(h health) {
	if h.condition == current {
		o.checks = 0
	} else if h.pods == "" {
		h.pods = o.health.pods
	}
	o.health = h
}

// Pauses between looks at the health of one object.
const (
	checkSoon    = 100 * time.Millisecond // after an event, while it rolls out
	checkSettled = time.Second            // after an event, when it was current
	checkAgain   = 5 * time.Second        // without an event, while it rolls out …
	checkMost    = time.Minute            // … growing to this
)

// check looks at one object once and says when to look again; 0 = on an event.
func (a *Agent) check(ctx context.Context, id manifest.ID) time.Duration {
	a.mu.Lock()
	o, ok := a.objects[id]
	if !ok || o.want == nil || o.want.Problem != nil || o.entry.UID == "" {
		a.mu.Unlock()
		return 0
	}
	w := o.want
	a.mu.Unlock()
	t, err := a.target(ctx, w)
	if err != nil {
		return checkAgain
	}
	obj, err := a.c.API.Get(ctx, t)
	if errors.Is(err, kube.ErrNotFound) {
		return 0 // that is drift, and seen as such
	}
	if err != nil {
		return checkAgain
	}
	h := healthOf(obj)
	if h.condition == inProgress || h.condition == failing {
		h.pods = a.podsOf(ctx, obj)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.want != w {
		return checkSoon // another commit; its own write says more
	}
	o.setHealth(h)
	if h.condition == current {
		return 0
	}
	o.checks++
	return min(checkAgain<<min(max(o.checks-4, 0), 8), checkMost)
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

// verdict is the phase of an app and what keeps it from being healthy.
type verdict struct {
	phase   state.Phase
	failing []state.Failing
}

// seenObject is what the phase of an app is made of.
type seenObject struct {
	id      manifest.ID
	applied bool // as the newest commit has it
	problem string
	unsure  bool // the problem is ours: nobody knows how the object is
	health  health
}

// judge returns the phase of an app: degraded if anything failed, pending
// while anything is not applied, progressing while anything is not current.
// What is not known is not healthy.
func judge(app string, problem error, objects []seenObject) verdict {
	if problem != nil {
		return verdict{state.Degraded, []state.Failing{{Object: "app " + app, Reason: problem.Error()}}}
	}
	if len(objects) == 0 {
		return verdict{state.Degraded, []state.Failing{{Object: "app " + app, Reason: "renders no objects"}}}
	}
	var v verdict
	count := map[state.Phase]int{}
	say := func(p state.Phase, id manifest.ID, reason string) {
		count[p]++
		v.failing = append(v.failing, state.Failing{Object: id.String(), Reason: reason})
	}
	for _, o := range objects {
		switch {
		case o.problem != "" && o.unsure:
			say(state.Unknown, o.id, o.problem)
		case o.problem != "":
			say(state.Degraded, o.id, o.problem)
		case !o.applied:
			count[state.Pending]++
		case o.health.condition == failing:
			say(state.Degraded, o.id, o.health.String())
		case o.health.condition == unknown && o.health.message != "":
			say(state.Unknown, o.id, o.health.message)
		case o.health.condition == unknown:
			count[state.Unknown]++
		case o.health.condition != current:
			say(state.Progressing, o.id, o.health.String())
		}
	}
	v.phase = state.Healthy
	for _, p := range []state.Phase{state.Degraded, state.Pending, state.Unknown, state.Progressing} {
		if count[p] > 0 {
			v.phase = p
			break
		}
	}
	slices.SortFunc(v.failing, func(a, b state.Failing) int { return strings.Compare(a.Object, b.Object) })
	return v
}
