package manifest

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the tests got into their golden files")

// repository makes a file system of pairs of path and content.
func repository(files ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i+1 < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1]), Mode: 0o644}
	}
	return m
}

func show(apps []App, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	for _, a := range apps {
		fmt.Fprintf(&b, "app %s in %s\n", a.Name, a.Dir)
		if a.Problem != nil {
			fmt.Fprintf(&b, "  problem: %v\n", a.Problem)
		}
		for _, o := range a.Objects {
			raw, err := json.Marshal(o.Map())
			if err != nil {
				raw = []byte(err.Error())
			}
			fmt.Fprintf(&b, "  %s (%s, wave %d, from %s)\n    %s\n", o.ID(), o.APIVersion(), o.Wave(), o.Source(), raw)
		}
		fmt.Fprintf(&b, "  reached %s\n", strings.Join(a.Reached, " "))
	}
	return b.String()
}

func TestRenderGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			fsys := fstest.MapFS{}
			want := ""
			kept := a.Files[:0]
			for _, f := range a.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				kept = append(kept, f)
				fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
			}
			dir := strings.TrimSpace(string(a.Comment))
			r := NewRenderer(Limits{})
			got := show(r.Render(fsys, dir))
			if again := show(r.Render(fsys, dir)); again != got {
				t.Errorf("a second time is different:\n%s\n%s", got, again)
			}
			if *update {
				kept = append(kept, txtar.File{Name: "want", Data: []byte(got)})
				a.Files = kept
				if err := os.WriteFile(name, txtar.Format(a), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

// problem renders one plain app of one file and returns its problem.
func problem(t *testing.T, fsys fs.FS) string {
	t.Helper()
	apps, err := NewRenderer(Limits{}).Render(fsys, "env")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		if a.Problem != nil {
			if a.Objects != nil {
				t.Errorf("app %s has a problem and objects", a.Name)
			}
			return a.Problem.Error()
		}
	}
	return ""
}

func TestPlainFilesThatAreNoManifestsAreNamed(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a list", "- a\n- b\n", "env/web/x.yaml: document 1: not a Kubernetes manifest"},
		{"a mapping without a kind", configMap + "---\na: 1\n", "env/web/x.yaml: document 2: no apiVersion or no kind"},
		{"no name", "apiVersion: v1\nkind: ConfigMap\n", "env/web/x.yaml: document 1: ConfigMap has no metadata.name"},
		{"a generated name", "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", "generateName"},
		{"a name that is a number", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 1}\n", "metadata.name is not a text"},
		{"broken YAML", configMap + "---\n# one\na: [\n", "env/web/x.yaml:6: document 2: "},
		{"a key twice", "apiVersion: v1\nkind: ConfigMap\nkind: ConfigMap\n", `env/web/x.yaml:3: document 1: key "kind" already set`},
		{"a wave that is no number", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {towpath.dev/wave: first}}\n", "towpath.dev/wave is no whole number"},
		{"an object twice", configMap + "---\n" + configMap, "env/web/x.yaml: document 2: ConfigMap a is in env/web/x.yaml: document 1 too"},
		{"a bad item of a list", "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}]\n", "item 1: Pod has no metadata.name"},
		{"a kustomization below", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nmetadata: {name: x}\n", "a Kustomization below the app's folder"},
		{"JSON after JSON", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}` + "\n" + `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}` + "\n", "env/web/x.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := problem(t, repository("env/web/x.yaml", c.text)); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestNumbersAreThoseOfUnstructured(t *testing.T) {
	fsys := repository(
		"env/plain/x.yaml", "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: {int: 3, big: 9007199254740993, float: 1.5, bool: yes, text: \"3\", none: null, octal: 0644, list: [1]}\n",
		"env/kust/kustomization.yaml", "resources: [x.yaml]\n",
		"env/kust/x.yaml", "apiVersion: v1\nkind: B\nmetadata: {name: a}\nspec: {int: 3, big: 9007199254740993, float: 1.5, text: \"3\", list: [1]}\n",
	)
	apps, err := NewRenderer(Limits{}).Render(fsys, "env")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		if a.Problem != nil {
			t.Fatal(a.Problem)
		}
		spec := a.Objects[0].Map()["spec"].(map[string]any)
		if spec["int"] != any(int64(3)) || spec["big"] != any(int64(9007199254740993)) || spec["float"] != any(1.5) || spec["text"] != any("3") || spec["list"].([]any)[0] != any(int64(1)) {
			t.Errorf("%s: %#v", a.Name, spec)
		}
	}
}

func TestKustomizeReachesNothingOutside(t *testing.T) {
	for _, c := range []struct{ name, kustomization, want string }{
		{"a URL", "resources: ['https://user:hunter2@example.com/x.yaml?token=hunter2']", `resources: "https://example.com/x.yaml" is remote`},
		{"a URL in capitals", "resources: ['HTTPS://example.com/x.yaml']", "is remote"},
		{"a Git repository", "resources: ['git@github.com:owner/repo.git']", "is remote"},
		{"GitHub in short", "resources: [github.com/owner/repo]", "is remote"},
		{"a Git repository by ssh", "bases: ['ssh://git@example.com/repo']", "is remote"},
		{"a Git repository by path", "resources: ['file:///etc']", "is remote"},
		{"a forced Git repository", "resources: ['git::x/y//z']", "is remote"},
		{"a remote component", "components: ['https://example.com/c']", "components: "},
		{"a remote CRD", "crds: ['https://example.com/c']", "crds: "},
		{"a remote configuration", "configurations: ['https://example.com/c']", "configurations: "},
		{"a remote schema", "openapi: {path: 'https://example.com/c'}", "openapi: "},
		{"a remote patch", "patches: [{path: 'https://example.com/p'}]", "patches: "},
		{"a remote old patch", "patchesStrategicMerge: ['https://example.com/p']", "patchesStrategicMerge: "},
		{"a remote JSON patch", "patchesJson6902: [{path: 'https://example.com/p'}]", "patchesJson6902: "},
		{"a remote replacement", "replacements: [{path: 'https://example.com/p'}]", "replacements: "},
		{"a remote file", "configMapGenerator: [{name: a, files: ['k=https://example.com/p']}]", "configMapGenerator: "},
		{"a remote env file", "secretGenerator: [{name: a, env: 'https://example.com/p'}]", "secretGenerator: "},
		{"a Helm chart", "helmCharts: [{name: x, repo: 'https://example.com'}]", "Helm is not run"},
		{"an old Helm chart", "helmChartInflationGenerator: [{chartName: x}]", "Helm is not run"},
		{"a generator", "generators: [g.yaml]", "plugins are not run"},
		{"a transformer", "transformers: [g.yaml]", "plugins are not run"},
		{"a validator", "validators: [g.yaml]", "plugins are not run"},
		{"an absolute path", "resources: [/etc/passwd]", "is absolute"},
		{"a path that leaves", "resources: [../../../etc]", "leaves the repository"},
		{"a path that leaves and comes back", "resources: [../../../env/other]", "leaves the repository"},
		{"a file of another folder", "resources: [../other/x.yaml]", "is not in or below"},
		{"a linked file", "resources: [link.yaml]", "env/web/link.yaml is a link"},
		{"a linked base", "resources: [../linked/base]", "env/linked is a link"},
		{"itself", "resources: [.]", "cycle"},
		{"its parent", "resources: [..]", "cycle"},
		{"nothing", "resources: [missing.yaml]", "missing.yaml"},
		{"a remote base of a base", "resources: [../../remote]", "remote/kustomization.yaml: resources: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := repository(
				"env/web/kustomization.yaml", c.kustomization+"\n",
				"env/other/x.yaml", configMap,
				"etc/kustomization.yaml", "resources: [x.yaml]\n",
				"etc/x.yaml", configMap,
				"etc/passwd", configMap,
				"base/kustomization.yaml", "resources: [x.yaml]\n",
				"base/x.yaml", configMap,
				"remote/kustomization.yaml", "resources: ['https://example.com/x.yaml']\n",
			)
			fsys["env/web/link.yaml"] = &fstest.MapFile{Data: []byte("../other/x.yaml"), Mode: fs.ModeSymlink | 0o777}
			fsys["env/linked"] = &fstest.MapFile{Data: []byte("../etc"), Mode: fs.ModeSymlink | 0o777}
			apps, err := NewRenderer(Limits{}).Render(fsys, "env")
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range apps {
				switch a.Name {
				case "other":
					if a.Problem != nil || len(a.Objects) != 1 {
						t.Errorf("another app suffers: %v", a.Problem)
					}
				case "web":
					if a.Problem == nil || !strings.Contains(a.Problem.Error(), c.want) || strings.Contains(a.Problem.Error(), "hunter2") {
						t.Errorf("got %v, want %q in it", a.Problem, c.want)
					}
				}
			}
		})
	}
}

func TestLinksInPlainAppsAreRefused(t *testing.T) {
	fsys := repository("env/web/x.yaml", configMap, "env/web/README.md", "x")
	fsys["env/web/note.md"] = &fstest.MapFile{Data: []byte("README.md"), Mode: fs.ModeSymlink | 0o777}
	if got := problem(t, fsys); got != "" {
		t.Errorf("a linked text is nobody's problem, got %q", got)
	}
	for _, name := range []string{"env/web/y.yaml", "env/web/more", "env/linked", "env/z.yaml"} {
		t.Run(name, func(t *testing.T) {
			fsys := repository("env/web/x.yaml", configMap, "etc/x.yaml", configMap)
			fsys[name] = &fstest.MapFile{Data: []byte("/etc"), Mode: fs.ModeSymlink | 0o777}
			if got := problem(t, fsys); !strings.HasPrefix(got, name+" is a link") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestLimitsStopAnApp(t *testing.T) {
	many := ""
	for i := range 11 {
		many += fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a%d}\n", i)
	}
	deep := "env/web" + strings.Repeat("/d", 6)
	bomb := repository("env/web/kustomization.yaml", "resources: [../../b0]\n")
	for i := range 30 {
		bomb[fmt.Sprintf("b%d/kustomization.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "namePrefix: a\nresources: [../b%d, ../c%d]\n", i+1, i+1)}
		bomb[fmt.Sprintf("c%d/kustomization.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "resources: [../b%d]\n", i+1)}
	}
	for _, c := range []struct {
		name   string
		limits Limits
		fsys   fs.FS
		want   string
	}{
		{"objects", Limits{Objects: 10}, repository("env/web/x.yaml", many), "env/web: more than 10 objects"},
		{"objects of kustomize", Limits{Objects: 10}, repository("env/web/x.yaml", many, "env/web/kustomization.yaml", "resources: [x.yaml]\n"), "env/web: more than 10 objects"},
		{"bytes", Limits{Bytes: 100}, repository("env/web/x.yaml", many), "env/web/x.yaml: more than 100 bytes"},
		{"bytes of kustomize", Limits{Bytes: 100}, repository("env/web/x.yaml", many, "env/web/kustomization.yaml", "resources: [x.yaml]\n"), "more than 100 bytes"},
		{"files", Limits{Files: 1}, repository("env/web/x.yaml", configMap, "env/web/y.yaml", configMap), "more than 1 files"},
		{"depth", Limits{Depth: 5}, repository(deep+"/x.yaml", configMap), "nested deeper than 5"},
		{"bases that double", Limits{Files: 500}, bomb, "more than 500 files"},
		{"bases below bases", Limits{Depth: 3}, bomb, "nested deeper than 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			apps, err := NewRenderer(c.limits).Render(c.fsys, "env")
			if err != nil {
				t.Fatal(err)
			}
			if p := apps[0].Problem; p == nil || !strings.Contains(p.Error(), c.want) {
				t.Errorf("got %v, want %q in it", p, c.want)
			}
		})
	}
}

func TestSecretDataIsInNoError(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2-long}\n"
	for _, c := range []struct {
		name string
		fsys fstest.MapFS
	}{
		{"an anchor that is not there", repository("env/web/x.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: *hunter2-long}\n")},
		{"a broken line", repository("env/web/x.yaml", secret+"  hunter2-long: [\n")},
		{"a literal without a key", repository("env/web/kustomization.yaml", "secretGenerator: [{name: s, literals: [hunter2-long]}]\n")},
		{"a short literal without a key", repository("env/web/kustomization.yaml", "secretGenerator: [{name: s, literals: [hun]}]\n")},
		{"an env file without keys", repository("env/web/kustomization.yaml", "secretGenerator: [{name: s, envs: [.env]}]\n", "env/web/.env", "hunter2 -long\nhunter2-long=\xff\n")},
		{"a wrong type in a generator", repository("env/web/kustomization.yaml", "secretGenerator: [{name: s, literals: {password: hunter2-long}}]\n")},
		{"a patch that fits nothing", repository("env/web/kustomization.yaml", "resources: [x.yaml]\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: other}\n    stringData: {password: hunter2-long}\n", "env/web/x.yaml", secret)},
		{"a JSON patch that fails", repository("env/web/kustomization.yaml", "resources: [x.yaml]\npatches:\n- target: {kind: Secret}\n  patch: |-\n    - {op: replace, path: /no/where, value: hunter2-long}\n", "env/web/x.yaml", secret)},
		{"a resource that is broken", repository("env/web/kustomization.yaml", "resources: [x.yaml]\n", "env/web/x.yaml", secret+"a: *hunter2-long\n")},
		{"an object twice", repository("env/web/kustomization.yaml", "resources: [x.yaml, y.yaml]\n", "env/web/x.yaml", secret, "env/web/y.yaml", secret)},
		{"a merge that fails", repository("env/web/kustomization.yaml", "resources: [x.yaml]\nsecretGenerator: [{name: s, behavior: create, literals: [password=hunter2-long]}]\n", "env/web/x.yaml", secret)},
		{"no name", repository("env/web/x.yaml", strings.Replace(secret, "name: s", "nome: s", 1))},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problem(t, c.fsys)
			if got == "" || strings.Contains(got, "hunter2") || strings.Contains(got, " hun,") {
				t.Errorf("got %q", got)
			}
			t.Log(got)
		})
	}
}

func TestOneAppsSchemaDoesNotReachTheNext(t *testing.T) {
	fsys := repository(
		"env/a/kustomization.yaml", "openapi: {path: schema.json}\nresources: [x.yaml]\n",
		"env/a/schema.json", `{"definitions":{}}`,
		"env/a/x.yaml", configMap,
		"env/b/kustomization.yaml", "resources: [d.yaml]\npatches: [{path: p.yaml}]\n",
		"env/b/d.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [{name: one, image: one:1}, {name: two, image: two:1}]}}}\n",
		"env/b/p.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [{name: one, image: one:2}]}}}\n",
	)
	apps, err := NewRenderer(Limits{}).Render(fsys, "env")
	if err != nil {
		t.Fatal(err)
	}
	if apps[0].Problem != nil || apps[1].Problem != nil {
		t.Fatal(apps[0].Problem, apps[1].Problem)
	}
	if got := fmt.Sprint(apps[1].Objects[0].Map()["spec"]); strings.Count(got, "image:") != 2 {
		t.Errorf("containers are replaced, not merged by name: %s", got)
	}
}

// panicking fails as a broken file system would.
type panicking struct{ fstest.MapFS }

func (p panicking) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "bad/x.yaml") {
		panic("the file system broke")
	}
	return p.MapFS.Open(name)
}

func TestAPanicIsOneAppsProblem(t *testing.T) {
	fsys := panicking{repository("env/bad/x.yaml", configMap, "env/good/x.yaml", configMap)}
	apps, err := NewRenderer(Limits{}).Render(fsys, "env")
	if err != nil {
		t.Fatal(err)
	}
	if apps[0].Problem == nil || !strings.Contains(apps[0].Problem.Error(), "rendering failed") || apps[1].Problem != nil || len(apps[1].Objects) != 1 {
		t.Errorf("got %v and %v", apps[0].Problem, apps[1].Problem)
	}
}

func TestTheErrorIsAboutTheDirectory(t *testing.T) {
	r := NewRenderer(Limits{})
	if _, err := r.Render(repository("env/x.yaml", configMap), "missing"); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "environment directory missing does not exist; ") || strings.Count(err.Error(), "missing") != 1 {
		t.Errorf("got %v", err)
	}
	if _, err := Apps(repository("env/x.yaml", configMap), "missing"); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "environment directory missing does not exist; ") {
		t.Errorf("got %v", err)
	}
	for _, dir := range []string{"/env", "../env", "", "env/"} {
		if _, err := r.Render(repository("env/x.yaml", configMap), dir); err == nil {
			t.Errorf("%q is taken", dir)
		}
	}
	if _, err := r.Render(repository("env/x.yaml", configMap, "env/root/x.yaml", configMap), "env"); err == nil || !strings.Contains(err.Error(), "would both be app root") {
		t.Errorf("got %v", err)
	}
}
