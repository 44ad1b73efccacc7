package registry

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

func FuzzLinkHeader(f *testing.F) {
	for _, s := range []string{
		`</v2/x/tags/list?last=1>; rel="next"`, `<http://other/v2/x/tags/list>`, `<//other/x>`, `<?n=1>`, `<`, `<>`, `x`,
		`<https://ghcr.io:443/x>`, `<http:/x>`, `<javascript:alert(1)>`, `<\\evil\x>`, `<https://ghcr.io@other/x>`,
	} {
		f.Add(s)
	}
	here, err := url.Parse("https://ghcr.io/v2/x/tags/list?n=1000")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, link string) {
		resp := &http.Response{Header: http.Header{"Link": {link}}, Request: &http.Request{URL: here}}
		if checkLink(resp) != nil || link == "" {
			return
		}
		target, _, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Link"), "<"), ">")
		u, err := url.Parse(target)
		if err != nil || u.Scheme != "https" || u.Host != "ghcr.io" {
			t.Errorf("%q was let through as %q (%v)", link, target, err)
		}
	})
}

func FuzzDockerConfig(f *testing.F) {
	for _, s := range []string{
		`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpjYW5hcnk="}}}`, `{"auths":{"ghcr.io/team":{"username":"u","password":"canary"}}}`,
		`{"credsStore":"x","credHelpers":{"ghcr.io":"y"}}`, `{"auths":{"ghcr.io":{"auth":"canary"}}}`, `{"auths":null}`, `[]`, `{`,
	} {
		f.Add([]byte(s))
	}
	repo, err := name.NewRepository("ghcr.io/team/web")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err == nil {
			_, err = c.Resolve(repo)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error holds a secret: %v", err)
		}
	})
}

func TestTheNearestEntryOfADockerConfigIsUsed(t *testing.T) {
	c, err := parseConfig([]byte(`{"auths":{
		"https://index.docker.io/v1/": {"username":"hub","password":"x"},
		"GHCR.io":                     {"username":"all","password":"x"},
		"ghcr.io/team":                {"username":"team","password":"x"},
		"http://ghcr.io/team/web/":    {"username":"web","password":"x"},
		"quay.io":                     {},
		"broken.io":                   {"auth":"s3cret-canary"}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]string{
		"index.docker.io/library/alpine": "hub", "ghcr.io/other/x": "all", "ghcr.io/teams/x": "all",
		"ghcr.io/team/api": "team", "ghcr.io/team/web": "web", "ghcr.io/team/web/sub": "web", "quay.io/x/y": "", "else.io/x": "",
	} {
		repo, err := name.NewRepository(image)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := c.Resolve(repo)
		if err != nil {
			t.Fatal(err)
		}
		got, err := auth.Authorization()
		if err != nil || got.Username != want {
			t.Errorf("%s: user %q, want %q (%v)", image, got.Username, want, err)
		}
	}
	repo, err := name.NewRepository("broken.io/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(repo); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a broken entry: %v", err)
	}
}
