package pr

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	// MaxCodeOwners is how large GitHub lets the file be, in bytes; it does not read
	// a larger one at all.
	MaxCodeOwners = 3 << 20

	maxOwnersProblems = 100 // told of one file
)

// Owners are the rules of a CODEOWNERS file. The zero value has none.
type Owners struct {
	rules []ownersRule // in the file's order
}

type ownersRule struct {
	line     int
	segments []string // of the pattern; "**" stands for none or more
	owners   []string
}

// OwnersProblem is a line that GitHub skips. Line counts from 1; 0 is the file.
type OwnersProblem struct {
	Line int
	Text string
}

func (p OwnersProblem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

var codeOwner = regexp.MustCompile(`^(@[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?|[^@\s]+@[^@\s]+\.[^@\s]+)$`)

// ParseCodeOwners reads a CODEOWNERS file as GitHub does. Patterns are those of
// .gitignore but for "!", "[ ]" and "\#", which GitHub does not know; a line with
// one of these, or with an owner that cannot be one, counts as if it were not
// there, and is returned as a problem. Of sections, as GitLab has them, GitHub
// knows nothing either.
func ParseCodeOwners(data []byte) (Owners, []OwnersProblem) {
	if len(data) > MaxCodeOwners {
		return Owners{}, []OwnersProblem{{0, fmt.Sprintf("the file has %d bytes; GitHub reads none of more than %d", len(data), MaxCodeOwners)}}
	}
	var o Owners
	var problems []OwnersProblem
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		rule, err := parseOwnersLine(line)
		switch {
		case err != nil && len(problems) < maxOwnersProblems:
			problems = append(problems, OwnersProblem{n, err.Error()})
		case err == nil && rule != nil:
			rule.line = n
			o.rules = append(o.rules, *rule)
		}
	}
	return o, problems
}

// parseOwnersLine returns nil for a line without a rule.
func parseOwnersLine(line string) (*ownersRule, error) {
	words := ownersWords(strings.TrimRight(line, "\r\n"))
	if len(words) == 0 {
		return nil, nil
	}
	segments, err := ownersPattern(words[0])
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", words[0], err)
	}
	for _, w := range words[1:] {
		if !codeOwner.MatchString(w) {
			return nil, fmt.Errorf("%q is no owner; write @user, @organization/team or an e-mail address", w)
		}
	}
	return &ownersRule{segments: segments, owners: words[1:]}, nil
}

// ownersWords splits a line at blanks that no backslash precedes, up to a comment,
// which starts with a "#" that begins a word.
func ownersWords(line string) []string {
	var words []string
	var word strings.Builder
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			word.WriteRune(r)
			escaped = true
		case r == ' ' || r == '\t' || r == '\r':
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		case r == '#' && word.Len() == 0:
			return words
		default:
			word.WriteRune(r)
		}
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}

