package patch

import (
	"fmt"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/image"
)

// corpus makes n files of 2 KB, each with one marker when marked.
func corpus(n int, marked bool) []File {
	marker := ""
	if marked {
		marker = " # towpath: web"
	}
	var filler strings.Builder
	for i := 0; filler.Len() < 1700; i++ {
		fmt.Fprintf(&filler, "        - name: SETTING_%d\n          value: \"some value %d\"\n", i, i)
	}
	files := make([]File, n)
	for i := range files {
		files[i] = File{Path: fmt.Sprintf("apps/%d/deployment.yaml", i), Data: fmt.Appendf(nil, `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-%d
spec:
  template:
    spec:
      containers:
      - name: web
        image: ghcr.io/example/web:1.0.0%s
        env:
%s`, i, marker, &filler)}
	}
	return files
}

func benchmark(b *testing.B, files []File, sets []Set, edits int) {
	b.ReportAllocs()
	for b.Loop() {
		if r := Apply(files, sets); len(r.Edits) != edits {
			b.Fatalf("%d edits, want %d", len(r.Edits), edits)
		}
	}
}

func BenchmarkApply10000Unmarked(b *testing.B) {
	benchmark(b, corpus(10_000, false), []Set{{Policy: "web", Ref: ref(b, "ghcr.io/example/web:2.0.0")}}, 0)
}

func BenchmarkApply1000Unchanged(b *testing.B) {
	benchmark(b, corpus(1000, true), []Set{{Policy: "web", Ref: ref(b, "ghcr.io/example/web:1.0.0")}}, 0)
}

func BenchmarkApply1000Changed(b *testing.B) {
	benchmark(b, corpus(1000, true), []Set{{Policy: "web", Ref: ref(b, "ghcr.io/example/web:2.0.0")}}, 1000)
}

func BenchmarkApply1000ChangedOf5000Policies(b *testing.B) {
	sets := []Set{{Policy: "web", Ref: ref(b, "ghcr.io/example/web:2.0.0")}}
	for i := range 5000 {
		sets = append(sets, Set{Policy: fmt.Sprintf("other-%d", i), Ref: image.Ref{Tag: "1"}})
	}
	benchmark(b, corpus(1000, true), sets, 1000)
}
