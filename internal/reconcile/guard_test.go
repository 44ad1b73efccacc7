package reconcile

import (
	"strings"
	"testing"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

func TestAnImmutableObjectStaysWhenTheNewOneWouldBeRefused(t *testing.T) {
	w := newWorld(t)
	files := shop()
	immutable := func(v string) string { return configMapYAML("fixed", v) + "immutable: true\n" }
	job := func(more string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: ENV}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: main, image: a" + more + "}]\n"
	}
	files["envs/here/api/fixed.yaml"], files["envs/here/api/job.yaml"] = immutable("one"), job("")
	w.commit("first", files)
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	p := w.person()
	jobPath := "/apis/batch/v1/namespaces/" + w.env + "/jobs/migrate"
	uids := func() [2]any {
		return [2]any{at(p.get(w.core("configmaps", "fixed")), "metadata|uid"), at(p.get(jobPath), "metadata|uid")}
	}
	before := uids()
	refused := func(what, want string) {
		t.Helper()
		r := w.once()
		if got := uids(); got != before {
			t.Errorf("%s: the objects were deleted: %v became %v", what, before, got)
		}
		if r.Apps[0].Phase != state.Degraded || len(r.Apps[0].Failing) == 0 || !strings.Contains(r.Apps[0].Failing[0].Reason, want) {
			t.Errorf("%s: report: %+v", what, r.Apps[0])
		}
	}
	w.commit("bad key and bad resources", map[string]string{
		"envs/here/api/fixed.yaml": strings.Replace(immutable("one"), "data: {", `data: {"not a key": x, `, 1),
		"envs/here/api/job.yaml":   job(", resources: {requests: {cpu: 2}, limits: {cpu: 1}}"),
	})
	refused("invalid", "not a key")

	// Nothing in the update says so, but a policy refuses all new ones.
	name := w.env + "-no-new"
	p.must("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", plainJSON, strings.ReplaceAll(`{"metadata":{"name":"NAME"},"spec":{
		"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["configmaps"]}],
		"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"`+w.env+`"}}},
		"validations":[{"expression":"false","message":"no new ones today"}]}}`, "NAME", name))
	p.must("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", plainJSON, strings.ReplaceAll(
		`{"metadata":{"name":"NAME"},"spec":{"policyName":"NAME","validationActions":["Deny"]}}`, "NAME", name))
	w.eventually(func() string {
		if code, _ := p.do("POST", w.core("configmaps", "")+"?dryRun=All", plainJSON, `{"metadata":{"name":"probe"}}`); code/100 == 2 {
			return "the policy is not in force"
		}
		return ""
	})
	w.commit("valid", map[string]string{"envs/here/api/fixed.yaml": immutable("two"), "envs/here/api/job.yaml": job("")})
	refused("denied", "no new ones today")
}

func TestWhatAGoneAppLeavesBehindIsReported(t *testing.T) {
	w := newWorld(t)
	files := shop()
	files["envs/here/store/claim.yaml"] = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: ENV}\nspec:\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n"
	w.commit("first", files)
	w.once(func(c *Config) { c.Wait = -1 })
	w.commit("drop", map[string]string{"envs/here/store/claim.yaml": ""})
	r := w.once()
	if len(r.Apps) != 3 || r.Apps[1].App != "store" {
		t.Fatalf("report: %+v", r)
	}
	if f := r.Apps[1].Failing; r.Apps[1].Phase != state.Degraded || len(f) != 1 || !strings.Contains(f[0].Object, w.env+"/data") || !strings.Contains(f[0].Reason, "towpath.dev/prune: confirm") {
		t.Errorf("store: %+v", r.Apps[1])
	}
	p := w.person()
	p.must("DELETE", w.core("persistentvolumeclaims", "data"), plainJSON, "")
	p.do("PATCH", w.core("persistentvolumeclaims", "data"), mergePatch, `{"metadata":{"finalizers":null}}`)
	w.eventually(func() string {
		if p.get(w.core("persistentvolumeclaims", "data")) != nil {
			return "it is still there"
		}
		return ""
	})
	a := w.agent()
	w.run(a)
	w.awaitReport("no word of it when it is gone", func(r state.Report) bool { return len(r.Apps) == 2 && healthy(r) })
}

