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
