package patch

import (
	"strings"
	"testing"
)

// Near misses have no effect, and lint names them; prose stays prose.
func TestNearMissesAreSaidAndProseIsNot(t *testing.T) {
	named := func(p string) bool { return p == "web" }
	for comment, want := range map[string]string{
		"# Towpath: web":                           "1 web write # towpath: web",
		"# TOWPATH: web:tag":                       "1 web write # towpath: web:tag",
		"# tow-path: web  pinned":                  "1 web write # towpath: web",
		"# towpath : web":                          "1 web write # towpath: web",
		"# towpath=web":                            "1 web write # towpath: web",
		"# towpath web":                            "1 web write # towpath: web",
		"# towpath web:tag":                        "1 web write # towpath: web:tag",
		"# Towpath: api":                           "1 api write # towpath: api",
		`# {"$imagePolicy": "flux-system:web"}`:    "1 web " + fluxHint,
		`# {"imagepolicy": "flux-system:web:tag"}`: "1 web " + fluxHint,
		`# {'$imagePolicy': 'flux-system:web'}`:    "1 web " + fluxHint,
		"# towpath api":                            "", // no policy
		"# towpath web is moved by hand":           "",
		"# Towpath: this is moved by hand":         "",
		"# Towpath carries this":                   "",
		"# towpath":                                "",
		"# see the imagePolicy: web":               "",
		"# towpath: web":                           "", // a marker
		"# towpath: Web":                           "", // has its verdict
	} {
		var got []string
		for _, k := range NearMarkers(File{Path: "f.yaml", Data: []byte("a: x:1 " + comment + "\n")}, named) {
			if k.Verdict != Malformed || k.Column != 8 {
				t.Errorf("%s: %+v", comment, k)
			}
			got = append(got, strings.TrimSpace(strings.Join([]string{"1", k.Policy, k.Hint}, " ")))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: %q, want %q", comment, got, want)
		}
	}
	for _, text := range []string{
		"# Towpath: web\na: x:1\n", "a: |\n  b: x:1 # Towpath: web\n", "a: \"x # Towpath: web\"\n", "a: [ # Towpath: web\n", "a: |\n  b\n# Towpath: web\nc: 1\n",
		"a: x:1 # towpath: web\n---\nb: |\n  c: x:1 # Towpath: web\n",
	} {
		if got := NearMarkers(File{Data: []byte(text)}, named); len(got) > 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
}
