package policy

import (
	"regexp/syntax"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/image"
)

// NeverMatches says why the policy can choose nothing whatever is pushed, and what
// to do; empty: it can. An empty current is "without a current tag"; with one, its
// lane counts, and that nothing lower is ever chosen. Of expressions only the plain
// mistakes are seen.
func NeverMatches(p Policy, current image.Tag) (reason, hint string) {
	s, bad := newChooser(p, current)
	if bad != nil {
		return "the policy is broken: " + bad.reason, bad.hint
	}
	if p.DigestTag != "" {
		return s.never() // one tag is followed, and nothing is filtered
	}
	if p.Filter != nil && matchesNoTag(p.Filter.Pattern) {
		return "no tag matches the filter " + p.Filter.Pattern, "a tag has at least one character, and only letters, digits, dots, dashes and underscores"
	}
	for _, e := range p.Exclude {
		if inner, ok := strings.CutPrefix(e.Text, "/"); ok && matchesEveryTag(strings.TrimSuffix(inner, "/")) {
			return "every tag is excluded by " + e.Text, "exclude only what is not wanted"
		}
	}
	return s.never()
}

// matchesNoTag tells whether an expression asks for nothing, or for a character that
// no tag has.
func matchesNoTag(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	return err == nil && (onlyEmpty(re) || asksForOther(re))
}

// onlyEmpty tells whether an expression is ^$.
func onlyEmpty(re *syntax.Regexp) bool {
	return re.Op == syntax.OpConcat && len(re.Sub) == 2 && re.Sub[0].Op == syntax.OpBeginText && re.Sub[1].Op == syntax.OpEndText
}

// asksForOther tells whether an expression cannot do without a character that no tag
// has.
func asksForOther(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch:
		return true
	case syntax.OpLiteral:
		return slices.ContainsFunc(re.Rune, func(r rune) bool {
			return r > 'z' && re.Flags&syntax.FoldCase == 0 || r <= 'z' && !image.ValidTag("x"+string(r))
		})
	case syntax.OpConcat:
		return slices.ContainsFunc(re.Sub, asksForOther)
	case syntax.OpCapture, syntax.OpPlus:
		return asksForOther(re.Sub[0])
	case syntax.OpAlternate:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !asksForOther(sub) })
	}
	return false
}

// matchesEveryTag tells whether an expression is .* or .+, anchored or not.
func matchesEveryTag(pattern string) bool {
	switch strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$") {
	case ".*", ".+", ".", "(.*)", "(.+)":
		return pattern != "^.$"
	}
	return false
}
