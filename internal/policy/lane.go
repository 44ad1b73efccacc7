package policy

import (
	"fmt"
	"strings"
)

// barrier is why a tag is not in the lane of the current one, worded once.
type barrier struct {
	reason string
	open   string // the same with what opens the lane; empty: nothing does
	alien  bool   // the tag has no place in the order of the current one
}

func (b *barrier) isAlien() bool { return b != nil && b.alien }

const lanesEnd = " (lane: any accepts it)"

func another(lane string, args ...any) barrier {
	s := "another lane: " + fmt.Sprintf(lane, args...)
	return barrier{reason: s, open: s + lanesEnd}
}

// laneBarriers are those of versions. Tags of one repository often tell several
// stories at once: 1.2.3 and 1.2.3-alpine, 1.2 and 1.2.3.
type laneBarriers struct {
	shut                                                                                     barrier // the one that was met, for a tag that nothing opens
	integer, loose, sameRelease                                                              barrier
	wrongWord, wrongPrefix, wrongParts, wrongSuffix, lowerBase, wrongBuild, tooHigh, nobodys barrier
}

// What the first number of a version is taken for. Tags of one repository can be
// versions, years, dates and commits without a letter, and their numbers grow in this
// order.
const firstLongNumber = 10000 // from it on: a date like 20240105, a commit, a long counter

// limitBehind is what the first number of a tag stays below that follows another; 0:
// it need not. Versions end where years begin, so that no step in between leads on
// to what was barred before it.
func limitBehind(first uint64) uint64 {
	switch {
	case first < firstYear:
		return firstYear
	case first < firstLongNumber:
		return firstLongNumber
	}
	return 0
}

// newLaneBarriers words the barriers of the current tag, or of the word that it is.
func newLaneBarriers(o *semverOrder, word string) laneBarriers {
	cur := o.current
	r := laneBarriers{
		integer: barrier{reason: notInteger, alien: true},
		loose:   barrier{reason: "a number, date or commit behind the version, the current tag has none (only a tag that has one is followed by such tags)"},
		nobodys: another("a suffix, and the current tag is no version that has it"),
		tooHigh: another("its first number is no version but a year, a date or a commit"),
	}
	if o.variant != "" {
		r.nobodys = another("the current %s is left only for tags with the suffix -%s", word, variantOf(word))
	}
	if cur == nil {
		return r
	}
	r.wrongWord = another("it does not begin with %s as the current tag", o.word)
	r.wrongPrefix = another("a v in front, the current tag has none")
	r.wrongParts = another("the current tag has %s", plural(cur.parts, "numeric part"))
	r.wrongSuffix = another("a suffix, the current tag has none")
	r.lowerBase = another("a lower version of the base system than in the current tag")
	r.wrongBuild = another("not the same kind of build as in the current tag")
	r.sameRelease = barrier{reason: "another lane: of the same version, and it is not known which of the two is newer"}
	if cur.prefix {
		r.wrongPrefix = another("no v in front, the current tag has one")
	}
	if form := cur.tail.form; form != "" {
		r.wrongSuffix = another("the suffix is not -%s as in the current tag", form)
		if legend := legendOf(form); legend != "" {
			r.wrongSuffix = another("the suffix is not like -%s, with %s, as in the current tag", form, legend)
		}
	}
	return r
}

// legendOf explains the marks of a form.
func legendOf(form string) string {
	var of []string
	for _, mark := range [...][2]string{{"#", "a number for each #"}, {"@", "a date for each @"}, {"%", "a time for each %"}, {"~", "a commit for each ~"}} {
		if strings.Contains(form, mark[0]) {
			of = append(of, mark[1])
		}
	}
	return strings.Join(of, ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// lane tells why a version is not in the lane; nil: it is.
func (o *semverOrder) lane(v *version) *barrier {
	wall := o.wall(v)
	if wall != nil && v.named {
		o.shut = barrier{reason: wall.reason, alien: wall.alien}
		return &o.shut
	}
	return wall
}

func (o *semverOrder) wall(v *version) *barrier {
	cur := o.current
	switch {
	case v.parts == 1 && (cur == nil || cur.parts > 1):
		return &o.integer
	case v.tail.loose && (cur == nil || !cur.tail.loose) && (cur != nil || o.variant != v.tail.form):
		return &o.loose
	case !o.strict || o.open:
		return nil
	case v.number[0] >= o.limit && o.limit > 0:
		return &o.tooHigh
	case cur == nil:
		if v.tail.form != o.variant || v.tail.kind != "" {
			return &o.nobodys
		}
		return nil
	case v.word != cur.word:
		return &o.wrongWord
	case v.prefix != cur.prefix:
		return &o.wrongPrefix
	case v.parts != cur.parts:
		return &o.wrongParts
	case v.tail.form != cur.tail.form:
		return o.wayOut(v)
	case v.tail.kind != cur.tail.kind:
		return &o.wrongBuild
	case v.tail.lowerBase(&cur.tail):
		return &o.lowerBase
	}
	return nil
}

// wayOut tells why a version of another suffix is not the way out of the current
// build: only a release that is a higher version is one, for nobody knows whether
// v2.2.0-5-gabcdef1 is more or less than v2.2.0.
func (o *semverOrder) wayOut(v *version) *barrier {
	cur := o.current
	switch {
	case !o.leaves || v.tail.form != o.plain:
		return &o.wrongSuffix
	case v.tail.kind != cur.tail.kind:
		return &o.wrongBuild
	case v.tail.lowerBase(&cur.tail):
		return &o.lowerBase
	case v.compare(cur) == 0:
		return &o.sameRelease
	}
	return nil
}

// lowerBase tells whether a base system in the tail is lower than the one in its
// place in another.
func (t *tail) lowerBase(u *tail) bool {
	at := 0
	for _, n := range t.numbers[:t.count] {
		if n.word == "" {
			continue
		}
		for at < u.count && u.numbers[at].word == "" {
			at++
		}
		if at == u.count {
			return false
		}
		if c := compareDigits(n.digits, u.numbers[at].digits); c != 0 {
			return c < 0
		}
		at++
	}
	return false
}
