package hook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/hook"
	"towpath.dev/towpath/internal/image"
)

const secret = "correct horse battery staple"

// The digests of the samples.
const (
	web   = "sha256:4b5e57f6eb2f42b9039b3d1e13929295f231749c510cbe341cd68036d9af97e2"
	child = "sha256:77b21fa7ebe174b67b00d11bab5b10c0c1ab98255bf8b2f72a4e318f48305499"
)

// request is one with the proof that p wants.
func request(p hook.Provider, secret string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/events/"+string(p), bytes.NewReader(body))
	switch p {
	case hook.DockerHub, hook.Quay:
		r.URL.RawQuery = url.Values{"token": {secret}}.Encode()
	case hook.GHCR:
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(secret, body))
	case hook.JFrog:
		r.Header.Set("X-JFrog-Event-Auth", secret)
	case hook.ECR:
		r.Header.Set("X-Api-Key", secret)
	default:
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return r
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func read(t *testing.T, p hook.Provider, body []byte) hook.Event {
	t.Helper()
	e, err := hook.ReadEvent(httptest.NewRecorder(), request(p, secret, body), p, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func canonical(e hook.Event) []string {
	var all []string
	for _, ref := range e.Images {
		s := ref.Repo.Canonical()
		if ref.Tag != "" {
			s += ":" + string(ref.Tag)
		}
		if ref.Digest != "" {
			s += "@" + string(ref.Digest)
		}
		all = append(all, s)
	}
	return all
}

// samples says of every file in testdata which images it is about, canonically.
var samples = map[string][]string{
	"dockerhub/push":                 {"index.docker.io/shop/web:1.4.2"},
	"dockerhub/official":             {"index.docker.io/library/alpine:3.24"},
	"ghcr/package":                   {"ghcr.io/shop-inc/web:1.4.2@" + web},
	"ghcr/registry-package-untagged": {"ghcr.io/shop-inc/web@" + child},
	"ghcr/npm":                       nil,
	"ghcr/ping":                      nil,
	"quay/push":                      {"quay.io/shop/web:1.4.2", "quay.io/shop/web:latest"},
	"quay/push-2013":                 {"quay.io/shop/web:latest"},
	"quay/build-queued":              nil,
	"harbor/push":                    {"harbor.example:8443/shop/web:1.4.2@" + web},
	"harbor/push-cloudevents":        {"harbor.example/shop/web:1.4.2@" + web, "harbor.example/shop/web@" + child},
	"harbor/delete":                  nil,
	"acr/push":                       {"shopregistry.azurecr.io/shop/web:1.4.2@" + web},
	"acr/chart-push":                 nil,
	"acr/ping":                       nil,
	"acr/eventgrid":                  {"shopregistry.azurecr.io/shop/web:1.4.2@" + web},
	"acr/eventgrid-cloudevents":      {"shopregistry.azurecr.io/shop/web:1.4.2@" + web},
	"acr/eventgrid-deleted":          nil,
	"acr/eventgrid-validation":       nil,
	"ecr/push":                       {"123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/web:1.4.2@" + web},
	"ecr/push-cloudevents":           {"123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/web:1.4.2@" + web},
	"ecr/push-untagged-china":        {"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/shop/web@" + web},
	"ecr/push-failed":                nil,
	"ecr/delete":                     nil,
	"ecr/scan":                       nil,
	"jfrog/pushed": {
		"shop.jfrog.io/docker-local/shop/web:1.4.2@" + web,
		"docker-local.shop.jfrog.io/shop/web:1.4.2@" + web,
		"shop-docker-local.jfrog.io/shop/web:1.4.2@" + web,
	},
	"jfrog/pushed-self-hosted": nil, // "Docker_Local" is in no image's name
	"jfrog/pushed-cache": {
		"artifactory.example/hub-cache/library/ubuntu:24.04@" + web,
		"hub-cache.artifactory.example/library/ubuntu:24.04@" + web,
		"artifactory.example/hub/library/ubuntu:24.04@" + web,
		"hub.artifactory.example/library/ubuntu:24.04@" + web,
	},
	"jfrog/deleted": nil,
	"distribution/push": {
		"registry.example:5000/shop/web@" + child,
		"registry.example:5000/shop/web:1.4.2@" + web,
		"registry.internal:5000/shop/web:1.4@" + web,
	},
	"distribution/delete": nil,
}

func TestTheVendorsPayloadsNameTheImagesThatWerePushed(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) != len(samples) {
		t.Errorf("%d files, %d expectations (%v)", len(files), len(samples), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), ".json")
		t.Run(name, func(t *testing.T) {
			want, ok := samples[name]
			if !ok {
				t.Fatal("nothing is expected of this file")
			}
			e := read(t, hook.Provider(strings.Split(name, "/")[0]), sample(t, name))
			if diff := cmp.Diff(want, canonical(e)); diff != "" {
				t.Error(diff)
			}
			if name != "jfrog/pushed-self-hosted" && len(e.Dropped) != 0 {
				t.Errorf("dropped %q", e.Dropped)
			}
			if (e.Answer != nil) != (name == "acr/eventgrid-validation") {
				t.Errorf("answer %s", e.Answer)
			}
		})
	}
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestReadReturnsTheImagesOfReadEvent(t *testing.T) {
	body := sample(t, "quay/push")
	refs, err := hook.Read(nil, request(hook.Quay, secret, body), hook.Quay, []byte(secret))
	if err != nil || fmt.Sprint(refs) != "[quay.io/shop/web:1.4.2 quay.io/shop/web:latest]" {
		t.Errorf("%v, %v", refs, err)
	}
	refs, err = hook.Read(nil, request(hook.Quay, "wrong", body), hook.Quay, []byte(secret))
	if refs != nil || !errors.Is(err, hook.ErrUnauthorized) {
		t.Errorf("%v, %v", refs, err)
	}
}

func TestTheRepositoryIsTheOneThatUsersWrite(t *testing.T) {
	for name, written := range map[string]string{
		"dockerhub/push":     "shop/web",
		"dockerhub/official": "alpine",
		"ghcr/package":       "ghcr.io/shop-inc/web",
		"quay/push":          "quay.io/shop/web",
		"harbor/push":        "harbor.example:8443/shop/web",
		"acr/push":           "shopregistry.azurecr.io/shop/web",
		"ecr/push":           "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/web",
		"jfrog/pushed":       "shop.jfrog.io/docker-local/shop/web",
		"distribution/push":  "registry.example:5000/shop/web",
	} {
		p, _, _ := strings.Cut(name, "/")
		want, err := image.ParseRepo(written)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, hook.Provider(p), sample(t, name)).Images[0].Repo
		if got.Canonical() != want.Canonical() {
			t.Errorf("%s: %s, users write %s, which is %s", name, got.Canonical(), written, want.Canonical())
		}
	}
}

func TestEventGridsHandshakeIsAnsweredOnceTheSecretIsProved(t *testing.T) {
	body := sample(t, "acr/eventgrid-validation")
	var answer map[string]string
	if err := json.Unmarshal(read(t, hook.ACR, body).Answer, &answer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}, answer); diff != "" {
		t.Error(diff)
	}
	if e, err := hook.ReadEvent(nil, request(hook.ACR, "wrong", body), hook.ACR, []byte(secret)); err == nil || e.Answer != nil {
		t.Errorf("a stranger got %s, %v", e.Answer, err)
	}
	for _, code := range []string{"", strings.Repeat("0", 129), "<script>", `\"}`} {
		body := fmt.Appendf(nil, `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"%s"}}]`, code)
		if e := read(t, hook.ACR, body); e.Answer != nil || len(e.Dropped) != 1 {
			t.Errorf("code %q: %s, %q", code, e.Answer, e.Dropped)
		}
	}
}

