package policy

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"towpath.dev/towpath/internal/image"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// diff compares values that hold repositories.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b image.Repo) bool { return a == b }))
}

func repo(t testing.TB, s string) image.Repo {
	t.Helper()
	r, err := image.ParseRepo(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBadInput holds every line Load says of bad input, and that it goes on.
func TestBadInput(t *testing.T) {
	const golden = "testdata/bad.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	last := len(archive.Files) - 1
	if archive.Files[last].Name != "want" {
		t.Fatalf("%s: the last file is %q, want \"want\"", golden, archive.Files[last].Name)
	}
	var got strings.Builder
	var names []string
	cases := map[string][]File{}
	for _, f := range archive.Files[:last] {
		name, path, _ := strings.Cut(f.Name, "/")
		if cases[name] == nil {
			names = append(names, name)
		}
		cases[name] = append(cases[name], File{Path: path, Data: f.Data})
	}
	for _, name := range names {
		config := Load(cases[name])
		checkConfig(t, cases[name], config)
		if len(config.Problems) == 0 {
			t.Errorf("%s: no problem", name)
		}
		fmt.Fprintf(&got, "# %s\n", name)
		for _, p := range config.Problems {
			fmt.Fprintf(&got, "%s", p)
			if p.Warning {
				fmt.Fprint(&got, " (warning)")
			}
			fmt.Fprintln(&got)
		}
		if loaded := loadedNames(config); len(loaded) > 0 {
			fmt.Fprintf(&got, "loaded: %s\n", strings.Join(loaded, " "))
		}
		fmt.Fprintln(&got)
	}
	if *update {
		archive.Files[last].Data = []byte(got.String())
		if err := os.WriteFile(golden, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(archive.Files[last].Data), got.String()); d != "" {
		t.Errorf("run go test -run TestBadInput -update after reading this (-want +got):\n%s", d)
	}
}

func loadedNames(c Config) []string {
	var names []string
	for _, p := range c.Policies {
		names = append(names, "ImagePolicy/"+p.Name)
	}
	for _, p := range c.Pipelines {
		names = append(names, "Pipeline/"+p.Name)
	}
	return names
}

// checkConfig holds what is true of every answer of Load.
func checkConfig(t *testing.T, files []File, c Config) {
	t.Helper()
	paths := map[string]bool{}
	for _, f := range files {
		paths[f.Path] = true
	}
	for _, p := range c.Problems {
		if !paths[p.Path] || p.Line < 1 || p.Column < 1 || p.Reason == "" {
			t.Errorf("a problem without place or reason: %#v", p)
		}
		if strings.ContainsAny(p.String(), "\r\n") {
			t.Errorf("a problem of more than one line: %q", p)
		}
	}
	for i, p := range c.Policies {
		if i > 0 && c.Policies[i-1].Name >= p.Name {
			t.Errorf("policies out of order: %q, %q", c.Policies[i-1].Name, p.Name)
		}
		if p.Image == (image.Repo{}) || selectors(p) != 1 || p.Schedule == "" || p.Lane == "" || p.Pin == "" || p.Source.Line < 1 {
			t.Errorf("an incomplete policy: %+v", p)
		}
		if choice := Select(p, []string{"1.0.0"}, ""); strings.Contains(choice.Reason, "broken") {
			t.Errorf("Load accepted what Select refuses: %s", choice.Reason)
		}
	}
	for _, p := range c.Pipelines {
		before := map[string]bool{}
		for _, e := range p.Environments {
			if (e.Update == nil) == (len(e.From) == 0) || e.Name == "" || e.Path == "" || e.Merge == "" || e.OnNewVersion == "" || e.Source.Line < 1 {
				t.Errorf("an incomplete environment: %+v", e)
			}
			for _, from := range e.From {
				if !before[from] {
					t.Errorf("environment %s comes before %s, which it promotes from", e.Name, from)
				}
			}
			before[e.Name] = true
		}
	}
}

// selectors counts the selectors that are set.
func selectors(p Policy) int {
	n := 0
	for _, set := range []bool{p.Semver != nil, p.Calver != nil, p.Numerical != nil, p.Alphabetical != nil, p.DigestTag != ""} {
		if set {
			n++
		}
	}
	return n
}

func TestEveryKeyOfAPolicyIsRead(t *testing.T) {
	got := Load([]File{{Path: "policies/all.yaml", Data: []byte(`# yaml-language-server: $schema=https://towpath.dev/schema/v1/imagepolicy.json
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: podinfo}
spec:
  image: ghcr.io/stefanprodan/podinfo
  schedule: "*/10 * * * *"
  select:
    semver: {range: "6.x", prereleases: true}
  filter: {pattern: '^(?P<v>.+)-alpine$', extract: '$v'}
  exclude: ["6.4.2", "/-debug$/"]
  lane: any
  pin: digest
  allowDowngrade: true
---
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: follow}
spec:
  image: alpine
  select: {digest: {tag: main}}
  platforms: [linux/arm/v7]
  minAge: 90m
---
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: dated}
spec:
  image: alpine
  select: {calver: {layout: "YYYY-0M-0D[-N]"}}
  platforms: [linux/amd64, linux/arm64]
  minAge: 72h
  pin: digest
  refreshDigest: true
---
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: build}
spec:
  image: alpine
  select: {numerical: {order: oldest}}
---
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: letters}
spec:
  image: alpine
  select: {alphabetical: {}}
`)}})
	both := []image.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
	want := Config{Policies: []Policy{
		{
			Name: "build", Image: repo(t, "alpine"), Schedule: "@every 5m", Numerical: &Numerical{OrderOldest},
			Lane: LaneStrict, Pin: PinTag, Source: Source{"policies/all.yaml", 36},
		},
		{
			Name: "dated", Image: repo(t, "alpine"), Schedule: "@every 5m", Calver: &Calver{"YYYY-0M-0D[-N]"},
			Lane: LaneStrict, Platforms: both, MinAge: 72 * time.Hour, Pin: PinDigest, RefreshDigest: true, Source: Source{"policies/all.yaml", 25},
		},
		{
			Name: "follow", Image: repo(t, "alpine"), Schedule: "@every 5m", DigestTag: "main",
			Lane: LaneStrict, Pin: PinDigest, Source: Source{"policies/all.yaml", 16},
			Platforms: []image.Platform{{OS: "linux", Architecture: "arm", Variant: "v7"}}, MinAge: 90 * time.Minute,
		},
		{
			Name: "letters", Image: repo(t, "alpine"), Schedule: "@every 5m", Alphabetical: &Alphabetical{OrderNewest},
			Lane: LaneStrict, Pin: PinTag, Source: Source{"policies/all.yaml", 43},
		},
		{
			Name: "podinfo", Image: repo(t, "ghcr.io/stefanprodan/podinfo"), Schedule: "*/10 * * * *",
			Semver: &Semver{Range: "6.x", Prereleases: true}, Filter: &Filter{Pattern: "^(?P<v>.+)-alpine$", Extract: "$v"},
			Exclude: []Exclude{{"6.4.2"}, {"/-debug$/"}}, Lane: LaneAny, Pin: PinDigest, AllowDowngrade: true,
			Source: Source{"policies/all.yaml", 2},
		},
	}}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if p, ok := got.Policy("podinfo"); !ok || p.Name != "podinfo" {
		t.Errorf("Policy(podinfo) = %v, %v", p.Name, ok)
	}
	if _, ok := got.Policy("web"); ok {
		t.Error("Policy(web) exists")
	}
}

func TestEveryKeyOfAPipelineIsReadAndEnvironmentsAreInPromotionOrder(t *testing.T) {
	got := Load([]File{{Path: "policies/shop.yaml", Data: []byte(`apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: shop}
spec:
  branch: main
  promote: {what: images}
  environments:
  - name: prod
    path: envs/prod/
    from: [staging]
    merge: approval
    onNewVersion: wait
    gates:
      approvals: {required: 2, from: ["team:sre", "user:alice"], preventSelfReview: false}
      healthy: {}
      soak: {for: 4h}
  - name: staging
    path: envs/staging
    from: [dev]
    merge: approval
    gates: &gates {healthy: {stableFor: 2m}}
  - name: dev
    path: envs/dev
    update: {policies: ["*"]}
    merge: push
  - name: canary
    path: envs/canary
    from: [dev]
    merge: auto
    gates: *gates
`)}})
	at := func(line int) Source { return Source{"policies/shop.yaml", line} }
	want := Config{Pipelines: []Pipeline{{
		Name: "shop", Branch: "main", Source: at(1),
		Environments: []Environment{
			{Name: "dev", Path: "envs/dev", Update: &Update{Policies: []string{"*"}}, Merge: MergePush, OnNewVersion: Supersede, Source: at(22)},
			{Name: "staging", Path: "envs/staging", From: []string{"dev"}, Merge: MergeApproval, OnNewVersion: Supersede, Source: at(17), Gates: Gates{
				Approvals: &Approvals{Required: 1, PreventSelfReview: true},
				Healthy:   &Healthy{StableFor: 2 * time.Minute},
			}},
			{Name: "prod", Path: "envs/prod", From: []string{"staging"}, Merge: MergeApproval, OnNewVersion: Wait, Source: at(8), Gates: Gates{
				Approvals: &Approvals{Required: 2, From: []string{"team:sre", "user:alice"}},
				Healthy:   &Healthy{},
				Soak:      &Soak{For: 4 * time.Hour},
			}},
			{Name: "canary", Path: "envs/canary", From: []string{"dev"}, Merge: MergeAuto, OnNewVersion: Supersede, Source: at(26), Gates: Gates{
				Healthy: &Healthy{StableFor: 2 * time.Minute},
			}},
		},
	}}}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	update := got.Pipelines[0].Environments[0].Update
	if !update.Has("web") || (&Update{Policies: []string{"api"}}).Has("web") || (*Update)(nil).Has("web") {
		t.Error("Has: want every policy for *, only the named otherwise, none for nil")
	}
}

const goodPolicy = "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: NAME}\nspec: {image: acme/web, select: {semver: {range: 1.x}}}\n"

func policyYAML(name string) string { return strings.Replace(goodPolicy, "NAME", name, 1) }

func TestOddButGoodFiles(t *testing.T) {
	for name, data := range map[string]string{
		"an empty file":                  "",
		"only a comment":                 "# nothing yet\n",
		"only markers":                   "---\n---\n...\n---\n",
		"an explicit null":               "---\nnull\n",
		"a directive":                    "%YAML 1.1\n---\n" + policyYAML("web"),
		"a byte order mark":              "\ufeff" + policyYAML("web"),
		"CRLF":                           strings.ReplaceAll(policyYAML("web"), "\n", "\r\n"),
		"no newline at the end":          strings.TrimSuffix(policyYAML("web"), "\n"),
		"a document on the marker line":  "--- {apiVersion: towpath.dev/v1, kind: ImagePolicy, metadata: {name: web}, spec: {image: a, select: {digest: {tag: b}}}}\n",
		"empty documents between others": "---\n\n---\n" + policyYAML("web") + "---\n# end\n",
		"a schedule with a time zone":    strings.Replace(policyYAML("web"), "{image", `{schedule: "CRON_TZ=Europe/Berlin 0 9-17 * jan-mar mon,FRI", image`, 1),
	} {
		config := Load([]File{{Path: "a.yaml", Data: []byte(data)}})
		if len(config.Problems) > 0 {
			t.Errorf("%s: %v", name, config.Problems)
		}
		if want := strings.Contains(data, "kind:"); (len(config.Policies) == 1) != want {
			t.Errorf("%s: %d policies", name, len(config.Policies))
		}
	}
}

func TestHostileFilesAreOneProblemAndCheap(t *testing.T) {
	bomb := "x: &a [1,1,1,1,1,1,1,1,1,1]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 10))
	}
	const head = "apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: p}\n"
	names := strings.Repeat("*n, ", 90)
	wide := head + "x: &n {name: a, path: [" + strings.Repeat("*m,", 5) + "]}\nspec: {branch: main, environments: [" + names + "]}\n"
	for name, test := range map[string]struct{ data, want string }{
		"too large":        {policyYAML("web") + strings.Repeat("# long\n", maxDocumentSize/7), "larger than 1048576 bytes"},
		"too many":         {strings.Repeat("--- {a: b}\n", maxDocuments+5), "more than 1000 documents"},
		"not UTF-8":        {"a: \xff\n", "not UTF-8"},
		"a NUL":            {"a: \x00\n", "U+0000"},
		"an escape":        {"a: \x1b[31m\n", "U+001B"},
		"an alias bomb":    {bomb, "unknown key"},
		"unknown anchor":   {wide, "not valid YAML"},
		"deep nesting":     {strings.Repeat("[", 100_000), "not valid YAML"},
		"a thousand keys":  {head + strings.Repeat("k: 1\n", 1000), "more problems in this document"},
		"broken documents": {strings.Repeat(strings.Repeat("a: [b, c, d]\n", 290)+"{\n---\n", 30), "not valid YAML"},
		"a lone CR marker": {"a: b\r---\rc: d\r", "a second document"},
	} {
		config := Load([]File{{Path: "a.yaml", Data: []byte(test.data)}})
		checkConfig(t, []File{{Path: "a.yaml"}}, config)
		found := false
		for _, p := range config.Problems {
			found = found || strings.Contains(p.Reason, test.want)
		}
		if most := maxProblems*maxDocuments + 1; !found || len(config.Problems) > most {
			t.Errorf("%s: %d problems, none has %q; first: %v", name, len(config.Problems), test.want, config.Problems[:min(1, len(config.Problems))])
		}
	}
}

// TestAliasesAreCountedNotFollowedForEver uses lists within the limits of the
// schema, each naming the one before.
func TestAliasesAreCountedNotFollowedForEver(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  branch: main\n  environments:\n  - &e\n    name: dev\n    path: envs/dev\n    merge: push\n    update: {policies: [")
	for i := range maxNames {
		fmt.Fprintf(&b, "p%d, ", i)
	}
	b.WriteString("]}\n" + strings.Repeat("  - *e\n", 99))
	config := Load([]File{{Path: "a.yaml", Data: b.Bytes()}})
	for _, p := range config.Problems {
		if strings.Contains(p.Reason, "more than 100000 values after following aliases") {
			return
		}
	}
	t.Errorf("no problem speaks of aliases: %v", config.Problems[:min(3, len(config.Problems))])
}

func TestAProblemNamesItsObject(t *testing.T) {
	bad := strings.Replace(policyYAML("web"), "1.x", "latest", 1)
	got := Load([]File{{Path: "policies/web.yaml", Data: []byte(bad)}}).Problems
	want := []Problem{{
		Path: "policies/web.yaml", Line: 4, Column: 50, Object: "ImagePolicy/web",
		Reason: `bad semver range "latest": improper constraint: "latest"`, Hint: `write one like "1.x", "^1.4" or ">=1.2 <2"`,
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
	if err := error(got[0]); err.Error() != got[0].String() {
		t.Errorf("as an error it says %q", err)
	}
}

func TestTheOrderOfFilesDoesNotMatter(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/bad.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for i, f := range archive.Files[:len(archive.Files)-1] {
		files = append(files, File{Path: fmt.Sprintf("policies/%d.yaml", i), Data: f.Data})
	}
	want := Load(files)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		if d := diff(want, Load(files)); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
	}
}

func TestThePoliciesOfTheExampleLoad(t *testing.T) {
	var files []File
	for _, name := range []string{"web", "api", "pipeline"} {
		data, err := os.ReadFile("../../examples/shop/policies/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, File{Path: "policies/" + name + ".yaml", Data: data})
	}
	config := Load(files)
	if d := cmp.Diff([]string{"ImagePolicy/api", "ImagePolicy/web", "Pipeline/shop"}, loadedNames(config)); d != "" || len(config.Problems) > 0 {
		t.Errorf("problems %v, loaded (-want +got):\n%s", config.Problems, d)
	}
}
