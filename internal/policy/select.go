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
}

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
)

// Select decides which of the tags the policy wants. It is pure and independent
// of the order of tags. It chooses a listed tag or the current one, and never a
// lower version than the current one unless the policy allows that. For a digest
// policy it chooses the tag to follow; comparing digests is the caller's.
func Select(p Policy, tags []string, current image.Tag) Choice {
	c := Choice{Policy: p.Name, Current: current, Selected: current, Rejected: []Rejected{}}
	if len(tags) == 0 {
		c.Reason = noTags
		return c
	}
	tags = slices.Clone(tags)
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if p.DigestTag != "" && p.Semver == nil {
		return selectDigest(p, tags, c)
	}
	s, bad := newSelection(p, current)
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

// selection is one run of Select with a semver range.
type selection struct {
	current  image.Tag
	version  *version // of the current tag; nil: it is none
	blocked  string   // why nothing can be compared with the current tag
	lower    string   // the reason for what is lower than the current tag; empty: that is allowed
	versions *versionRange
	lane     *lane
	exclude  *exclusion
	filter   *filter

	best    int // index of the best tag so far; -1: none
	bestIs  version
	ties    []int // tags of the same version as the best
	reasons []string
}

func newSelection(p Policy, current image.Tag) (*selection, *flaw) {
	s := &selection{current: current, best: -1}
	var bad *flaw
	if s.versions, bad = newVersionRange(p.Semver); bad != nil {
		return nil, bad
	}
	if s.filter, bad = compileFilter(p.Filter); bad != nil {
		return nil, bad
	}
	if s.exclude, bad = compileExclude(p.Exclude); bad != nil {
		return nil, bad
	}
	value, kept := string(current), true
	if s.filter != nil {
		if value, kept = s.filter.apply(string(current)); !kept {
			value = string(current)
		}
	}
	v, reason := parseVersion(value)
	switch {
	case reason == "":
		s.version = &v
	case versionLike(value):
		s.blocked = fmt.Sprintf("the current tag %s is %s, so nothing can be compared with it", current, reason)
	}
	s.lane = newLane(p, s.version, kept)
	if !p.AllowDowngrade {
		s.lower = fmt.Sprintf("lower than the current %s", current)
	}
	return s, nil
}

// versionLike tells whether a text is meant as a version, so that leaving it
// for another could be a step back: an optional v, digits, and a separator.
func versionLike(s string) bool {
	s = strings.TrimLeft(s, "vV")
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n > 0 && (n == len(s) || strings.IndexByte("._-+", s[n]) >= 0)
}

func (s *selection) run(tags []string, c Choice) Choice {
	s.reasons = make([]string, len(tags))
	for i, tag := range tags {
		v, reason := s.judge(tag)
		s.reasons[i] = reason
		if reason == "" {
			s.offer(tags, i, v)
		}
	}
	var same string
	if s.best >= 0 {
		c.Selected = image.Tag(tags[s.best])
		if s.version != nil && s.bestIs.compare(*s.version) == 0 {
			c.Selected = s.current // the same version: keep the spelling
		}
		same = fmt.Sprintf("the same version as %s", c.Selected)
	}
	c.Changed = c.Selected != c.Current
	c.Reason = s.explain(tags, c)
	for _, i := range append(s.ties, s.best) {
		if i >= 0 {
			s.reasons[i] = same
		}
	}
	older := fmt.Sprintf("%s is higher", c.Selected)
	return c.reject(tags, func(i int) string {
		if s.reasons[i] == "" {
			return older
		}
		return s.reasons[i]
	})
}

// judge reads a tag and tells the first rule that drops it; empty: none does.
func (s *selection) judge(tag string) (version, string) {
	if !image.ValidTag(tag) {
		return version{}, notATag
	}
	if isReferrer(tag) {
		return version{}, referrerTag
	}
	if reason := s.exclude.match(tag); reason != "" {
		return version{}, reason
	}
	value := tag
	if s.filter != nil {
		var kept bool
		if value, kept = s.filter.apply(tag); !kept {
			return version{}, notInFilter
		}
		if value == "" {
			return version{}, emptyValue
		}
	}
	v, reason := parseVersion(value)
	if reason != "" {
		return v, reason
	}
	if reason := s.lane.reject(&v); reason != "" {
		return v, reason
	}
	if s.blocked != "" {
		return v, "not considered: the current tag is not a version"
	}
	if s.lower != "" && s.version != nil && v.compare(*s.version) < 0 {
		return v, s.lower
	}
	return v, s.versions.reject(v)
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

// offer takes a tag that no rule dropped.
func (s *selection) offer(tags []string, i int, v version) {
	order := 1
	if s.best >= 0 {
		order = v.compare(s.bestIs)
	}
	switch {
	case order > 0:
		s.best, s.bestIs, s.ties = i, v, s.ties[:0]
	case order == 0 && s.prefer(tags[i], v, tags[s.best], s.bestIs):
		s.ties = append(s.ties, s.best)
		s.best, s.bestIs = i, v
	case order == 0:
		s.ties = append(s.ties, i)
	}
}

// prefer decides between two spellings of one version: the current tag, then
// the form of the current tag, then the shortest, then the first of the
// alphabet. Without a form to follow, the one with more numeric parts is the one
// less likely to be moved.
func (s *selection) prefer(a string, av version, b string, bv version) bool {
	if current := string(s.current); a == current || b == current {
		return a == current
	}
	if cur := s.version; cur != nil {
		for _, like := range []func(v version) bool{
			func(v version) bool { return v.prefix == cur.prefix },
			func(v version) bool { return v.suffix == cur.suffix && v.build == cur.build },
			func(v version) bool { return v.parts == cur.parts },
		} {
			if like(av) != like(bv) {
				return like(av)
			}
		}
	} else if av.parts != bv.parts {
		return av.parts > bv.parts
	}
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// explain is the reason of the choice.
func (s *selection) explain(tags []string, c Choice) string {
	if c.Changed {
		reason := fmt.Sprintf("%s is the highest version in %s", c.Selected, s.versions.text)
		if s.version != nil && s.bestIs.compare(*s.version) < 0 {
			reason += fmt.Sprintf(", and the policy allows going down from %s", c.Current)
		}
		return s.noteMissing(tags, reason)
	}
	if s.blocked != "" {
		return s.blocked
	}
	if c.Current == "" {
		return "no tag is acceptable"
	}
	at, listed := slices.BinarySearch(tags, string(c.Current))
	if listed && s.reasons[at] != "" && s.version != nil {
		return fmt.Sprintf("nothing acceptable is higher than the current %s, which is itself not: %s", c.Current, s.reasons[at])
	}
	if listed && s.version != nil {
		return fmt.Sprintf("the current %s is the highest version in %s", c.Current, s.versions.text)
	}
	return s.noteMissing(tags, fmt.Sprintf("nothing acceptable is higher than the current %s", c.Current))
}

func (s *selection) noteMissing(tags []string, reason string) string {
	if _, listed := slices.BinarySearch(tags, string(s.current)); listed || s.current == "" {
		return reason
	}
	return reason + "; " + missing
}

// selectDigest chooses the followed tag when it is there.
func selectDigest(p Policy, tags []string, c Choice) Choice {
	if _, listed := slices.BinarySearch(tags, string(p.DigestTag)); listed {
		c.Selected = p.DigestTag
		c.Reason = fmt.Sprintf("the policy follows the tag %s by its digest", p.DigestTag)
	} else {
		c.Reason = fmt.Sprintf("the followed tag %s is not in the registry", p.DigestTag)
	}
	c.Changed = c.Selected != c.Current
	other := fmt.Sprintf("not the followed tag %s", p.DigestTag)
	return c.reject(tags, func(i int) string {
		switch {
		case !image.ValidTag(tags[i]):
			return notATag
		case isReferrer(tags[i]):
			return referrerTag
		}
		return other
	})
}
