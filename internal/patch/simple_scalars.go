package patch

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// nodeChunk is how many nodes are allocated at once.
const nodeChunk = 128

// What is kept for the next file of the memory of one.
const (
	maxKeptChunks  = 256 // of nodes
	maxKeptContent = 64  // children of one node
)

// nodes hands out nodes that are used again for the next file.
type nodes struct {
	chunks [][]yaml.Node
	used   int
}

func (s *nodes) next() *yaml.Node {
	chunk, i := s.used/nodeChunk, s.used%nodeChunk
	if chunk == len(s.chunks) {
		s.chunks = append(s.chunks, make([]yaml.Node, nodeChunk))
	}
	s.used++
	n := &s.chunks[chunk][i]
	if cap(n.Content) > maxKeptContent {
		n.Content = nil
	}
	*n = yaml.Node{Content: n.Content[:0]}
	return n
}

// shrink gives back what only a large document needs.
func (s *nodes) shrink() {
	if s.used = 0; len(s.chunks) > maxKeptChunks {
		clear(s.chunks[maxKeptChunks:])
		s.chunks = s.chunks[:maxKeptChunks]
	}
}

// add puts a node at offset i of the line into the current collection. It
// returns nil when no tree is built.
func (r *simpleReader) add(kind yaml.Kind, i int) *yaml.Node {
	if r.nodes == nil {
		return nil
	}
	n := r.nodes.next()
	n.Kind = kind
	r.place(n, i)
	parent := r.root
	if len(r.levels) > 0 {
		parent = r.top().node
	}
	parent.Content = append(parent.Content, n)
	return n
}

// place gives a node its position. Columns count characters.
func (r *simpleReader) place(n *yaml.Node, i int) {
	if n == nil {
		return
	}
	n.Line, n.Column = r.line, i+1
	if !r.narrow {
		n.Column = r.runesTo(i) + 1
	}
}

// runesTo counts the characters of the line before an offset, from where the last
// count ended: values stand in their order, and counting each anew would cost the
// square of a long line.
func (r *simpleReader) runesTo(i int) int {
	if i < r.passed {
		r.passed, r.runes = 0, 0
	}
	r.counted += i - r.passed
	r.runes += utf8.RuneCount(r.cur[r.passed:i])
	r.passed = i
	return r.runes
}

// missing is the null of a value that is not written.
func (r *simpleReader) missing() {
	if n := r.add(yaml.ScalarNode, 0); n != nil {
		n.Line, n.Column = 0, 0
	}
}

// scalar takes the text between two offsets of the line, quotes included.
func (r *simpleReader) scalar(i, end int) bool {
	quote := r.cur[i]
	if quote != '"' && quote != '\'' {
		if string(r.cur[i:end]) == "<<" {
			return false
		}
		if n := r.add(yaml.ScalarNode, i); n != nil {
			n.Value = r.text[r.from+i : r.from+end]
		}
		return true
	}
	if quote == '"' && !knownEscapes(r.cur[i+1:end-1]) {
		return false
	}
	if n := r.add(yaml.ScalarNode, i); n != nil {
		r.quoted(n, r.text[r.from+i+1:r.from+end-1], quote)
	}
	return true
}

// knownEscapes reports whether a double-quoted text holds only escapes that
// unescape knows.
func knownEscapes(text []byte) bool {
	for i := bytes.IndexByte(text, '\\'); i >= 0 && i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		if i == len(text) || strings.IndexByte(`\"nrt`, text[i]) < 0 {
			return false
		}
	}
	return true
}

func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			i++
			switch c = text[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// folded joins the lines of a scalar: one break is a space, of several the first
// is none.
type folded struct {
	text   strings.Builder
	breaks int
}

func (f *folded) add(text []byte) {
	switch {
	case f.breaks == 1:
		f.text.WriteByte(' ')
	case f.breaks > 1:
		for range f.breaks - 1 {
			f.text.WriteByte('\n')
		}
	}
	f.breaks = 0
	f.text.Write(text)
}

// longPlain reads on in a plain scalar whose first line is between two offsets.
func (r *simpleReader) longPlain(i, end int) bool {
	var n *yaml.Node
	var f folded
	if r.nodes != nil {
		siblings := r.top().node.Content
		n = siblings[len(siblings)-1]
		f.add(r.cur[i:end])
	}
	for comment := false; !comment && r.goesOn(); {
		var ok bool
		for i = 0; i == len(r.cur) || f.breaks == 0; f.breaks++ {
			if !r.next() {
				return false
			}
			i = r.skipSpaces(0)
		}
		if end, comment, ok = plainEnd(r.cur, i); !ok {
			return false
		}
		if n != nil {
			f.add(r.cur[i:end])
		}
		f.breaks = 0
	}
	if n != nil {
		n.Value = f.text.String()
	}
	return true
}

// longQuoted reads a quoted scalar that starts at offset i and ends on a line
// below.
func (r *simpleReader) longQuoted(i int) bool {
	n := r.add(yaml.ScalarNode, i)
	quote := r.cur[i]
	var f folded
	for first, part := true, r.cur[i+1:]; ; first, part = false, r.cur {
		end, closed := quoteEnd(part, quote)
		if quote == '"' && !knownEscapes(part[:end]) {
			return false
		}
		text := part[:end]
		if !first {
			text = bytes.TrimLeft(text, " \t")
		}
		if !closed {
			text = bytes.TrimRight(text, " \t")
		}
		if n != nil && (first || closed || len(text) > 0) {
			f.add(text)
		}
		if closed {
			r.quoted(n, f.text.String(), quote)
			return r.ends(len(r.cur) - len(part) + end + 1)
		}
		f.breaks++
		if r.at == len(r.data) || !r.next() || bytes.HasPrefix(r.cur, []byte("...")) || bytes.HasPrefix(r.cur, []byte("---")) {
			return false
		}
	}
}

// quoted gives a node the value of a text that stood in quotes.
func (r *simpleReader) quoted(n *yaml.Node, text string, quote byte) {
	switch {
	case n == nil:
	case quote == '"':
		n.Style, n.Value = yaml.DoubleQuotedStyle, unescape(text)
	default:
		n.Style, n.Value = yaml.SingleQuotedStyle, strings.ReplaceAll(text, "''", "'")
	}
}

// quoteEnd returns the offset of the quote that closes a text, or the length
// of the text and false.
func quoteEnd(text []byte, quote byte) (int, bool) {
	for i := 0; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i, true
		}
	}
	return len(text), false
}

