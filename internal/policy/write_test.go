package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"towpath.dev/towpath/internal/image"
)

func TestFormatWritesWhatAPersonWould(t *testing.T) {
	for name, test := range map[string]struct {
		policy   Policy
		comments []string
		want     string
	}{
		"defaults are left out": {
			Policy{Name: "web", Image: repo(t, "ghcr.io/acme/web"), Semver: &Semver{Range: "1.x"}, Schedule: DefaultSchedule, Lane: LaneStrict, Pin: PinTag},
			[]string{"Two lines\nof comment.", "", "Another."},
			`# yaml-language-server: $schema=https://towpath.dev/schema/v1/imagepolicy.json
# Two lines
# of comment.
#
# Another.
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: web}
spec:
  image: ghcr.io/acme/web
  select:
    semver: {range: "1.x"}
`,
		},
		"every key, in the order of the reference": {
			Policy{
				Name: "2048", Image: repo(t, "localhost:5000/acme/web"), Semver: &Semver{Range: ">=1.2 <2", Prereleases: true},
				Schedule: "*/10 * * * *", Filter: &Filter{Pattern: `^it's-(\d+)$`, Extract: "$1"},
				Exclude: []Exclude{{"1.4.2"}, {`/\.rc$/`}}, Lane: LaneAny, Platforms: []image.Platform{{OS: "linux", Architecture: "arm", Variant: "v7"}},
				MinAge: 90 * time.Minute, Pin: PinDigest, RefreshDigest: true, AllowDowngrade: true,
			}, nil,
			`# yaml-language-server: $schema=https://towpath.dev/schema/v1/imagepolicy.json
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: "2048"}
spec:
  image: localhost:5000/acme/web
  schedule: "*/10 * * * *"
  select:
    semver: {range: ">=1.2 <2", prereleases: true}
  filter:
    pattern: '^it''s-(\d+)$'
    extract: '$1'
  exclude: ["1.4.2", '/\.rc$/']
  lane: any
  platforms: [linux/arm/v7]
  minAge: 1h30m
  pin: digest
  refreshDigest: true
  allowDowngrade: true
`,
		},
		"a followed tag needs no pin, and one that reads as a number is quoted": {
			Policy{Name: "web", Image: repo(t, "alpine"), DigestTag: "3.20", Pin: PinDigest, MinAge: 24 * time.Hour}, nil,
			`# yaml-language-server: $schema=https://towpath.dev/schema/v1/imagepolicy.json
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: web}
spec:
  image: alpine
  select:
    digest: {tag: "3.20"}
  minAge: 24h
`,
		},
		"a comment cannot become a key": {
			Policy{Name: "web", Image: repo(t, "alpine"), Alphabetical: &Alphabetical{}}, []string{"a\rspec: {}\x00\u2028b"},
			`# yaml-language-server: $schema=https://towpath.dev/schema/v1/imagepolicy.json
# a spec: {}  b
apiVersion: towpath.dev/v1
kind: ImagePolicy
metadata: {name: web}
spec:
  image: alpine
  select:
    alphabetical: {order: newest}
`,
		},
	} {
		got := Format(test.policy, test.comments...)
		if d := cmp.Diff(test.want, string(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		formatsTheSame(t, Load([]File{{Path: "a.yaml", Data: got}}))
	}
}

func TestFormatPipelineWritesWhatAPersonWould(t *testing.T) {
	many := make([]string, 30)
	for i := range many {
		many[i] = "user:" + strings.Repeat("a", i+1)
	}
	pl := Pipeline{Name: "shop", Branch: "main", Environments: []Environment{
		{Name: "dev", Path: ".", Update: &Update{Policies: []string{"*"}}, Merge: MergePush},
		{Name: "no", Path: "envs/in here", From: []string{"dev"}, Merge: MergeAuto, OnNewVersion: Wait, Gates: Gates{
			Approvals: &Approvals{Required: 1, PreventSelfReview: true}, Healthy: &Healthy{}, Soak: &Soak{For: 30 * time.Minute}}},
		{Name: "prod", Path: "envs/prod", From: []string{"no"}, Merge: MergeApproval, Gates: Gates{
			Approvals: &Approvals{Required: 2, From: many[:2], PreventSelfReview: true}, Healthy: &Healthy{StableFor: 2 * time.Minute}}},
		{Name: "us", Path: "envs/us", From: []string{"prod"}, Merge: MergeApproval, Gates: Gates{
			Approvals: &Approvals{Required: 1, From: many[:1]}}},
	}}
	got := FormatPipeline(pl, "How a version travels.")
	want := `# yaml-language-server: $schema=https://towpath.dev/schema/v1/pipeline.json
# How a version travels.
apiVersion: towpath.dev/v1
kind: Pipeline
metadata: {name: shop}
spec:
  branch: main
  environments:
    - name: dev
      path: "."
      update: {policies: ["*"]}
      merge: push
    - name: "no"
      path: "envs/in here"
      from: [dev]
      merge: auto
      onNewVersion: wait
      gates:
        approvals: {required: 1}
        healthy: {}
        soak: {for: 30m}
    - name: prod
      path: envs/prod
      from: ["no"]
      merge: approval
      gates:
        approvals: {required: 2, from: ["user:a", "user:aa"]}
        healthy: {stableFor: 2m}
    - name: us
      path: envs/us
      from: [prod]
      merge: approval
      gates:
        approvals:
          required: 1
          from: ["user:a"]
          preventSelfReview: false
`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// "." holds every other path, which Load refuses; and long lists are broken up.
	pl.Environments[0].Path = "envs/dev"
	pl.Environments[2].Gates.Approvals.From = many
	var policies []File
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		name = strings.Repeat(name, 20)
		pl.Environments[0].Update.Policies = append(pl.Environments[0].Update.Policies, name)
		policies = append(policies, File{Path: name + ".yaml", Data: Format(Policy{Name: name, Image: repo(t, "alpine"), DigestTag: "main"})})
	}
	pl.Environments[0].Update.Policies = pl.Environments[0].Update.Policies[1:]
	formatsTheSame(t, Load(append(policies, File{Path: "pipeline.yaml", Data: FormatPipeline(pl)})))
}

// formatsTheSame demands that what was loaded, written and loaded again is the same.
func formatsTheSame(t *testing.T, c Config) {
	t.Helper()
	sound := true
	for _, p := range c.Problems {
		sound = sound && p.Warning
	}
	var files []File
	want := Config{}
	for _, p := range c.Policies {
		files = append(files, File{Path: "policies/" + p.Name + ".yaml", Data: Format(p, "A comment.")})
		p.Source = Source{}
		want.Policies = append(want.Policies, p)
	}
	for _, p := range c.Pipelines {
		if !sound {
			break // it may name a policy whose own document is broken
		}
		files = append(files, File{Path: "policies/" + p.Name + ".pipeline.yaml", Data: FormatPipeline(p, "A comment.")})
		want.Pipelines = append(want.Pipelines, withoutSources(p))
	}
	if len(files) == 0 {
		return
	}
	again := Load(files)
	for _, p := range again.Problems {
		if !p.Warning {
			t.Errorf("a formatted document has a problem: %s", p)
		}
	}
	for i := range again.Policies {
		again.Policies[i].Source = Source{}
	}
	for i, p := range again.Pipelines {
		again.Pipelines[i] = withoutSources(p)
	}
	again.Problems = nil
	if d := diff(want, again); d != "" {
		t.Errorf("written and loaded again (-want +got):\n%s", d)
	}
}

func withoutSources(p Pipeline) Pipeline {
	p.Source = Source{}
	environments := p.Environments
	p.Environments = nil
	for _, e := range environments {
		e.Source = Source{}
		p.Environments = append(p.Environments, e)
	}
	return p
}

// TestWhatIsFormattedLoadsTheSame runs over every policy that people copy.
func TestWhatIsFormattedLoadsTheSame(t *testing.T) {
	paths, err := filepath.Glob("../../policies/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	examples, err := filepath.Glob("../../examples/*/policies/*.yaml")
	if err != nil || len(examples) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range append(paths, examples...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := Load([]File{{Path: path, Data: data}})
		if len(c.Policies)+len(c.Pipelines) == 0 {
			t.Errorf("%s: nothing loaded", path)
		}
		formatsTheSame(t, c)
	}
}

// FuzzFormat: whatever loads is written so that it loads the same again, and a
// comment is never more than that.
func FuzzFormat(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/bad.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files[:len(archive.Files)-1] {
		f.Add(file.Data, "a comment")
	}
	f.Add([]byte(policyYAML("web")+"---\n"+policyYAML("api")), "two\nlines\r\n---\nspec: {}")
	paths, err := filepath.Glob("../../*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	more, err := filepath.Glob("../../examples/*/policies/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "")
	}
	f.Fuzz(func(t *testing.T, data []byte, comment string) {
		c := Load([]File{{Path: "a.yaml", Data: data}})
		formatsTheSame(t, c)
		for _, p := range c.Policies {
			plain := Load([]File{{Path: "a.yaml", Data: Format(p)}})
			commented := Load([]File{{Path: "a.yaml", Data: Format(p, comment)}})
			for i := range commented.Policies {
				commented.Policies[i].Source = Source{"a.yaml", plain.Policies[0].Source.Line}
			}
			if d := diff(plain, commented); d != "" {
				t.Errorf("a comment is more than that (-without +with):\n%s", d)
			}
		}
	})
}
