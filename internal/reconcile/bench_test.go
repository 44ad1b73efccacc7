package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"towpath.dev/towpath/internal/manifest"
)

// fleet is an environment of n Deployments and n ConfigMaps in four apps.
func fleet(n int) map[string]string {
	files := map[string]string{"envs/here/app0/namespace.yaml": namespaceYAML}
	for i := range n {
		dir := fmt.Sprintf("envs/here/app%d/", i%4)
		files[fmt.Sprintf("%sd%03d.yaml", dir, i)] = deploymentYAML(fmt.Sprintf("d%03d", i), "registry.example/shop/web:1.0.0", 0)
		files[fmt.Sprintf("%sc%03d.yaml", dir, i)] = configMapYAML(fmt.Sprintf("c%03d", i), "one")
	}
	return files
}

// running is an agent on a fleet, and a channel of its events.
func running(b *testing.B, n int) (*world, *Agent, chan Event) {
	b.Helper()
	w := newWorld(b)
	commit := w.commit("first", fleet(n))
	events := make(chan Event, 1<<16)
	a := w.agent(func(c *Config) { c.OnEvent = nil })
	a.c.OnEvent = func(e Event) {
		w.mu.Lock()
		w.events = append(w.events, e)
		w.mu.Unlock()
		select {
		case events <- e:
		default:
		}
	}
	w.run(a)
	w.awaitHealthy(commit)
	w.awaitSynced()
	return w, a, events
}

func percentile(d []time.Duration, p int) float64 {
	slices.Sort(d)
	return float64(d[(len(d)-1)*p/100].Microseconds()) / 1000
}

// BenchmarkDrift changes an image 100 times as kubectl edit would, and tells
// after how many milliseconds, from before the change was sent, the agent saw
// it and had undone it.
func BenchmarkDrift(b *testing.B) {
	const objects, edits = 50, 100
	w, a, events := running(b, objects)
	p := w.person()
	var seen, healed []time.Duration
	for b.Loop() {
		a.mu.Lock()
		for _, o := range a.objects {
			o.fight = fight{} // more edits than a fight allows
		}
		a.mu.Unlock()
		for i := range edits {
			target := deploymentID(w, fmt.Sprintf("d%03d", i%objects))
			start := time.Now()
			p.must("PATCH", w.apps("deployments", target.Name)+"?fieldManager=kubectl-edit", mergePatch,
				`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"evil:1"}]}}}}`)
			seen = append(seen, await(b, events, EventDrift, target).At.Sub(start))
			healed = append(healed, await(b, events, EventHealed, target).At.Sub(start))
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(percentile(seen, 50), "seen-p50-ms")
	b.ReportMetric(percentile(seen, 99), "seen-p99-ms")
	b.ReportMetric(percentile(healed, 50), "healed-p50-ms")
	b.ReportMetric(percentile(healed, 99), "healed-p99-ms")
}

func await(b *testing.B, events chan Event, t EventType, id manifest.ID) Event {
	b.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.Type == t && e.ID == id {
				return e
			}
		case <-timeout:
			b.Fatalf("no %s of %s", t, id)
		}
	}
}

// BenchmarkApply pushes a commit that changes one image, pokes the agent, and
// tells after how many milliseconds the object was written and the pass over.
func BenchmarkApply(b *testing.B) {
	const commits = 20
	w, a, events := running(b, 100)
	var written, passed []time.Duration
	n := 0
	for b.Loop() {
		for range commits {
			n++
			target := deploymentID(w, "d007")
			commit := w.commit("bump", map[string]string{"envs/here/app3/d007.yaml": deploymentYAML("d007", fmt.Sprintf("registry.example/shop/web:1.0.%d", n), 0)})
			start := time.Now()
			a.Poke()
			written = append(written, await(b, events, EventApplied, target).At.Sub(start))
			for e := range events {
				if e.Type == EventPass && e.Commit == commit {
					passed = append(passed, e.At.Sub(start))
					break
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(percentile(written, 50), "applied-p50-ms")
	b.ReportMetric(percentile(written, 99), "applied-p99-ms")
	b.ReportMetric(percentile(passed, 50), "pass-p50-ms")
}

// BenchmarkFirstApply brings 400 objects into an empty namespace.
func BenchmarkFirstApply(b *testing.B) {
	var took time.Duration
	n := 0
	for b.Loop() {
		w := newWorld(b)
		w.commit("first", fleet(200))
		start := time.Now()
		w.once()
		took += time.Since(start)
		n++
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Milliseconds())/float64(n), "ms/401-objects")
}

func BenchmarkMakePlan(b *testing.B) {
	const objects = 10_000
	in := PlanInput{Inventory: Inventory{Entries: map[manifest.ID]Entry{}}, Live: map[manifest.ID]Live{}, Namespace: "towpath-system"}
	app := App{Name: "web"}
	for i := range objects {
		id := manifest.ID{Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprintf("c%05d", i)}
		app.Objects = append(app.Objects, &Wanted{ID: id, App: "web", Hash: "h", Stage: stageConfig})
		in.Inventory.Entries[id] = Entry{Kind: id.Kind, Namespace: id.Namespace, Name: id.Name, UID: id.Name, Want: "h", Fields: "f"}
		in.Live[id] = Live{Exists: true, UID: id.Name, Fields: "f"}
	}
	in.Apps = []App{app}
	for b.Loop() {
		if steps := MakePlan(in).Steps; len(steps) > 0 {
			b.Fatalf("steps: %v", steps)
		}
	}
}
