package patch

import (
	"bytes"
	"errors"
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// proof is what a file was before it was changed, and what was to change.
type proof struct {
	source *source
	after  *source               // for the new text; its memory is used again
	found  []target              // all usable markers
	values map[*yaml.Node]string // what the marked scalars shall hold now
}

// holds says why the new bytes are not what was wanted: every document is as
// before but for the marked scalars, and the same markers are found in the new
// text. Documents whose bytes differ are read by the parser. Where the simple
// reader read the old text, its tree is compared with the parser's tree of the
// new one, so that two readers that share no code must agree.
func (p proof) holds(data []byte) error {
	after := p.after
	after.reset(data)
	before := p.source
	if len(before.docs) != len(after.docs) {
		return errDocuments
	}
	var err error
	if before.trees != nil {
		if after.trees, err = p.parse(data, document{trees: before.trees}, 0); err != nil {
			return err
		}
	} else {
		for i := range before.docs {
			if err := p.document(&before.docs[i], &after.docs[i], after); err != nil {
				return err
			}
		}
	}
	after.collect()
	return p.sameMarkers(after)
}

var errDocuments = errors.New("the new value would change the number of documents")

// document proves one document and gives its new form its trees.
func (p proof) document(old, now *document, after *source) (err error) {
	data := after.data[now.start:now.end]
	switch {
	case bytes.Equal(p.source.data[old.start:old.end], data):
		now.trees = old.trees
	case old.trees == nil:
		return errors.New("the new value would change another document")
	default:
		now.trees, err = p.parse(data, *old, after.lineAt(now.start)-1)
	}
	return err
}

// parse reads new bytes and compares them with the trees of the old ones.
func (p proof) parse(data []byte, old document, above int) ([]*yaml.Node, error) {
	trees, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("with the new value it is no longer YAML: %w", err)
	}
	if len(trees) != len(old.trees) {
		return nil, errDocuments
	}
	for i, t := range trees {
		shift(t, above)
		if line := p.differ(old.trees[i], t, old.simple); line > 0 {
			return nil, fmt.Errorf("the new value would change something else in line %d", line)
		}
	}
	return trees, nil
}

// differ returns the line of the first difference that was not asked for, or 0.
// The simple reader's tree has no lines of missing values; no tags, which are
// the same where values and styles are; and no comments, which lie in bytes that
// are as before.
func (p proof) differ(a, b *yaml.Node, simple bool) int {
	same := a.Kind == b.Kind && (a.Line == b.Line || simple && a.Line == 0) && a.Anchor == b.Anchor && len(a.Content) == len(b.Content)
	if v, edited := p.values[a]; edited {
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
func (p proof) sameMarkers(after *source) error {
	now, _ := after.targets("")
	if len(now) != len(p.found) {
		return errors.New("the new value would make or break another marker")
	}
	for i, old := range p.found {
		want, edited := p.values[old.node]
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
