package manifest

import (
	"strings"
	"testing"
)

// secretYAML is a Secret that patches below are for.
const secretYAML = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: x}\n"

func TestInlinePatchesOfSecretsAreInNoError(t *testing.T) {
	const kept = "patches:\n- target: {kind: Secret, name: s}\n  patch: "
	for _, c := range []struct{ name, kustomization, want string }{
		{"a list that is not closed", `patches: [{patch: '[{"op":"replace","path":"/stringData/p","value":"CANARY1"}'}]`, "env/web/kustomization.yaml: patches[0].patch"},
		{"a quote that is not closed", kept + "|\n    - op: replace\n      path: /stringData/p\n      value: \"CANARY2\n", "patches[0].patch"},
		{"a wrong indentation", kept + "|\n    - op: replace\n       path: /stringData/p\n      value: CANARY3\n", "patches[0].patch"},
		{"a tab", kept + "|\n    - op: replace\n    \tvalue: CANARY3\n", "patches[0].patch"},
		{"a strategic patch that is not closed", `patchesStrategicMerge: ['{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"CANARY4"}']`, "patchesStrategicMerge[0]"},
		{"a strategic patch that looks like a URL", `patchesStrategicMerge: [' {"kind":"Secret","stringData":{"p":"a://CANARY4"}']`, "patchesStrategicMerge: an entry is no path"},
		{"an old JSON patch that is not closed", `patchesJson6902: [{target: {version: v1, kind: Secret, name: s}, patch: '[{"op":"replace","value":"CANARY5"}'}]`, "patchesJson6902[0].patch"},
		{"a patch on one line that is refused", `patches: [{patch: '{apiVersion: v1, kind: Secret, metadata: {name: other}, stringData: {p: CANARYpatch}}'}]`, ""},
		{"a patch on one line without a name", `patches: [{patch: '{apiVersion: v1, kind: Secret, stringData: {p: CANARYpatch}}'}]`, ""},
		{"a patch with a field that Secrets do not have", `patches: [{patch: '{apiVersion: v1, kind: Secret, stringdata: {p: CANARYpatch}}'}]`, ""},
		{"a patch with an escaped value", `patches: [{patch: '{"kind":"Secret","stringData":{"p":"CAN\u0041RYpatch CANARYmore"}}'}]`, ""},
		{"a patch that is a text", "patches: [{target: {kind: Secret}, patch: CANARYpatch}]", "patches[0].patch"},
		{"an operation that does not exist", `patches: [{target: {kind: Secret}, patch: '[{"op":"CANARYpatch","path":"/a","value":"CANARY"}]'}]`, ""},
		{"a patch that is a list of texts", `patches: [{target: {kind: Secret}, patch: '[CANARYpatch, CANARYmore]'}]`, ""},
		{"a literal that is a number", "secretGenerator: [{name: s, literals: [12345678CANARY]}]", ""},
		{"a ConfigMap's literal beside a Secret", "configMapGenerator: [{name: s, literals: [CANARYliteral]}]", ""},
		{"a kustomization that is not closed", kept + "'[{\"value\": \"CANARY6\"", "env/web/kustomization.yaml"},
		{"an anchor in the kustomization", "patches: [{patch: *CANARYalias}]", "env/web/kustomization.yaml"},
		{"an anchor in the patch", kept + "'{a: *CANARYalias}'", "patches[0].patch"},
		{"an unknown field beside the patch", "patches: [{patch: '{kind: Secret, stringData: {p: CANARY7}}', CANARY: 1, path: {a: CANARY7}}]", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problem(t, repository("env/web/kustomization.yaml", "resources: [s.yaml]\n"+c.kustomization+"\n", "env/web/s.yaml", secretYAML))
			if got == "" || strings.Contains(got, "CANARY") && c.name != "an unknown field beside the patch" || strings.Contains(got, "CANARY7") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it and no value", got, c.want)
			}
			t.Log(got)
		})
	}
}

func TestFilesOfSecretsAreInNoError(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"a patch file that is no YAML", []string{"env/web/kustomization.yaml", "resources: [s.yaml]\npatches: [{path: p.json, target: {kind: Secret}}]\n", "env/web/p.json", `[{"op":"replace","value":"CANARY"}`}, "env/web/p.json is not valid YAML"},
		{"an anchor of a neighbour", []string{"env/web/x.yaml", "# one\na: *CANARYalias\n"}, "env/web/x.yaml:2: document 1: yaml: unknown anchor referenced"},
		{"an anchor that holds itself", []string{"env/web/x.yaml", "a: &CANARYalias [*CANARYalias]\n"}, "env/web/x.yaml:1: document 1: yaml: anchor value contains itself"},
		{"an anchor of a resource", []string{"env/web/kustomization.yaml", "resources: [x.yaml]\n", "env/web/x.yaml", "a: *CANARYalias\n"}, "unknown anchor referenced in File: x.yaml"},
		{"what kubectl keeps", []string{"env/web/kustomization.yaml", "resources: [s.yaml, x.yaml]\n", "env/web/x.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {nome: s, annotations: {last: '{\"data\":{\"p\":\"CANARY\"}}'}}\n"}, "missing metadata.name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problem(t, repository(append(c.files, "env/web/s.yaml", secretYAML)...))
			if got == "" || strings.Contains(got, "CANARY") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it and no value", got, c.want)
			}
			t.Log(got)
		})
	}
}

func TestErrorsThatQuoteNothingStayWhole(t *testing.T) {
	for _, c := range []struct{ name, kustomization, want string }{
		{"a patch for nothing", `patches: [{patch: '{apiVersion: v1, kind: Secret, metadata: {name: some-other-secret}, stringData: {p: hunter2}}'}]`, "some-other-secret"},
		{"a path that is not there", `patches: [{target: {kind: Secret}, patch: '[{"op":"replace","path":"/stringData/no/where","value":"hunter2"}]'}]`, "/stringData/no/where"},
		{"a file that is not there", "patchesStrategicMerge: [no-such-patch.yaml]", "no-such-patch.yaml"},
		{"a bracket too few", `patches: [{patch: '[{"op":"remove"}'}]`, `line 1 is not valid YAML (did not find expected ',' or ']')`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problem(t, repository("env/web/kustomization.yaml", "resources: [s.yaml]\n"+c.kustomization+"\n", "env/web/s.yaml", secretYAML))
			if !strings.Contains(got, c.want) || strings.Contains(got, "hunter2") {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}
