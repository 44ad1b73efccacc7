package promote

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestLintWarnsOfWhatCanNeverMove(t *testing.T) {
	tests := []struct {
		name, spec, tag string
		want            string // the warning, or ""
	}{
		{"a policy that fits", "select: {semver: {range: 1.x}}", "1.0.0", ""},
		{"an empty range", `select: {semver: {range: ">2 <1"}}`, "1.0.0",
			`policies/p.yaml:1: the policy can never choose a tag: no version is in the range >2 <1`},
		{"a range below the current tag", `select: {semver: {range: "<1"}}`, "1.0.0",
			`envs/dev/web/x.yaml:1:6: policy "web" can never choose a tag in place of 1.0.0: every version in <1 is lower than the current one; raise the range`},
		{"unless going down is allowed", "select: {semver: {range: \"<1\"}}\n  allowDowngrade: true", "1.0.0", ""},
		{"a lane that nothing fits", `select: {semver: {range: "6.x"}}`, "22.04",
			`envs/dev/web/x.yaml:1:6: policy "web" can never choose a tag in place of 22.04: `},
		{"a current tag that looks like a version and is none", `select: {semver: {range: "1.x"}}`, "1.0.x",
			`envs/dev/web/x.yaml:1:6: policy "web" can never choose a tag in place of 1.0.x: the current tag 1.0.x is not a version`},
		{"a current tag that is a word", `select: {semver: {range: "1.x"}}`, "latest",
			`envs/dev/web/x.yaml:1:6: policy "web" cannot order the current tag latest (not a version)`},
		{"a date under semver", `select: {calver: {layout: YYYY.0M.0D}}`, "1.0.0",
			`envs/dev/web/x.yaml:1:6: policy "web" can never choose a tag in place of 1.0.0: `},
		{"a current tag that the filter does not keep", "select: {semver: {range: 1.x}}\n  filter: {pattern: \"^v\"}", "1.0.0",
			`envs/dev/web/x.yaml:1:6: the current tag 1.0.0 does not pass the filter of policy "web" (`},
		{"a current tag that the filter keeps", "select: {semver: {range: 1.x}}\n  filter: {pattern: \"^v\"}", "v1.0.0", ""},
		{"an excluded current tag can be ordered", "select: {semver: {range: 1.x}}\n  exclude: [\"1.0.0\"]", "1.0.0", ""},
		{"a followed tag needs no order", "select: {digest: {tag: main}}", "whatever", ""},
		{"bytes order everything", "select: {alphabetical: {}}", "whatever", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := fstest.MapFS{
				"policies/p.yaml": {Data: []byte("apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec:\n  image: r.example/web\n  " + tt.spec + "\n---\n" +
					"apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  branch: main\n  environments: [{name: dev, path: envs/dev, update: {policies: [\"*\"]}, merge: push}]\n")},
				"envs/dev/web/x.yaml": {Data: []byte("web: r.example/web:" + tt.tag + " # towpath: web\napiVersion: v1\nkind: X\nmetadata: {name: x}\n")},
			}
			problems, err := Lint(fsys)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range problems {
				if !p.Warning {
					t.Errorf("no warning: %s", p)
				}
				got = append(got, p.String())
			}
			if all := strings.Join(got, "\n"); (tt.want == "") != (all == "") || !strings.HasPrefix(all, tt.want) || len(got) > 1 {
				t.Errorf("got\n%s\nwant\n%s", all, tt.want)
			}
		})
	}
}

// Environments behind another are promoted to: there only order matters.
func TestLintLooksAtTheOrderOnlyBehindAnotherEnvironment(t *testing.T) {
	for tag, want := range map[string]int{"9.0.0": 0, "latest": 1} {
		fsys := fstest.MapFS{"policies/shop.yaml": {Data: []byte(shopPolicies)}}
		for env, tag := range map[string]string{"dev": "1.0.0", "staging": tag, "prod": "1.0.0"} {
			fsys["envs/"+env+"/web/deployment.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v1\nmetadata: {name: x}\n" + deployment(tag))}
		}
		problems, err := Lint(fsys)
		if err != nil || len(problems) != want {
			t.Errorf("%s in staging: %v, %v", tag, problems, err)
		}
	}
}

// A marker's policy may be in a document whose name cannot be read: then that one
// is to be mended, not another added.
func TestLintPointsFromMarkersToWhatKeepsTheirPolicyFromBeingUsed(t *testing.T) {
	pipeline := "apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  branch: main\n  environments: [{name: dev, path: envs/dev, update: {policies: [\"*\"]}, merge: push}]\n"
	tests := []struct{ name, policy, want string }{
		{"an error of its own", "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec: {imgae: x}\n",
			`envs/dev/web/x.yaml:1:6: nothing is written here: policy "web" has an error (policies/web.yaml:4)`},
		{"a document that cannot be parsed", "kind: [\n",
			`envs/dev/web/x.yaml:1:6: marker names policy "web", which does not exist; it may be in a document that cannot be read (policies/web.yaml:`},
		{"no document", "",
			`envs/dev/web/x.yaml:1:6: marker names policy "web", which does not exist; add an ImagePolicy named web to policies/, or remove the marker`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems, err := Lint(fstest.MapFS{
				"policies/p.yaml":     {Data: []byte(pipeline)},
				"policies/web.yaml":   {Data: []byte(tt.policy)},
				"envs/dev/web/x.yaml": {Data: []byte("web: r.example/web:1.0.0 # towpath: web\napiVersion: v1\nkind: X\nmetadata: {name: x}\n")},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if p.Object == "marker" {
					if !strings.HasPrefix(p.String(), tt.want) {
						t.Errorf("got  %s\nwant %s", p, tt.want)
					}
					return
				}
			}
			t.Errorf("no problem of the marker in %v", problems)
		})
	}
}
