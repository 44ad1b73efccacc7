package migrate

import (
	"fmt"
	"strings"
	"testing"
)

// application is an Application at a folder, with annotations "key: value" a line.
func application(name, dir string, annotations ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: %s\n  annotations:\n    other.example/x: y\n", name)
	for _, a := range annotations {
		fmt.Fprintf(&b, "    argocd-image-updater.argoproj.io/%s\n", a)
	}
	fmt.Fprintf(&b, "spec:\n  source: {repoURL: https://user:secret@git.example/x.git, targetRevision: main, path: %s}\n---\n", dir)
	return b.String()
}

func TestImagesOfImageUpdater(t *testing.T) {
	tree := map[string]string{"envs/dev/web/x.yaml": "a: b\n", "envs/prod/web/x.yaml": "a: b\n"}
	const git = "write-back-method: git"
	for name, e := range map[string]example{
		"an alias names the policy, a constraint is its range": {
			files: tree, yaml: application("a", "envs/dev", "image-list: Web_1=ghcr.io/acme/web:~1.4", git),
			want: map[string][]string{"policies/web-1.yaml": {"image: ghcr.io/acme/web\n", `range: "~1.4"`}, "policies/pipeline.yaml": {"name: dev", "!TODO"}, "notes": {"!Web"}},
		},
		"without an alias the image names it, without a constraint every version counts": {
			files: tree, yaml: application("a", "envs/dev", `image-list: "localhost:5000/acme/web, nginx:>=1.2 <2, redis@sha256:0"`, git),
			want: map[string][]string{"policies/web.yaml": {"image: localhost:5000/acme/web\n", `range: "*"`}, "policies/nginx.yaml": {`range: ">=1.2 <2"`}, "policies/redis.yaml": {"image: redis\n"}},
		},
		"an alias is no constraint, and a constraint no alias": {
			files: tree, yaml: application("a", "envs/dev", `image-list: "x=nginx:>=1.2"`, git),
			want: map[string][]string{"policies/x.yaml": {"image: nginx\n", `range: ">=1.2"`}},
		},
		"digest follows the tag behind the image, and needs one": {
			files: tree, yaml: application("a", "envs/dev", "image-list: a=x/a:main, b=x/b", "update-strategy: digest", "ignore-tags: main", git),
			want: map[string][]string{"policies/a.yaml": {"digest: {tag: main}", "!exclude"}, "policies/b.yaml": {"# apiVersion"}, "notes": {"they mean nothing; drop them", "needs the tag to follow"}},
		},
		"alphabetical has two names, and no constraint": {
			files: tree, yaml: application("a", "envs/dev", "image-list: a=x/a, b=x/b:1.x", "a.update-strategy: name", "b.update-strategy: alphabetical", git),
			want: map[string][]string{"policies/a.yaml": {"alphabetical: {order: newest}"}, "policies/b.yaml": {"alphabetical: {order: newest}", "TODO"}, "notes": {"the constraint 1.x means nothing"}},
		},
		"the newest build has no equal, nor has what nobody knows": {
			files: tree, yaml: application("a", "envs/dev", "image-list: a=x/a, b=x/b, c=x/c", "a.update-strategy: latest", "b.update-strategy: newest-build", "c.update-strategy: random", git),
			want: map[string][]string{"policies/a.yaml": {"# kind"}, "policies/b.yaml": {"# kind"}, "policies/c.yaml": {"# kind"},
				"policies/pipeline.yaml": {"# apiVersion", "no policy that works belongs to it"}, "notes": {`"random" is unknown`}},
		},
		"tags are allowed by an expression and ignored by patterns of shells": {
			files: tree, yaml: application("a", "envs/dev", "image-list: a=x/a, b=x/b, c=x/c", `a.allow-tags: "regexp: ^v[0-9]+$"`, `a.ignore-tags: 'v1, v2*, v?.[0-9], v\.x'`,
				"b.allow-tags: any", "b.ignore-tags: '[a'", "c.allow-tags: v*", git),
			want: map[string][]string{
				"policies/a.yaml": {`pattern: '^v[0-9]+$'`, `exclude: ["v1", "/^v2.*$/", '/^v.\.[0-9]$/', '/^v\.x$/']`},
				"policies/b.yaml": {"!filter", "# apiVersion"}, "policies/c.yaml": {"# apiVersion"}, "notes": {`ignore-tags: "[a" is no pattern`, `allow-tags: "v*" is neither`},
			},
		},
		"platforms and pull secrets": {
			files: tree, yaml: application("a", "envs/dev", "image-list: a=x/a, b=x/b, c=x/c, d=x/d", "a.platforms: linux/amd64", "b.platforms: 'linux/amd64, linux/arm64'", "c.platforms: amd64",
				"a.pull-secret: pullsecret:argocd/reg", "b.pull-secret: secret:argocd/reg#x", "c.pull-secret: 'ext:/x.sh'", "d.pull-secret: what", git),
			want: map[string][]string{
				"policies/a.yaml": {"platforms: [linux/amd64]\n", "--pull-secret reg"}, "policies/b.yaml": {"platforms: [linux/amd64, linux/arm64]", "TODO: platforms"},
				"policies/c.yaml": {"!platforms:\n"}, "notes": {"credential helper", "usernameFile", `platform "amd64" is not`, "see docs/guides/registries.md"},
			},
		},
		"one image with the same wish in two places is one policy, with another it is two": {
			files: tree, yaml: application("a", "envs/dev", "image-list: w=x/w:1.x", git) + application("b", "envs/prod", "image-list: w=x/w:1.x", git) + application("c", "envs/prod/web", "image-list: w=x/w:~1.1", git),
			want: map[string][]string{"policies/w.yaml": {`"1.x"`, "Application/a", "Application/b"}, "policies/w-prod.yaml": {`"~1.1"`}, "policies/pipeline.yaml": {"update: {policies: [w]}", `update: {policies: ["*"]}`}},
		},
		"Helm keys that adopt does not know are named with their place": {
			files: map[string]string{"envs/dev/values.yaml": "a:\n  box: x\n  rel: y\n", "envs/dev/x.yaml": "a: b\n"},
			yaml: application("a", "envs/dev", "image-list: a=x/a, b=x/b, c=x/c, d=x/d", "a.helm.image-name: a.box", "a.helm.image-tag: a.rel", "b.helm.image-name: b.repository", "b.helm.image-tag: b.tag",
				"c.helm.image-spec: c.gone", "write-back-target: helmvalues:values.yaml", git),
			want: map[string][]string{"notes": {`a.box of envs/dev/values.yaml:2 is a part of an image; write "# towpath: a:name"`, `envs/dev/values.yaml:3`, "!b.repository", `c.gone of envs/dev/values.yaml is a part of an image; write "# towpath: c"`, "!towpath: d"}},
		},
		"a template is no image": {
			yaml: "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: set}\nspec:\n  template:\n    metadata:\n      name: '{{name}}'\n      annotations:\n        argocd-image-updater.argoproj.io/image-list: 'a=x/a:1.x, b=x/{{name}}'\n" +
				"    spec:\n      source: {repoURL: x, path: 'envs/{{name}}'}\n",
			want: map[string][]string{"policies/a.yaml": {"x/a"}, "policies/b.yaml": {"!a"}, "notes": {"is a template; write a policy", "is a template, so its folders are not known", "no application's folder is in these files"}},
		},
		"an annotation that nobody knows, or of an alias that is not listed, is noted": {
			files: tree, yaml: application("a", "envs/dev", "image-list: a=x/a", "a.colour: red", "z.update-strategy: semver", git) + application("b", "envs/prod", "update-strategy: semver"),
			want: map[string][]string{"notes": {"a.colour: unknown", "z.update-strategy: unknown", "Application/b: update-strategy: unknown", "!other.example"}},
		},
	} {
		e.run(t, name, ImageUpdater)
	}
}

