package patch

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// read parses a file that passed the screen, or says why it is left alone.
func read(f File) (*source, *Skipped) {
	refuse := func(line int, format string, args ...any) (*source, *Skipped) {
		return nil, &Skipped{Path: f.Path, Line: line, Reason: fmt.Sprintf(format, args...)}
	}
	if len(f.Data) > MaxFileSize {
		return refuse(0, "the file is larger than %d MiB", MaxFileSize>>20)
	}
	if !utf8.Valid(f.Data) {
		return refuse(0, "the file is not UTF-8")
	}
	docs, err := parse(f.Data)
	if err != nil {
		line, text := errorLine(err)
		if i := bytes.Index(f.Data, []byte("{{")); i >= 0 {
			return refuse(1+bytes.Count(f.Data[:i], []byte{'\n'}), "the file holds template braces {{ }}; markers work in plain YAML only")
		}
		return refuse(line, "the file is not YAML: %s", text)
	}
	for _, d := range docs {
		if line := braces(d); line > 0 {
			return refuse(line, "the file holds template braces {{ }}; markers work in plain YAML only")
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
