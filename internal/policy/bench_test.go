package policy

import (
	"fmt"
	"math/rand/v2"
	"runtime"
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

// benchmarked are policies with each kind of work.
func benchmarked() map[string]Policy {
	return map[string]Policy{
		"semver":   inRange("1.x"),
		"open":     inRange(">=0.1 <4", anyLane, prereleases),
		"extract":  inRange("1.x", filtered(`^(?P<v>\d+\.\d+\.\d+)-alpine$`, "$v")),
		"excludes": inRange("1.x", excluding("1.2.3", "/-debug$/", "/^2/")),
		"digest":   {DigestTag: "main"},
	}
}

func TestSelectAllocatesNoMoreThanItsBudget(t *testing.T) {
	const budget = 40 << 20
	tags := manyTags()
	for name, p := range benchmarked() {
		if p.Filter != nil || p.Exclude != nil {
			continue // the race detector makes expressions allocate anew; the benchmark counts these
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Select(p, tags, "0.0.1")
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > budget {
			t.Errorf("%s: %d bytes for %d tags, the budget is %d", name, n, len(tags), budget)
		}
	}
}

// BenchmarkSelect has a budget of 100 ms and 40 MB for each selector.
func BenchmarkSelect(b *testing.B) {
	tags := manyTags()
	for name, p := range benchmarked() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Select(p, tags, "0.0.1")
			}
		})
	}
}
