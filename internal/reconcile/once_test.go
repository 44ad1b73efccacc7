package reconcile

import (
	"context"
	"errors"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/state"
)

func shop() map[string]string {
	return map[string]string{
		"envs/here/web/namespace.yaml": namespaceYAML,
		"envs/here/web/web.yaml":       deploymentYAML("web", "registry.example/shop/web:1.0.0", 2),
		"envs/here/api/api.yaml":       deploymentYAML("api", "registry.example/shop/api:1.0.0", 1),
		"envs/here/api/config.yaml":    configMapYAML("settings", "one"),
	}
}

func TestOnceAppliesAnEnvironment(t *testing.T) {
	w := newWorld(t)
	commit := w.commit("first", shop())
	r := w.once()
	if !healthy(r) || r.Commit != commit || len(r.Apps) != 2 || r.Apps[0].App != "api" || r.Apps[1].App != "web" {
		t.Fatalf("report: %+v", r)
	}
	ref, err := image.ParseRef("registry.example/shop/web:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if want := patch.Content(w.env, "web", map[string]image.Ref{"web": ref}); r.Apps[1].Content != want {
		t.Errorf("content %s, want %s", r.Apps[1].Content, want)
	}
	p := w.person()
	web := p.get(w.apps("deployments", "web"))
	if got := at(web, "metadata|labels|"+LabelEnv); got != w.env {
		t.Errorf("label %s = %v", LabelEnv, got)
	}
	if got := at(web, "metadata|annotations|"+LabelApp); got != "web" {
		t.Errorf("annotation %s = %v", LabelApp, got)
	}
	if got, ok := w.last(); !ok || got.Commit != commit {
		t.Errorf("reported: %+v", got)
	}

	t.Run("again, it writes nothing", func(t *testing.T) {
		mark := w.wire.mark()
		r2 := w.once(func(c *Config) {
			c.Previous = func(context.Context) (state.Report, bool) { return r, true }
		})
		for _, method := range []string{"PATCH", "POST", "PUT", "DELETE"} {
			if got := w.wire.requests(mark, method); len(got) > 0 {
				t.Errorf("wrote %v", got)
			}
		}
		if !healthy(r2) {
			t.Errorf("report: %+v", r2)
		}
		for i := range r2.Apps {
			if !r2.Apps[i].Since.Equal(r.Apps[i].Since) {
				t.Errorf("%s: since %s became %s", r.Apps[i].App, r.Apps[i].Since, r2.Apps[i].Since)
			}
		}
	})
	t.Run("a changed object costs one write and one of the inventory", func(t *testing.T) {
		w.commit("config", map[string]string{"envs/here/api/config.yaml": configMapYAML("settings", "two")})
		mark := w.wire.mark()
		if r := w.once(); !healthy(r) {
			t.Errorf("report: %+v", r)
		}
		if got := w.wire.requests(mark, "PATCH"); len(got) != 2 {
			t.Errorf("wrote %v", got)
		}
		if got := at(p.get(w.core("configmaps", "settings")), "data|key"); got != "two" {
			t.Errorf("key = %v", got)
		}
	})
}

