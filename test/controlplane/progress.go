package controlplane

import (
	"fmt"
	"io"
	"sync"
)

// progress writes whole lines for a person; goroutines may share one.
type progress struct {
	mu sync.Mutex
	w  io.Writer // nil for silence
}

func newProgress(w io.Writer) *progress { return &progress{w: w} }

func (p *progress) printf(format string, args ...any) {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Progress is a courtesy: a closed terminal must not stop the work.
	_, _ = fmt.Fprintf(p.w, format+"\n", args...)
}
