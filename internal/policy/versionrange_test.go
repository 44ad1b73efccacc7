package policy

import (
	"testing"

	"github.com/Masterminds/semver/v3"
	"pgregory.net/rapid"
)

// TestEdgesAnswerLikeTheLibrary compares the shortcut with the library itself on
// ranges and releases drawn at random, close to each other.
func TestEdgesAnswerLikeTheLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[0-3]|10|x|\*`)
		comparator := rapid.Custom(func(t *rapid.T) string {
			s := rapid.SampledFrom([]string{"", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"}).Draw(t, "operator")
			s += rapid.SampledFrom([]string{"", "v"}).Draw(t, "prefix") + part.Draw(t, "major")
			for range rapid.IntRange(0, 2).Draw(t, "parts") {
				s += "." + part.Draw(t, "part")
			}
			return s
		})
		text := comparator.Draw(t, "first")
		for range rapid.IntRange(0, 3).Draw(t, "more") {
			text += rapid.SampledFrom([]string{" ", ", ", " || ", " - "}).Draw(t, "joint") + comparator.Draw(t, "next")
		}
		c, err := semver.NewConstraint(text)
		if err != nil {
			return // not a range
		}
		r, bad := newVersionRange(&Semver{Range: text})
		if bad != nil {
			t.Fatalf("%q: %s", text, bad.reason)
		}
		number := rapid.SampledFrom([]uint64{0, 1, 2, 3, 4, 9, 10, 11, 1 << 63})
		for range 50 {
			n := [3]uint64{number.Draw(t, "major"), number.Draw(t, "minor"), number.Draw(t, "patch")}
			want := c.Check(semver.New(n[0], n[1], n[2], "", ""))
			if got := r.hasRelease(n); got != want {
				t.Fatalf("range %q, release %v: %v, the library says %v", text, n, got, want)
			}
		}
	})
}
