package policy

import (
	"fmt"
	"slices"
	"strings"
)

// layout is a Calver layout ready to use: the names of calver.org, MAJOR, MINOR,
// MICRO and N for whole numbers, everything else literally, parts in [ ] optional.
type layout struct {
	text         string
	kinds        []fieldKind // of the fields by their number, in the order they are written
	significance []int       // numbers of the fields, the most significant first
	forms        []form      // with and without the optional parts, the longest first
	lettered     bool        // it begins with a v of its own
	notOf        string      // the reason for what is not of the layout
}

// form is a layout without optional parts.
type form []element

// element is a field or a literal of a layout.
type element struct {
	kind     fieldKind
	text     string // of a literal
	number   int    // of a field
	optional []form // of a part in brackets: what it may be
}

// Bounds of a layout.
const (
	maxLayout = 100 // bytes
	maxFields = 8
	maxForms  = 16
)

type fieldKind uint8

const (
	literal fieldKind = iota
	brackets
	fullYear    // YYYY
	shortYear   // YY
	paddedYear  // 0Y
	month       // MM
	paddedMonth // 0M
	week        // WW
	paddedWeek  // 0W
	day         // DD
	paddedDay   // 0D
	major
	minor
	micro
	counter // N
)

// layoutNames are the fields by name, a longer one before its beginning.
func layoutNames() []struct {
	name string
	kind fieldKind
} {
	return []struct {
		name string
		kind fieldKind
	}{
		{"YYYY", fullYear}, {"YY", shortYear}, {"0Y", paddedYear}, {"MM", month}, {"0M", paddedMonth}, {"WW", week}, {"0W", paddedWeek},
		{"DD", day}, {"0D", paddedDay}, {"MAJOR", major}, {"MINOR", minor}, {"MICRO", micro}, {"N", counter},
	}
}

const layoutFields = "the fields are YYYY YY 0Y MM 0M WW 0W DD 0D MAJOR MINOR MICRO N, with optional parts in [ ]"

func (k fieldKind) isYear() bool  { return k >= fullYear && k <= paddedYear }
func (k fieldKind) isMonth() bool { return k == month || k == paddedMonth }
func (k fieldKind) isWeek() bool  { return k == week || k == paddedWeek }
func (k fieldKind) isDay() bool   { return k == day || k == paddedDay }
func (k fieldKind) ofDate() bool  { return k >= fullYear && k <= paddedDay }

// most is how many digits a field may have; 0: any number.
func (k fieldKind) most() int {
	switch {
	case k == fullYear:
		return 4
	case k.ofDate():
		return 2
	}
	return 0
}

// least is how many digits a field must have.
func (k fieldKind) least() int {
	switch k {
	case shortYear, month, week, day:
		return 1
	}
	return max(k.most(), 1)
}

// open tells that a field may have one digit more or less, so that what follows it
// must not be a digit.
func (k fieldKind) open() bool { return k > brackets && k.least() != k.most() }

// rank orders the fields of a date.
func (k fieldKind) rank() int {
	switch {
	case k.isYear():
		return 0
	case k.isDay():
		return 2
	}
	return 1
}

// CheckLayout explains what is wrong with a calver layout; empty: nothing is.
func CheckLayout(layout string) (reason, hint string) {
	if _, bad := parseLayout(layout); bad != nil {
		return bad.reason, bad.hint
	}
	return "", ""
}

func parseLayout(text string) (*layout, *flaw) {
	const example = `write one like "YYYY.0M.0D" or "YYYY-0M-0D[-N]"`
	switch {
	case text == "":
		return nil, &flaw{"the layout is empty", example}
	case len(text) > maxLayout:
		return nil, &flaw{fmt.Sprintf("the layout is longer than %d bytes", maxLayout), "shorten it"}
	}
	l := &layout{text: text, notOf: "not of the layout " + text, lettered: text[0] == 'v'}
	p := layoutParser{layout: l, rest: text}
	elements, bad := p.sequence(0)
	if bad == nil {
		bad = l.checkFields(elements)
	}
	if bad == nil {
		l.forms, bad = expand(elements)
	}
	if bad != nil {
		return nil, bad
	}
	slices.SortStableFunc(l.forms, func(a, b form) int { return len(b) - len(a) })
	if bad := l.checkForms(); bad != nil {
		return nil, bad
	}
	l.significance = significance(l.kinds)
	return l, nil
}

// layoutParser reads a layout from left to right.
type layoutParser struct {
	layout *layout
	rest   string
}

// sequence reads up to the end, or to the bracket that closes an optional part.
func (p *layoutParser) sequence(depth int) (form, *flaw) {
	var out form
	for p.rest != "" {
		c := p.rest[0]
		switch {
		case c == '[':
			p.rest = p.rest[1:]
			inner, bad := p.sequence(depth + 1)
			if bad != nil {
				return nil, bad
			}
			forms, bad := expand(inner)
			if bad != nil {
				return nil, bad
			}
			out = append(out, element{kind: brackets, optional: append(forms, form{})})
		case c == ']' && depth == 0:
			return nil, &flaw{"the layout has a ] without its [", "write optional parts like [-N]"}
		case c == ']':
			p.rest = p.rest[1:]
			if len(out) == 0 {
				return nil, &flaw{"the layout has empty brackets", "write optional parts like [-N]"}
			}
			return out, nil
		default:
			e, bad := p.element()
			if bad != nil {
				return nil, bad
			}
			if n := len(out); n > 0 && e.kind == literal && out[n-1].kind == literal {
				out[n-1].text += e.text
			} else {
				out = append(out, e)
			}
		}
	}
	if depth > 0 {
		return nil, &flaw{"the layout has a [ without its ]", "write optional parts like [-N]"}
	}
	return out, nil
}

