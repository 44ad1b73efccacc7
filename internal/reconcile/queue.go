package reconcile

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"towpath.dev/towpath/internal/manifest"
)

// queue calls a function for objects when they are due. An object that is put
// twice is due at the earlier time; it is never worked on twice at once.
type queue struct {
	mu   sync.Mutex
	due  map[manifest.ID]time.Time // waiting
	busy map[manifest.ID]bool      // being worked on
	wake chan struct{}
}

func newQueue() *queue {
	return &queue{due: map[manifest.ID]time.Time{}, busy: map[manifest.ID]bool{}, wake: make(chan struct{}, 1)}
}

// put makes id due in d.
func (q *queue) put(id manifest.ID, d time.Duration) {
	at := time.Now().Add(d)
	q.mu.Lock()
	if old, ok := q.due[id]; !ok || at.Before(old) {
		q.due[id] = at
	}
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop returns what is due now and how long until something else is; < 0 = nothing waits.
func (q *queue) pop() (ids []manifest.ID, next time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	next = -1
	for id, at := range q.due {
		if q.busy[id] {
			continue // done signals
		}
		if d := at.Sub(now); d > 0 {
			if next < 0 || d < next {
				next = d
			}
			continue
		}
		delete(q.due, id)
		q.busy[id] = true
		ids = append(ids, id)
	}
	return ids, next
}

func (q *queue) done(id manifest.ID) {
	q.mu.Lock()
	delete(q.busy, id)
	q.mu.Unlock()
	q.signal()
}

// run works until ctx ends, on at most limit objects at once.
func (q *queue) run(ctx context.Context, limit int, work func(context.Context, manifest.ID)) {
	var g errgroup.Group
	g.SetLimit(limit)
	defer func() { _ = g.Wait() }()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		ids, next := q.pop()
		for _, id := range ids {
			g.Go(func() error {
				defer q.done(id)
				if ctx.Err() == nil {
					work(ctx, id)
				}
				return nil
			})
		}
		if next < 0 {
			next = time.Hour
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		case <-timer.C:
		}
	}
}
