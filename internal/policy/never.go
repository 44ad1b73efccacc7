package policy

import "towpath.dev/towpath/internal/image"

// NeverMatches says why the policy can choose nothing whatever is pushed, and what
// to do; empty: it can. An empty current is "without a current tag"; with one, its
// lane counts, and that nothing lower is ever chosen.
func NeverMatches(p Policy, current image.Tag) (reason, hint string) {
	s, bad := newChooser(p, current)
	if bad != nil {
		return "the policy is broken: " + bad.reason, bad.hint
	}
	return s.never()
}
