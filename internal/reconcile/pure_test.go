package reconcile

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

func TestAFightIsSlowedDown(t *testing.T) {
	var f fight
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	repair := func(want time.Duration, wantBegan bool) {
		t.Helper()
		if d, began := f.wait(now); d != want || began != wantBegan {
			t.Fatalf("wait at %s = %s, %v, want %s, %v", now.Format(time.TimeOnly), d, began, want, wantBegan)
		}
	}
	for range fightRepairs {
		repair(0, false)
		now = now.Add(time.Second)
	}
	repair(time.Minute, true)
	now = now.Add(20 * time.Second)
	repair(40*time.Second, false)
	if !f.on(now) {
		t.Error("the fight is on, and not said to be")
	}
	for _, pause := range []time.Duration{2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		now = f.until
		for range fightRepairs {
			repair(0, false)
		}
		repair(pause, true)
	}
	now = f.until.Add(fightForget + time.Second)
	repair(0, false)
	if f.level != 0 {
		t.Errorf("level %d after a long peace", f.level)
	}
}

func TestRepairsFarApartAreNoFight(t *testing.T) {
	var f fight
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 100 {
		if d, _ := f.wait(now); d != 0 {
			t.Fatalf("wait = %s", d)
		}
		now = now.Add(13 * time.Second)
	}
}

func TestJudge(t *testing.T) {
	web, cfg := id("apps/Deployment shop/web"), id("ConfigMap shop/settings")
	ok := seenObject{id: cfg, applied: true, health: health{condition: current}}
	tests := []struct {
		name    string
		problem error
		objects []seenObject
		want    state.Phase
		failing string
	}{
		{"all current is healthy", nil, []seenObject{ok}, state.Healthy, ""},
		{"an app that cannot be rendered is degraded", errors.New("web/a.yaml:3: bad"), nil, state.Degraded, "app x: web/a.yaml:3: bad"},
		{"an app without objects is not healthy", nil, nil, state.Degraded, "app x: renders no objects"},
		{"not applied is pending", nil, []seenObject{ok, {id: web}}, state.Pending, ""},
		{"rolling out is progressing and says why", nil, []seenObject{ok, {id: web, applied: true, health: health{inProgress, "0/3 ready", "CrashLoopBackOff"}}}, state.Progressing, "apps/Deployment shop/web: 0/3 ready; CrashLoopBackOff"},
		{"failed is degraded", nil, []seenObject{ok, {id: web, applied: true, health: health{failing, "Progress deadline exceeded", ""}}}, state.Degraded, "apps/Deployment shop/web: Progress deadline exceeded"},
		{"a refused object is degraded", nil, []seenObject{ok, {id: web, applied: true, problem: "refused"}}, state.Degraded, "apps/Deployment shop/web: refused"},
		{"an unreachable cluster is unknown", nil, []seenObject{ok, {id: web, applied: true, problem: "no route", unsure: true}}, state.Unknown, "apps/Deployment shop/web: no route"},
		{"what was not looked at is not healthy", nil, []seenObject{ok, {id: web, applied: true}}, state.Unknown, ""},
		{"failed weighs more than pending", nil, []seenObject{{id: cfg}, {id: web, problem: "refused"}}, state.Degraded, "apps/Deployment shop/web: refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := judge("x", test.problem, test.objects)
			var failing []string
			for _, f := range v.failing {
				failing = append(failing, f.Object+": "+f.Reason)
			}
			if got := strings.Join(failing, "\n"); v.phase != test.want || got != test.failing {
				t.Errorf("judge = %s, %q, want %s, %q", v.phase, got, test.want, test.failing)
			}
		})
	}
}

func TestHealthFollowsKstatus(t *testing.T) {
	deployment := func(status map[string]any) kube.Object {
		return kube.Object{Content: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": map[string]any{"name": "web", "namespace": "shop", "generation": int64(2)},
			"spec":     map[string]any{"replicas": int64(1)}, "status": status,
		}}
	}
	done := map[string]any{
		"observedGeneration": int64(2), "replicas": int64(1), "updatedReplicas": int64(1), "readyReplicas": int64(1), "availableReplicas": int64(1),
		"conditions": []any{map[string]any{"type": "Available", "status": "True"}, map[string]any{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}},
	}
	old := maps.Clone(done)
	old["observedGeneration"] = int64(1)
	late := map[string]any{
		"observedGeneration": int64(2), "replicas": int64(1), "updatedReplicas": int64(1),
		"conditions": []any{map[string]any{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}},
	}
	tests := []struct {
		name string
		o    kube.Object
		want condition
	}{
		{"rolled out", deployment(done), current},
		{"not seen by its controller", deployment(old), inProgress},
		{"past its deadline", deployment(late), failing},
		{"a ConfigMap", kube.Object{Content: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a"}}}, current},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := healthOf(test.o); got.condition != test.want {
				t.Errorf("health = %q (%s), want %q", got.condition, got.message, test.want)
			}
		})
	}
}

