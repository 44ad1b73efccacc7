package reconcile

import (
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
	switch {
	case h.condition == current:
		o.checks = 0
	case o.health.condition == current || o.rolling.IsZero():
		o.rolling = time.Now()
	case h.pods == "":
		h.pods = o.health.pods
	}
	o.health = h
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
