package policy

import "slices"

// ranked is an acceptable tag.
type ranked[K any] struct {
	at  int // index of the tag
	key K
}

// ranking keeps the best MaxCandidates of what is added. Tags often come in
// their order, each better than all before, so the best is compared first.
type ranking[K any] struct {
	better func(a, b *ranked[K]) bool
	pool   []ranked[K]
	order  []int     // indexes into pool, worst first
	next   ranked[K] // what is being added
}

func (r *ranking[K]) add(at int, key K) {
	r.next.at, r.next.key = at, key
	slot := len(r.order)
	if slot == MaxCandidates {
		slot = r.order[0]
		if !r.better(&r.next, &r.pool[slot]) {
			return
		}
		r.order = r.order[1:]
		r.pool[slot] = r.next
	} else {
		r.pool = append(r.pool, r.next)
	}
	last := len(r.order) - 1
	if last < 0 || r.better(&r.next, &r.pool[r.order[last]]) {
		r.order = append(r.order, slot)
		return
	}
	place, _ := slices.BinarySearchFunc(r.order, &r.next, func(i int, next *ranked[K]) int {
		if r.better(&r.pool[i], next) {
			return 1
		}
		return -1
	})
	r.order = slices.Insert(r.order, place, slot)
}

// best returns them, best first.
func (r *ranking[K]) best() []ranked[K] {
	out := make([]ranked[K], 0, len(r.order))
	for _, slot := range slices.Backward(r.order) {
		out = append(out, r.pool[slot])
	}
	return out
}