// element reads a field, or one character of a literal. Capital letters are always
// fields, so that a mistyped one is not taken for a literal that no tag has.
func (p *layoutParser) element() (element, *flaw) {
	for _, f := range layoutNames() {
		rest, ok := strings.CutPrefix(p.rest, f.name)
		if !ok {
			continue
		}
		l := p.layout
		if len(l.kinds) == maxFields {
			return element{}, &flaw{fmt.Sprintf("the layout has more than %d fields", maxFields), "use fewer"}
		}
		p.rest = rest
		l.kinds = append(l.kinds, f.kind)
		return element{kind: f.kind, number: len(l.kinds) - 1}, nil
	}
	c := p.rest[0]
	switch {
	case c >= 'A' && c <= 'Z':
		return element{}, &flaw{fmt.Sprintf("the layout has %q, which is no field", upperRun(p.rest)), layoutFields + "; capital words in tags are taken away by filter.extract"}
	case !isDigit(c) && !isLetter(c) && c != '.' && c != '-' && c != '_':
		return element{}, &flaw{fmt.Sprintf("the layout has %q, which no tag has", firstRune(p.rest)), layoutFields}
	}
	p.rest = p.rest[1:]
	return element{kind: literal, text: string(c)}, nil
}

func upperRun(s string) string {
	n := 0
	for n < len(s) && s[n] >= 'A' && s[n] <= 'Z' {
		n++
	}
	return s[:n]
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// checkFields holds the fields together: a date that can be ordered has a year, and
// each part once.
func (l *layout) checkFields(elements form) *flaw {
	years, months, weeks, days := 0, 0, 0, 0
	seen := map[fieldKind]bool{}
	for _, k := range l.kinds {
		switch {
		case k.isYear():
			years++
		case k.isMonth():
			months++
		case k.isWeek():
			weeks++
		case k.isDay():
			days++
		case seen[k]:
			return &flaw{"the layout has a field twice", "use each of MAJOR, MINOR, MICRO and N once"}
		}
		seen[k] = true
	}
	always := slices.ContainsFunc(elements, func(e element) bool { return e.kind.isYear() })
	switch {
	case years == 0:
		return &flaw{"the layout has no year", "write one of YYYY, YY and 0Y, or use select.semver for what is no date"}
	case years > 1 || months > 1 || weeks > 1 || days > 1:
		return &flaw{"the layout has a part of the date twice", "use one year, one month or week, one day"}
	case !always:
		return &flaw{"the year of the layout is optional", "put it outside of the brackets"}
	case months > 0 && weeks > 0:
		return &flaw{"the layout has a month and a week", "use one of them"}
	case days > 0 && months == 0:
		return &flaw{"the layout has a day without a month", "add MM or 0M"}
	}
	return nil
}

// expand is every form of a sequence: each optional part there, then not.
func expand(elements form) ([]form, *flaw) {
	forms := []form{{}}
	for _, e := range elements {
		choices := []form{{e}}
		if e.kind == brackets {
			choices = e.optional
		}
		var next []form
		for _, f := range forms {
			for _, c := range choices {
				next = append(next, append(slices.Clone(f), c...))
			}
		}
		if forms = next; len(forms) > maxForms {
			return nil, &flaw{fmt.Sprintf("the optional parts of the layout make more than %d forms", maxForms), "use fewer, or take the parts away by filter.extract"}
		}
	}
	return forms, nil
}

// checkForms makes sure that a tag can be read in one way only.
func (l *layout) checkForms() *flaw {
	shapes := map[string]bool{}
	for _, f := range l.forms {
		var shape strings.Builder
		var kinds [1 << 4]bool
		for i, e := range f {
			if e.kind == literal {
				shape.WriteString(e.text)
				continue
			}
			kinds[e.kind] = true
			shape.WriteByte('#')
			if i+1 < len(f) && f[i+1].startsWithDigit() && (e.kind.open() || f[i+1].kind == literal) {
				return &flaw{"in the layout " + l.text + " it is not clear where a number ends", "put a dot or dash between, or use fields of fixed length such as 0M and 0D"}
			}
			if i > 0 && f[i-1].endsWithDigit() {
				return &flaw{"in the layout " + l.text + " it is not clear where a number begins", "put a dot or dash between"}
			}
		}
		if (kinds[day] || kinds[paddedDay]) && !kinds[month] && !kinds[paddedMonth] {
			return &flaw{"the layout may have a day without a month", "write the optional parts inside each other: [.0M[.0D]]"}
		}
		merged := squeeze(shape.String())
		if shapes[merged] {
			return &flaw{"two forms of the layout " + l.text + " cannot be told apart", "use different separators in the optional parts, or one inside the other: [.0M[.N]]"}
		}
		shapes[merged] = true
	}
	return nil
}

func (e element) startsWithDigit() bool { return e.kind != literal || isDigit(e.text[0]) }

func (e element) endsWithDigit() bool { return e.kind == literal && isDigit(e.text[len(e.text)-1]) }

// squeeze makes one # of several: numbers that touch look like one.
func squeeze(shape string) string {
	for strings.Contains(shape, "##") {
		shape = strings.ReplaceAll(shape, "##", "#")
	}
	return shape
}

// significance orders the fields as they are written, but those of the date among
// themselves by year, month or week, day.
func significance(kinds []fieldKind) []int {
	var dates, places, all []int
	for i, k := range kinds {
		all = append(all, i)
		if k.ofDate() {
			dates, places = append(dates, i), append(places, i)
		}
	}
	slices.SortStableFunc(dates, func(a, b int) int { return kinds[a].rank() - kinds[b].rank() })
	for i, place := range places {
		all[place] = dates[i]
	}
	return all
}
