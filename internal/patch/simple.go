package patch

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// The simple reader knows the part of YAML that most manifests are written in:
// block mappings and lists, plain and quoted scalars, block scalars, flow
// collections of one line, comments. It is some twenty times as fast as the
// parser and allocates next to nothing. It is cautious: what it accepts, the
// parser accepts and reads the same way (FuzzSimpleAgrees); whatever is not
// plainly simple — anchors, tags, directives, tabs, rare characters — it leaves
// to the parser. It never decides that a file is broken.

const (
	// maxSimpleKey is the length of a key in bytes from which the parser, which
	// gives up at 1,024 characters, is asked.
	maxSimpleKey = 1000
	// maxSimpleFlow is how deep flow collections may lie in one another.
	maxSimpleFlow = 4
)

// level is an open collection of the text.
type level struct {
	indent int
	seq    bool
	node   *yaml.Node // nil when no tree is built
}

// simpleReader reads one document. The zero value with data set reads, too.
type simpleReader struct {
	data   []byte // the document, from its "---" to before the next
	text   string // the same, when a tree is built
	line   int    // number of the current line; before reading, of the lines above
	nodes  *nodes // where the tree is built; nil: the document is only checked
	levels []level
	root   *yaml.Node

	cur     []byte // the current line without its break
	from    int    // its offset
	at      int    // offset of the next line
	narrow  bool   // every byte of the line is one column
	passed  int    // offset in the line to which its characters were counted
	runes   int    // how many these are
	counted int    // bytes in which characters were counted, for the tests of costs
	open    bool   // a key or a "-" waits for a value on the lines below
	began   bool
}

// check reports whether a document is valid, without building a tree. False
// means only that the parser must be asked.
func (r *simpleReader) check(data []byte) bool {
	*r = simpleReader{data: data, levels: r.levels[:0]}
	return r.read()
}

// tree reads a document into nodes as the parser would, but for comments,
// which it leaves out, tags, which it leaves to ShortTag, and the places of
// missing values. It returns nil when the parser must be asked. Lines are
// counted on from above.
func (r *simpleReader) tree(data []byte, above int, n *nodes) *yaml.Node {
	*r = simpleReader{data: data, text: string(data), line: above, nodes: n, levels: r.levels[:0]}
	r.root = n.next()
	r.root.Kind = yaml.DocumentNode
	if !r.read() || !r.began {
		return nil
	}
	return r.root
}

func (r *simpleReader) read() bool {
	for r.at < len(r.data) {
		if !r.next() {
			return false
		}
		i := r.skipSpaces(0)
		if i == len(r.cur) || r.cur[i] == '#' {
			continue
		}
		if r.from == 0 && i == 0 && bytes.HasPrefix(r.cur, []byte("---")) {
			if len(bytes.TrimLeft(r.cur[3:], " ")) > 0 {
				return false
			}
			r.place(r.root, 0)
			continue
		}
		if !r.content(i) {
			return false
		}
	}
	if r.open {
		r.missing()
	}
	return true
}

// next goes to the next line. It reports false when the line holds a character
// that the parser might refuse or take for a line break.
func (r *simpleReader) next() bool {
	rest := r.data[r.at:]
	r.from = r.at
	r.cur = rest
	r.at = len(r.data)
	if n := bytes.IndexByte(rest, '\n'); n >= 0 {
		r.cur = rest[:n]
		r.at = r.from + n + 1
		if n > 0 && rest[n-1] == '\r' {
			r.cur = rest[:n-1]
		}
	}
	r.line++
	r.narrow, r.passed, r.runes = true, 0, 0
	for i, c := range r.cur {
		switch {
		case c >= ' ' && c < 0x7f, c == '\t':
		case c < 0x80, !utf8.RuneStart(c) && i == 0:
			return false
		default:
			r.narrow = false
			if odd(r.cur[i:]) {
				return false
			}
		}
	}
	return true
}

// back makes the current line the next one again.
func (r *simpleReader) back() {
	r.at = r.from
	r.line--
}

// odd reports whether b starts with a control character, a line break of
// Unicode, a byte order mark or what is no character. The bytes are known to be
// UTF-8 together with what follows.
func odd(b []byte) bool {
	switch b[0] {
	case 0xC2:
		return len(b) < 2 || b[1] < 0xA0
	case 0xE2:
		return len(b) < 3 || b[1] == 0x80 && (b[2] == 0xA8 || b[2] == 0xA9)
	case 0xEF:
		return len(b) < 3 || b[1] == 0xBB && b[2] == 0xBF || b[1] == 0xBF && b[2] >= 0xBE
	}
	return false
}

// content reads a line that holds more than a comment, from its indentation i.
func (r *simpleReader) content(i int) bool {
	entry := r.isEntry(i)
	if !r.settle(i, entry) {
		return false
	}
	if !entry {
		colon, ok := r.key(i)
		return ok && r.pair(i, colon)
	}
	for {
		i = r.skipSpaces(i + 1)
		switch {
		case i == len(r.cur):
			r.open = true
			return true
		case r.cur[i] == '#': // the parser has notions of its own about these
			return false
		case !r.isEntry(i):
			if colon, ok := r.key(i); ok {
				return r.push(i, false) && r.pair(i, colon)
			}
			return r.value(i)
		case !r.push(i, true):
			return false
		}
	}
}

