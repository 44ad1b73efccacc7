package patch

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// maxAlone bounds the notes of a file that are tried one by one when they
// cannot be proved together; each costs a parse.
const maxAlone = 50

// directives are words by which other tools know a comment as theirs, in lower
// case. Nothing is put before them.
var directives = []string{
	"renovate:", "x-release-please", `{"$`, "kpt-set:", "kpt-merge:", "yamllint", "kics-scan", "checkov:", "nosemgrep", "nosec", "noqa", "nolint",
	"trivy:ignore", "tfsec:ignore", "kube-linter", "kube-score", "gitleaks:", "pragma:", "prettier-ignore", "cspell:", "codespell:",
	"yaml-language-server", "@schema", "@param", "@default", "keel:", "dependabot", "snyk", "hadolint", "zizmor:", "sonar", "$schema",
}

// Note asks for a marker beside the value at a place: Line and Column as the
// YAML parser counts them, from 1, in runes, of the anchor when there is one.
// The empty Part is PartRef.
type Note struct {
	Line, Column int
	Policy       string
	Part         Part
}

// Annotate returns f with a marker behind the value of each note, and the notes
// that cannot be placed, in the order of the lines. It inserts comments and
// changes nothing else: a comment that is there goes on behind the marker,
// unless it is another tool's. The result is parsed again and proved to be the
// same tree, in which Markers finds the markers it found before and those of the
// notes, at their values. Without a note that can be placed, f is returned.
func Annotate(f File, notes []Note) (File, []Skipped) {
	a := &annotation{file: f}
	s, trees, refusal := readTrees(f)
	if refusal != nil {
		for _, n := range notes {
			a.refuse(n, 0, fault{refusal.Verdict, refusal.Reason, refusal.Hint})
		}
		return f, a.skipped
	}
	a.source, a.trees = s, trees
	all := a.insertions(notes)
	out, err := a.write(all)
	if err != nil && len(all) > 1 {
		out = a.alone(all, err)
	} else if err != nil {
		a.refuse(all[0].note, 0, wouldChangeMore(err))
	}
	slices.SortStableFunc(a.skipped, func(a, b Skipped) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return File{Path: f.Path, Data: out}, a.skipped
}

// readTrees reads every document of a file, marked or not.
func readTrees(f File) (*source, []*yaml.Node, *Skipped) {
	s, refusal := readWhole(f)
	if refusal != nil {
		return nil, nil, refusal
	}
	return s, s.trees, nil
}

// annotation is the work on one file.
type annotation struct {
	file    File
	source  *source
	trees   []*yaml.Node
	skipped []Skipped
}

// insertion is the text of one marker and where it goes.
type insertion struct {
	note   Note
	marker Marker
	at     int
	text   string
}

// refuse reports a note; line is as editors count, 0 when not known.
func (a *annotation) refuse(n Note, line int, why fault) {
	if line == 0 {
		line = n.Line
		if a.source != nil && n.Line >= 1 && n.Line <= len(a.source.lines) {
			line = a.source.shown(n.Line)
		}
	}
	a.skipped = append(a.skipped, why.at(Marker{Path: a.file.Path, Line: line, Column: n.Column, Policy: n.Policy}))
}

// insertions decides for each note, in the order of the text.
func (a *annotation) insertions(notes []Note) []insertion {
	notes = slices.SortedFunc(slices.Values(notes), func(a, b Note) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	var all []insertion
	for i, n := range notes {
		if i > 0 && notes[i-1].Line == n.Line || i+1 < len(notes) && notes[i+1].Line == n.Line {
			a.refuse(n, 0, fault{TwoOnOneLine, "two markers would be on one line", "write the collection over several lines, one value on each"})
			continue
		}
		in, why := a.insertion(n)
		if why.is() {
			a.refuse(n, 0, why)
			continue
		}
		all = append(all, in)
	}
	return all
}

// insertion decides where the marker of a note goes.
func (a *annotation) insertion(n Note) (insertion, fault) {
	part := cmp.Or(n.Part, PartRef)
	if why := checkClaim(n.Policy, part, part != PartRef); why.is() {
		return insertion{}, why
	}
	s := a.source
	var on []spot
	if n.Line >= 1 && n.Line <= len(s.lines) {
		on, _ = s.spotsOn(n.Line)
	}
	i := slices.IndexFunc(on, func(p spot) bool { return p.node.Column == n.Column })
	if i < 0 {
		return insertion{}, fault{NoValue, "no value begins here", "give the place of a value, as the YAML parser has it"}
	}
	p := on[i]
	if p.value != nil {
		return insertion{}, fault{OnKey, "here is a key and not a value", "give the place of a value"}
	}
	m := Marker{Path: a.file.Path, Line: s.shown(n.Line), Column: n.Column, Policy: n.Policy, Part: part, Value: p.node.Value}
	if why := s.unmarkable(p, m); why.is() {
		return insertion{}, why
	}
	_, end, ok := s.span(p.node)
	if !ok {
		return insertion{}, severalLines()
	}
	text := "towpath: " + n.Policy
	if part != PartRef {
		text += ":" + string(part)
	}
	_, last := s.bounds(n.Line)
	hash := s.comment(end, last, on)
	if hash < 0 {
		hash = last
	}
	at, text, why := room(s.data[:last], hash, text)
	if why.is() {
		return insertion{}, why
	}
	if t, _, _ := s.pick(target{marker: m}, on, hash); t.at != placeOf(p.node) {
		return insertion{}, fault{OnCollection, "a marker at the end of this line would not stand for this value", "write the collection over several lines, one value on each"}
	}
	return insertion{note: n, marker: m, at: at, text: text}, fault{}
}

// unmarkable says why a value can have no marker, wherever it were put.
func (s *source) unmarkable(p spot, m Marker) fault {
	if why := unfit(p.node); why.is() {
		return why
	}
	if why := s.misfit(m, p); why.is() {
		return why
	}
	return s.besideDigest(p)
}

// room returns where a marker goes on the last line of data, whose comment
// begins at hash or would begin there, and its text with what parts it from
// what stands there.
func room(data []byte, hash int, marker string) (int, string, fault) {
	if hash == len(data) {
		if isBlank(data[hash-1]) {
			return hash, "# " + marker, fault{}
		}
		return hash, " # " + marker, fault{}
	}
	comment := string(data[hash:])
	if strings.Contains(comment, ownToken) || strings.Contains(comment, fluxToken) {
		return 0, "", fault{TwoOnOneLine, "a marker is there already", "a value has one policy"}
	}
	if _, k := nearMiss(comment, anyName); k.is() {
		return 0, "", k
	}
	lower := strings.ToLower(comment)
	for _, d := range directives {
		if strings.Contains(lower, d) {
			return 0, "", fault{ForeignComment, fmt.Sprintf("the comment is another tool's (%s)", d), "move that comment to a line of its own if its tool allows, or write the marker by hand"}
		}
	}
	text := strings.TrimLeft(comment, "# \t")
	at := len(data) - len(text)
	if at == hash+1 || data[at-1] == '#' {
		marker = " " + marker
	}
	if text != "" {
		marker += "  "
	}
	return at, marker, fault{}
}

// write inserts and proves the result.
func (a *annotation) write(all []insertion) ([]byte, error) {
	data := a.file.Data
	if len(all) == 0 {
		return data, nil
	}
	var out bytes.Buffer
	at := 0
	for _, in := range all {
		out.Write(data[at:in.at])
		out.WriteString(in.text)
		at = in.at
	}
	out.Write(data[at:])
	if out.Len() > MaxFileSize {
		return data, fmt.Errorf("it would become larger than %d MiB", MaxFileSize>>20)
	}
	if err := a.prove(out.Bytes(), all); err != nil {
		return data, err
	}
	return out.Bytes(), nil
}

// prove parses the new bytes: the tree must be as before but for comments, and
// hold the markers of before and the new ones, each at its value.
func (a *annotation) prove(data []byte, all []insertion) error {
	next, trees, refusal := readTrees(File{Path: a.file.Path, Data: data})
	if refusal != nil {
		return errors.New(refusal.Reason)
	}
	if len(trees) != len(a.trees) {
		return errors.New("a marker would change the number of documents")
	}
	for i := range trees {
		if line := unlike(a.trees[i], trees[i]); line > 0 {
			return fmt.Errorf("a marker would change something in line %d", line)
		}
	}
	before, brokenBefore := markersOf(a.source, a.file.Path)
	after, brokenAfter := markersOf(next, a.file.Path)
	for _, in := range all {
		before = append(before, in.marker)
	}
	order := func(a, b Marker) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) }
	slices.SortStableFunc(before, order)
	slices.SortStableFunc(after, order)
	if !slices.Equal(before, after) || !slices.Equal(brokenBefore, brokenAfter) {
		return errors.New("a marker here would not stand for this value, or disturb another")
	}
	return nil
}

