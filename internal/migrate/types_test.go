package migrate

import (
	"strings"
	"testing"
)

// typed is a repository of one policy and one automation, with something more in each.
func typed(repository, policy, automation string) string {
	return fluxRepository("image: ghcr.io/acme/web, interval: 5m"+repository) + fluxPolicy("web", "policy: {semver: {range: 1.x}}"+policy) +
		fluxAutomation("a", "update: {path: envs/dev}, git: {checkout: {ref: {branch: main}}}"+automation)
}

func TestABooleanIsReadAsKubectlDoes(t *testing.T) {
	tree := map[string]string{"envs/dev/x.yaml": "a: b\n"}
	off := map[string][]string{"policies/pipeline.yaml": {"#     - name: dev"}}
	for _, text := range []string{"true", "True", "yes", "Yes", "on", "ON", "y", `"true"`, "'no'", "!!str no", "tru", "'${suspended}'", "1", "[true]", "{a: b}"} {
		for place, spec := range map[string][3]string{"ImageUpdateAutomation": {2: ", suspend: " + text}, "ImagePolicy": {1: ", suspend: " + text}, "ImageRepository": {", suspend: " + text}} {
			e := example{files: tree, yaml: typed(spec[0], spec[1], spec[2]), want: map[string][]string{"policies/pipeline.yaml": off["policies/pipeline.yaml"], "notes": {place + "/", "suspend: "}}}
			if strings.ContainsAny(text, `"'[]{}1`) || text == "tru" || text == "!!str no" {
				e.want["notes"] = append(e.want["notes"], "is neither true nor false, and is taken for true")
			}
			e.run(t, place+" suspend: "+text, Flux)
		}
	}
	for _, text := range []string{"false", "no", "No", "off", "OFF", "n", "null", "~", "!!bool no"} {
		e := example{files: tree, yaml: typed(", suspend: "+text+", insecure: "+text, ", suspend: "+text, ", suspend: "+text),
			want: map[string][]string{"policies/pipeline.yaml": {"\n    - name: dev"}, "notes": {"!suspend", "!insecure"}}}
		e.run(t, "suspend: "+text, Flux)
	}
	for name, e := range map[string]example{
		"plain http by yes":     {yaml: typed(", insecure: yes", "", ""), want: map[string][]string{"notes": {"insecure: plain http is not part of a policy"}}},
		"plain http by who":     {yaml: typed(`, insecure: "true"`, "", ""), want: map[string][]string{"notes": {`insecure: "true" is neither true nor false; the registry is asked by https`}}},
		"annotations by on":     {yaml: updaterOf("useAnnotations: on, images: [{alias: w, imageName: 'x/w:1.x'}]"), want: map[string][]string{"policies/w.yaml": {"!w"}}},
		"annotations by quotes": {yaml: updaterOf("useAnnotations: 'on', images: [{alias: w, imageName: 'x/w:1.x'}]"), want: map[string][]string{"policies/w.yaml": {"name: w"}, "notes": {`useAnnotations: "on" is neither true nor false; images is read`}}},
	} {
		run := Flux
		if strings.HasPrefix(name, "annotations") {
			run = ImageUpdater
		}
		e.run(t, name, run)
	}
}

// updaterOf is an ImageUpdater and the Application that it means.
func updaterOf(ref string) string {
	return application("shop", "envs/dev") + "apiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\nmetadata: {name: u}\nspec:\n" +
		"  writeBackConfig: {method: git}\n  applicationRefs:\n  - {namePattern: 's*', " + ref + "}\n"
}

