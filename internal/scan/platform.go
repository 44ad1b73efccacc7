package scan

import (
	"slices"

	"towpath.dev/towpath/internal/image"
)

const (
	// maxBuilt is how many digests are remembered with their platforms.
	maxBuilt = 10_000
	// maxPlatforms is how many platforms of one digest are.
	maxPlatforms = 100
)

// platformCache remembers what digests were built for, the latest first to
// stay.
type platformCache struct {
	by    map[image.Digest][]image.Platform
	order []image.Digest // oldest first
	dirty bool
}

func newPlatformCache(known []builtFor) platformCache {
	p := platformCache{by: map[image.Digest][]image.Platform{}}
	for _, k := range known {
		p.add(k.Digest, k.Platforms)
	}
	p.dirty = false
	return p
}

func (p *platformCache) add(d image.Digest, have []image.Platform) {
	if _, known := p.by[d]; known {
		return
	}
	if len(p.order) >= maxBuilt {
		delete(p.by, p.order[0])
		p.order = p.order[1:]
	}
	p.by[d] = slices.Clone(have[:min(len(have), maxPlatforms)])
	p.order = append(p.order, d)
	p.dirty = true
}

func (s *Scanner) platformsOf(d image.Digest) ([]image.Platform, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.built.by[d]
	return have, ok
}

func (s *Scanner) builtFor(d image.Digest, have []image.Platform) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.built.add(d, have)
}
