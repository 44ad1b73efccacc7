package scan_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
)

func TestAHundredPoliciesOnTenImagesAreTenListings(t *testing.T) {
	w := newWorld(t, nil)
	var wants []scan.Want
	for i := range 10 {
		repo := fmt.Sprintf("shop/app%d", i)
		w.push(repo, "1.0.0", "1.1.0")
		for j := range 10 {
			wants = append(wants, w.want(repo, "1.0.0", func(x *scan.Want) { x.App = fmt.Sprint(j) }))
		}
	}
	rep := w.scan(wants...)
	lists := 0
	for _, r := range w.reg.Requests() {
		if strings.HasSuffix(r.Path, "/tags/list") {
			lists++
		}
	}
	if pings := w.reg.Count(http.MethodGet, "/v2/"); lists != 10 || pings > 1 || w.heads() != 10 {
		t.Errorf("%d listings, %d pings, %d digests of candidates; want 10, 1 and 10", lists, pings, w.heads())
	}
	for i, r := range rep.Results {
		selects(t, r, "1.1.0")
		if r.App != wants[i].App || r.Repository != wants[i].Policy.Image.Canonical() {
			t.Fatalf("result %d is of %s %s", i, r.App, r.Repository)
		}
	}
	if len(rep.Listings) != 10 || len(rep.Problems) != 0 || len(rep.Sights) != 0 {
		t.Errorf("%d listings, problems %v, sights %v", len(rep.Listings), rep.Problems, rep.Sights)
	}
}

func TestTheSpellingsOfOneImageAreOneListing(t *testing.T) {
	asked := &fake{tags: []string{"1.0.0", "1.1.0"}}
	s := scan.New(scan.Config{Registry: asked})
	defer s.Close()
	rep := s.Scan(t.Context(), t0, []scan.Want{wantOf(parse(t, "alpine"), "1.0.0"), wantOf(parse(t, "docker.io/library/alpine"), "1.0.0")}, nil)
	if asked.lists.Load() != 1 || len(rep.Listings) != 1 {
		t.Errorf("%d listings asked, %d reported", asked.lists.Load(), len(rep.Listings))
	}
	if got := rep.Results[1].Ref.String(); got != "docker.io/library/alpine:1.1.0" {
		t.Errorf("the second is to be written as %s", got)
	}
}

