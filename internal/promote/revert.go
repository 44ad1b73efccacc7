package promote

import (
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// takenBack returns, by policy, why a move would undo a person who took a value
// back. Such a revert holds until something newer than what was taken back, or
// until a person puts that there.
func takenBack(s Situation, m Move, app AppState) map[string]string {
	var out map[string]string
	for _, set := range m.Sets {
		next, writes := m.Values[set.Policy]
		p, ok := findPolicy(s, set.Policy)
		if !ok || !writes || next == app.Values[p.Name] {
			continue
		}
		w := newWrite(p, app.Values[p.Name], next)
		r, found := w.reverted(s.Past[m.Key()])
		if !found {
			continue
		}
		name := ""
		if len(app.Values) > 1 {
			name = p.Name + " "
		}
		verb, until := "took it back to", "something newer than "+w.name(r.from)
		if w.digests {
			verb, until = "replaced it by", "another image"
		}
		if out == nil {
			out = map[string]string{}
		}
		out[p.Name] = fmt.Sprintf("%s%s was in %s until commit %.12s %s %s; it waits for %s, or for a person to put it there",
			name, w.name(r.from), m.Env.Name, r.commit, verb, w.name(r.to), until)
	}
	return out
}

// write is a value that would replace the current one.
type write struct {
	policy        policy.Policy
	current, next image.Ref
	digests       bool // only digests tell one value from another: the tag stands still
}

func newWrite(p policy.Policy, current, next image.Ref) write {
	return write{p, current, next, p.DigestTag != "" || current.Tag == next.Tag}
}

// revert is a person's commit that replaced a value by one that is not newer.
type revert struct {
	from, to image.Ref
	commit   string
}

// reverted finds the newest revert that w would undo in what an app held,
// newest first.
func (w write) reverted(past []Held) (revert, bool) {
	if !w.digests && policy.Lower(w.policy, w.next.Tag, w.current.Tag) {
		return revert{}, false // a step down undoes nobody's step down
	}
	var later []image.Ref // what it held since, newest first
	var by Held           // since when it held the last of later
	for _, h := range past {
		v, ok := h.Values[w.policy.Name]
		if !ok { // no marker, or no readable one: what it held before counts
			continue
		}
		if n := len(later); n == 0 {
			later = append(later, v)
		} else if to := later[n-1]; to != v {
			again := func(x image.Ref) bool { return w.atLeast(x, v) }
			if !by.Ours && w.undoes(v, to) && !slices.ContainsFunc(later, again) {
				return revert{v, to, by.Commit}, true
			}
			later = append(later, v)
		}
		by = h
	}
	return revert{}, false
}

// undoes reports whether replacing from by to was a step back that w would undo.
func (w write) undoes(from, to image.Ref) bool {
	switch {
	case from.Repo != (image.Repo{}) && from.Repo.Canonical() != w.policy.Image.Canonical():
		return false // a version of another image says nothing of this one's
	case w.digests:
		return from.Digest != "" && from.Digest == w.next.Digest && from.Digest != to.Digest && (w.policy.DigestTag != "" || from.Tag == w.next.Tag)
	case from.Tag == "" || from.Tag == to.Tag || policy.Lower(w.policy, from.Tag, to.Tag) || policy.Lower(w.policy, from.Tag, w.next.Tag):
		return false
	}
	// What the policy does not take is no version to wait for something newer than.
	ok, _ := policy.Accepts(w.policy, from.Tag)
	return ok
}

// atLeast reports whether v is what was taken back, or newer.
func (w write) atLeast(v, taken image.Ref) bool {
	if w.digests {
		return v.Digest == taken.Digest
	}
	return v.Tag == taken.Tag || policy.Lower(w.policy, taken.Tag, v.Tag)
}

// name tells values apart for people.
func (w write) name(r image.Ref) string {
	if w.digests && r.Digest != "" {
		return short(string(r.Digest))
	}
	return version(r)
}
