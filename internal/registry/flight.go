package registry

import (
	"context"
	"sync"
)

// flights makes equal calls at one time one call. The call lives as long as
// somebody waits for it, whoever asked first.
type flights[T any] struct {
	mu  sync.Mutex
	all map[string]*flight[T] // by what is asked
}

type flight[T any] struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when value and err are there
	value   T
	err     error
}

// do returns what f returns for the key, with f running once for all who ask
// meanwhile. The value is shared: nobody may change it.
func (fs *flights[T]) do(ctx context.Context, key string, f func(context.Context) (T, error)) (T, error) {
	fs.mu.Lock()
	fl := fs.all[key]
	if fl == nil {
		inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight[T]{cancel: cancel, done: make(chan struct{})}
		if fs.all == nil {
			fs.all = map[string]*flight[T]{}
		}
		fs.all[key] = fl
		go func() {
			defer close(fl.done)
			fl.value, fl.err = f(inner)
			fs.end(key, fl)
		}()
	}
	fl.waiting++
	fs.mu.Unlock()
	select {
	case <-fl.done:
		return fl.value, fl.err
	case <-ctx.Done():
	}
	fs.mu.Lock()
	fl.waiting--
	last := fl.waiting == 0
	fs.mu.Unlock()
	if last {
		fs.end(key, fl)
		<-fl.done // so that no work outlives those it is for
	}
	var none T
	return none, context.Cause(ctx)
}

// end lets nobody join any more, and stops what still runs.
func (fs *flights[T]) end(key string, fl *flight[T]) {
	fs.mu.Lock()
	if fs.all[key] == fl {
		delete(fs.all, key)
	}
	fs.mu.Unlock()
	fl.cancel()
}
