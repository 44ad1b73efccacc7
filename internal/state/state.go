// Package state is the memory that has no place in the user's files: agents'
// reports, the first sight of a digest and holds made outside a pull request.
// It lives in the ref refs/towpath/state as a small tree of JSON files, readable
// with `git show refs/towpath/state:reports/dev/dev.json`, and is written by
// compare-and-swap. Floor 2: it builds on gitrepo and decides nothing.
package state

import "time"

// Ref is the ref that holds the state tree.
const Ref = "refs/towpath/state"

// Phase is the health of one app in one cluster, in words users see.
type Phase string

// The phases of an app. Anything unknown is not healthy.
const (
	Pending     Phase = "Pending"     // seen, not yet applied
	Progressing Phase = "Progressing" // applied, rolling out
	Healthy     Phase = "Healthy"     // every object is current
	Degraded    Phase = "Degraded"    // an object failed or cannot become ready
	Unknown     Phase = "Unknown"
)

// Report is what an agent says of one cluster. File: reports/<env>/<cluster>.json.
type Report struct {
	Env     string      `json:"env"`
	Cluster string      `json:"cluster"`
	Commit  string      `json:"commit"`            // last commit applied
	At      time.Time   `json:"at"`                // when written (UTC)
	Apps    []AppReport `json:"apps"`              // sorted by App
	Problem string      `json:"problem,omitempty"` // what kept the whole environment from being applied
}

// AppReport is one app of a Report.
type AppReport struct {
	App     string    `json:"app"`
	Content string    `json:"content"` // patch.Content of the marked values that were applied
	Phase   Phase     `json:"phase"`
	Since   time.Time `json:"since"` // since when Phase holds for Content
	Failing []Failing `json:"failing,omitempty"`
}

// Failing is one object that keeps an app from being healthy.
type Failing struct {
	Object string `json:"object"` // apps/Deployment shop/web
	Reason string `json:"reason"`
}

// State is the whole tree, loaded at one commit.
type State struct {
	Commit  string // of refs/towpath/state; "" when there is none yet
	Reports []Report
}

// Report returns the reports of env, one per cluster.
func (s State) Report(env string) []Report {
	var out []Report
	for _, r := range s.Reports {
		if r.Env == env {
			out = append(out, r)
		}
	}
	return out
}