func TestAValueOfAnotherTypeIsSaidAndBringsNothingIn(t *testing.T) {
	tree := map[string]string{"envs/dev/x.yaml": "a: b\n"}
	unable := []string{"# apiVersion", "TODO"}
	for name, e := range map[string]example{
		"a list for a text of a policy": {
			yaml: typed("", ", digestReflectionPolicy: [Always]", ""),
			want: map[string][]string{"policies/web.yaml": unable, "policies/pipeline.yaml": {"# apiVersion"}, "notes": {"ImagePolicy/web: digestReflectionPolicy: it is a list, where a text belongs, so it is not carried over; correct it"}},
		},
		"a list for an order": {
			yaml: strings.Replace(typed("", "", ""), "semver: {range: 1.x}", "numerical: {order: [desc]}", 1),
			want: map[string][]string{"policies/web.yaml": unable, "notes": {"policy.numerical.order: it is a list, where a text belongs"}},
		},
		"a mapping for a pattern": {
			yaml: typed("", ", filterTags: {pattern: {a: b}}", ""),
			want: map[string][]string{"policies/web.yaml": unable, "notes": {"filterTags.pattern: it is a mapping, where a text belongs"}},
		},
		"a text for a mapping": {
			yaml: typed("", ", filterTags: '^v'", ""),
			want: map[string][]string{"policies/web.yaml": unable, "notes": {"filterTags: it is a text, where a mapping belongs"}},
		},
		"a text for a list of a repository": {
			yaml: typed(", exclusionList: '-rc'", "", ""),
			want: map[string][]string{"policies/web.yaml": unable, "notes": {"ImageRepository/web: exclusionList: it is a text, where a list belongs"}},
		},
		"a list in a list": {
			yaml: typed(", exclusionList: [[-rc]]", "", ""),
			want: map[string][]string{"policies/web.yaml": unable, "notes": {"exclusionList[0]: it is a list, where a text belongs"}},
		},
		"a list for a selector of an automation": {
			files: tree, yaml: typed("", "", ", policySelector: [matchLabels]"),
			want: map[string][]string{"policies/web.yaml": {"!# apiVersion"}, "policies/pipeline.yaml": {"#     - name: dev", "TODO: policySelector"}, "notes": {"ImageUpdateAutomation/a: policySelector: it is a list, where a mapping belongs"}},
		},
		"a list for a branch": {
			files: tree, yaml: strings.Replace(typed("", "", ""), "branch: main", "branch: [main]", 1),
			want: map[string][]string{"policies/pipeline.yaml": {"#     - name: dev"}, "notes": {"git.checkout.ref.branch: it is a list, where a text belongs"}},
		},
		"a text for spec": {
			yaml: "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec: x\n",
			want: map[string][]string{"notes": {"incomplete", "it is a text, where a mapping belongs"}},
		},
		"the right types": {
			files: tree, yaml: typed(", exclusionList: ['-rc']", ", filterTags: {pattern: '^v'}", ""),
			want: map[string][]string{"policies/web.yaml": {"!#  "}, "policies/pipeline.yaml": {"\n    - name: dev"}, "notes": {"!belongs"}},
		},
	} {
		e.run(t, name, Flux)
	}
	for name, e := range map[string]example{
		"a mapping for a strategy": {
			yaml: updaterOf("images: [{alias: w, imageName: 'x/w:1.x', commonUpdateSettings: {updateStrategy: {a: b}}}]"),
			want: map[string][]string{"policies/w.yaml": unable, "notes": {"updateStrategy: it is a mapping, where a text belongs"}},
		},
		"a mapping for a list or a text": {
			yaml: updaterOf("images: [{alias: w, imageName: 'x/w:1.x', commonUpdateSettings: {ignoreTags: {a: b}}}]"),
			want: map[string][]string{"policies/w.yaml": unable, "notes": {"ignoreTags: it is a mapping, where a text belongs"}},
		},
		"a mapping for the list of references": {
			yaml: strings.NewReplacer("  - {name", "    {name").Replace(updaterOf("images: []")),
			want: map[string][]string{"notes": {"applicationRefs: it is a mapping, where a list belongs"}},
		},
		"a list or a text": {
			yaml: updaterOf("images: [{alias: w, imageName: 'x/w:1.x', commonUpdateSettings: {ignoreTags: [a], platforms: linux/amd64}}]"),
			want: map[string][]string{"policies/w.yaml": {`exclude: ["a"]`, "!# apiVersion"}, "notes": {"!belongs"}},
		},
		"a list for a path of an Application": {
			yaml: strings.Replace(updaterOf("images: [{alias: w, imageName: 'x/w:1.x'}]"), "path: envs/dev", "path: [envs/dev]", 1),
			want: map[string][]string{"notes": {"Application/shop: source.path: it is a list, where a text belongs"}},
		},
	} {
		e.run(t, name, ImageUpdater)
	}
}

func TestStagesOfPoliciesThatArePartedAreFound(t *testing.T) {
	one := typed("", "", "")
	one = strings.Replace(one, "update: {path: envs/dev}", "update: {path: ./apps}", 1)
	other := strings.ReplaceAll(fluxRepository("image: ghcr.io/team/web, interval: 1m")+fluxPolicy("web", "policy: {semver: {range: 2.x}}"), "namespace: apps", "namespace: team-b")
	marked := func(ns string) string { return "image: a/b:1.0.0 # {\"$imagepolicy\": \"" + ns + ":web\"}\n" }
	example{
		files: map[string]string{"apps/prod/x.yaml": marked("apps"), "apps/staging/x.yaml": marked("apps"), "apps/other-test/x.yaml": marked("team-b"), "team/x.yaml": marked("team-b")},
		yaml:  one + other,
		want: map[string][]string{"policies/pipeline.yaml": {"path: apps/prod\n", "path: apps/staging\n", "!path: apps\n", "!other-test", "policies: [web-apps]"},
			"policies/web-apps.yaml": {"name: web-apps"}},
	}.run(t, "two policies of one name", Flux)
}

func TestWhatIsMergedIsReadAsKubectlDoes(t *testing.T) {
	merged := func(below string) string {
		return strings.Replace(typed("", "", ""), "metadata: {name: a, namespace: apps}\nspec: {", "metadata: {name: a, namespace: apps, annotations: &x {"+below+"}}\nspec: {<<: *x, ", 1)
	}
	for name, e := range map[string]example{
		"a suspension":      {yaml: merged("suspend: true"), want: map[string][]string{"policies/pipeline.yaml": {"# apiVersion", "suspend: an environment cannot"}, "notes": {"!unknown"}}},
		"what is overruled": {yaml: merged("update: {path: elsewhere}"), want: map[string][]string{"policies/pipeline.yaml": {"path: envs/dev"}, "notes": {"!elsewhere"}}},
		"an unknown field":  {yaml: merged("suspended: true"), want: map[string][]string{"policies/pipeline.yaml": {"\n    - name: dev"}, "notes": {"ImageUpdateAutomation/a: suspended: unknown"}}},
		"a merge in it":     {yaml: merged("<<: {suspend: true}"), want: map[string][]string{"notes": {"ImageUpdateAutomation/a: <<: unknown"}}},
		"itself":            {yaml: merged("<<: *x"), want: map[string][]string{"notes": {"ImageUpdateAutomation/a: <<: unknown"}}},
	} {
		e.files = map[string]string{"envs/dev/x.yaml": "a: b\n"}
		e.run(t, name, Flux)
	}
}
