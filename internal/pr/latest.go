package pr

import (
	"slices"
	"strings"
)

// Latest returns the newest review of every person, in the order of their time.
// Names that differ in case only are one person's. Of two at the same second the
// later in the list counts.
func Latest(reviews []Review) []Review {
	by := map[string]Review{}
	for _, r := range reviews {
		name := strings.ToLower(r.User)
		if old, ok := by[name]; !ok || !r.At.Before(old.At) {
			by[name] = r
		}
	}
	out := make([]Review, 0, len(by))
	for _, r := range by {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Review) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.User, b.User)
	})
	return out
}
