package patch

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// proof is what a file was before it was changed, and what was to change.
type proof struct {
	reader *reader
	source *source
	found  []target         // all usable markers, in the order of the text
	values map[place]string // what the marked scalars shall hold now
}

// holds says why the new bytes are not what was wanted: every document is as
// before but for the marked scalars, and the same markers are found in the new
// text. Documents whose bytes differ are read by the parser, one after the other.
// Where the simple reader read the old text, its tree is compared with the parser's
// tree of the new one, so that two readers that share no code must agree.
func (p proof) holds(data []byte) error {
	before, after := p.source, &p.reader.after
	after.reset(data)
	if len(before.docs) != len(after.docs) || len(before.lines) != len(after.lines) {
		return errDocuments
	}
	if before.whole {
		return p.same(before.trees, after, document{end: len(data)}, p.found, 0)
	}
	found := p.found
	for i, old := range before.docs {
		now := after.docs[i]
		if before.lineAt(old.start) != after.lineAt(now.start) {
			return errDocuments
		}
		mine := found
		if n := slices.IndexFunc(found, func(t target) bool { return t.start >= old.end }); n >= 0 {
			mine = found[:n]
		}
		found = found[len(mine):]
		if bytes.Equal(before.data[old.start:old.end], data[now.start:now.end]) {
			continue
		}
		if !old.marked {
			return errors.New("the new value would change another document")
		}
		trees, err := p.reader.again(before, i)
		if err != nil {
			return err
		}
		now.simple = old.simple
		if err := p.same(trees, after, now, mine, after.lineAt(now.start)-1); err != nil {
			return err
		}
	}
	return nil
}

var errDocuments = errors.New("the new value would change the number of documents or lines")

// same reads one new document and compares it, and its markers, with the old.
func (p proof) same(old []*yaml.Node, after *source, now document, found []target, above int) error {
	trees, err := parse(after.data[now.start:now.end])
	if err != nil {
		return fmt.Errorf("with the new value it is no longer YAML: %w", err)
	}
	if len(trees) != len(old) {
		return errDocuments
	}
	for i, t := range trees {
		shift(t, above)
		if line := p.differ(old[i], t, now.simple); line > 0 {
			return fmt.Errorf("the new value would change something else in line %d", line)
		}
	}
	after.take(trees)
	return p.sameMarkers(after, now, found)
}

// differ returns the line of the first difference that was not asked for, or 0.
// The simple reader's tree has no lines of missing values; no tags, which are
// the same where values and styles are; and no comments, which lie in bytes that
// are as before.
func (p proof) differ(a, b *yaml.Node, simple bool) int {
	same := a.Kind == b.Kind && (a.Line == b.Line || simple && a.Line == 0) && a.Anchor == b.Anchor && len(a.Content) == len(b.Content)
	if v, edited := p.values[placeOf(a)]; edited && a.Kind == yaml.ScalarNode && !isMissing(a) {
		same = same && b.Value == v && b.ShortTag() == "!!str"
	} else {
		same = same && a.Value == b.Value && a.Style == b.Style && (simple || a.Tag == b.Tag)
	}
	if !simple {
		same = same && a.HeadComment == b.HeadComment && a.LineComment == b.LineComment && a.FootComment == b.FootComment
	}
	if !same {
		return max(a.Line, 1)
	}
	for i := range a.Content {
		if line := p.differ(a.Content[i], b.Content[i], simple); line > 0 {
			return line
		}
	}
	return 0
}

// sameMarkers says why the markers of the new text are not those of the old.
func (p proof) sameMarkers(after *source, d document, found []target) error {
	now, _ := after.targets("", d.start, d.end)
	if len(now) != len(found) {
		return errors.New("the new value would make or break another marker")
	}
	for i, old := range found {
		want, edited := p.values[old.at]
		if !edited {
			want = old.marker.Value
		}
		m := now[i].marker
		if m.Line != old.marker.Line || m.Policy != old.marker.Policy || m.Part != old.marker.Part || m.Value != want {
			return fmt.Errorf("the new value would change the marker in line %d", old.marker.Line)
		}
	}
	return nil
}
