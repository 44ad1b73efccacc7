package policy

import (
	"cmp"
	"fmt"
	"strings"
)

// semverOrder reads tags as versions, from the current one's point of view.
type semverOrder struct {
	versions *versionRange
	strict   bool
	limit    uint64 // the first number stays below it; 0: it need not

	current *version // nil: it is none and sets no form
	open    bool     // the filter says which tags belong together
	word    string   // what stands before the version in the current tag: "someenv-"
	channel string   // the current prerelease when it is a word like nightly: a variant then
	builds  bool     // bare numbers behind a dash count builds, because the current tag has one
	variant string   // form of the suffix that the current tag, which is a word, stands for
	plain   string   // form of the releases that are the way out of the current build
	leaves  bool     // there is such a way

	marker marker
	laneBarriers
}

func newSemverOrder(p Policy) (order[version], *flaw) {
	versions, bad := newVersionRange(p.Semver)
	if bad != nil {
		return nil, bad
	}
	o := &semverOrder{versions: versions, strict: p.Lane != LaneAny, limit: firstLongNumber}
	o.laneBarriers = newLaneBarriers(o, "")
	return o, nil
}

func (o *semverOrder) words() words {
	return words{
		best: "the highest version in " + o.versions.text, more: "higher", less: "lower",
		noun: "version", alien: "not a version",
		hint: "write a version into the manifest by hand, or take it out of the tags by filter.extract",
	}
}

// read takes the form of the current tag. One that the filter does not keep sets no
// form: the filter does.
func (o *semverOrder) read(value string, kept bool) string {
	o.open = !kept
	var v version
	if reason := parseVersion(value, &v); reason != "" {
		at := wordBefore(value)
		if at == 0 {
			return reason
		}
		o.word = value[:at]
		if reason := parseVersion(value[at:], &v); reason != "" {
			return reason
		}
		if twoVersions(value[at:]) {
			return notOne
		}
	}
	// Where prereleases are not wanted, the current tag is none, whatever it looks like.
	unwanted := kept && !o.versions.prereleases && o.versions.plain
	if onlyNumbers(v.pre) {
		if o.builds = unwanted; !o.builds {
			if reason := checkPrerelease(v.pre); reason != "" {
				return reason
			}
		}
	}
	if unwanted && o.strict && variantWord(v.pre) {
		o.channel = v.pre
	}
	v.word = o.word != ""
	o.current = &v
	o.look(&v)
	v.like = true
	o.builds = o.builds || unwanted && v.pre == "" && strings.HasPrefix(v.tail.form, "#")
	o.limit = limitBehind(v.number[0])
	o.plain, o.leaves = plainForm(v.tail.form)
	o.laneBarriers = newLaneBarriers(o, "")
	return ""
}

// leave tells whether a current tag that is no version may be left. A word like
// latest may, alpine or stable-alpine only for tags with that suffix; for what looks
// like a version it could be a step back.
func (o *semverOrder) leave(value string, kept bool) bool {
	if versionLike(value) {
		return false
	}
	if variant := variantOf(value); kept && o.strict && variant != "" {
		var v version
		v.suffix = variant
		o.marker.read(&v, "", "")
		o.variant = v.tail.form
		o.laneBarriers = newLaneBarriers(o, value)
	}
	return true
}

// wordBefore is where the version begins in a tag like someenv-1.15 or
// release-v2.0.1; 0: there is none of two parts or more.
func wordBefore(value string) int {
	if value == "" || !isLetter(value[0]) {
		return 0
	}
	var v version
	for i := 2; i < len(value); i++ {
		if !isSeparator(rune(value[i-1])) || value[i-1] == '.' && isDigit(value[i-2]) {
			continue
		}
		if reason := parseVersion(value[i:], &v); reason == "" && v.parts > 1 {
			return i
		}
	}
	return 0
}

// twoVersions tells whether a text has a second version behind its first one, as
// 22.04-1.2.3 and 3.5.0-python3.11 have. Behind a word nobody knows which of them is
// the version of the image. That of a base system is none.
func twoVersions(s string) bool {
	for i, before := 0, ""; s != ""; i++ {
		token := s
		if end := strings.IndexAny(s, "-_+"); end >= 0 {
			token, s = s[:end], s[end+1:]
		} else {
			s = ""
		}
		at := trailingNumbers(token)
		word := strings.TrimSuffix(token[:at], ".")
		if word == "" {
			word = before
		}
		if i > 0 && strings.Contains(token[at:], ".") && !baseSystem(word) && !prereleaseWord(token) {
			return true
		}
		before = token
	}
	return false
}

