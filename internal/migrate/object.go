package migrate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/patch"
)

// The limits of what is read.
const (
	maxObjects = 20_000 // documents that are looked into
	maxFields  = 10_000 // fields of one object that are looked for what was not read
	maxDepth   = 50     // of nested fields, and of lists in lists of objects
	maxText    = 300    // bytes of a value that are shown in a note
)

// object is one Kubernetes object of a file. It knows which of its fields were read.
type object struct {
	path      string
	offset    int // lines before its document
	root      *yaml.Node
	api, kind string
	name      string
	namespace string
	labels    map[string]string
	read      map[*yaml.Node]bool // keys that were read
	whole     map[*yaml.Node]bool // keys whose values mean nothing here, however deep
	left      int                 // fields that may still be looked at
	misread   map[*yaml.Node]bool // values of another type than they were read as
	mistakes  []mistake           // the same, in the order they were read
}

func (o *object) String() string { return oneLine(o.kind + "/" + o.name) }

// group is the API group: "image.toolkit.fluxcd.io" of "image.toolkit.fluxcd.io/v1".
func (o *object) group() string {
	group, _, _ := strings.Cut(o.api, "/")
	return group
}

func (o *object) line() int { return o.offset + max(o.root.Line, 1) }

// field is the value at a path of keys, all of which count as read.
func (o *object) field(keys ...string) value {
	v := value{o: o, n: o.root}
	for _, k := range keys {
		v = v.get(k)
	}
	return v
}

// value is one value of an object, with the path of keys that leads to it. A missing
// one, or null, has no node.
type value struct {
	o    *object
	n    *yaml.Node
	path string
}

func (v value) ok() bool { return v.n != nil }

func (v value) line() int {
	if v.n == nil {
		return v.o.line()
	}
	return v.o.offset + max(v.n.Line, 1)
}

// get is the value of a key, which counts as read from now on.
func (v value) get(key string) value {
	out := value{o: v.o, path: joined(v.path, key)}
	if !v.isMapping() {
		return out
	}
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		if k := v.n.Content[i]; k.Value == key && k.Kind == yaml.ScalarNode {
			v.o.read[k] = true
			out.n = target(v.n.Content[i+1])
			return out
		}
	}
	out.n = v.merged(key)
	return out
}

// merged is the value of a key of the mappings that are merged into a value (<<), as
// kubectl reads them; of those merged into them in turn nothing is read.
func (v value) merged(key string) *yaml.Node {
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		k, from := v.n.Content[i], target(v.n.Content[i+1])
		if k.ShortTag() != mergeTag || from == nil {
			continue
		}
		v.o.read[k] = true
		list := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			list = from.Content
		}
		for _, m := range list {
			if m = target(m); m == nil || m.Kind != yaml.MappingNode {
				continue
			}
			for j := 0; j+1 < len(m.Content); j += 2 {
				if m.Content[j].Value == key && m.Content[j].Kind == yaml.ScalarNode {
					v.o.read[m.Content[j]] = true
					return target(m.Content[j+1])
				}
			}
		}
	}
	return nil
}

const mergeTag = "!!merge"

// skip marks keys whose values mean nothing here.
func (v value) skip(keys ...string) {
	if !v.isMapping() {
		return
	}
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		if k := v.n.Content[i]; slices.Contains(keys, k.Value) {
			v.o.read[k], v.o.whole[k] = true, true
		}
	}
}

// text is a scalar as it is written; "" for anything else.
func (v value) text() string {
	if !v.isText() {
		return ""
	}
	return v.n.Value
}

// items are the entries of a list.
func (v value) items() []value {
	if !v.isList() {
		return nil
	}
	return v.entries()
}

func (v value) entries() []value {
	if v.n.Kind != yaml.SequenceNode {
		return nil
	}
	var out []value
	for i, n := range v.n.Content {
		if n = target(n); n != nil {
			out = append(out, value{v.o, n, fmt.Sprintf("%s[%d]", v.path, i)})
		}
	}
	return out
}

// texts are the scalars of a list.
func (v value) texts() []string {
	var out []string
	for _, item := range v.items() {
		if s := item.text(); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// keys are the keys of a mapping.
func (v value) keys() []string {
	if !v.isMapping() {
		return nil
	}
	var out []string
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		out = append(out, v.n.Content[i].Value)
	}
	return out
}

// pairs are the texts of a mapping of texts.
func (v value) pairs() map[string]string {
	out := map[string]string{}
	for _, k := range v.keys() {
		out[k] = v.get(k).text()
	}
	return out
}

// target follows an alias; nil for null.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil
	}
	return n
}