// cases are payloads with something wrong in them: what is good of them counts.
var cases = []struct {
	name     string
	provider hook.Provider
	body     string
	want     []string
	dropped  string // part of the first reason; "" for none
}{
	{"an image without a tag", hook.DockerHub, `{"repository":{"repo_name":"shop/web"}}`, nil, "neither a tag nor a digest"},
	{"a repository in two parts", hook.DockerHub, `{"push_data":{"tag":"1"},"repository":{"namespace":"shop","name":"web"}}`, []string{"index.docker.io/shop/web:1"}, ""},
	{"a name that would be another registry", hook.DockerHub, `{"push_data":{"tag":"1"},"repository":{"repo_name":"ghcr.io/shop/web"}}`, []string{"index.docker.io/ghcr.io/shop/web:1"}, ""},
	{"a name that is an address", hook.DockerHub, `{"push_data":{"tag":"1"},"repository":{"repo_name":"169.254.169.254:80/x"}}`, nil, "has the character ':'"},
	{"upper case", hook.DockerHub, `{"push_data":{"tag":"1"},"repository":{"repo_name":"Shop/web"}}`, nil, "upper-case"},
	{"an event without a repository", hook.DockerHub, `{}`, nil, ""},

	{"a package by owner and name", hook.GHCR, `{"action":"published","package":{"name":"web/api","package_type":"CONTAINER","owner":{"login":"Shop"},"package_version":{"container_metadata":{"tag":{"name":"1"}}}}}`, []string{"ghcr.io/shop/web/api:1"}, ""},
	{"a package by namespace and name", hook.GHCR, `{"action":"updated","registry_package":{"name":"web","namespace":"shop","package_type":"container","package_version":{"container_metadata":{"tag":{"name":"1"}}}}}`, []string{"ghcr.io/shop/web:1"}, ""},
	{"a tag in the URL only", hook.GHCR, `{"action":"published","package":{"package_type":"CONTAINER","package_version":{"package_url":"ghcr.io/shop/web:2"}}}`, []string{"ghcr.io/shop/web:2"}, ""},
	{"a digest in the URL", hook.GHCR, `{"action":"published","package":{"package_type":"CONTAINER","package_version":{"version":"` + web + `","package_url":"ghcr.io/shop/web@` + web + `"}}}`, []string{"ghcr.io/shop/web@" + web}, ""},
	{"GitHub Enterprise Server's own registry", hook.GHCR, `{"action":"published","package":{"package_type":"CONTAINER","package_version":{"package_url":"containers.github.example:8443/shop/web:2"}}}`, []string{"containers.github.example:8443/shop/web:2"}, ""},
	{"an event of another kind", hook.GHCR, `{"ref":"refs/heads/main","before":"0"}`, nil, ""},
	{"a deleted package", hook.GHCR, `{"action":"deleted","package":{"package_type":"CONTAINER","package_version":{"package_url":"ghcr.io/shop/web:2"}}}`, nil, ""},
	{"a package that is null", hook.GHCR, `{"action":"published","package":null}`, nil, ""},
	{"a package without a version", hook.GHCR, `{"action":"published","package":{"package_type":"CONTAINER","name":"web","namespace":"shop","package_version":null}}`, nil, "neither a tag nor a digest"},

	{"one bad tag of three", hook.Quay, `{"docker_url":"quay.io/shop/web","updated_tags":["1","-rf","2"]}`, []string{"quay.io/shop/web:1", "quay.io/shop/web:2"}, "starts with a dot or a dash"},
	{"a tag that is a number", hook.Quay, `{"docker_url":"quay.io/shop/web","updated_tags":["1",2]}`, []string{"quay.io/shop/web:1"}, "1 tags are not of this provider's form"},
	{"the same tag twice", hook.Quay, `{"docker_url":"quay.io/shop/web","updated_tags":["1","1"]}`, []string{"quay.io/shop/web:1"}, ""},
	{"one tag, not in a list", hook.Quay, `{"docker_url":"quay.io/shop/web","updated_tags":"1"}`, []string{"quay.io/shop/web:1"}, ""},
	{"no tags", hook.Quay, `{"docker_url":"quay.io/shop/web","updated_tags":null}`, nil, ""},
	{"a registry without a host", hook.Quay, `{"docker_url":"shop/web","updated_tags":["1"]}`, nil, "no registry is named"},
	{"a registry with a scheme", hook.Quay, `{"docker_url":"https://quay.io/shop/web","updated_tags":["1"]}`, nil, "a scheme does not belong here"},

	{"a resource with an address only", hook.Harbor, `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"resource_url":"harbor.example/a/b:1"}]}}`, []string{"harbor.example/a/b:1"}, ""},
	{"one bad resource of two", hook.Harbor, `{"type":"PUSH_ARTIFACT","event_data":{"resources":["x",{"resource_url":"harbor.example/a/b:1"}]}}`, []string{"harbor.example/a/b:1"}, "1 resources are not"},
	{"a resource without an address", hook.Harbor, `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"tag":"1"}]}}`, nil, "is empty"},
	{"CloudEvents of another kind", hook.Harbor, `{"type":"harbor.artifact.pulled","data":{"resources":[{"resource_url":"harbor.example/a/b:1"}]}}`, nil, ""},

	{"a host that is none", hook.ACR, `{"action":"push","target":{"repository":"web","tag":"1"},"request":{"host":"shop"}}`, nil, "no registry is named"},
	{"no host", hook.ACR, `{"action":"push","target":{"repository":"web","tag":"1"},"request":{}}`, nil, "empty path component"},
	{"a push and another event", hook.ACR, `[{"eventType":"Microsoft.Storage.BlobCreated"},{"eventType":"microsoft.containerregistry.imagepushed","data":{"target":{"repository":"web","tag":"1"},"request":{"host":"shop.azurecr.io"}}}]`, []string{"shop.azurecr.io/web:1"}, ""},
	{"text in place of an object", hook.ACR, `"push"`, nil, "1 events are not"},

	{"an account that is none", hook.ECR, `{"detail-type":"ECR Image Action","account":"x.example/","region":"eu-central-1","detail":{"result":"SUCCESS","action-type":"PUSH","repository-name":"web","image-tag":"1"}}`, nil, "is not an AWS account"},
	{"a region that is none", hook.ECR, `{"detail-type":"ECR Image Action","account":"123456789012","region":"eu.example/","detail":{"result":"SUCCESS","action-type":"PUSH","repository-name":"web","image-tag":"1"}}`, nil, "is not an AWS region"},
	{"a CloudEvent without a source", hook.ECR, `{"type":"com.amazon.ecr.image.push","data":{"repositoryName":"web","imageTag":"1","registryId":"123456789012"}}`, nil, "is not an AWS region"},
	{"an account in the source only", hook.ECR, `{"type":"com.amazon.ecr.image.push","source":"urn:aws:ecr:us-gov-west-1:123456789012:repository/web","data":{"repositoryName":"web","imageTag":"1"}}`, []string{"123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/web:1"}, ""},

	{"no origin", hook.JFrog, `{"domain":"docker","event_type":"pushed","data":{"repo_key":"local","image_name":"web","tag":"1"}}`, nil, "jpd_origin does not say where"},
	{"a digest with its prefix", hook.JFrog, `{"domain":"docker","event_type":"pushed","data":{"repo_key":"a_b","image_name":"web","tag":"1","sha256":"` + web + `"},"jpd_origin":"http://10.0.0.1:8082"}`, []string{"10.0.0.1:8082/a_b/web:1@" + web}, ""},
	{"another domain", hook.JFrog, `{"domain":"artifact","event_type":"pushed","data":{"repo_key":"a","image_name":"web","tag":"1"},"jpd_origin":"http://a.example"}`, nil, ""},

	{"no host at all", hook.Distribution, `{"events":[{"action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","repository":"web","tag":"1"}}]}`, nil, "empty path component"},
	{"a host without a dot", hook.Distribution, `{"events":[{"action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","repository":"web","tag":"1"},"request":{"host":"registry"}}]}`, nil, "no registry is named"},
	{"a host in upper case", hook.Distribution, `{"events":[{"action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","repository":"web","tag":"1","url":"https://Registry.Example:443/v2/web/manifests/x"}}]}`, []string{"registry.example/web:1"}, ""},
	{"an event that is null", hook.Distribution, `{"events":[null]}`, nil, ""},
	{"no events", hook.Distribution, `{"events":[]}`, nil, ""},
}

