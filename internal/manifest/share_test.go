package manifest

import (
	"strings"
	"testing"
)

func TestAnObjectOfTwoAppsIsAProblemOfBoth(t *testing.T) {
	other := func(name string) string { return strings.Replace(configMap, "name: a", "name: "+name, 1) }
	for _, c := range []struct {
		name  string
		files []string
		want  map[string]string
	}{
		{"of two plain apps", []string{"env/a/x.yaml", configMap + "---\n" + other("own"), "env/web/x.yaml", configMap, "env/z/x.yaml", other("z")}, map[string]string{
			"a":   "env/a/x.yaml: ConfigMap a is in app web (env/web), too; keep it in one of them",
			"web": "env/web/x.yaml: ConfigMap a is in app a (env/a), too; keep it in one of them",
			"z":   "",
		}},
		{"of plain YAML and kustomize", []string{"env/a/x.yaml", configMap, "env/web/kustomization.yaml", "resources: [x.yaml]\n", "env/web/x.yaml", configMap}, map[string]string{
			"a":   "env/a/x.yaml: ConfigMap a is in app web (env/web), too; keep it in one of them",
			"web": "env/web: ConfigMap a is in app a (env/a), too; keep it in one of them",
		}},
		{"of three", []string{"env/a/x.yaml", configMap, "env/b/x.yaml", configMap, "env/c/x.yaml", configMap}, map[string]string{
			"a": "env/a/x.yaml: ConfigMap a is in app b (env/b) and in app c (env/c), too; keep it in one of them",
			"b": "env/b/x.yaml: ConfigMap a is in app a (env/a) and in app c (env/c), too; keep it in one of them",
			"c": "env/c/x.yaml: ConfigMap a is in app a (env/a) and in app b (env/b), too; keep it in one of them",
		}},
		{"in a chain", []string{"env/a/x.yaml", configMap, "env/b/x.yaml", configMap + "---\n" + other("b"), "env/c/x.yaml", other("b")}, map[string]string{
			"a": "env/a/x.yaml: ConfigMap a is in app b (env/b), too; keep it in one of them",
			"b": "env/b/x.yaml: ConfigMap a is in app a (env/a), too; keep it in one of them",
			"c": "env/c/x.yaml: ConfigMap b is in app b (env/b), too; keep it in one of them",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			apps, err := NewRenderer(Limits{}).Render(repository(c.files...), "env")
			if err != nil || len(apps) != len(c.want) {
				t.Fatal(apps, err)
			}
			for _, a := range apps {
				got := ""
				if a.Problem != nil {
					got = a.Problem.Error()
				}
				if got != c.want[a.Name] || (got == "") != (len(a.Objects) > 0) {
					t.Errorf("app %s: got %q and %d objects, want %q", a.Name, got, len(a.Objects), c.want[a.Name])
				}
			}
		})
	}
}
