package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// manyTags is 100,000 tags in no order: versions, variants, candidates, commits.
func manyTags() []string {
	const count = 100_000
	random := rand.New(rand.NewPCG(5, 6))
	tags := make([]string, count)
	for i := range tags {
		n := fmt.Sprintf("%d.%d.%d", random.IntN(4), random.IntN(200), random.IntN(1000))
		switch i % 10 {
		case 0:
			n += "-alpine"
		case 1:
			n += fmt.Sprintf("-rc.%d", random.IntN(9))
		case 2:
			n = fmt.Sprintf("%07x", random.IntN(1<<28))
		}
		tags[i] = n
	}
	return tags
}

// BenchmarkSelect has a budget of 100 ms and 40 MB for each selector.
func BenchmarkSelect(b *testing.B) {
	tags := manyTags()
	for name, p := range map[string]Policy{
		"semver":   inRange("1.x"),
		"open":     inRange(">=0.1 <4", anyLane, prereleases),
		"extract":  inRange("1.x", filtered(`^(?P<v>\d+\.\d+\.\d+)-alpine$`, "$v")),
		"excludes": inRange("1.x", excluding("1.2.3", "/-debug$/", "/^2/")),
		"digest":   {DigestTag: "main"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Select(p, tags, "0.0.1")
			}
		})
	}
}
