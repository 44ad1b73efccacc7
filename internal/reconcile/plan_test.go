package reconcile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/manifest"
)

// plans builds the input of a plan from words.
type plans struct {
	apps map[string]*App
	in   PlanInput
}

func newPlans() *plans {
	return &plans{apps: map[string]*App{}, in: PlanInput{
		Namespace: "towpath-system",
		Inventory: Inventory{Entries: map[manifest.ID]Entry{}},
		Live:      map[manifest.ID]Live{},
	}}
}

func id(s string) manifest.ID {
	kind, name, _ := strings.Cut(s, " ")
	out := manifest.ID{Kind: kind, Name: name}
	if group, k, ok := strings.Cut(kind, "/"); ok {
		out.Group, out.Kind = group, k
	}
	if ns, n, ok := strings.Cut(name, "/"); ok {
		out.Namespace, out.Name = ns, n
	}
	return out
}

func (p *plans) app(name string) *App {
	if p.apps[name] == nil {
		p.apps[name] = &App{Name: name}
	}
	return p.apps[name]
}

// git puts an object into Git.
func (p *plans) git(app, object string, change ...func(*Wanted)) *plans {
	w := &Wanted{ID: id(object), App: app, Hash: "h1", Stage: stageOf(id(object))}
	for _, c := range change {
		c(w)
	}
	p.app(app).Objects = append(p.app(app).Objects, w)
	return p
}

// had puts an object into the inventory, and into the cluster.
func (p *plans) had(app, object string, change ...func(*Entry)) *plans {
	i := id(object)
	e := Entry{Group: i.Group, Kind: i.Kind, Namespace: i.Namespace, Name: i.Name, App: app, UID: "uid-" + object, Fields: "f1", Want: "h1"}
	for _, c := range change {
		c(&e)
	}
	p.in.Inventory.Entries[i] = e
	if e.UID != "" {
		p.in.Live[i] = Live{Exists: true, UID: e.UID, Fields: "f1"}
	}
	return p
}

func (p *plans) live(object string, l Live) *plans {
	p.in.Live[id(object)] = l
	return p
}

func (p *plans) broken(app string) *plans {
	p.app(app).Problem = errors.New("bad yaml")
	return p
}

func (p *plans) many(app, kind string, n int) *plans {
	for i := range n {
		p.had(app, fmt.Sprintf("%s shop/o%03d", kind, i))
	}
	return p
}

func (p *plans) steps() []Step {
	for _, a := range p.apps {
		p.in.Apps = append(p.in.Apps, *a)
	}
	return MakePlan(p.in).Steps
}

