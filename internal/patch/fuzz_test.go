package patch

import (
	"bytes"
	"path/filepath"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
)

// FuzzApply holds what Apply promises for any bytes: no panic, only the spans
// of the edits differ, the marked scalars hold the wanted text, a second time
// changes nothing.
func FuzzApply(f *testing.F) {
	names, err := filepath.Glob("testdata/apply/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		for _, in := range readStory(f, name).files {
			if len(in.Data) < 64<<10 {
				f.Add(in.Data, "2.0.0")
				f.Add(in.Data, "1.10")
			}
		}
	}
	f.Add([]byte("a: 1\rb: x:1 # towpath: web\r"), "1e3")
	f.Add([]byte("a: \"x\u2028 y\"\nb: x:1 # towpath: web\u2028c: 1"), "yes")
	f.Fuzz(func(t *testing.T, data []byte, tag string) {
		wanted, err := image.ParseTag(tag)
		if err != nil {
			wanted = "2.0.0"
		}
		repo, err := image.ParseRepo("ghcr.io/example/web")
		if err != nil {
			t.Fatal(err)
		}
		set := Set{Policy: "web", Ref: image.Ref{Repo: repo, Tag: wanted}}
		in := File{Path: "x.yaml", Data: bytes.Clone(data)}
		r := Apply([]File{in}, []Set{set})
		if !bytes.Equal(in.Data, data) {
			t.Fatal("the input was changed")
		}
		if (len(r.Files) > 0) != (len(r.Edits) > 0) {
			t.Fatalf("%d files for %d edits", len(r.Files), len(r.Edits))
		}
		if len(r.Files) == 0 {
			return
		}
		onlyEdits(t, data, r)
		again := Apply(r.Files, []Set{set})
		if len(again.Edits) > 0 {
			t.Fatalf("a second time: %v", again.Edits)
		}
		markers, _ := Markers(r.Files[0])
		for _, m := range markers {
			if want := map[Part]string{PartRef: set.Ref.String(), PartTag: string(wanted), PartName: repo.String()}[m.Part]; m.Policy == "web" && m.Part != PartDigest && edited(r, m) && m.Value != want {
				t.Fatalf("line %d holds %q, not %q", m.Line, m.Value, want)
			}
		}
	})
}

func edited(r Result, m Marker) bool {
	for _, e := range r.Edits {
		if e.Line == m.Line {
			return true
		}
	}
	return false
}

// onlyEdits finds the scalars anew, apart from Apply, and asserts that the
// bytes between them are the same, and the trees but for them.
func onlyEdits(t *testing.T, data []byte, r Result) {
	t.Helper()
	before, _ := scan(File{Data: data})
	after, _ := scan(r.Files[0])
	if len(before) != len(after) {
		t.Fatalf("%d usable markers became %d", len(before), len(after))
	}
	a, b := 0, 0
	for i := range before {
		if !bytes.Equal(data[a:before[i].start], r.Files[0].Data[b:after[i].start]) {
			t.Fatalf("bytes before line %d differ", before[i].marker.Line)
		}
		a, b = before[i].end, after[i].end
	}
	if !bytes.Equal(data[a:], r.Files[0].Data[b:]) {
		t.Fatal("bytes behind the last marker differ")
	}
	old, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	trees, err := parse(r.Files[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	if len(old) != len(trees) {
		t.Fatalf("%d documents became %d", len(old), len(trees))
	}
	changes := 0
	for i := range old {
		changes += count(old[i], trees[i])
	}
	if changes > len(r.Edits) {
		t.Fatalf("%d scalars differ for %d edits", changes, len(r.Edits))
	}
}

// count returns the number of scalars that differ between two trees.
func count(a, b *yaml.Node) int {
	n := 0
	if a.Value != b.Value || a.ShortTag() != b.ShortTag() || a.Kind != b.Kind {
		n++
	}
	if len(a.Content) != len(b.Content) {
		return n + len(a.Content) + len(b.Content)
	}
	for i := range a.Content {
		n += count(a.Content[i], b.Content[i])
	}
	return n
}
