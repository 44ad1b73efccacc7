package registry

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// admitted is a request that the host answers at once with what.
func admitted(t *testing.T, p *pace, what outcome) {
	t.Helper()
	tk, err := p.admit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tk.end(what, time.Time{})
}

func restOf(t *testing.T, p *pace) *resting {
	t.Helper()
	tk, err := p.admit(t.Context())
	if err == nil {
		tk.end(unknown, time.Time{})
		return nil
	}
	var r *resting
	if !errors.As(err, &r) {
		t.Fatalf("error %v, want a rest", err)
	}
	return r
}

func TestABurstAndThenTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", DefaultRequestsPerSecond)
		start := time.Now()
		for range RequestBurst {
			admitted(t, p, alive)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the burst took %s", took)
		}
		for range 10 * DefaultRequestsPerSecond {
			admitted(t, p, alive)
		}
		if took := time.Since(start); took < 9900*time.Millisecond || took > 10100*time.Millisecond {
			t.Errorf("%d more requests took %s, want 10 s", 10*DefaultRequestsPerSecond, took)
		}
	})
}

func TestACallerThatDoesNotWaitTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", 0.1) // a burst of 1, then one in ten seconds
		admitted(t, p, alive)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := p.admit(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("error %v", err)
			}
			cancel()
		}
		start := time.Now()
		admitted(t, p, alive)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("waited %s behind those who went away", took)
		}
		if len(p.slots) != 0 {
			t.Errorf("%d slots are lost", len(p.slots))
		}
	})
}

func TestNoMoreRequestsAtOnceThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", 1000)
		var now, most atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				tk, err := p.admit(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if n := now.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Second)
				now.Add(-1)
				tk.end(alive, time.Time{})
				tk.end(failed, time.Time{}) // a second word does not count
			})
		}
		wg.Wait()
		if most.Load() != MaxRequestsPerHost {
			t.Errorf("%d at once, want %d", most.Load(), MaxRequestsPerHost)
		}
	})
}

func TestOneFailureIsAnImagesThreeInARowAreTheHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", 1000)
		for _, what := range []outcome{failed, failed, alive, failed, failed, unknown} {
			admitted(t, p, what)
		}
		if r := restOf(t, p); r != nil {
			t.Fatalf("rests after two failures: %v", r)
		}
		admitted(t, p, failed)
		if r := restOf(t, p); r == nil || r.told {
			t.Fatalf("does not rest after three: %v", r)
		}
	})
}

func TestOneRequestWithoutAnAnswerInTimeIsEnough(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile outcome // of another request
		rests     bool
	}{
		"nothing else was asked":             {unknown, true},
		"the other failed":                   {failed, true},
		"the other was answered in the time": {alive, false}, // one image is slow, not the host
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPace("h", 1000)
				admitted(t, p, alive) // before
				slow, err := p.admit(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				admitted(t, p, tc.meanwhile)
				slow.end(hung, time.Time{})
				if r := restOf(t, p); (r != nil) != tc.rests || r != nil && !r.hung {
					t.Errorf("rest %v, want one: %v", r, tc.rests)
				}
			})
		})
	}
}

func TestTheCoolDownDoublesUpToItsMostAndEndsWithAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", 1000)
		want := MinCoolDown
		for range 12 {
			admitted(t, p, busy)
			r := restOf(t, p)
			if r == nil {
				t.Fatal("does not rest after 429")
			}
			if d := time.Until(r.until); d < want || d > want+want/4 {
				t.Errorf("rests %s, want %s and a quarter at most", d, want)
			}
			time.Sleep(time.Until(r.until))
			want = min(2*want, MaxCoolDown)
		}
		admitted(t, p, alive)
		if p.failures != 0 || restOf(t, p) != nil {
			t.Errorf("an answer does not end the rest")
		}
		admitted(t, p, busy)
		if d := time.Until(restOf(t, p).until); d > 2*MinCoolDown {
			t.Errorf("the next rest begins with %s", d)
		}
	})
}

func TestManyFailuresAtOnceAreOneRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", 1000)
		var all []*ticket
		for range MaxRequestsPerHost {
			tk, err := p.admit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, tk)
		}
		for _, tk := range all {
			tk.end(failed, time.Time{})
		}
		if d := time.Until(restOf(t, p).until); d > 2*MinCoolDown {
			t.Errorf("rests %s after failures that were under way together", d)
		}
	})
}

func TestWhatTheRegistrySaidCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", 1000)
		tk, err := p.admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		other, err := p.admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		until := time.Now().Add(10 * time.Minute)
		tk.end(busy, until)
		other.end(alive, time.Time{}) // it was under way before
		r := restOf(t, p)
		if r == nil || !r.told || !r.until.Equal(until) || !RetryAt(r).Equal(until) {
			t.Fatalf("rest %+v, want until %s", r, until)
		}
		p.hold(time.Now().Add(time.Minute)) // less than what is known
		if r := restOf(t, p); !r.until.Equal(until) {
			t.Errorf("a shorter hold won: %s", r.until)
		}
		time.Sleep(10 * time.Minute)
		admitted(t, p, alive)
	})
}

func TestAHoldIsBoundedAndOneOfThePastIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace("h", 1000)
		p.hold(time.Now().Add(-time.Hour))
		if r := restOf(t, p); r != nil {
			t.Errorf("rests until %s", r.until)
		}
		p.hold(time.Now().Add(1000 * time.Hour))
		if r := restOf(t, p); r == nil || time.Until(r.until) != MaxRetryAfter || !r.told {
			t.Errorf("rest %+v", r)
		}
	})
}

func TestOneProbeGoesFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		takes time.Duration
		what  outcome
		pass  bool // the others
	}{
		"back at once":          {time.Millisecond, alive, true},
		"back, but slow":        {probeWait + time.Second, alive, false},
		"still down":            {time.Millisecond, failed, false},
		"given up by the asker": {time.Millisecond, unknown, true}, // the next one is the probe
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPace("h", 1000)
				admitted(t, p, busy)
				time.Sleep(2 * MinCoolDown)
				probe, err := p.admit(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() {
						tk, err := p.admit(t.Context())
						if (err == nil) != tc.pass {
							t.Errorf("others: %v, want to pass: %v", err, tc.pass)
						}
						if err == nil {
							tk.end(alive, time.Time{})
						} else if !RetryAt(err).IsZero() {
							t.Errorf("the registry said nothing, and RetryAt is %s", RetryAt(err))
						}
					})
				}
				time.Sleep(tc.takes)
				probe.end(tc.what, time.Time{})
				wg.Wait()
			})
		})
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "30": 30 * time.Second, "3600": time.Hour, "3601": time.Hour, "99999999999999999999999999": time.Hour,
		"-5": 0, "1.5": 0, "soon": 0, "5 minutes": 0,
		"Sat, 21 Nov 2026 03:10:00 GMT": 10 * time.Minute, "Sat, 21 Nov 2026 02:10:00 GMT": 0, "Sun, 21 Nov 2027 03:10:00 GMT": time.Hour,
	} {
		for code, counts := range map[int]bool{429: true, 503: true, 500: false, 200: false} {
			got := retryAfter(&http.Response{StatusCode: code, Header: http.Header{"Retry-After": {value}}}, now)
			expect := time.Time{}
			if counts && want > 0 {
				expect = now.Add(want)
			}
			if !got.Equal(expect) {
				t.Errorf("%d with %q: %s, want %s", code, value, got, expect)
			}
		}
	}
}

func TestHostsAreForgottenWhenThereAreTooMany(t *testing.T) {
	all := newPaces(func(string) float64 { return DefaultRequestsPerSecond })
	all.of("resting").hold(time.Now().Add(time.Minute))
	for i := range 3 * maxHosts {
		all.of("h" + string(rune('a'+i%26)) + time.Duration(i).String())
		if len(all.hosts) > maxHosts+1 {
			t.Fatalf("%d hosts are remembered", len(all.hosts))
		}
	}
	if restOf(t, all.of("resting")) == nil {
		t.Error("the one that rests was forgotten")
	}
}
