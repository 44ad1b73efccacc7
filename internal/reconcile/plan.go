package reconcile

import (
	"cmp"
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/manifest"
)

// Action is what a Step does.
type Action string

// The actions of a plan.
const (
	Apply Action = "apply"
	Prune Action = "prune"
	Keep  Action = "keep" // Git has it no more, yet it is not deleted
)

// Step is one thing a Plan would do, or refuses to do, and why.
type Step struct {
	Action  Action
	ID      manifest.ID
	App     string
	Stage   int // steps of one stage and wave run in parallel
	Wave    int
	Reason  string
	Refused bool // a Keep that a guard asked for: a person should look
}

// Plan is the way from what the cluster holds to what Git wants. Applies come
// first, in order of stages; then prunes, in the opposite order; then keeps.
type Plan struct {
	Steps []Step
}

// The guard against deleting too much with one commit.
const (
	maxPruneObjects = 10 // always allowed
	maxPrunePercent = 20 // of the inventory, when that is more
)

// Live is an object as a watch or a list last saw it.
type Live struct {
	Exists          bool
	UID             string
	ResourceVersion string
	Fields          string // hash of what our manager owns; "" = nothing
	Other           string // the manager that changed it last, besides us
	Scaled          bool   // an autoscaler owns spec.replicas
	Deleting        bool
}

// PlanInput is what a plan is made of.
type PlanInput struct {
	Apps      []App
	Inventory Inventory
	Live      map[manifest.ID]Live // absent = not known
	Namespace string               // where the agent itself lives
}

// MakePlan compares what Git wants with what the agent wrote and what is
// there. It is pure; the same input gives the same plan.
func MakePlan(in PlanInput) Plan {
	var p Plan
	for _, app := range in.Apps {
		for _, w := range app.Objects {
			if w.Problem != nil {
				continue
			}
			if reason := applyReason(w, in); reason != "" {
				p.Steps = append(p.Steps, Step{Action: Apply, ID: w.ID, App: app.Name, Stage: w.Stage, Wave: w.Wave, Reason: reason})
			}
		}
	}
	p.Steps = append(p.Steps, pruneSteps(in)...)
	slices.SortStableFunc(p.Steps, compareSteps)
	return p
}

func applyReason(w *Wanted, in PlanInput) string {
	e, ok := in.Inventory.Entries[w.ID]
	switch {
	case !ok:
		return "new in Git"
	case e.UID == "":
		return "not confirmed yet"
	case e.Want == "":
		return "not compared since the agent started"
	case e.Want != w.Hash:
		return "changed in Git"
	}
	if live, known := in.Live[w.ID]; known {
		return drift(e, live)
	}
	return ""
}

// drift returns how live differs from what the agent wrote, "" if it does not.
func drift(e Entry, live Live) string {
	switch {
	case !live.Exists:
		return "deleted, or without our label"
	case live.UID != e.UID:
		return "replaced by another object"
	case live.Deleting:
		return "" // it comes back when it is gone
	case live.Fields == "" && e.Fields != "":
		return "no record of our fields"
	case live.Fields != e.Fields:
		return "fields of ours changed"
	}
	return ""
}

func compareSteps(a, b Step) int {
	rank := map[Action]int{Apply: 0, Prune: 1, Keep: 2}
	if c := cmp.Compare(rank[a.Action], rank[b.Action]); c != 0 {
		return c
	}
	if a.Action == Prune {
		a, b = b, a // what came first goes last
	}
	return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Wave, b.Wave), compareID(a.ID, b.ID))
}

