package policy

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The limits within which the line of a syntax error is looked for. Documents
// that people write are far below them.
const (
	maxSearchLines = 300
	maxSearchBytes = 16 << 10
	maxSearches    = 5 // in one Load
)

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// syntax reports what is no YAML. It takes one of the searches that are left.
func (d *document) syntax(c chunk, err error, searches *int) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	lines := bytes.SplitAfter(c.data, []byte("\n"))
	if len(lines) <= maxSearchLines && len(c.data) <= maxSearchBytes && *searches > 0 {
		*searches--
		line = brokenLine(lines)
	}
	line = min(max(line, 1), len(lines))
	shown := lines[line-1]
	indent := len(shown) - len(bytes.TrimLeft(shown, " \t"))
	hint := "check indentation, quotes, brackets and colons in this line and the one before"
	if bytes.IndexByte(shown[:indent], '\t') >= 0 {
		hint = "indent with spaces, not with tabs"
	}
	d.failAt(place{d.offset + line, indent + 1}, "not valid YAML: "+text, hint)
}

// brokenLine is the line behind the longest beginning that is good YAML. The
// parser names the line where the outermost open thing began, or the one where
// it noticed; both can be far from the mistake.
func brokenLine(lines [][]byte) int {
	for n := len(lines) - 1; n > 0; n-- {
		var node yaml.Node
		head := bytes.Join(lines[:n], nil)
		if blank(head) || yaml.Unmarshal(head, &node) == nil {
			return n + 1
		}
	}
	return 1
}
