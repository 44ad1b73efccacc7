package schedule

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPausesGrowDifferAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for attempt := 1; attempt <= 8; attempt++ {
			began := time.Now()
			if err := Pause(t.Context(), attempt); err != nil {
				t.Fatal(err)
			}
			d := time.Since(began)
			seen[d] = true
			if d < firstPause/2 || d > 2*maxPause {
				t.Errorf("attempt %d waits %s", attempt, d)
			}
			if attempt >= 5 && d < maxPause/2 {
				t.Errorf("attempt %d waits only %s", attempt, d)
			}
		}
		if len(seen) < 3 {
			t.Errorf("pauses do not differ: %v", seen)
		}
	})
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := Pause(ctx, 5); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}