// block reads a block scalar whose header starts at offset i. In a tree, only
// literal ones.
func (r *simpleReader) block(i int) bool {
	folded, chomp := r.cur[i] == '>', byte(0)
	header := bytes.TrimRight(r.cur[i+1:], " ")
	if len(header) > 0 {
		chomp = header[0]
	}
	if len(header) > 1 || chomp != 0 && chomp != '-' && chomp != '+' || folded && r.nodes != nil {
		return false
	}
	n := r.add(yaml.ScalarNode, i)
	parent, indent := r.top().indent, 0 // 0: no text yet
	var text strings.Builder
	breaks := 0 // that are written when more text follows
	for r.at < len(r.data) {
		if !r.next() {
			return false
		}
		column := r.skipSpaces(0)
		blank := column == len(r.cur)
		switch {
		case indent == 0 && blank && column > 0, indent == 0 && !blank && r.cur[column] == '\t':
			return false // these may set the indentation
		case indent == 0 && !blank && column > parent:
			indent = column
		case !blank && column < max(indent, parent+1):
			if r.cur[column] == '\t' {
				return false
			}
			r.back()
			return r.literal(n, &text, chomp, breaks, indent > 0)
		}
		if n != nil && indent > 0 && len(r.cur) > indent {
			for ; breaks > 0; breaks-- {
				text.WriteByte('\n')
			}
			text.Write(r.cur[indent:])
		}
		if r.data[r.at-1] == '\n' {
			breaks++
		} else if blank {
			return false
		}
	}
	return r.literal(n, &text, chomp, breaks, indent > 0)
}

// literal gives a block scalar its value, the line breaks at its end as chomp
// says.
func (r *simpleReader) literal(n *yaml.Node, text *strings.Builder, chomp byte, breaks int, some bool) bool {
	if n == nil {
		return true
	}
	switch {
	case chomp == '-', chomp == 0 && !some:
		breaks = 0
	case chomp == 0:
		breaks = min(breaks, 1)
	}
	for ; breaks > 0; breaks-- {
		text.WriteByte('\n')
	}
	n.Style, n.Value = yaml.LiteralStyle, text.String()
	return true
}

// flow reads the flow collection that starts at offset i of the line, and ends
// on it, and returns the offset behind it.
func (r *simpleReader) flow(i, depth int) (end int, ok bool) {
	kind, closer := yaml.SequenceNode, byte(']')
	if r.cur[i] == '{' {
		kind, closer = yaml.MappingNode, '}'
	}
	n := r.add(kind, i)
	if n != nil {
		n.Style = yaml.FlowStyle
	}
	// The indentation stays what it is: the collection ends on this line.
	r.levels = append(r.levels, level{indent: r.top().indent, seq: kind == yaml.SequenceNode, node: n})
	defer r.pop()
	i = r.skipSpaces(i + 1)
	if i < len(r.cur) && r.cur[i] == closer {
		return i + 1, len(r.levels) <= MaxDepth
	}
	for ok = depth < maxSimpleFlow && len(r.levels) <= MaxDepth; ok; {
		if kind == yaml.MappingNode {
			if i, ok = r.flowScalar(i); !ok || i >= len(r.cur)-1 || r.cur[i] != ':' || r.cur[i+1] != ' ' {
				return 0, false
			}
			i = r.skipSpaces(i + 1)
		}
		if i < len(r.cur) && (r.cur[i] == '[' || r.cur[i] == '{') {
			i, ok = r.flow(i, depth+1)
		} else {
			i, ok = r.flowScalar(i)
		}
		i = r.skipSpaces(i)
		switch {
		case !ok || i == len(r.cur):
			return 0, false
		case r.cur[i] == closer:
			return i + 1, true
		case r.cur[i] != ',':
			return 0, false
		}
		i = r.skipSpaces(i + 1)
	}
	return 0, false
}

// flowScalar reads a scalar inside a flow collection and returns the offset
// behind it.
func (r *simpleReader) flowScalar(i int) (end int, ok bool) {
	if i == len(r.cur) {
		return 0, false
	}
	if c := r.cur[i]; c == '"' || c == '\'' {
		end, ok = closing(r.cur, i)
		return end, ok && end-i < maxSimpleKey && r.scalar(i, end)
	}
	for end = i; end < len(r.cur); end++ {
		c := r.cur[end]
		inner := end > i && (strings.IndexByte("-+=@%$", c) >= 0 || c == ':' && end+1 < len(r.cur) && isWord(r.cur[end+1]))
		if !isWord(c) && c != '_' && c != '.' && c != '/' && !inner {
			break
		}
	}
	return end, end > i && end-i < maxSimpleKey && r.scalar(i, end)
}
