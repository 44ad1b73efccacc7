package schedule

import (
	"context"
	"math/rand/v2"
	"time"
)

// The pause after a lost race: doubled at each attempt, and at random around that.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// Pause waits before a race that was lost is run again: the longer the more often
// it was lost (attempt is from 1), and at random, so that two who lost to each
// other do not meet again. The error is why ctx ended.
func Pause(ctx context.Context, attempt int) error {
	d := maxPause
	if attempt < 5 {
		d = min(firstPause<<max(attempt-1, 0), maxPause)
	}
	t := time.NewTimer(d/2 + rand.N(d)) //nolint:gosec // no secret: it only has to differ
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
