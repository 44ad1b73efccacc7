package forges

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// Failures runs the case of a name over a World and returns what it has against
// the forge, for tests that show that the suite can fail.
func Failures(t *testing.T, name string, w *World) []string {
	t.Helper()
	for _, c := range cases() {
		if c.name != name {
			continue
		}
		if c.needs != nil {
			if missing := c.needs(w); missing != "" {
				t.Fatalf("case %q: this forge has no %s", name, missing)
			}
		}
		r := &recorder{T: t}
		done := make(chan struct{})
		go func() { // Fatalf ends the goroutine
			defer close(done)
			c.run(newStage(r, w))
		}()
		<-done
		return r.said
	}
	t.Fatalf("there is no case %q", name)
	return nil
}

// recorder is a T whose failures are only written down.
type recorder struct {
	*testing.T
	mu   sync.Mutex
	said []string
}

// Errorf writes a failure down.
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

// Fatalf writes a failure down and ends the case.
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
