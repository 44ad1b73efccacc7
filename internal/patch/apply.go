package patch

import (
	"bytes"
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/image"
)

// Apply writes the sets at their markers. A file is changed wholly or not at
// all: what cannot be proved to differ only at marked scalars is refused. The
// parts of one reference in a file (:name, :tag, :digest) are written together
// or not at all. Only markers of the sets given are reported, and files that
// may hold one but cannot be read. Applying the result again changes nothing.
func Apply(files []File, sets []Set) Result {
	return apply(files, sets, &reader{})
}

// apply is Apply with a reader, so that a test can compare ways of reading.
func apply(files []File, sets []Set, rd *reader) Result {
	want := make(map[string][]image.Ref, len(sets)) // policy → the different references wanted
	refs := make([]image.Ref, len(sets))            // of most policies one: not an allocation each
	for i, s := range sets {
		switch old := want[s.Policy]; {
		case old == nil:
			refs[i] = s.Ref
			want[s.Policy] = refs[i : i+1 : i+1]
		case !slices.Contains(old, s.Ref):
			want[s.Policy] = append(old, s.Ref)
		}
	}
	var r Result
	for _, f := range files {
		if MayHold(f.Data) && concerns(f.Data, want) {
			r.file(f, want, rd)
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

func (r *Result) file(f File, want map[string][]image.Ref, rd *reader) {
	s, refusal := rd.read(f)
	if refusal != nil {
		r.Skipped = append(r.Skipped, *refusal)
		return
	}
	found, broken := s.found, s.broken
	broken = slices.DeleteFunc(broken, func(k Skipped) bool { return k.Policy != "" && len(want[k.Policy]) == 0 })
	p := plan(found, broken, want)
	edits, err := r.change(f, proof{reader: rd, source: s, found: found}, p.splices)
	if err != nil {
		for _, c := range p.splices {
			p.refused = append(p.refused, wouldChangeMore(err).at(c.marker))
		}
	}
	r.Edits = append(r.Edits, edits...)
	r.UpToDate = append(r.UpToDate, p.current...)
	refused := slices.Concat(p.refused, broken)
	slices.SortStableFunc(refused, func(a, b Skipped) int { return a.Line - b.Line })
	r.Skipped = append(r.Skipped, refused...)
}

// change splices, proves the result and takes it over.
func (r *Result) change(f File, p proof, splices []splice) ([]Edit, error) {
	if len(splices) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	out.Grow(len(f.Data) + 64*len(splices))
	p.values = map[place]string{}
	var edits []Edit
	at := 0
	for _, c := range splices {
		if c.start < at {
			return nil, fmt.Errorf("two markers stand for one value")
		}
		out.Write(f.Data[at:c.start])
		out.WriteString(c.text)
		at = c.end
		p.values[c.at] = c.value
		edits = append(edits, Edit{Path: f.Path, Line: c.marker.Line, Policy: c.marker.Policy, Part: c.marker.Part, Old: c.marker.Value, New: c.value})
	}
	out.Write(f.Data[at:])
	if out.Len() > MaxFileSize {
		return nil, fmt.Errorf("it would become larger than %d MiB", MaxFileSize>>20)
	}
	if err := p.holds(out.Bytes()); err != nil {
		return nil, err
	}
	r.Files = append(r.Files, File{Path: f.Path, Data: out.Bytes()})
	return edits, nil
}
