package scan_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
)

// pushFor pushes tags as images for one platform each.
func (w *world) pushFor(repo, platform string, tags ...string) {
	for _, tag := range tags {
		w.pushIndex(repo, tag, platform)
	}
}

func (w *world) manifests() int {
	n := 0
	for _, r := range w.reg.Requests() {
		if r.Method == http.MethodGet && strings.Contains(r.Path, "/manifests/") {
			n++
		}
	}
	return n
}

func TestThePlatformsDecideFromTheBestCandidateDown(t *testing.T) {
	w := newWorld(t, nil)
	w.pushIndex("web", "1.0.0", "linux/amd64", "linux/arm64")
	w.pushIndex("web", "1.1.0", "linux/amd64", "linux/arm64", "windows/amd64")
	w.pushIndex("web", "1.2.0", "linux/arm64")
	w.pushIndex("web", "1.3.0", "linux/amd64")
	want := w.want("web", "1.0.0", platforms("linux/amd64", "linux/arm64"))
	r := w.one(want)
	selects(t, r, "1.1.0")
	has(t, r.Reason, "1.1.0 is the best that may be taken", "1.3.0: not built for linux/arm64", "and 1 more")
	has(t, strings.Join(r.Notes, "\n"), "1.3.0 was passed over: not built for linux/arm64", "1.2.0 was passed over: not built for linux/amd64")
	if got := rejected(r, "1.3.0"); got != "not built for linux/arm64" {
		t.Errorf("1.3.0 is rejected: %q", got)
	}
	if w.heads() != 3 || w.manifests() != 3 {
		t.Errorf("%d digests and %d manifests for three candidates", w.heads(), w.manifests())
	}
	// Again and after a restart: by digest, platforms never change.
	w.reg.Reset()
	w.nextListing()
	w.start()
	selects(t, w.one(want), "1.1.0")
	if w.heads() != 3 || w.manifests() != 0 {
		t.Errorf("%d digests and %d manifests after a restart", w.heads(), w.manifests())
	}
	// The vendor adds the platform to a tag.
	w.pushIndex("web", "1.3.0", "linux/amd64", "linux/arm64")
	w.nextListing()
	selects(t, w.one(want), "1.3.0")
}

func TestWithoutThePlatformNothingMovesAndItIsSaid(t *testing.T) {
	w := newWorld(t, nil)
	w.pushFor("web", "linux/amd64", "1.0.0", "1.1.0")
	r := w.one(w.want("web", "1.0.0", platforms("linux/s390x")))
	stays(t, r, "1.0.0")
	has(t, r.Reason, "1.1.0 would be the choice", "current 1.0.0", "not built for linux/s390x")
}

func TestPlatformsThatCannotBeReadMoveNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.pushFor("web", "linux/amd64", "1.0.0", "1.1.0")
	w.asked.platforms = fmt.Errorf("read platforms: %w: it answered HTML", registry.ErrBadAnswer)
	want := w.want("web", "1.0.0", platforms("linux/amd64"))
	rep := w.scan(want)
	stuck(t, rep.Results[0], "1.1.0 is listed but cannot be resolved", "HTML")
	if len(rep.Problems) != 1 {
		t.Errorf("problems %+v", rep.Problems)
	}
	w.asked.platforms = nil
	stuck(t, w.one(want)) // not asked again before the next listing
	w.nextListing()
	selects(t, w.one(want), "1.1.0")
}

func TestTheAgeCountsFromTheFirstSight(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", minAge(24*time.Hour))
	rep := w.scan(want)
	r := rep.Results[0]
	stays(t, r, "1.0.0")
	has(t, r.Reason, "1.1.0: first seen at 2026-03-01T12:00:00Z, younger than 24h; old enough at 2026-03-02T12:00:00Z")
	if r.Next != t0.Add(24*time.Hour) || len(rep.Sights) != 1 || rep.Sights[0].Tag != "1.1.0" || rep.Sights[0].First != t0 {
		t.Errorf("next %s, sights %+v", r.Next, rep.Sights)
	}
	// What is known to be young costs no request, listing or not.
	w.reg.Reset()
	for range 5 {
		w.nextListing()
		rep := w.scan(want)
		stays(t, rep.Results[0], "1.0.0")
		if len(rep.Sights) != 0 {
			t.Errorf("seen again: %+v", rep.Sights)
		}
	}
	if w.heads() != 0 {
		t.Errorf("%d digests asked for", w.heads())
	}
	// An older one that is old enough is taken in the meantime.
	w.push("web", "1.0.5")
	w.nextListing()
	w.scan(want)
	w.now = t0.Add(20 * time.Hour)
	w.push("web", "1.2.0")
	w.scan(want)
	w.now = t0.Add(25 * time.Hour)
	r = w.one(want)
	selects(t, r, "1.1.0")
	has(t, r.Reason, "1.2.0: first seen at 2026-03-02T08:00:00Z")
	if r.Next != t0.Add(44*time.Hour) {
		t.Errorf("next %s", r.Next)
	}
	w.now = t0.Add(45 * time.Hour)
	selects(t, w.one(want), "1.2.0")
}