func (o *semverOrder) parse(value string, v *version) (reason string) {
	word := false
	if o.word != "" {
		if rest, ok := strings.CutPrefix(value, o.word); ok {
			value, word = rest, true
		}
	}
	if reason := parseVersion(value, v); reason != "" {
		return reason
	}
	v.word = word
	switch {
	case word && twoVersions(value):
		return notOne
	case v.parts > usualParts && (o.current == nil || o.current.parts <= usualParts):
		return notFour
	case v.pre == "" || !onlyNumbers(v.pre):
	case !o.builds:
		if reason := checkPrerelease(v.pre); reason != "" {
			return reason
		}
	}
	o.look(v)
	return ""
}

// look looks into the tail of a version, and takes for a part of it what is no
// prerelease in the current lane.
func (o *semverOrder) look(v *version) {
	if v.pre != "" || v.suffix != "" || v.build != "" {
		number, variant := "", ""
		if o.builds && onlyNumbers(v.pre) {
			number, v.pre = v.pre, ""
		} else if o.channel != "" && v.pre == o.channel {
			variant, v.pre, v.named = v.pre, "", true
		}
		o.marker.read(v, number, variant)
	}
	if cur := o.current; cur != nil {
		v.like = v.tail.form == cur.tail.form && v.tail.build == cur.tail.build &&
			v.parts == cur.parts && v.prefix == cur.prefix && v.word == cur.word
	}
}

func (o *semverOrder) reject(v *version) string { return o.versions.reject(v) }

// compare orders by version. Of one version, a tag of the current form is more
// than one of another, and by its numbers more or less than others of that form.
func (o *semverOrder) compare(v, w *version) (rank int, same bool) {
	if n := v.compare(w); n != 0 {
		return n, false
	}
	switch {
	case v.like && w.like:
		n := v.tail.compare(&w.tail)
		return n, n == 0
	case v.like:
		return 1, true
	case w.like:
		return -1, true
	}
	return 0, true
}

// prefer decides between two spellings of one version: the form of the current tag;
// without one, the one with more numeric parts is the one less likely to be moved.
// Then no suffix or a short one, and the highest numbers in it.
func (o *semverOrder) prefer(v, w *version) int {
	if cur := o.current; cur != nil {
		for _, like := range [...][2]bool{
			{v.word == cur.word, w.word == cur.word},
			{v.prefix == cur.prefix, w.prefix == cur.prefix},
			{v.parts == cur.parts, w.parts == cur.parts},
		} {
			if like[0] != like[1] {
				if like[0] {
					return 1
				}
				return -1
			}
		}
	} else if v.parts != w.parts {
		return cmp.Compare(v.parts, w.parts)
	}
	return cmp.Or(
		cmp.Compare(len(w.tail.form), len(v.tail.form)), strings.Compare(w.tail.form, v.tail.form),
		cmp.Compare(len(w.tail.build), len(v.tail.build)), strings.Compare(w.tail.build, v.tail.build),
		v.tail.compare(&w.tail),
	)
}

// never tells why no version can be in the range, or in it and in the lane and not
// below k.
func (o *semverOrder) never(k *version) (reason, hint string) {
	if !o.versions.reaches(&version{}, 0, 0) {
		return fmt.Sprintf("no version is in the range %s", o.versions.text), `write one that has some, like "1.x" or ">=1.2 <2"`
	}
	cur := o.current
	if cur == nil {
		return "", ""
	}
	parts, limit := 0, uint64(0)
	if o.strict && !o.open {
		parts, limit = min(cur.parts, usualParts), o.limit
	}
	floor := k
	if k == nil {
		floor = &version{}
	}
	if o.versions.reaches(floor, parts, limit) {
		return "", ""
	}
	if k != nil && !o.versions.reaches(k, 0, 0) {
		return fmt.Sprintf("every version in %s is lower than the current one", o.versions.text),
			"raise the range, or set allowDowngrade: true to go down"
	}
	return fmt.Sprintf("no version in %s has the form of the current one: %s", o.versions.text, formOf(parts, limit)),
		"change the range or the current tag, or set lane: any"
}

func formOf(parts int, limit uint64) string {
	s := plural(parts, "numeric part")
	if limit > 0 {
		s += fmt.Sprintf(", the first below %d", limit)
	}
	return s
}
