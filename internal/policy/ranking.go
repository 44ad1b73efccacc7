package policy

import "slices"

// ranked is an acceptable tag.
type ranked[K any] struct {
	at  int // index of the tag
	key K
}

// ranking keeps the best MaxCandidates of what is added.
type ranking[K any] struct {
	better func(a, b *ranked[K]) bool
	pool   []ranked[K]
	order  []int     // indexes into pool, best first
	next   ranked[K] // what is being added
}

func (r *ranking[K]) add(at int, key K) {
	r.next.at, r.next.key = at, key
	slot := len(r.order)
	if slot == MaxCandidates {
		slot = r.order[MaxCandidates-1]
		if !r.better(&r.next, &r.pool[slot]) {
			return
		}
		r.order = r.order[:MaxCandidates-1]
		r.pool[slot] = r.next
	} else {
		r.pool = append(r.pool, r.next)
	}
	place, _ := slices.BinarySearchFunc(r.order, &r.next, func(i int, next *ranked[K]) int {
		if r.better(&r.pool[i], next) {
			return -1
		}
		return 1
	})
	r.order = slices.Insert(r.order, place, slot)
}

func (r *ranking[K]) best() []ranked[K] {
	out := make([]ranked[K], len(r.order))
	for i, slot := range r.order {
		out[i] = r.pool[slot]
	}
	return out
}
