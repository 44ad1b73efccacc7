package main

import (
	"log/slog"
	"time"

	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/schedule"
)

// patience is how long a tick of the bot waits for registries. Who answers later
// is heard at the next one, which comes at once.
const patience = 5 * time.Second

// asker is a Scanner with what must be closed after it.
type asker struct {
	*scan.Scanner
	close func()
}

// freshly asks every registry now, whatever schedules say, and waits for the
// answers. What the bot remembers of them is neither read nor written.
func (r *registryFlags) freshly() asker {
	return r.asker(scan.Config{Logger: slog.New(slog.DiscardHandler)})
}

func (r *registryFlags) asker(c scan.Config) asker {
	client, end := r.client()
	c.Registry = client
	s := scan.New(c)
	return asker{s, func() {
		s.Close()
		end()
	}}
}

// due reports whether a schedule has a time between last and now.
func due(spec string, last, now time.Time) bool {
	if last.IsZero() {
		return true
	}
	s, err := schedule.Parse(spec)
	if err != nil {
		return false // refused when loaded: policy.Load accepts no such schedule
	}
	return !s.Next(last).After(now)
}