func TestWhatIsWrongIsLeftOutWithAReasonAndTheRestCounts(t *testing.T) {
	for _, tc := range cases {
		t.Run(string(tc.provider)+" "+tc.name, func(t *testing.T) {
			e := read(t, tc.provider, []byte(tc.body))
			if diff := cmp.Diff(tc.want, canonical(e)); diff != "" {
				t.Error(diff)
			}
			reason := strings.Join(e.Dropped, "\n")
			if !strings.Contains(reason, tc.dropped) || tc.dropped == "" && reason != "" {
				t.Errorf("dropped %q, want %q", reason, tc.dropped)
			}
		})
	}
}

func TestFaultsInTheVendorsOwnSamplesCostNoPush(t *testing.T) {
	for _, tc := range []struct {
		name     string
		provider hook.Provider
		body     string
		want     string
		reasons  int
	}{
		{"octokit: the type npm for an image, an empty tag, a digest of 40 digits", hook.GHCR, `{"action":"published","package":{"name":"hello-world-npm","namespace":"Codertocat/hello-world","ecosystem":"docker","package_type":"npm",
			"owner":{"login":"Codertocat"},"package_version":{"version":"sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498",
			"container_metadata":{"tag":{"name":"","digest":"sha256:6c62fb45fe66bfb1ea9a66abc38f6a0cc974292b"}},"package_url":"ghcr.io/Codertocat/hello-world:"}}}`,
			"ghcr.io/codertocat/hello-world@sha256:3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498", 0},
		{"AWS: a digest of 58 digits", hook.ECR, `{"detail-type":"ECR Image Action","account":"123456789012","region":"us-west-2","detail":{"result":"SUCCESS","repository-name":"my-repository-name",
			"image-digest":"sha256:7f5b2640fe6fb4f46592dfd3410c4a79dac4f89e4782432e0378abcd1234","action-type":"PUSH","image-tag":"latest"}}`,
			"123456789012.dkr.ecr.us-west-2.amazonaws.com/my-repository-name:latest", 1},
	} {
		e := read(t, tc.provider, []byte(tc.body))
		if diff := cmp.Diff([]string{tc.want}, canonical(e)); diff != "" || len(e.Dropped) != tc.reasons {
			t.Errorf("%s: dropped %q\n%s", tc.name, e.Dropped, diff)
		}
	}
}