func TestAPruneThatFailsIsReportedAndTriedAgainAlone(t *testing.T) {
	files := shop()
	files["envs/here/api/secret.yaml"] = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: ENV}\nstringData: {p: q}\n"
	w, a, _ := started(t, files)
	p := w.person()
	name := w.env + "-no-delete"
	p.must("POST", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", plainJSON, strings.ReplaceAll(`{"metadata":{"name":"NAME"},"spec":{
		"matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["DELETE"],"resources":["configmaps"]}],
		"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"`+w.env+`"}}},
		"validations":[{"expression":"false","message":"not on my watch"}]}}`, "NAME", name))
	binding := "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
	p.must("POST", binding, plainJSON, strings.ReplaceAll(`{"metadata":{"name":"NAME"},"spec":{"policyName":"NAME","validationActions":["Deny"]}}`, "NAME", name))
	w.eventually(func() string {
		if code, _ := p.do("DELETE", w.core("configmaps", "settings")+"?dryRun=All", plainJSON, ""); code/100 == 2 {
			return "the policy is not in force"
		}
		return ""
	})
	w.commit("drop, and something unknown", map[string]string{
		"envs/here/api/config.yaml":  "",
		"envs/here/web/unknown.yaml": "apiVersion: nowhere.example/v1\nkind: Nothing\nmetadata: {name: x, namespace: ENV}\n",
	})
	a.Poke()
	w.awaitReport("why it is not deleted", func(r state.Report) bool {
		return len(r.Apps) == 2 && r.Apps[0].Phase == state.Degraded && len(r.Apps[0].Failing) == 1 && strings.Contains(r.Apps[0].Failing[0].Reason, "not on my watch")
	})
	// Passes that change nothing only ask again for the unknown kind.
	for range 4 {
		mark, wire := w.mark(), w.wire.mark()
		a.Poke()
		w.eventually(func() string {
			if len(w.seen(mark, EventPass)) == 0 {
				return "no pass"
			}
			return ""
		})
		for _, method := range []string{"PATCH", "POST"} {
			if got := w.wire.requests(wire, method); len(got) > 0 {
				t.Errorf("wrote %v", got)
			}
		}
		for _, r := range w.wire.requests(wire, "") {
			if !strings.Contains(r, "/configmaps/settings") && !strings.Contains(r, "/apis/nowhere.example/v1?") {
				t.Errorf("asked %s", r)
			}
		}
	}
	w.wire.mu.Lock()
	deletions := 0
	for _, r := range w.wire.log {
		if strings.HasPrefix(r, "DELETE") {
			deletions++
		}
	}
	w.wire.mu.Unlock()
	a.mu.Lock()
	failures := a.objects[manifest.ID{Kind: "ConfigMap", Namespace: w.env, Name: "settings"}].pruneFailures
	a.mu.Unlock()
	if deletions > failures+1 || failures == 0 {
		t.Errorf("%d deletions after %d planned attempts", deletions, failures)
	}
	p.must("DELETE", binding+"/"+name, plainJSON, "")
	w.commit("known again", map[string]string{"envs/here/web/unknown.yaml": ""})
	a.Poke()
	w.awaitReport("healthy", healthy)
	w.eventually(func() string {
		if p.get(w.core("configmaps", "settings")) != nil {
			return "it was not deleted"
		}
		return ""
	})
}

func TestFieldsOfALostInstallationAreTakenOver(t *testing.T) {
	w := newWorld(t)
	two := func(keys string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, namespace: ENV}\ndata: {" + keys + "}\n"
	}
	files := shop()
	files["envs/here/api/two.yaml"] = two("a: x, b: x")
	w.commit("first", files)
	w.once()
	p := w.person()
	p.must("DELETE", "/api/v1/namespaces/towpath-"+w.env+"/configmaps/towpath-inventory-"+w.env+"-0", plainJSON, "")
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	w.commit("drop b", map[string]string{"envs/here/api/two.yaml": two("a: x")})
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	two1 := p.get(w.core("configmaps", "two"))
	if at(two1, "data|b") != nil {
		t.Errorf("data: %v", two1["data"])
	}

	// A second agent at work beside us, which has gone since.
	p.must("PATCH", w.core("configmaps", "two")+"?fieldManager=towpath-other", applyPatch,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"two","labels":{"`+LabelEnv+`":"`+w.env+`"}},"data":{"a":"x"}}`)
	w.commit("drop a", map[string]string{"envs/here/api/two.yaml": two("c: x")})
	if r := w.once(); !healthy(r) {
		t.Fatalf("report: %+v", r)
	}
	if two2 := p.get(w.core("configmaps", "two")); at(two2, "data|a") != nil || at(two2, "data|c") != "x" {
		t.Errorf("data: %v", two2["data"])
	}
}

func TestWhatComesBackWhileItIsBeingDeletedIsNotHealthy(t *testing.T) {
	files := shop()
	w, a, _ := started(t, files)
	p := w.person()
	settings := w.core("configmaps", "settings")
	p.must("PATCH", settings+"?fieldManager=ops", mergePatch, `{"metadata":{"finalizers":["example.org/hold"]}}`)
	w.commit("drop", map[string]string{"envs/here/api/config.yaml": ""})
	a.Poke()
	w.eventually(func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		if o := a.objects[manifest.ID{Kind: "ConfigMap", Namespace: w.env, Name: "settings"}]; o == nil || !o.live.Deleting {
			return "its deletion is not seen"
		}
		return ""
	})
	commit := w.commit("back", map[string]string{"envs/here/api/config.yaml": configMapYAML("settings", "one")})
	a.Poke()
	r := w.awaitReport("the newest commit", func(r state.Report) bool { return r.Commit == commit && len(r.Apps) == 2 })
	if r.Apps[0].Phase == state.Healthy || !strings.Contains(r.Apps[0].Failing[0].Reason, "being deleted") {
		t.Errorf("report: %+v", r.Apps[0])
	}
	if r := w.once(func(c *Config) { c.Wait = -1 }); healthy(r) {
		t.Errorf("once: %+v", r)
	}
	p.must("PATCH", settings+"?fieldManager=ops", mergePatch, `{"metadata":{"finalizers":null}}`)
	w.awaitHealthy(commit)
	if o := p.get(settings); o == nil || at(o, "metadata|deletionTimestamp") != nil {
		t.Error("it is not back")
	}
}
