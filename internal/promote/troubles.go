package promote

import (
	"slices"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

const (
	// sayAgain is how old the record of a problem gets before a bot that still
	// has it says so again. It is far less than forgetOther, so that what one
	// bot keeps saying no other takes out.
	sayAgain = 3 * time.Hour
	// forgetOther is how old it gets before a bot that does not have the
	// problem takes it out: who had it is gone, or would have said so.
	forgetOther = 6 * time.Hour
)

// troubles are which problems with registries this bot has, or had and recorded.
// Several bots may work on one repository, and not all see the same: each takes
// out only what it had itself, and what nobody says any more.
type troubles struct {
	begun bool // there was a tick: before, what is recorded is taken for our own
	own   []state.ScanProblem
}

// merge is what is to be recorded: our problems, as they were recorded first,
// and those of other bots.
func (f *troubles) merge(now time.Time, rep scan.Report, recorded []state.ScanProblem) []state.ScanProblem {
	var out, own []state.ScanProblem
	for _, p := range rep.Problems {
		q := fromScan(p, now)
		if i := slices.IndexFunc(recorded, q.Same); i >= 0 && !recorded[i].Since.After(now) {
			q = recorded[i]
			if now.Sub(q.At).Abs() > sayAgain {
				q.At = now.Truncate(time.Second)
			}
		}
		out = append(out, q)
	}
	own = slices.Clone(out)
	for _, r := range recorded {
		l, wanted := listingOf(r, rep)
		switch mine := !f.begun || slices.ContainsFunc(f.own, r.Same); {
		case !wanted || slices.ContainsFunc(own, r.Same):
		case !answered(r, l, rep): // nobody knows yet whether it goes on
			out = append(out, r)
			if mine {
				own = append(own, r)
			}
		case !mine && now.Sub(r.At).Abs() <= forgetOther:
			out = append(out, r)
		}
	}
	f.begun, f.own = true, own
	state.SortScans(out)
	return out[:min(len(out), state.MaxScans)]
}

// fromScan is a problem that is new, with times to the second.
func fromScan(p scan.Problem, now time.Time) state.ScanProblem {
	return state.ScanProblem{Image: p.Image, Registry: p.Registry, Kind: p.Kind, Tag: p.Tag, Problem: p.Problem, Kept: p.Kept,
		KeptAt: p.KeptAt.Truncate(time.Second), Since: p.Since.Truncate(time.Second), At: now.Truncate(time.Second)}
}

// answered reports whether there is news of a recorded problem's image: a good
// answer, or a problem of its own.
func answered(r state.ScanProblem, l scan.Listing, rep scan.Report) bool {
	return l.Err == nil && !l.At.IsZero() ||
		slices.ContainsFunc(rep.Problems, func(p scan.Problem) bool { return p.Image == r.Image && scan.Blocks(p.Kind) })
}

// listingOf returns what is known of a recorded problem's image; false when no
// policy wants it.
func listingOf(r state.ScanProblem, rep scan.Report) (scan.Listing, bool) {
	repo, err := image.ParseRepo(r.Image)
	if err != nil {
		return scan.Listing{}, false
	}
	l, ok := rep.Listings[repo.Canonical()]
	return l, ok
}
