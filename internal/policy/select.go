package policy

import (
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/image"
)

// Choice is the answer of Select.
type Choice struct {
	Policy   string
	Current  image.Tag
	Selected image.Tag  // Current when nothing is better
	Changed  bool       // Selected is not Current
	Reason   string     // why, in one line
	Rejected []Rejected // every other tag, sorted by tag; never nil

	// Candidates are the acceptable tags better than Current, best first; the first
	// is Selected when Changed. At most MaxCandidates. Ties follow their winner.
	Candidates []image.Tag
}

// MaxCandidates bounds Choice.Candidates.
const MaxCandidates = 1000

// Rejected is a tag that was not chosen and the rule that dropped it.
type Rejected struct {
	Tag    string `json:"tag"`
	Reason string `json:"reason"`
}

// Reasons that do not depend on the policy.
const (
	noTags      = "the registry listed no tags"
	notATag     = "not a valid tag"
	referrerTag = "a signature or attestation of another image"
	notInFilter = "does not match the filter"
	emptyValue  = "the filter extracts nothing"
	missing     = "current tag is not in the registry"
	noneLeft    = "no tag is acceptable"
)

// Select decides which of the tags the policy wants. It is pure and independent
// of the order of tags. It chooses a listed tag or the current one, and never
// anything that Lower calls lower than the current one unless the policy allows
// that. For a digest policy it chooses the tag to follow; comparing digests is the
// caller's.
func Select(p Policy, tags []string, current image.Tag) Choice {
	c := Choice{Policy: p.Name, Current: current, Selected: current, Rejected: []Rejected{}}
	if len(tags) == 0 {
		c.Reason = noTags
		return c
	}
	tags = slices.Clone(tags)
	slices.Sort(tags)
	tags = slices.Compact(tags)
	s, bad := newChooser(p, current)
	if bad != nil {
		c.Reason = "the policy is broken: " + bad.reason
		return c.reject(tags, func(int) string { return "not considered: the policy is broken" })
	}
	return s.run(tags, c)
}

// reject lists every tag but the selected one.
func (c Choice) reject(tags []string, reason func(i int) string) Choice {
	c.Rejected = make([]Rejected, 0, len(tags))
	for i, tag := range tags {
		if tag != string(c.Selected) {
			c.Rejected = append(c.Rejected, Rejected{Tag: tag, Reason: reason(i)})
		}
	}
	return c
}

// Skip is the choice without its selected tag, which is rejected for the reason:
// the next candidate is selected, or Current when there is none. A choice that
// changes nothing stays as it is.
func (c Choice) Skip(reason string) Choice {
	if !c.Changed {
		return c
	}
	skipped := c.Selected
	c.Selected, c.Candidates = c.Current, slices.Clone(c.Candidates)
	if len(c.Candidates) > 0 {
		c.Candidates = c.Candidates[1:]
	}
	if len(c.Candidates) > 0 {
		c.Selected = c.Candidates[0]
	}
	c.Changed = c.Selected != c.Current
	switch {
	case c.Changed:
		c.Reason = fmt.Sprintf("%s is the best that is left: %s is passed over: %s", c.Selected, skipped, reason)
	case c.Current == "":
		c.Reason = fmt.Sprintf("%s: %s is passed over: %s", noneLeft, skipped, reason)
	default:
		c.Reason = fmt.Sprintf("nothing better than the current %s is left: %s is passed over: %s", c.Current, skipped, reason)
	}
	rejected := make([]Rejected, 0, len(c.Rejected)+1)
	rejected = append(rejected, c.Rejected...)
	rejected = slices.DeleteFunc(rejected, func(r Rejected) bool { return r.Tag == string(c.Selected) })
	at, _ := slices.BinarySearchFunc(rejected, string(skipped), func(r Rejected, tag string) int { return strings.Compare(r.Tag, tag) })
	c.Rejected = slices.Insert(rejected, at, Rejected{Tag: string(skipped), Reason: reason})
	return c
}

// Accepts reports whether the policy would take the tag at all, by its filter,
// exclusions, range, prereleases and layout, whatever the current one is; and the
// reason when not.
func Accepts(p Policy, tag image.Tag) (ok bool, reason string) {
	s, bad := newChooser(p, tag)
	if bad != nil {
		return false, "the policy is broken: " + bad.reason
	}
	reason = s.judge(string(tag))
	return reason == "", reason
}

// Lower reports whether the policy's selector orders candidate below current.
// Tags that it cannot order are not lower: they are equal to it. That goes for two
// of which each is lower in the eyes of the other: 1.0-1 is a build when it is the
// current tag, and a prerelease when 1.0-rc.1 is.
func Lower(p Policy, candidate, current image.Tag) bool {
	if candidate == current {
		return false
	}
	p.Lane, p.Exclude = LaneAny, nil
	there, bad := newChooser(p, current)
	if bad != nil || !there.below(string(candidate)) {
		return false
	}
	back, bad := newChooser(p, candidate)
	return bad == nil && !back.below(string(current))
}

// isReferrer tells whether a tag is one that signing tools attach to a digest:
// sha256-<64 hex>, with or without .sig, .att or .sbom.
func isReferrer(tag string) bool {
	const hexDigits = 64
	hex, ok := strings.CutPrefix(tag, "sha256-")
	if !ok || len(hex) < hexDigits {
		return false
	}
	for i := range hexDigits {
		if c := hex[i]; !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// follower is the chooser of a policy that follows one tag by its digest.
type follower struct {
	tag   image.Tag
	other string // the reason for every other tag
}

// run chooses the followed tag when it is there.
func (f follower) run(tags []string, c Choice) Choice {
	if _, listed := slices.BinarySearch(tags, string(f.tag)); listed {
		c.Selected = f.tag
		c.Reason = fmt.Sprintf("the policy follows the tag %s by its digest", f.tag)
	} else {
		c.Reason = fmt.Sprintf("the followed tag %s is not in the registry", f.tag)
	}
	if c.Changed = c.Selected != c.Current; c.Changed {
		c.Candidates = []image.Tag{c.Selected}
	}
	return c.reject(tags, func(i int) string { return f.judge(tags[i]) })
}

func (f follower) judge(tag string) string {
	switch {
	case !image.ValidTag(tag):
		return notATag
	case isReferrer(tag):
		return referrerTag
	case tag != string(f.tag):
		return f.other
	}
	return ""
}

func (f follower) below(string) bool { return false }

func (f follower) never() (reason, hint string) { return "", "" }
