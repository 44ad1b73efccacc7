package migrate

import (
	"strings"
	"testing"

	"towpath.dev/towpath/internal/patch"
)

// example is one sentence about a migration: the objects, and what must and must not
// be in the files and notes that come of them.
type example struct {
	files map[string]string // beside the objects
	yaml  string
	want  map[string][]string // texts by file, "notes" for the notes; one that begins with ! must not be there
}

func (e example) run(t *testing.T, name string, run func([]patch.File, string) Result) {
	t.Helper()
	files := []patch.File{{Path: "objects/all.yaml", Data: []byte(e.yaml)}}
	for p, text := range e.files {
		files = append(files, patch.File{Path: p, Data: []byte(text)})
	}
	r := run(files, "")
	loads(t, files, r)
	got := map[string]string{"notes": notesOf(r)}
	for _, f := range r.Files {
		got[f.Path] = string(f.Data)
	}
	for p, texts := range e.want {
		for _, text := range texts {
			without, not := strings.CutPrefix(text, "!")
			if strings.Contains(got[p], without) == not {
				t.Errorf("%s: %s: %q: there %v, want %v:\n%s", name, p, without, not, !not, got[p])
			}
		}
	}
}

func fluxRepository(spec string) string {
	return "apiVersion: image.toolkit.fluxcd.io/v1beta2\nkind: ImageRepository\nmetadata: {name: web, namespace: apps}\nspec: {" + spec + "}\n---\n"
}

func fluxPolicy(name, spec string) string {
	return "apiVersion: image.toolkit.fluxcd.io/v1beta1\nkind: ImagePolicy\nmetadata: {name: " + name + ", namespace: apps}\nspec: {imageRepositoryRef: {name: web}, " + spec + "}\n---\n"
}

func fluxAutomation(name, spec string) string {
	return "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata: {name: " + name + ", namespace: apps}\nspec: {sourceRef: {kind: GitRepository, name: x}, " + spec + "}\n---\n"
}

