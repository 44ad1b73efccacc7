package policy

import (
	"cmp"
	"fmt"
	"math"
	"strings"
)

// calverOrder reads tags as dates of one layout.
type calverOrder struct {
	layout *layout
	strict bool

	current *date // nil: it is none and sets no form
	open    bool  // the filter says which tags belong together

	wrongPrefix, wrongFields barrier
}

func newCalverOrder(p Policy) (order[date], *flaw) {
	l, bad := parseLayout(p.Calver.Layout)
	if bad != nil {
		return nil, bad
	}
	return &calverOrder{layout: l, strict: p.Lane != LaneAny}, nil
}

func (o *calverOrder) words() words {
	return words{
		best: "the newest in " + o.layout.text, more: "newer", less: "older",
		noun: "date", alien: "no date of the layout",
		hint: "write a tag of the layout into the manifest by hand, or correct the layout",
	}
}

// read takes the form of the current tag: its v, and how precise its date is.
func (o *calverOrder) read(value string, kept bool) string {
	var d date
	if reason := o.layout.parse(value, &d); reason != "" {
		return reason
	}
	o.current, o.open = &d, !kept
	o.wrongPrefix = another("a v in front, the current tag has none")
	if d.prefix {
		o.wrongPrefix = another("no v in front, the current tag has one")
	}
	o.wrongFields = another("its date is not as precise, or more precise, than that of the current tag")
	return ""
}

// leave: a word such as latest is left, and one that may name a variant only when the
// filter drops it or every lane is taken.
func (o *calverOrder) leave(value string, kept bool) bool {
	return !hasDigit(value) && (!kept || !o.strict || variantOf(value) == "")
}

func (o *calverOrder) parse(value string, d *date) string { return o.layout.parse(value, d) }

// lane keeps the v and the precision of the date. A number the layout may leave out
// counts on within a date, and is no other lane.
func (o *calverOrder) lane(d *date) *barrier {
	switch {
	case !o.strict || o.open || o.current == nil:
		return nil
	case d.prefix != o.current.prefix:
		return &o.wrongPrefix
	case d.precision != o.current.precision:
		return &o.wrongFields
	}
	return nil
}

func (o *calverOrder) reject(*date) string { return "" }

// compare orders by the fields as numbers; one that is left out is zero.
func (o *calverOrder) compare(a, b *date) (rank int, same bool) {
	for _, at := range o.layout.significance {
		if n := compareDigits(a.field(at), b.field(at)); n != 0 {
			return n, false
		}
	}
	return 0, true
}

// prefer decides between two spellings of one date: with the v of the current tag,
// and as precise as it is; without one, the more precise.
func (o *calverOrder) prefer(a, b *date) int {
	if cur := o.current; cur != nil {
		if like, other := a.prefix == cur.prefix, b.prefix == cur.prefix; like != other {
			if like {
				return 1
			}
			return -1
		}
	}
	return cmp.Compare(a.present, b.present)
}

func (o *calverOrder) never(*date) (reason, hint string) { return "", "" }

// date is a value read by a layout.
type date struct {
	prefix    bool            // a v that the layout does not have
	present   int             // how many fields there are
	precision uint16          // which of them are parts of a date, by their kind
	text      string          // without that v
	fields    [maxFields]span // of the text, by the layout's numbering; empty: left out
}

// span is a part of a text.
type span struct{ from, to uint16 }

// field is the digits of a field.
func (d *date) field(number int) string { return d.text[d.fields[number].from:d.fields[number].to] }

// parse reads a value. The reason is empty when it is of the layout.
func (l *layout) parse(value string, d *date) (reason string) {
	*d = date{text: value}
	if len(value) > math.MaxUint16 {
		return l.notOf
	}
	if !l.lettered && len(value) > 1 && value[0] == 'v' {
		d.prefix, d.text = true, value[1:]
	}
	reason = l.notOf
	for _, form := range l.forms {
		if !form.match(d) {
			continue
		}
		if reason = l.impossible(d); reason == "" {
			return ""
		}
	}
	return reason
}

// match reads the text by one form of a layout: all of it, or nothing.
func (f form) match(d *date) bool {
	d.present, d.precision, d.fields = 0, 0, [maxFields]span{}
	s, at := d.text, 0
	for _, e := range f {
		if e.kind == literal {
			if !strings.HasPrefix(s[at:], e.text) {
				return false
			}
			at += len(e.text)
			continue
		}
		end, most := at, e.kind.most()
		for end < len(s) && isDigit(s[end]) && (most == 0 || end < at+most) {
			end++
		}
		if end == at || end < at+e.kind.least() {
			return false
		}
		d.fields[e.number] = span{uint16(at), uint16(end)}
		d.present++
		if e.kind.ofDate() {
			d.precision |= 1 << e.kind
		}
		at = end
	}
	return at == len(s)
}

// impossible tells why the fields are no date: there is no month 13, and no
// 30 February.
func (l *layout) impossible(d *date) string {
	year, month, day := 0, 0, 0
	for number, kind := range l.kinds {
		text := d.field(number)
		if text == "" || !kind.ofDate() {
			continue
		}
		n := smallNumber(text)
		switch {
		case kind.isYear():
			if year = n; kind != fullYear {
				year += century
			} else if n < firstYear || n >= endOfYears {
				return fmt.Sprintf("no date: there is no year %s", text)
			}
		case kind.isMonth():
			if month = n; n < 1 || n > 12 {
				return fmt.Sprintf("no date: there is no month %s", text)
			}
		case kind.isWeek():
			if n < 1 || n > 53 {
				return fmt.Sprintf("no date: there is no week %s", text)
			}
		default:
			if day = n; n < 1 || n > 31 {
				return fmt.Sprintf("no date: there is no day %s", text)
			}
		}
	}
	if day > 0 && day > daysIn(month, year) {
		return fmt.Sprintf("no date: month %d has no day %d", month, day)
	}
	return ""
}

const century = 2000 // of a year written with two digits

// smallNumber is the number of at most four digits.
func smallNumber(digits string) int {
	n := 0
	for i := range len(digits) {
		n = n*10 + int(digits[i]-'0')
	}
	return n
}

func daysIn(month, year int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}
