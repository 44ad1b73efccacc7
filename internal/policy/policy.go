// Package policy holds everything users write: ImagePolicy (which tag of an
// image is wanted) and Pipeline (which environments it travels through), read
// strictly from YAML, and Select, which decides one tag.
//
// Floor 0. Pure: no files, no network, no clock, no goroutine. The same input
// gives the same answer, in whatever order it comes. It must never guess: what it
// does not understand is a Problem with its place and remedy.
package policy

import (
	"time"

	"towpath.dev/towpath/internal/image"
)

// Policy is one ImagePolicy. Load validates it; one made by hand is validated by
// Select, which then moves nothing and says why.
type Policy struct {
	Name     string
	Image    image.Repo
	Schedule string // five cron fields, "@every 5m", "@hourly"…; Load fills in DefaultSchedule

	// Exactly one of the selectors is set.
	Semver       *Semver
	Calver       *Calver
	Numerical    *Numerical
	Alphabetical *Alphabetical
	DigestTag    image.Tag // follow this mutable tag by its digest

	Filter         *Filter
	Exclude        []Exclude
	Lane           Lane             // zero value: LaneStrict
	Platforms      []image.Platform // the chosen image must have all of them; empty: not asked
	MinAge         time.Duration    // since its digest was first seen; 0: not asked
	Pin            Pin              // zero value: PinTag
	RefreshDigest  bool             // with PinDigest: write the digest again when an unchanged tag moves
	AllowDowngrade bool
	Source         Source
}

// DefaultSchedule is how often an image is looked at when its policy says nothing.
const DefaultSchedule = "@every 5m"

// Semver selects the highest version in Range.
type Semver struct {
	Range       string // "1.x", "^1.2", ">=1.2 <2", "1.x || 3.x"
	Prereleases bool   // -rc.1, -beta… count too
}

// Calver selects the newest date in Layout, for instance "YYYY-0M-0D[-N]".
type Calver struct {
	Layout string
}

// Numerical selects by whole numbers of any length, compared exactly.
type Numerical struct {
	Order Order // Load fills in OrderNewest
}

// Alphabetical selects by the bytes of the tag.
type Alphabetical struct {
	Order Order // Load fills in OrderNewest
}

// Order says which end of an ordering is the newest.
type Order string

// The orders.
const (
	OrderNewest Order = "newest" // the highest number, the last of the alphabet
	OrderOldest Order = "oldest" // the lowest number, the first of the alphabet
)

// Filter keeps the tags that Pattern matches. The selector sees what Extract
// yields, the choice is the whole tag.
type Filter struct {
	Pattern string // RE2, anchored only where the user wrote ^ and $
	Extract string // "$1", "${name}"; empty: the whole tag
}

// Exclude drops one tag, or every tag that an expression matches.
type Exclude struct {
	Text string // a tag, or /RE2/
}

// Lane says how alike a new tag must be to the current one.
type Lane string

// The lanes.
const (
	LaneStrict Lane = "strict" // same prefix, number of parts and suffix as the current tag
	LaneAny    Lane = "any"
)

// Pin says what is written into manifests.
type Pin string

// The pins.
const (
	PinTag    Pin = "tag"
	PinDigest Pin = "digest" // repo:tag@sha256:…
)

// Source is the place of a document or of a part of it.
type Source struct {
	Path string // repository-relative, slash-separated
	Line int    // from 1
}

// Pipeline is one Pipeline document.
type Pipeline struct {
	Name         string
	Branch       string
	Environments []Environment // in promotion order: each after the one it promotes from
	Messages     Messages
	Source       Source
}

// Environment is one stop of a pipeline. Exactly one of Update and From is set.
type Environment struct {
	Name         string
	Path         string   // clean, slash-separated, relative to the repository's root
	Update       *Update  // new tags enter here
	From         []string // exactly one environment of the same pipeline
	Merge        Merge
	OnNewVersion OnNewVersion // Load fills in Supersede
	Gates        Gates
	Messages     Messages // of its pipeline
	Source       Source
}

// Update names the policies whose tags enter an environment. Load checks the
// names, but a policy whose own document is broken is not in Config.Policies.
type Update struct {
	Policies []string // names, or "*" for all
}

// Has tells whether the policy of this name enters here.
func (u *Update) Has(policy string) bool {
	if u == nil {
		return false
	}
	for _, name := range u.Policies {
		if name == AllPolicies || name == policy {
			return true
		}
	}
	return false
}

// AllPolicies in Update.Policies stands for every policy there is.
const AllPolicies = "*"

// Merge says how a change gets into an environment.
type Merge string

// The ways to merge.
const (
	MergePush     Merge = "push"     // commit to the branch
	MergeAuto     Merge = "auto"     // a pull request, merged when the gates pass
	MergeApproval Merge = "approval" // a pull request, and a person's review is one of the gates
)

// OnNewVersion says what happens to a waiting pull request when something newer
// arrives.
type OnNewVersion = string

// The values of Environment.OnNewVersion.
const (
	Supersede OnNewVersion = "supersede"
	Wait      OnNewVersion = "wait"
)

// Gates are what must hold before a change goes in. A nil gate is not asked.
type Gates struct {
	Approvals *Approvals
	Healthy   *Healthy
	Soak      *Soak
}

// Approvals asks people.
type Approvals struct {
	Required          int      // at least 1
	From              []string // "user:alice", "team:sre"; empty: anyone
	PreventSelfReview bool     // Load fills in true
}

// Healthy asks that the environment before runs the change healthily.
type Healthy struct {
	StableFor time.Duration // zero: being healthy is enough
}

// Soak asks that the change has been in the environment before for some time.
type Soak struct {
	For time.Duration
}
