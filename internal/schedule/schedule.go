// Package schedule owns time: when something is due, and the loops that wait
// for it. Floor 1. It is the only importer of cron and the only place with a
// loop over a clock; it must not know what a tick does.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// MinEvery is the shortest interval Parse accepts in "@every".
const MinEvery = time.Second

const every = "@every "

// Forms names what Parse accepts, for the hints of user errors.
const Forms = "five cron fields (minute hour day month weekday, UTC), @every <duration>, @hourly, @daily, @weekly, @monthly or @yearly"

// Schedule says when something is due. The zero Schedule is never due.
type Schedule struct {
	spec string
	s    cron.Schedule
}

// Parse reads five cron fields, "@every <duration>" of at least MinEvery, or
// one of cron's names (@hourly, @daily, @midnight, @weekly, @monthly, @yearly,
// @annually). Times are UTC. A schedule that is never due is an error.
func Parse(spec string) (Schedule, error) {
	spec = strings.TrimSpace(spec)
	s, err := parse(spec)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w; use %s", spec, err, Forms)
	}
	return Schedule{spec: spec, s: s}, nil
}

func parse(spec string) (cron.Schedule, error) {
	if d, ok := strings.CutPrefix(spec, every); ok {
		every, err := time.ParseDuration(strings.TrimSpace(d))
		if err != nil {
			return nil, errors.New("not a duration such as 5m")
		}
		if every < MinEvery {
			return nil, fmt.Errorf("shorter than %s", MinEvery)
		}
		return interval(every), nil
	}
	// The cron parser takes a "TZ=" prefix, and panics on some of them; policies
	// have no time zones.
	if strings.Contains(spec, "=") {
		return nil, errors.New("time zones are not supported")
	}
	p := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	s, err := p.Parse(spec)
	if err != nil {
		return nil, err
	}
	// cron looks five years ahead; "0 0 30 2 *" has no next time.
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, errors.New("no such day ever comes")
	}
	return s, nil
}

// Every returns the schedule that is due d after whatever came before. d must
// be positive.
func Every(d time.Duration) Schedule {
	return Schedule{spec: every + d.String(), s: interval(d)}
}

// Next returns the first due time after t, in UTC; the zero time when there is
// none.
func (s Schedule) Next(t time.Time) time.Time {
	if s.s == nil {
		return time.Time{}
	}
	return s.s.Next(t.UTC())
}

// String returns what Parse was given.
func (s Schedule) String() string { return s.spec }

// interval replaces cron's own, which rounds to whole seconds and would make a
// short interval irregular.
type interval time.Duration

func (i interval) Next(t time.Time) time.Time { return t.Add(time.Duration(i)) }
