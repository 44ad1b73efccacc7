package reconcile

import (
	"time"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

// EventType says what happened.
type EventType string

// The events an agent tells of.
const (
	EventPlanned  EventType = "planned"  // a plan is about to be executed; Plan
	EventApplying EventType = "applying" // an object is about to be written
	EventApplied  EventType = "applied"  // an object was written; Took
	EventPruned   EventType = "pruned"   // an object was deleted
	EventKept     EventType = "kept"     // an object stays although Git has it no more; Reason
	EventFailed   EventType = "failed"   // an object could not be written; Reason
	EventDrift    EventType = "drift"    // an object was changed by somebody else; Reason, Manager
	EventHealed   EventType = "healed"   // and is as in Git again; Took since it was seen
	EventFight    EventType = "fight"    // somebody changes it again and again; Reason, Manager
	EventPass     EventType = "pass"     // a pass ended; Commit, Took, Reason if something kept it
	EventPhase    EventType = "phase"    // an app's phase or content changed; App, Phase
	EventReported EventType = "reported" // a report arrived; Took
	EventSynced   EventType = "synced"   // a watch of a kind is up to date; ID.Group, ID.Kind
)

// Event is one thing that happened, for logs, measurements and the demo.
type Event struct {
	Type    EventType
	At      time.Time
	Commit  string
	App     string
	ID      manifest.ID
	Phase   state.Phase
	Manager string
	Reason  string
	Took    time.Duration
	Plan    *Plan
}
