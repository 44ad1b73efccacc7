// Package state is the memory that has no place in the user's files: agents'
// reports, the first sight of a digest and holds made outside a pull request.
// It lives in the ref refs/towpath/state as a small tree of JSON files, readable
// with `git show refs/towpath/state:reports/dev/dev.json`, and is written by
// compare-and-swap. Floor 2: it builds on gitrepo and decides nothing.
package state

import (
	"time"

	"towpath.dev/towpath/internal/image"
)

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

// Sight is the first time a digest was seen in a repository. File:
// seen/<repository, escaped>.json, one per repository.
type Sight struct {
	Repo   string // canonical, as image.Repo.Canonical gives it
	Digest image.Digest
	Tag    image.Tag // that named it then; may be empty
	First  time.Time // UTC
	Until  time.Time // UTC: when its age is reached that a policy waits for; zero: nobody waits
}

// ScanProblem is what keeps a registry's answers about one image from being
// acted on, or what people should know of them. File: scans.json, all of them.
// Problems of the same Image, Registry, Kind and Tag are one problem, whichever
// bot has it.
type ScanProblem struct {
	Image    string    `json:"image"`           // as the policy writes it
	Registry string    `json:"registry"`        // host
	Kind     string    `json:"kind"`            // as scan.Problem has it
	Tag      string    `json:"tag,omitempty"`   // that it is about
	Problem  string    `json:"problem"`         // for people
	Kept     int       `json:"kept,omitempty"`  // tags of the last good answer
	KeptAt   time.Time `json:"keptAt,omitzero"` // of that answer; zero: there is none
	Since    time.Time `json:"since"`           // the first failure
	At       time.Time `json:"at"`              // when a bot said last that it has it, to a few hours
}

// Same reports whether two are one problem.
func (p ScanProblem) Same(q ScanProblem) bool {
	return p.Image == q.Image && p.Registry == q.Registry && p.Kind == q.Kind && p.Tag == q.Tag
}

// Seen holds first sights, by canonical repository and digest.
type Seen map[string]map[image.Digest]Sight

// First tells when a digest was first seen in a canonical repository.
func (s Seen) First(repo string, d image.Digest) (time.Time, bool) {
	sight, ok := s[repo][d]
	return sight.First, ok
}

// State is the whole tree, loaded at one commit.
type State struct {
	Commit   string // of refs/towpath/state; "" when there is none yet
	Reports  []Report
	Seen     Seen
	Scans    []ScanProblem // sorted as SortScans does
	Problems []string      // files other than reports that cannot be read, one line each
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
