package migrate

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// decimals notes the policies whose numbers have decimals, where the filter or a
// marked value tells so: Flux reads a floating point number, here whole ones count.
func (m *flux) decimals() {
	var markers []marker
	for _, d := range m.drafts {
		if d.Numerical == nil {
			continue
		}
		if markers == nil {
			markers = m.markers()
		}
		told := ""
		if d.Filter != nil && takesDecimals(d.Filter.Pattern, d.Filter.Extract) {
			told = fmt.Sprintf("what filterTags takes out of a tag (%s)", short(d.Filter.Pattern))
		}
		for _, k := range markers {
			if told == "" && m.names(k, d) && isDecimal(d.value(k.tag)) {
				told = fmt.Sprintf("the tag %s at %s:%d", short(k.tag), short(k.path), k.line)
			}
		}
		if told != "" {
			d.todo("select", m.note(d.origin, d.origin.field("spec", "policy", "numerical").line(), "policy.numerical: "+told+" has decimals, which Flux compares as a floating point number; here only whole numbers count, "+
				"and no such tag is ever chosen: take semver, to which 1.10 is above 1.9, or a whole number, with filter.extract"))
		}
	}
}

// value is what the filter of a draft leaves of a tag; "": nothing.
func (d *draft) value(tag string) string {
	if d.Filter == nil {
		return tag
	}
	re, err := regexp.Compile(d.Filter.Pattern)
	if err != nil {
		return ""
	}
	match := re.FindStringSubmatchIndex(tag)
	switch {
	case match == nil:
		return ""
	case d.Filter.Extract == "":
		return tag
	}
	return string(re.ExpandString(nil, d.Filter.Extract, tag, match))
}

// isDecimal tells whether a text is a number to Flux, with a point.
func isDecimal(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && strings.Contains(s, ".")
}

// takesDecimals tells whether a filter speaks of a point in what it takes out of a
// tag. One that takes any text tells nothing.
func takesDecimals(pattern, extract string) bool {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	if extract == "" {
		return hasPoint(tree)
	}
	without := reference.ReplaceAllString(extract, "")
	if strings.Contains(without, ".") {
		return true
	}
	var names []string
	for _, found := range reference.FindAllStringSubmatch(extract, -1) {
		names = append(names, found[1]+found[2])
	}
	return anyGroup(tree, names)
}

// reference is a group that an extract names: $1, ${1}, $name.
var reference = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+))`)

// anyGroup tells whether one of the named groups speaks of a point.
func anyGroup(re *syntax.Regexp, names []string) bool {
	if re.Op == syntax.OpCapture && (slices.Contains(names, strconv.Itoa(re.Cap)) || re.Name != "" && slices.Contains(names, re.Name)) && hasPoint(re) {
		return true
	}
	return slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return anyGroup(sub, names) })
}

// hasPoint tells whether an expression has a point written in it: alone, or beside
// nothing but digits, as in [0-9.]+.
func hasPoint(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return slices.Contains(re.Rune, '.')
	case syntax.OpCharClass:
		point := false
		for i := 0; i+1 < len(re.Rune); i += 2 {
			low, high := re.Rune[i], re.Rune[i+1]
			point = point || low <= '.' && '.' <= high
			if low < '.' || high > '9' {
				return false
			}
		}
		return point
	}
	return slices.ContainsFunc(re.Sub, hasPoint)
}
