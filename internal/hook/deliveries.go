package hook

import (
	"crypto/sha256"
	"sync"
)

// MaxDeliveries is how many deliveries are remembered, less than a megabyte.
// An older one that comes again is a poke again.
const MaxDeliveries = 4096

// Deliveries remembers which webhooks were read, so that one that is sent again
// is not another poke. The zero value is ready and may be used by many at once.
type Deliveries struct {
	mu    sync.Mutex
	seen  map[delivery]bool
	order []delivery // a ring once it is full
	next  int        // the oldest in the ring
}

// delivery is what makes two requests one. The signature belongs to it, because
// nobody signs the id: with the id alone, a body that was recorded and sent
// under another event's id would make that event count as read.
type delivery struct {
	forge Forge
	id    string // "": the sender does not number what it sends
	sum   [sha256.Size]byte
}

// again reports whether d came before, and remembers it.
func (s *Deliveries) again(d delivery) bool {
	if s == nil || d.id == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[d] {
		return true
	}
	if s.seen == nil {
		s.seen = map[delivery]bool{}
	}
	if len(s.order) < MaxDeliveries {
		s.order = append(s.order, d)
	} else {
		delete(s.seen, s.order[s.next])
		s.order[s.next] = d
		s.next = (s.next + 1) % MaxDeliveries
	}
	s.seen[d] = true
	return false
}
