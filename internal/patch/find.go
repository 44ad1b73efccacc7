package patch

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// target is a usable marker with the text it stands for.
type target struct {
	marker     Marker
	node       *yaml.Node
	start, end int // offsets of the scalar's text, quotes included
}

// scan finds the markers of a file that passed the screen.
func scan(f File) ([]target, []Skipped) {
	s, refusal := read(f)
	if refusal != nil {
		return nil, []Skipped{*refusal}
	}
	return s.targets(f.Path)
}

// targets judges every line that holds a marker.
func (s *source) targets(path string) (found []target, skipped []Skipped) {
	for _, line := range s.tokenLines() {
		t, reason, ok := s.judge(line)
		if !ok {
			continue
		}
		t.marker.Path, t.marker.Line = path, s.shown(line)
		if reason != "" {
			skipped = append(skipped, Skipped{Path: path, Line: t.marker.Line, Policy: t.marker.Policy, Reason: reason})
			continue
		}
		found = append(found, t)
	}
	return found, skipped
}

// tokenLines returns the lines that hold a marker's bytes, once each, sorted.
func (s *source) tokenLines() []int {
	var lines []int
	for _, token := range []string{ownToken, fluxToken} {
		for i := 0; ; {
			at := bytes.Index(s.data[i:], []byte(token))
			if at < 0 {
				break
			}
			i += at + len(token)
			lines = append(lines, s.lineAt(i-1))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// judge reads one line. It reports false when the line holds no marker, and a
// reason when it holds one that cannot work.
func (s *source) judge(line int) (t target, reason string, ok bool) {
	first, _ := slices.BinarySearchFunc(s.spots, line, func(p spot, l int) int { return cmp.Compare(p.node.Line, l) })
	last := first
	for last < len(s.spots) && s.spots[last].node.Line == line {
		last++
	}
	on := s.spots[first:last]
	start, end := s.bounds(line)
	if first > 0 {
		before := s.spots[first-1].node
		if isBlock(before) && len(on) == 0 && inBlock(before, s.data[start:end]) {
			return s.inText(s.data[start:end])
		}
		if isQuoted(before) {
			if o, ok := s.text(before); ok {
				if e, ok := closing(s.data, o); ok && e > start {
					start = min(e, end)
				}
			}
		}
	}
	hash := s.comment(start, end, on)
	if hash < 0 {
		return target{}, "", false
	}
	head := string(s.data[s.lines[line-1]:hash])
	alone := strings.Trim(head, " \t"+byteOrderMark) == ""
	c, ok := readComment(string(s.data[hash:end]), !alone)
	if !ok {
		return target{}, "", false
	}
	t.marker.Policy, t.marker.Part = c.policy, c.part
	if c.reason != "" {
		return t, c.reason, true
	}
	if len(on) == 0 {
		return t, besideNothing(head, alone), true
	}
	return s.pick(t, on, hash)
}

// comment returns the offset of the comment's "#" between two offsets of one
// line, -1 when there is none.
func (s *source) comment(from, to int, on []spot) int {
	for i := from; i < to; i++ {
		if s.data[i] != '#' || i > from && !strings.ContainsRune(" \t,]}\"'#", rune(s.data[i-1])) {
			continue
		}
		inside := slices.ContainsFunc(on, func(p spot) bool {
			a, b, ok := s.span(p.node)
			if !ok && isQuoted(p.node) { // goes on below: the rest of the line is text
				a, ok = s.text(p.node)
				b = to
			}
			return ok && a <= i && i < b
		})
		if !inside {
			return i
		}
	}
	return -1
}

// inBlock reports whether a line without nodes is text of the block scalar n.
func inBlock(n *yaml.Node, line []byte) bool {
	text := strings.TrimSpace(string(line))
	return text != "" && strings.Contains(n.Value, text)
}

// inText is the verdict on a line of a block scalar.
func (s *source) inText(line []byte) (target, string, bool) {
	i := bytes.IndexByte(line, '#')
	if i < 0 {
		return target{}, "", false
	}
	c, ok := readComment(string(line[i:]), false)
	return target{marker: Marker{Policy: c.policy}}, "the marker is inside a block scalar, which is text and not YAML", ok
}

// besideNothing says what a marker stands at on a line without a value.
func besideNothing(head string, alone bool) string {
	switch text := strings.Trim(head, " \t"); {
	case alone:
		return "the marker stands above or below; put it at the end of the value's own line"
	case strings.Trim(text, "]},") == "" || strings.Trim(text, "- \t") == "" && text != "---":
		return "the marker is on a collection; put it at the end of the line of one value"
	case strings.HasPrefix(text, "---"), strings.HasPrefix(text, "..."), strings.HasPrefix(text, "%"):
		return "the marker is on no value; put it at the end of the value's own line"
	}
	return "the value spans several lines; write it on one"
}

// pick chooses the scalar of a line that its marker stands for.
func (s *source) pick(t target, on []spot, hash int) (target, string, bool) {
	lastSpot := on[len(on)-1]
	if lastSpot.value != nil {
		return t, onKey(lastSpot), true
	}
	p := lastSpot
	if _, e, ok := s.span(p.node); ok && e <= hash && bytes.ContainsAny(s.data[e:hash], "]}") {
		if p, ok = oneOf(on, t.marker.Part); !ok {
			return t, "the marker is on a collection of several values; put it beside one value", true
		}
	}
	n := p.node
	switch {
	case n.Kind == yaml.AliasNode:
		return t, fmt.Sprintf("the marker is on the alias *%s; mark the value at its anchor &%s", n.Value, n.Value), true
	case isBlock(n):
		return t, "the marker is on a block scalar; write the value on one line", true
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		return t, fmt.Sprintf("the value has the tag %s; remove the tag", n.Tag), true
	case strings.Contains(n.Value, "{{"):
		return t, "the value is a template; markers work in plain YAML only", true
	}
	start, end, ok := s.span(n)
	if !ok || end > hash {
		return t, "the value spans several lines; write it on one", true
	}
	if rest := s.data[end:hash]; len(bytes.Trim(rest, " \t,]}")) > 0 && p.node == lastSpot.node {
		return t, "the marker is not at the end of its value", true
	}
	t.node, t.start, t.end = n, start, end
	t.marker.Column, t.marker.Value = n.Column, n.Value
	return t, "", true
}

// onKey says why a marker behind a key cannot work.
func onKey(p spot) string {
	switch {
	case p.value.Kind == yaml.MappingNode, p.value.Kind == yaml.SequenceNode:
		return "the marker is on a collection; put it at the end of the line of one value"
	case isMissing(p.value):
		return `the value is empty; write "" or the current value before the marker`
	}
	return "the marker is on a key; put it at the end of the value's own line"
}

// oneOf returns the value that a marker behind a closed flow collection means:
// the only one of the line, or the only one under a key that fits the part.
func oneOf(on []spot, part Part) (spot, bool) {
	values := slices.DeleteFunc(slices.Clone(on), func(p spot) bool { return p.value != nil })
	if len(values) != 1 {
		values = slices.DeleteFunc(values, func(p spot) bool { return !slices.Contains(keysOf(part), p.key) })
	}
	if len(values) != 1 {
		return spot{}, false
	}
	return values[0], true
}

// keysOf lists the keys that Kubernetes, kustomize and Helm values use.
func keysOf(part Part) []string {
	switch part {
	case PartTag:
		return []string{"tag", "newTag"}
	case PartName:
		return []string{"newName", "repository"}
	case PartDigest:
		return []string{"digest"}
	}
	return []string{"image"}
}