// pruneSteps decides on every entry that Git has no more.
func pruneSteps(in PlanInput) []Step {
	g := newGuard(in)
	var prune, keep []Step
	for _, e := range in.Inventory.Entries {
		if g.wanted[e.ID()] {
			continue
		}
		s := Step{ID: e.ID(), App: e.App, Stage: stageOf(e.ID()), Reason: "gone from Git"}
		if reason, refused := g.keep(e); reason != "" {
			s.Action, s.Reason, s.Refused = Keep, reason, refused
			keep = append(keep, s)
			continue
		}
		s.Action = Prune
		prune = append(prune, s)
	}
	total := len(in.Inventory.Entries)
	limit := max(maxPruneObjects, (total*maxPrunePercent+99)/100)
	if n := len(prune); n > limit && n > g.allowed {
		for i := range prune {
			prune[i].Action, prune[i].Refused = Keep, true
			prune[i].Reason = fmt.Sprintf("%d of %d objects would be deleted at once, and %d is the most without leave; if that is meant, set the annotation %s: %q on any object of the environment", n, total, limit, AnnotationAllowPrune, fmt.Sprint(n))
		}
	}
	return append(prune, keep...)
}

// guard is what keeps entries from being pruned.
type guard struct {
	namespace string
	wanted    map[manifest.ID]bool
	unclear   map[manifest.ID]bool // wanted, with a namespace nobody knows
	uids      map[string]manifest.ID
	broken    map[string]error // apps that could not be rendered
	empty     map[string]bool  // apps that are there and render nothing
	allowed   int
	objects   int
}

func newGuard(in PlanInput) guard {
	g := guard{
		namespace: in.Namespace,
		wanted:    map[manifest.ID]bool{}, unclear: map[manifest.ID]bool{}, uids: map[string]manifest.ID{},
		broken: map[string]error{}, empty: map[string]bool{},
	}
	for _, app := range in.Apps {
		switch {
		case app.Problem != nil:
			g.broken[app.Name] = app.Problem
		case len(app.Objects) == 0:
			g.empty[app.Name] = true
		}
		for _, w := range app.Objects {
			g.objects++
			g.wanted[w.ID] = true
			g.allowed = max(g.allowed, w.AllowPrune)
			if w.ScopeUnknown {
				id := w.ID
				id.Namespace = ""
				g.unclear[id] = true
			}
			if e := in.Inventory.Entries[w.ID]; e.UID != "" {
				g.uids[e.UID] = w.ID
			}
		}
	}
	return g
}

// keep returns why e must stay, and whether a person should look at that.
func (g guard) keep(e Entry) (reason string, refused bool) {
	bare := e.ID()
	bare.Namespace = ""
	switch {
	case g.broken[e.App] != nil:
		return fmt.Sprintf("app %s could not be rendered", e.App), false
	case len(g.broken) > 0:
		// The object may have moved to the app that nobody can read.
		for name := range g.broken {
			return fmt.Sprintf("app %s could not be rendered, and it may have gone there", name), false
		}
	case g.objects == 0:
		return "the environment renders no objects at all; delete them by hand if that is meant", true
	case g.empty[e.App]:
		return fmt.Sprintf("app %s renders no objects; remove its folder if it should go", e.App), true
	case g.unclear[bare]:
		return "Git may still have it: the cluster does not know its kind", false
	case e.Prune == "disabled":
		return "annotation " + AnnotationPrune + ": disabled", false
	case e.Kind == "Namespace" && e.Group == "" && (e.Name == g.namespace || e.Name == defaultNamespace || e.Name == "kube-system"):
		return "the agent or the cluster itself lives there", true
	case e.Namespace == g.namespace && (e.Kind == "ServiceAccount" || e.Group == "rbac.authorization.k8s.io"):
		return "the agent's own account may depend on it", true
	case dangerous(kindOf(e.ID())) && e.Prune != "confirm":
		return fmt.Sprintf("deleting a %s deletes more than itself; put the annotation %s: confirm on it in Git, let that be applied, then remove it", e.Kind, AnnotationPrune), true
	}
	if other, ok := g.uids[e.UID]; ok && e.UID != "" {
		return fmt.Sprintf("it is the same object as %s", other), false
	}
	return "", false
}

// dangerous kinds take data or other people's objects with them.
func dangerous(k kindID) bool {
	switch k {
	case kindID{"", "Namespace"}, kindID{"", "PersistentVolumeClaim"}, kindID{"", "PersistentVolume"},
		kindID{"apiextensions.k8s.io", "CustomResourceDefinition"}:
		return true
	}
	return false
}
