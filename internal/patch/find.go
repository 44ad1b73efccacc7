package patch

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// target is a usable marker with the text it stands for.
type target struct {
	marker     Marker
	at         place
	style      yaml.Style
	text       bool // it is read as text, and not as a number or the like
	start, end int  // offsets of the scalar's text, quotes included
}

// place is where a scalar is, as the parser counts. It outlives the tree.
type place struct{ line, column int }

func placeOf(n *yaml.Node) place { return place{n.Line, n.Column} }

// scan finds the markers of a file that passed the screen.
func scan(f File) ([]target, []Skipped) {
	var r reader
	s, refusal := r.read(f)
	if refusal != nil {
		return nil, []Skipped{*refusal}
	}
	return s.found, s.broken
}

// targets judges every line between two offsets that holds a marker, by the spots
// that are known.
func (s *source) targets(path string, from, to int) (found []target, skipped []Skipped) {
	for _, line := range s.tokenLines(from, to) {
		t, why, ok := s.judge(line)
		if !ok {
			continue
		}
		t.marker.Path, t.marker.Line = path, s.shown(line)
		if why.is() {
			skipped = append(skipped, why.at(t.marker))
			continue
		}
		found = append(found, t)
	}
	return found, skipped
}

// tokenLines returns the lines between two offsets that hold a marker's bytes, once
// each, sorted.
func (s *source) tokenLines(from, to int) []int {
	var lines []int
	for _, token := range []string{ownToken, fluxToken} {
		for i := from; ; {
			at := bytes.Index(s.data[i:to], []byte(token))
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
// fault when it holds one that cannot work.
func (s *source) judge(line int) (t target, why fault, ok bool) {
	on, next := s.spotsOn(line)
	start, end := s.bounds(line)
	if line == 1 && bytes.HasPrefix(s.data, []byte(byteOrderMark)) {
		start += len(byteOrderMark)
	}
	if next.before != nil {
		if isBlock(next.before) && len(on) == 0 && s.inBlock(next.before, s.data[start:end]) {
			return s.inText(start, end)
		}
		start = s.behind(next.before, start, end)
	}
	hash := s.comment(start, end, on)
	if hash < 0 {
		return s.inValue(line, end)
	}
	head := string(s.data[s.lines[line-1]:hash])
	alone := strings.Trim(head, " \t"+byteOrderMark) == ""
	c, ok := readComment(string(s.data[hash:end]), !alone)
	switch {
	case !ok:
		return s.inValue(line, hash)
	case alone && c.verdict == NotFirst: // a value that is commented out
		return target{}, fault{}, false
	}
	t.marker.Policy, t.marker.Part, t.marker.Column = c.policy, c.part, s.column(line, hash)
	switch {
	case c.is():
		return t, c.fault, true
	case len(on) == 0:
		return t, besideNothing(head, alone, next.after), true
	}
	return s.pick(t, on, hash)
}

// around is what stands before and after a line.
type around struct {
	before *yaml.Node
	after  *spot
}

// spotsOn returns the spots of a line and its neighbours, nil where there are none.
func (s *source) spotsOn(line int) ([]spot, around) {
	first, _ := slices.BinarySearchFunc(s.spots, line, func(p spot, l int) int { return cmp.Compare(p.node.Line, l) })
	last := first
	for last < len(s.spots) && s.spots[last].node.Line == line {
		last++
	}
	var a around
	if first > 0 && s.together(s.spots[first-1].node.Line, line) {
		a.before = s.spots[first-1].node
	}
	if last < len(s.spots) && s.together(line, s.spots[last].node.Line) {
		a.after = &s.spots[last]
	}
	return s.spots[first:last], a
}

// behind returns where a line goes on after the quoted text of an earlier line
// that reaches into it.
func (s *source) behind(n *yaml.Node, start, end int) int {
	if !isQuoted(n) {
		return start
	}
	if e, ok := s.closingOf(n); ok && e > start {
		return min(e, end)
	}
	return start
}

// column counts the runes of a line up to an offset, from 1.
func (s *source) column(line, offset int) int {
	return 1 + utf8.RuneCount(bytes.TrimPrefix(s.data[s.lines[line-1]:offset], []byte(byteOrderMark)))
}

// comment returns the offset of the comment's "#" between two offsets of one
// line, -1 when there is none.
func (s *source) comment(from, to int, on []spot) int {
	a, b := -1, -1 // the text of the first of on that may hold what is to come
	for i := from; i < to; i++ {
		if s.data[i] != '#' || i > from && !strings.ContainsRune(" \t,]}\"'#", rune(s.data[i-1])) {
			continue
		}
		for b <= i && len(on) > 0 {
			a, b = s.spanOn(on[0].node, to)
			on = on[1:]
		}
		if i < a || i >= b {
			return i
		}
	}
	return -1
}

// spanOn returns where the text of a scalar is on its first line, which ends at
// an offset; -1, -1 when that cannot be said.
func (s *source) spanOn(n *yaml.Node, to int) (start, end int) {
	start, end, ok := s.span(n)
	if !ok && isQuoted(n) { // goes on below: the rest of the line is text
		start, ok = s.text(n)
		end = to
	}
	if !ok {
		return -1, -1
	}
	return start, end
}

// inText is the verdict on a line of a block scalar.
func (s *source) inText(start, end int) (target, fault, bool) {
	t, ok := s.asText(start, end)
	return t, fault{InBlockScalar, "the marker is inside a block scalar, which is text and not YAML", "move the value out of the text, as into a file of its own, or remove the marker"}, ok
}

// inValue is the verdict on a line whose values or keys hold what reads as a
// marker, before an offset.
func (s *source) inValue(line, end int) (target, fault, bool) {
	t, ok := s.asText(s.lines[line-1], end)
	return t, fault{NotBeside, "the marker is inside the value: its # stands in quotes, or without a blank before it", hintOwnLine + ", behind a blank, or reword the value"}, ok
}

// asText looks for a marker in a text that is no comment.
func (s *source) asText(start, end int) (target, bool) {
	line := bytes.TrimPrefix(s.data[start:end], []byte(byteOrderMark))
	i := bytes.IndexByte(line, '#')
	if i < 0 {
		return target{}, false
	}
	c, ok := readComment(string(line[i:]), false)
	return target{marker: Marker{Policy: nameIn(c.policy), Column: 1 + utf8.RuneCount(line[:i])}}, ok
}

const (
	hintOneValue = "put it at the end of the line of one value"
	hintOwnLine  = "put it at the end of the value's own line"
	hintOneLine  = "write the value on one line"
)

// besideNothing says what a marker stands at on a line without a value.
func besideNothing(head string, alone bool, after *spot) fault {
	text := strings.Trim(head, " \t"+byteOrderMark)
	switch {
	case alone:
		return fault{NotBeside, "the marker stands on a line of its own, above or below a value", hintOwnLine}
	case strings.HasPrefix(text, "---"), strings.HasPrefix(text, "..."), strings.HasPrefix(text, "%"):
		return fault{NoValue, "the marker is on a line that separates documents and holds no value", hintOwnLine}
	case strings.Trim(text, "- \t") == "" && after != nil && after.value == nil:
		return fault{OnKey, "the marker is on the dash of an item whose value stands below", hintOwnLine}
	case strings.Trim(text, "?: \t") == "":
		return fault{OnKey, "the marker is on a complex key", hintOwnLine}
	case strings.Trim(text, "]},- \t") == "":
		return onCollection()
	case strings.HasSuffix(text, "{"), strings.HasSuffix(text, "["):
		return onCollection()
	}
	return severalLines()
}

func onCollection() fault {
	return fault{OnCollection, "the marker is on a collection", hintOneValue}
}

func severalLines() fault {
	return fault{SeveralLines, "the value goes over several lines", hintOneLine}
}

// pick chooses the scalar of a line that its marker stands for.
func (s *source) pick(t target, on []spot, hash int) (target, fault, bool) {
	lastSpot := on[len(on)-1]
	if lastSpot.value != nil && !s.closes(lastSpot, hash) {
		return t, s.onKey(lastSpot), true
	}
	p := lastSpot
	if s.closes(lastSpot, hash) {
		var ok bool
		if p, ok = oneOf(on, t.marker.Part); !ok {
			return t, fault{OnCollection, "the marker is on a collection of several values", "write the collection over several lines, and the marker beside one value"}, true
		}
		if p.value != nil {
			return t, noValue(), true
		}
	}
	if k := unfit(p.node); k.is() {
		return t, k, true
	}
	start, end, ok := s.span(p.node)
	if !ok || end > hash {
		return t, severalLines(), true
	}
	if rest := s.data[end:hash]; len(bytes.Trim(rest, " \t,]}")) > 0 && p.node == lastSpot.node {
		return t, fault{NotBeside, "the marker is not at the end of its value", hintOwnLine}, true
	}
	t.at, t.style, t.text, t.start, t.end = placeOf(p.node), p.node.Style, p.node.ShortTag() == "!!str", start, end
	t.marker.Column, t.marker.Value = p.node.Column, strings.Clone(p.node.Value) // not holding on to the file
	why := s.misfit(t.marker, p)
	if !why.is() {
		why = s.besideDigest(p)
	}
	return t, why, true
}

// closes reports whether a flow collection ends between a spot and its comment.
func (s *source) closes(p spot, hash int) bool {
	if p.value != nil && !isMissing(p.value) {
		return false
	}
	_, e, ok := s.span(p.node)
	return ok && e <= hash && bytes.ContainsAny(s.data[e:hash], "]}")
}

// unfit says why no marker can stand for a node.
func unfit(n *yaml.Node) fault {
	switch {
	case n.Kind == yaml.AliasNode && n.Alias != nil && n.Alias.Kind != yaml.ScalarNode:
		return fault{OnAlias, fmt.Sprintf("the marker is on the alias *%s, which stands for a collection", n.Value), fmt.Sprintf("mark the value inside &%s", n.Value)}
	case n.Kind == yaml.AliasNode:
		return fault{OnAlias, fmt.Sprintf("the marker is on the alias *%s", n.Value), fmt.Sprintf("mark the value at its anchor &%s", n.Value)}
	case isBlock(n):
		return fault{InBlockScalar, "the marker is on the header of a block scalar", hintOneLine}
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		return fault{Tagged, fmt.Sprintf("the value has the tag %s", n.Tag), "remove the tag"}
	case strings.Contains(n.Value, "{{"):
		return fault{Template, "the value is a template", "mark values in plain YAML, as in the chart's values"}
	}
	return fault{}
}

func noValue() fault {
	return fault{NoValue, "the value is empty", `write "" or the current value before the marker`}
}

// onKey says why a marker behind a key cannot work.
func (s *source) onKey(p spot) fault {
	start, _ := s.bounds(p.node.Line)
	o, ok := s.offset(p.node)
	switch {
	case ok && strings.HasPrefix(strings.TrimLeft(string(s.data[start:o]), " \t-"), "?"):
		return fault{OnKey, "the marker is on a complex key", hintOwnLine}
	case p.value.Kind == yaml.MappingNode, p.value.Kind == yaml.SequenceNode:
		return onCollection()
	case isMissing(p.value):
		return noValue()
	}
	return fault{OnKey, "the marker is on a key, whose value stands below", hintOwnLine}
}

// oneOf returns the value that a marker behind a closed flow collection means:
// the only one of the line, or the only one under a key that fits the part. A
// key stands for the value that is not written.
func oneOf(on []spot, part Part) (spot, bool) {
	values := slices.DeleteFunc(slices.Clone(on), func(p spot) bool { return p.value != nil && !isMissing(p.value) })
	if len(values) != 1 {
		values = slices.DeleteFunc(values, func(p spot) bool {
			key := p.key
			if p.value != nil {
				key = p.node.Value
			}
			return !slices.Contains(keysOf(part), key)
		})
	}
	if len(values) != 1 {
		return spot{}, false
	}
	return values[0], true
}

// keysOf lists the keys that Kubernetes, kustomize and Helm values use, and the
// value of an environment variable or a parameter, which may be any part.
func keysOf(part Part) []string {
	switch part {
	case PartTag:
		return []string{"tag", "newTag", "value"}
	case PartName:
		return []string{"newName", "repository", "value"}
	case PartDigest, PartRegistry, PartRepository:
		return []string{string(part), "value"}
	}
	return []string{"image", "value"}
}
