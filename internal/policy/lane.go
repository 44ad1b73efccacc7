package policy

import "fmt"

// laneReasons are why tags are not in the lane of the current one, worded once.
// Tags of one repository often tell several stories at once: 1.2.3 and
// 1.2.3-alpine, 1.2 and 1.2.3.
type laneReasons struct {
	wrongWord, wrongPrefix, wrongParts, wrongSuffix, lowerBase, wrongBuild, wrongYear string
}

const lanesEnd = " (lane: any accepts it)"

// firstOddYear: a first number below it is no year; tags with a year are another
// scheme then.
const firstOddYear = 1000

func newLaneReasons(o *semverOrder) laneReasons {
	cur := o.current
	r := laneReasons{
		wrongWord:   fmt.Sprintf("another lane: it does not begin with %s as the current tag", o.word),
		wrongPrefix: "another lane: a v in front, the current tag has none",
		wrongParts:  fmt.Sprintf("another lane: the current tag has %s", plural(cur.parts, "numeric part")),
		wrongSuffix: "another lane: a suffix, the current tag has none",
		lowerBase:   "another lane: a lower version of the base system than in the current tag",
		wrongBuild:  "another lane: not the same kind of build as in the current tag",
		wrongYear:   "another lane: the first number is a year, in the current tag it is not",
	}
	if cur.prefix {
		r.wrongPrefix = "another lane: no v in front, the current tag has one"
	}
	if form := cur.tail.form; form != "" {
		r.wrongSuffix = fmt.Sprintf("another lane: the suffix is not -%s as in the current tag", form)
		if o.builds || cur.tail.count > 0 {
			r.wrongSuffix = fmt.Sprintf("another lane: the suffix is not like %s, with a number for each #, as in the current tag", dashed(form))
		}
	}
	for _, s := range []*string{&r.wrongWord, &r.wrongPrefix, &r.wrongParts, &r.wrongSuffix, &r.lowerBase, &r.wrongBuild, &r.wrongYear} {
		*s += lanesEnd
	}
	return r
}

func dashed(form string) string {
	if form[0] == '-' {
		return form
	}
	return "-" + form
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// lane tells why a version is not in the lane; empty: it is.
func (o *semverOrder) lane(v *version) string {
	cur := o.current
	if v.parts == 1 && (cur == nil || cur.parts > 1) {
		return notInteger
	}
	if !o.strict || o.open {
		return ""
	}
	if cur == nil {
		if v.tail.form != "" || v.tail.kind != "" {
			return "another lane: a suffix, and the current tag is no version that has it" + lanesEnd
		}
		return ""
	}
	switch {
	case v.word != cur.word:
		return o.wrongWord
	case v.prefix != cur.prefix:
		return o.wrongPrefix
	case v.parts != cur.parts:
		return o.wrongParts
	case v.tail.form != cur.tail.form:
		return o.wrongSuffix
	case v.tail.kind != cur.tail.kind:
		return o.wrongBuild
	case v.tail.lowerBase(&cur.tail):
		return o.lowerBase
	case v.parts > 1 && o.years && v.yearLike():
		return o.wrongYear
	}
	return ""
}

// lowerBase tells whether the base system in a tail of the same form is lower.
func (t *tail) lowerBase(u *tail) bool {
	for i := range min(t.count, u.count) {
		if u.numbers[i].word == "" {
			continue
		}
		if n := compareDigits(t.numbers[i].digits, u.numbers[i].digits); n != 0 {
			return n < 0
		}
	}
	return false
}
