package adopt

import (
	"testing"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

func TestThePolicyOfATagIsGuessedFromItsForm(t *testing.T) {
	for tag, want := range map[string]string{
		"1.4.2":                   "semver 1.x",
		"v1.4.2":                  "semver 1.x",
		"0.9.8":                   "semver 0.9.x",
		"v0.9.8":                  "semver 0.9.x",
		"8.1":                     "semver 8.x",
		"0.5":                     "semver 0.x",
		"13.2":                    "semver 13.x",
		"1.25.3-alpine":           "semver 1.x",
		"1.2.3-alpine3.19":        "semver 1.x",
		"3.7-slim-bookworm":       "semver 3.x",
		"1.2.3_4":                 "semver 1.x",
		"1.25.7.5604":             "semver 1.x",
		"1.2.0-rc.1":              "semver 1.x pre",
		"someenv-1.15":            "semver 1.x",
		"1.2.3-debian-12-r5":      "semver 1.x",
		"3.0.0-beta.2":            "semver >=3.0.0-0 <4.0.0-0 pre",
		"v2024.01.05":             "calver vYYYY.0M.0D",
		"2024-01-05":              "calver YYYY-0M-0D",
		"2024.01.05":              "calver YYYY.0M.0D",
		"2024.1.5":                "calver YYYY.MINOR.MICRO",
		"2024.10.11":              "calver YYYY.0M.0D",
		"2024.1":                  "calver YYYY.MINOR",
		"2024.01":                 "calver YYYY.0M",
		"2024-01-05-3":            "calver YYYY-0M-0D-N",
		"2024-01-05-alpine":       "calver YYYY-0M-0D-alpine",
		"nightly-20240105":        "calver nightly-YYYY0M0D",
		"22.04":                   "calver 0Y.0M",
		"20240105":                "numerical ^[0-9]{8}$",
		"1763700000":              `numerical ^(?P<n>\d+)$ $n`,
		"build-5":                 `numerical ^build-(?P<n>\d+)$ $n`,
		"4711":                    `numerical ^(?P<n>\d+)$ $n`,
		"main-9f8e7d6-1763700000": `numerical ^main-[0-9a-f]{7,40}-(?P<ts>\d+)$ $ts`,
		"20240105123000-abcdef1":  `numerical ^(?P<ts>\d+)-[0-9a-f]{7,40}$ $ts`,
		"main-1763700000-9f8e7d6": `numerical ^main-(?P<ts>\d+)-[0-9a-f]{7,40}$ $ts`,

		"RELEASE.2024-01-05T22-17-24Z": `alphabetical ^RELEASE\.[0-9TZ-]+Z$`,

		"latest":        "digest latest",
		"main":          "digest main",
		"stable-alpine": "digest stable-alpine",
		"16":            "digest 16",
		"16-alpine":     "digest 16-alpine",
		"bookworm-slim": "digest bookworm-slim",

		"9f8e7d6":          "a commit hash has no order",
		"main-9f8e7d6":     "a commit hash has no order",
		"sha-9f8e7d6c5b4a": "a commit hash has no order",
		"1234567":          "seven digits may be a counter or a commit",
		"1.2.3-b9f8e7d":    "a commit stands behind the version, and it is not known which of two commits is newer",
		"1.2.3-9f8e7d6":    "semver 1.x",
		"v20221220-controller-v1.5.1-58-g787ea74b6": "a commit stands behind the date, and it is not known which of two commits is newer",
		"2024":              "nothing is known of tags like 2024",
		"V1.2.3":            "nothing is known of tags like V1.2.3",
		"pr-17":             "nothing is known of tags like pr-17",
		"ubuntu-22.04-1.21": "nothing is known of tags like ubuntu-22.04-1.21",
	} {
		t.Run(tag, func(t *testing.T) {
			repo, err := image.ParseRepo("registry.example/shop/web")
			if err != nil {
				t.Fatal(err)
			}
			r := guess(image.Tag(tag), repo)
			if got := describe(r); got != want {
				t.Errorf("guessed %s, want %s", got, want)
			}
			if r.reason != "" {
				return
			}
			if r.why == "" {
				t.Error("the guess is not explained")
			}
			if bad := r.check("web", repo, image.Tag(tag)); bad != "" {
				t.Errorf("not a good policy: %s", bad)
			}
		})
	}
}

func TestTheShapeOfATagIsThatOfItsLane(t *testing.T) {
	for tag, want := range map[string]string{
		"1.2.3": "N.N.N", "v1.2": "vN.N", "1.2.3-arm64v8": "N.N.N-arm64v8", "1.2.3-arm32v7": "N.N.N-arm32v7", "1.2.3-jdk17": "N.N.N-jdk17", "1.2.3-alpine3.19": "N.N.N-alpine3.N",
		"1.2.3-debian-12-r5": "N.N.N-debian-12-rN", "1.2.3-rc.1": "N.N.N-rc.N", "1.2.3-rc1": "N.N.N-rcN", "1.2.3-4": "N.N.N-N", "1.2.3-ls30": "N.N.N-lsN", "1.2.3_4": "N.N.N_N",
		"k8s-1.15": "k8s-N.N", "v1.2.3-k3s1": "vN.N.N-k3sN", "1.2.3-9f8e7d6-1763700000": "N.N.N-COMMIT-N", "1.2.3-deb": "N.N.N-deb", "20240105": "N", "main-5": "main-N",
	} {
		if got := shape(tag); got != want {
			t.Errorf("the shape of %s is %s, want %s", tag, got, want)
		}
	}
}

func describe(r rule) string {
	p, s := r.policy, ""
	switch {
	case r.reason != "":
		return r.reason
	case p.Semver != nil && p.Semver.Prereleases:
		return "semver " + p.Semver.Range + " pre"
	case p.Semver != nil:
		return "semver " + p.Semver.Range
	case p.Calver != nil:
		return "calver " + p.Calver.Layout
	case p.DigestTag != "":
		return "digest " + string(p.DigestTag)
	case p.Alphabetical != nil:
		s = "alphabetical"
	case p.Numerical != nil:
		s = "numerical"
	}
	if p.Filter != nil {
		s += " " + p.Filter.Pattern
		if p.Filter.Extract != "" {
			s += " " + p.Filter.Extract
		}
	}
	return s
}

// FuzzGuess holds every guess to its promise: policies read it, and it takes the tag.
func FuzzGuess(f *testing.F) {
	for _, tag := range []string{"1.2.3", "v0.1", "2024-01-05", "main-9f8e7d6-1763700000", "latest", "16", "20240231", "2024.13.1-x"} {
		f.Add(tag)
	}
	repo, err := image.ParseRepo("registry.example/shop/web")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := image.ParseTag(s)
		if err != nil {
			return
		}
		r := guess(tag, repo)
		if r.reason != "" {
			return
		}
		if r.check("web", repo, tag) != "" {
			return // such a guess is left, with the reason
		}
		p := r.policy
		p.Name, p.Image = "web", repo
		if p.DigestTag == "" && policy.Lower(p, tag, tag) {
			t.Errorf("%s is below itself", tag)
		}
	})
}