func TestOncePrunesWithGuards(t *testing.T) {
	w := newWorld(t)
	files := shop()
	files["envs/here/api/keep.yaml"] = strings.Replace(configMapYAML("keep", "x"), "namespace: ENV", "namespace: ENV, annotations: {towpath.dev/prune: disabled}", 1)
	w.commit("first", files)
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	p := w.person()

	w.commit("drop", map[string]string{"envs/here/api/config.yaml": "", "envs/here/api/keep.yaml": "", "envs/here/web/namespace.yaml": ""})
	r := w.once()
	if p.get(w.core("configmaps", "settings")) != nil {
		t.Error("settings was not deleted")
	}
	if p.get(w.core("configmaps", "keep")) == nil {
		t.Error("keep was deleted in spite of its annotation")
	}
	if p.get("/api/v1/namespaces/"+w.env) == nil {
		t.Error("the namespace was deleted")
	}
	if len(r.Apps) != 2 || r.Apps[0].Phase != state.Healthy || r.Apps[1].Phase != state.Degraded || !strings.Contains(r.Apps[1].Failing[0].Reason, "towpath.dev/prune: confirm") {
		t.Errorf("report: %+v", r)
	}

	t.Run("nothing goes when a file cannot be read", func(t *testing.T) {
		w.commit("break", map[string]string{"envs/here/api/api.yaml": "kind: [", "envs/here/web/namespace.yaml": namespaceYAML})
		r := w.once()
		if p.get(w.apps("deployments", "api")) == nil {
			t.Error("api was deleted")
		}
		if r.Apps[0].Phase != state.Degraded || !strings.Contains(r.Apps[0].Failing[0].Reason, "api.yaml") || r.Apps[1].Phase != state.Healthy {
			t.Errorf("report: %+v", r)
		}
	})
	t.Run("an app that goes takes its objects along", func(t *testing.T) {
		w.commit("remove", map[string]string{"envs/here/api/api.yaml": ""})
		if r := w.once(); !healthy(r) || len(r.Apps) != 1 {
			t.Errorf("report: %+v", r)
		}
		if p.get(w.apps("deployments", "api")) != nil && at(p.get(w.apps("deployments", "api")), "metadata|deletionTimestamp") == nil {
			t.Error("api was not deleted")
		}
	})
	t.Run("nothing goes with the whole directory", func(t *testing.T) {
		w.commit("empty", map[string]string{"envs/here/web/web.yaml": "", "envs/here/web/namespace.yaml": ""})
		r, err := w.agent().Once(t.Context())
		if err == nil || !strings.Contains(r.Problem, "envs/here") {
			t.Errorf("problem %q, error %v", r.Problem, err)
		}
		if p.get(w.apps("deployments", "web")) == nil {
			t.Error("web was deleted")
		}
	})
}

func TestOnceTouchesNothingThatIsNotProvenOurs(t *testing.T) {
	w := newWorld(t)
	w.commit("first", shop())
	w.once()
	p := w.person()
	// Somebody makes another object of the same name.
	p.must("DELETE", w.core("configmaps", "settings"), plainJSON, "")
	p.must("POST", w.core("configmaps", ""), plainJSON, `{"metadata":{"name":"settings"},"data":{"mine":"yes"}}`)
	w.commit("drop", map[string]string{"envs/here/api/config.yaml": ""})
	w.once()
	if got := at(p.get(w.core("configmaps", "settings")), "data|mine"); got != "yes" {
		t.Errorf("somebody else's object: mine = %v", got)
	}
	a := w.agent()
	if err := a.loadInventory(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id := range a.objects {
		if id.Name == "settings" {
			t.Error("it is still in the inventory")
		}
	}
}

func TestABrokenObjectStopsNoOther(t *testing.T) {
	w := newWorld(t)
	files := shop()
	files["envs/here/api/broken.yaml"] = strings.Replace(deploymentYAML("broken", "x:1", 1), "replicas: 1", "replicas: many", 1)
	files["envs/here/api/unknown.yaml"] = "apiVersion: nowhere.example/v1\nkind: Nothing\nmetadata: {name: x, namespace: ENV}\n"
	files["envs/here/api/homeless.yaml"] = strings.ReplaceAll(configMapYAML("homeless", "x"), "ENV", "no-such-namespace")
	files["envs/here/api/secret.yaml"] = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ENV}\ntype: kubernetes.io/tls\nstringData: {tls.crt: hunter2-certificate}\n"
	w.commit("first", files)
	r := w.once()
	if r.Apps[1].Phase != state.Healthy {
		t.Errorf("web: %+v", r.Apps[1])
	}
	if r.Apps[0].Phase != state.Degraded || len(r.Apps[0].Failing) != 4 {
		t.Fatalf("api: %+v", r.Apps[0])
	}
	for i, want := range []string{"no-such-namespace", "left out because it may repeat secret data", "replicas", "install its CustomResourceDefinition"} {
		if got := r.Apps[0].Failing[i]; !strings.Contains(got.Reason, want) && !strings.Contains(got.Object, want) {
			t.Errorf("failing[%d] = %+v, want %q", i, got, want)
		}
		if strings.Contains(r.Apps[0].Failing[i].Reason, "hunter2") {
			t.Errorf("failing[%d] says a secret", i)
		}
		if strings.Contains(r.Apps[0].Failing[i].Reason, "\n") {
			t.Errorf("failing[%d] has several lines", i)
		}
	}
	p := w.person()
	if p.get(w.core("configmaps", "settings")) == nil || p.get(w.apps("deployments", "api")) == nil {
		t.Error("the good objects of the app are not there")
	}
}