func TestAnEventHasAtMostAThousandImagesAndTwentyReasons(t *testing.T) {
	var tags []string
	for i := range 3 * hook.MaxImages {
		tags = append(tags, fmt.Sprintf("%d", i))
	}
	object := map[string]string{}
	for _, tag := range tags {
		object[tag] = "id"
	}
	for name, updated := range map[string]any{"a list": tags, "an object": object} {
		e := read(t, hook.Quay, marshal(t, map[string]any{"docker_url": "quay.io/shop/web", "updated_tags": updated}))
		if len(e.Images) != hook.MaxImages || len(e.Dropped) != 1 || !strings.Contains(e.Dropped[0], "behind the first 1000") {
			t.Errorf("%s: %d images, dropped %q", name, len(e.Images), e.Dropped)
		}
	}
	for i := range tags {
		tags[i] = "-" + tags[i]
	}
	e := read(t, hook.Quay, marshal(t, map[string]any{"docker_url": "quay.io/shop/web", "updated_tags": tags}))
	if len(e.Images) != 0 || len(e.Dropped) != hook.MaxDropped || e.Dropped[hook.MaxDropped-1] != "and 1982 more" {
		t.Errorf("%d images, %d reasons, the last %q", len(e.Images), len(e.Dropped), e.Dropped[len(e.Dropped)-1])
	}

	// As many as may be: nothing is left out.
	var resources []map[string]string
	for i := range hook.MaxImages {
		resources = append(resources, map[string]string{"resource_url": fmt.Sprintf("harbor.example/a/b%d:1", i)})
	}
	e = read(t, hook.Harbor, marshal(t, map[string]any{"type": "PUSH_ARTIFACT", "event_data": map[string]any{"resources": resources}}))
	if len(e.Images) != hook.MaxImages || len(e.Dropped) != 0 {
		t.Errorf("%d images, dropped %q", len(e.Images), e.Dropped)
	}
}