func (r *simpleReader) isEntry(i int) bool {
	return r.cur[i] == '-' && (i+1 == len(r.cur) || r.cur[i+1] == ' ')
}

// settle closes the collections that a line's indentation ends, and opens the
// one that it begins.
func (r *simpleReader) settle(indent int, seq bool) bool {
	if len(r.levels) == 0 {
		if r.began {
			return false
		}
		r.began = true
		if r.root != nil && r.root.Line == 0 {
			r.place(r.root, indent)
		}
		return r.push(indent, seq)
	}
	if top := r.top(); r.open {
		r.open = false
		// A list may stand below its key without being indented.
		if indent > top.indent || seq && !top.seq && indent == top.indent {
			return r.push(indent, seq)
		}
		r.missing()
	}
	for r.top().indent > indent {
		if len(r.levels) == 1 {
			return false
		}
		r.pop()
	}
	if top := r.top(); top.indent == indent && top.seq && !seq && len(r.levels) > 1 {
		r.pop() // the key after such a list
	}
	return r.top().indent == indent && r.top().seq == seq
}

func (r *simpleReader) top() level { return r.levels[len(r.levels)-1] }

func (r *simpleReader) pop() { r.levels = r.levels[:len(r.levels)-1] }

// push opens a collection whose first key or "-" is at offset i of the line.
func (r *simpleReader) push(i int, seq bool) bool {
	kind := yaml.MappingNode
	if seq {
		kind = yaml.SequenceNode
	}
	r.levels = append(r.levels, level{indent: i, seq: seq, node: r.add(kind, i)})
	return len(r.levels) <= MaxDepth
}

// key returns the offset of the ":" of the key at offset i.
func (r *simpleReader) key(i int) (int, bool) {
	line := r.cur
	if c := line[i]; c == '"' || c == '\'' {
		end, ok := closing(line, i)
		return end, ok && end-i < maxSimpleKey && r.isColon(end)
	}
	if line[i] == '-' || !startsPlain(line[i:]) || i == 0 && line[i] == '.' {
		return 0, false
	}
	for end := i; end < len(line); end++ {
		switch {
		case line[end] == '\t', line[end] == '#' && line[end-1] == ' ':
			return 0, false
		case r.isColon(end):
			return end, line[end-1] != ' ' && end-i < maxSimpleKey
		}
	}
	return 0, false
}

// isColon reports whether the value indicator of a key is at offset i.
func (r *simpleReader) isColon(i int) bool {
	return i < len(r.cur) && r.cur[i] == ':' && (i+1 == len(r.cur) || r.cur[i+1] == ' ')
}

// pair reads the key between two offsets and what follows its colon.
func (r *simpleReader) pair(i, colon int) bool {
	if !r.scalar(i, colon) {
		return false
	}
	v := r.skipSpaces(colon + 1)
	if v == len(r.cur) || r.cur[v] == '#' {
		r.open = true
		return true
	}
	return r.value(v)
}

// value reads the value that starts at offset i and all the lines it has.
func (r *simpleReader) value(i int) bool {
	switch r.cur[i] {
	case '"', '\'':
		if end, ok := closing(r.cur, i); ok {
			return r.scalar(i, end) && r.ends(end)
		}
		return r.longQuoted(i)
	case '|', '>':
		return r.block(i)
	case '[', '{':
		end, ok := r.flow(i, 0)
		return ok && r.ends(end)
	}
	if !startsPlain(r.cur[i:]) {
		return false
	}
	end, comment, ok := plainEnd(r.cur, i)
	if !ok || !r.scalar(i, end) {
		return false
	}
	return comment || !r.goesOn() || r.longPlain(i, end)
}

// ends reports whether nothing but a comment follows offset i.
func (r *simpleReader) ends(i int) bool {
	next := r.skipSpaces(i)
	return next == len(r.cur) || next > i && r.cur[next] == '#'
}

func (r *simpleReader) skipSpaces(i int) int {
	for i < len(r.cur) && r.cur[i] == ' ' {
		i++
	}
	return i
}

// startsPlain reports whether a plain scalar surely starts with these bytes.
func startsPlain(b []byte) bool {
	c := b[0]
	if c == '-' {
		return len(b) > 1 && (isWord(b[1]) || b[1] == '-')
	}
	return isWord(c) || c >= 0x80 || strings.IndexByte("_./$+(~<=^;\\", c) >= 0
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// plainEnd returns the offset behind the plain text of a line that starts at i,
// and whether a comment follows. It is not ok where a ":" might make a key of
// it, and where tabs are.
func plainEnd(line []byte, i int) (end int, comment, ok bool) {
	for end = i; end < len(line); end++ {
		switch line[end] {
		case '\t':
			return 0, false, false
		case ':':
			if end+1 == len(line) || line[end+1] == ' ' {
				return 0, false, false
			}
		case '#':
			if line[end-1] == ' ' {
				return i + len(bytes.TrimRight(line[i:end], " ")), true, true
			}
		}
	}
	return i + len(bytes.TrimRight(line[i:], " ")), false, true
}

// goesOn reports whether the text below is indented deeper than the current
// collection, so that it belongs to a plain scalar above.
func (r *simpleReader) goesOn() bool {
	indent := 0
	for i := r.at; i < len(r.data); i++ {
		switch r.data[i] {
		case ' ':
			indent++
		case '\r':
		case '\n':
			indent = 0
		default:
			return indent > r.top().indent && r.data[i] != '#'
		}
	}
	return false
}
