package scan_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
)

// fake is a registry of no network, for bubbles of time and for many images. It
// is used where the real one cannot do what a test needs.
type fake struct {
	tags  []string
	lists atomic.Int64

	mu    sync.Mutex
	delay map[string]time.Duration // by host
	now   map[string]int           // questions under way, by repository
	most  int                      // of one repository at once
}

func (f *fake) List(ctx context.Context, repo image.Repo, _ registry.Listing) (registry.Listing, error) {
	f.lists.Add(1)
	f.mu.Lock()
	delay := f.delay[repo.Host()]
	if f.now == nil {
		f.now = map[string]int{}
	}
	f.now[repo.Canonical()]++
	f.most = max(f.most, f.now[repo.Canonical()])
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.now[repo.Canonical()]--
		f.mu.Unlock()
	}()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return registry.Listing{}, ctx.Err()
		}
	}
	return registry.Listing{Tags: slices.Clone(f.tags), Pages: []registry.Page{{Tags: len(f.tags)}}}, nil
}

// atOnce is how many questions about one repository were under way at a time.
func (f *fake) atOnce() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

func (f *fake) Digest(context.Context, image.Ref) (image.Digest, error) {
	return "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", nil
}

func (f *fake) Platforms(context.Context, image.Repo, image.Digest) ([]image.Platform, error) {
	return nil, nil
}

func (f *fake) Hold(string, time.Time) {}