func TestReasonsAreShortLines(t *testing.T) {
	long := strings.Repeat("x\n\x1b[31m", 10_000) + "@"
	e := read(t, hook.Quay, marshal(t, map[string]any{"docker_url": "quay.io/" + long, "updated_tags": []string{"1"}}))
	if len(e.Dropped) != 1 || len(e.Dropped[0]) > 210 || strings.ContainsAny(e.Dropped[0], "\n\x1b") {
		t.Errorf("dropped %.300q", e.Dropped)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestGitHubsFormsAreReadLikeItsJSON(t *testing.T) {
	body := []byte(url.Values{"payload": {string(sample(t, "ghcr/package"))}}.Encode())
	r := request(hook.GHCR, secret, body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	e, err := hook.ReadEvent(nil, r, hook.GHCR, []byte(secret))
	if err != nil || len(e.Images) != 1 || e.Images[0].String() != "ghcr.io/shop-inc/web:1.4.2@"+web {
		t.Errorf("%v, %v", e, err)
	}
	for _, body := range []string{"payload=%zz", "payload={}&payload={}"} {
		if _, err := hook.Read(nil, request(hook.GHCR, secret, []byte(body)), hook.GHCR, []byte(secret)); !errors.Is(err, hook.ErrPayload) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestContentTypesAndByteOrderMarksDoNotMatter(t *testing.T) {
	for _, kind := range []string{"", "text/plain", "application/vnd.docker.distribution.events.v2+json", "application/cloudevents+json; charset=utf-8", "\x00"} {
		r := request(hook.Harbor, secret, append([]byte("\ufeff\n"), sample(t, "harbor/push")...))
		r.Header.Set("Content-Type", kind)
		if refs, err := hook.Read(nil, r, hook.Harbor, []byte(secret)); err != nil || len(refs) != 1 {
			t.Errorf("%q: %v, %v", kind, refs, err)
		}
	}
}

func TestAnEventTwiceIsTheSameTwice(t *testing.T) {
	body := sample(t, "distribution/push")
	if diff := cmp.Diff(canonical(read(t, hook.Distribution, body)), canonical(read(t, hook.Distribution, body))); diff != "" {
		t.Error(diff)
	}
}

func TestTheReferenceHasEveryProvider(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/events.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range hook.Providers() {
		if !strings.Contains(string(page), "\n## "+string(p)+": ") {
			t.Errorf("docs/reference/events.md has no section %q", p)
		}
	}
	folders, err := filepath.Glob("testdata/*/")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		p := hook.Provider(filepath.Base(folder))
		if p != "fuzz" && p != "forges" && !slices.Contains(hook.Providers(), p) {
			t.Errorf("%s belongs to no provider", folder)
		}
	}
}
