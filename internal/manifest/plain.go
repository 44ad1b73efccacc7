package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"
)

// plain renders an app of YAML files: by path, then by document.
func (t *tree) plain(d place) ([]Object, error) {
	held, err := t.walk(d.Dir, !d.flat, 0)
	if err != nil {
		return nil, err
	}
	if len(held.odd) > 0 {
		return nil, notRegular(held.odd[0])
	}
	var all []Object
	for _, name := range held.files {
		data, err := t.read(name)
		if err != nil {
			return nil, err
		}
		for i, doc := range split(lineFeeds(data)) {
			from := origin{source: name, at: fmt.Sprintf("%s: document %d", name, i+1)}
			value, err := decode(doc.data, name, doc.line, i+1)
			if err != nil {
				return nil, err
			}
			if value == nil {
				continue
			}
			found, err := objects(value, from)
			if err != nil {
				return nil, err
			}
			if all = append(all, found...); len(all) > t.limits.Objects {
				return nil, tooMany(d.Dir, t.limits.Objects)
			}
		}
	}
	return all, nil
}

// document is a piece of a YAML stream; line counts the lines before it.
type document struct {
	data []byte
	line int
}

// split cuts a stream at the markers "---" and "...", which YAML knows at the
// start of a line only, inside scalars too.
func split(data []byte) []document {
	var docs []document
	start, startLine, line := 0, 0, 0
	open := false // the piece has text, so a marker ends it
	for i := 0; i < len(data); line++ {
		next := len(data)
		if n := bytes.IndexByte(data[i:], '\n'); n >= 0 {
			next = i + n + 1
		}
		text := data[i:next]
		switch {
		case isMarker(text, "---"):
			if open {
				docs = append(docs, document{data[start:i], startLine})
				start, startLine = i, line
			}
			open = true
		case isMarker(text, "..."):
			docs = append(docs, document{data[start:i], startLine})
			start, startLine, open = next, line+1, false
		case len(bytes.TrimSpace(text)) > 0 && text[0] != '#' && text[0] != '%':
			open = true
		}
		i = next
	}
	if open {
		docs = append(docs, document{data[start:], startLine})
	}
	return docs
}

// lineFeeds turns the line breaks of other systems into "\n", as the YAML
// reader does anyway.
func lineFeeds(data []byte) []byte {
	if bytes.IndexByte(data, '\r') < 0 {
		return data
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// decode reads one YAML or JSON document as the API server's clients do:
// YAML 1.1, no key twice, whole numbers as int64. An empty one is nil.
func decode(doc []byte, name string, above, number int) (any, error) {
	raw, err := yaml.YAMLToJSONStrict(doc)
	if err == nil && hasMore(doc) {
		return nil, fmt.Errorf("%s: document %d: there is text behind its end; put --- between documents", name, number)
	}
	if err == nil {
		var value any
		if err = json.Unmarshal(raw, &value); err == nil {
			return value, nil
		}
	}
	line, text := yamlError(err)
	if m := anchor.FindStringSubmatch(text); m != nil { // the name may be a value, of a Secret not seen as one
		text = strings.Replace(text, m[0], "anchor "+m[2], 1)
		before, _, _ := bytes.Cut(doc, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
	}
	if bytes.Contains(doc, []byte("Secret")) {
		text = "not valid YAML; details are withheld because it holds a Secret"
	}
	if line > 0 {
		name = fmt.Sprintf("%s:%d", name, above+line)
	}
	return nil, fmt.Errorf("%s: document %d: %s", name, number, text)
}

// hasMore reports whether text follows a document that closes itself, as JSON
// does. The YAML reader stops there without a word.
func hasMore(doc []byte) bool {
	text := bytes.TrimLeft(bytes.TrimPrefix(doc, []byte("---")), " \t\r\n")
	if len(text) == 0 || !strings.ContainsRune("{[\"'", rune(text[0])) {
		return false
	}
	d := kyaml.NewDecoder(bytes.NewReader(doc))
	var n kyaml.Node
	return d.Decode(&n) == nil && !errors.Is(d.Decode(&n), io.EOF)
}

// yamlError takes the line out of an error of the YAML reader, 0 when there is
// none, and returns what it says.
func yamlError(err error) (line int, text string) {
	text = err.Error()
	_, after, ok := strings.Cut(text, "line ")
	if !ok {
		return 0, strings.TrimPrefix(text, "error converting YAML to JSON: ")
	}
	digits, rest, _ := strings.Cut(after, ":")
	line, _ = strconv.Atoi(digits)
	return line, strings.TrimSpace(rest)
}
