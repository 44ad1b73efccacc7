package policy

import (
	"fmt"
	"strings"
)

// lane holds new tags to the form of the current one. Tags of one repository
// often tell several stories at once: 1.2.3 and 1.2.3-alpine, 1.2 and 1.2.3.
type lane struct {
	strict  bool
	current *version // nil: the current tag is no version and sets no form
	open    bool     // the filter says which tags belong together
	channel string   // the current suffix when it is a word like nightly: a variant then, no prerelease
	build   string

	wrongPrefix, wrongParts, wrongSuffix, wrongBuild, wrongYear string
}

const lanesEnd = " (lane: any accepts it)"

// newLane takes the form of the current tag. A current tag that the filter does
// not keep sets no form: the filter does.
func newLane(p Policy, current *version, keptByFilter bool) *lane {
	l := &lane{strict: p.Lane != LaneAny, current: current, open: p.Filter != nil && !keptByFilter}
	if current == nil || l.open || !l.strict {
		return l
	}
	if channelWord(current.pre) {
		l.channel = current.pre
		current.pre = ""
	}
	l.wrongPrefix = "another lane: a v in front, the current tag has none" + lanesEnd
	if current.prefix {
		l.wrongPrefix = "another lane: no v in front, the current tag has one" + lanesEnd
	}
	l.wrongParts = fmt.Sprintf("another lane: the current tag has %s", plural(current.parts, "numeric part")) + lanesEnd
	l.wrongSuffix = "another lane: a suffix, the current tag has none" + lanesEnd
	if suffix := joinDash(l.channel, current.suffix); suffix != "" {
		l.wrongSuffix = fmt.Sprintf("another lane: the suffix is not -%s as in the current tag", suffix) + lanesEnd
	}
	l.build = buildKind(current.build)
	l.wrongBuild = "another lane: not the same kind of build as in the current tag" + lanesEnd
	l.wrongYear = "another lane: the first number is a year, in the current tag it is not" + lanesEnd
	return l
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// reject tells why a version is not in the lane; empty: it is.
func (l *lane) reject(v *version) string {
	if v.parts == 1 && (l.current == nil || l.current.parts > 1) {
		return notInteger
	}
	if !l.strict || l.open {
		return ""
	}
	if l.current == nil {
		if v.suffix != "" || buildKind(v.build) != "" {
			return "another lane: a suffix, and the current tag is no version that has it" + lanesEnd
		}
		return ""
	}
	switch {
	case v.prefix != l.current.prefix:
		return l.wrongPrefix
	case v.parts != l.current.parts:
		return l.wrongParts
	case v.suffix != l.current.suffix || l.channel != "" && v.pre != l.channel:
		return l.wrongSuffix
	case buildKind(v.build) != l.build:
		return l.wrongBuild
	case v.parts > 1 && v.yearLike() && l.current.number[0] < 1000:
		return l.wrongYear
	}
	if l.channel != "" {
		v.pre = ""
	}
	return ""
}

// buildKind is what stays the same in build metadata from one version to the
// next: the letters, without numbers and commits. amd64 and arm64 differ, 5 and
// 6 do not.
func buildKind(build string) string {
	if build == "" {
		return ""
	}
	var kind strings.Builder
	for id := range strings.FieldsFuncSeq(build, func(r rune) bool { return r == '.' || r == '-' || r == '_' || r == '+' }) {
		if isCommit(id) {
			continue
		}
		for i := range len(id) {
			if !isDigit(id[i]) {
				kind.WriteByte(id[i])
			}
		}
		kind.WriteByte('.')
	}
	return strings.Trim(kind.String(), ".")
}
