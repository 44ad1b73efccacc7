package state_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/state"
)

const web, alpine = "ghcr.io/shop/web", "index.docker.io/library/alpine"

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func digest(i int) image.Digest { return image.Digest(fmt.Sprintf("sha256:%064x", i)) }

func sight(repo string, i int, after time.Duration) state.Sight {
	return state.Sight{Repo: repo, Digest: digest(i), Tag: image.Tag(fmt.Sprintf("1.%d.0", i)), First: t0.Add(after)}
}

func problem(img string) state.ScanProblem {
	return state.ScanProblem{Image: img, Registry: "ghcr.io", Kind: "unavailable", Problem: "ghcr.io answered 503", Kept: 12, KeptAt: t0, Since: t0.Add(time.Hour), At: t0.Add(2 * time.Hour)}
}

func put(t *testing.T, g state.Git, c state.Change) {
	t.Helper()
	c.At = t0
	if err := state.Put(t.Context(), g, c); err != nil {
		t.Fatal(err)
	}
}

func TestSightsAndProblemsAreOneCommitAndReadableWithGitShow(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	if err := state.PutReport(t.Context(), r, report("dev", "dev")); err != nil {
		t.Fatal(err)
	}
	before := r.Counts().Pushes
	put(t, r, state.Change{
		Sights: []state.Sight{sight(web, 1, 0), sight(alpine, 1, time.Minute), sight(web, 2, time.Second)},
		Scans:  &[]state.ScanProblem{problem("z"), problem("a")},
	})
	if n := r.Counts().Pushes - before; n != 1 {
		t.Errorf("%d pushes", n)
	}
	s := load(t, open(t, url))
	if d := cmp.Diff([]state.ScanProblem{problem("a"), problem("z")}, s.Scans); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
	for _, want := range []state.Sight{sight(web, 1, 0), sight(web, 2, time.Second), sight(alpine, 1, time.Minute)} {
		if first, ok := s.Seen.First(want.Repo, want.Digest); !ok || !first.Equal(want.First) {
			t.Errorf("%s@%s was first seen at %s", want.Repo, want.Digest, first)
		}
		if d := cmp.Diff(want, s.Seen[want.Repo][want.Digest]); d != "" {
			t.Errorf("sight (-want +got):\n%s", d)
		}
	}
	if _, ok := s.Seen.First(alpine, digest(2)); ok {
		t.Error("a sight in one image counts for another")
	}
	if len(s.Reports) != 1 || len(s.Problems) != 0 {
		t.Errorf("%d reports, problems %q", len(s.Reports), s.Problems)
	}
	if got := git(t, url, "show", "refs/towpath/state:seen/ghcr.io%2Fshop%2Fweb.json"); !strings.Contains(got, `"tag": "1.2.0"`) {
		t.Errorf("git show prints:\n%s", got)
	}
	git(t, url, "fsck", "--strict")
}

func TestWhatIsKnownAlreadyCostsNoPush(t *testing.T) {
	r := open(t, bare(t))
	put(t, r, state.Change{Scans: &[]state.ScanProblem{}}) // nothing to say yet: no file
	if s := load(t, r); s.Commit != "" {
		t.Errorf("no problems made a commit")
	}
	c := state.Change{Sights: []state.Sight{sight(web, 1, 0)}, Scans: &[]state.ScanProblem{problem("a"), problem("b")}}
	put(t, r, c)
	before := r.Counts()
	put(t, r, c)
	put(t, r, state.Change{})
	put(t, r, state.Change{Sights: []state.Sight{sight(web, 1, time.Hour)}}) // seen earlier: that stays
	put(t, r, state.Change{Scans: &[]state.ScanProblem{problem("b"), problem("a")}})
	if d := cmp.Diff(before, r.Counts()); d != "" {
		t.Errorf("counts (-before +after):\n%s", d)
	}
	put(t, r, state.Change{Scans: &[]state.ScanProblem{}})
	if s := load(t, r); len(s.Scans) != 0 || len(s.Seen[web]) != 1 {
		t.Errorf("scans %+v, seen %+v", s.Scans, s.Seen)
	}
}

func TestTheEarlierFirstSightCounts(t *testing.T) {
	r := open(t, bare(t))
	put(t, r, state.Change{Sights: []state.Sight{sight(web, 1, time.Hour)}})
	put(t, r, state.Change{Sights: []state.Sight{sight(web, 1, time.Minute), sight(web, 1, 2*time.Hour)}})
	if first, _ := load(t, r).Seen.First(web, digest(1)); !first.Equal(t0.Add(time.Minute)) {
		t.Errorf("first seen at %s", first)
	}
}

