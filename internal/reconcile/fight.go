package reconcile

import "time"

// When the repairs of one object are a fight, and how it is slowed down.
const (
	fightRepairs = 5 // more within fightWindow are a fight
	fightWindow  = time.Minute
	fightPause   = time.Minute     // doubled with each further fight …
	fightMaxWait = 5 * time.Minute // … up to this
	fightForget  = 15 * time.Minute
)

// fight remembers the repairs of one object. The zero value has seen none; it
// is set back to that by a new commit.
type fight struct {
	repairs []time.Time // within fightWindow
	until   time.Time   // no repair before
	level   int         // fights so far
}

// wait returns how long a repair at now has to wait; 0 = not at all. A repair
// that need not wait is counted. began reports that a fight began just now.
func (f *fight) wait(now time.Time) (d time.Duration, began bool) {
	if now.Before(f.until) {
		return f.until.Sub(now), false
	}
	if !f.until.IsZero() && now.Sub(f.until) > fightForget {
		*f = fight{}
	}
	recent := f.repairs[:0]
	for _, t := range f.repairs {
		if now.Sub(t) < fightWindow {
			recent = append(recent, t)
		}
	}
	f.repairs = recent
	if len(f.repairs) < fightRepairs {
		f.repairs = append(f.repairs, now)
		return 0, false
	}
	d = min(fightPause<<min(f.level, 8), fightMaxWait)
	f.level++
	f.until, f.repairs = now.Add(d), nil
	return d, true
}

// on reports whether repairs are paused at now.
func (f *fight) on(now time.Time) bool { return now.Before(f.until) }
