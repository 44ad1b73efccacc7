package main

import (
	"encoding/json"
	"slices"
	"testing"

	"golang.org/x/tools/txtar"

	"towpath.dev/towpath/internal/patch"
)

// TestLintSaysEveryVerdict holds the golden list of lint-verdicts to all verdicts:
// each that a tree can hold is in it, with its place and what to do.
func TestLintSaysEveryVerdict(t *testing.T) {
	a, err := txtar.ParseFile("testdata/script/lint-verdicts.txtar")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "want.json" })
	if i < 0 {
		t.Fatal("there is no want.json")
	}
	var list []finding
	if err := json.Unmarshal(a.Files[i].Data, &list); err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for _, f := range list {
		said[f.Verdict] = true
		if f.Verdict == "" || f.Path == "" || f.Reason == "" || f.Hint == "" {
			t.Errorf("%+v lacks something", f)
		}
		if f.Object == "marker" && f.Line == 0 {
			t.Errorf("%+v names no line", f)
		}
	}
	// What only writing brings about.
	never := []patch.Verdict{patch.Applied, patch.UpToDate, patch.SeveralWanted, patch.AnotherRefused, patch.WouldChangeMore, patch.ForeignComment, patch.NotWritten}
	for _, v := range patch.Verdicts() {
		if said[string(v.Verdict)] == slices.Contains(never, v.Verdict) {
			t.Errorf("verdict %q: in the list %v", v.Verdict, said[string(v.Verdict)])
		}
	}
}