func TestMakePlan(t *testing.T) {
	const deploy, config = "apps/Deployment shop/web", "ConfigMap shop/settings"
	tests := []struct {
		name string
		in   *plans
		want []string // "action object: part of the reason"
	}{
		{"nothing to do is an empty plan", newPlans().git("web", config).had("web", config), nil},
		{"a new object is applied", newPlans().git("web", config), []string{"apply ConfigMap shop/settings: new in Git"}},
		{
			"a changed object is applied",
			newPlans().git("web", config, func(w *Wanted) { w.Hash = "h2" }).had("web", config),
			[]string{"apply ConfigMap shop/settings: changed in Git"},
		},
		{
			"an intent that was never confirmed is applied again",
			newPlans().git("web", config).had("web", config, func(e *Entry) { e.UID = "" }),
			[]string{"apply ConfigMap shop/settings: not confirmed"},
		},
		{
			"a Secret is applied after a restart",
			newPlans().git("web", "Secret shop/key").had("web", "Secret shop/key", func(e *Entry) { e.Want = "" }),
			[]string{"apply Secret shop/key: not compared"},
		},
		{
			"a deleted object is applied",
			newPlans().git("web", config).had("web", config).live(config, Live{}),
			[]string{"apply ConfigMap shop/settings: deleted"},
		},
		{
			"an object made anew by somebody else is applied",
			newPlans().git("web", config).had("web", config).live(config, Live{Exists: true, UID: "other", Fields: "f1"}),
			[]string{"apply ConfigMap shop/settings: replaced"},
		},
		{
			"an object whose fields changed hands is applied",
			newPlans().git("web", config).had("web", config).live(config, Live{Exists: true, UID: "uid-" + config, Fields: "f2"}),
			[]string{"apply ConfigMap shop/settings: fields of ours changed"},
		},
		{
			"an object on its way out is left until it is gone",
			newPlans().git("web", config).had("web", config).live(config, Live{Exists: true, UID: "uid-" + config, Deleting: true}),
			nil,
		},
		{
			"an object of an unknown kind is left out, the others are not",
			newPlans().git("web", "x.io/Thing shop/a", func(w *Wanted) { w.Problem = errors.New("no such kind") }).git("web", config),
			[]string{"apply ConfigMap shop/settings: new"},
		},
		{
			"stages come in order, waves refine them",
			newPlans().git("web", "admissionregistration.k8s.io/ValidatingWebhookConfiguration w").git("web", "Service shop/web").
				git("web", deploy).git("web", "batch/Job shop/migrate", func(w *Wanted) { w.Wave = -1 }).git("web", config).
				git("web", "rbac.authorization.k8s.io/Role shop/r").git("web", "apiextensions.k8s.io/CustomResourceDefinition things.x.io").git("web", "Namespace shop"),
			[]string{
				"apply Namespace shop: new", "apply apiextensions.k8s.io/CustomResourceDefinition things.x.io: new",
				"apply ConfigMap shop/settings: new", "apply rbac.authorization.k8s.io/Role shop/r: new",
				"apply batch/Job shop/migrate: new", "apply apps/Deployment shop/web: new", "apply Service shop/web: new",
				"apply admissionregistration.k8s.io/ValidatingWebhookConfiguration w: new",
			},
		},
		{
			"what Git dropped is pruned, what came last first",
			newPlans().git("web", config).had("web", config).had("web", "ConfigMap shop/old").had("web", "Service shop/old"),
			[]string{"prune Service shop/old: gone from Git", "prune ConfigMap shop/old: gone from Git"},
		},
		{
			"an app that was removed is pruned",
			newPlans().git("web", config).had("web", config).had("api", deploy),
			[]string{"prune apps/Deployment shop/web: gone"},
		},
		{
			"an object that moved to another app stays",
			newPlans().git("api", config).had("web", config),
			nil,
		},
		{
			"nothing is pruned when nothing is rendered",
			newPlans().had("web", config),
			[]string{"keep! ConfigMap shop/settings: renders no objects at all"},
		},
		{
			"nothing is pruned when an app cannot be rendered",
			newPlans().broken("web").git("api", deploy).had("web", config).had("api", deploy).had("api", "Service shop/api"),
			[]string{"keep ConfigMap shop/settings: app web could not be rendered", "keep Service shop/api: app web could not be rendered"},
		},
		{
			"an app whose folder renders nothing keeps its objects",
			func() *plans { p := newPlans().git("api", deploy).had("web", config); p.app("web"); return p }(),
			[]string{"apply apps/Deployment shop/web: new", "keep! ConfigMap shop/settings: app web renders no objects"},
		},
		{
			"an object with prune disabled stays",
			newPlans().git("web", deploy).had("web", deploy).had("web", config, func(e *Entry) { e.Prune = "disabled" }),
			[]string{"keep ConfigMap shop/settings: annotation towpath.dev/prune: disabled"},
		},
		{
			"what takes other things with it stays without confirmation",
			newPlans().git("web", deploy).had("web", deploy).had("web", "Namespace shop").had("web", "PersistentVolumeClaim shop/data").
				had("web", "apiextensions.k8s.io/CustomResourceDefinition things.x.io").had("web", "PersistentVolume pv"),
			[]string{
				"keep! Namespace shop: towpath.dev/prune: confirm", "keep! apiextensions.k8s.io/CustomResourceDefinition things.x.io: confirm",
				"keep! PersistentVolume pv: confirm", "keep! PersistentVolumeClaim shop/data: confirm",
			},
		},
		{
			"and goes with it",
			newPlans().git("web", deploy).had("web", deploy).had("web", "Namespace shop", func(e *Entry) { e.Prune = "confirm" }),
			[]string{"prune Namespace shop: gone"},
		},
		{
			"the agent's own namespace and account always stay",
			newPlans().git("web", deploy).had("web", deploy).had("web", "Namespace towpath-system", func(e *Entry) { e.Prune = "confirm" }).
				had("web", "ServiceAccount towpath-system/towpath"),
			[]string{"keep! Namespace towpath-system: lives there", "keep! ServiceAccount towpath-system/towpath: account"},
		},
		{
			"an object that Git has under another group stays",
			newPlans().git("web", "networking.k8s.io/Ingress shop/web").
				had("web", "networking.k8s.io/Ingress shop/web", func(e *Entry) { e.UID = "same" }).live("networking.k8s.io/Ingress shop/web", Live{Exists: true, UID: "same", Fields: "f1"}).
				had("web", "extensions/Ingress shop/web", func(e *Entry) { e.UID = "same" }),
			[]string{"keep extensions/Ingress shop/web: the same object as networking.k8s.io/Ingress shop/web"},
		},
		{
			"an object whose kind vanished and that Git still has stays",
			newPlans().git("web", config).had("web", config).
				git("web", "x.io/Thing /a", func(w *Wanted) { w.Problem, w.ScopeUnknown = errors.New("no such kind"), true }).
				had("web", "x.io/Thing shop/a"),
			[]string{"keep x.io/Thing shop/a: Git may still have it"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			steps := test.in.steps()
			var got []string
			for i, s := range steps {
				line := fmt.Sprintf("%s %s: %s", s.Action, s.ID, s.Reason)
				if s.Refused {
					line = strings.Replace(line, "keep", "keep!", 1)
				}
				if i < len(test.want) {
					object, reason, _ := strings.Cut(test.want[i], ": ")
					if strings.HasPrefix(line, object+": ") && strings.Contains(line, reason) {
						line = test.want[i]
					}
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPlanDeletesNoMoreThanAShareOfTheInventory(t *testing.T) {
	tests := []struct {
		name          string
		gone, staying int
		allow         int
		prunes, keeps int
	}{
		{"ten objects are always allowed", 10, 1, 0, 10, 0},
		{"eleven of twelve are not", 11, 1, 0, 0, 11},
		{"a fifth of many is", 20, 80, 0, 20, 0},
		{"more than a fifth is not", 21, 79, 0, 0, 21},
		{"with leave for that many it is", 21, 79, 21, 21, 0},
		{"with leave for fewer it is not", 21, 79, 20, 0, 21},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPlans().many("old", "ConfigMap", test.gone)
			for i := range test.staying {
				object := fmt.Sprintf("Service shop/s%03d", i)
				p.had("web", object).git("web", object, func(w *Wanted) { w.AllowPrune = test.allow })
			}
			count := map[Action]int{}
			for _, s := range p.steps() {
				count[s.Action]++
				if s.Action == Keep && !strings.Contains(s.Reason, AnnotationAllowPrune) {
					t.Errorf("%s: the reason names no way out: %s", s.ID, s.Reason)
				}
			}
			if count[Prune] != test.prunes || count[Keep] != test.keeps {
				t.Errorf("got %d prunes and %d keeps, want %d and %d", count[Prune], count[Keep], test.prunes, test.keeps)
			}
		})
	}
}
