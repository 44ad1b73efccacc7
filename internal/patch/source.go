package patch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// byteOrderMark is what some editors put before UTF-8. It has no column.
const byteOrderMark = "\ufeff"

// source is a file that was read: its bytes, its lines as YAML counts them, its
// documents, and the scalars and aliases in the order of the text.
type source struct {
	data  []byte
	lines []int // offset of each line's first byte
	docs  []document
	whole bool         // the parser read the file in one piece
	trees []*yaml.Node // of all documents, when whole
	spots []spot       // of the trees that were taken in last
	last  cursor

	found  []target // the usable markers
	broken []Skipped

	entries map[*yaml.Node]entry // of the mappings that were looked through
	looked  int                  // pairs that were, for the tests of costs
}

// cursor is where the last question about a text was answered. Lines are judged
// in their order, so the next one need not begin at the top: without it, the
// cost of many markers in one long line, text or file would grow with its square.
type cursor struct {
	counted, newlines    int // offset, and "\n" before it
	line, column, offset int // of a node
	quoted               *yaml.Node
	quotedEnd            int // offset behind its quote; 0: it is not closed
	block                *yaml.Node
	blockAt              int // offset in its value; -1: its text is over
}

// spot is a scalar or an alias.
type spot struct {
	node  *yaml.Node
	key   string     // of the mapping the node is a value of; "" in a sequence
	in    *yaml.Node // the mapping the node is a value of
	value *yaml.Node // set when node is a key: what it is the key of
}

// parse reads every document of data. It never panics.
func parse(data []byte) (docs []*yaml.Node, err error) {
	err = parseEach(data, func(n *yaml.Node) { docs = append(docs, n) })
	if err != nil {
		return nil, err
	}
	return docs, nil
}

// parseEach reads one document after the other, and keeps none. It never panics.
func parseEach(data []byte, take func(*yaml.Node)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: the parser failed: %v", r)
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		switch err := d.Decode(&n); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		take(&n)
	}
}

// errorLine takes the line out of a YAML error, 0 when it names none, and
// returns what is left of its text.
func errorLine(err error) (int, string) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	number, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": ")
	if line, e := strconv.Atoi(number); ok && e == nil {
		return line, rest
	}
	return 0, text
}

// take gathers the spots of trees in the place of those of others, whose nodes may
// be used again.
func (s *source) take(trees []*yaml.Node) {
	if len(s.entries) > nodeChunk {
		s.entries = nil // to clear it would cost what the largest document had
	}
	clear(s.entries)
	s.spots = s.spots[:0]
	s.last = cursor{counted: s.last.counted, newlines: s.last.newlines}
	for _, t := range trees {
		s.walk(t)
	}
}

func (s *source) walk(n *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			s.add(spot{node: k, value: v})
			s.add(spot{node: v, key: k.Value, in: n})
		}
	case yaml.ScalarNode, yaml.AliasNode:
		s.add(spot{node: n})
	default:
		for _, c := range n.Content {
			s.add(spot{node: c})
		}
	}
}

func (s *source) add(p spot) {
	switch {
	case p.node.Kind != yaml.ScalarNode && p.node.Kind != yaml.AliasNode:
		s.walk(p.node)
	case isMissing(p.node): // has no place in the text
	default:
		s.spots = append(s.spots, p)
	}
}

func isQuoted(n *yaml.Node) bool {
	return n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0
}

func isBlock(n *yaml.Node) bool { return n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 }

// isMissing reports whether n is the null of a value that is not written.
func isMissing(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "" && n.Anchor == "" && !isQuoted(n) && !isBlock(n)
}

// lineStarts splits as YAML 1.1 does, whose parser gave the line numbers. It
// adds to starts.
func lineStarts(data []byte, starts []int) []int {
	starts = append(slices.Grow(starts, bytes.Count(data, []byte{'\n'})+1), 0)
	for i := 0; i < len(data); {
		switch data[i] {
		case '\n', '\r', 0xC2, 0xE2:
			if n := lineBreak(data[i:]); n > 0 {
				i += n
				starts = append(starts, i)
				continue
			}
		}
		i++
	}
	return starts
}

// lineBreak returns the length in bytes of the line break that b starts with.
func lineBreak(b []byte) int {
	switch {
	case len(b) == 0:
		return 0
	case b[0] == '\n':
		return 1
	case b[0] == '\r':
		if len(b) > 1 && b[1] == '\n' {
			return 2
		}
		return 1
	case b[0] == 0xC2 && len(b) > 1 && b[1] == 0x85: // next line
		return 2
	case b[0] == 0xE2 && len(b) > 2 && b[1] == 0x80 && (b[2] == 0xA8 || b[2] == 0xA9): // line and paragraph separator
		return 3
	}
	return 0
}

