package scan

import (
	"context"
	"fmt"
	"time"

	"towpath.dev/towpath/internal/image"
)

// proveTimeout bounds one Prove.
const proveTimeout = 20 * time.Second

// Prove asks, now, whether ref can be pulled. The digest counts when ref has
// one: it is what will be pulled, wherever the tag went meanwhile. A failure is
// remembered: until the next listing the tag is a Problem of its policy.
func (s *Scanner) Prove(ctx context.Context, ref image.Ref) error {
	asked := ref
	if ref.Digest != "" {
		asked.Tag = ""
	}
	inner, cancel := context.WithTimeoutCause(ctx, proveTimeout, fmt.Errorf("no answer within %s", proveTimeout))
	defer cancel()
	got, err := s.c.Registry.Digest(inner, asked)
	if err == nil && ref.Digest != "" && got != ref.Digest {
		err = fmt.Errorf("%s answered for %s with another digest, %s", ref.Repo.Host(), ref, got)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() == nil && ref.Tag != "" {
		s.unproved(ref, err)
	}
	return fmt.Errorf("prove that %s can be pulled: %w", ref, err)
}

func (s *Scanner) unproved(ref image.Ref, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[ref.Repo.Canonical()]; r != nil {
		f := r.mem.Facts[ref.Tag]
		f.Err, f.Kind, f.Fresh = text(err), kindOf(err), true
		if f.Since.IsZero() {
			f.Since = r.mem.Asked
		}
		r.mem, r.last = r.mem.with(ref.Tag, f), nil
		s.dirty = true
	}
}
