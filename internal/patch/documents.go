package patch

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// read parses a file that passed the screen, or says why it is left alone.
func read(f File) (*source, *Skipped) {
	if k := CheckFile(f); k != nil {
		return nil, k
	}
	refuse := func(line int, k fault) (*source, *Skipped) {
		s := k.at(Marker{Path: f.Path, Line: line})
		return nil, &s
	}
	docs, err := parse(f.Data)
	if err != nil {
		if line := templateLine(f.Data); line > 0 {
			return refuse(line, templateFile())
		}
		line, text := errorLine(err)
		return refuse(line, notYAML(text))
	}
	for _, d := range docs {
		if line := braces(d); line > 0 {
			return refuse(line, templateFile())
		}
	}
	return newSource(f.Data, docs), nil
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
