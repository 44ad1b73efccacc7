package patch

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	// MaxDocuments is how many documents a file may hold.
	MaxDocuments = 10_000
	// MaxDepth is how deep collections may lie in one another. The deepest
	// resource definitions in use have about forty levels.
	MaxDepth = 100
	// MaxValues is how many keys and values a document with a marker may hold, going
	// by the punctuation between them. The trees of two such documents are what the
	// memory is for. A file that can only be read in one piece counts as one.
	MaxValues = 200_000
)

// reader reads one file after the other and uses its memory again: what it
// returned for one file is void when it reads the next. The zero value is ready.
//
// The parser costs about thirty bytes of memory for each byte it reads, so it
// gets as little as possible. A file is cut into its documents; those without a
// marker are only checked, and the parser is asked only about those that the
// simple reader cannot judge. Whenever anything is amiss, the parser reads the
// whole file and has the last word, so that verdicts are always its own.
type reader struct {
	whole  bool // let the parser read everything: the proof that the rest is right
	source source
	after  source // of a changed file
	simple simpleReader
	nodes  nodes
	count  int          // of documents; a part may hold several
	kept   int          // the document that trees are of; -1: of none
	trees  []*yaml.Node // of the document that was read last
}

// document is one part of a file, from a "---" to before the next.
type document struct {
	start, end int
	marked     bool // it may hold a marker
	simple     bool // it is read without the parser
}

// read reads a file that passed the screen and finds its markers, or says why it is
// left alone. Documents are read one after the other, and only the tree of the last
// one is kept.
func (r *reader) read(f File) (*source, *Skipped) {
	if k := checkText(f); k != nil {
		return nil, k
	}
	s := &r.source
	s.reset(f.Data)
	r.count, r.kept, r.trees = len(s.docs), -1, nil
	r.nodes.shrink()
	if r.whole || len(s.docs) > MaxDocuments {
		return readWhole(f)
	}
	for i := range s.docs {
		if !r.document(s, i) {
			return readWhole(f)
		}
		if d := s.docs[i]; d.marked {
			s.take(r.trees)
			found, broken := s.targets(f.Path, d.start, d.end)
			s.found, s.broken = append(s.found, found...), append(s.broken, broken...)
		}
	}
	return s, nil
}

// checkText is CheckFile for a file that is about to be parsed. A byte order mark
// inside a file is refused: the parser, which is that of Kubernetes' tools too,
// skips it, or a character elsewhere, depending on where its buffer begins.
func checkText(f File) *Skipped {
	if k := CheckFile(f); k != nil {
		return k
	}
	text := bytes.TrimPrefix(f.Data, []byte(byteOrderMark))
	i := bytes.Index(text, []byte(byteOrderMark))
	if i < 0 {
		return nil
	}
	s := notYAML("a byte order mark stands inside it").at(Marker{Path: f.Path, Line: 1 + bytes.Count(text[:i], []byte{'\n'})})
	return &s
}

// reset begins with another text in the same memory.
func (s *source) reset(data []byte) {
	*s = source{data: data, lines: lineStarts(data, s.lines[:0]), docs: cut(data, s.docs[:0]), spots: s.spots[:0], entries: s.entries, found: s.found[:0]}
}

// document reads one document, or reports that the file is not as it should be.
func (r *reader) document(s *source, i int) bool {
	d := &s.docs[i]
	data := s.part(*d)
	if d.marked = MayHold(data); !d.marked && r.simple.check(data) {
		return true
	}
	if separators(data) > MaxValues {
		return false
	}
	above := s.lineAt(d.start) - 1
	if d.marked && r.readSimple(data, above) {
		d.simple, r.kept = true, i
		return true
	}
	trees, err := parse(data)
	if r.count += len(trees) - 1; err != nil || r.count > MaxDocuments {
		return false
	}
	for _, t := range trees {
		if braces(t) > 0 || tooDeep(t, 0) > 0 {
			return false
		}
		shift(t, above)
	}
	if d.marked {
		r.trees, r.kept = trees, i
	}
	return true
}

// part is the text of a document, without the mark at the beginning of the file.
func (s *source) part(d document) []byte {
	data := s.data[d.start:d.end]
	if d.start == 0 {
		data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	}
	return data
}

// readSimple reads a document with the simple reader, in the memory of the one
// before.
func (r *reader) readSimple(data []byte, above int) bool {
	r.nodes.used, r.kept = 0, -1
	tree := r.simple.tree(data, above, &r.nodes)
	if tree == nil {
		return false
	}
	r.trees = append(r.trees[:0:0], tree)
	return true
}

// again returns the trees of a document that was read, and reads them once more
// when others were read since.
func (r *reader) again(s *source, i int) ([]*yaml.Node, error) {
	if r.kept != i {
		r.count = len(s.docs)
		if !r.document(s, i) {
			return nil, errors.New("it cannot be read a second time")
		}
	}
	return r.trees, nil
}

// separators counts what stands between keys and values: of a text that it is in,
// too, so that there may be fewer of these.
func separators(data []byte) int {
	n := 0
	for i, c := range data {
		switch c {
		case ',', '[', '{':
			n++
		case ':', '-', '?':
			if i+1 == len(data) || data[i+1] <= ' ' || data[i+1] >= 0x80 || i > 0 && (data[i-1] == '"' || data[i-1] == '\'') {
				n++
			}
		}
	}
	return n
}

