package schedule_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/internal/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNextAfterHalfPastTenOnAFriday(t *testing.T) {
	after := time.Date(2026, 2, 27, 10, 30, 15, 500, time.FixedZone("elsewhere", 3600)) // 09:30:15 UTC
	for spec, want := range map[string]string{
		"@every 5m":      "2026-02-27T09:35:15.0000005Z",
		"@every 1h30m":   "2026-02-27T11:00:15.0000005Z",
		"@hourly":        "2026-02-27T10:00:00Z",
		"@daily":         "2026-02-28T00:00:00Z",
		"@midnight":      "2026-02-28T00:00:00Z",
		"@weekly":        "2026-03-01T00:00:00Z",
		"@monthly":       "2026-03-01T00:00:00Z",
		"@yearly":        "2027-01-01T00:00:00Z",
		"@annually":      "2027-01-01T00:00:00Z",
		"*/15 * * * *":   "2026-02-27T09:45:00Z",
		"0 8-18 * * 1-5": "2026-02-27T10:00:00Z",
		"0 9 * * MON":    "2026-03-02T09:00:00Z",
		"0 0 29 2 *":     "2028-02-29T00:00:00Z",
		"  @hourly  ":    "2026-02-27T10:00:00Z",
	} {
		s, err := schedule.Parse(spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if got := s.Next(after).Format(time.RFC3339Nano); got != want {
			t.Errorf("%s: next %s, want %s", spec, got, want)
		}
	}
}

func TestBadSchedulesAreRefusedWithTheFormsThatWork(t *testing.T) {
	for _, spec := range []string{
		"", "often", "* * * *", "* * * * * *", "61 * * * *", "* * * * 9", "*/0 * * * *",
		"@every", "@every ", "@every soon", "@every 0s", "@every -5m", "@every 999ms", "@every 5", "@reboot", "@fortnightly",
		"0 0 30 2 *", "TZ=UTC", "TZ=", "CRON_TZ=Europe/Paris 0 0 * * *", "TZ=Europe/Paris 0 0 * * *",
	} {
		s, err := schedule.Parse(spec)
		if err == nil {
			t.Errorf("%q was accepted, next %s", spec, s.Next(time.Now()))
			continue
		}
		if !strings.Contains(err.Error(), schedule.Forms) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %q", spec, err)
		}
	}
}

func TestTheZeroScheduleIsNeverDue(t *testing.T) {
	if next := (schedule.Schedule{}).Next(time.Now()); !next.IsZero() {
		t.Errorf("next %s", next)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"@every 5m", "*/5 * * * *", "@hourly", "0 0 30 2 *", "TZ=", "1-5/2,7 * ? JAN-MAR MON"} {
		f.Add(s)
	}
	after := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := schedule.Parse(spec)
		if err != nil {
			return
		}
		next := s.Next(after)
		if !next.After(after) {
			t.Fatalf("%q: next %s is not after %s", spec, next, after)
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Next(after).Equal(next) {
			t.Fatalf("%q: its String %q parses to another schedule (%v)", spec, s, err)
		}
	})
}

// seconds runs a loop for d of virtual time and returns when it ticked, in
// seconds since the start.
func seconds(t *testing.T, c schedule.Config, d time.Duration, tick func(context.Context, *schedule.Loop)) []float64 {
	t.Helper()
	var at []float64
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	start := time.Now()
	l := schedule.NewLoop(c)
	l.Run(ctx, func(ctx context.Context) {
		at = append(at, time.Since(start).Seconds())
		if tick != nil {
			tick(ctx, l)
		}
	})
	return at
}

func TestALoopTicksAtOnceAndThenWhenDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := seconds(t, schedule.Config{Due: schedule.Every(30 * time.Second)}, 100*time.Second, nil)
		if want := []float64{0, 30, 60, 90}; !slices.Equal(at, want) {
			t.Errorf("ticked at %v, want %v", at, want)
		}
	})
}

func TestACronLoopTicksOnTheWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // starts at midnight UTC
		s, err := schedule.Parse("*/20 * * * *")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Minute)
		at := seconds(t, schedule.Config{Due: s}, time.Hour, nil)
		if want := []float64{0, 13 * 60, 33 * 60, 53 * 60}; !slices.Equal(at, want) {
			t.Errorf("ticked at %v, want %v", at, want)
		}
	})
}

func TestTicksNeverOverlapAndALongOneIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running := false
		at := seconds(t, schedule.Config{Due: schedule.Every(10 * time.Second)}, 100*time.Second, func(context.Context, *schedule.Loop) {
			if running {
				t.Error("two ticks at once")
			}
			running = true
			time.Sleep(25 * time.Second)
			running = false
		})
		if want := []float64{0, 35, 70}; !slices.Equal(at, want) {
			t.Errorf("ticked at %v, want %v", at, want)
		}
	})
}

func TestPokesTickAtOnceAndManyAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := schedule.NewLoop(schedule.Config{Due: schedule.Every(time.Hour)})
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var at []float64
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.Run(ctx, func(context.Context) {
				at = append(at, time.Since(start).Seconds())
				time.Sleep(5 * time.Second)
			})
		}()
		time.Sleep(2 * time.Second)
		for range 10 {
			l.Poke() // while the first tick runs: one more behind it
		}
		time.Sleep(98 * time.Second)
		l.Poke() // while it waits: at once
		time.Sleep(time.Hour)
		cancel()
		<-done
		if want := []float64{0, 5, 100}; !slices.Equal(at, want) {
			t.Errorf("ticked at %v, want %v", at, want)
		}
	})
}

