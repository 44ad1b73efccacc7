package reconcile

import (
	"strings"
	"testing"

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
