package adopt

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/patch"
)

const digest = "sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"

// TestEverySourceIsFound says for each source what is marked ("line part value") and
// what is left ("line: value: reason").
func TestEverySourceIsFound(t *testing.T) {
	pod := func(rest string) string { return "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n" + rest }
	for _, c := range []struct {
		name, path, yaml string
		want             []string
	}{
		{"containers of every kind", "k/a.yaml", pod("spec:\n  initContainers:\n  - image: a:1.0\n  containers:\n  - image: b:1.0\n  ephemeralContainers:\n  - image: 'c:1.0'\n"),
			[]string{"6 ref a:1.0", "8 ref b:1.0", "10 ref c:1.0"}},
		{"image volumes", "k/a.yaml", pod("spec:\n  volumes:\n  - name: x\n    image: {reference: a:1.0}\n"), []string{"7 ref a:1.0"}},
		{"a CronJob's template", "k/a.yaml", "apiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - image: a:1.0\n", []string{"9 ref a:1.0"}},
		{"items of a List", "k/a.yaml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  spec:\n    image: a:1.0\n- spec:\n    image: b:1.0\n", []string{"7 ref a:1.0", "9 ref b:1.0"}},
		{"several documents", "k/a.yaml", pod("image: a:1.0\n---\n") + pod("image: b:1.0\n"), []string{"4 ref a:1.0", "9 ref b:1.0"}},
		{"custom resources", "k/a.yaml", "apiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nspec:\n  image: quay.io/prometheus/prometheus:v2.50.0\n  version: v2.50.0\n", []string{"4 ref quay.io/prometheus/prometheus:v2.50.0"}},
		{"a custom resource with a pair", "k/a.yaml", "apiVersion: x.io/v1\nkind: X\nspec:\n  image:\n    repository: a/b\n    tag: v1.0.0\n", []string{"6 tag v1.0.0"}},
		{"a picture is no image", "k/a.yaml", "apiVersion: x.io/v1\nkind: X\nspec:\n  image: https://x.io/logo.png\n", nil},
		{"a definition's default is none", "k/a.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec:\n  image: a:1.0\n", nil},
		{"arguments named image", "k/a.yaml", pod("spec:\n  containers:\n  - args:\n    - --sidecar-image=a:1.0\n    - --image-pull=b:1.0\n    - --x=c:1.0\n"), []string{"7 ref --sidecar-image=a:1.0", "8: --image-pull=b:1.0: " + isMention}},
		{"digests", "k/a.yaml", pod("spec:\n- image: a:1.0@" + digest + "\n- image: b@" + digest + "\n"),
			[]string{"5 ref a:1.0@" + digest, "6: b@" + digest + ": " + hasDigestOnly}},
		{"no tag", "k/a.yaml", pod("spec:\n- image: nginx\n"), []string{"5: nginx: " + hasNoTag}},
		{"no reference", "k/a.yaml", pod("spec:\n- image: Not One\n"), []string{"5: Not One: it is no image reference"}},
		{"variables", "k/a.yaml", pod("spec:\n- image: ${REGISTRY}/a:1.0\n- image: a:$(TAG)\n- image: '{{ .x }}:1'\n"),
			[]string{"5: ${REGISTRY}/a:1.0: " + isVariable, "6: a:$(TAG): " + isVariable, "7: {{ .x }}:1: " + isVariable}},
		{"an alias marks its anchor", "k/a.yaml", pod("x-image: &i a:1.0\nspec:\n- image: *i\n- image: *i\n"), []string{"4 ref a:1.0"}},
		{"several on one line", "k/a.yaml", pod("spec: [{image: a:1.0}, {image: b:1.0}]\n"),
			[]string{"4: a:1.0: several references, or parts of one, are on this line, and a line has one marker", "4: b:1.0: several references, or parts of one, are on this line, and a line has one marker"}},
		{"a text", "k/a.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  pod.yaml: |\n    spec:\n      image: a:1.0 # x\n", []string{"6: a:1.0: " + isText}},
		{"a block", "k/a.yaml", pod("spec:\n  image: >-\n    a:1.0\n"), []string{"5: a:1.0: it is written as a block"}},
		{"another tool's directive", "k/a.yaml", pod("image: a:1.0 # renovate: x\n"), []string{"4: a:1.0: the comment is another tool's (renovate:)"}},
		{"a comment that may be a mistyped marker", "k/a.yaml", pod("spec:\n- image: a:1.0 # Towpath: web\n- image: b:1.0 # towpath web\n- image: c:1.0 # tow-path: web\n- image: d:1.0 # {\"$imagePolicy\": \"x:y\"}\n- image: e:1.0 # {\"imagepolicy\": \"x:y\"}\n- image: f:1.0 # pulled by towpath\n- image: g:1.0 # Towpath does not manage this yet\n"),
			[]string{"10 ref f:1.0", "11 ref g:1.0", "5: a:1.0: " + isMistyped, "6: b:1.0: " + isMistyped, "7: c:1.0: " + isMistyped, "8: d:1.0: " + isMistyped, "9: e:1.0: " + isMistyped}},
		{"a marker in a text", "k/a.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  x: |\n    a: b # towpath: web\n", []string{"5: : there is a marker that cannot work: the marker is inside a block scalar, which is text and not YAML"}},
		{"an encrypted file", "k/a.yaml", pod("image: a:1.0\nsops:\n  version: 3.8.1\n"), []string{"4: a:1.0: " + isEncrypted}},
		{"a chart without a name", "k/a.yaml", "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  chart:\n    spec:\n      version: 1.x\n", []string{"6: 1.x: a chart's version is not an image"}},
		{"a file that was generated", "k/a.yaml", "# This file is autogenerated\n" + pod("image: a:1.0\n"), []string{"5: a:1.0: the file says that it is generated"}},
		{"a file that nobody should edit", "k/a.yaml", "# Do not manually edit.\n" + pod("image: a:1.0\n"), []string{"5: a:1.0: the file says that it is generated"}},
		{"a marker that cannot work", "k/a.yaml", pod("image: a:1.0 # towpath: a:nope\n"), []string{`4: a:1.0: it has a marker that cannot work: unknown part "nope"`}},
		{"a file that says it is generated", "k/a.yaml", "# Code generated. DO NOT EDIT.\n" + pod("image: a:1.0\n"), []string{"5: a:1.0: the file says that it is generated"}},
		{"what is no YAML", "k/a.yaml", pod("image: a:1.0\n{{- if x }}\nb: [\nimage: c:1.0\n"), []string{"4: a:1.0, c:1.0: the file cannot be read as YAML: line 5: could not find expected ':'"}},

		{"kustomize", "k/kustomization.yaml", "images:\n- name: a\n  newTag: '1.0'\n- name: b\n  newName: x/b\n  newTag: v1.0.0@" + digest + "\n- name: c\n  newName: x/c:1.0\n",
			[]string{"3 tag 1.0", "6 tag v1.0.0@" + digest, "8 ref x/c:1.0"}},
		{"kustomize without a tag", "k/kustomization.yaml", "images:\n- name: a\n  newName: x/a\n", []string{"3: x/a: the entry has neither newTag nor digest"}},
		{"kustomize with both", "k/kustomization.yaml", "images:\n- name: a\n  newTag: 1.0.0\n  digest: " + digest + "\n", []string{"3: a: it has newTag and digest, and kustomize ignores newTag then"}},
		{"kustomize with a digest", "k/kustomization.yaml", "images:\n- name: a\n  digest: " + digest + "\n", []string{"3: a@" + digest + ": " + hasDigestOnly}},
		{"a kustomize Component", "k/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nimages:\n- {name: a, newTag: 1.0.0}\n", []string{"4 tag 1.0.0"}},
		{"Flux's Kustomization", "k/a.yaml", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  images:\n  - name: a\n    newTag: 1.0.0\n", []string{"6 tag 1.0.0"}},

		{"Helm values", "k/values-dev.yaml", "image:\n  registry: x.io\n  repository: a\n  tag: 1.0.0\n  digest: " + digest + "\nsidecar:\n  repository: b\n  tag: 1.0.0\nimageX:\n  name: c\n  tag: 1.0.0\n",
			[]string{"4 tag 1.0.0", "5 digest " + digest, "8 tag 1.0.0", "11 tag 1.0.0"}},
		{"Helm values with image: for the repository", "k/values.yaml", "controller:\n  image:\n    registry: registry.k8s.io\n    image: ingress-nginx/controller\n    tag: v1.9.5\n    digest: " + digest + "\n",
			[]string{"5 tag v1.9.5", "6 digest " + digest}},
		{"Helm values with sha", "k/values.yaml", "image:\n  repository: a\n  tag: 1.0.0\n  sha: " + digest[7:] + "\nb:\n  repository: b\n  tag: 1.0.0\n  sha: \"\"\n",
			[]string{"7 tag 1.0.0", "3: a:1.0.0: beside it stands sha, the digest of this very tag, which no marker can write"}},
		{"a repository of Git is no image", "k/values.yaml", "git:\n  repository: acme/shop\n  tag: 1.0.0\ngitSync:\n  repository: acme/shop\n  tag: 1.0.0\n", nil},
		{"Helm values at the top", "k/values.yaml", "repository: a\ntag: 1.0.0\n", []string{"2 tag 1.0.0"}},
		{"Helm values as texts", "k/my.values.yml", "image: a:1.0.0\nsidecarImage: b:1.0.0\nx:\n  image: c\n  imageTag: 1.0.0\n", []string{"1 ref a:1.0.0", "2 ref b:1.0.0", "5 tag 1.0.0"}},
		{"Helm values with a version", "k/values.yaml", "image:\n  repository: a\n  version: 1.0.0\n", []string{"3 tag 1.0.0"}},
		{"an empty digest", "k/values.yaml", "image:\n  repository: a\n  tag: 1.0.0\n  digest: \"\"\n", []string{"3 tag 1.0.0"}},
		{"the chart's appVersion", "k/values.yaml", "image:\n  repository: a\n  tag: \"\"\nb:\n  image:\n    repository: c\n",
			[]string{"3: a: " + isEmptyTag, "6: c: " + isEmptyTag}},
		{"a dependency is no image", "k/values.yaml", "deps:\n- name: redis\n  version: 1.2.3\n  repository: https://x.io/charts\n- name: db\n  version: 1.2.3\n", nil},
		{"Helm values with a tag alone", "k/values.yaml", "image:\n  tag: 1.0.0\n", []string{"2: 1.0.0: " + isTagAlone}},
		{"Helm values with a map of images", "k/values.yaml", "images:\n  web: x/web:1.0.0\n  pull: Always\n", []string{"2: x/web:1.0.0: " + isMention}},
		{"keys that adopt does not know", "k/a.yaml", "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nspec:\n  imageName: x/pg:16.2\n  imagePullPolicy: Always\n  a:\n    imageName: x/b\n    imageTag: 1.0.0\n",
			[]string{"4: x/pg:16.2: " + isMention, "8: x/b:1.0.0: " + isMention}},
		{"variables that name an image", "k/a.yaml", pod("spec:\n  containers:\n  - env:\n    - name: RELATED_IMAGE_WEB\n      value: x/web:1.0.0\n    - name: ADDRESS\n      value: host:80\n"), []string{"8: x/web:1.0.0: " + isMention}},
		{"flags that name an image", "k/a.yaml", pod("spec:\n  containers:\n  - args:\n    - --web-image\n    - x/web:1.0.0\n    - --img=x/b:1.0.0\n    - --listen\n    - host:80\n"),
			[]string{"8: x/web:1.0.0: " + isMention, "9: --img=x/b:1.0.0: " + isMention}},
		{"a Compose file", "k/docker-compose.yml", "services:\n  web:\n    image: x/web:1.0.0\n", []string{"3: x/web:1.0.0: " + isCompose}},
		{"the elements of an ApplicationSet", "k/a.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nspec:\n  generators:\n  - list:\n      elements:\n      - image: x/web:1.0.0\n", []string{"7: x/web:1.0.0: " + isMention}},
		{"other YAML is not looked at", "k/other.yaml", "image: a:1.0.0\n", nil},
		{"a chart's templates", "k/templates/a.yaml", pod("image: \"{{ .Values.image }}:{{ .Values.tag }}\" # x\n"), []string{"4: {{ .Values.image }}:{{ .Values.tag }}: the file is a template of a Helm chart"}},
		{"a HelmRelease", "k/a.yaml", "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  chart:\n    spec:\n      chart: x\n      version: 1.x\n  values:\n    image:\n      repository: a\n      tag: 1.0.0\n",
			[]string{"11 tag 1.0.0", "7: x 1.x: a chart's version is not an image"}},

		{"an Application", "k/a.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    chart: x\n    targetRevision: 1.2.3\n    kustomize:\n      images:\n      - a=x/a:1.0.0\n      - x/b:1.0.0\n      - c=x/c\n    helm:\n      parameters:\n      - {name: image.repository, value: x/d}\n      - name: image.tag\n        value: 1.0.0\n      - name: e.image\n        value: x/e:1.0.0\n      valuesObject:\n        image: x/f:1.0.0\n      values: |\n        image: g:1.0\n",
			[]string{"9 ref a=x/a:1.0.0", "10 ref x/b:1.0.0", "16 tag 1.0.0", "18 ref x/e:1.0.0", "20 ref x/f:1.0.0",
				"6: x 1.2.3: a chart's version is not an image", "11: c=x/c: " + hasNoTag, "21: helm.values: the values are a text, where nothing can be marked"}},
		{"an ApplicationSet", "k/a.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nspec:\n  template:\n    spec:\n      sources:\n      - kustomize:\n          images: ['a:1.0.0']\n      - kustomize:\n          images: ['x/a:{{tag}}']\n",
			[]string{"8 ref a:1.0.0", "10: x/a:{{tag}}: " + isVariable}},
		{"an Argo Rollout", "k/a.yaml", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec:\n  template:\n    spec:\n      containers:\n      - image: a:1.0.0\n", []string{"7 ref a:1.0.0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := []patch.File{{Path: c.path, Data: []byte(c.yaml)}}
			if strings.Contains(c.path, "/templates/") {
				files = append(files, patch.File{Path: "k/Chart.yaml"})
			}
			p := Propose(Input{Files: files})
			var got []string
			for _, m := range p.Marks {
				got = append(got, fmt.Sprintf("%d %s %s", m.Line, m.Part, m.Value))
			}
			for _, l := range p.Left {
				got = append(got, fmt.Sprintf("%d: %s: %s", l.Line, l.Value, l.Reason))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatIsThereIsUsed(t *testing.T) {
	const (
		manifest = "apiVersion: v1\nkind: Pod\n"
		web      = "apiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: shop}\nspec: {image: ghcr.io/acme/web, select: {semver: {range: \"1.x\"}}}\n"
		line     = "apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: line}\nspec: {branch: main, environments: [{name: one, path: one, merge: push, update: {policies: [shop]}}]}\n"
	)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // marks as "path:line policy", new files, left as "path:line reason"
	}{
		{"a policy that takes the tag", map[string]string{"k/a.yaml": manifest + "image: ghcr.io/acme/web:1.2.0\n", "policies/p.yaml": web},
			[]string{"k/a.yaml:3 shop", "policies/pipeline.yaml"}},
		{"not one that does not take it", map[string]string{"k/a.yaml": manifest + "image: ghcr.io/acme/web:2.0.0\n", "policies/p.yaml": web},
			[]string{"k/a.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml"}},
		{"not one whose markers hold tags of another form", map[string]string{"k/a.yaml": manifest + "image: ghcr.io/acme/web:1.2.0 # towpath: shop\n", "k/b.yaml": manifest + "image: ghcr.io/acme/web:1.2.0-alpine\n", "policies/p.yaml": web},
			[]string{"k/b.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml"}},
		{"not one that would lose a digest", map[string]string{"k/a.yaml": manifest + "image: ghcr.io/acme/web:1.2.0@" + digest + "\n", "policies/p.yaml": web},
			[]string{"k/a.yaml:3 it holds a digest, and the policy shop writes tags alone"}},
		{"a pipeline", map[string]string{"one/x/a.yaml": manifest + "image: ghcr.io/acme/web:1.2.0\n", "two/a.yaml": manifest + "image: ghcr.io/acme/web:1.2.0\n", "policies/p.yaml": web + "---\n" + line},
			[]string{"one/x/a.yaml:3 shop", "two/a.yaml:3 it is outside the directories of all environments"}},
		{"another value in the same app", map[string]string{"k/x/a.yaml": manifest + "image: ghcr.io/acme/web:1.2.0\n", "k/x/b.yaml": manifest + "image: ghcr.io/acme/web:1.3.0\n", "k/y/b.yaml": manifest + "image: ghcr.io/acme/web:1.3.0\n"},
			[]string{"k/x/a.yaml:3 web", "k/y/b.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml",
				"k/x/b.yaml:3 web has tag 1.3.0 here and 1.2.0 at k/x/a.yaml:3, and a policy has one value in an app"}},
		{"two images of one name", map[string]string{"k/a.yaml": manifest + "image: ghcr.io/acme/web:1.2.0\n", "k/b.yaml": manifest + "image: ghcr.io/other/web:1.2.0\n"},
			[]string{"k/a.yaml:3 acme-web", "k/b.yaml:3 other-web", "policies/acme-web.yaml", "policies/other-web.yaml", "policies/pipeline.yaml"}},
		{"two spellings of one image", map[string]string{"k/x/a.yaml": manifest + "image: redis:7.2\n", "k/y/a.yaml": manifest + "image: docker.io/library/redis:7.2\n"},
			[]string{"k/x/a.yaml:3 redis", "k/y/a.yaml:3 redis", "policies/pipeline.yaml", "policies/redis.yaml"}},
		{"the next major version on its way", map[string]string{"dev/a.yaml": manifest + "image: a/web:2.0.0\n", "prod/a.yaml": manifest + "image: a/web:1.9.0\n"},
			[]string{"dev/a.yaml:3 web", "prod/a.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml"}},
		{"a tag that moves, by its digest", map[string]string{"k/a.yaml": manifest + "image: a/web:main\n", "k/kustomization.yaml": "images:\n- name: b\n  newTag: main\n"},
			[]string{"k/a.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml", "k/kustomization.yaml:3 main is a tag that moves, and there is no place for its digest"}},
		{"an entry of images: before what it replaces", map[string]string{"k/a.yaml": manifest + "image: a/web:1.0.0\n", "k/kustomization.yaml": "images:\n- name: a/web\n  newTag: 1.2.0\n"},
			[]string{"k/kustomization.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml", "k/a.yaml:3 an entry of images: in the app's kustomization replaces it"}},
		{"an overlay on another environment's", map[string]string{"overlays/dev/a.yaml": manifest + "image: a/web:1.0.0\n", "overlays/dev/kustomization.yaml": "resources: [a.yaml]\n", "overlays/prod/kustomization.yaml": "resources: [../dev]\n"},
			[]string{"overlays/dev/a.yaml:3 overlays/prod/kustomization.yaml takes it, too, so a change in it would reach both environments at once"}},
		{"an overlay on another environment's, with an entry of its own", map[string]string{"overlays/dev/a.yaml": manifest + "image: a/web:1.0.0\n", "overlays/dev/kustomization.yaml": "resources: [a.yaml]\n",
			"overlays/prod/kustomization.yaml": "resources: [../dev]\nimages:\n- name: a/web\n  newTag: 1.0.0\n"},
			[]string{"overlays/dev/a.yaml:3 web", "overlays/prod/kustomization.yaml:4 web", "policies/pipeline.yaml", "policies/web.yaml"}},
		{"a base, when every overlay has an entry", map[string]string{"base/a.yaml": manifest + "image: a/web:1.0.0\n", "base/kustomization.yaml": "resources: [a.yaml]\n",
			"overlays/dev/kustomization.yaml":  "resources: [../../base]\nimages:\n- name: a/web\n  newTag: 1.0.0\n",
			"overlays/prod/kustomization.yaml": "resources: [../../base]\nimages:\n- name: a/web\n  newTag: 1.0.0\n"},
			[]string{"overlays/dev/kustomization.yaml:4 web", "overlays/prod/kustomization.yaml:4 web", "policies/pipeline.yaml", "policies/web.yaml", "base/a.yaml:3 " + hasEntry}},
		{"a base whose entry nobody takes", map[string]string{"base/a.yaml": manifest + "image: web\n", "overlays/dev/kustomization.yaml": "images:\n- name: web\n  newName: a/web\n  newTag: 1.0.0\n"},
			[]string{"overlays/dev/kustomization.yaml:4 web", "policies/pipeline.yaml", "policies/web.yaml", "base/a.yaml:3 it has no tag"}},
		{"other major versions of environments that do not follow each other", map[string]string{"teams/a/x.yaml": manifest + "image: postgres:11.1\n", "teams/b/x.yaml": manifest + "image: postgres:13.1\n"},
			[]string{"teams/a/x.yaml:3 postgres-11", "teams/b/x.yaml:3 postgres-13", "policies/pipeline.yaml", "policies/postgres-11.yaml", "policies/postgres-13.yaml"}},
		{"the next major version of one app alone", map[string]string{"dev/pin/x.yaml": manifest + "image: web:2.1.0\n", "prod/pin/x.yaml": manifest + "image: web:1.2.0\n", "dev/old/x.yaml": manifest + "image: web:1.4.0\n", "prod/old/x.yaml": manifest + "image: web:1.3.0\n"},
			[]string{"dev/old/x.yaml:3 web-1", "dev/pin/x.yaml:3 web-1-2", "prod/old/x.yaml:3 web-1", "prod/pin/x.yaml:3 web-1-2", "policies/pipeline.yaml", "policies/web-1-2.yaml", "policies/web-1.yaml"}},
		{"another form in the environment before", map[string]string{"dev/x.yaml": manifest + "image: web:v1.2.0\n", "stage/x.yaml": manifest + "image: web:1.2.0\n", "prod/x.yaml": manifest + "image: web:1.1.0\nx:\n  image: only:1.0.0\n"},
			[]string{"dev/x.yaml:3 web-1", "policies/pipeline.yaml", "policies/web-1.yaml",
				"prod/x.yaml:3 its versions come from stage, where the app root has no marker of the policy web-1-2, so it would never move",
				"prod/x.yaml:5 its versions come from stage, where the app root has no marker of the policy only, so it would never move",
				"stage/x.yaml:3 its versions come from dev, where the app root has no marker of the policy web-1-2, so it would never move (v1.2.0 is there, of the policy web-1)"}},
		{"variants of one version", map[string]string{"k/a/x.yaml": manifest + "image: web:1.2.3-arm64v8\n", "k/b/x.yaml": manifest + "image: web:1.2.3-arm32v7\n"},
			[]string{"k/a/x.yaml:3 web-1-arm64v8", "k/b/x.yaml:3 web-1-arm32v7", "policies/pipeline.yaml", "policies/web-1-arm32v7.yaml", "policies/web-1-arm64v8.yaml"}},
		{"one of two forms takes a policy without markers", map[string]string{"k/a/x.yaml": manifest + "image: ghcr.io/acme/web:1.2.3\n", "k/b/x.yaml": manifest + "image: ghcr.io/acme/web:1.2.3-alpine\n", "policies/p.yaml": web},
			[]string{"k/a/x.yaml:3 shop", "k/b/x.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml"}},
		{"manifests in the root", map[string]string{"a.yaml": manifest + "image: a/web:1.0.0\n", "k/b.yaml": manifest + "image: a/web:1.0.0\n"},
			[]string{"k/b.yaml:3 web", "policies/pipeline.yaml", "policies/web.yaml", "a.yaml:3 it is outside the directories of all environments"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []patch.File
			for _, p := range sortedKeys(c.files) {
				files = append(files, patch.File{Path: p, Data: []byte(c.files[p])})
			}
			p := Propose(Input{Files: files, Config: load(files)})
			var got []string
			for _, m := range p.Marks {
				got = append(got, fmt.Sprintf("%s:%d %s", m.Path, m.Line, m.Policy))
			}
			for _, f := range p.Files {
				if strings.HasPrefix(f.Path, "policies/") {
					got = append(got, f.Path)
				}
			}
			for _, l := range p.Left {
				got = append(got, fmt.Sprintf("%s:%d %s", l.Path, l.Line, l.Reason))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			after := merged(files, p.Files)
			if again := Propose(Input{Files: after, Config: load(after)}); len(again.Files) > 0 {
				t.Errorf("proposing again changes %s", again.Files[0].Path)
			}
		})
	}
}

func TestEnvironmentsAreGuessedFromFolders(t *testing.T) {
	const manifest = "apiVersion: v1\nkind: Pod\nimage: web:1.0.0\n"
	for _, c := range []struct {
		name  string
		files []string
		bad   []string // folders that do not render
		want  []string // "pipeline name path from merge"
	}{
		{"dev and prod below envs", []string{"envs/dev/a.yaml", "envs/prod/a.yaml"}, nil,
			[]string{"delivery dev envs/dev - auto", "delivery prod envs/prod dev approval"}},
		{"all stages, in order", []string{"production/a.yaml", "uat/a.yaml", "test/a.yaml", "stg/a.yaml", "qa/a.yaml", "pre-prod/a.yaml", "develop/a.yaml"}, nil,
			[]string{"delivery develop develop - auto", "delivery test test develop approval", "delivery qa qa test approval", "delivery uat uat qa approval",
				"delivery stg stg uat approval", "delivery pre-prod pre-prod stg approval", "delivery production production pre-prod approval"}},
		{"regions follow their own", []string{"clusters/staging-eu/a.yaml", "clusters/staging-us/a.yaml", "clusters/prod-us/a.yaml", "clusters/prod-eu/a.yaml"}, nil,
			[]string{"delivery staging-eu clusters/staging-eu - auto", "delivery staging-us clusters/staging-us - auto",
				"delivery prod-eu clusters/prod-eu staging-eu approval", "delivery prod-us clusters/prod-us staging-us approval"}},
		{"regions follow the one before", []string{"envs/dev/a.yaml", "envs/prod-us/a.yaml", "envs/eu-prod/a.yaml"}, nil,
			[]string{"delivery dev envs/dev - auto", "delivery eu-prod envs/eu-prod dev approval", "delivery prod-us envs/prod-us dev approval"}},
		{"overlays of each app", []string{"apps/web/overlays/dev/kustomization.yaml", "apps/web/overlays/prod/kustomization.yaml", "apps/api/overlays/prod/kustomization.yaml"}, nil,
			[]string{"api api-prod apps/api/overlays/prod - approval", "web web-dev apps/web/overlays/dev - auto", "web web-prod apps/web/overlays/prod web-dev approval"}},
		{"apps named like stages are none", []string{"apps/dev-portal/a.yaml", "apps/test-runner/a.yaml"}, nil, []string{"delivery apps apps - approval"}},
		{"one folder named test says little", []string{"k8s/test/a.yaml", "k8s/web/a.yaml"}, nil, []string{"delivery k8s k8s - approval"}},
		{"no name says anything", []string{"deploy/web/a.yaml", "deploy/db/a.yaml"}, nil, []string{"delivery deploy deploy - approval"}},
		{"several folders", []string{"web/a.yaml", "db/a.yaml"}, nil, []string{"delivery db db - approval", "delivery web web - approval"}},
		{"the folders below one that does not render", []string{"deploy/chart/a.yaml", "deploy/k8s/a.yaml"}, []string{"deploy", "deploy/chart"}, []string{"delivery k8s deploy/k8s - approval"}},
		{"what does not render is left out, and then a person looks", []string{"envs/dev/a.yaml", "envs/test/a.yaml", "envs/prod/a.yaml"}, []string{"envs/dev"},
			[]string{"delivery test envs/test - approval", "delivery prod envs/prod test approval"}},
		{"prod alone waits for a person", []string{"envs/prod/a.yaml"}, nil, []string{"delivery prod envs/prod - approval"}},
		{"hidden folders", []string{".github/dev/a.yaml", ".github/prod/a.yaml"}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var files []patch.File
			for _, p := range c.files {
				data := manifest
				if strings.HasSuffix(p, "kustomization.yaml") {
					data = "images:\n- name: web\n  newTag: 1.0.0\n"
				}
				files = append(files, patch.File{Path: p, Data: []byte(data)})
			}
			p := Propose(Input{Files: files, Renders: func(dir string) string {
				if slices.Contains(c.bad, dir) {
					return "it does not render"
				}
				return ""
			}})
			var got []string
			for _, l := range p.Pipelines {
				for _, e := range l.Pipeline.Environments {
					from := "-"
					if len(e.From) > 0 {
						from = e.From[0]
					}
					got = append(got, strings.Join([]string{l.Pipeline.Name, e.Name, e.Path, from, string(e.Merge)}, " "))
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestNothingIsPromotedBeforeItIsHealthy holds guessed environments to the gate, and
// the pipeline's file to saying what it needs.
func TestNothingIsPromotedBeforeItIsHealthy(t *testing.T) {
	p := Propose(Input{Files: []patch.File{
		{Path: "envs/dev/a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\nimage: web:1.0.0\n")},
		{Path: "envs/prod/a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\nimage: web:1.0.0\n")},
	}})
	cfg := load(p.Files)
	if len(cfg.Problems) > 0 || len(cfg.Pipelines) != 1 || len(cfg.Pipelines[0].Environments) != 2 {
		t.Fatalf("%+v", cfg)
	}
	for _, e := range cfg.Pipelines[0].Environments {
		if has := e.Gates.Healthy != nil; has != (len(e.From) > 0) {
			t.Errorf("%s, from %v, has the gate healthy: %v", e.Name, e.From, has)
		}
	}
	for _, f := range p.Files {
		if f.Path == "policies/pipeline.yaml" && !strings.Contains(string(f.Data), "towpath agent --env NAME") {
			t.Errorf("the file does not say what it waits for:\n%s", f.Data)
		}
	}
}

// TestTheNewestTagExplainsAPolicy has an argument with an older tag before the image.
func TestTheNewestTagExplainsAPolicy(t *testing.T) {
	p := Propose(Input{Files: []patch.File{
		{Path: "k/a/a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - args: [--x-image=a/web:1.0.0]\n")},
		{Path: "k/b/a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\nimage: a/web:1.10.0\n")},
		{Path: "k/c/a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\nimage: a/web:1.9.0\n")},
	}})
	if len(p.Policies) != 1 || !strings.HasPrefix(p.Policies[0].Why, "1.10.0 is a version") {
		t.Errorf("the policies are %+v", p.Policies)
	}
}

// TestAPolicyThatNoEnvironmentTakesIsSaid has a pipeline that lists its policies.
func TestAPolicyThatNoEnvironmentTakesIsSaid(t *testing.T) {
	files := []patch.File{
		{Path: "one/x/a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\nspec:\n- image: a/web:1.0.0\n- image: a/db:1.0.0\n")},
		{Path: "policies/p.yaml", Data: []byte("apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: line}\nspec: {branch: main, environments: [{name: one, path: one, merge: push, update: {policies: [web]}}]}\n" +
			"---\napiVersion: towpath.dev/v1\nkind: ImagePolicy\nmetadata: {name: web}\nspec: {image: a/web, select: {semver: {range: 1.x}}}\n")},
	}
	if p := Propose(Input{Files: files, Config: load(files)}); !slices.Equal(p.Untaken, []string{"db"}) {
		t.Errorf("said of %v", p.Untaken)
	}
}

func TestOnlyImagesThatAreAskedForAreAdopted(t *testing.T) {
	files := []patch.File{{Path: "k/a.yaml", Data: []byte("apiVersion: v1\nkind: Pod\nspec:\n- image: ghcr.io/acme/web:1.0.0\n- image: redis:7.2.4\n- image: ghcr.io/acme/sub/api:1.0.0\n")}}
	for pattern, want := range map[string]string{"ghcr.io/acme/*": "web", "redis": "redis", "acme/*": "web", "*": "redis web api", "api": "api", "nothing": ""} {
		var got []string
		p := Propose(Input{Files: files, Images: []string{pattern}})
		for _, m := range p.Marks {
			got = append(got, m.Policy)
		}
		slices.Sort(got)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) || p.Others != 3-len(got) {
			t.Errorf("%s adopts %v, and %d others; want %s", pattern, got, p.Others, want)
		}
	}
}
