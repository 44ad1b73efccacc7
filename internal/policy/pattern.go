package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"towpath.dev/towpath/internal/image"
)

// maxPattern bounds an expression, which is run over every tag.
const maxPattern = 1000 // bytes

// flaw is what is wrong with a value and what to do.
type flaw struct{ reason, hint string }

// Error makes a flaw an error.
func (f *flaw) Error() string { return f.reason }

// compileRange parses a semver range.
func compileRange(s string) (*semver.Constraints, *flaw) {
	const hint = `write one like "1.x", "^1.4" or ">=1.2 <2"`
	if strings.TrimSpace(s) == "" {
		return nil, &flaw{"the range is empty", hint}
	}
	c, err := semver.NewConstraint(s)
	if err != nil {
		return nil, &flaw{fmt.Sprintf("bad semver range %q: %s", s, err), hint}
	}
	return c, nil
}

// compilePattern parses an RE2 expression.
func compilePattern(s string) (*regexp.Regexp, *flaw) {
	if len(s) > maxPattern {
		return nil, &flaw{fmt.Sprintf("the expression is longer than %d bytes", maxPattern), "shorten it"}
	}
	re, err := regexp.Compile(s)
	if err == nil {
		return re, nil
	}
	reason := fmt.Sprintf("bad expression %q: %s", s, err)
	var parse *syntax.Error
	if errors.As(err, &parse) {
		reason = fmt.Sprintf("bad expression %q: %s near %q", s, parse.Code, parse.Expr)
	}
	hint := "the syntax is RE2, see https://github.com/google/re2/wiki/Syntax"
	if strings.Contains(s, "(?=") || strings.Contains(s, "(?!") || strings.Contains(s, "(?<") {
		hint = "RE2 has no look-ahead or look-behind; use exclude for what must not match"
	}
	return nil, &flaw{reason, hint}
}

// filter is a Filter ready to use.
type filter struct {
	re      *regexp.Regexp
	extract string
	group   int // all of extract is this one; -1: it is more
	buffer  []byte
}

func compileFilter(f *Filter) (*filter, *flaw) {
	if f == nil {
		return nil, nil
	}
	re, bad := compilePattern(f.Pattern)
	if bad == nil && f.Extract != "" {
		bad = checkExtract(re, f.Extract)
	}
	if bad != nil {
		return nil, bad
	}
	return &filter{re: re, extract: f.Extract, group: onlyGroup(re, f.Extract)}, nil
}

// onlyGroup is the group that an extract consists of, whose text need not be copied;
// -1: it is more than one group, or text beside it.
func onlyGroup(re *regexp.Regexp, extract string) int {
	name, ok := strings.CutPrefix(extract, "$")
	if !ok {
		return -1
	}
	name, rest, ok := groupName(name)
	if !ok || rest != "" {
		return -1
	}
	names := re.SubexpNames()
	if n, err := strconv.Atoi(name); err == nil {
		if n < len(names) && strconv.Itoa(n) == name {
			return n
		}
		return -1
	}
	found := -1
	for i, g := range names {
		if g == name && found >= 0 {
			return -1 // Expand takes the one of them that matched
		}
		if g == name {
			found = i
		}
	}
	return found
}

// apply is what the selector sees of a tag, and whether the filter keeps the tag.
func (f *filter) apply(tag string) (string, bool) {
	if f.extract == "" {
		return tag, f.re.MatchString(tag)
	}
	match := f.re.FindStringSubmatchIndex(tag)
	if match == nil {
		return "", false
	}
	if f.group >= 0 {
		from, to := match[2*f.group], match[2*f.group+1]
		return tag[max(from, 0):max(to, 0)], true // a group that took no part is empty
	}
	f.buffer = f.re.ExpandString(f.buffer[:0], f.extract, tag, match)
	return string(f.buffer), true
}

