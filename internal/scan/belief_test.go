package scan_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/scan"
)

func TestAFailureKeepsTheLastGoodAnswerAndMovesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0")
	selects(t, w.one(want), "1.1.0")
	w.asked.fail = fmt.Errorf("list tags of web: %w: it answered 503", registry.ErrUnavailable)
	w.nextListing()
	failed := w.now
	rep := w.scan(want)
	stuck(t, rep.Results[0], "it answered 503", "2 tags of 2026-03-01T12:00:00Z are kept", "it fails since 2026-03-01T12:06:00Z")
	known := []scan.Problem{{Image: w.reg.Image("web"), Registry: w.reg.Host(), Kind: scan.KindUnavailable, Problem: "list tags of web: registry unavailable: it answered 503",
		Kept: 2, KeptAt: t0, Since: failed}}
	if d := cmp.Diff(known, rep.Problems); d != "" {
		t.Errorf("problems (-want +got):\n%s", d)
	}
	l := rep.Listings[want.Policy.Image.Canonical()]
	if l.Err == nil || len(l.Tags) != 2 || l.At != t0 {
		t.Errorf("listing %+v", l)
	}
	// A later failure, a restart, a tick in between: the problem reads the same.
	for range 3 {
		w.nextListing()
		w.asked.fail = fmt.Errorf("list tags of web: %w: read tcp 10.0.0.1:%d->10.0.0.2:443: left alone until %s",
			registry.ErrUnavailable, 40000+w.now.Minute(), w.now.Format(time.RFC3339))
		w.start()
		rep := w.scan(want)
		if d := cmp.Diff(known, rep.Problems); d != "" {
			t.Errorf("problems (-want +got):\n%s", d)
		}
		stuck(t, rep.Results[0], w.now.Format(time.RFC3339)) // but the reason is the newest
	}
	// Another kind of failure is news, though not another beginning.
	w.asked.fail = fmt.Errorf("list tags of web: %w: read tcp 10.0.0.1:4321->10.0.0.2:443: left alone until 2026-03-01T13:00:00Z", registry.ErrUnauthorized)
	w.nextListing()
	rep = w.scan(want)
	if p := rep.Problems[0]; p.Problem != "list tags of web: access refused: read tcp 10.0.0.2:443: left alone" || p.Since != failed {
		t.Errorf("problem %+v", p)
	}
	w.asked.fail = nil
	w.nextListing()
	rep = w.scan(want)
	selects(t, rep.Results[0], "1.1.0")
	if len(rep.Problems) != 0 {
		t.Errorf("problems %+v", rep.Problems)
	}
	has(t, w.log.String(), "registry not listed", "registry listed again")
}

func TestWithoutAnyGoodAnswerAFailureSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	rep := w.scan(w.want("web", "1.0.0"))
	stuck(t, rep.Results[0], "404", "it never answered before")
	if p := rep.Problems[0]; p.Kept != 0 || !p.KeptAt.IsZero() || p.Since != t0 {
		t.Errorf("problem %+v", p)
	}
}

func TestAFailureIsTriedAgainBeforeALongSchedule(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", func(x *scan.Want) { x.Policy.Schedule = "@daily" })
	w.asked.fail = fmt.Errorf("list: %w", registry.ErrUnavailable)
	stuck(t, w.one(want))
	w.asked.fail = nil
	w.later(9 * time.Minute)
	stuck(t, w.one(want))
	w.later(time.Minute)
	selects(t, w.one(want), "1.1.0")
}

// shrunk makes every listing have only n of its tags.
func (w *world) shrunk(n int) {
	w.asked.list = func(l registry.Listing) registry.Listing {
		return registry.Listing{Tags: l.Tags[:n], Pages: []registry.Page{{Tags: n}}}
	}
}

func TestAListingMuchSmallerThanTheLastNeedsASecondLook(t *testing.T) {
	const all = 40
	for _, tc := range []struct {
		name  string
		first int   // tags of the good answer
		then  []int // tags of the answers after it
		good  []bool
	}{
		{"half of them is believed", all, []int{20}, []bool{true}},
		{"less than half is not, and then it is", all, []int{19, 19}, []bool{false, true}},
		{"a second answer within a tenth agrees", all, []int{18, 17}, []bool{false, true}},
		{"one that differs does not, and a third may", all, []int{19, 10, 10}, []bool{false, false, true}},
		{"the old size is believed at once, and the next doubt starts anew", all, []int{5, all, 5, 5}, []bool{false, true, false, true}},
		{"of fewer than ten tags less is believed", 9, []int{1}, []bool{true}},
		{"nothing after anything is not", 1, []int{0, 0}, []bool{false, true}},
		{"after nothing anything is believed", 0, []int{3}, []bool{true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.tagAll("web", max(tc.first, slices.Max(tc.then)))
			w.reg.Reset()
			w.shrunk(tc.first)
			want := w.want("web", "1.0.0")
			w.scan(want)
			for i, n := range tc.then {
				w.nextListing()
				w.shrunk(n)
				rep := w.scan(want)
				if tc.good[i] {
					if r := rep.Results[0]; r.Problem != "" || slices.ContainsFunc(rep.Problems, func(p scan.Problem) bool { return scan.Blocks(p.Kind) }) || len(rep.Listings[r.Repository].Tags) != n {
						t.Errorf("answer %d: problem %q, %+v", i, r.Problem, rep.Problems)
					}
					continue
				}
				stuck(t, rep.Results[0], fmt.Sprintf("lists %d tag", n), "second look", "are kept")
				if len(rep.Problems) != 1 || rep.Results[0].Next != w.now.Add(time.Minute) {
					t.Errorf("answer %d: next %s, problems %+v", i, rep.Results[0].Next, rep.Problems)
				}
				w.start() // a restart changes nothing
			}
			if n := w.reg.Listings("web"); n != 1+len(tc.then) {
				t.Errorf("%d listings", n)
			}
		})
	}
}

func TestTheSecondLookComesSoonButNotAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 12 {
		w.push("web", fmt.Sprintf("1.%d.0", i))
	}
	want := w.want("web", "1.0.0", func(x *scan.Want) { x.Policy.Schedule = "@hourly" })
	w.scan(want)
	w.shrunk(2)
	w.later(time.Hour + 2*time.Minute)
	doubted := w.now
	rep := w.scan(want)
	for range 3 { // pokes do not make it sooner: the same faulty answer would come
		w.later(15 * time.Second)
		w.s.Poke(want.Policy.Image)
		again := w.scan(want)
		stuck(t, again.Results[0], "second look")
		if d := cmp.Diff(rep.Problems, again.Problems); d != "" {
			t.Errorf("problems (-want +got):\n%s", d)
		}
	}
	before := w.reg.Listings("web")
	w.now = doubted.Add(time.Minute)
	selects(t, w.one(want), "1.1.0")
	if n := w.reg.Listings("web"); n != before+1 {
		t.Errorf("%d listings for the second look", n-before)
	}
	if last := w.asked.last[len(w.asked.last)-1]; len(last.Pages) != 0 {
		t.Error("the second look was asked whether something changed, not for the whole list")
	}
}

func TestWithoutSchedulesTheSecondLookComesAMinuteLater(t *testing.T) {
	w := newWorld(t, func(c *scan.Config) { c.Due = nil })
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0")
	selects(t, w.one(want), "1.1.0")
	w.shrunk(0)
	for range 3 { // a tick that starts again after a lost race, a person who runs it twice
		stuck(t, w.one(want), "second look")
		w.later(15 * time.Second)
	}
	w.later(time.Minute)
	r := w.one(want)
	stays(t, r, "1.0.0")
	has(t, r.Reason, "listed no tags")
}

func TestARegistryIsLeftAloneAsItAskedAlsoAfterARestart(t *testing.T) {
	var asked atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		asked.Add(1)
		w.Header().Set("Retry-After", "1800")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer busy.Close()
	host := busy.Listener.Addr().(*net.TCPAddr).String()
	repo := parse(t, host+"/web")
	dir, now := t.TempDir(), time.Now().UTC()
	start := func() (*scan.Scanner, *wrapped) {
		client := registry.New(registry.Config{InsecureHosts: []string{host}})
		t.Cleanup(client.Close)
		r := &wrapped{Registry: client}
		return scan.New(scan.Config{Registry: r, Dir: dir, Due: due}), r
	}
	s, _ := start()
	want, other := wantOf(repo, "1.0.0"), wantOf(parse(t, host+"/api"), "1.0.0")
	rep := s.Scan(t.Context(), now, []scan.Want{want}, nil)
	stuck(t, rep.Results[0], "429")
	if asked.Load() == 0 || len(rep.Problems) != 1 {
		t.Fatalf("%d requests, problems %+v", asked.Load(), rep.Problems)
	}
	s.Close()

	asked.Store(0)
	s, r := start()
	defer s.Close()
	later := s.Scan(t.Context(), now.Add(10*time.Minute), []scan.Want{want, other}, nil)
	if until := r.holds[host]; until.Sub(now) < 29*time.Minute || until.Sub(now) > 31*time.Minute {
		t.Errorf("the client was told to hold until %s", until)
	}
	stuck(t, later.Results[0], "429")
	stuck(t, later.Results[1], host)
	if asked.Load() != 0 {
		t.Errorf("%d requests after the restart", asked.Load())
	}
	s.Poke(repo) // nor does an event break it
	s.Scan(t.Context(), now.Add(11*time.Minute), []scan.Want{want}, nil)
	if asked.Load() != 0 {
		t.Errorf("%d requests after an event", asked.Load())
	}
	if d := cmp.Diff(rep.Problems[0].Since, later.Problems[1].Since); d != "" && later.Problems[1].Image == repo.String() {
		t.Errorf("since: %s", d)
	}
	if strings.Contains(rep.Problems[0].Problem, now.Format("2006-01-02")) {
		t.Errorf("the problem has a moving time: %q", rep.Problems[0].Problem)
	}
}

