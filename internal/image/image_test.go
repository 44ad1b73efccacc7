package image

import (
	"strings"
	"testing"
)

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestGoodRepositories(t *testing.T) {
	for _, test := range []struct{ in, canonical, host, path string }{
		{"alpine", "index.docker.io/library/alpine", "index.docker.io", "library/alpine"},
		{"docker.io/alpine", "index.docker.io/library/alpine", "index.docker.io", "library/alpine"},
		{"docker.io/library/alpine", "index.docker.io/library/alpine", "index.docker.io", "library/alpine"},
		{"index.docker.io/library/alpine", "index.docker.io/library/alpine", "index.docker.io", "library/alpine"},
		{"stefanprodan/podinfo", "index.docker.io/stefanprodan/podinfo", "index.docker.io", "stefanprodan/podinfo"},
		{"ghcr.io/stefanprodan/podinfo", "ghcr.io/stefanprodan/podinfo", "ghcr.io", "stefanprodan/podinfo"},
		{"GHCR.io/stefanprodan/podinfo", "ghcr.io/stefanprodan/podinfo", "ghcr.io", "stefanprodan/podinfo"},
		{"Registry/app", "Registry/app", "Registry", "app"},
		{"localhost/app", "localhost/app", "localhost", "app"},
		{"localhost:5000/a/b/c", "localhost:5000/a/b/c", "localhost:5000", "a/b/c"},
		{"127.0.0.1:5000/app", "127.0.0.1:5000/app", "127.0.0.1:5000", "app"},
		{"[::1]:5000/app", "[::1]:5000/app", "[::1]:5000", "app"},
		{"[2001:DB8::1]/app", "[2001:db8::1]/app", "[2001:db8::1]", "app"},
		{"a.b/x__y/x--y/x.y/x_y", "a.b/x__y/x--y/x.y/x_y", "a.b", "x__y/x--y/x.y/x_y"},
		{"quay.io/" + strings.Repeat("a", 247), "quay.io/" + strings.Repeat("a", 247), "quay.io", strings.Repeat("a", 247)},
	} {
		r, err := ParseRepo(test.in)
		if err != nil {
			t.Errorf("%q: %v", test.in, err)
			continue
		}
		if r.String() != test.in || r.Canonical() != test.canonical || r.Host() != test.host || r.Path() != test.path {
			t.Errorf("%q: got %q, %q, %q, %q", test.in, r.String(), r.Canonical(), r.Host(), r.Path())
		}
		if same, _ := ParseRepo(test.in); same != r {
			t.Errorf("%q: parsed twice, not equal", test.in)
		}
	}
	if c := (Repo{}).Canonical(); c != "" {
		t.Errorf("the canonical form of no repository is %q", c)
	}
}

func TestBadRepositoriesSayWhatToWrite(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "is empty",
		"https://ghcr.io/x/y":         `remove "https://" and keep "ghcr.io/x/y"`,
		"ghcr.io/x/y:1.0":             `a tag does not belong here; write "ghcr.io/x/y"`,
		"alpine:":                     `write "alpine"`,
		"ghcr.io/x/y@sha256:" + hex64: `a digest does not belong here; write "ghcr.io/x/y"`,
		"localhost:5000":              `write "localhost"`,
		"ghcr.io/X/y":                 `has upper-case letters in "X"; registries want "x"`,
		"Alpine":                      `registries want "alpine"`,
		"ghcr.io//y":                  "extra slash",
		"ghcr.io/y/":                  "extra slash",
		"/x/y":                        "extra slash",
		"ghcr.io/-x":                  `the separator "-" in a wrong place`,
		"ghcr.io/x-":                  `the separator "-" in a wrong place`,
		"ghcr.io/x___y":               `the separator "___" in a wrong place`,
		"ghcr.io/x..y":                `the separator ".." in a wrong place`,
		"ghcr.io/x y":                 `has the character ' '`,
		"ghcr.io/x\x00":               `has the character '\x00'`,
		"ghcr.io/ü":                   `has the character 'ü'`,
		"ghcr.io/$(TAG)":              `has the character '$'`,
		"ghcr.io:0/x":                 "no port between 1 and 65535",
		"ghcr.io:65536/x":             "no port between 1 and 65535",
		"ghcr.io:+80/x":               "no port between 1 and 65535",
		"ghcr..io/x":                  "is not a host name",
		"-ghcr.io/x":                  "is not a host name",
		".io/x":                       "is not a host name",
		"user:secret@ghcr.io/x":       "a digest does not belong here",
		"[::1/x":                      "not an IPv6 address",
		"[zz]/x":                      "not an IPv6 address",
		"[]/x":                        "not an IPv6 address",
		"[::1]5000/x":                 "text behind the bracket",
		hex64:                         "looks like the id of an image",
		"a.b/" + strings.Repeat("a/", 126) + "aa": "longer than 255 bytes",
	} {
		r, err := ParseRepo(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want an error with %q", in, r, err, want)
		}
	}
}

