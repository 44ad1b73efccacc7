package reconcile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

// started is an agent that runs on the shop, healthy.
func started(t *testing.T, files map[string]string, change ...func(*Config)) (*world, *Agent, func()) {
	t.Helper()
	w := newWorld(t)
	commit := w.commit("first", files)
	a := w.agent(change...)
	stop := w.run(a)
	w.awaitHealthy(commit)
	w.awaitSynced()
	return w, a, stop
}

// awaitSynced waits until every kind is watched.
func (w *world) awaitSynced() {
	w.t.Helper()
	w.eventually(func() string {
		kinds := map[string]bool{}
		for _, e := range w.seen(0, EventSynced) {
			kinds[e.ID.Kind] = true
		}
		for _, k := range []string{"Namespace", "Deployment", "ConfigMap"} {
			if !kinds[k] {
				return k + " is not watched"
			}
		}
		return ""
	})
}

func TestDriftIsHealed(t *testing.T) {
	w, _, _ := started(t, shop())
	p := w.person()
	web, settings := w.apps("deployments", "web"), w.core("configmaps", "settings")
	tests := []struct {
		name   string
		change func()
		path   string
		value  string
		want   any
	}{
		{"an image that somebody edited", func() {
			p.must("PATCH", web+"?fieldManager=kubectl-edit", mergePatch, `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"evil:1"}]}}}}`)
		}, web, "spec|template|spec|containers|0|image", "registry.example/shop/web:1.0.0"},
		{"our label, removed", func() {
			p.must("PATCH", web+"?fieldManager=kubectl-label", mergePatch, `{"metadata":{"labels":{"towpath.dev/env":null}}}`)
		}, web, "metadata|labels|" + LabelEnv, w.env},
		{"replicas that somebody scaled", func() {
			p.must("PATCH", web+"/scale?fieldManager=kubectl", mergePatch, `{"spec":{"replicas":5}}`)
		}, web, "spec|replicas", 2.0},
		{"a value that somebody took by force", func() {
			p.must("PATCH", settings+"?fieldManager=other&force=true", applyPatch, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"data":{"key":"theirs"}}`)
		}, settings, "data|key", "one"},
		{"a key that somebody removed", func() {
			p.must("PATCH", settings+"?fieldManager=kubectl-edit", mergePatch, `{"data":{"key":null}}`)
		}, settings, "data|key", "one"},
		{"an object without records of fields", func() {
			p.must("PATCH", settings+"?fieldManager=kubectl-edit", mergePatch, `{"metadata":{"managedFields":[{}]},"data":{"key":"silent"}}`)
		}, settings, "data|key", "one"},
		{"an object that somebody deleted", func() { p.must("DELETE", settings, plainJSON, "") }, settings, "data|key", "one"},
		{"a workload that somebody deleted", func() { p.must("DELETE", web, plainJSON, "") }, web, "spec|replicas", 2.0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mark, wire := w.mark(), w.wire.mark()
			test.change()
			w.eventually(func() string {
				healed := w.seen(mark, EventHealed)
				if got := at(p.get(test.path), test.value); got != test.want || len(healed) == 0 {
					return fmt.Sprintf("%s = %v, want %v; healed: %v", test.value, got, test.want, healed)
				}
				return ""
			})
			writes := 0
			for _, r := range w.wire.requests(wire, "PATCH") {
				if !strings.Contains(r, "towpath-inventory") {
					writes++
				}
			}
			if writes != 1 {
				t.Errorf("%d writes: %v", writes, w.wire.requests(wire, "PATCH"))
			}
			for _, e := range w.seen(mark, EventHealed) {
				t.Logf("healed after %s: %s by %q", e.Took, e.Reason, e.Manager)
			}
		})
	}
	w.awaitReport("healthy again", healthy)
}

func TestWhatIsNotOursIsNoDrift(t *testing.T) {
	w, _, _ := started(t, shop())
	p := w.person()
	web, settings := w.apps("deployments", "web"), w.core("configmaps", "settings")
	mark, wire := w.mark(), w.wire.mark()
	p.must("PATCH", web+"?fieldManager=ops", mergePatch, `{"metadata":{"labels":{"team":"sre"}}}`)
	p.must("PATCH", settings+"?fieldManager=ops", mergePatch, `{"data":{"other":"x"}}`)
	p.must("PATCH", web+"/status?fieldManager=ops", mergePatch, `{"status":{"conditions":[{"type":"Seen","status":"True"}]}}`)
	p.must("PATCH", settings+"?fieldManager=same&force=true", applyPatch, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"data":{"key":"one"}}`)
	// What comes after them is healed; so they have been seen by then.
	p.must("DELETE", settings, plainJSON, "")
	p.must("PATCH", web+"?fieldManager=kubectl-edit", mergePatch, `{"spec":{"replicas":1}}`)
	w.eventually(func() string {
		if n := len(w.seen(mark, EventHealed)); n < 2 {
			return fmt.Sprintf("%d healed", n)
		}
		return ""
	})
	if got := w.seen(mark, EventDrift); len(got) != 2 {
		t.Errorf("drift: %+v", got)
	}
	if got := at(p.get(web), "metadata|labels|team"); got != "sre" {
		t.Errorf("somebody's label: %v", got)
	}
	for _, r := range w.wire.requests(wire, "PATCH") {
		if strings.Contains(r, "/deployments/api") {
			t.Errorf("wrote %s", r)
		}
	}
}

func TestAnAutoscalerKeepsItsReplicas(t *testing.T) {
	w, a, _ := started(t, shop())
	p := w.person()
	web := w.apps("deployments", "web")
	mark := w.mark()
	p.must("PATCH", web+"/scale?fieldManager="+autoscaler, mergePatch, `{"spec":{"replicas":4}}`)
	w.eventually(func() string {
		if len(w.seen(mark, EventHealed)) == 0 {
			return "the change was not seen"
		}
		return ""
	})
	if got := at(p.get(web), "spec|replicas"); got != 4.0 {
		t.Errorf("replicas = %v", got)
	}
	commit := w.commit("new", map[string]string{"envs/here/web/web.yaml": deploymentYAML("web", "registry.example/shop/web:1.0.1", 2)})
	a.Poke()
	w.awaitHealthy(commit)
	if o := p.get(web); at(o, "spec|replicas") != 4.0 || at(o, "spec|template|spec|containers|0|image") != "registry.example/shop/web:1.0.1" {
		t.Errorf("after a new commit: %v", o["spec"])
	}
}

func TestNothingChangedIsNoRequest(t *testing.T) {
	w, a, _ := started(t, shop())
	w.eventually(func() string { return w.quiet() })
	mark, wire := w.mark(), w.wire.mark()
	passes := func(n int) {
		t.Helper()
		w.eventually(func() string {
			if got := len(w.seen(mark, EventPass)); got < n {
				return fmt.Sprintf("%d passes", got)
			}
			return ""
		})
	}
	a.Poke()
	passes(1)
	// A commit elsewhere in the repository is looked at, not rendered.
	commit := w.commit("elsewhere", map[string]string{"envs/there/x/a.yaml": configMapYAML("a", "b"), "README.md": "more\n"})
	a.Poke()
	passes(2)
	w.awaitHealthy(commit)
	if got := w.wire.requests(wire, ""); len(got) != 0 {
		t.Errorf("requests: %v", got)
	}
	if got := w.seen(mark, EventPlanned); len(got) != 0 {
		t.Errorf("planned %d times", len(got))
	}
}

// quiet returns "" when the agent has sent nothing for a moment.
func (w *world) quiet() string {
	mark := w.wire.mark()
	time.Sleep(1500 * time.Millisecond)
	if got := w.wire.requests(mark, ""); len(got) > 0 {
		return "still busy: " + strings.Join(got, ", ")
	}
	return ""
}

func TestARestartedAgentKnowsItsOwn(t *testing.T) {
	w, a, stop := started(t, shop())
	manager := a.manager
	before, _ := w.last()
	stop()
	// While nobody looks: one object is edited, one deleted.
	p := w.person()
	p.must("PATCH", w.apps("deployments", "api")+"?fieldManager=kubectl-edit", mergePatch, `{"spec":{"replicas":3}}`)
	p.must("DELETE", w.core("configmaps", "settings"), plainJSON, "")
	wire, mark := w.wire.mark(), w.mark()
	b := w.agent(func(c *Config) {
		c.Previous = func(context.Context) (state.Report, bool) { return before, true }
	})
	w.run(b)
	w.eventually(func() string {
		if at(p.get(w.apps("deployments", "api")), "spec|replicas") != 1.0 || p.get(w.core("configmaps", "settings")) == nil {
			return "not healed"
		}
		return ""
	})
	var r state.Report
	w.eventually(func() string {
		if r, _ = w.last(); !healthy(r) || len(w.seen(mark, EventReported)) == 0 {
			return fmt.Sprintf("report: %+v", r)
		}
		return ""
	})
	if b.manager != manager {
		t.Errorf("manager %s became %s", manager, b.manager)
	}
	for _, req := range w.wire.requests(wire, "PATCH") {
		if strings.Contains(req, "/deployments/web") || strings.Contains(req, "/namespaces/"+w.env+"?") {
			t.Errorf("wrote what had not changed: %s", req)
		}
	}
	if !r.Apps[1].Since.Equal(before.Apps[1].Since) {
		t.Errorf("web is healthy since %s, now since %s", before.Apps[1].Since, r.Apps[1].Since)
	}
}

func TestAFightIsReportedAndPaused(t *testing.T) {
	w, a, _ := started(t, shop())
	p := w.person()
	settings := w.core("configmaps", "settings")
	mark := w.mark()
	for i := range fightRepairs + 1 {
		p.must("PATCH", settings+"?fieldManager=a-bad-operator", mergePatch, fmt.Sprintf(`{"data":{"key":"theirs-%d"}}`, i))
		w.eventually(func() string {
			if n := len(w.seen(mark, EventHealed, EventFight)); n <= i {
				return fmt.Sprintf("%d repairs after %d changes", n, i+1)
			}
			return ""
		})
	}
	if got := w.seen(mark, EventFight); len(got) != 1 || got[0].Manager != "a-bad-operator" {
		t.Fatalf("fights: %+v", got)
	}
	w.awaitReport("the other manager", func(r state.Report) bool {
		return len(r.Apps) == 2 && r.Apps[0].Phase == state.Degraded && strings.Contains(r.Apps[0].Failing[0].Reason, "a-bad-operator")
	})
	// A new commit ends it.
	commit := w.commit("new", map[string]string{"envs/here/api/config.yaml": configMapYAML("settings", "two")})
	a.Poke()
	w.awaitHealthy(commit)
	if got := at(p.get(settings), "data|key"); got != "two" {
		t.Errorf("key = %v", got)
	}
}

func TestPodsThatNeverBecomeReadyAreNamed(t *testing.T) {
	files := shop()
	w, a, _ := started(t, files)
	commit := w.commit("bad image", map[string]string{"envs/here/web/web.yaml": deploymentYAML("web", failingImage, 1)})
	a.Poke()
	r := w.awaitReport("why web is not ready", func(r state.Report) bool {
		return r.Commit == commit && len(r.Apps) == 2 && len(r.Apps[1].Failing) == 1 && strings.Contains(r.Apps[1].Failing[0].Reason, "CrashLoopBackOff")
	})
	if r.Apps[1].Phase != state.Progressing || r.Apps[0].Phase != state.Healthy {
		t.Errorf("report: %+v", r)
	}
	if got := r.Apps[1].Failing[0]; got.Object != "apps/Deployment "+w.env+"/web" || !strings.Contains(got.Reason, failingImage) {
		t.Errorf("failing: %+v", got)
	}
	// A new commit ends the wait.
	commit = w.commit("good image", map[string]string{"envs/here/web/web.yaml": deploymentYAML("web", "registry.example/shop/web:1.0.1", 1)})
	a.Poke()
	w.awaitHealthy(commit)
}

func TestRunGoesOnThroughEverything(t *testing.T) {
	w := newWorld(t)
	w.wire.cut.Store(true)
	var reportsFail atomic.Bool
	reportsFail.Store(true)
	a := w.agent(func(c *Config) {
		report := c.Report
		c.Report = func(ctx context.Context, r state.Report) error {
			if reportsFail.Load() {
				return errors.New("no forge")
			}
			return report(ctx, r)
		}
	})
	w.run(a)
	problem := func(want string) {
		t.Helper()
		w.awaitReport(want, func(r state.Report) bool { return strings.Contains(r.Problem, want) })
	}
	w.eventually(func() string {
		if len(w.seen(0, EventPass)) < 2 {
			return "no second pass"
		}
		return ""
	})
	reportsFail.Store(false)
	problem("the wire is cut")
	w.wire.cut.Store(false)
	a.Poke()
	problem("envs/here")
	commit := w.commit("first", shop())
	a.Poke()
	w.awaitHealthy(commit)
	w.commit("break", map[string]string{"envs/here/api/api.yaml": "kind: ["})
	a.Poke()
	w.awaitReport("a file that cannot be read", func(r state.Report) bool {
		return len(r.Apps) == 2 && r.Apps[0].Phase == state.Degraded && r.Apps[1].Phase == state.Healthy
	})
	commit = w.commit("mend", map[string]string{"envs/here/api/api.yaml": deploymentYAML("api", "registry.example/shop/api:1.0.1", 1)})
	a.Poke()
	w.awaitHealthy(commit)
	// Its namespace goes, and with it everything.
	p := w.person()
	p.must("DELETE", "/api/v1/namespaces/"+w.env, plainJSON, "")
	w.eventually(func() string {
		if o := p.get(w.apps("deployments", "web")); o == nil || at(o, "metadata|deletionTimestamp") != nil {
			return "web is not back"
		}
		return ""
	})
	w.awaitReport("healthy again", healthy)
}

func TestASweepFindsChangesInOurName(t *testing.T) {
	w, a, _ := started(t, shop())
	p := w.person()
	settings := w.core("configmaps", "settings")
	p.must("PATCH", settings+"?fieldManager="+a.manager, applyPatch, fmt.Sprintf(
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings","labels":{%q:%q},"annotations":{%q:"api"}},"data":{"key":"forged"}}`, LabelEnv, w.env, LabelApp))
	if got := at(p.get(settings), "data|key"); got != "forged" {
		t.Fatalf("key = %v", got)
	}
	mark := w.wire.mark()
	a.sweep(t.Context())
	w.eventually(func() string {
		if got := at(p.get(settings), "data|key"); got != "one" {
			return fmt.Sprintf("key = %v", got)
		}
		return ""
	})
	// Deployments hold defaults and more, and do not differ all the same.
	if got := w.wire.requests(mark, "PATCH"); len(got) != 1 {
		t.Errorf("writes: %v", got)
	}
}

func TestAnObjectThatFailsIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	files := shop()
	delete(files, "envs/here/web/namespace.yaml")
	w.commit("first", files)
	w.run(w.agent())
	w.awaitReport("no namespace", func(r state.Report) bool {
		return len(r.Apps) == 2 && r.Apps[0].Phase == state.Degraded && strings.Contains(r.Apps[0].Failing[0].Reason, "add a Namespace")
	})
	p := w.person()
	if code, out := p.do("POST", "/api/v1/namespaces", plainJSON, `{"metadata":{"name":"`+w.env+`"}}`); code != http.StatusCreated {
		t.Fatalf("create namespace: %v", out)
	}
	w.awaitReport("healthy", healthy)
}

func TestTwoAgentsKeepOneInventory(t *testing.T) {
	w, a, _ := started(t, shop())
	// A second one writes an entry that the first does not know of.
	b := w.agent()
	if err := b.loadInventory(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := manifest.ID{Kind: "ConfigMap", Namespace: w.env, Name: "other"}
	b.mu.Lock()
	o := b.object(other)
	o.entry, o.inventory = Entry{Version: "v1", Kind: "ConfigMap", Namespace: w.env, Name: "other", App: "web"}, true
	b.mu.Unlock()
	b.changed.Store(true)
	if err := b.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.changed.Store(true)
	a.mu.Lock()
	a.commit = strings.Repeat("0", 40) // something to write
	a.mu.Unlock()
	if err := a.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := a.objects[other]; got == nil || !got.inventory {
		t.Error("the entry of the other agent was lost")
	}
}