// ownersPattern turns a pattern into segments that are matched from the root of
// the repository: "**" is put before a name without a slash and behind what may be
// a folder.
func ownersPattern(p string) ([]string, error) {
	switch {
	case strings.HasPrefix(p, "!"):
		return nil, fmt.Errorf("GitHub knows no negation")
	case strings.HasPrefix(p, `\#`):
		return nil, fmt.Errorf(`GitHub does not know "\#"; "*#name" may do`)
	case strings.ContainsAny(p, "[]"):
		return nil, fmt.Errorf("GitHub knows no ranges of characters")
	case p == "/" || strings.Contains(p, "//"):
		return nil, fmt.Errorf("no path is like that")
	case strings.Contains(p, "***"):
		return nil, fmt.Errorf("three asterisks")
	case (len(p)-len(strings.TrimRight(p, `\`)))%2 == 1:
		return nil, fmt.Errorf("a backslash at the end escapes nothing")
	}
	rooted := strings.HasPrefix(p, "/")
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	last := len(segments) - 1
	switch {
	case segments[last] == "": // apps/: what is below
		segments[last] = "**"
	case segments[last] == "*" && last+btoi(rooted) > 0: // docs/*: the files right there
		return segments, nil
	case segments[last] == "*": // every file
		return []string{"**", "*"}, nil
	}
	if !rooted && segments[0] != "**" && (last == 0 || last == 1 && segments[1] == "**" && strings.HasSuffix(p, "/")) {
		segments = append([]string{"**"}, segments...)
	}
	if n := len(segments) - 1; segments[n] == "**" {
		return append(segments[:n:n], "*", "**"), nil // something is below
	}
	return append(segments, "**"), nil // a file, or a folder and what is below
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Of returns who owns a file, whose path is relative to the root, with slashes:
// the owners of the last pattern that matches, maybe none.
func (o Owners) Of(path string) []string {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, r := range slices.Backward(o.rules) {
		states := start(r.segments)
		for _, s := range segments {
			states = step(r.segments, states, func(p string) bool { return matchSegment(p, s) })
		}
		if states[len(r.segments)] {
			return slices.Clone(r.owners)
		}
	}
	return nil
}

// Covers returns who owns every file there is or may be below a folder ("" or "."
// is the root), whether these are one set (maybe of nobody), and, when they are not,
// the line of a rule that sees to it. It looks at the patterns only: a rule that
// could match some file below counts although there is none. It errs to that side.
func (o Owners) Covers(dir string) (owners []string, same bool, line int) {
	dir = strings.Trim(dir, "/")
	var segments []string
	if dir != "" && dir != "." {
		segments = strings.Split(dir, "/")
	}
	var some *ownersRule // the last that matches some files
	for i := len(o.rules) - 1; i >= 0; i-- {
		r := &o.rules[i]
		all, any := r.below(segments)
		if !any {
			continue
		}
		if some != nil && !sameSet(some.owners, r.owners) {
			return nil, false, some.line
		}
		if all {
			return slices.Clone(r.owners), true, 0
		}
		some = r
	}
	if some != nil && len(some.owners) > 0 {
		return nil, false, some.line // others have no owner
	}
	return nil, true, 0
}

// below reports whether a rule matches every path below a folder, and whether it
// could match any.
func (r *ownersRule) below(dir []string) (all, any bool) {
	must, may := start(r.segments), start(r.segments)
	for _, s := range dir {
		match := func(p string) bool { return matchSegment(p, s) }
		must, may = step(r.segments, must, match), step(r.segments, may, match)
	}
	// Names below are unknown: only "*" matches each of them, anything some. After
	// as many steps as there are segments nothing changes any more.
	all = true
	for range len(r.segments) + 1 {
		must = step(r.segments, must, func(p string) bool { return p == "*" })
		may = step(r.segments, may, func(string) bool { return true })
		all = all && must[len(r.segments)]
		any = any || may[len(r.segments)]
	}
	return all, any
}

// start and step run a pattern over the names of a path: states[i] says that what
// was read so far may be the first i segments.
func start(pattern []string) []bool {
	states := make([]bool, len(pattern)+1)
	states[0] = true
	return skip(pattern, states)
}

func step(pattern []string, states []bool, match func(segment string) bool) []bool {
	next := make([]bool, len(states))
	for i, p := range pattern {
		if !states[i] {
			continue
		}
		if p == "**" {
			next[i] = true
		} else if match(p) {
			next[i+1] = true
		}
	}
	return skip(pattern, next)
}

// skip lets "**" stand for nothing.
func skip(pattern []string, states []bool) []bool {
	for i, p := range pattern {
		if states[i] && p == "**" {
			states[i+1] = true
		}
	}
	return states
}

// matchSegment matches one name with "*" and "?"; a backslash takes the next
// character as it is.
func matchSegment(pattern, name string) bool {
	p, s := []rune(pattern), []rune(name)
	star, mark := -1, 0
	i := 0
	for j := 0; j < len(s); {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, j
			i++
		case i+1 < len(p) && p[i] == '\\' && p[i+1] == s[j]:
			i, j = i+2, j+1
		case i < len(p) && p[i] != '\\' && (p[i] == '?' || p[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// sameSet compares owners; GitHub's names know no case.
func sameSet(a, b []string) bool {
	lower := func(names []string) []string {
		var out []string
		for _, n := range names {
			out = append(out, strings.ToLower(n))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(lower(a), lower(b))
}
