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