func inventoryOf(n int) Inventory {
	inv := Inventory{Install: "abc", Commit: strings.Repeat("1", 40), Entries: map[manifest.ID]Entry{}}
	for i := range n {
		e := Entry{
			Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "a-namespace-of-some-length", Name: fmt.Sprintf("a-deployment-with-a-name-%06d", i),
			UID: "01234567-89ab-cdef-0123-456789abcdef", App: "an-app", Fields: strings.Repeat("f", 32), Want: strings.Repeat("e", 32),
		}
		inv.Entries[e.ID()] = e
	}
	return inv
}

func TestAnInventoryComesBackFromItsShards(t *testing.T) {
	for _, n := range []int{0, 1, 100, 5000} {
		inv := inventoryOf(n)
		data, err := inv.encode(1)
		if err != nil {
			t.Fatal(err)
		}
		got := Inventory{Entries: map[manifest.ID]Entry{}}
		for i, d := range data {
			if len(d) >= maxShardBytes {
				t.Errorf("%d entries: shard %d has %d bytes", n, i, len(d))
			}
			if _, err := got.add(d); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(inv, got); diff != "" {
			t.Errorf("%d entries (-want +got):\n%.2000s", n, diff)
		}
	}
}

// Shards are written from the last to the first, so a crash leaves new ones at
// the end and old ones at the start.
func TestGrowingAnInventoryLosesNothingAtAnyMoment(t *testing.T) {
	small, large := inventoryOf(300), inventoryOf(3000)
	old, err := small.encode(1)
	if err != nil {
		t.Fatal(err)
	}
	grown, err := large.encode(len(old))
	if err != nil {
		t.Fatal(err)
	}
	if len(grown) <= len(old) {
		t.Fatalf("%d shards became %d", len(old), len(grown))
	}
	for crash := range len(grown) + 1 {
		got := Inventory{Entries: map[manifest.ID]Entry{}}
		for i := range grown {
			d := grown[i]
			if i < crash {
				if i >= len(old) {
					continue
				}
				d = old[i]
			}
			if _, err := got.add(d); err != nil {
				t.Fatal(err)
			}
		}
		for id := range small.Entries {
			if _, ok := got.Entries[id]; !ok {
				t.Fatalf("a crash before shard %d loses %s", crash-1, id)
			}
		}
	}
}

func TestWithin(t *testing.T) {
	tests := []struct {
		name       string
		want, live any
		in         bool
	}{
		{"additions do not matter", map[string]any{"a": "1"}, map[string]any{"a": "1", "b": "2"}, true},
		{"a changed value does", map[string]any{"a": "1"}, map[string]any{"a": "2"}, false},
		{"a missing value does", map[string]any{"a": map[string]any{"b": 1.0}}, map[string]any{}, false},
		{"lists in another order do not", []any{"a", "b"}, []any{"b", "x", "a"}, true},
		{"a missing item does", []any{map[string]any{"name": "web", "image": "a:1"}}, []any{map[string]any{"name": "web", "image": "a:2"}}, false},
		{"null wants nothing", map[string]any{"a": nil}, map[string]any{}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := within(test.want, test.live); got != test.in {
				t.Errorf("within = %v, want %v", got, test.in)
			}
		})
	}
}

func TestReportsDifferInSubstanceOrWording(t *testing.T) {
	base := func() state.Report {
		return state.Report{Env: "dev", Commit: "c1", Apps: []state.AppReport{{App: "web", Content: "x", Phase: state.Progressing, Failing: []state.Failing{{Object: "o", Reason: "1/3"}}}}}
	}
	tests := []struct {
		name   string
		change func(*state.Report)
		want   int
	}{
		{"the time is nothing", func(r *state.Report) { r.At = time.Unix(1, 0) }, nothing},
		{"a reason is wording", func(r *state.Report) { r.Apps[0].Failing[0].Reason = "2/3" }, wording},
		{"a phase is substance", func(r *state.Report) { r.Apps[0].Phase = state.Healthy }, substance},
		{"a commit is substance", func(r *state.Report) { r.Commit = "c2" }, substance},
		{"a problem is substance", func(r *state.Report) { r.Problem = "no route" }, substance},
		{"another failing object is substance", func(r *state.Report) { r.Apps[0].Failing[0].Object = "p" }, substance},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := base()
			test.change(&b)
			if got := difference(base(), b); got != test.want {
				t.Errorf("difference = %d, want %d", got, test.want)
			}
		})
	}
}

func TestOnlyShellsAndOldDeployersAreTakenFrom(t *testing.T) {
	for manager, want := range map[string]bool{
		"kubectl-client-side-apply": true, "kubectl-edit": true, "kubectl": true, "helm": true, "Helm": true, "kustomize-controller": true, "argocd-controller": true,
		"kube-controller-manager": false, "my-operator": false, "kubectl-annotate": false, "helmet": false, "towpath-abc": false,
	} {
		if got := takeable(manager); got != want {
			t.Errorf("takeable(%q) = %v, want %v", manager, got, want)
		}
	}
}