// readWhole reads all of a file with the parser, or says why it is left alone.
func readWhole(f File) (*source, *Skipped) {
	refuse := func(line int, k fault) (*source, *Skipped) {
		s := k.at(Marker{Path: f.Path, Line: line})
		return nil, &s
	}
	if k := checkText(f); k != nil {
		return nil, k
	}
	s := &source{data: f.Data, lines: lineStarts(f.Data, nil), docs: cut(f.Data, nil), whole: true}
	if len(s.docs) > MaxDocuments {
		return refuse(0, tooMany())
	}
	for _, d := range s.docs {
		if separators(s.data[d.start:d.end]) > MaxValues {
			return refuse(1+bytes.Count(s.data[:d.start], []byte{'\n'}), tooManyValues())
		}
	}
	keep := separators(f.Data) <= MaxValues
	line, why := 0, fault{}
	count := 0
	err := parseEach(f.Data, func(t *yaml.Node) {
		count++
		if !why.is() {
			line, why = badTree(t)
		}
		if keep {
			s.trees = append(s.trees, t)
		}
	})
	switch {
	case err != nil:
		return refuse(whyNoYAML(f.Data, err))
	case count > MaxDocuments:
		return refuse(0, tooMany())
	case why.is():
		return refuse(line, why)
	case !keep:
		return refuse(0, tooManyValues())
	}
	s.take(s.trees)
	s.found, s.broken = s.targets(f.Path, 0, len(s.data))
	return s, nil
}

// whyNoYAML is the verdict on a text that the parser refuses, and its line.
func whyNoYAML(data []byte, err error) (int, fault) {
	if line := templateLine(data); line > 0 {
		return line, templateFile()
	}
	line, text := errorLine(err)
	if strings.HasPrefix(text, parserTooDeep) {
		return line, tooDeepFile()
	}
	if at, hash := gluedMarker(data); at > 0 {
		return at, glued(text, hash)
	}
	return line, notYAML(text)
}

// badTree says why a document of a readable file is refused, and in which line.
func badTree(t *yaml.Node) (int, fault) {
	if line := braces(t); line > 0 {
		return line, templateFile()
	}
	if line := tooDeep(t, 0); line > 0 {
		return line, tooDeepFile()
	}
	return 0, fault{}
}

// parserTooDeep begins the parser's error about its own limit on depth.
const parserTooDeep = "exceeded max depth"

func tooDeepFile() fault {
	return fault{TooDeep, fmt.Sprintf("collections lie more than %d deep in one another", MaxDepth), "move the marked values into a file of their own"}
}

func tooMany() fault {
	return fault{TooMany, fmt.Sprintf("the file holds more than %d documents", MaxDocuments), "split it, or move the marked values into a file of their own"}
}

func tooManyValues() fault {
	return fault{TooManyValues, fmt.Sprintf("a document holds more than %d keys and values", MaxValues), "move the marked values into a file of their own"}
}

// cut finds the documents of a file without parsing it, and adds them to docs.
// At the beginning of a line, "---" and a space or a line break always separate
// documents: a quoted scalar and a flow collection may not hold it, and a block
// scalar never has text in the first column. Where only rarer line breaks stand
// before it, it does not cut; a part may hold several documents. A part that
// needs what stands in another (a directive, an anchor) is no YAML by itself.
func cut(data []byte, docs []document) []document {
	separator := []byte("\n---")
	start := 0
	for i := 0; ; {
		n := bytes.Index(data[i:], separator)
		if n < 0 {
			return append(docs, document{start: start, end: len(data)})
		}
		i += n + 1
		rest := data[i+len(separator)-1:]
		if len(rest) == 0 || rest[0] == '\n' || rest[0] == '\r' || isBlank(rest[0]) {
			if docs = append(docs, document{start: start, end: i}); len(docs) > MaxDocuments {
				return docs // too many anyway
			}
			start = i
		}
	}
}

// together reports whether two lines are of one document.
func (s *source) together(a, b int) bool {
	return s.documentOf(a) == s.documentOf(b)
}

func (s *source) documentOf(line int) int {
	i, exact := slices.BinarySearchFunc(s.docs, s.lines[line-1], func(d document, o int) int { return d.start - o })
	if !exact {
		i--
	}
	return i
}

// shift moves a tree down by a number of lines.
func shift(n *yaml.Node, lines int) {
	n.Line += lines
	for _, c := range n.Content {
		shift(c, lines)
	}
}

// tooDeep returns the line of a collection that lies too deep, or 0. A document
// is 0 deep, its root 1.
func tooDeep(n *yaml.Node, depth int) int {
	if depth > MaxDepth && (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) {
		return max(n.Line, 1)
	}
	for _, c := range n.Content {
		if line := tooDeep(c, depth+1); line > 0 {
			return line
		}
	}
	return 0
}

// braces returns the line of a template's {{ }}, which YAML reads as a mapping
// with a mapping as its key, or 0.
func braces(n *yaml.Node) int {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && i%2 == 0 && c.Kind == yaml.MappingNode && c.Style&yaml.FlowStyle != 0 {
			return n.Line
		}
		if line := braces(c); line > 0 {
			return line
		}
	}
	return 0
}