// bounds returns the offsets of a 1-based line, its break left out.
func (s *source) bounds(line int) (start, end int) {
	start = s.lines[line-1]
	for end = start; end < len(s.data) && lineBreak(s.data[end:]) == 0; end++ {
	}
	return start, end
}

// lineAt returns the 1-based line of an offset.
func (s *source) lineAt(offset int) int {
	i, exact := slices.BinarySearch(s.lines, offset)
	if exact {
		return i + 1
	}
	return i
}

// shown is the line as editors and Git count it, which know only "\n".
func (s *source) shown(line int) int {
	at, c := s.lines[line-1], &s.last
	if at < c.counted {
		c.counted, c.newlines = 0, 0
	}
	c.newlines += bytes.Count(s.data[c.counted:at], []byte{'\n'})
	c.counted = at
	return 1 + c.newlines
}

// offset returns where a node starts, its anchor and tag included, or false
// when its position is not in the text.
func (s *source) offset(n *yaml.Node) (int, bool) {
	if n.Line < 1 || n.Line > len(s.lines) {
		return 0, false
	}
	i, column := s.lines[n.Line-1], 1
	if i == 0 && bytes.HasPrefix(s.data, []byte(byteOrderMark)) {
		i = len(byteOrderMark)
	}
	if c := s.last; c.line == n.Line && c.column <= n.Column {
		i, column = c.offset, c.column
	}
	for ; column < n.Column; column++ {
		if i >= len(s.data) {
			return 0, false
		}
		_, size := utf8.DecodeRune(s.data[i:])
		i += size
	}
	s.last.line, s.last.column, s.last.offset = n.Line, n.Column, i
	return i, true
}

// closingOf returns the offset behind the quotes of a node, or false.
func (s *source) closingOf(n *yaml.Node) (int, bool) {
	c := &s.last
	if c.quoted != n {
		c.quoted, c.quotedEnd = n, 0
		if o, ok := s.text(n); ok {
			c.quotedEnd, _ = closing(s.data, o)
		}
	}
	return c.quotedEnd, c.quotedEnd > 0
}

// inBlock reports whether a line without nodes is text of the block scalar n.
func (s *source) inBlock(n *yaml.Node, line []byte) bool {
	c := &s.last
	if c.block != n {
		c.block, c.blockAt = n, 0
	}
	text := strings.TrimSpace(string(line))
	if c.blockAt < 0 || text == "" {
		return false
	}
	i := strings.Index(n.Value[c.blockAt:], text)
	if i < 0 {
		c.blockAt = -1 // this line is below it, and so are the following
		return false
	}
	c.blockAt += i + len(text)
	return true
}

// text returns where the text of a node starts, behind its anchor and tag.
func (s *source) text(n *yaml.Node) (int, bool) {
	i, ok := s.offset(n)
	for ok && i < len(s.data) && (s.data[i] == '&' || s.data[i] == '!') {
		for i < len(s.data) && !isBlank(s.data[i]) && lineBreak(s.data[i:]) == 0 {
			i++
		}
		for i < len(s.data) && isBlank(s.data[i]) {
			i++
		}
	}
	return i, ok && i < len(s.data)
}

// span returns the offsets of a scalar's text, quotes included. It reports
// false when the text is not one piece of one line.
func (s *source) span(n *yaml.Node) (start, end int, ok bool) {
	start, ok = s.text(n)
	if !ok {
		return 0, 0, false
	}
	switch {
	case n.Kind == yaml.AliasNode:
		end = start + 1 + len(n.Value)
		return start, end, end <= len(s.data)
	case isQuoted(n):
		end, ok = closing(s.data, start)
	case isBlock(n):
		return 0, 0, false
	default:
		end = start + len(n.Value)
		ok = bytes.HasPrefix(s.data[start:], []byte(n.Value))
	}
	return start, end, ok && s.lineAt(start) == s.lineAt(end-1)
}

// closing returns the offset behind the quoted text that starts at i.
func closing(data []byte, i int) (int, bool) {
	if i >= len(data) || data[i] != '"' && data[i] != '\'' {
		return 0, false
	}
	quote := data[i]
	for i++; i < len(data); i++ {
		switch {
		case data[i] == '\\' && quote == '"':
			i++
		case data[i] == quote && quote == '\'' && i+1 < len(data) && data[i+1] == '\'':
			i++
		case data[i] == quote:
			return i + 1, true
		}
	}
	return 0, false
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