func TestSightsOfAnImageAreBoundedAndWhatWaitsForNothingGoesFirst(t *testing.T) {
	const most = 1000
	r := open(t, bare(t))
	var sights []state.Sight
	for i := range most {
		s := sight(web, i, time.Duration(i)*time.Second-24*time.Hour)
		if i != 1 && i != 3 { // the others reach their age after t0
			s.Until = t0.Add(time.Duration(i+1) * time.Second)
		}
		sights = append(sights, s)
	}
	put(t, r, state.Change{Sights: sights})
	check := func(what string, want map[int]bool) {
		t.Helper()
		seen := load(t, r).Seen
		if len(seen[web]) != most {
			t.Errorf("%s: %d sights", what, len(seen[web]))
		}
		for i, want := range want {
			if _, ok := seen.First(web, digest(i)); ok != want {
				t.Errorf("%s: digest %d is known: %t", what, i, ok)
			}
		}
	}
	next := func(i int) state.Sight {
		s := sight(web, i, time.Duration(i)*time.Second)
		s.Until = s.First.Add(24 * time.Hour)
		return s
	}
	put(t, r, state.Change{Sights: []state.Sight{next(most), next(most + 1), sight(alpine, 1, 0)}})
	check("two wait for nothing", map[int]bool{0: true, 1: false, 2: true, 3: false, 4: true, most: true, most + 1: true})
	pushes := r.Counts().Pushes
	put(t, r, state.Change{Sights: []state.Sight{next(most + 2)}})
	check("all wait", map[int]bool{0: true, 2: true, most + 1: true, most + 2: false})
	if n := r.Counts().Pushes - pushes; n != 0 {
		t.Errorf("%d pushes for what there is no room for", n)
	}
	err := state.Put(t.Context(), r, state.Change{At: t0.Add(time.Second), Sights: []state.Sight{next(most + 2)}})
	if err != nil {
		t.Fatal(err)
	}
	check("when the oldest has its age there is room", map[int]bool{0: false, 2: true, most + 1: true, most + 2: true})
}

func TestProblemsAreBounded(t *testing.T) {
	r := open(t, bare(t))
	var scans []state.ScanProblem
	for i := range 1500 {
		p := problem(fmt.Sprintf("image%04d", i))
		p.Problem = strings.Repeat("ä", 2000)
		scans = append(scans, p)
	}
	slices.Reverse(scans)
	put(t, r, state.Change{Scans: &scans})
	s := load(t, r)
	if len(s.Scans) != 1000 || s.Scans[0].Image != "image0000" || len(s.Scans[0].Problem) > 1010 || strings.Contains(s.Scans[0].Problem, "\ufffd") {
		t.Errorf("%d problems, the first of %s with %d bytes", len(s.Scans), s.Scans[0].Image, len(s.Scans[0].Problem))
	}
}

