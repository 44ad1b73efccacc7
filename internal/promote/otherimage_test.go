package promote

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestLintWarnsOfAValueOfAnotherImageInEveryForm(t *testing.T) {
	const policies = `apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: web}
spec: {image: ghcr.io/example/web, select: {semver: {range: "1.x"}}}
---
apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: shop}
spec:
  branch: main
  environments: [{name: dev, path: envs/dev, update: {policies: ["*"]}, merge: push}]
`
	for _, c := range []struct {
		name, values string
		warned       bool
	}{
		{"a whole reference", "image: ghcr.io/example/api:1.0.0 # towpath: web\n", true},
		{"an argument", "args: [a, \n  --image=ghcr.io/example/api:1.0.0 # towpath: web\n]\n", true},
		{"a name", "repository: ghcr.io/example/api # towpath: web:name\ntag: 1.0.0 # towpath: web:tag\n", true},
		{"halves of a name", "registry: ghcr.io # towpath: web:registry\nrepository: example/api # towpath: web:repository\ntag: 1.0.0 # towpath: web:tag\n", true},
		{"halves of the policy's name", "registry: ghcr.io # towpath: web:registry\nrepository: example/web # towpath: web:repository\ntag: 1.0.0 # towpath: web:tag\n", false},
		{"half a name whose registry is elsewhere", "repository: example/api # towpath: web:repository\ntag: 1.0.0 # towpath: web:tag\n", false},
		{"the policy's image as an argument", "args: [--image=ghcr.io/example/web:1.0.0] # towpath: web\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			problems, err := Lint(fstest.MapFS{
				"policies/all.yaml":        {Data: []byte(policies)},
				"envs/dev/web/values.yaml": {Data: []byte("apiVersion: example.org/v1\nkind: Chart\nmetadata: {name: web, namespace: web}\n" + c.values)},
			})
			if err != nil {
				t.Fatal(err)
			}
			warned := false
			for _, p := range problems {
				if p.Object == "marker" && strings.Contains(p.Reason, "ghcr.io/example/api") {
					warned = true
				}
			}
			if warned != c.warned {
				t.Errorf("warned %v; all that is said: %v", warned, problems)
			}
		})
	}
}
