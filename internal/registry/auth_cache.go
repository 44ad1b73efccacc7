package registry

import (
	"context"
	"fmt"
	"time"
)

const (
	// refusalPause is how long a refusal does not make a source look again after
	// one did: a thousand images refused for one bad password are one look.
	refusalPause = time.Minute
	// expiryMargin is how long before its end a token is no longer used, or half
	// of its life when that is less.
	expiryMargin = 5 * time.Minute
)

// cached is a value that costs time to get: a helper's answer, pull secrets, a
// cloud's token. One goroutine gets it, the others wait for it.
type cached[T any] struct {
	// fetch gets the value, and when it expires (zero: it does not say).
	fetch func(ctx context.Context) (T, time.Time, error)
	now   func() time.Time
	limit time.Duration // of one fetch
	keep  time.Duration // of a value that does not say when it expires
	pause time.Duration // after a failure: until then it is not tried again

	turn chan struct{} // capacity 1; holding it guards what follows

	value   *T
	fresh   time.Time // value is used without a look until then
	expires time.Time // value is of no use from then; zero: never
	err     error     // of the last fetch
	retry   time.Time // no fetch before then, when err is set
	renewed time.Time // the last look because of a refusal
}

func newCached[T any](c cached[T]) *cached[T] {
	c.turn = make(chan struct{}, 1)
	return &c
}

// get returns the value, fetching it when it is too old. A failed fetch leaves
// the last value in use while that has not expired; then err is nil.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	var zero T
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
	now := c.now()
	due := c.value == nil || !now.Before(c.fresh)
	if due && (c.err == nil || !now.Before(c.retry)) {
		if err := c.look(ctx, now); err != nil {
			return zero, err
		}
	}
	if c.value != nil && (c.expires.IsZero() || now.Before(c.expires)) {
		return *c.value, nil
	}
	return zero, c.err
}

// look fetches. Its error is the caller's own end, which says nothing about the
// source and is not remembered.
func (c *cached[T]) look(ctx context.Context, now time.Time) error {
	inner, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	value, expires, err := c.fetch(inner)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil && inner.Err() != nil:
		err = fmt.Errorf("no answer within %s", c.limit)
	}
	c.err = err
	if err != nil {
		c.retry = now.Add(c.pause)
		return nil
	}
	c.value, c.expires = &value, expires
	c.fresh = now.Add(c.keep)
	if !expires.IsZero() {
		left := expires.Sub(now)
		c.fresh = expires.Add(-min(expiryMargin, left/2))
	}
	return nil
}

// renew makes the next get look again, because the value was refused. A failure
// keeps its pause.
func (c *cached[T]) renew() {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if now := c.now(); c.renewed.IsZero() || now.Sub(c.renewed) >= refusalPause {
		c.renewed, c.fresh = now, time.Time{}
	}
}