func TestPoliciesOfFlux(t *testing.T) {
	const plain = "image: ghcr.io/acme/web, interval: 5m0s"
	const semver = "policy: {semver: {range: 1.x}}"
	for name, e := range map[string]example{
		"an interval is a schedule, unless it is the default": {
			yaml: fluxRepository(plain) + fluxPolicy("web", semver) + strings.ReplaceAll(fluxRepository("image: a/b, interval: 1h")+fluxPolicy("api", semver), "web", "api"),
			want: map[string][]string{"policies/api.yaml": {`schedule: "@every 1h"`}, "policies/web.yaml": {"!schedule", `range: "1.x"`, "!TODO"}, "notes": {"!ImagePolicy/web: ."}},
		},
		"an interval below a second is none": {
			yaml: fluxRepository("image: a/b, interval: 10ms") + fluxPolicy("web", semver),
			want: map[string][]string{"policies/web.yaml": {"!schedule:", `TODO: interval: "10ms"`}},
		},
		"signatures need no exclusion, others are expressions": {
			yaml: fluxRepository(plain+`, exclusionList: ['^.*\.sig$', '-rc', "(x"]`) + fluxPolicy("web", semver),
			want: map[string][]string{"policies/web.yaml": {`exclude: ["/-rc/"]`, "!sig", "# apiVersion"}, "notes": {`exclusionList: "(x" is no expression`}},
		},
		"asc takes the last, which is our newest": {
			yaml: fluxRepository(plain) + fluxPolicy("a", "policy: {numerical: {order: asc}}") + fluxPolicy("b", "policy: {alphabetical: {}}") +
				fluxPolicy("c", "policy: {alphabetical: {order: desc}}") + fluxPolicy("d", "policy: {numerical: {order: up}}"),
			want: map[string][]string{
				"policies/a.yaml": {"numerical: {order: newest}"}, "policies/b.yaml": {"alphabetical: {order: newest}"},
				"policies/c.yaml": {"alphabetical: {order: oldest}"}, "policies/d.yaml": {"# apiVersion"}, "notes": {`"up" is neither asc nor desc`},
			},
		},
		"digests are pinned, and refreshed at the shorter interval": {
			yaml: fluxRepository(plain) + fluxPolicy("a", semver+", digestReflectionPolicy: IfNotPresent") +
				fluxPolicy("b", semver+", digestReflectionPolicy: Always, interval: 1m") + fluxPolicy("c", semver+", digestReflectionPolicy: Always, interval: 1h") +
				fluxPolicy("d", semver+", digestReflectionPolicy: Sometimes"),
			want: map[string][]string{
				"policies/a.yaml": {"pin: digest", "!refreshDigest"}, "policies/b.yaml": {"pin: digest", "refreshDigest: true", `"@every 1m"`},
				"policies/c.yaml": {"refreshDigest: true", "!schedule"}, "policies/d.yaml": {"!pin: digest\n"}, "notes": {`"Sometimes" is unknown`},
			},
		},
		"an expression that does not compile, or a group that is not there, makes a comment of the policy": {
			yaml: fluxRepository(plain) + fluxPolicy("a", semver+", filterTags: {pattern: '('}") + fluxPolicy("b", semver+", filterTags: {pattern: 'v(.*)', extract: '$2'}") +
				fluxPolicy("c", semver+", filterTags: {extract: '$1'}"),
			want: map[string][]string{
				"policies/a.yaml": {"# apiVersion", "#   filter:", "TODO"}, "policies/b.yaml": {"# apiVersion"}, "policies/c.yaml": {"# apiVersion"},
				"notes": {"bad expression", "does not have", "there is no pattern to extract from"},
			},
		},
		"what postBuild would replace makes a comment of the policy": {
			yaml: fluxRepository("image: '${registry}/web', interval: 1m") + fluxPolicy("web", semver) + fluxPolicy("api", "policy: {semver: {range: '${range}'}}"),
			want: map[string][]string{"policies/web.yaml": {"# apiVersion", "TODO: image:"}, "policies/api.yaml": {"# apiVersion"}},
		},
		"no selector, or two, is none": {
			yaml: fluxRepository(plain) + fluxPolicy("a", "policy: {}") + fluxPolicy("b", "policy: {semver: {range: 1.x}, numerical: {}}"),
			want: map[string][]string{"notes": {"policy: 0 selectors", "policy: 2 selectors"}, "policies/b.yaml": {"# apiVersion"}},
		},
		"a policy without its repository is a comment": {
			yaml: fluxPolicy("web", semver),
			want: map[string][]string{"policies/web.yaml": {`#   image: ""`}, "notes": {"there is no ImageRepository apps/web"}},
		},
		"a repository without a policy, and a patch of kustomize, are noted": {
			yaml: fluxRepository(plain) + "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec: {suspend: true}\n",
			want: map[string][]string{"notes": {"no ImagePolicy names it", "incomplete (a patch of kustomize?)"}, "policies/web.yaml": {"!a"}},
		},
		"objects in a list, with CRLF and a byte order mark, are read": {
			yaml: "\ufeff" + strings.ReplaceAll("apiVersion: v1\nkind: List\nitems:\n- apiVersion: image.toolkit.fluxcd.io/v1\n  kind: ImageRepository\n  metadata: {name: web}\n  spec: {image: a/b, interval: 1m}\n"+
				"- apiVersion: image.toolkit.fluxcd.io/v1\n  kind: ImagePolicy\n  metadata: {name: web}\n  spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: 1.x}}, strange: 1}\n", "\n", "\r\n"),
			want: map[string][]string{"policies/web.yaml": {"image: a/b"}, "notes": {"objects/all.yaml:11: ImagePolicy/web: strange: unknown"}},
		},
		"a template is noted, and takes no other document along": {
			yaml: "apiVersion: image.toolkit.fluxcd.io/v1\nkind: {{ .Kind }}\n{{ if }}\n---\n" + fluxRepository(plain) + fluxPolicy("web", semver),
			want: map[string][]string{"notes": {"objects/all.yaml:1: not valid YAML"}, "policies/web.yaml": {"image: ghcr.io/acme/web"}},
		},
		"a name that leads elsewhere does not": {
			yaml: fluxRepository(plain) + fluxPolicy("../../X_y", semver) + fluxPolicy("pipeline", semver),
			want: map[string][]string{"policies/x-y.yaml": {"name: x-y"}, "policies/pipeline-2.yaml": {"name: pipeline"}, "notes": {`"../../X_y" is no name here`}},
		},
		"what is there is left": {
			files: map[string]string{
				"policies/a.yaml": "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec: {image: a/b, select: {semver: {range: 2.x}}}\n",
				"policies/b.yaml": "# mine\n", "envs/x.yaml": "a: b\n",
				"policies/p.yaml": "apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: p}\nspec: {branch: main, environments: [{name: e, path: e, update: {policies: ['*']}, merge: push}]}\n",
				"policies/f.yaml": fluxPolicy("flux", semver),
			},
			yaml: fluxRepository(plain) + fluxPolicy("web", semver) + fluxPolicy("b", semver) + fluxPolicy("c", semver) + fluxAutomation("a", "update: {path: envs}"),
			want: map[string][]string{
				"policies/web.yaml": {"!a"}, "policies/b.yaml": {"!a"}, "policies/c.yaml": {"name: c"}, "policies/pipeline.yaml": {"!a"},
				"notes": {"a policy web is there already, in policies/a.yaml", "policies/b.yaml is there already", "policies/p.yaml: a pipeline is there already", "policies/f.yaml:1: ImagePolicy/flux: every document in policies/ is read as Towpath's"},
			},
		},
	} {
		e.run(t, name, Flux)
	}
}