func TestATagThatMovesStartsItsAgeAnew(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", minAge(time.Hour))
	w.scan(want)
	w.push("web", "1.1.0")
	w.later(2 * time.Hour)
	stays(t, w.one(want), "1.0.0")
	w.later(2 * time.Hour)
	selects(t, w.one(want), "1.1.0")
}

func TestAnAgeThatWasNotRecordedDoesNotCount(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", minAge(time.Hour))
	for range 3 {
		rep := w.s.Scan(t.Context(), w.now, []scan.Want{want}, nil) // nobody records
		stays(t, rep.Results[0], "1.0.0")
		if len(rep.Sights) != 1 || rep.Sights[0].First != w.now {
			t.Errorf("sights %+v", rep.Sights)
		}
		w.later(2 * time.Hour)
	}
}

func TestASightInTheFutureIsAWrongClock(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", minAge(time.Hour))
	rep := w.scan(want)
	s := rep.Sights[0]
	w.seen[s.Repo+"@"+string(s.Digest)] = t0.Add(1000 * time.Hour)
	w.later(time.Minute)
	rep = w.scan(want)
	if len(rep.Sights) != 1 || rep.Sights[0].First != w.now {
		t.Errorf("sights %+v", rep.Sights)
	}
	w.later(2 * time.Hour)
	selects(t, w.one(want), "1.1.0")
}

func TestADigestPolicyWaitsForPlatformAndAgeOfTheNewDigest(t *testing.T) {
	w := newWorld(t, nil)
	old := w.pushIndex("web", "main", "linux/amd64")
	want := w.want("web", "main", follow("main", old), platforms("linux/amd64"), minAge(time.Hour))
	stays(t, w.one(want), "main")
	w.pushIndex("web", "main", "linux/arm64")
	w.nextListing()
	r := w.one(want)
	stays(t, r, "main")
	has(t, r.Reason, "tag main now stands for sha256:", "not taken yet", "younger than 1h")
	if r.Next != w.now.Add(time.Hour) {
		t.Errorf("next %s", r.Next)
	}
	w.later(time.Hour)
	r = w.one(want)
	stays(t, r, "main")
	has(t, r.Reason, "not built for linux/amd64")
	moved := w.pushIndex("web", "main", "linux/amd64", "linux/arm64")
	w.nextListing()
	stays(t, w.one(want), "main")
	w.later(time.Hour)
	r = w.one(want)
	if !r.Wanted || r.Changed || string(r.Ref.Digest) != moved || r.Reason != "tag main now stands for "+moved[:19] {
		t.Errorf("wanted %t, ref %s, reason %q, problem %q", r.Wanted, r.Ref, r.Reason, r.Problem)
	}
}

func TestACandidateIsPinnedByTheDigestThatPassed(t *testing.T) {
	w := newWorld(t, nil)
	w.pushIndex("web", "1.0.0", "linux/amd64")
	digest := w.pushIndex("web", "1.1.0", "linux/amd64")
	w.pushIndex("web", "1.2.0", "linux/arm64")
	r := w.one(w.want("web", "1.0.0", pinned(""), platforms("linux/amd64")))
	selects(t, r, "1.1.0")
	if string(r.Ref.Digest) != digest {
		t.Errorf("ref %s, want %s", r.Ref, digest)
	}
}

func TestTheWalkIsBoundedPerListingAndGetsThereInTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.pushIndex("web", "1.0.0", "linux/amd64")
	w.pushIndex("web", "1.1.0", "linux/amd64")
	for i := range 25 {
		w.pushIndex("web", fmt.Sprintf("1.%d.0", i+2), "linux/arm64")
	}
	want := w.want("web", "1.0.0", platforms("linux/amd64"))
	r := w.one(want)
	stays(t, r, "1.0.0")
	has(t, r.Reason, "1.26.0 would be the choice")
	has(t, strings.Join(r.Notes, "\n"), fmt.Sprintf("%d candidates were looked at", scan.MaxLooked))
	has(t, rejected(r, "1.1.0"), "not looked at yet")
	if w.heads() != scan.MaxLooked {
		t.Errorf("%d digests asked for", w.heads())
	}
	w.reg.Reset()
	w.later(time.Minute)
	stays(t, w.one(want), "1.0.0")
	w.start()
	stays(t, w.one(want), "1.0.0")
	if n := len(w.reg.Requests()); n != 0 {
		t.Errorf("%d requests between listings", n)
	}
	for i := 0; !r.Wanted; i++ {
		w.reg.Reset()
		w.nextListing()
		if r = w.one(want); w.heads() > scan.MaxLooked || i > 5 {
			t.Fatalf("%d digests asked for at listing %d; reason %q", w.heads(), i, r.Reason)
		}
	}
	selects(t, r, "1.1.0")
}