func TestEnvironmentsOfImageUpdater(t *testing.T) {
	tree := map[string]string{"envs/dev/web/x.yaml": "a: b\n", "envs/prod/web/x.yaml": "a: b\n", "apps/web/x.yaml": "a: b\n", "apps/api/x.yaml": "a: b\n", "lone/web/x.yaml": "a: b\n", "lone/more/x.yaml": "a: b\n",
		"charts/c/Chart.yaml": "a: b\n"}
	const list, git = "image-list: w=x/w:1.x", "write-back-method: git"
	for name, e := range map[string]example{
		"a folder named like a stage is the environment": {
			files: tree, yaml: application("a", "envs/dev/web", list, git),
			want: map[string][]string{"policies/pipeline.yaml": {"name: dev\n", "path: envs/dev\n", "branch: main\n"}},
		},
		"a folder that holds nothing but applications is one, another is not": {
			files: tree, yaml: application("a", "apps/web", list, git) + application("b", "apps/api", list, git) + application("c", "lone/web", list, git),
			want: map[string][]string{"policies/pipeline.yaml": {"path: apps\n", "path: lone/web\n"}},
		},
		"a branch for people to merge is a pull request": {
			files: tree, yaml: application("a", "envs/dev", list, git, "git-branch: main:updates-{{.SHA256}}") + application("b", "envs/prod", list, git, "git-branch: main"),
			want: map[string][]string{"policies/pipeline.yaml": {"path: envs/dev\n      update: {policies: [\"*\"]}\n      merge: approval", "merge: push"}},
		},
		"another branch is a comment": {
			files: tree, yaml: application("a", "envs/dev", list, git) + application("b", "envs/prod", list, git, "git-branch: release") + application("c", "apps/web", list, git),
			want: map[string][]string{"policies/pipeline.yaml": {"# - name: prod"}, "notes": {"one pipeline has one branch, main, and this one is release"}},
		},
		"a chart is a comment": {
			files: tree, yaml: application("a", "charts/c", list, git),
			want: map[string][]string{"policies/pipeline.yaml": {"# apiVersion"}, "notes": {"charts/c is a chart"}},
		},
		"a folder of another repository is noted, without its password": {
			files: tree, yaml: application("a", "else/where", list, git),
			want: map[string][]string{"policies/pipeline.yaml": {"!a"}, "policies/w.yaml": {"x/w"}, "notes": {"there is no YAML in else/where", "(https://git.example/x.git)", "!secret"}},
		},
		"what changed the cluster only is said": {
			files: tree, yaml: application("a", "envs/dev", list) + application("b", "envs/prod", list, "write-back-method: magic"),
			want: map[string][]string{"notes": {"argocd changed the Application in the cluster", `"magic" is unknown`}},
		},
		"several sources have several folders, and a chart none": {
			files: tree, yaml: strings.Replace(application("a", "x", list, git), "source: {repoURL: https://user:secret@git.example/x.git, targetRevision: main, path: x}",
				"sources: [{repoURL: a, chart: c, targetRevision: 1.0.0}, {repoURL: b, path: envs/dev, targetRevision: HEAD}, {repoURL: b, path: ./envs/prod/}]", 1),
			want: map[string][]string{"policies/pipeline.yaml": {"path: envs/dev\n", "path: envs/prod\n", "TODO: source.targetRevision: it names no branch", "!1.0.0"}},
		},
		"what was written over the manifests is noted": {
			files: map[string]string{"envs/dev/.argocd-source-a.yaml": "a: b\n"}, yaml: application("a", "envs/dev", list, git),
			want: map[string][]string{"notes": {"envs/dev/.argocd-source-a.yaml: Application/a: Image Updater wrote its choice into this file"}},
		},
		"each app is promoted along its own line, and the names of a line are alike": {
			files: map[string]string{"apps/web/overlays/dev/x.yaml": "a: b\n", "apps/web/overlays/staging/x.yaml": "a: b\n", "apps/web/overlays/prod/x.yaml": "a: b\n",
				"apps/api/overlays/dev/x.yaml": "a: b\n", "apps/api/overlays/prod/x.yaml": "a: b\n", "apps/lone/overlays/prod-eu/x.yaml": "a: b\n"},
			yaml: application("web-dev", "apps/web/overlays/dev", list, git) + application("web-staging", "apps/web/overlays/staging", list, git) + application("web-prod", "apps/web/overlays/prod", list, git) +
				application("api-dev", "apps/api/overlays/dev", "image-list: a=x/a:1.x", git) + application("api-prod", "apps/api/overlays/prod", "image-list: a=x/a:1.x", git) +
				application("lone", "apps/lone/overlays/prod-eu", "image-list: l=x/l:1.x", git),
			want: map[string][]string{"policies/pipeline.yaml": {
				"name: web-dev\n", "from: [web-dev] and gates: {healthy: {}} in place of update to promote instead.\n    - name: web-staging\n", "from: [web-staging] and gates: {healthy: {}} in place of update to promote instead.\n    - name: web-prod\n",
				"name: api-dev\n", "from: [api-dev] and gates: {healthy: {}} in place of update to promote instead.\n    - name: api-prod\n", "!instead.\n    - name: prod-eu", "    - name: prod-eu\n",
			}},
		},
		"a comment names the policies that it would have": {
			files: tree, yaml: application("a", "envs/dev", "image-list: a=x/a, b=x/b", "update-strategy: latest", git),
			want: map[string][]string{"policies/pipeline.yaml": {"#       update: {policies: [a, b]}", "!policies: []"}},
		},
		"a pull request is one here, too": {
			files: tree, yaml: application("shop", "envs/dev") + "apiVersion: argocd-image-updater.argoproj.io/v1alpha1\nkind: ImageUpdater\nmetadata: {name: u}\nspec:\n" +
				"  writeBackConfig: {method: git, gitConfig: {branch: main, pullRequest: {github: {}}}}\n  applicationRefs:\n  - {namePattern: 's*', images: [{alias: w, imageName: 'x/w:1.x'}, {alias: none}]}\n",
			want: map[string][]string{"policies/pipeline.yaml": {"merge: approval"}, "policies/w.yaml": {`"1.x"`}, "notes": {"pullRequest: here each app", "an image without imageName"}},
		},
		"another kind of Image Updater is noted": {
			yaml: "apiVersion: argocd-image-updater.argoproj.io/v2\nkind: Surprise\nmetadata: {name: u}\n",
			want: map[string][]string{"notes": {"Surprise/u: kind: unknown"}},
		},
	} {
		e.run(t, name, ImageUpdater)
	}
}