func TestNamesOfFlux(t *testing.T) {
	one := fluxRepository("image: ghcr.io/acme/web, interval: 1m") + fluxPolicy("web", "policy: {semver: {range: 1.x}}")
	other := strings.ReplaceAll(strings.ReplaceAll(one, "namespace: apps", "namespace: team"), "acme", "team")
	marker := func(ns string) string { return "image: a/b:1.0.0 # {\"$imagepolicy\": \"" + ns + ":web\"}\n" }
	cluster := func(r string) string {
		return strings.ReplaceAll(strings.ReplaceAll(one, "1.x", r), "namespace: apps", "namespace: flux-system")
	}
	for name, e := range map[string]example{
		"two that say the same are one": {
			yaml: one + strings.ReplaceAll(one, "namespace: apps", "namespace: team"),
			want: map[string][]string{"policies/web.yaml": {"image: ghcr.io/acme/web"}, "notes": {"!another"}},
		},
		"the one that all markers mean keeps its name": {
			files: map[string]string{"x/a.yaml": marker("team")}, yaml: one + other,
			want: map[string][]string{"policies/web.yaml": {"ghcr.io/team/web"}, "policies/web-apps.yaml": {"ghcr.io/acme/web"}, "notes": {"this one is web-apps now\n"}},
		},
		"if there is no such one, both get names of their own, and the markers are listed": {
			files: map[string]string{"x/a.yaml": marker("team"), "y/b.yaml": marker("apps")}, yaml: one + other,
			want: map[string][]string{
				"policies/web.yaml": {"!a"}, "policies/web-apps.yaml": {"TODO"}, "policies/web-team.yaml": {"ghcr.io/team/web"},
				"notes": {"this one is web-apps now; name it in the markers that mean it, among y/b.yaml:1", "among x/a.yaml:1"},
			},
		},
		"clusters part policies of one namespace": {
			files: map[string]string{
				"clusters/dev/flux-system/gotk-sync.yaml": "a: b\n", "clusters/prod/flux-system/gotk-sync.yaml": "a: b\n",
				"clusters/dev/i.yaml": cluster("'>=1.0.0-0'"), "clusters/prod/i.yaml": cluster("~1.2"),
				"clusters/dev/web.yaml": marker("flux-system"), "clusters/prod/web.yaml": marker("flux-system"),
				"clusters/dev/a.yaml":  strings.ReplaceAll(fluxAutomation("a", "update: {path: ./clusters/dev}, git: {checkout: {ref: {branch: main}}}"), "apps", "flux-system"),
				"clusters/prod/a.yaml": strings.ReplaceAll(fluxAutomation("a", "update: {path: ./clusters/prod}, git: {checkout: {ref: {branch: main}}}"), "apps", "flux-system"),
			},
			want: map[string][]string{
				"policies/web-dev.yaml": {">=1.0.0-0"}, "policies/web-prod.yaml": {"~1.2"}, "notes": {"among clusters/prod/web.yaml:1"},
				"policies/pipeline.yaml": {"path: clusters/dev\n      update: {policies: [web-dev]}", "path: clusters/prod\n      update: {policies: [web-prod]}", "promote instead; the markers"},
			},
		},
		"a marker that Flux ignored for its namespace comes to life, and that is said": {
			files: map[string]string{"x/a.yaml": marker("flux-system")}, yaml: one,
			want: map[string][]string{"notes": {"x/a.yaml:1: marker: it names web in namespace flux-system, but the ImagePolicy is in apps"}},
		},
	} {
		e.run(t, name, Flux)
	}
}

