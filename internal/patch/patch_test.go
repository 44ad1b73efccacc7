package patch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sigs "sigs.k8s.io/yaml"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
)

func ref(t testing.TB, s string) image.Ref {
	t.Helper()
	r, err := image.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestMarkersHavePlaceAndValue(t *testing.T) {
	const text = "\ufeff# first\r\n" +
		"a: web:1 # towpath: web\r\n" +
		"\"ключ 🚀\": {\"🚀\": \"🚀\", image: &x 'web:1' } # towpath: web  free text\r\n" +
		"- not yaml here" // replaced below
	f := File{Path: "x.yaml", Data: []byte(strings.Replace(text, "- not yaml here", "t: 1.10 # {\"$imagepolicy\": \"ns:web:tag\"}", 1))}
	got, skipped := Markers(f)
	want := []Marker{
		{Path: "x.yaml", Line: 2, Column: 4, Policy: "web", Part: PartRef, Value: "web:1"},
		{Path: "x.yaml", Line: 3, Column: 29, Policy: "web", Part: PartRef, Value: "web:1"},
		{Path: "x.yaml", Line: 4, Column: 4, Policy: "web", Part: PartTag, Value: "1.10"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(skipped) > 0 {
		t.Error(skipped)
	}
}

func TestMarkersOfBrokenFileIsOneVerdictWithItsLine(t *testing.T) {
	markers, skipped := Markers(File{Path: "x.yaml", Data: []byte("a: 1\nb: x:1 # towpath: web\nc: [\n")})
	if len(markers) > 0 || len(skipped) != 1 || skipped[0].Line == 0 || !strings.Contains(skipped[0].Reason, "not YAML") {
		t.Errorf("got %v and %v", markers, skipped)
	}
}

func TestFileWithoutTheTokensIsNotParsed(t *testing.T) {
	if markers, skipped := Markers(File{Path: "x.yaml", Data: []byte("a: [\n")}); len(markers)+len(skipped) > 0 {
		t.Errorf("got %v and %v", markers, skipped)
	}
}

func TestMarkerNamesThatCannotBeAPolicyAreSaid(t *testing.T) {
	_, skipped := Markers(File{Path: "x.yaml", Data: []byte("a: x:1 # towpath: Web\nb: x:1 # towpath: https://towpath.dev\n")})
	if len(skipped) != 2 || !strings.Contains(skipped[0].Reason, `"Web" is no name`) || !strings.Contains(skipped[1].Reason, "unknown part") {
		t.Errorf("got %v", skipped)
	}
}

func TestApplyLeavesOutWhatTheReferenceLacks(t *testing.T) {
	files := []File{{Path: "x.yaml", Data: []byte("a: x:1 # towpath: web\nb: 1 # towpath: web:tag\n")}}
	r := Apply(files, []Set{{Policy: "web", Ref: image.Ref{Tag: "2"}}})
	want := Result{
		Files: []File{{Path: "x.yaml", Data: []byte("a: x:1 # towpath: web\nb: \"2\" # towpath: web:tag\n")}},
		Edits: []Edit{{Path: "x.yaml", Line: 2, Policy: "web", Part: PartTag, Old: "1", New: "2"}},
		Skipped: []Skipped{{Path: "x.yaml", Line: 1, Column: 4, Policy: "web", Verdict: LacksPart,
			Reason: "the reference wanted for web has no repository", Hint: "name it in the set"}},
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
}

func TestApplyDoesNotChangeItsInput(t *testing.T) {
	const text = "a: x:1 # towpath: web\n"
	files := []File{{Path: "x.yaml", Data: []byte(text)}}
	r := Apply(files, []Set{{Policy: "web", Ref: ref(t, "web:2")}})
	if len(r.Edits) != 1 || string(files[0].Data) != text {
		t.Errorf("got %v; the input is now %q", r.Edits, files[0].Data)
	}
}

func TestApplyWithLineBreaksOnlyYAMLKnows(t *testing.T) {
	for _, nl := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		before := "a: 1" + nl + "b: x:1 # towpath: web" + nl + "c: 2" + nl
		r := Apply([]File{{Path: "x.yaml", Data: []byte(before)}}, []Set{{Policy: "web", Ref: ref(t, "web:2")}})
		if len(r.Files) == 0 { // refused is fine, changed wrongly is not
			if len(r.Skipped) == 0 {
				t.Errorf("%q: neither changed nor refused", nl)
			}
			continue
		}
		if want := strings.Replace(before, "x:1", "web:2", 1); string(r.Files[0].Data) != want {
			t.Errorf("%q became %q", before, r.Files[0].Data)
		}
	}
}

func TestValues(t *testing.T) {
	m := func(policy string, part Part, value string) Marker {
		return Marker{Path: "x.yaml", Line: 1, Policy: policy, Part: part, Value: value}
	}
	for _, c := range []struct {
		name    string
		markers []Marker
		want    map[string]image.Ref
		reason  string
	}{
		{"a full reference is taken as it is", []Marker{m("web", PartRef, "r/web:1@"+digestA)}, map[string]image.Ref{"web": ref(t, "r/web:1@"+digestA)}, ""},
		{"equal markers agree", []Marker{m("web", PartRef, "r/web:1"), m("web", PartRef, "r/web:1")}, map[string]image.Ref{"web": ref(t, "r/web:1")}, ""},
		{"parts are joined", []Marker{m("web", PartName, "r/web"), m("web", PartTag, "1"), m("web", PartDigest, digestA)}, map[string]image.Ref{"web": ref(t, "r/web:1@"+digestA)}, ""},
		{"a tag alone leaves the repository to the policy", []Marker{m("web", PartTag, "1")}, map[string]image.Ref{"web": {Tag: "1"}}, ""},
		{"a reference and an equal tag agree", []Marker{m("web", PartTag, "1"), m("web", PartRef, "r/web:1")}, map[string]image.Ref{"web": ref(t, "r/web:1")}, ""},
		{"two tags contradict", []Marker{m("web", PartTag, "1"), m("web", PartTag, "2")}, map[string]image.Ref{}, "web has tag 2 here and 1 at x.yaml:1"},
		{"two repositories contradict", []Marker{m("web", PartRef, "r/web:1"), m("web", PartRef, "q/web:1")}, map[string]image.Ref{}, "web has q/web here and r/web at x.yaml:1"},
		{"pinned here and not there contradicts", []Marker{m("web", PartRef, "r/web:1@"+digestA), m("web", PartRef, "r/web:1")}, map[string]image.Ref{}, "web has r/web:1 here and r/web:1@" + digestA + " at x.yaml:1"},
		{"a name alone is no value", []Marker{m("web", PartName, "r/web")}, map[string]image.Ref{}, "the markers of web give neither tag nor digest"},
		{"one bad policy leaves the others", []Marker{m("web", PartTag, "a b"), m("api", PartTag, "1")}, map[string]image.Ref{"api": {Tag: "1"}}, "tag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, skipped := Values(c.markers)
			if d := cmp.Diff(c.want, got, cmp.Comparer(func(a, b image.Ref) bool { return a == b })); d != "" {
				t.Error(d)
			}
			if c.reason == "" && len(skipped) > 0 || c.reason != "" && (len(skipped) != 1 || !strings.Contains(skipped[0].Reason, c.reason)) {
				t.Errorf("skipped %v, want %q", skipped, c.reason)
			}
		})
	}
}

func TestContentTellsValuesApart(t *testing.T) {
	values := map[string]image.Ref{"web": ref(t, "r/web:1"), "api": ref(t, "r/api:1")}
	const want = "sha256:"
	got := Content("dev", "shop", values)
	if !strings.HasPrefix(got, want) || len(got) != len(want)+64 {
		t.Errorf("got %q", got)
	}
	if again := Content("dev", "shop", map[string]image.Ref{"api": ref(t, "r/api:1"), "web": ref(t, "r/web:1")}); again != got {
		t.Error("the order of a map changes the content")
	}
	seen := map[string]string{got: "first"}
	for name, c := range map[string]string{
		"env":     Content("prod", "shop", values),
		"app":     Content("dev", "shop2", values),
		"value":   Content("dev", "shop", map[string]image.Ref{"web": ref(t, "r/web:2"), "api": ref(t, "r/api:1")}),
		"swapped": Content("dev", "shop", map[string]image.Ref{"api": ref(t, "r/web:1"), "web": ref(t, "r/api:1")}),
		"none":    Content("dev", "shop", nil),
	} {
		if other, same := seen[c]; same {
			t.Errorf("%s and %s have one content", name, other)
		}
		seen[c] = name
	}
}

func TestEncodedTagIsAStringForEveryReader(t *testing.T) {
	for _, v := range []string{
		"1.10", "1", "0", "1e3", "1E3", "1.e+3", "0x1F", "0b11", "0o17", "017", "1_000", "_1", "20240101", "99999999999999999999999999", "1e999",
		"2024-01-05", "2024-1-5", "yes", "No", "on", "OFF", "y", "N", "true", "False", "null", "Null", "NaN", "nan", "Inf", "infinity",
		"1.2.3", "v1", "1.2.3-rc.1", "main-abc", "latest", "e3", "1e", "0xZ", "1.10-alpine", "._x", "None",
	} {
		for _, style := range []yaml.Style{0, yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle} {
			for _, format := range []string{"a: ", "a: [", "a: {b: "} {
				text := encode(v, style)
				doc := format + text + map[string]string{"a: ": "", "a: [": "]", "a: {b: ": "}"}[format]
				var one, two any
				if err := yaml.Unmarshal([]byte(doc), &one); err != nil {
					t.Fatal(doc, err)
				}
				if err := sigs.Unmarshal([]byte(doc), &two); err != nil {
					t.Fatal(doc, err)
				}
				for _, got := range []any{leaf(one), leaf(two)} {
					if got != any(v) {
						t.Errorf("%s reads as %T %v", doc, got, got)
					}
				}
			}
		}
	}
	for _, v := range []string{"1.2.3", "v1", "main-abc", "1.10-alpine", "localhost:5000/web:1", "r/web:1@" + digestA} {
		if got := encode(v, 0); got != v {
			t.Errorf("%s is quoted without need: %s", v, got)
		}
	}
}

// leaf goes down to the only scalar of a value.
func leaf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, c := range v {
			return leaf(c)
		}
	case []any:
		return leaf(v[0])
	}
	return v
}

// Whoever mends values hears of all of them at once.
func TestEveryValueThatIsNoReferenceIsReported(t *testing.T) {
	markers, _ := Markers(File{Path: "f.yaml", Data: []byte("a: r/web # towpath: web\nb: r/web:1 # towpath: web\nc: ${IMG} # towpath: web\nd: r/web:2 # towpath: web\ne: '' # towpath: web\n")})
	values, skipped := Values(markers)
	var got []string
	for _, k := range skipped {
		got = append(got, fmt.Sprintf("%s %d", k.Verdict, k.Line))
	}
	if want := []string{"not a reference 1", "not a reference 3", "not a reference 5"}; len(values) > 0 || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", values, got, want)
	}
}
