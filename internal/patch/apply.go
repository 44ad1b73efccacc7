package patch

import (
	"bytes"
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
)

// Apply writes the sets at their markers. A file is changed wholly or not at
// all: what cannot be proved to differ only at marked scalars is refused. The
// parts of one reference in a file (:name, :tag, :digest) are written together
// or not at all. Only markers of the sets given are reported, and files that
// may hold one but cannot be read. Applying the result again changes nothing.
func Apply(files []File, sets []Set) Result {
	want := map[string][]image.Ref{} // policy → the different references wanted
	for _, s := range sets {
		if !slices.Contains(want[s.Policy], s.Ref) {
			want[s.Policy] = append(want[s.Policy], s.Ref)
		}
	}
	var r Result
	for _, f := range files {
		if MayHold(f.Data) && concerns(f.Data, want) {
			r.file(f, want)
		}
	}
	return r
}

// concerns reports whether a file may hold a marker of a wanted policy. It is
// what keeps the cost from growing with files of other policies.
func concerns(data []byte, want map[string][]image.Ref) bool {
	policies, sure := glance(data)
	return !sure || slices.ContainsFunc(policies, func(p string) bool { return p == "" || len(want[p]) > 0 })
}

// splice is one wanted change of a file's bytes.
type splice struct {
	target
	text  string // with quotes
	value string // without
}

func (r *Result) file(f File, want map[string][]image.Ref) {
	s, refusal := read(f)
	if refusal != nil {
		r.Skipped = append(r.Skipped, *refusal)
		return
	}
	found, broken := s.targets(f.Path)
	broken = slices.DeleteFunc(broken, func(k Skipped) bool { return k.Policy != "" && len(want[k.Policy]) == 0 })
	p := plan(found, broken, want)
	edits, err := r.change(f, s, p.splices)
	if err != nil {
		for _, c := range p.splices {
			p.refused = append(p.refused, wouldChangeMore(err).at(c.marker))
		}
	}
	r.Edits = append(r.Edits, edits...)
	r.UpToDate = append(r.UpToDate, p.current...)
	refused := append(p.refused, broken...)
	slices.SortStableFunc(refused, func(a, b Skipped) int { return a.Line - b.Line })
	r.Skipped = append(r.Skipped, refused...)
}

// change splices, proves the result and takes it over.
func (r *Result) change(f File, s *source, splices []splice) ([]Edit, error) {
	if len(splices) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	out.Grow(len(f.Data) + 64*len(splices))
	values := map[*yaml.Node]string{}
	var edits []Edit
	at := 0
	for _, p := range splices {
		if p.start < at {
			return nil, fmt.Errorf("two markers stand for one value")
		}
		out.Write(f.Data[at:p.start])
		out.WriteString(p.text)
		at = p.end
		values[p.node] = p.value
		edits = append(edits, Edit{Path: f.Path, Line: p.marker.Line, Policy: p.marker.Policy, Part: p.marker.Part, Old: p.marker.Value, New: p.value})
	}
	out.Write(f.Data[at:])
	if out.Len() > MaxFileSize {
		return nil, fmt.Errorf("it would become larger than %d MiB", MaxFileSize>>20)
	}
	if err := prove(s.docs, out.Bytes(), values); err != nil {
		return nil, err
	}
	r.Files = append(r.Files, File{Path: f.Path, Data: out.Bytes()})
	return edits, nil
}

// prove parses the new bytes and compares the trees: apart from the marked
// scalars, everything must be as before, comments, styles and lines included.
func prove(before []*yaml.Node, data []byte, values map[*yaml.Node]string) error {
	after, err := parse(data)
	if err != nil {
		return fmt.Errorf("with the new value it is no longer YAML: %w", err)
	}
	if len(before) != len(after) {
		return fmt.Errorf("the new value would change the number of documents")
	}
	for i := range before {
		if line := differ(before[i], after[i], values); line > 0 {
			return fmt.Errorf("the new value would change something else in line %d", line)
		}
	}
	return nil
}

// differ returns the line of the first difference that was not asked for, or 0.
func differ(a, b *yaml.Node, values map[*yaml.Node]string) int {
	same := a.Kind == b.Kind && a.Line == b.Line && a.Anchor == b.Anchor && len(a.Content) == len(b.Content) &&
		a.HeadComment == b.HeadComment && a.LineComment == b.LineComment && a.FootComment == b.FootComment
	if v, edited := values[a]; edited {
		same = same && b.Value == v && b.ShortTag() == "!!str"
	} else {
		same = same && a.Value == b.Value && a.Style == b.Style && a.Tag == b.Tag
	}
	if !same {
		return max(a.Line, 1)
	}
	for i := range a.Content {
		if line := differ(a.Content[i], b.Content[i], values); line > 0 {
			return line
		}
	}
	return 0
}