func TestEnvironmentsOfFlux(t *testing.T) {
	policies := fluxRepository("image: ghcr.io/acme/web, interval: 1m") + fluxPolicy("web", "policy: {semver: {range: 1.x}}") + fluxPolicy("api", "policy: {semver: {range: 2.x}}")
	const main = "git: {checkout: {ref: {branch: main}}}"
	held := strings.Replace(policies, "range: 2.x}}", "range: 2.x}}, suspend: true", 1)
	source := "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: x, namespace: apps}\nspec: {url: https://git.example/x}\n---\n"
	marked := "image: a/b:1.0.0 # {\"$imagepolicy\": \"apps:web\"}\n"
	tree := map[string]string{"envs/dev/web/x.yaml": marked, "envs/prod/web/x.yaml": marked, "infra/x.yaml": marked, "top.yaml": "a: b\n"}
	for name, e := range map[string]example{
		"the same branch is a push": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: ./envs/dev}, git: {checkout: {ref: {branch: main}}, push: {branch: main}}"),
			want: map[string][]string{"policies/pipeline.yaml": {"branch: main\n", "name: dev\n", "path: envs/dev\n", `policies: ["*"]`, "merge: push", "!TODO"}},
		},
		"another branch, Gerrit's refs and GitLab's options are pull requests": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: ./envs/dev}, git: {checkout: {ref: {branch: main}}, push: {branch: updates}}") +
				fluxAutomation("b", "update: {path: ./envs/prod}, git: {checkout: {ref: {branch: main}}, push: {refspec: 'refs/heads/main:refs/for/main'}}") +
				fluxAutomation("c", "update: {path: ./infra}, git: {checkout: {ref: {branch: main}}, push: {options: {merge_request.create: ''}}}"),
			want: map[string][]string{"policies/pipeline.yaml": {"!merge: push", "path: infra\n"}, "notes": {"git.push.branch: Flux pushed", "git.push: Flux pushed"}},
		},
		"a suspended policy enters nowhere, but its markers stay valid": {
			files: tree, yaml: held + fluxAutomation("a", "update: {path: envs/dev}, "+main),
			want: map[string][]string{"policies/api.yaml": {"kind: ImagePolicy", "!# kind", "TODO: suspend"}, "policies/pipeline.yaml": {"policies: [web]"}},
		},
		"a suspended automation is a comment, and the pipeline too when nothing else is in it": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: envs/dev}, suspend: true, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"# apiVersion", "#     - name: dev", "TODO: suspend"}},
		},
		"one of two is a comment alone": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: envs/dev}, suspend: true, "+main) + fluxAutomation("b", "update: {path: envs/prod}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"\napiVersion", "    # - name: dev\n    #   path: envs/dev", "    - name: prod", "!from: [dev]"}},
		},
		"the whole repository is what is marked in it": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: ./}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"path: envs/dev\n", "path: envs/prod\n", "path: infra\n"}, "notes": {"holds several folders with markers"}},
		},
		"a folder of stages is each of them": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: envs}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"path: envs/dev\n", "path: envs/prod\n", "!path: envs\n", "from: [dev]"}},
		},
		"the whole repository without a marker says to write environments": {
			files: map[string]string{"x/a.yaml": "a: b\n"}, yaml: policies + fluxAutomation("a", main),
			want: map[string][]string{"policies/pipeline.yaml": {"# apiVersion"}, "notes": {"it is the whole repository, and nothing in it is marked"}},
		},
		"an environment inside another is part of it": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: envs/dev}, "+main) + fluxAutomation("b", "update: {path: envs/dev/web}, policySelector: {matchLabels: {a: b}}, "+main) +
				fluxAutomation("c", "update: {path: envs/dev/web}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"    # - name: web", "    - name: dev"}, "notes": {"path envs/dev/web is inside envs/dev", "no policy that works belongs to it"}},
		},
		"a folder that is not there is a comment": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: ../../nowhere}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"#       path: nowhere"}, "notes": {"there is no YAML in nowhere"}},
		},
		"the branch is the GitRepository's when nothing else is said, and Flux's default when that says nothing": {
			files: tree, yaml: policies + source + fluxAutomation("a", "update: {path: envs/dev}"),
			want: map[string][]string{"policies/pipeline.yaml": {"branch: master\n"}, "notes": {"!no GitRepository"}},
		},
		"a branch that nobody names is said": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: envs/dev}"),
			want: map[string][]string{"policies/pipeline.yaml": {"branch: main\n", "TODO: git.checkout.ref: neither"}, "notes": {"there is no GitRepository apps/x"}},
		},
		"a file as path is its folder": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: envs/dev/web/x.yaml}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"path: envs/dev/web\n"}},
		},
		"what is said of several environments is said once, above them": {
			files: tree, yaml: policies + fluxAutomation("a", "update: {path: envs}, git: {checkout: {ref: {branch: main}}, commit: {author: {name: x}}, push: {branch: updates}}") +
				fluxAutomation("b", "update: {path: infra}, git: {checkout: {ref: {branch: main}}, commit: {author: {name: x}}, push: {options: {x: y}}}"),
			want: map[string][]string{"policies/pipeline.yaml": {"# TODO: git.commit.author", "# TODO: git.push.branch", "\n    # TODO: git.push.options", "!\n    # TODO: git.commit", "!\n    # TODO: git.push.branch"}},
		},
		"a base that overlays build on says what a change in it does": {
			files: map[string]string{"apps/base/web/x.yaml": marked, "apps/staging/kustomization.yaml": "resources: [../base/web]\n", "apps/staging/x.yaml": marked,
				"apps/production/kustomization.yaml": "resources:\n- ../base/web\n- https://x.example/y\n", "apps/production/x.yaml": marked},
			yaml: policies + fluxAutomation("a", "update: {path: apps}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"TODO: update.path: apps/base is a base", "path: apps/base\n"}, "notes": {"apps/base is a base that apps/production, apps/staging build on", "!apps/staging is a base"}},
		},
		"a comment keeps the policies that it would have, so that taking the # away is enough": {
			files: tree, yaml: strings.ReplaceAll(policies, "kind: ImageRepository", "kind: Other") + fluxAutomation("a", "update: {path: envs/dev}, "+main),
			want: map[string][]string{"policies/pipeline.yaml": {"#       update: {policies: [api, web]}", "!policies: []"}},
		},
		"policies alone make no pipeline": {
			yaml: policies,
			want: map[string][]string{"policies/pipeline.yaml": {"!a"}, "notes": {"there is no ImageUpdateAutomation in these files"}},
		},
	} {
		e.run(t, name, Flux)
	}
}

