package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The one version of the documents, and their kinds.
const (
	apiVersion = "towpath.dev/v1"

	kindImagePolicy = "ImagePolicy"
	kindPipeline    = "Pipeline"
)

// parsed is a document that could at least be recognised.
type parsed struct {
	*document
	kind      string
	name      string // empty when unreadable
	namePlace place
	policy    Policy
	pipeline  Pipeline
	envs      []parsedEnvironment
}

// Load reads every document of every file. The order of the files does not
// matter. A bad document disables itself only; where two documents contradict
// each other (one name, one path) neither is used, for nothing says which of them
// is meant.
func Load(files []File) Config {
	var config Config
	var docs []*parsed
	searches := maxSearches
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range files {
		chunks, problems := splitDocuments(f)
		config.Problems = append(config.Problems, problems...)
		for _, c := range chunks {
			docs = append(docs, parseChunk(f.Path, c, &searches))
		}
	}
	check(docs, len(config.Problems) > 0)
	for _, d := range docs {
		config.Problems = append(config.Problems, d.report()...)
		switch {
		case d.bad():
		case d.kind == kindImagePolicy:
			config.Policies = append(config.Policies, d.policy)
		case d.kind == kindPipeline:
			config.Pipelines = append(config.Pipelines, d.pipeline)
		}
	}
	slices.SortFunc(config.Policies, func(a, b Policy) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(config.Pipelines, func(a, b Pipeline) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(config.Problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return config
}

// report is what to show of a document's problems.
func (d *document) report() []Problem {
	if d.hidden == 0 {
		return d.problems
	}
	last := d.problems[len(d.problems)-1]
	last.Reason, last.Hint = fmt.Sprintf("%d more problems in this document", d.hidden), "repair the ones above first"
	return append(d.problems, last)
}

// parseChunk reads one document up to the point where others matter.
func parseChunk(path string, c chunk, searches *int) *parsed {
	p := &parsed{document: &document{path: path, offset: c.line}}
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(c.data))
	if err := decoder.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) {
			p.syntax(c, err, searches)
		}
		return p
	}
	if len(root.Content) != 1 || isNull(root.Content[0]) {
		return p
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.fail(&root, "a second document begins without a line of its own", "write --- in the first column before it")
		return p
	}
	p.read(root.Content[0])
	return p
}

// read decodes a document by its kind.
func (p *parsed) read(root *yaml.Node) {
	kind, name := peek(root, "kind"), peek(peekNode(root, "metadata"), "name")
	if kind != "" && name != "" {
		p.object = oneLine(kind + "/" + name)
	}
	if p.foreign(root) {
		return
	}
	ok := p.mapping(root, "document",
		field{"apiVersion", "apiVersion: " + apiVersion, func(n *yaml.Node) { p.text(n, "apiVersion") }},
		field{"kind", "kind: ImagePolicy or kind: Pipeline", func(n *yaml.Node) { p.kind, _ = p.text(n, "kind") }},
		field{"metadata", "one like metadata: {name: web}", func(n *yaml.Node) { p.metadata(n, kind) }},
		field{"spec", "spec: with what is wanted", func(*yaml.Node) {}},
	)
	if !ok || p.kind == "" {
		return
	}
	spec := peekNode(root, "spec")
	if spec == nil || isNull(spec) {
		return
	}
	source := Source{Path: p.path, Line: p.place(root).line}
	switch p.kind {
	case kindImagePolicy:
		p.policy = Policy{Name: p.name, Source: source}
		p.imagePolicy(spec, &p.policy)
	case kindPipeline:
		p.pipeline = Pipeline{Name: p.name, Source: source}
		p.envs = p.document.pipeline(spec, &p.pipeline)
	}
}

// foreign reports a document that is not ours to read, in one line instead of
// one for each of its keys.
func (p *parsed) foreign(root *yaml.Node) bool {
	version, kind := peekNode(root, "apiVersion"), peekNode(root, "kind")
	if s := peek(root, "apiVersion"); s != "" && s != apiVersion {
		p.misshapen(version, fmt.Sprintf("unknown apiVersion %q", s), "write "+apiVersion+"; objects of others do not belong into the policies folder")
		return true
	}
	known := []string{kindImagePolicy, kindPipeline}
	s := peek(root, "kind")
	switch {
	case s == "" || slices.Contains(known, s):
		return false
	case s == "Freeze":
		p.misshapen(kind, "not supported by this version: kind Freeze", "remove the document")
		return true
	}
	hint := "the kinds are " + list(known)
	if near, ok := Nearest(s, known); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	p.misshapen(kind, fmt.Sprintf("unknown kind %q", s), hint)
	return true
}

func (p *parsed) metadata(n *yaml.Node, kind string) {
	p.mapping(n, "metadata",
		field{"name", "one like name: web", func(n *yaml.Node) {
			s, ok := p.text(n, "metadata.name")
			if !ok {
				return
			}
			checkName := checkLabel
			if kind == kindImagePolicy {
				checkName = checkSubdomain
			}
			if reason := checkName(s); reason != "" {
				p.fail(n, fmt.Sprintf("metadata.name %q %s", s, reason), nameHint)
				return
			}
			p.name, p.namePlace = s, p.place(n)
		}},
	)
}

// peekNode is the value of a key, read leniently; nil when there is none.
func peekNode(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			value := n.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			return value
		}
	}
	return nil
}

func peek(n *yaml.Node, key string) string {
	if v := peekNode(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}