func TestManyYoungCandidatesDoNotHideAnOldOne(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", minAge(24*time.Hour))
	w.scan(want)
	for i := range 30 { // one an hour
		w.later(time.Hour)
		w.push("web", fmt.Sprintf("1.%d.0", i+2))
		r := w.one(want)
		if i+1 < 24 {
			stays(t, r, "1.0.0")
			continue
		}
		selects(t, r, fmt.Sprintf("1.%d.0", 1+i+1-24))
	}
}

func TestWhatADigestStandsForIsAskedOnceForManyWants(t *testing.T) {
	w := newWorld(t, nil)
	w.pushIndex("web", "1.0.0", "linux/amd64")
	w.pushIndex("web", "1.1.0", "linux/amd64")
	var wants []scan.Want
	for i := range 20 {
		wants = append(wants, w.want("web", "1.0.0", platforms("linux/amd64"), minAge(time.Hour), func(x *scan.Want) { x.App = fmt.Sprint(i) }))
	}
	rep := w.scan(wants...)
	if len(rep.Sights) != 1 || w.heads() != 1 {
		t.Errorf("%d sights, %d digests", len(rep.Sights), w.heads())
	}
	w.later(2 * time.Hour)
	for _, r := range w.scan(wants...).Results {
		selects(t, r, "1.1.0")
	}
	if w.heads() != 2 || w.manifests() != 1 {
		t.Errorf("%d digests, %d manifests", w.heads(), w.manifests())
	}
}

func TestARefHoldsOnlyWhatThePolicyPins(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	r := w.one(w.want("web", "1.0.0"))
	if want := (image.Ref{Repo: w.repo("web"), Tag: "1.1.0"}); r.Ref != want {
		t.Errorf("ref %s", r.Ref)
	}
}

// TestTheBestOfManyThatAreOldEnoughIsTaken has more new tags at each listing,
// and more per minAge, than are looked at in one go.
func TestTheBestOfManyThatAreOldEnoughIsTaken(t *testing.T) {
	const listings, each = 12, 25 // 300 tags per age
	r := &numbered{}
	s := scan.New(scan.Config{Registry: r, Due: due, Terse: true})
	t.Cleanup(s.Close)
	now, seen := t0, map[string]time.Time{}
	want := wantOf(parse(t, "registry.example/web"), "1.0.0", minAge(listings*6*time.Minute))
	r.tags = append(r.tags, "1.0.0")
	taken := ""
	for i := range 2*listings + 2 {
		for range each {
			r.tags = append(r.tags, fmt.Sprintf("1.%d.0", len(r.tags)))
		}
		r.heads = 0
		rep := s.Scan(t.Context(), now, []scan.Want{want}, func(repo string, d image.Digest) (time.Time, bool) {
			first, ok := seen[string(d)]
			return first, ok
		})
		for _, x := range rep.Sights {
			if x.Until != now.Add(want.Policy.MinAge) {
				t.Errorf("%s waits until %s", x.Tag, x.Until)
			}
			seen[string(x.Digest)] = x.First
		}
		if r.heads > 2*scan.MaxLooked {
			t.Errorf("listing %d: %d questions", i, r.heads)
		}
		res := rep.Results[0]
		if res.Problem != "" || len(res.Notes) > 21 {
			t.Fatalf("listing %d: problem %q, %d notes", i, res.Problem, len(res.Notes))
		}
		switch {
		case i < listings: // none is old enough
			stays(t, res, "1.0.0")
		default: // the best that was seen listings ago
			taken = fmt.Sprintf("1.%d.0", (i-listings+1)*each)
			selects(t, res, taken)
			if first := seen[string(res.Ref.Digest)]; first.Add(want.Policy.MinAge).After(now) {
				t.Errorf("%s was taken at %s, seen first at %s", res.Selected, now, first)
			}
		}
		now = now.Add(6 * time.Minute)
	}
	if taken == "" {
		t.Error("none was ever taken")
	}
}

// numbered is a registry in which every tag has a digest of its own.
type numbered struct {
	fake
	heads int
}

func (n *numbered) Digest(_ context.Context, ref image.Ref) (image.Digest, error) {
	n.heads++
	return image.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(ref.Tag)))), nil
}