func TestABadSightIsRefused(t *testing.T) {
	r := open(t, bare(t))
	for name, s := range map[string]state.Sight{
		"no repository":      {Digest: digest(1), First: t0},
		"not canonical":      {Repo: "alpine", Digest: digest(1), First: t0},
		"a path":             {Repo: "../../reports", Digest: digest(1), First: t0},
		"no digest":          {Repo: web, Digest: "sha256:1", First: t0},
		"no time":            {Repo: web, Digest: digest(1)},
		"a tag with its own": {Repo: web + ":1", Digest: digest(1), First: t0},
	} {
		if err := state.Put(t.Context(), r, state.Change{Sights: []state.Sight{s}}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestUnreadableSightsAndProblemsSurviveOthersWritesAndAreSaid(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	write(t, r, map[string][]byte{
		"seen/ghcr.io%2Fshop%2Fweb.json":   []byte("{broken"),
		"seen/ghcr.io%2Fshop%2Fother.json": []byte(`{"repo":"ghcr.io/shop/web","seen":[]}`),
		"seen/ghcr.io%2Fshop%2Fodd.json":   []byte(`{"repo":"ghcr.io/shop/odd","seen":[{"digest":"sha256:1","first":"2026-01-01T00:00:00Z"},{"digest":"` + string(digest(1)) + `"},{"digest":"` + string(digest(2)) + `","first":"2026-01-01T00:00:00Z"}]}`),
		"seen/README":                      []byte("not a sight"),
		"seen/deep/x.json":                 []byte("not ours"),
		"scans.json":                       []byte("[broken"),
		"holds/prod.json":                  []byte("of a later version"),
	})
	put(t, r, state.Change{Sights: []state.Sight{sight(alpine, 1, 0)}})
	s := load(t, r)
	if len(s.Problems) != 3 || len(s.Scans) != 0 {
		t.Errorf("problems %q, scans %+v", s.Problems, s.Scans)
	}
	all := strings.Join(s.Problems, "\n")
	for _, want := range []string{"seen/ghcr.io%2Fshop%2Fweb.json in refs/towpath/state: ", "ages of ghcr.io/shop/web start anew", `is about "ghcr.io/shop/web"`, "scans.json in refs/towpath/state"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q does not say %q", all, want)
		}
	}
	if _, ok := s.Seen.First("ghcr.io/shop/odd", digest(2)); !ok || len(s.Seen["ghcr.io/shop/odd"]) != 1 {
		t.Errorf("seen %+v", s.Seen["ghcr.io/shop/odd"])
	}
	files := func() map[string][]byte {
		t.Helper()
		snap, err := r.Snapshot(load(t, r).Commit)
		if err != nil {
			t.Fatal(err)
		}
		files, err := snap.Files("", nil)
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if f := files(); len(f) != 8 || string(f["seen/ghcr.io%2Fshop%2Fweb.json"]) != "{broken" || string(f["scans.json"]) != "[broken" {
		t.Errorf("%d files", len(f))
	}
	// Writing to them mends them.
	put(t, r, state.Change{Sights: []state.Sight{sight(web, 1, 0)}, Scans: &[]state.ScanProblem{}})
	s = load(t, r)
	if _, ok := s.Seen.First(web, digest(1)); !ok || len(s.Problems) != 1 {
		t.Errorf("seen %+v, problems %q", s.Seen[web], s.Problems)
	}
	if f := files(); len(f) != 8 {
		t.Errorf("%d files", len(f))
	}
}

func TestSightsReportsAndProblemsOfManyWritersAllLand(t *testing.T) {
	url := bare(t)
	const writers = 6
	repos := make([]*gitrepo.Repo, writers)
	for i := range repos {
		repos[i] = open(t, url)
	}
	var wg sync.WaitGroup
	for i, r := range repos {
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				err = state.PutReport(t.Context(), r, report("prod", fmt.Sprint(i)))
			} else {
				err = state.Put(t.Context(), r, state.Change{Sights: []state.Sight{sight(web, i, 0)}, Scans: &[]state.ScanProblem{problem("a")}, At: t0})
			}
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if s := load(t, open(t, url)); len(s.Reports) != 3 || len(s.Seen[web]) != 3 || len(s.Scans) != 1 {
		t.Errorf("%d reports, %d sights, %d problems", len(s.Reports), len(s.Seen[web]), len(s.Scans))
	}
}

func TestALoaderSeesWhatChanged(t *testing.T) {
	url := bare(t)
	r := open(t, url)
	l := state.NewLoader(r)
	check := func(want int, problems int) {
		t.Helper()
		if err := r.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, err := l.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(load(t, r), got); d != "" || len(got.Seen[web])+len(got.Seen[alpine]) != want || len(got.Problems) != problems {
			t.Errorf("%d sights, problems %q; (-fresh +loader):\n%s", len(got.Seen[web])+len(got.Seen[alpine]), got.Problems, d)
		}
	}
	check(0, 0)
	put(t, r, state.Change{Sights: []state.Sight{sight(web, 1, 0)}})
	check(1, 0)
	put(t, r, state.Change{Sights: []state.Sight{sight(web, 2, 0), sight(alpine, 1, 0)}, Scans: &[]state.ScanProblem{problem("a")}})
	check(3, 0)
	if err := state.PutReport(t.Context(), r, report("dev", "dev")); err != nil {
		t.Fatal(err)
	}
	check(3, 0)
	write(t, r, map[string][]byte{"seen/ghcr.io%2Fshop%2Fweb.json": []byte("{broken")})
	check(0, 1)
	check(0, 1)
	put(t, r, state.Change{Sights: []state.Sight{sight(web, 1, 0)}})
	check(1, 0)
	git(t, url, "update-ref", "-d", state.Ref)
	check(0, 0)
}

func TestPutGivesUpAfterTenLostRaces(t *testing.T) {
	l := &loser{Repo: open(t, bare(t))}
	err := state.Put(t.Context(), l, state.Change{Sights: []state.Sight{sight(web, 1, 0)}})
	if !errors.Is(err, gitrepo.ErrStale) || l.pushes != 10 || !strings.Contains(err.Error(), "first sights") {
		t.Errorf("%d pushes, error %v", l.pushes, err)
	}
}