func TestTags(t *testing.T) {
	for tag, good := range map[string]bool{
		"latest": true, "1.0": true, "_x": true, "V1_2-3.4": true, "sha256-" + hex64 + ".sig": true, strings.Repeat("a", 128): true,
		"": false, ".1": false, "-1": false, "1+2": false, "a/b": false, "a b": false, "ü": false, "a\n": false, strings.Repeat("a", 129): false,
	} {
		got, err := ParseTag(tag)
		if (err == nil) != good || good && string(got) != tag || ValidTag(tag) != good {
			t.Errorf("%q: %q, %v", tag, got, err)
		}
		if err != nil && (len(err.Error()) > 250 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q: not one readable line: %v", tag, err)
		}
	}
}

func TestDigests(t *testing.T) {
	for digest, good := range map[string]bool{
		"sha256:" + hex64: true,
		"":                false, hex64: false, "sha256:": false, "sha512:" + hex64: false, "sha256:" + hex64 + "0": false, "sha256:" + strings.ToUpper(hex64): false,
	} {
		if got, err := ParseDigest(digest); (err == nil) != good || good && string(got) != digest {
			t.Errorf("%q: %q, %v", digest, got, err)
		}
	}
}

func TestReferences(t *testing.T) {
	for _, test := range []struct{ in, repo, tag, digest string }{
		{"alpine:3.20", "alpine", "3.20", ""},
		{"localhost:5000/app:1", "localhost:5000/app", "1", ""},
		{"localhost:5000/app@sha256:" + hex64, "localhost:5000/app", "", "sha256:" + hex64},
		{"ghcr.io/x/y:1.0@sha256:" + hex64, "ghcr.io/x/y", "1.0", "sha256:" + hex64},
	} {
		r, err := ParseRef(test.in)
		if err != nil || r.Repo.String() != test.repo || string(r.Tag) != test.tag || string(r.Digest) != test.digest || r.String() != test.in {
			t.Errorf("%q: %+v, %v", test.in, r, err)
		}
	}
	for in, want := range map[string]string{
		"":                        "is empty",
		"alpine":                  "a tag is missing; write alpine:TAG",
		"localhost:5000/app":      "a tag is missing; write localhost:5000/app:TAG",
		"alpine:":                 "the tag behind the colon is missing",
		"alpine:@sha256:" + hex64: "the tag behind the colon is missing",
		"alpine:1@":               "does not start with sha256:",
		"alpine:1@sha256:abc":     "want 64 lower-case hexadecimal digits",
		"alpine:a b":              "letters, digits",
		"https://alpine:1":        "a scheme does not belong here",
		":1":                      "empty path component",
		"Alpine:1":                "upper-case",
		"alpine:${TAG}":           "letters, digits",
	} {
		if r, err := ParseRef(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v; want an error with %q", in, r, err, want)
		}
	}
}

// FuzzParseRef: what parses, formats back to the same text, and its canonical
// repository parses to itself.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{
		"alpine:3", "docker.io/library/alpine:3@sha256:" + hex64, "[::1]:5000/a/b:_", "GHCR.io/a__b--c:1", "a@sha256:" + hex64, "localhost/x:1", "A/b:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRef(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%q: an error of more than one line: %v", s, err)
			}
			return
		}
		if r.String() != s {
			t.Errorf("%q formats to %q", s, r)
		}
		again, err := ParseRef(r.String())
		if err != nil || again != r {
			t.Errorf("%q parses again to %v, %v", s, again, err)
		}
		if repo, err := ParseRepo(r.Repo.String()); err != nil || repo != r.Repo {
			t.Errorf("%q: its repository parses to %v, %v", s, repo, err)
		}
		canonical, err := ParseRepo(r.Repo.Canonical())
		if len(r.Repo.Canonical()) <= maxNameLength && (err != nil || canonical.Canonical() != r.Repo.Canonical()) {
			t.Errorf("%q: the canonical %q parses to %v, %v", s, r.Repo.Canonical(), canonical, err)
		}
		if r.Tag == "" && r.Digest == "" || r.Tag != "" && !ValidTag(string(r.Tag)) {
			t.Errorf("%q: %+v", s, r)
		}
	})
}

func TestPlatforms(t *testing.T) {
	for _, good := range []string{"linux/amd64", "linux/arm/v7", "windows/amd64"} {
		p, err := ParsePlatform(good)
		if err != nil || p.String() != good {
			t.Errorf("%s became %s, %v", good, p, err)
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/amd64 ", "linux/" + strings.Repeat("a", 64)} {
		if p, err := ParsePlatform(bad); err == nil {
			t.Errorf("%q was accepted as %s", bad, p)
		}
	}
	arm := Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	for want, meets := range map[Platform]bool{
		{OS: "linux", Architecture: "arm"}:                true,
		{OS: "linux", Architecture: "arm", Variant: "v7"}: true,
		{OS: "linux", Architecture: "arm", Variant: "v6"}: false,
		{OS: "linux", Architecture: "amd64"}:              false,
		{OS: "windows", Architecture: "arm"}:              false,
	} {
		if arm.Meets(want) != meets {
			t.Errorf("%s meets %s: want %v", arm, want, meets)
		}
	}
}