func TestNothingIsAskedWhenNothingIsDueOrWanted(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0")
	want := w.want("web", "1.0.0")
	w.scan(want)
	if w.reg.Listings("web") != 1 || w.heads() != 0 {
		t.Errorf("%d listings, %d digests", w.reg.Listings("web"), w.heads())
	}
	w.reg.Reset()
	w.later(time.Minute)
	stays(t, w.one(want), "1.0.0")
	w.start()
	stays(t, w.one(want), "1.0.0")
	if n := len(w.reg.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestAWantedTagIsResolvedOncePerListing(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", pinned(""))
	for range 3 {
		selects(t, w.one(want), "1.1.0")
		w.later(time.Minute)
	}
	w.start() // over a restart, too
	selects(t, w.one(want), "1.1.0")
	if w.heads() != 1 {
		t.Errorf("%d digests asked for", w.heads())
	}
	w.nextListing()
	selects(t, w.one(want), "1.1.0")
	if w.heads() != 2 || w.reg.Listings("web") != 2 {
		t.Errorf("%d digests, %d listings", w.heads(), w.reg.Listings("web"))
	}
}

func TestTheShortestScheduleOfAnImageCounts(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0")
	daily := w.want("web", "1.0.0", func(x *scan.Want) { x.Policy.Schedule = "@daily" })
	often := w.want("web", "1.0.0", func(x *scan.Want) { x.Policy.Schedule = "@every 1m" })
	w.scan(daily, often)
	w.later(2 * time.Minute)
	w.scan(daily)
	if n := w.reg.Listings("web"); n != 1 {
		t.Errorf("the daily one alone: %d listings", n)
	}
	w.scan(daily, often)
	if n := w.reg.Listings("web"); n != 2 {
		t.Errorf("with the other: %d listings", n)
	}
}

func TestAPokedImageIsAskedAtOnceAndOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0")
	w.push("api", "1.0.0")
	web, api := w.want("web", "1.0.0"), w.want("api", "1.0.0")
	if w.s.Poke(web.Policy.Image) {
		t.Error("an image that nobody wants was poked")
	}
	w.scan(web, api)
	w.push("web", "1.1.0")
	for range 2 {
		if !w.s.Poke(web.Policy.Image) {
			t.Error("a wanted image was not poked")
		}
	}
	selects(t, w.scan(web, api).Results[0], "1.1.0")
	w.scan(web, api)
	if a, b := w.reg.Listings("web"), w.reg.Listings("api"); a != 2 || b != 1 {
		t.Errorf("%d listings of the poked, %d of the other", a, b)
	}
	w.scan(api)
	if w.s.Poke(web.Policy.Image) {
		t.Error("an image that nobody wants any more was poked")
	}
	w.start()
	if !w.s.Poke(web.Policy.Image) {
		t.Error("an event right after a restart was lost")
	}
	w.scan(web)
	if a := w.reg.Listings("web"); a != 3 {
		t.Errorf("%d listings after a poke behind a restart", a)
	}
}

func TestTheTagOfADigestOnlyMarkerIsUnknown(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0")
	digest := "sha256:" + strings.Repeat("a", 64)
	stuck(t, w.one(w.want("web", "", pinned(digest))), "only the digest is marked")
	selects(t, w.one(w.want("web", "")), "1.0.0")
}

func TestPinning(t *testing.T) {
	w := newWorld(t, nil)
	old, err := w.reg.Push("web", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	moved, err := w.reg.Push("web", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	refresh := func(x *scan.Want) { x.Policy.RefreshDigest = true }
	for _, tc := range []struct {
		name  string
		want  scan.Want
		ref   string // to be written; "": nothing
		heads int
	}{
		{"a pinned tag that moved stays as it is, unasked", w.want("web", "1.0.0", pinned(old)), "", 0},
		{"with refreshDigest it is written again", w.want("web", "1.0.0", pinned(old), refresh), "1.0.0@" + moved, 1},
		{"with refreshDigest and the same digest nothing is written", w.want("web", "1.0.0", pinned(moved), refresh), "", 0},
		{"a tag without a digest is pinned", w.want("web", "1.0.0", pinned("")), "1.0.0@" + moved, 0},
		{"a followed tag that moved is written by digest", w.want("web", "1.0.0", follow("1.0.0", old)), "1.0.0@" + moved, 0},
		{"a followed tag that did not move is not", w.want("web", "1.0.0", follow("1.0.0", moved)), "", 0},
		{"a followed tag that is not listed is not asked for", w.want("web", "main", follow("main", old)), "", 0},
		{"an unpinned tag is not asked for", w.want("web", "1.0.0"), "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := w.heads()
			r := w.one(tc.want)
			got := ""
			if r.Wanted {
				got = strings.TrimPrefix(r.Ref.String(), w.reg.Image("web")+":")
			}
			if got != tc.ref || r.Problem != "" || w.heads()-before != tc.heads {
				t.Errorf("wrote %q with %d requests, want %q with %d; reason %q, problem %q", got, w.heads()-before, tc.ref, tc.heads, r.Reason, r.Problem)
			}
		})
	}
}

func TestACurrentTagThatLeftTheRegistryIsNoted(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.4.0", "1.6.0")
	r := w.one(w.want("web", "1.5.0"))
	selects(t, r, "1.6.0")
	has(t, strings.Join(r.Notes, "\n"), "1.5.0 is not in the registry any more")
	r = w.one(w.want("web", "1.7.0", pinned("")))
	stays(t, r, "1.7.0") // and is not replaced by something older
	has(t, strings.Join(r.Notes, "\n"), "1.7.0 is not in the registry any more")
	if w.heads() != 1 {
		t.Errorf("%d digests asked for, want that of 1.6.0", w.heads())
	}
}

func TestATagThatCannotBeResolvedMovesNothingUntilTheNextListing(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0", "1.2.0")
	asked := 0
	w.asked.head = func(ref image.Ref) error {
		if asked++; ref.Tag == "1.2.0" {
			return fmt.Errorf("resolve %s: %w: it answered 404", ref, registry.ErrNotFound)
		}
		return nil
	}
	want := w.want("web", "1.0.0")
	stuck(t, w.one(want), "1.2.0 is listed but cannot be resolved", "404")
	w.later(time.Minute)
	rep := w.scan(want)
	stuck(t, rep.Results[0], "404")
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	if len(rep.Problems) != 1 || rep.Problems[0].Since != t0 || !rep.Problems[0].KeptAt.IsZero() {
		t.Errorf("problems %+v", rep.Problems)
	}
	w.nextListing()
	if rep := w.scan(want); len(rep.Problems) != 1 || rep.Problems[0].Since != t0 || asked != 2 {
		t.Errorf("asked %d times; problems %+v", asked, rep.Problems)
	}
	w.asked.head = nil
	w.nextListing()
	rep = w.scan(want)
	selects(t, rep.Results[0], "1.2.0")
	if len(rep.Problems) != 0 {
		t.Errorf("problems %+v", rep.Problems)
	}
}

func TestProveAsksNowAndTheDigestCounts(t *testing.T) {
	w := newWorld(t, nil)
	digest, err := w.reg.Push("web", "1.1.0")
	if err != nil {
		t.Fatal(err)
	}
	w.push("web", "1.0.0")
	ref := image.Ref{Repo: w.repo("web"), Tag: "1.1.0"}
	both := ref
	both.Digest = image.Digest(digest)
	for range 2 {
		if err := w.s.Prove(t.Context(), ref); err != nil {
			t.Error(err)
		}
	}
	if w.heads() != 2 {
		t.Errorf("%d requests for two proofs", w.heads())
	}
	want := w.want("web", "1.0.0")
	selects(t, w.one(want), "1.1.0")
	w.delete("web", "1.1.0")
	if err := w.s.Prove(t.Context(), both); err != nil {
		t.Errorf("the digest is there, but: %v", err)
	}
	if err := w.s.Prove(t.Context(), ref); !errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "1.1.0") {
		t.Errorf("proof of a deleted tag: %v", err)
	}
	// Until the next listing the failure is the policy's problem.
	w.reg.Reset()
	stuck(t, w.one(want), "1.1.0 is listed but cannot be resolved")
	if n := len(w.reg.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	w.nextListing()
	stays(t, w.one(want), "1.0.0")
}

func TestATerseScannerChoosesAnewOnlyWhenSomethingChanged(t *testing.T) {
	w := newWorld(t, func(c *scan.Config) { c.Terse = true })
	w.push("web", "1.0.0", "1.1.0", "2.0.0")
	want := w.want("web", "1.0.0")
	for range 3 {
		r := w.one(want)
		selects(t, r, "2.0.0")
		if r.Rejected == nil || len(r.Rejected) != 0 {
			t.Errorf("rejected %+v", r.Rejected)
		}
	}
	narrow := w.want("web", "1.0.0", func(x *scan.Want) { x.Policy.Semver.Range = "1.x" })
	selects(t, w.one(narrow), "1.1.0")
	stays(t, w.one(w.want("web", "1.1.0", func(x *scan.Want) { x.Policy.Semver.Range = "1.x" })), "1.1.0")
	both := w.scan(want, narrow)
	selects(t, both.Results[0], "2.0.0")
	selects(t, both.Results[1], "1.1.0")
	w.delete("web", "2.0.0")
	selects(t, w.one(want), "2.0.0") // until it is listed again
	if err := w.s.Prove(t.Context(), image.Ref{Repo: w.repo("web"), Tag: "2.0.0"}); err == nil {
		t.Error("a deleted tag was proved")
	}
	stuck(t, w.one(want), "2.0.0 is listed but cannot be resolved")
	w.nextListing()
	selects(t, w.one(want), "1.1.0")
	aged := w.want("web", "1.0.0", minAge(time.Hour))
	stays(t, w.one(aged), "1.0.0")
	w.later(2 * time.Minute)
	stays(t, w.one(aged), "1.0.0")
	w.later(time.Hour)
	selects(t, w.one(aged), "1.1.0")
}

func TestAClosedScannerAsksNobody(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0")
	w.s.Close()
	stuck(t, w.one(w.want("web", "1.0.0")), "closed")
	if n := len(w.reg.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestAFaultAtOneImageStopsNoOther(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	w.push("api", "1.0.0", "1.1.0")
	w.asked.head = func(ref image.Ref) error {
		if strings.HasSuffix(ref.Repo.Path(), "web") {
			panic("out of order")
		}
		return nil
	}
	rep := w.scan(w.want("web", "1.0.0"), w.want("api", "1.0.0"))
	stuck(t, rep.Results[0], "fault of Towpath", "nothing moves")
	selects(t, rep.Results[1], "1.1.0")
	has(t, w.log.String(), "out of order")
}

func TestEqualSchedulesDoNotFireTogether(t *testing.T) {
	asked := &fake{tags: []string{"1.0.0"}}
	s := scan.New(scan.Config{Registry: asked, Due: due, Terse: true})
	defer s.Close()
	var wants []scan.Want
	for i := range 100 {
		wants = append(wants, wantOf(parse(t, fmt.Sprintf("registry.example/app%d", i)), "1.0.0"))
	}
	s.Scan(t.Context(), t0, wants, nil)
	if n := asked.lists.Load(); n != 100 {
		t.Fatalf("%d listings at first", n)
	}
	interval := 5 * time.Minute
	most := int64(0)
	for at := interval - 15*time.Second; at <= interval*11/10; at += 3 * time.Second {
		before := asked.lists.Load()
		s.Scan(t.Context(), t0.Add(at), wants, nil)
		n := asked.lists.Load() - before
		if n > 0 && at < interval {
			t.Fatalf("%d were asked after %s, before they were due", n, at)
		}
		most = max(most, n)
	}
	if n := asked.lists.Load(); n != 200 {
		t.Errorf("%d were asked within a tenth after the interval, want all 100", n-100)
	}
	if most > 30 {
		t.Errorf("%d of 100 were asked within the same three seconds", most)
	}
}
