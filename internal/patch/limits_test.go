package patch

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
)

// allocated returns the bytes that a function allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestLimitsAreVerdicts holds that one step over a limit is refused with a
// verdict, and the limit itself is not, in either reader.
func TestLimitsAreVerdicts(t *testing.T) {
	const marked = "image: web:1.0 # towpath: web\n"
	blocks := func(n int, leaf string) string { // n mappings in one another, the root included
		var b strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
		}
		return b.String() + strings.Repeat(" ", n-1) + leaf
	}
	flow := func(n int) string { return "a: " + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "\n" }
	for _, c := range []struct {
		name, text string
		want       Verdict // "" when the value is written
	}{
		{"as many documents as may be", marked + strings.Repeat("---\na: b\n", MaxDocuments-1), ""},
		{"one document more", marked + strings.Repeat("---\na: b\n", MaxDocuments), TooMany},
		{"one document more between rarer line breaks", "image: web:1.0 # towpath: web\r" + strings.Repeat("---\ra: b\r", MaxDocuments), TooMany},
		{"as many values as may be", marked + "a: [" + strings.Repeat("x,", MaxValues-4) + "]\n", ""},
		{"one value more", marked + "a: [" + strings.Repeat("x,", MaxValues-3) + "]\n", TooManyValues},
		{"as many values as may be in each of two documents", marked + "a: [" + strings.Repeat("x,", MaxValues-4) + "]\n---\nimage: x:1 # towpath: other\na: [" + strings.Repeat("x,", MaxValues-5) + "]\n", ""},
		{"many values in a document that is only checked", marked + "---\na: [" + strings.Repeat("x, ", MaxValues) + "x]\n", ""},
		{"many values in one that the parser must check", marked + "---\na: &a [" + strings.Repeat("x, ", MaxValues) + "x]\n", TooManyValues},
		{"many values in a file that can only be read in one piece", "%YAML 1.1\n---\n" + marked + "a: [" + strings.Repeat("x,", MaxValues/2) + "]\n---\na: [" + strings.Repeat("x,", MaxValues/2) + "]\n", TooManyValues},
		{"as deep as may be", blocks(MaxDepth, marked), ""},
		{"one level more", blocks(MaxDepth+1, marked), TooDeep},
		{"as deep as may be, for the parser", "x: &x y\n" + blocks(MaxDepth, marked), ""},
		{"one level more, for the parser", "x: &x y\n" + blocks(MaxDepth+1, marked), TooDeep},
		{"deep flow", marked + flow(MaxDepth), ""},
		{"deeper flow", marked + flow(MaxDepth+1), TooDeep},
		{"flow in blocks as deep as may be", blocks(MaxDepth-2, marked+strings.Repeat(" ", MaxDepth-3)+"b: [[c]]\n"), ""},
		{"flow in blocks one deeper", blocks(MaxDepth-2, marked+strings.Repeat(" ", MaxDepth-3)+"b: [[[c]]]\n"), TooDeep},
		{"another document too deep", marked + "---\n" + blocks(MaxDepth+1, "a: b\n"), TooDeep},
		{"deeper than the parser goes", marked + "a: " + strings.Repeat("[", 20_000), TooDeep},
		{"as large as may be", marked + strings.Repeat("#", MaxFileSize-len(marked)-len("ghcr.io/example/web:2.0")+len("web:1.0")), ""},
		{"larger", marked + strings.Repeat("#", MaxFileSize), TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Apply([]File{{Path: "x.yaml", Data: []byte(c.text)}}, []Set{{Policy: "web", Ref: ref(t, "ghcr.io/example/web:2.0")}})
			switch {
			case c.want == "" && (len(r.Edits) != 1 || len(r.Skipped) > 0):
				t.Errorf("%d edits, skipped %v", len(r.Edits), r.Skipped)
			case c.want != "" && (len(r.Edits) > 0 || len(r.Skipped) != 1 || r.Skipped[0].Verdict != c.want):
				t.Errorf("%d edits, skipped %v, want %s", len(r.Edits), r.Skipped, c.want)
			}
		})
	}
}

// TestAliasesAreNeverFollowed counts what a bomb of aliases costs that stands
// for 9 to the 60th values.
func TestAliasesAreNeverFollowed(t *testing.T) {
	text := "image: web:1.0 # towpath: web\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 60; i++ {
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	got := allocated(func() {
		r := Apply([]File{{Path: "x.yaml", Data: []byte(text)}}, []Set{{Policy: "web", Ref: ref(t, "web:2.0")}})
		if len(r.Edits) != 1 {
			t.Errorf("skipped %v", r.Skipped)
		}
	})
	if limit := uint64(300 * len(text)); got > limit {
		t.Errorf("%d bytes for a file of %d", got, len(text))
	}
}

// TestCostsOfReading counts allocations: files without a marker cost none, and
// those whose values are as wanted a few each, however many policies there are.
func TestCostsOfReading(t *testing.T) {
	const files = 100
	sets := []Set{{Policy: "web", Ref: ref(t, "ghcr.io/example/web:1.0.0")}}
	many := append([]Set{}, sets...)
	for i := range 2000 {
		many = append(many, Set{Policy: fmt.Sprintf("other-%d", i), Ref: ref(t, "x:1")})
	}
	unmarked, marked := corpus(files, false), corpus(files, true)
	// The least of several: a collection at the wrong moment empties pools, and the race
	// detector does so at random.
	least := func(files []File, sets []Set) float64 {
		n := math.Inf(1)
		for range 7 {
			n = min(n, testing.AllocsPerRun(1, func() { Apply(files, sets) }))
		}
		return n
	}
	count := func(files []File, sets []Set) float64 { return least(files, sets) - least(nil, sets) }
	if n := count(unmarked, sets); n > 0 {
		t.Errorf("%v allocations for %d unmarked files", n, files)
	}
	few := count(marked, sets)
	if few > 40*files {
		t.Errorf("%v allocations for %d marked files that stay as they are", few, files)
	}
	// One for each policy would be 2,000 times as many; what is left of noise is not.
	if n := count(marked, many); n > few+5*files {
		t.Errorf("%v allocations with %d policies, %v with one", n, len(many), few)
	}
}

// TestOneBigFile holds the cost of a file of many documents to what its size
// allows: the parser reads only the document with the marker.
func TestOneBigFile(t *testing.T) {
	var text strings.Builder
	for i, f := range corpus(1200, false) {
		if i == 600 {
			f = corpus(1, true)[0]
		}
		text.WriteString("---\n" + strings.TrimPrefix(string(f.Data), "---\n"))
	}
	file := []File{{Path: "all.yaml", Data: []byte(text.String())}}
	for _, tag := range []string{"1.0.0", "2.0.0"} {
		got := allocated(func() {
			if r := Apply(file, []Set{{Policy: "web", Ref: ref(t, "ghcr.io/example/web:"+tag)}}); len(r.Edits)+len(r.UpToDate) != 1 {
				t.Errorf("skipped %v", r.Skipped)
			}
		})
		if limit := uint64(6 * text.Len()); got > limit {
			t.Errorf("%d bytes for a file of %d", got, text.Len())
		}
	}
}
