package manifest

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestApps(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  []AppDir
	}{
		{"each folder is an app", []string{"env/web/a.yaml", "env/web/sub/b.yml", "env/api/kustomization.yaml", "env/api/patch.yaml"},
			[]AppDir{{Name: "api", Dir: "env/api", Files: []string{"env/api/kustomization.yaml", "env/api/patch.yaml"}}, {Name: "web", Dir: "env/web", Files: []string{"env/web/a.yaml", "env/web/sub/b.yml"}}}},
		{"files in the environment are one app", []string{"env/b.yaml", "env/a.yaml"},
			[]AppDir{{Name: "root", Dir: "env", Files: []string{"env/a.yaml", "env/b.yaml"}}}},
		{"files beside folders", []string{"env/a.yaml", "env/web/b.yaml"},
			[]AppDir{{Name: "root", Dir: "env", Files: []string{"env/a.yaml"}}, {Name: "web", Dir: "env/web", Files: []string{"env/web/b.yaml"}}}},
		{"a kustomization is the only app", []string{"env/Kustomization", "env/web/b.yaml"},
			[]AppDir{{Name: "root", Dir: "env", Files: []string{"env/Kustomization", "env/web/b.yaml"}}}},
		{"folders without YAML and hidden ones are none", []string{"env/docs/README.md", "env/.github/x.yaml", "env/.x.yaml", "env/web/b.yaml"},
			[]AppDir{{Name: "web", Dir: "env/web", Files: []string{"env/web/b.yaml"}}}},
		{"an empty environment has none", []string{"env/README.md"}, []AppDir{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for _, f := range c.files {
				fsys[f] = &fstest.MapFile{Data: []byte("x")}
			}
			got, err := Apps(fsys, "env")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// One link must not hide the markers of all the files beside it.
func TestAppsNamesWhatIsNeitherFileNorFolder(t *testing.T) {
	fsys := fstest.MapFS{
		"env/web/a.yaml":       {Data: []byte("x")},
		"env/web/link.yaml":    {Data: []byte("../x.yaml"), Mode: fs.ModeSymlink | 0o777},
		"env/web/more/b.yaml":  {Data: []byte("x")},
		"env/web/more/folder":  {Data: []byte("/etc"), Mode: fs.ModeSymlink | 0o777},
		"env/web/more/note.md": {Data: []byte("../x.md"), Mode: fs.ModeSymlink | 0o777},
		"env/web/mod/.git":     {Data: []byte("gitdir: ../../.git/modules/mod")},
		"env/web/mod/c.yaml":   {Data: []byte("x")},
		"env/api/kust.yaml":    {Mode: fs.ModeNamedPipe | 0o666},
		"env/bound":            {Mode: fs.ModeIrregular},
		"env/checkedout/.git":  {Data: []byte("gitdir: x")},
		"env/checkedout/x.yml": {Data: []byte("x")},
	}
	got, err := Apps(fsys, "env")
	if err != nil {
		t.Fatal(err)
	}
	want := []AppDir{
		{Name: "api", Dir: "env/api", Odd: []string{"env/api/kust.yaml"}},
		{Name: "bound", Dir: "env/bound", Odd: []string{"env/bound"}},
		{Name: "checkedout", Dir: "env/checkedout", Odd: []string{"env/checkedout"}},
		{Name: "web", Dir: "env/web", Files: []string{"env/web/a.yaml", "env/web/more/b.yaml"}, Odd: []string{"env/web/link.yaml", "env/web/mod", "env/web/more/folder"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	apps, err := NewRenderer(Limits{}).Render(fsys, "env")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		if a.Problem == nil || !strings.Contains(a.Problem.Error(), " is a link or no regular file") {
			t.Errorf("%s is rendered: %v", a.Name, a.Problem)
		}
	}
}

func TestAppsSaysWhyItHasNotReadAll(t *testing.T) {
	deep := "env/web"
	for range DefaultDepth + 2 {
		deep += "/d"
	}
	got, err := Apps(fstest.MapFS{"env/web/a.yaml": {Data: []byte("x")}, deep + "/b.yaml": {Data: []byte("x")}}, "env")
	if err != nil || len(got) != 1 || len(got[0].Files) != 1 || !strings.Contains(got[0].Unread, "nested deeper than 32") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheWholeRepositoryCanBeAnEnvironment(t *testing.T) {
	apps, err := NewRenderer(Limits{}).Render(repository("a.yaml", configMap, "web/b.yaml", strings.Replace(configMap, "name: a", "name: b", 1)), ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(apps) != 2 || apps[0].Problem != nil || apps[1].Problem != nil {
		t.Errorf("got %+v", apps)
	}
}

func TestReachedNamesWhatDecidesAndNotMore(t *testing.T) {
	fsys := repository(
		"base/kustomization.yaml", "resources: [x.yaml]\n",
		"base/x.yaml", configMap,
		"env/web/kustomization.yaml", "resources: [../../base]\n",
		"env/api/x.yaml", strings.Replace(configMap, "name: a", "name: b", 1),
	)
	apps, err := NewRenderer(Limits{}).Render(fsys, "env")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"env/api", "env/api/x.yaml"},
		{"base", "base/Kustomization", "base/kustomization.yaml", "base/kustomization.yml", "base/x.yaml",
			"env/web", "env/web/Kustomization", "env/web/kustomization.yaml", "env/web/kustomization.yml"},
	}
	for i, a := range apps {
		if d := cmp.Diff(want[i], a.Reached); d != "" {
			t.Error(a.Name, d)
		}
	}
}

func TestIDString(t *testing.T) {
	for id, want := range map[ID]string{
		{"apps", "Deployment", "shop", "web"}: "apps/Deployment shop/web",
		{"", "ConfigMap", "shop", "settings"}: "ConfigMap shop/settings",
		{"", "Namespace", "", "shop"}:         "Namespace shop",
	} {
		if got := id.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// watched records the files that are opened.
type watched struct {
	fstest.MapFS
	opened map[string]bool
}

func (w watched) Open(name string) (fs.File, error) {
	w.opened[name] = true
	return w.MapFS.Open(name)
}

// FuzzRender holds that no file makes rendering panic, that all it opens is in
// the tree and recorded, and that twice is the same.
func FuzzRender(f *testing.F) {
	f.Add([]byte("resources: [../../base, x.yaml]\n"), []byte(configMap))
	f.Add([]byte("resources: [../../../../etc]\nsecretGenerator: [{name: s, literals: [a=b], files: [x.yaml]}]\n"), []byte("---\n...\n--- {}\n"))
	f.Add([]byte("patches: [{path: x.yaml}]\nopenapi: {path: x.yaml}\ncrds: [x.yaml]\n"), []byte("kind: List\nitems: [{kind: List, items: []}]"))
	f.Add([]byte("components: [../../base]\nconfigurations: [x.yaml]\nreplacements: [{path: x.yaml}]\n"), []byte("{\"a\":1}{\"b\":2}"))
	f.Add([]byte("resources: ['https://127.0.0.1:1/x', 'git::x/y', 'a@b:c/d']\n"), []byte("a: &a [*a]\n"))
	f.Add([]byte("images: [{name: a, newTag: '1'}]\nresources: [x.yaml]\nnamespace: n\nnamePrefix: p-\nreplicas: [{name: a, count: 2}]\n"), []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: a, image: 'a:1'}]}}}\n"))
	f.Fuzz(func(t *testing.T, kustomization, text []byte) {
		fsys := watched{repository(
			"base/kustomization.yaml", "resources: [x.yaml]\n",
			"base/x.yaml", configMap,
			"etc/passwd", "root",
		), map[string]bool{}}
		for name, data := range map[string][]byte{"env/kust/kustomization.yaml": kustomization, "env/kust/x.yaml": text, "env/plain/x.yaml": text} {
			fsys.MapFS[name] = &fstest.MapFile{Data: data}
		}
		r := NewRenderer(Limits{Objects: 100, Bytes: 1 << 20, Files: 100, Depth: 4})
		apps, err := r.Render(fsys, "env")
		if err != nil {
			t.Fatal(err)
		}
		reached := map[string]bool{".": true, "env": true}
		for _, a := range apps {
			if a.Problem != nil && a.Objects != nil {
				t.Fatalf("%s has a problem and objects", a.Name)
			}
			for _, p := range a.Reached {
				reached[p] = true
			}
			for _, o := range a.Objects {
				if o.ID().Kind == "" || o.ID().Name == "" || o.APIVersion() == "" {
					t.Fatalf("an object without identity: %v", o.Map())
				}
			}
		}
		for name := range fsys.opened {
			if !fs.ValidPath(name) || !reached[name] {
				t.Fatalf("%q was opened and is not in %v", name, reached)
			}
		}
		again, err := r.Render(fsys, "env")
		if err != nil {
			t.Fatal(err)
		}
		if one, two := show(apps, nil), show(again, nil); one != two {
			t.Fatalf("twice differs:\n%s\n%s", one, two)
		}
	})
}

// FuzzSplit holds that splitting a stream loses no line but markers.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("a: 1\n---\nb: 2\n...\nc: 3\n"))
	f.Add([]byte("# x\n--- # y\n---\r\n...\n...\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		line := -1
		var joined []byte
		for _, d := range split(data) {
			if d.line <= line && line >= 0 {
				t.Fatalf("document at line %d after one at %d", d.line, line)
			}
			line = d.line
			joined = append(joined, d.data...)
		}
		for l := range strings.Lines(string(data)) {
			if isMarker([]byte(l), "...") || strings.TrimSpace(l) == "" || l[0] == '#' || l[0] == '%' {
				continue
			}
			if !slices.Contains(strings.SplitAfter(string(joined), "\n"), l) {
				t.Fatalf("line %q is lost", l)
			}
		}
	})
}

func hundred() string {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web-%d, namespace: shop}\nspec:\n  replicas: 2\n  template:\n    spec:\n      containers:\n      - name: web\n        image: ghcr.io/example/web:1.0.0\n        env:\n        - {name: A, value: b}\n", i)
	}
	return b.String()
}

func benchmark(b *testing.B, fsys fs.FS) {
	r := NewRenderer(Limits{})
	b.ReportAllocs()
	for b.Loop() {
		apps, err := r.Render(fsys, "env")
		if err != nil || apps[0].Problem != nil || len(apps[0].Objects) != 100 {
			b.Fatal(err, apps)
		}
	}
}

func BenchmarkRender100Plain(b *testing.B) {
	benchmark(b, repository("env/web/x.yaml", hundred()))
}

func BenchmarkRender100Kustomize(b *testing.B) {
	benchmark(b, repository("env/web/kustomization.yaml", "resources: [../../base]\nimages: [{name: ghcr.io/example/web, newTag: 2.0.0}]\n",
		"base/kustomization.yaml", "resources: [x.yaml]\n", "base/x.yaml", hundred()))
}
