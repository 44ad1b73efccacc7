package reconcile

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/state"
)

// Pauses of reporting.
const (
	reportDebounce = 100 * time.Millisecond // collects what changes together
	reportWording  = 2 * time.Second        // between reports that differ in wording only
	reportRetry    = time.Second            // after a failure, doubled …
	reportMaxRetry = time.Minute            // … up to this
	brokenPatience = time.Minute            // a watch may fail so long before its objects are unknown
)

// Bounds of a report, which people read and a Git repository holds.
const (
	maxFailing      = 20      // objects of one app
	maxReason       = 500     // bytes of why one of them fails
	maxProblem      = 2000    // bytes
	maxFailingBytes = 1 << 19 // of all apps together; apps beyond say how many only
)

// bounded cuts what is failing to the bounds; left is what is left of
// maxFailingBytes.
func bounded(all []state.Failing, left *int) []state.Failing {
	var out []state.Failing
	for i, f := range all {
		f.Object, f.Reason = cut(f.Object, maxReason), cut(f.Reason, maxReason)
		size := len(f.Object) + len(f.Reason)
		if i == maxFailing || size > *left {
			n := len(all) - i
			return append(out, state.Failing{Object: fmt.Sprintf("and %d more", n), Reason: "left out of the report"})
		}
		*left -= size
		out = append(out, f)
	}
	return out
}

