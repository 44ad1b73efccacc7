package patch

import (
	"bytes"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// yamlBreak is a line break as YAML 1.1 has it.
var yamlBreak = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")

// insertedText is all that Annotate may add to a line.
var insertedText = regexp.MustCompile(`^( ?# ?| )?towpath: (web|api)(:(tag|name|digest|registry|repository))?( {2})?$`)

// FuzzAnnotate holds what Annotate promises for any bytes and notes: no panic,
// each note is placed or reported, at most one insertion on a line and nothing
// else, the same tree but for comments, exactly the new markers at their places,
// and nothing more to do a second time.
func FuzzAnnotate(f *testing.F) {
	for _, c := range append(placements(), valueCases()...) {
		f.Add([]byte(c.in), uint64(1<<63-1), uint8(0))
	}
	names, err := filepath.Glob("testdata/apply/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for i, file := range a.Files {
			if bytes.HasPrefix([]byte(file.Name), []byte("in/")) && len(file.Data) < 32<<10 {
				f.Add(file.Data, uint64(0x5555555555555555)<<(i%2), uint8(i))
				f.Add(bytes.ReplaceAll(bytes.ReplaceAll(file.Data, []byte("towpath:"), []byte("note")), []byte("\n"), []byte("\r\n")), ^uint64(0), uint8(i))
			}
		}
	}
	f.Add([]byte("a: 1 #\u2028b: &x [x:1,\r 'y:1'] #  z\u0085- ! c"), ^uint64(0), uint8(6))
	f.Fuzz(func(t *testing.T, data []byte, which uint64, part uint8) {
		in := File{Path: "x.yaml", Data: bytes.Clone(data)}
		notes := fuzzNotes(data, which, part)
		out, skipped := Annotate(in, notes)
		if !bytes.Equal(in.Data, data) {
			t.Fatal("the input was changed")
		}
		if len(skipped) > len(notes) {
			t.Fatalf("%d reports for %d notes", len(skipped), len(notes))
		}
		placed := onlyInserted(t, data, out.Data)
		if placed != len(notes)-len(skipped) {
			t.Fatalf("%d insertions for %d notes of which %d are reported", placed, len(notes), len(skipped))
		}
		if placed == 0 {
			return
		}
		sameTree(t, data, out.Data)
		newMarkers(t, in, out, notes, placed)
		again, reports := Annotate(out, notes)
		if !bytes.Equal(again.Data, out.Data) || len(reports) != len(notes) {
			t.Fatalf("a second time changed again, %d reports for %d notes", len(reports), len(notes))
		}
	})
}

// fuzzNotes asks for markers at some of the scalars and at one odd place.
func fuzzNotes(data []byte, which uint64, part uint8) []Note {
	all := append([]Part{"", PartRef, "odd"}, parts...)
	notes := []Note{{Line: int(which%7) - 1, Column: int(part%5) - 1, Policy: "api"}}
	docs, err := parse(data)
	if err != nil {
		return notes
	}
	i := 0
	for _, d := range docs {
		each(d, func(n *yaml.Node) {
			if i++; which>>(i%64)&1 == 1 && len(notes) < 200 {
				notes = append(notes, Note{Line: n.Line, Column: n.Column, Policy: "web", Part: all[(int(part)+i/3)%len(all)]})
			}
		})
	}
	return notes
}

// onlyInserted compares line by line and returns the number of insertions.
func onlyInserted(t *testing.T, before, after []byte) int {
	t.Helper()
	a, b := yamlBreak.Split(string(before), -1), yamlBreak.Split(string(after), -1)
	if len(a) != len(b) || len(yamlBreak.FindAll(before, -1)) != len(a)-1 {
		t.Fatalf("%d lines became %d", len(a), len(b))
	}
	n := 0
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		n++
		more := len(b[i]) - len(a[i])
		good := false
		for at := 0; more > 0 && at <= len(a[i]) && b[i][:at] == a[i][:at] && !good; at++ {
			good = b[i][at+more:] == a[i][at:] && insertedText.MatchString(b[i][at:at+more])
		}
		if !good {
			t.Fatalf("line %d: %q became %q", i+1, a[i], b[i])
		}
	}
	return n
}

func sameTree(t *testing.T, before, after []byte) {
	t.Helper()
	a, err := parse(before)
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse(after)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != len(b) {
		t.Fatalf("%d documents became %d", len(a), len(b))
	}
	for i := range a {
		if n := otherNodes(a[i], b[i]); n > 0 {
			t.Fatalf("%d nodes of document %d differ", n, i+1)
		}
	}
}

// newMarkers asserts that the markers are those of before and the placed ones,
// each at the place of a note.
func newMarkers(t *testing.T, in, out File, notes []Note, placed int) {
	t.Helper()
	old, _ := Markers(in)
	now, _ := Markers(out)
	if len(now) != len(old)+placed {
		t.Fatalf("%d markers and %d new ones became %d", len(old), placed, len(now))
	}
	was := map[Marker]int{}
	for _, m := range old {
		was[m]++
	}
	for _, m := range now {
		if was[m]--; was[m] >= 0 {
			continue
		}
		found := false
		for _, n := range notes {
			part := n.Part
			if part == "" {
				part = PartRef
			}
			found = found || n.Column == m.Column && n.Policy == m.Policy && part == m.Part
		}
		if !found {
			t.Fatalf("a marker that no note asked for: %+v", m)
		}
	}
}

// otherNodes returns the number of nodes that differ in more than comments.
func otherNodes(a, b *yaml.Node) int {
	n := 0
	if a.Kind != b.Kind || a.Value != b.Value || a.Tag != b.Tag || a.Style != b.Style || a.Anchor != b.Anchor || a.Line != b.Line || a.Column != b.Column {
		n++
	}
	if len(a.Content) != len(b.Content) {
		return n + 1
	}
	for i := range a.Content {
		n += otherNodes(a.Content[i], b.Content[i])
	}
	return n
}