func markersOf(s *source, path string) ([]Marker, []Skipped) {
	found, skipped := s.found, s.broken
	markers := make([]Marker, len(found))
	for i, t := range found {
		markers[i] = t.marker
	}
	return markers, skipped
}

// unlike returns the line of the first difference of two trees but for their
// comments, or 0.
func unlike(a, b *yaml.Node) int {
	if a.Kind != b.Kind || a.Line != b.Line || a.Column != b.Column || a.Anchor != b.Anchor || a.Value != b.Value || a.Style != b.Style ||
		a.Tag != b.Tag || len(a.Content) != len(b.Content) {
		return max(a.Line, 1)
	}
	for i := range a.Content {
		if line := unlike(a.Content[i], b.Content[i]); line > 0 {
			return line
		}
	}
	return 0
}

// alone places what can be proved when it could not be proved together.
func (a *annotation) alone(all []insertion, err error) []byte {
	out := a.file.Data
	var good []insertion
	for i, in := range all {
		if i >= maxAlone {
			a.refuse(in.note, 0, wouldChangeMore(err))
			continue
		}
		next, err := a.write(append(slices.Clone(good), in))
		if err != nil {
			a.refuse(in.note, 0, wouldChangeMore(err))
			continue
		}
		out, good = next, append(good, in)
	}
	return out
}
