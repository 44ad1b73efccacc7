package reconcile

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

// Poke makes Run look at the branch now.
func (a *Agent) Poke() { a.poke.signal() }

func (a *Agent) emit(e Event) {
	if a.c.OnEvent == nil {
		return
	}
	if e.At.IsZero() {
		e.At = a.c.Now()
	}
	a.c.OnEvent(e)
}

// Once makes one pass: fetch, render, plan, execute, wait for health, report.
// The error says what kept the pass from ending; what is wrong with apps and
// objects is in the report.
func (a *Agent) Once(ctx context.Context) (state.Report, error) {
	err := a.pass(ctx, false)
	if ctx.Err() != nil {
		return state.Report{}, ctx.Err()
	}
	if err == nil {
		a.awaitHealth(ctx)
	}
	a.mu.Lock()
	r := a.report(a.c.Now())
	a.mu.Unlock()
	const tries = 3
	for i := range tries {
		start := time.Now()
		reportErr := a.c.Report(ctx, r)
		if reportErr == nil {
			a.emit(Event{Type: EventReported, Commit: r.Commit, Took: time.Since(start)})
			break
		}
		a.c.Logger.Warn("report not written", "env", a.c.Env, "cluster", a.c.Cluster, "error", reportErr)
		if i < tries-1 && !sleep(ctx, reportRetry) {
			break
		}
	}
	return r, err
}

// awaitHealth looks at what is not current until it is, has failed, or
// Config.Wait is over.
func (a *Agent) awaitHealth(ctx context.Context) {
	const pause = 250 * time.Millisecond
	deadline := time.Now().Add(a.c.Wait)
	for {
		var waiting []manifest.ID
		a.mu.Lock()
		for id, o := range a.objects {
			if o.want != nil && o.err == nil && o.entry.UID != "" && o.health.condition != current && o.health.condition != failing {
				waiting = append(waiting, id)
			}
		}
		a.mu.Unlock()
		if len(waiting) == 0 || !time.Now().Before(deadline) || !sleep(ctx, pause) {
			return
		}
		a.look(ctx, waiting)
	}
}

// Run reconciles until ctx ends and returns nil then. It polls the branch,
// heals drift as watches see it, and reports.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		a.watch(ctx, map[kube.Kind]bool{}) // waits for the end of all
	}()
	wg.Go(func() { a.repairs.run(ctx, a.c.Concurrency, a.repair) })
	wg.Go(func() { a.checking(ctx) })
	wg.Go(func() { a.reporting(ctx) })
	wg.Go(func() { a.saveChanges(ctx) })
	wg.Go(func() { a.sweeping(ctx) })
	a.following(ctx)
	return nil
}

// following makes a pass after each poll interval and each poke.
func (a *Agent) following(ctx context.Context) {
	const first = time.Second // pause after a failure, doubled up to the poll interval
	failures := 0
	for {
		pause := a.c.Poll
		if err := a.pass(ctx, true); err != nil {
			pause = min(first<<min(failures, 10), a.c.Poll)
			failures++
		} else {
			failures = 0
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-a.poke:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// saveChanges writes the inventory when repairs changed it.
func (a *Agent) saveChanges(ctx context.Context) {
	const debounce, retry = 500 * time.Millisecond, 10 * time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.saves:
		}
		if !sleep(ctx, debounce) {
			return
		}
		if err := a.save(ctx); err != nil && ctx.Err() == nil {
			a.c.Logger.Warn("inventory not written", "env", a.c.Env, "cluster", a.c.Cluster, "error", err)
			if !sleep(ctx, retry) {
				return
			}
			a.saves.signal()
		}
	}
}

// sweeping sweeps after each interval, up to a tenth later.
func (a *Agent) sweeping(ctx context.Context) {
	if a.c.Sweep < 0 {
		return
	}
	for sleep(ctx, a.c.Sweep+rand.N(a.c.Sweep/10+1)) {
		a.sweep(ctx)
	}
}