// unread calls report for every field below v that nobody read.
func (v value) unread(report func(v value)) { v.walk(0, report) }

func (v value) walk(depth int, report func(v value)) {
	if v.n == nil {
		return
	}
	if v.o.left--; v.o.left == 0 || depth > maxDepth {
		report(v)
	}
	if v.o.left <= 0 || depth > maxDepth {
		return
	}
	for _, item := range v.entries() {
		item.walk(depth+1, report)
	}
	if v.n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(v.n.Content); i += 2 {
		k := v.n.Content[i]
		below := value{v.o, target(v.n.Content[i+1]), joined(v.path, k.Value)}
		if k.ShortTag() == mergeTag && v.o.read[k] {
			below.path = v.path
		}
		switch {
		case v.o.whole[k]:
		case v.o.read[k]:
			below.walk(depth+1, report)
		default:
			below.n = k // its line
			report(below)
		}
	}
}

func joined(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// read returns the objects of all files whose text has one of the tokens. What
// cannot be read is a note, if it is a document with a token.
func (c *collector) read(tokens ...string) []*object {
	var out []*object
	for _, f := range c.files {
		if !hasToken(f.Data, tokens) {
			continue
		}
		if s := patch.CheckFile(f); s != nil {
			c.add(Note{Path: f.Path, Line: s.Line, Text: s.Reason + "; its objects are not carried over"})
			continue
		}
		for _, d := range documents(f.Data) {
			if len(out) >= maxObjects {
				c.add(Note{Path: f.Path, Line: d.offset + 1, Text: fmt.Sprintf("more than %d objects; this one and all behind it are not carried over", maxObjects)})
				return out
			}
			if hasToken(d.data, tokens) {
				out = append(out, c.document(f.Path, d)...)
			}
		}
	}
	return out
}

func hasToken(data []byte, tokens []string) bool {
	return slices.ContainsFunc(tokens, func(t string) bool { return bytes.Contains(data, []byte(t)) })
}

// chunk is the text of one document and the number of lines before it.
type chunk struct {
	offset int
	data   []byte
}

// documents cuts a file at its markers, so that a document that is no YAML takes no
// other along.
func documents(data []byte) []chunk {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var out []chunk
	start, startLine, line, at := 0, 0, 0, 0
	for text := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(text, []byte("---")); ok && at > start && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0) {
			out = append(out, chunk{startLine, data[start:at]})
			start, startLine = at, line
		}
		at += len(text)
		line++
	}
	return append(out, chunk{startLine, data[start:]})
}

// document reads one document, which may be a list of objects.
func (c *collector) document(path string, d chunk) (out []*object) {
	var root yaml.Node
	if err := decode(d.data, &root); err != nil {
		c.add(Note{Path: path, Line: d.offset + 1, Text: oneLine("not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ") +
			"; its objects are not carried over (a template must be rendered first)")})
		return nil
	}
	if len(root.Content) != 1 {
		return nil
	}
	return newObjects(path, d.offset, root.Content[0], 0)
}

func decode(data []byte, root *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the parser failed: %v", r)
		}
	}()
	return yaml.Unmarshal(data, root)
}

func newObjects(path string, offset int, n *yaml.Node, depth int) []*object {
	n = target(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > maxDepth {
		return nil
	}
	o := &object{path: path, offset: offset, root: n, read: map[*yaml.Node]bool{}, whole: map[*yaml.Node]bool{}, left: maxFields}
	o.api, o.kind = o.field("apiVersion").text(), o.field("kind").text()
	if o.api == "v1" && strings.HasSuffix(o.kind, "List") {
		var out []*object
		for _, item := range o.field("items").items() {
			if len(out) < maxObjects {
				out = append(out, newObjects(path, offset, item.n, depth+1)...)
			}
		}
		return out
	}
	meta := o.field("metadata")
	o.name, o.namespace = meta.get("name").text(), meta.get("namespace").text()
	o.labels = meta.get("labels").pairs()
	return []*object{o}
}

// oneLine keeps a text of a file from breaking a line or flooding it.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }), " ")
}

// short is a value to show in a note.
func short(s string) string {
	s = oneLine(s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
