package scan_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"towpath.dev/towpath/internal/scan"
)

// slow is a Scanner in a bubble of time, over registries that take their time.
type slow struct {
	t     *testing.T
	asked *fake
	s     *scan.Scanner
	woken atomic.Int64
	wants []scan.Want
}

func newSlow(t *testing.T, delays map[string]time.Duration, images ...string) *slow {
	w := &slow{t: t, asked: &fake{tags: []string{"1.0.0", "1.1.0"}, delay: delays}}
	w.s = scan.New(scan.Config{Registry: w.asked, Due: due, Patience: 5 * time.Second, Dir: t.TempDir(), Wake: func() { w.woken.Add(1) }})
	for _, i := range images {
		w.wants = append(w.wants, wantOf(parse(t, i), "1.0.0"))
	}
	return w
}

// scan returns what a Scan found and how long it took.
func (w *slow) scan() (scan.Report, time.Duration) {
	start := time.Now()
	rep := w.s.Scan(w.t.Context(), start, w.wants, nil)
	return rep, time.Since(start)
}

func TestASlowRegistryDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSlow(t, map[string]time.Duration{"slow.example": time.Minute},
			"slow.example/a", "slow.example/b", "fast.example/a", "slow.example/c", "fast.example/b")
		defer w.s.Close()
		began := time.Now().UTC()
		rep, took := w.scan()
		if took != 5*time.Second {
			t.Errorf("Scan took %s", took)
		}
		for _, i := range []int{2, 4} {
			selects(t, rep.Results[i], "1.1.0")
		}
		for _, i := range []int{0, 1, 3} {
			stuck(t, rep.Results[i], "slow.example has not answered yet for slow.example/", "asked at "+began.Format(time.RFC3339), "nothing moves for it")
		}
		if len(rep.Problems) != 0 {
			t.Errorf("a registry that is a little slow is no news, but: %+v", rep.Problems)
		}
		for range 8 { // nobody waits for it again, and it is not asked twice
			rep, took = w.scan()
			if took != 0 {
				t.Errorf("the next Scan took %s", took)
			}
			stuck(t, rep.Results[0], "asked at "+began.Format(time.RFC3339))
			selects(t, rep.Results[2], "1.1.0")
			time.Sleep(5 * time.Second)
		}
		if len(rep.Problems) != 3 || rep.Problems[0].Problem != "it has not answered yet" || rep.Problems[0].Since != began {
			t.Errorf("problems %+v", rep.Problems)
		}
		if n, most := w.asked.lists.Load(), w.asked.atOnce(); n != 5 || most != 1 {
			t.Errorf("%d listings, %d of one image at once", n, most)
		}
		time.Sleep(time.Minute)
		if n := w.woken.Load(); n != 1 {
			t.Errorf("woken %d times for three answers of one registry", n)
		}
		rep, took = w.scan()
		for i := range w.wants {
			selects(t, rep.Results[i], "1.1.0")
		}
		if n := w.asked.lists.Load(); n != 5 || took != 0 || len(rep.Problems) != 0 {
			t.Errorf("%d listings, took %s, problems %+v", n, took, rep.Problems)
		}
	})
}

func TestAnEventDuringALateAnswerIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSlow(t, map[string]time.Duration{"slow.example": 10 * time.Second}, "slow.example/a")
		defer w.s.Close()
		w.scan()
		if !w.s.Poke(w.wants[0].Policy.Image) {
			t.Error("not poked")
		}
		w.scan()
		time.Sleep(time.Minute)
		w.scan()
		if n := w.asked.lists.Load(); n != 2 {
			t.Errorf("%d listings, want one more for the event", n)
		}
	})
}

func TestARegistryIsAskedByAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var images []string
		for i := range 80 {
			images = append(images, fmt.Sprintf("one.example/%d", i))
		}
		w := newSlow(t, map[string]time.Duration{"one.example": time.Second}, images...)
		defer w.s.Close()
		w.scan()
		if n := w.asked.lists.Load(); n > 8*6 || n < 8*5 {
			t.Errorf("%d questions within five seconds, want at most 8 at a time", n)
		}
		time.Sleep(time.Minute)
		if n := w.asked.lists.Load(); n != 80 || w.woken.Load() != 1 {
			t.Errorf("%d questions in the end, woken %d times", n, w.woken.Load())
		}
	})
}

func TestCloseEndsWhatIsLateAndLearnsNothingFromIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSlow(t, map[string]time.Duration{"slow.example": time.Hour}, "slow.example/a")
		w.scan()
		began := time.Now()
		w.s.Close()
		if time.Since(began) != 0 || w.woken.Load() != 0 {
			t.Errorf("Close took %s and woke %d", time.Since(began), w.woken.Load())
		}
	})
}

func TestScanEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := &fake{tags: []string{"1.0.0"}, delay: map[string]time.Duration{"slow.example": time.Hour}}
		s := scan.New(scan.Config{Registry: asked}) // Patience 0: as long as it takes
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		rep := s.Scan(ctx, time.Now(), []scan.Want{wantOf(parse(t, "slow.example/a"), "1.0.0")}, nil)
		stuck(t, rep.Results[0], "has not answered yet")
	})
}

func TestWithoutPatienceScanWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := &fake{tags: []string{"1.0.0", "1.1.0"}, delay: map[string]time.Duration{"slow.example": 50 * time.Second}}
		s := scan.New(scan.Config{Registry: asked})
		defer s.Close()
		rep := s.Scan(t.Context(), time.Now(), []scan.Want{wantOf(parse(t, "slow.example/a"), "1.0.0")}, nil)
		selects(t, rep.Results[0], "1.1.0")
	})
}