// checkExtract holds every $name to the groups of the expression: Go expands an
// unknown one to nothing.
func checkExtract(re *regexp.Regexp, extract string) *flaw {
	groups, used := re.SubexpNames(), 0
	for rest := extract; ; {
		_, after, ok := strings.Cut(rest, "$")
		if !ok {
			break
		}
		if strings.HasPrefix(after, "$") {
			rest = after[1:]
			continue
		}
		name, tail, ok := groupName(after)
		if !ok {
			return &flaw{fmt.Sprintf("extract %q has a $ without the name of a group", extract), "write $1, ${name}, or $$ for the character"}
		}
		if !hasGroup(groups, name) {
			return &flaw{fmt.Sprintf("extract names the group %q, which the pattern does not have", name), groupHint(groups, name)}
		}
		used++
		rest = tail
	}
	if used == 0 {
		return &flaw{fmt.Sprintf("extract %q names no group of the pattern", extract), "write $1 or ${name}"}
	}
	return nil
}

// groupName reads what Go's Expand takes for a name: letters, digits and
// underscores, as many as there are.
func groupName(s string) (name, rest string, ok bool) {
	if inner, found := strings.CutPrefix(s, "{"); found {
		name, rest, ok = strings.Cut(inner, "}")
		return name, rest, ok && name != "" && wordLength(name) == len(name)
	}
	n := wordLength(s)
	return s[:n], s[n:], n > 0
}

func wordLength(s string) int {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return i
		}
	}
	return len(s)
}

func hasGroup(groups []string, name string) bool {
	for i, g := range groups {
		if name == g || name == fmt.Sprint(i) {
			return true
		}
	}
	return false
}

func groupHint(groups []string, name string) string {
	for end := len(name) - 1; end > 0; end-- {
		if hasGroup(groups, name[:end]) {
			return fmt.Sprintf("write ${%s}%s to end the name there", name[:end], name[end:])
		}
	}
	var known []string
	for i, g := range groups[1:] {
		if g != "" {
			known = append(known, "$"+g)
		} else {
			known = append(known, fmt.Sprintf("$%d", i+1))
		}
	}
	if len(known) == 0 {
		return "the pattern has no group; put parentheses around what is wanted"
	}
	return "the groups are " + list(known)
}

// exclusion is a list of Excludes ready to use.
type exclusion struct {
	tags        map[string]bool
	expressions []*regexp.Regexp
	reasons     []string // of the expressions
}

func compileExclude(excludes []Exclude) (*exclusion, *flaw) {
	x := &exclusion{tags: map[string]bool{}}
	for _, e := range excludes {
		re, bad := e.compile()
		switch {
		case bad != nil:
			return nil, bad
		case re == nil:
			x.tags[e.Text] = true
		default:
			x.expressions = append(x.expressions, re)
			x.reasons = append(x.reasons, "excluded by "+e.Text)
		}
	}
	return x, nil
}

// compile is the expression of /RE2/, or nil for a tag.
func (e Exclude) compile() (*regexp.Regexp, *flaw) {
	if inner, ok := strings.CutPrefix(e.Text, "/"); ok {
		inner, ok = strings.CutSuffix(inner, "/")
		if !ok || inner == "" {
			return nil, &flaw{fmt.Sprintf("%q is neither a tag nor an expression in slashes", e.Text), `write a tag like "1.2.3" or an expression like "/-debug$/"`}
		}
		return compilePattern(inner)
	}
	if !image.ValidTag(e.Text) {
		return nil, &flaw{fmt.Sprintf("%q is neither a tag nor an expression in slashes", e.Text), `write a tag like "1.2.3" or an expression like "/-debug$/"`}
	}
	return nil, nil
}

// match is the reason a tag is excluded for, or empty.
func (x *exclusion) match(tag string) string {
	if x.tags[tag] {
		return "excluded by name"
	}
	for i, re := range x.expressions {
		if re.MatchString(tag) {
			return x.reasons[i]
		}
	}
	return ""
}
