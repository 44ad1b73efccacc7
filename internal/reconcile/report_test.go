package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

// idle is an agent that talks to nobody, as after a pass.
func idle(apps ...App) *Agent {
	a := &Agent{c: Config{Env: "dev", Cluster: "c1"}.withDefaults(), objects: map[manifest.ID]*object{}, ready: true, apps: apps, repairs: newQueue(), checks: newQueue(), reports: newBell(), saves: newBell()}
	for _, app := range apps {
		for _, w := range app.Objects {
			a.object(w.ID).want = w
		}
	}
	return a
}

func failingApp(name string, objects int, reason string) App {
	app := App{Name: name}
	for i := range objects {
		app.Objects = append(app.Objects, &Wanted{ID: manifest.ID{Kind: "ConfigMap", Namespace: name, Name: fmt.Sprintf("o%05d", i)}, App: name, Problem: errors.New(reason)})
	}
	return app
}

func TestAReportIsBounded(t *testing.T) {
	long := strings.Repeat("ü", 3000)
	a := idle(failingApp("a", 25, "x"+long))
	a.problem = "x" + long
	r := a.report(time.Now())
	f := r.Apps[0].Failing
	if len(f) != maxFailing+1 || f[maxFailing].Object != "and 5 more" {
		t.Fatalf("%d failing, the last %+v", len(f), f[len(f)-1])
	}
	for what, s := range map[string]string{"reason": f[0].Reason, "problem": r.Problem} {
		if most := map[string]int{"reason": maxReason, "problem": maxProblem}[what]; len(s) > most || len(s) < most-4 || !utf8.ValidString(s) {
			t.Errorf("%s has %d bytes: %q", what, len(s), s)
		}
	}

	var many []App
	for i := range 200 {
		many = append(many, failingApp(fmt.Sprintf("app%04d", i), 30, long))
	}
	data, err := json.Marshal(idle(many...).report(time.Now()))
	if err != nil || len(data) > 1<<20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestAFewFailingObjectsAreAllNamed(t *testing.T) {
	r := idle(failingApp("a", maxFailing, "short")).report(time.Now())
	if f := r.Apps[0].Failing; len(f) != maxFailing || f[maxFailing-1] != (state.Failing{Object: "ConfigMap a/o00019", Reason: "short"}) {
		t.Errorf("failing: %+v", f)
	}
}

func TestKeptObjectsAreReportedWithoutAnyApp(t *testing.T) {
	a := idle()
	o := a.object(id("ConfigMap shop/settings"))
	o.entry, o.inventory = Entry{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "settings", App: "gone"}, true
	o.keptFor, o.refused = "no objects at all", true
	want := []state.AppReport{{App: "gone", Phase: state.Degraded, Failing: []state.Failing{{Object: "ConfigMap shop/settings", Reason: "not deleted: no objects at all"}}}}
	got := a.report(time.Time{}).Apps
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("apps (-want +got):\n%s", diff)
	}
}

func TestSinceSurvivesAStartWithoutTheCluster(t *testing.T) {
	w := newWorld(t)
	commit := w.commit("first", shop())
	before := w.once()
	w.wire.cut.Store(true)
	mark := w.mark()
	a := w.agent(func(c *Config) {
		c.Previous = func(context.Context) (state.Report, bool) {
			if r, ok := w.last(); ok {
				return r, true // as a store does: the last one, of whichever process
			}
			return before, true
		}
	})
	w.run(a)
	r := w.awaitReport("that the cluster is not there", func(r state.Report) bool { return strings.Contains(r.Problem, "the wire is cut") })
	if r.Commit != commit || len(r.Apps) != 2 || r.Apps[0].Phase != state.Unknown || r.Apps[0].Content != before.Apps[0].Content {
		t.Errorf("without the cluster: %+v", r)
	}
	w.wire.cut.Store(false)
	a.Poke()
	r = w.awaitHealthy(commit)
	for i, app := range r.Apps {
		if !app.Since.Equal(before.Apps[i].Since) {
			t.Errorf("%s: since %s became %s", app.App, before.Apps[i].Since, app.Since)
		}
	}
	if got := w.seen(mark, EventPhase); len(got) != 0 {
		t.Errorf("phases changed: %+v", got)
	}
}