func TestABranchThatNothingNamesIsTheOneCheckedOut(t *testing.T) {
	files := []patch.File{{Path: "envs/dev/x.yaml", Data: []byte("a: b\n")}, {Path: "objects/all.yaml", Data: []byte(
		fluxRepository("image: ghcr.io/acme/web, interval: 1m") + fluxPolicy("web", "policy: {semver: {range: 1.x}}") + fluxAutomation("a", "update: {path: envs/dev}") +
			strings.Replace(application("a", "envs/dev", "image-list: w=x/w:1.x", "write-back-method: git"), "targetRevision: main, ", "", 1))}}
	for _, run := range []func([]patch.File, string) Result{Flux, ImageUpdater} {
		config := loads(t, files, run(files, "trunk"))
		if len(config.Pipelines) != 1 || config.Pipelines[0].Branch != "trunk" {
			t.Errorf("the pipelines are %+v", config.Pipelines)
		}
	}
}

func TestNothingToMigrateIsSaidByTheCount(t *testing.T) {
	for _, run := range []func([]patch.File, string) Result{Flux, ImageUpdater} {
		if r := run([]patch.File{{Path: "a.yaml", Data: []byte("a: b # image.toolkit.fluxcd.io argoproj.io\n")}}, ""); r.Objects != 0 || len(r.Files) != 0 || len(r.Notes) != 0 {
			t.Errorf("of nothing comes %+v", r)
		}
	}
}