// What registries' events rely on: they mark an image and then poke, many at once
// and at any moment of a tick, and no mark waits longer than the running tick.
func TestATickComesAfterEveryPokeHoweverManyCome(t *testing.T) {
	const pokers, pokes, length = 20, 50, 3 * time.Second
	for name, due := range map[string]schedule.Due{"only pokes": nil, "beside a schedule": schedule.Every(7 * time.Second)} {
		synctest.Test(t, func(t *testing.T) {
			l := schedule.NewLoop(schedule.Config{Due: due})
			var mu sync.Mutex
			var marks []time.Time
			seen := 0
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				l.Run(ctx, func(context.Context) {
					mu.Lock()
					for _, at := range marks {
						if wait := time.Since(at); wait > length {
							t.Errorf("%s: a mark waited %s", name, wait)
						}
					}
					seen, marks = seen+len(marks), nil
					mu.Unlock()
					time.Sleep(length) // marks of this time are for the next tick
				})
			}()
			var all sync.WaitGroup
			for i := range pokers {
				all.Go(func() {
					for n := range pokes {
						time.Sleep(time.Duration(1+(i*31+n*17)%40) * 100 * time.Millisecond)
						mu.Lock()
						marks = append(marks, time.Now())
						mu.Unlock()
						l.Poke()
					}
				})
			}
			all.Wait()
			time.Sleep(length + time.Nanosecond)
			mu.Lock()
			if seen != pokers*pokes {
				t.Errorf("%s: %d of %d marks were seen", name, seen, pokers*pokes)
			}
			mu.Unlock()
			cancel()
			<-done
		})
	}
}

func TestWithoutDueOnlyPokesTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]schedule.Config{"nil": {}, "never due": {Due: schedule.Schedule{}}} {
			at := seconds(t, c, 24*time.Hour, func(_ context.Context, l *schedule.Loop) {
				if name == "nil" {
					return
				}
				time.AfterFunc(20*time.Hour, l.Poke)
			})
			want := []float64{0}
			if name != "nil" {
				want = []float64{0, 20 * 3600}
			}
			if !slices.Equal(at, want) {
				t.Errorf("%s: ticked at %v, want %v", name, at, want)
			}
			time.Sleep(24 * time.Hour) // let the timers end
		}
	})
}

func TestJitterOnlyDelaysAndAtMostATenthOrAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			every, most time.Duration
			jitter      float64
		}{
			{100 * time.Second, 10 * time.Second, 0.1},
			{100 * time.Second, 5 * time.Second, 0.05},
			{100 * time.Second, 10 * time.Second, 7}, // taken as MaxJitter
			{24 * time.Hour, time.Minute, 0.1},
			{100 * time.Second, 0, -1},
		} {
			at := seconds(t, schedule.Config{Due: schedule.Every(tc.every), Jitter: tc.jitter}, 50*tc.every, nil)
			spread := false
			for i := 1; i < len(at); i++ {
				late := time.Duration((at[i]-at[i-1])*float64(time.Second)) - tc.every
				if late < -time.Millisecond || late > tc.most+time.Millisecond {
					t.Errorf("every %s, jitter %v: %s late, want 0 to %s", tc.every, tc.jitter, late, tc.most)
				}
				spread = spread || late > time.Millisecond
			}
			if spread != (tc.most > 0) || len(at) < 40 {
				t.Errorf("every %s, jitter %v: spread %v in %d ticks", tc.every, tc.jitter, spread, len(at))
			}
		}
	})
}

func TestAPanicIsReportedAndTheLoopGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var values []any
		n := 0
		c := schedule.Config{Due: schedule.Every(time.Second), OnPanic: func(v any, stack []byte) {
			if !strings.Contains(string(stack), "schedule_test") {
				t.Errorf("stack does not name the tick: %s", stack)
			}
			values = append(values, v)
		}}
		at := seconds(t, c, 3500*time.Millisecond, func(context.Context, *schedule.Loop) {
			if n++; n%2 == 1 {
				panic(n)
			}
		})
		if !slices.Equal(at, []float64{0, 1, 2, 3}) || !slices.Equal(values, []any{1, 3}) {
			t.Errorf("ticked at %v, panics %v", at, values)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		schedule.NewLoop(schedule.Config{Due: schedule.Every(time.Second)}).Run(ctx, func(context.Context) { t.Error("ticked") })

		ctx, cancel = context.WithCancel(t.Context())
		n := 0
		l := schedule.NewLoop(schedule.Config{Due: schedule.Every(time.Nanosecond)})
		l.Run(ctx, func(context.Context) { n++; l.Poke(); cancel() })
		if n != 1 {
			t.Errorf("%d ticks after the end", n-1)
		}
	})
}

func TestAClockThatJumpsAheadIsNoticedWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64 // nanoseconds that a suspended machine missed
		time.AfterFunc(10*time.Second, func() { ahead.Store(int64(24 * time.Hour)) })
		c := schedule.Config{Due: schedule.Every(12 * time.Hour), Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
		at := seconds(t, c, 2*time.Minute, nil)
		if want := []float64{0, 60}; !slices.Equal(at, want) {
			t.Errorf("ticked at %v, want %v", at, want)
		}
	})
}
