package reconcile

import "towpath.dev/towpath/internal/manifest"

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
	Action Action
	ID     manifest.ID
	App    string
	Stage  int // order; steps of one stage and wave run in parallel
	Wave   int
	Reason string
}

// Plan is the way from what the cluster holds to what Git wants.
type Plan struct {
	Steps []Step // in order of execution
}