func TestAStandingFailureIsTriedAgainWithinAnHour(t *testing.T) {
	for name, kind := range map[string]error{"refused": registry.ErrUnauthorized, "not found": registry.ErrNotFound, "bad answer": registry.ErrBadAnswer} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.push("web", "1.0.0", "1.1.0")
			want := w.want("web", "1.0.0", func(x *scan.Want) { x.Policy.Schedule = "@daily" })
			w.asked.fail = fmt.Errorf("list: %w", kind)
			stuck(t, w.one(want))
			w.asked.fail = nil
			w.later(59 * time.Minute)
			stuck(t, w.one(want))
			w.later(time.Minute)
			selects(t, w.one(want), "1.1.0")
		})
	}
}

func TestATagThatCannotBeResolvedIsTriedAgainBeforeALongSchedule(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0", func(x *scan.Want) { x.Policy.Schedule = "@daily" })
	w.asked.head = func(image.Ref) error { return fmt.Errorf("head: %w", registry.ErrNotFound) }
	stuck(t, w.one(want), "cannot be resolved")
	w.asked.head = nil
	w.later(59 * time.Minute)
	stuck(t, w.one(want))
	w.later(time.Minute)
	selects(t, w.one(want), "1.1.0")
}

func TestAnEmptiedImageAndAVanishedTagAreSaidUntilTheyEnd(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.0.1", "0.9.0")
	want := w.want("web", "1.0.1")
	check := func(what string, want ...scan.Problem) func(rep scan.Report) {
		return func(rep scan.Report) {
			t.Helper()
			if rep.Results[0].Problem != "" {
				t.Errorf("%s: nothing moves for %q", what, rep.Results[0].Problem)
			}
			if d := cmp.Diff(want, rep.Problems); d != "" {
				t.Errorf("%s (-want +got):\n%s", what, d)
			}
		}
	}
	twice := func(check func(scan.Report)) { // at a listing, without one, after a restart
		t.Helper()
		for range 2 {
			w.nextListing()
			check(w.scan(want))
			check(w.scan(want))
			w.start()
			check(w.scan(want))
		}
	}
	all := func(l registry.Listing) registry.Listing { return l }
	problem := scan.Problem{Image: w.reg.Image("web"), Registry: w.reg.Host()}
	twice(check("at first"))

	w.asked.list = func(registry.Listing) registry.Listing {
		return registry.Listing{Tags: []string{"0.9.0", "1.0.0"}, Pages: []registry.Page{{Tags: 2}}}
	}
	problem.Kind, problem.Tag, problem.Problem, problem.Since = scan.KindGone, "1.0.1", "the current tag 1.0.1 is not listed any more", w.now.Add(6*time.Minute)
	twice(check("the current tag is gone", problem))
	w.asked.list = all
	twice(check("it is back"))

	w.shrunk(0)
	w.nextListing()
	stuck(t, w.one(want), "second look")
	problem.Kind, problem.Tag, problem.Problem, problem.Since = scan.KindEmpty, "", "it lists no tags any more", w.now.Add(6*time.Minute)
	twice(check("no tags are left", problem))
	w.asked.list = all
	twice(check("there are tags again"))

	log := w.log.String()
	for line, n := range map[string]int{"current tag not listed": 2, "current tag no longer missed": 2, "listing is empty": 1, "registry listed again": 1} {
		if got := strings.Count(log, line); got != n {
			t.Errorf("%q is said %d times, want %d:\n%s", line, got, n, log)
		}
	}
}

func TestAFailureIsLoggedOnceUntilItIsAnother(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0")
	said := func(line string, n int) {
		t.Helper()
		if got := strings.Count(w.log.String(), line); got != n {
			t.Errorf("%q is logged %d times, want %d:\n%s", line, got, n, w.log)
		}
	}
	changing := func(i int) error {
		if i%2 == 0 {
			return fmt.Errorf("%w: no answer", registry.ErrUnavailable)
		}
		return fmt.Errorf("%w: left alone until %s", registry.ErrUnavailable, w.now.Format(time.RFC3339))
	}
	for i := range 4 {
		w.asked.fail = changing(i)
		w.nextListing()
		stuck(t, w.one(want))
	}
	said("registry not listed", 1)
	w.asked.fail = fmt.Errorf("list: %w", registry.ErrUnauthorized)
	w.later(time.Hour)
	stuck(t, w.one(want))
	said("registry not listed", 2)

	w.asked.fail = nil
	for i := range 4 {
		w.asked.head = func(image.Ref) error { return changing(i) }
		w.nextListing()
		stuck(t, w.one(want))
	}
	said("image not resolved", 1)
	w.asked.head = func(image.Ref) error { return registry.ErrNotFound }
	w.nextListing()
	stuck(t, w.one(want))
	said("image not resolved", 2)
}
