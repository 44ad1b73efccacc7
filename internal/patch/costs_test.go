package patch

import (
	"strings"
	"testing"
)

// TestMarkersOfOneMappingLookThroughItOnce counts what the verdicts on the values
// of a mapping cost: twice as many markers in it must not cost four times as much.
func TestMarkersOfOneMappingLookThroughItOnce(t *testing.T) {
	for name, c := range map[string]struct{ head, line string }{
		"a tag":                {"images:\n- name: a\n", "  newTag: \"1\" # towpath: web:tag\n"},
		"a name":               {"images:\n- newTag: \"1\"\n", "  name: r.example/web:1 # towpath: web\n"},
		"mappings in mappings": {"images:\n- name: a\n", "  newTag: \"1\" # towpath: web:tag\n  x: {name: a, newTag: \"1\"} # towpath: web:tag\n"},
	} {
		t.Run(name, func(t *testing.T) {
			const lines = 2000
			var r reader
			s, refusal := r.read(File{Path: "x.yaml", Data: []byte(c.head + strings.Repeat(c.line, lines))})
			if refusal != nil {
				t.Fatal(refusal)
			}
			if found := s.found; len(found) < lines {
				t.Fatalf("%d markers", len(found))
			}
			if limit := 4*lines + 2; s.looked == 0 || s.looked > limit {
				t.Errorf("%d pairs looked at, want at most %d", s.looked, limit)
			}
		})
	}
}

// TestColumnsOfALongLineAreCountedOnce is the same for the characters of a line.
func TestColumnsOfALongLineAreCountedOnce(t *testing.T) {
	text := `a: ["é"` + strings.Repeat(`, "x"`, 2000) + "] # towpath: web\n"
	var r simpleReader
	if r.tree([]byte(text), 0, &nodes{}) == nil {
		t.Fatal("the simple reader does not read it")
	}
	if r.counted == 0 || r.counted > 2*len(text) {
		t.Errorf("%d bytes counted in a line of %d", r.counted, len(text))
	}
}

// TestOnlyOneDocumentIsInMemory counts what is held of a file of many documents,
// read by either reader, and that changing it reads each a second time at most.
func TestOnlyOneDocumentIsInMemory(t *testing.T) {
	const docs = 500
	for name, value := range map[string]string{"simple": "r.example/web:1", "for the parser": "&a r.example/web:1"} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat("---\na: "+value+" # towpath: web\n"+strings.Repeat("x: y\n", 50), docs)
			var r reader
			if got := apply([]File{{Path: "x.yaml", Data: []byte(text)}}, []Set{{Policy: "web", Ref: ref(t, "r.example/web:2")}}, &r); len(got.Edits) != docs {
				t.Fatalf("%d edits, skipped %v", len(got.Edits), got.Skipped)
			}
			if r.kept != docs-1 || len(r.trees) != 1 || len(r.source.trees)+len(r.after.trees) > 0 {
				t.Errorf("trees are held of more than document %d", r.kept)
			}
			if n := len(r.nodes.chunks) * nodeChunk; n > 2*nodeChunk {
				t.Errorf("memory for %d nodes, though a document has about 100", n)
			}
			if n := max(cap(r.source.spots), cap(r.after.spots)); n > 1000 {
				t.Errorf("memory for %d values", n)
			}
		})
	}
}

// TestMemoryOfALargeFileIsGivenBack holds that one file does not make all that
// follow keep what it needed.
func TestMemoryOfALargeFileIsGivenBack(t *testing.T) {
	large := File{Path: "x.yaml", Data: []byte("image: web:1 # towpath: web\na: [x" + strings.Repeat(", x", MaxValues/2) + "]\n")}
	small := File{Path: "y.yaml", Data: []byte("image: web:1 # towpath: web\n")}
	var r reader
	if got := apply([]File{large, small}, []Set{{Policy: "web", Ref: ref(t, "web:2")}}, &r); len(got.Edits) != 2 {
		t.Fatal(got.Skipped)
	}
	if n := len(r.nodes.chunks); n > maxKeptChunks {
		t.Errorf("%d chunks of nodes are kept", n)
	}
	for _, chunk := range r.nodes.chunks {
		for _, n := range chunk[:min(r.nodes.used, len(chunk))] {
			if cap(n.Content) > maxKeptContent {
				t.Errorf("a node keeps room for %d children", cap(n.Content))
			}
		}
	}
}
