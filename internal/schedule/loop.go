package schedule

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

const (
	// MaxJitter is the largest share of a wait that is added at random.
	MaxJitter = 0.1
	// maxDelay bounds jitter on long waits: a daily schedule comes at most this
	// much late.
	maxDelay = time.Minute
	// maxSleep is the longest sleep before the clock is read again, so that a
	// suspended machine or a corrected clock does not delay a tick for long.
	maxSleep = time.Minute
)

// Due says when the next tick is due: a Schedule, or the earliest of many.
// The zero time means: only when poked. It is asked again after every tick.
type Due interface {
	Next(after time.Time) time.Time
}

// Config describes a Loop.
type Config struct {
	Due Due // nil: only when poked
	// Jitter is the share of each wait, 0 to MaxJitter (more is taken as
	// MaxJitter), that is added at random, at most a minute. 0: none.
	Jitter float64
	// OnPanic is told of a tick that panicked; the loop goes on. nil: logged
	// on slog's default logger.
	OnPanic func(value any, stack []byte)
	Now     func() time.Time // nil: time.Now
}

// Loop runs a tick again and again, never two at once.
type Loop struct {
	c    Config
	poke chan struct{} // holds one poke that came and was not yet served
}

// NewLoop returns a Loop that is not running.
func NewLoop(c Config) *Loop {
	c.Jitter = max(0, min(c.Jitter, MaxJitter))
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnPanic == nil {
		c.OnPanic = func(v any, stack []byte) {
			slog.Default().Error("tick panicked", "panic", v, "stack", string(stack))
		}
	}
	return &Loop{c: c, poke: make(chan struct{}, 1)}
}

// Poke makes the next tick run now: at once when the loop waits, right after
// the running tick otherwise. Many pokes before that tick are one. It never
// blocks and may be called before Run and from any goroutine.
func (l *Loop) Poke() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// Run ticks at once, then whenever due (counted from the end of the tick
// before) or poked, until ctx ends. Only one Run per Loop at a time.
func (l *Loop) Run(ctx context.Context, tick func(context.Context)) {
	for ctx.Err() == nil {
		l.tick(ctx, tick)
		l.wait(ctx)
	}
}

func (l *Loop) tick(ctx context.Context, tick func(context.Context)) {
	defer func() {
		if v := recover(); v != nil {
			l.c.OnPanic(v, debug.Stack())
		}
	}()
	tick(ctx)
}

// wait returns when the next tick is due, when poked, or when ctx ends.
func (l *Loop) wait(ctx context.Context) {
	due, ok := l.due()
	for {
		sleep := maxSleep
		if ok {
			sleep = min(sleep, due.Sub(l.now()))
			if sleep <= 0 && ctx.Err() == nil {
				l.served()
				return
			}
		}
		t := time.NewTimer(sleep)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-l.poke:
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// due returns the next due time with its jitter, and whether there is one.
func (l *Loop) due() (time.Time, bool) {
	if l.c.Due == nil {
		return time.Time{}, false
	}
	now := l.now()
	next := l.c.Due.Next(now)
	if next.IsZero() {
		return time.Time{}, false
	}
	wait := max(0, next.Sub(now))
	delay := time.Duration(rand.Float64() * l.c.Jitter * float64(wait))
	return next.Add(min(delay, maxDelay)), true
}

// served forgets a poke that the coming tick answers anyway.
func (l *Loop) served() {
	select {
	case <-l.poke:
	default:
	}
}

// now is the wall clock: cron's times are wall times, and the monotonic clock
// stands still while a machine sleeps.
func (l *Loop) now() time.Time { return l.c.Now().Round(0) }
