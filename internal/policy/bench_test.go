package policy

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
)

const tagsPerBenchmark = 100_000

// manyTags is 100,000 tags in no order, each made by f.
func manyTags(f func(i int, random *rand.Rand) string) []string {
	random := rand.New(rand.NewPCG(5, 6))
	tags := make([]string, tagsPerBenchmark)
	for i := range tags {
		tags[i] = f(i, random)
	}
	return tags
}

// versionTag makes versions, variants, candidates, commits.
func versionTag(i int, random *rand.Rand) string {
	n := fmt.Sprintf("%d.%d.%d", random.IntN(4), random.IntN(200), random.IntN(1000))
	switch i % 10 {
	case 0:
		return n + "-alpine"
	case 1:
		return n + fmt.Sprintf("-rc.%d", random.IntN(9))
	case 2:
		return fmt.Sprintf("%07x", random.IntN(1<<28))
	}
	return n
}

func revisionTag(i int, random *rand.Rand) string {
	return fmt.Sprintf("%d.%d.%d-alpine3.%d-r%d", random.IntN(4), random.IntN(20), random.IntN(100), 15+i%8, random.IntN(20))
}

func dateTag(_ int, random *rand.Rand) string {
	d := time.Unix(random.Int64N(1_700_000_000), 0).UTC()
	return d.Format("2006-01-02") + fmt.Sprintf("-%d", random.IntN(50))
}

func numberTag(_ int, random *rand.Rand) string { return fmt.Sprint(random.Uint64()) }

func commitTag(_ int, random *rand.Rand) string {
	return fmt.Sprintf("main-%07x-%d", random.IntN(1<<28), random.Uint32())
}

// selectBenchmark is a policy with one kind of work, and tags that give it all of it.
type selectBenchmark struct {
	policy  Policy
	current image.Tag
	tag     func(i int, random *rand.Rand) string
}

func selectBenchmarks() map[string]selectBenchmark {
	timestamps := &Filter{Pattern: `^main-[0-9a-f]+-(?P<ts>\d+)$`, Extract: "$ts"}
	return map[string]selectBenchmark{
		"semver":               {inRange("1.x"), "0.0.1", versionTag},
		"semver/open":          {inRange(">=0.1 <4", anyLane, prereleases), "0.0.1", versionTag},
		"semver/extract":       {inRange("1.x", filtered(`^(?P<v>\d+\.\d+\.\d+)-alpine$`, "$v")), "0.0.1", versionTag},
		"semver/excludes":      {inRange("1.x", excluding("1.2.3", "/-debug$/", "/^2/")), "0.0.1", versionTag},
		"semver/revisions":     {inRange("*"), "0.0.1-alpine3.15-r0", revisionTag},
		"calver":               {Policy{Calver: &Calver{Layout: "YYYY-0M-0D[-N]"}}, "1970-01-01", dateTag},
		"numerical":            {Policy{Numerical: &Numerical{}}, "1", numberTag},
		"numerical/extract":    {Policy{Numerical: &Numerical{}, Filter: timestamps}, "main-0-1", commitTag},
		"alphabetical":         {Policy{Alphabetical: &Alphabetical{}}, "0", versionTag},
		"alphabetical/extract": {Policy{Alphabetical: &Alphabetical{}, Filter: timestamps}, "main-0-1", commitTag},
		"digest":               {Policy{DigestTag: "main"}, "main", versionTag},
	}
}

func TestSelectAllocatesNoMoreThanItsBudget(t *testing.T) {
	const budget = 40 << 20
	for name, b := range selectBenchmarks() {
		if b.policy.Filter != nil || b.policy.Exclude != nil {
			continue // the race detector makes expressions allocate anew; the benchmark counts these
		}
		tags := manyTags(b.tag)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := Select(b.policy, tags, b.current)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > budget {
			t.Errorf("%s: %d bytes for %d tags, the budget is %d", name, n, len(tags), budget)
		}
		if b.policy.DigestTag == "" && len(c.Candidates) != MaxCandidates {
			t.Errorf("%s: only %d candidates: %s", name, len(c.Candidates), c.Reason)
		}
	}
}

// BenchmarkSelect has a budget of 100 ms and 40 MB for each selector.
func BenchmarkSelect(b *testing.B) {
	for name, s := range selectBenchmarks() {
		tags := manyTags(s.tag)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Select(s.policy, tags, s.current)
			}
		})
	}
}
