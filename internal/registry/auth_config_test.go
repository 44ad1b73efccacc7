package registry

import (
	"strings"
	"testing"
)

func FuzzDockerConfig(f *testing.F) {
	for _, s := range []string{
		`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpjYW5hcnk="}}}`, `{"auths":{"ghcr.io/team":{"username":"u","password":"canary"}}}`,
		`{"credsStore":"x","credHelpers":{"ghcr.io":"y"}}`, `{"auths":{"ghcr.io":{"auth":"canary"}}}`, `{"auths":null}`, `[]`, `{`,
		`{"ghcr.io":{"auth":"dTpjYW5hcnk=","email":"x"}}`, `{"auths":{"*.io":{"auth":"canary"},"gh*":{}}}`, `{"auths":{"[.io":{"auth":"dTpwOnE="}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err == nil {
			_, _, err = c.entry("ghcr.io/team/web")
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error holds a secret: %v", err)
		}
		again, _ := parseConfig(raw)
		key, a, _ := c.entry("ghcr.io/team/web")
		other, b, _ := again.entry("ghcr.io/team/web")
		if key != other || !sameAuth(a, b) {
			t.Errorf("two readings find %q and %q", key, other)
		}
	})
}

func TestTheNearestEntryOfADockerConfigIsUsed(t *testing.T) {
	c, err := parseConfig([]byte(`{"auths":{
		"https://index.docker.io/v1/": {"username":"hub","password":"x"},
		"docker.io":                   {"username":"later","password":"x"},
		"GHCR.io":                     {"username":"all","password":"x"},
		"ghcr.io/team":                {"username":"team","password":"x"},
		"http://ghcr.io/team/web/":    {"username":"web","password":"x"},
		"*.azurecr.io":                {"username":"glob","password":"x"},
		"one.azurecr.io":              {"username":"exact","password":"x"},
		"*.azurecr.io/team":           {"username":"globteam","password":"x"},
		"quay.io":                     {},
		"mail.io":                     {"email":"a@b"},
		"broken.io":                   {"auth":"s3cret-canary"}
	}}`))
	if err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string]string{
		"index.docker.io/library/alpine": "later", // "docker.io" sorts before the URL
		"ghcr.io/other/x":                "all", "ghcr.io/teams/x": "all",
		"ghcr.io/team/api": "team", "ghcr.io/team/web": "web", "ghcr.io/team/web/sub": "web", "quay.io/x/y": "", "else.io/x": "",
		"two.azurecr.io/x": "glob", "one.azurecr.io/team/x": "exact", "two.azurecr.io/team/x": "globteam", "two.azurecr.io/teams": "glob",
		"a.b.azurecr.io/x": "", "azurecr.io/x": "", "mail.io/x": "",
	} {
		_, auth, err := c.entry(image)
		got := ""
		if auth != nil {
			got = auth.Username
		}
		if err != nil || got != want {
			t.Errorf("%s: user %q, want %q (%v)", image, got, want, err)
		}
	}
	if _, _, err := c.entry("broken.io/x"); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a broken entry: %v", err)
	}
}

func TestTheOlderShapeOfADockerConfig(t *testing.T) {
	for raw, want := range map[string]string{
		`{"https://ghcr.io":{"auth":"dTpw","email":"x"}}`:     "u",
		`{"ghcr.io":{"username":"n","password":"p"}}`:         "n",
		`{"auths":{},"ghcr.io":{"auth":"dTpw"}}`:              "",
		`{"ghcr.io":{"email":"x"},"proxies":{"default":{}}}`:  "",
		`{"HttpHeaders":{"X":"y"},"detachKeys":"ctrl-p"}`:     "",
		`{"plugins":{"auth":{"x":"y"}},"ghcr.io":null,"x":1}`: "",
	} {
		c, err := parseConfig([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if _, auth, _ := c.entry("ghcr.io/x"); auth != nil {
			got = auth.Username
		}
		if got != want {
			t.Errorf("%s: user %q, want %q", raw, got, want)
		}
	}
}
