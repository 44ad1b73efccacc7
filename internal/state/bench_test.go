package state_test

import (
	"fmt"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/state"
)

// BenchmarkLoad1000Images is what a tick without news pays for the sights of a
// thousand images with a minAge.
func BenchmarkLoad1000Images(b *testing.B) {
	url := b.TempDir()
	if err := gitrepo.InitBare(url, "main"); err != nil {
		b.Fatal(err)
	}
	r, err := gitrepo.Open(b.Context(), gitrepo.Config{URL: url, Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	var sights []state.Sight
	for i := range 1000 {
		for j := range 20 {
			sights = append(sights, sight(fmt.Sprintf("ghcr.io/shop/app%d", i), j, 0))
		}
	}
	if err := state.Put(b.Context(), r, state.Change{Sights: sights, At: t0}); err != nil {
		b.Fatal(err)
	}
	if err := r.Fetch(b.Context()); err != nil {
		b.Fatal(err)
	}
	l := state.NewLoader(r)
	if _, err := l.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := l.Load(b.Context())
		if err != nil || len(s.Seen) != 1000 {
			b.Fatalf("%d images, %v", len(s.Seen), err)
		}
	}
}