func TestADefinitionAndItsObjectsComeInOneCommit(t *testing.T) {
	w := newWorld(t)
	group := w.env + ".example"
	files := shop()
	files["envs/here/api/crd.yaml"] = strings.ReplaceAll(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {draught: {type: integer}}}}}}
`, "GROUP", group)
	files["envs/here/web/boat.yaml"] = "apiVersion: " + group + "/v1\nkind: Boat\nmetadata: {name: ida, namespace: ENV}\nspec: {draught: 2}\n"
	w.commit("first", files)
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	p := w.person()
	boat := "/apis/" + group + "/v1/namespaces/" + w.env + "/boats/ida"
	if got := at(p.get(boat), "spec|draught"); got != 2.0 {
		t.Errorf("draught = %v", got)
	}
	w.commit("drop", map[string]string{"envs/here/web/boat.yaml": ""})
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	if p.get(boat) != nil {
		t.Error("the boat was not deleted")
	}
}

func TestImmutableObjectsAreMadeAnew(t *testing.T) {
	w := newWorld(t)
	files := shop()
	immutable := func(v string) string { return configMapYAML("fixed", v) + "immutable: true\n" }
	job := func(image string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: ENV}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: main, image: " + image + "}]\n"
	}
	files["envs/here/api/fixed.yaml"] = immutable("one")
	files["envs/here/api/job.yaml"] = job("registry.example/shop/migrate:1")
	w.commit("first", files)
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	selector := strings.Replace(deploymentYAML("web", "registry.example/shop/web:1.0.0", 1), "app: web", "app: web2", 2)
	w.commit("second", map[string]string{
		"envs/here/api/fixed.yaml": immutable("two"),
		"envs/here/api/job.yaml":   job("registry.example/shop/migrate:2"),
		"envs/here/web/web.yaml":   selector,
	})
	r := w.once()
	p := w.person()
	if got := at(p.get(w.core("configmaps", "fixed")), "data|key"); got != "two" {
		t.Errorf("key = %v", got)
	}
	jobs := p.get("/apis/batch/v1/namespaces/" + w.env + "/jobs/migrate")
	if got := at(jobs, "spec|template|spec|containers|0|image"); got != "registry.example/shop/migrate:2" {
		t.Errorf("job's image = %v", got)
	}
	if r.Apps[0].Phase != state.Healthy {
		t.Errorf("api: %+v", r.Apps[0])
	}
	if r.Apps[1].Phase != state.Degraded || !strings.Contains(r.Apps[1].Failing[0].Reason, AnnotationRecreate) {
		t.Errorf("web: %+v", r.Apps[1])
	}
}

func TestObjectsOfOthersAreTakenOverOrLeft(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.must("POST", "/api/v1/namespaces", plainJSON, `{"metadata":{"name":"`+w.env+`"}}`)
	p.must("POST", w.core("configmaps", "")+"?fieldManager=kubectl-client-side-apply", plainJSON, `{"metadata":{"name":"settings"},"data":{"key":"old","more":"old"}}`)
	p.must("POST", w.core("configmaps", "")+"?fieldManager=an-operator", plainJSON, `{"metadata":{"name":"theirs"},"data":{"key":"old"}}`)
	files := shop()
	files["envs/here/web/theirs.yaml"] = configMapYAML("theirs", "new")
	w.commit("first", files)
	r := w.once()
	if r.Apps[0].Phase != state.Healthy {
		t.Errorf("api: %+v", r.Apps[0])
	}
	settings := p.get(w.core("configmaps", "settings"))
	if at(settings, "data|key") != "one" || at(settings, "data|more") != nil {
		t.Errorf("settings: %v", settings["data"])
	}
	if r.Apps[1].Phase != state.Degraded || !strings.Contains(r.Apps[1].Failing[0].Reason, "an-operator owns .data.key") {
		t.Errorf("web: %+v", r.Apps[1])
	}
	if got := at(p.get(w.core("configmaps", "theirs")), "data|key"); got != "old" {
		t.Errorf("theirs: key = %v", got)
	}
	w.commit("force", map[string]string{"envs/here/web/theirs.yaml": strings.Replace(configMapYAML("theirs", "new"), "namespace: ENV", `namespace: ENV, annotations: {towpath.dev/force: "true"}`, 1)})
	if r := w.once(); !healthy(r) {
		t.Errorf("report: %+v", r)
	}
}

func TestACrashBetweenIntentAndWriteLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.commit("first", shop())
	ctx, cancel := context.WithCancel(t.Context())
	writes := 0
	a := w.agent(func(c *Config) { c.Concurrency = 1 })
	w.hook = func(e Event) {
		if e.Type == EventApplying {
			if writes++; writes == 3 {
				cancel() // in the middle, before the third object
			}
		}
	}
	if _, err := a.Once(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("once = %v", err)
	}
	w.hook = nil

	// What was written and what was only intended is known, so both can go.
	p := w.person()
	next := w.agent()
	if err := next.loadInventory(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(next.objects) != 4 {
		t.Errorf("the inventory knows %d objects", len(next.objects))
	}
	w.commit("drop", map[string]string{"envs/here/api/config.yaml": "", "envs/here/api/api.yaml": ""})
	if r := w.once(); !healthy(r) || len(r.Apps) != 1 {
		t.Errorf("report: %+v", r)
	}
	for _, path := range []string{w.core("configmaps", "settings"), w.apps("deployments", "api")} {
		if o := p.get(path); o != nil && at(o, "metadata|deletionTimestamp") == nil {
			t.Errorf("%s was left behind", path)
		}
	}
}

func TestTheBranchIsNotFollowedBack(t *testing.T) {
	w := newWorld(t)
	first := w.commit("first", shop())
	second := w.commit("second", map[string]string{"envs/here/api/config.yaml": configMapYAML("settings", "two")})
	w.once()
	if err := w.writer.Push(t.Context(), gitrepo.Update{Ref: "refs/heads/main", Old: second, New: first}); err != nil {
		t.Fatal(err)
	}
	r, err := w.agent().Once(t.Context())
	if err == nil || !strings.Contains(r.Problem, "does not descend from") {
		t.Errorf("problem %q, error %v", r.Problem, err)
	}
	p := w.person()
	if got := at(p.get(w.core("configmaps", "settings")), "data|key"); got != "two" {
		t.Errorf("key = %v", got)
	}
	w.once(func(c *Config) { c.AllowRewind = true })
	if got := at(p.get(w.core("configmaps", "settings")), "data|key"); got != "one" {
		t.Errorf("with leave, key = %v", got)
	}
}

func TestWhatKeepsAPassIsOneClearLine(t *testing.T) {
	w := newWorld(t)
	w.commit("first", shop())
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a missing branch", func(c *Config) { c.Branch = "release" }, "release"},
		{"a missing directory", func(c *Config) {
			c.Locate = func(gitrepo.Snapshot) (Place, error) { return Place{Path: "envs/gone"}, nil }
		}, "envs/gone"},
		{"a pipeline without the environment", func(c *Config) {
			c.Locate = func(gitrepo.Snapshot) (Place, error) { return Place{}, errors.New("no pipeline names it") }
		}, "no pipeline names it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := w.agent(test.change).Once(t.Context())
			if err == nil || r.Problem != err.Error() || !strings.Contains(r.Problem, test.want) || strings.Contains(r.Problem, "\n") {
				t.Errorf("problem %q, error %v", r.Problem, err)
			}
		})
	}
}
