package patch

import (
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// notesAt makes a note for each value that begins with the text given.
func notesAt(t testing.TB, data string, values map[string]string) []Note {
	t.Helper()
	docs, err := parse([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	var notes []Note
	for _, d := range docs {
		each(d, func(n *yaml.Node) {
			if claim, ok := values[n.Value]; ok {
				policy, part, _ := strings.Cut(claim, ":")
				notes = append(notes, Note{Line: n.Line, Column: n.Column, Policy: policy, Part: Part(part)})
			}
		})
	}
	return notes
}

func each(n *yaml.Node, do func(*yaml.Node)) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		do(n)
	}
	for _, c := range n.Content {
		each(c, do)
	}
}

func TestAnnotate(t *testing.T) {
	for _, c := range []struct {
		name, in string
		notes    map[string]string // value → claim
		out      string            // "" when nothing is placed
		verdicts []Verdict
	}{
		{"a value at the end of its line gets one space and the marker", "image: r/web:1\n", map[string]string{"r/web:1": "web"}, "image: r/web:1 # towpath: web\n", nil},
		{"a part is named", "tag: 1.0.0\n", map[string]string{"1.0.0": "web:tag"}, "tag: 1.0.0 # towpath: web:tag\n", nil},
		{"blanks at the end of a line stay", "tag: 1.0.0  \n", map[string]string{"1.0.0": "web:tag"}, "tag: 1.0.0  # towpath: web:tag\n", nil},
		{"a file may end without a line break", "tag: 1.0.0", map[string]string{"1.0.0": "web:tag"}, "tag: 1.0.0 # towpath: web:tag", nil},
		{"CRLF stays", "a: 1\r\nimage: 'r/web:1'\r\n", map[string]string{"r/web:1": "web"}, "a: 1\r\nimage: 'r/web:1' # towpath: web\r\n", nil},
		{"a comment goes on behind the marker", "image: r/web:1   # pinned by ops\n", map[string]string{"r/web:1": "web"}, "image: r/web:1   # towpath: web  pinned by ops\n", nil},
		{"a tight comment too", "image: r/web:1 #pinned\n", map[string]string{"r/web:1": "web"}, "image: r/web:1 # towpath: web  pinned\n", nil},
		{"an empty comment becomes the marker", "image: r/web:1 #\n", map[string]string{"r/web:1": "web"}, "image: r/web:1 # towpath: web\n", nil},
		{"a comment below is not touched", "image: r/web:1\n# below\nb: 1\n", map[string]string{"r/web:1": "web"}, "image: r/web:1 # towpath: web\n# below\nb: 1\n", nil},
		{"an anchor is part of the value", "a: &x r/web:1\nb: *x\n", map[string]string{"r/web:1": "web"}, "a: &x r/web:1 # towpath: web\nb: *x\n", nil},
		{"a closed flow mapping with one value", "c: {image: r/web:1}\n", map[string]string{"r/web:1": "web"}, "c: {image: r/web:1} # towpath: web\n", nil},
		{"a closed flow mapping with one fitting key", "c: {name: x, newTag: 1.0.0}\n", map[string]string{"1.0.0": "web:tag"}, "c: {name: x, newTag: 1.0.0} # towpath: web:tag\n", nil},
		{"a flow sequence over several lines", "c: [\n  r/web:1,\n  b\n]\n", map[string]string{"r/web:1": "web"}, "c: [\n  r/web:1, # towpath: web\n  b\n]\n", nil},
		{"one document of several", "a: 1\n---\nimage: r/web:1\n...\n---\nb: 1\n", map[string]string{"r/web:1": "web"}, "a: 1\n---\nimage: r/web:1 # towpath: web\n...\n---\nb: 1\n", nil},
		{"an item of a list", "args:\n- --image=r/web:1\n", map[string]string{"--image=r/web:1": "web"}, "args:\n- --image=r/web:1 # towpath: web\n", nil},
		{"a number becomes no string by being marked", "newTag: 1.10\n", map[string]string{"1.10": "web:tag"}, "newTag: 1.10 # towpath: web:tag\n", nil},
		{"beside what reads as a marker with a slip", "a: r/web:1 # Towpath: web\n", map[string]string{"r/web:1": "web"}, "a: r/web:1 # Towpath: web\n", []Verdict{Malformed}},
		{"several, beside one that cannot be", "a: r/web:1\nb: r/api:1 # renovate: x\nc: r/job:1\n", map[string]string{"r/web:1": "web", "r/api:1": "api", "r/job:1": "job"},
			"a: r/web:1 # towpath: web\nb: r/api:1 # renovate: x\nc: r/job:1 # towpath: job\n", []Verdict{ForeignComment}},

		{"a value that the line shows but not the marker", "c: {a: r/web:1, b: r/api:1}\n", map[string]string{"r/web:1": "web"}, "", []Verdict{OnCollection}},
		{"the first of two open values", "c: [r/web:1, b,\n  d]\n", map[string]string{"r/web:1": "web"}, "", []Verdict{OnCollection}},
		{"two on one line", "c: {newName: r/web, newTag: 1.0.0}\n", map[string]string{"r/web": "web:name", "1.0.0": "web:tag"}, "", []Verdict{TwoOnOneLine, TwoOnOneLine}},
		{"a marker that is there", "a: r/web:1 # towpath: web\n", map[string]string{"r/web:1": "web"}, "", []Verdict{TwoOnOneLine}},
		{"Flux's marker", "a: r/web:1 # {\"$imagepolicy\": \"x:web\"}\n", map[string]string{"r/web:1": "web"}, "", []Verdict{TwoOnOneLine}},
		{"another tool's comment", "a: r/web:1 # x-release-please-version\n", map[string]string{"r/web:1": "web"}, "", []Verdict{ForeignComment}},
		{"a setter of another tool", "a: r/web:1 # {\"$openapi\": \"x\"}\n", map[string]string{"r/web:1": "web"}, "", []Verdict{ForeignComment}},
		{"a key", "r/web: x\n", map[string]string{"r/web": "web:name"}, "", []Verdict{OnKey}},
		{"an alias", "a: &x r/web:1\nb: *x\n", map[string]string{"x": "web"}, "", []Verdict{OnAlias}},
		{"a block scalar", "a: |\n  r/web:1\n", map[string]string{"r/web:1\n": "web"}, "", []Verdict{InBlockScalar}},
		{"a value over two lines", "a: r/web:1\n  more\n", map[string]string{"r/web:1 more": "web"}, "", []Verdict{NotAReference}},
		{"a value over two lines in quotes", "a: \"r/web:\\\n  1\"\n", map[string]string{"r/web:1": "web"}, "", []Verdict{SeveralLines}},
		{"a tagged value", "a: !!binary r/web:1\n", map[string]string{"r/web:1": "web"}, "", []Verdict{Tagged}},
		{"a template", "a: '{{ x }}'\n", map[string]string{"{{ x }}": "web"}, "", []Verdict{Template}},
		{"a name that no policy can have", "a: r/web:1\n", map[string]string{"r/web:1": "Web"}, "", []Verdict{Malformed}},
		{"a part that is none", "a: r/web:1\n", map[string]string{"r/web:1": "web:version"}, "", []Verdict{UnknownPart}},
		{"a part that the value is not", "a: r/web:1\n", map[string]string{"r/web:1": "web:tag"}, "", []Verdict{WrongPart}},
		{"newTag beside a digest", "images:\n- name: a\n  newTag: 1.0.0\n  digest: x\n", map[string]string{"1.0.0": "web:tag"}, "", []Verdict{TagAndDigest}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := File{Path: "x.yaml", Data: []byte(c.in)}
			notes := notesAt(t, c.in, c.notes)
			if len(notes) < len(c.notes) {
				t.Fatalf("%d notes for %v", len(notes), c.notes)
			}
			got, skipped := Annotate(in, notes)
			want := c.out
			if want == "" {
				want = c.in
			}
			if string(got.Data) != want || got.Path != in.Path {
				t.Errorf("got:\n%s\nwant:\n%s", got.Data, want)
			}
			var verdicts []Verdict
			for _, k := range skipped {
				verdicts = append(verdicts, k.Verdict)
				if k.Reason == "" || k.Hint == "" || k.Line == 0 {
					t.Errorf("a report without reason, hint or line: %+v", k)
				}
			}
			if strings.Join(verdictWords(verdicts), ", ") != strings.Join(verdictWords(c.verdicts), ", ") {
				t.Errorf("skipped %v, want %v", skipped, c.verdicts)
			}
		})
	}
}

func verdictWords(vs []Verdict) (out []string) {
	for _, v := range vs {
		out = append(out, string(v))
	}
	return out
}