// cut shortens s to most bytes without cutting a character.
func cut(s string, most int) string {
	const mark = "…"
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= most {
		return s
	}
	end := most - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// previousApp is what an earlier process reported of an app.
type previousApp = state.AppReport

func previousApps(r state.Report) map[string]previousApp {
	out := map[string]previousApp{}
	for _, app := range r.Apps {
		out[app.App] = app
	}
	return out
}

// report returns what there is to say now. Since moves only when the phase or
// the content of an app does. a.mu is held.
func (a *Agent) report(now time.Time) state.Report {
	r := state.Report{Env: a.c.Env, Cluster: a.c.Cluster, Commit: a.commit, At: now.UTC(), Problem: cut(a.problem, maxProblem), Apps: []state.AppReport{}}
	if !a.ready {
		// Nothing was looked at: what the process before said is not known to
		// be wrong, and not known to be right. previous keeps its phases.
		if r.Commit == "" {
			r.Commit = a.before.Commit
		}
		for _, app := range a.before.Apps {
			since := a.started.UTC()
			if app.Phase == state.Unknown {
				since = app.Since
			}
			r.Apps = append(r.Apps, state.AppReport{App: app.App, Content: app.Content, Phase: state.Unknown, Since: since})
		}
		return r
	}
	left := maxFailingBytes
	kept := a.notDeleted()
	apps := append(slices.Clone(a.apps), a.leftBehind(kept)...)
	slices.SortFunc(apps, func(x, y App) int { return strings.Compare(x.Name, y.Name) })
	next := make(map[string]previousApp, len(apps))
	for _, app := range apps {
		v := judge(app.Name, app.Problem, append(a.seen(app, now), kept[app.Name]...))
		out := state.AppReport{App: app.Name, Content: app.Content, Phase: v.phase, Since: now.UTC(), Failing: bounded(v.failing, &left)}
		old, known := a.previous[app.Name]
		if known && old.Phase == out.Phase && old.Content == out.Content && !old.Since.IsZero() {
			out.Since = old.Since
		} else {
			a.emit(Event{Type: EventPhase, App: app.Name, Phase: out.Phase, Commit: a.commit})
		}
		next[app.Name] = out
		r.Apps = append(r.Apps, out)
	}
	a.previous = next
	return r
}

// leftBehind returns the apps that Git has no more and of which something is
// left that should not be. a.mu is held.
func (a *Agent) leftBehind(kept map[string][]seenObject) []App {
	known := map[string]bool{}
	for _, app := range a.apps {
		known[app.Name] = true
	}
	var out []App
	for app := range kept {
		if !known[app] {
			out = append(out, App{Name: app})
		}
	}
	return out
}

// notDeleted returns, by app, the objects that Git has no more and that are still
// there, in one walk over all objects. a.mu is held.
func (a *Agent) notDeleted() map[string][]seenObject {
	out := map[string][]seenObject{}
	for id, o := range a.objects {
		if reason := o.notDeleted(); reason != "" {
			out[o.entry.App] = append(out[o.entry.App], seenObject{id: id, applied: true, problem: "not deleted: " + reason})
		}
	}
	return out
}

// seen is what the phase of app is made of. a.mu is held.
func (a *Agent) seen(app App, now time.Time) []seenObject {
	var out []seenObject
	for _, w := range app.Objects {
		o := a.object(w.ID)
		s := seenObject{id: w.ID, applied: o.entry.UID != "" && o.entry.Want == w.Hash, health: o.health}
		switch {
		case w.Problem != nil:
			s.problem = w.Problem.Error()
		case o.err != nil:
			s.problem, s.unsure = o.err.Error(), errors.Is(o.err, kube.ErrUnreachable)
		case o.fight.on(a.c.Now()):
			s.problem = fightReason(o.live.Other)
		}
		if watch := a.watches[w.Kind]; watch != nil && watch.broken != nil && now.Sub(watch.brokenSince) > brokenPatience {
			s.health = health{message: watch.broken.Error()}
		}
		out = append(out, s)
	}
	return out
}

// reporting sends reports until ctx ends: when something changed, and as a
// heartbeat.
func (a *Agent) reporting(ctx context.Context) {
	var sent state.Report
	var at time.Time
	failures := 0
	timer := time.NewTimer(a.c.Heartbeat)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.reports:
			if !sleep(ctx, reportDebounce) {
				return
			}
		}
		a.mu.Lock()
		r := a.report(a.c.Now())
		idle, ready := a.idle(), a.ready
		a.mu.Unlock()
		since := time.Since(at)
		beat := since >= a.c.Heartbeat
		wait := a.c.Heartbeat - since
		switch difference(sent, r) {
		case nothing:
			if !beat {
				timer.Reset(min(wait, idle))
				continue
			}
		case wording:
			if since < reportWording && failures == 0 {
				timer.Reset(reportWording - since)
				continue
			}
		}
		if !ready && r.Problem == "" {
			timer.Reset(idle)
			continue // the first pass is not over
		}
		start := time.Now()
		if err := a.c.Report(ctx, r); err != nil {
			if ctx.Err() != nil {
				return
			}
			wait := min(reportRetry<<min(failures, 8), reportMaxRetry)
			failures++
			a.c.Logger.Warn("report not written", "env", a.c.Env, "cluster", a.c.Cluster, "error", err, "again_in", wait)
			sent, at = state.Report{}, time.Time{}
			timer.Reset(wait)
			continue
		}
		sent, at, failures = r, time.Now(), 0
		a.emit(Event{Type: EventReported, Commit: r.Commit, Took: time.Since(start)})
		timer.Reset(idle)
	}
}

// idle returns how long nothing needs to be said unless something happens. a.mu
// is held.
func (a *Agent) idle() time.Duration {
	for _, w := range a.watches {
		if w.broken != nil {
			return min(a.c.Heartbeat, brokenPatience+time.Second)
		}
	}
	return a.c.Heartbeat
}

// How two reports differ.
const (
	nothing = iota
	wording // only in why something is failing
	substance
)

func difference(a, b state.Report) int {
	a.At = b.At
	if reflect.DeepEqual(a, b) {
		return nothing
	}
	strip := func(r state.Report) state.Report {
		apps := make([]state.AppReport, len(r.Apps))
		for i, app := range r.Apps {
			var failing []state.Failing
			for _, f := range app.Failing {
				failing = append(failing, state.Failing{Object: f.Object})
			}
			app.Failing = failing
			apps[i] = app
		}
		r.Apps = apps
		return r
	}
	if reflect.DeepEqual(strip(a), strip(b)) {
		return wording
	}
	return substance
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
