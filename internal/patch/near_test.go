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
		"# Towpath: api":                           "", // no policy: a heading, or another tool's word
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

// What has a verdict, or works, is no near miss.
func FuzzNearMarkers(f *testing.F) {
	for _, text := range []string{
		"a: x:1 # Towpath: web\n", "a: x:1 # towpath: web\nb: \"x\n  y\" # tow-path: web\n", "a: |\n  b # Towpath: web\n---\n- {a: b} # {\"$imagePolicy\": \"ns:web\"}\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := File{Path: "f.yaml", Data: []byte(text)}
		markers, skipped := Markers(file)
		has := map[int]bool{}
		for _, m := range markers {
			has[m.Line] = true
		}
		for _, k := range skipped {
			has[k.Line] = true
		}
		for _, near := range NearMarkers(file, func(string) bool { return true }) {
			if has[near.Line] && strings.Count(text, "\r")+strings.Count(text, "\u0085")+strings.Count(text, "\u2028")+strings.Count(text, "\u2029") == 0 {
				t.Errorf("line %d of %q has a verdict already", near.Line, text)
			}
		}
	})
}
