package patch

import (
	"bytes"
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
	count  int // of documents; a part may hold several
}

// document is one part of a file, from a "---" to before the next.
type document struct {
	start, end int
	trees      []*yaml.Node // none when it holds no marker
	simple     bool         // read without the parser
}

// read reads a file that passed the screen, or says why it is left alone. The
// trees are those of the documents that may hold a marker.
func (r *reader) read(f File) (*source, *Skipped) {
	if k := checkText(f); k != nil {
		return nil, k
	}
	s := &r.source
	s.reset(f.Data)
	r.nodes.used, r.count = 0, len(s.docs)
	if r.whole || len(s.docs) > MaxDocuments {
		return readWhole(f)
	}
	for i := range s.docs {
		if !r.document(s, &s.docs[i]) {
			return readWhole(f)
		}
	}
	s.collect()
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
	if len(s.entries) > nodeChunk {
		s.entries = nil // to clear it would cost what the largest file had
	}
	clear(s.entries) // the nodes are used again
	*s = source{data: data, lines: lineStarts(data, s.lines[:0]), docs: cut(data, s.docs[:0]), spots: s.spots[:0], entries: s.entries}
}

// document reads one document, or reports that the file is not as it should be.
func (r *reader) document(s *source, d *document) bool {
	data := s.data[d.start:d.end]
	if d.start == 0 {
		data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	}
	above := s.lineAt(d.start) - 1
	marked := MayHold(data)
	if !marked && r.simple.check(data) {
		return true
	}
	if marked {
		used := r.nodes.used
		if tree := r.simple.tree(data, above, &r.nodes); tree != nil {
			d.trees, d.simple = []*yaml.Node{tree}, true
			return true
		}
		r.nodes.used = used
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
	if marked {
		d.trees = trees
	}
	return true
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
	docs := cut(f.Data, nil)
	if len(docs) > MaxDocuments {
		return refuse(0, tooMany())
	}
	trees, err := parse(f.Data)
	if err != nil {
		if line := templateLine(f.Data); line > 0 {
			return refuse(line, templateFile())
		}
		line, text := errorLine(err)
		if strings.HasPrefix(text, parserTooDeep) {
			return refuse(line, tooDeepFile())
		}
		if at, hash := gluedMarker(f.Data); at > 0 {
			return refuse(at, glued(text, hash))
		}
		return refuse(line, notYAML(text))
	}
	if len(trees) > MaxDocuments {
		return refuse(0, tooMany())
	}
	for _, t := range trees {
		if line := braces(t); line > 0 {
			return refuse(line, templateFile())
		}
		if line := tooDeep(t, 0); line > 0 {
			return refuse(line, tooDeepFile())
		}
	}
	s := &source{data: f.Data, lines: lineStarts(f.Data, nil), docs: docs, trees: trees}
	s.collect()
	return s, nil
}

// parserTooDeep begins the parser's error about its own limit on depth.
const parserTooDeep = "exceeded max depth"

func tooDeepFile() fault {
	return fault{TooDeep, fmt.Sprintf("collections lie more than %d deep in one another", MaxDepth), "move the marked values into a file of their own"}
}

func tooMany() fault {
	return fault{TooMany, fmt.Sprintf("the file holds more than %d documents", MaxDocuments), "split it, or move the marked values into a file of their own"}
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
