package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// quotedRun is how many bytes in a row of an inline text make an error a
// quotation of it. Names and paths that a patch is about do not count.
const quotedRun = 8

var (
	errNoPatch = errors.New("no patch")
	// single is a sign that the YAML reader waited for.
	single = regexp.MustCompile(`'[^A-Za-z0-9]'`)
)

// inline is a text in a kustomization, which kustomize's errors quote.
type inline struct {
	field string // "web/kustomization.yaml: patches[0].patch"
	text  string
	names []string // what of it errors may show
}

// inlines are the inline texts of all kustomizations that were read.
type inlines struct {
	texts  []inline
	broken string // what is wrong with one that cannot be looked into, "" if nothing
	unsure bool   // a kustomization is not understood: what it names was not read
}

// inlines collects the patches and literals that stand in kustomizations.
func (t *tree) inlines() (found inlines) {
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		if !slices.Contains(kustomizationNames, path.Base(name)) {
			continue
		}
		var doc yaml.Node
		if err := yaml.NewDecoder(bytes.NewReader(t.files[name])).Decode(&doc); err != nil {
			found.broken = broken(name, err)
			return found
		}
		var k types.Kustomization
		found.unsure = found.unsure || k.Unmarshal(t.files[name]) != nil
		if len(doc.Content) == 0 {
			continue
		}
		for _, in := range texts(doc.Content[0]) {
			in.field = name + ": " + in.field
			if !strings.Contains(in.field, "iterals[") {
				var err error
				if in.names, err = names(in.text); err != nil {
					found.broken = broken(in.field, err)
					return found
				}
			}
			found.texts = append(found.texts, in)
		}
	}
	return found
}

// broken says where YAML is broken. The reader's own words are told where they
// quote nothing.
func broken(name string, err error) string {
	line, text := yamlError(err)
	if strings.ContainsAny(single.ReplaceAllString(text, ""), "\"'`") {
		text = ""
	}
	if line > 0 {
		name = fmt.Sprintf("%s: line %d", name, line)
	}
	if text == "" {
		return name + " is not valid YAML"
	}
	return fmt.Sprintf("%s is not valid YAML (%s)", name, strings.TrimPrefix(text, "yaml: "))
}

// texts finds the inline texts of a kustomization.
func texts(k *yaml.Node) (found []inline) {
	add := func(name string, n *yaml.Node) {
		if n = target(n); n != nil && n.Kind == yaml.ScalarNode && n.Value != "" {
			found = append(found, inline{field: name, text: n.Value})
		}
	}
	for _, name := range []string{"patches", "patchesJson6902"} {
		for i, p := range items(field(k, name)) {
			add(fmt.Sprintf("%s[%d].patch", name, i), field(p, "patch"))
		}
	}
	for i, p := range items(field(k, "patchesStrategicMerge")) {
		if p = target(p); !isPath(p.Value) {
			add(fmt.Sprintf("patchesStrategicMerge[%d]", i), p)
		}
	}
	for _, name := range []string{"secretGenerator", "configMapGenerator"} {
		for i, g := range items(field(k, name)) {
			for j, l := range items(field(g, "literals")) {
				add(fmt.Sprintf("%s[%d].literals[%d]", name, i, j), l)
			}
		}
	}
	return found
}

// isPath reports whether an entry that is a path or a patch can be shown as a
// path.
func isPath(s string) bool { return !strings.ContainsAny(s, "\n\t {}[]\"'") }

// names returns what of a patch errors may show: what it is a patch of. A patch
// that is neither a mapping nor a list is an error.
func names(patch string) (found []string, err error) {
	d := yaml.NewDecoder(strings.NewReader(patch))
	for {
		var doc yaml.Node
		switch err := d.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, err
		}
		if len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode {
			return nil, errNoPatch
		}
		root := doc.Content[0]
		meta := field(root, "metadata")
		shown := []*yaml.Node{field(root, "apiVersion"), field(root, "kind"), field(meta, "name"), field(meta, "namespace")}
		for _, op := range items(root) {
			shown = append(shown, field(op, "path"))
		}
		for _, n := range shown {
			if n != nil && len(n.Value) >= quotedRun { // a shorter one is no quotation, and may be in every word
				found = append(found, n.Value)
			}
		}
	}
}

// quoted returns the field of the first inline text that an error quotes, "" for
// none.
func (f inlines) quoted(text string) string {
	for _, in := range f.texts {
		rest := text
		slices.SortFunc(in.names, func(a, b string) int { return len(b) - len(a) })
		for _, n := range in.names {
			rest = strings.ReplaceAll(rest, n, "\x00")
		}
		for i := 0; i+quotedRun <= len(in.text); i++ {
			if strings.Contains(rest, in.text[i:i+quotedRun]) {
				return in.field
			}
		}
	}
	return ""
}

// target follows an alias.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// field returns a field of a mapping, or nil.
func field(n *yaml.Node, name string) *yaml.Node {
	if n = target(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return target(n.Content[i+1])
		}
	}
	return nil
}

// items returns the items of a list, or none.
func items(n *yaml.Node) []*yaml.Node {
	if n = target(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}
