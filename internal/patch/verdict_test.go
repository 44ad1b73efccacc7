package patch

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/image"
)

// elsewhere are the verdicts that need more than a file: the policies, the
// pipeline, the file system.
var elsewhere = []Verdict{UnknownPolicy, OutsidePath, Link, Submodule, NotRead, NotWritten}

// verdictCase is one file and the verdicts on what it holds.
type verdictCase struct {
	name string
	in   string
	want []string // "verdict line policy"; lines as editors count
}

func placements() []verdictCase {
	return []verdictCase{
		{"a name that no policy can have", "a: x:1 # towpath: Web\n", []string{"malformed 1 web"}},
		{"no name", "a: x:1 # towpath:\n", []string{"malformed 1 "}},
		{"a part that is none", "a: x:1 # towpath: web:version\n", []string{"unknown part 1 web"}},
		{"a part that is not written", "a: x:1 # towpath: web:ref\n", []string{"unknown part 1 web"}},
		{"an empty part", "a: x:1 # towpath: web:\n", []string{"unknown part 1 web"}},
		{"Flux's form with a part that is none", "a: x:1 # {\"$imagepolicy\": \"ns:web:version\"}\n", []string{"unknown part 1 web"}},
		{"Flux's form without a namespace", "a: x:1 # {\"$imagepolicy\": \"web\"}\n", []string{"malformed 1 web"}},
		{"Flux's form in single quotes", "a: x:1 # {'$imagepolicy': 'ns:web'}\n", []string{"malformed 1 "}},
		{"Flux's form with a number", "a: x:1 # {\"$imagepolicy\": 1}\n", []string{"malformed 1 "}},
		{"Flux's form with more keys, of any type, works", "a: x:1 # {\"$imagepolicy\": \"ns:web\", \"n\": 1}\n", nil},
		{"Flux's form twice in one object", "a: x:1 # {\"$imagepolicy\": \"ns:web\", \"$imagepolicy\": \"ns:api\"}\n", []string{"two on one line 1 web"}},
		{"Flux's form without its braces", "a: x:1 # \"$imagepolicy\": \"ns:web\"\n", []string{"malformed 1 web"}},
		{"Flux's form without braces and quotes", "a: x:1 # $imagepolicy: ns:web\n", []string{"malformed 1 "}},
		{"a part with a blank before it", "a: 1.0.0 # towpath: web :tag\n", []string{"malformed 1 web"}},
		{"a face behind the marker is the user's", "a: x:1 # towpath: web :-)\n", nil},
		{"text before the marker", "a: x:1 # pinned # towpath: web\n", []string{"not first 1 web"}},
		{"a sentence before the marker", "a: x:1 # moved by towpath: web\n", []string{"not first 1 web"}},
		{"text before Flux's form", "a: x:1 # see {\"$imagepolicy\": \"ns:web\"}\n", []string{"not first 1 web"}},
		{"text behind the marker is the user's", "a: x:1 # towpath: web  pinned by ops\nb: x:1 # towpath: web\tpinned\nc: x:1 # towpath: web pinned\n", nil},
		{"text behind Flux's form is the user's", "a: x:1 # {\"$imagepolicy\": \"ns:web\"} pinned\n", nil},
		{"prose on a line of its own is no marker", "# bumped by towpath: see the docs\na: x:1\n", nil},
		{"two markers of ours", "a: x:1 # towpath: web # towpath: api\n", []string{"two on one line 1 web"}},
		{"one of ours and one of Flux's", "a: x:1 # towpath: web {\"$imagepolicy\": \"ns:api\"}\n", []string{"two on one line 1 web"}},
		{"above the value", "# towpath: web\na: x:1\n", []string{"not beside 1 web"}},
		{"above an item of a list", "a:\n# towpath: web\n- x:1\n", []string{"not beside 2 web"}},
		{"below the value", "a: x:1\n# towpath: web\n", []string{"not beside 2 web"}},
		{"in a comment before the first document", "# towpath: web\n---\na: x:1\n", []string{"not beside 1 web"}},
		{"behind a byte order mark", "\ufeff# towpath: web\na: x:1\n", []string{"not beside 1 web"}},
		{"on a line that begins a document", "--- # towpath: web\na: x:1\n", []string{"no value 1 web"}},
		{"on a line that ends a document", "a: x:1\n... # towpath: web\n", []string{"no value 2 web"}},
		{"on a directive", "%YAML 1.1 # towpath: web\n---\na: x:1\n", []string{"no value 1 web"}},
		{"a value on the line that begins a document works", "--- x:1 # towpath: web\n", nil},
		{"on a key with a value below", "a: # towpath: web\n  x:1\n", []string{"on a key 1 web"}},
		{"on a key with a mapping below", "a: # towpath: web\n  b: x:1\n", []string{"on a collection 1 web"}},
		{"on a key with a list below", "a: # towpath: web\n- x:1\n", []string{"on a collection 1 web"}},
		{"on the dash of a mapping", "- # towpath: web\n  a: x:1\n", []string{"on a collection 1 web"}},
		{"on the dash of a value below", "- # towpath: web\n  x:1\n", []string{"on a key 1 web"}},
		{"on a complex key", "? x:1 # towpath: web\n: b\n", []string{"on a key 1 web"}},
		{"on a complex key with a mapping", "? x:1 # towpath: web\n: b: c\n", []string{"on a key 1 web"}},
		{"on the sign of a complex key", "? # towpath: web\n  x:1\n: b\n", []string{"on a key 1 web"}},
		{"on the value of a complex key works", "? a\n: x:1 # towpath: web\n", nil},
		{"on an alias", "a: &v x:1\nb: *v # towpath: web\n", []string{"on an alias 2 web"}},
		{"on a merge key", "a: &m {image: x:1}\nb:\n  <<: *m # towpath: web\n", []string{"on an alias 3 web"}},
		{"on an alias in braces", "a: &v x:1\nb: {image: *v} # towpath: web\n", []string{"on an alias 2 web"}},
		{"on an anchor works", "a: &v x:1 # towpath: web\nb: *v\n", nil},
		{"in a block scalar", "a: |\n  image: x:1 # towpath: web\n", []string{"inside a block scalar 2 web"}},
		{"in a folded block scalar", "a: >-\n  image: x:1 # towpath: web\n  more\n", []string{"inside a block scalar 2 web"}},
		{"on the first line of a block scalar", "a: | # towpath: web\n  x:1\n", []string{"inside a block scalar 1 web"}},
		{"in quotes", "a: \"x:1 # towpath: web\"\n", []string{"not beside 1 web"}},
		{"in quotes over two lines", "b: 'x\n  # towpath: web'\n", []string{"not beside 2 web"}},
		{"in quotes, before a comment", "a: \"x:1 # towpath: web\" # note\n", []string{"not beside 1 web"}},
		{"without a blank before its #", "a: x:1#towpath:web\n", []string{"not beside 1 web"}},
		{"prose in quotes is no marker", "a: \"see # the page of towpath: web\"\n", nil},
		{"a value that is commented out is no marker", "# a: x:1 # towpath: web\n#- y:1 # {\"$imagepolicy\": \"ns:web\"}\nb: 1\n", nil},
		{"behind a mapping in braces with two values", "a: {b: x:1, c: y:1} # towpath: web\n", []string{"on a collection 1 web"}},
		{"behind a list in brackets", "a: [x:1, y:1] # towpath: web\n", []string{"on a collection 1 web"}},
		{"behind braces that are opened", "a: { # towpath: web\n  b: x:1 }\n", []string{"on a collection 1 web"}},
		{"behind braces that are closed", "a: {\n  b: x:1\n} # towpath: web\n", []string{"on a collection 3 web"}},
		{"behind empty braces", "a: {} # towpath: web\n", []string{"on a collection 1 web"}},
		{"behind a mapping in braces with one value works", "a: {b: x:1} # towpath: web\n", nil},
		{"behind a mapping in braces with one key that fits works", "a: {name: x, newTag: 1.0} # towpath: web:tag\n", nil},
		{"behind braces whose fitting key has no value", "a: {image: , b: x:1} # towpath: web\n", []string{"no value 1 web"}},
		{"an empty value", "a: # towpath: web\nb: 1\n", []string{"no value 1 web"}},
		{"a plain value over two lines", "a: x\n  y # towpath: web\n", []string{"several lines 2 web"}},
		{"a quoted value over two lines", "a: \"x\n  y\" # towpath: web\n", []string{"several lines 2 web"}},
		{"a number by its tag", "a: !!int 1 # towpath: web:tag\n", []string{"tagged 1 web"}},
		{"a text by its tag works", "a: !!str 1 # towpath: web:tag\n", nil},
		{"a template in quotes", "a: '{{ .Values.image }}' # towpath: web\n", []string{"template braces 1 web"}},
		{"a template elsewhere in quotes works", "a: '{{ .Values.image }}'\nb: x:1 # towpath: web\n", nil},
		{"a template that YAML reads as a mapping", "b: x:1 # towpath: web\n---\na: {{ x }}\n", []string{"template braces 3 "}},
		{"a template that YAML cannot read", "b: x:1 # towpath: web\n{{- if .x }}\na: 1\n{{- end }}\n", []string{"template braces 2 "}},
		{"a template in quotes is not what breaks a file", "a: \"{{ x }}\"\n# {{ y }}\nb: x:1 # towpath: web\nc: [\n", []string{"not YAML 4 "}},
		{"a file that is not YAML", "a: [\nb: x:1 # towpath: web\n", []string{"not YAML 2 "}},
		{"a file that is not YAML because no blank stands before a marker's #", "a: 1\nb: x:1# towpath: web\nc: x:1 # towpath: web\n", []string{"not YAML 2 "}},
		{"a file that is not YAML for another reason, too", "b: x:1# towpath: web\nc: [\n", []string{"not YAML 0 "}},
		{"a file that is not UTF-8", "# f\xfcr\nb: x:1 # towpath: web\n", []string{"not UTF-8 0 "}},
		{"a tab behind the value works", "a: x:1\t# towpath: web\n", nil},
		{"a list at the top works", "- x:1 # towpath: web\n", nil},
		{"a value at the top works", "x:1 # towpath: web\n", nil},
		{"metadata that is a text works", "kind: Pod\nmetadata: a\nimage: x:1 # towpath: web\n", nil},
		{"the function's configuration in a ResourceList works", "kind: ResourceList\nitems: []\nfunctionConfig:\n  image: x:1 # towpath: web\n", nil},
		{"metadata that is a list works", "kind: Pod\nmetadata: [a]\nimage: x:1 # towpath: web\n", nil},
		{"line breaks that only YAML knows", "a: 1\rb: [x:1, y:1] # towpath: web\u2028c: 1\u0085", []string{"on a collection 1 web"}},
	}
}

// A slip in a policy's name hides neither the marker from a set of that policy nor
// what belongs to it.
func TestASetHearsOfMarkersWhoseNameHasASlip(t *testing.T) {
	for _, comment := range []string{
		"# towpath: web, pinned", "# towpath: web.", "# towpath: Web", `# towpath: "web"`, "# towpath: `web`", "# towpath: web…", "# towpath: web\u200b",
		`# {"$imagepolicy": "ns:web,"}`, "# towpath: web...", "# towpath: web---", "# pinned towpath: web", "# towpath: Web_App", "# towpath: web :tag",
	} {
		for _, text := range []string{"b: r.e/web:1 " + comment + "\n", "a: r.e/web:1 # towpath: web\nb: r.e/web:1 " + comment + "\n"} {
			r := Apply([]File{{Path: "f.yaml", Data: []byte(text)}}, []Set{{Policy: "web", Ref: image.Ref{Repo: must(image.ParseRepo("r.e/web")), Tag: "2"}}})
			if len(r.Skipped) != 1 || r.Skipped[0].Verdict != Malformed && r.Skipped[0].Verdict != NotFirst {
				t.Errorf("%q: %v", text, r.Skipped)
			}
		}
	}
	torn := File{Path: "f.yaml", Data: []byte("newName: r.e/web # towpath: web,:name\nnewTag: '1' # towpath: web:tag\n")}
	if r := Apply([]File{torn}, []Set{{Policy: "web", Ref: image.Ref{Repo: must(image.ParseRepo("r.e/web")), Tag: "2"}}}); len(r.Files) > 0 || len(r.Skipped) != 2 {
		t.Errorf("half of a reference is written: %v", r)
	}
	other := File{Path: "f.yaml", Data: []byte("b: r.e/web:1 # towpath: web, pinned\nc: x:1 # towpath: api\n")}
	if r := Apply([]File{other}, []Set{{Policy: "api", Ref: image.Ref{Repo: must(image.ParseRepo("x")), Tag: "2"}}}); len(r.Skipped) > 0 {
		t.Errorf("the slip concerns another policy: %v", r.Skipped)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A hint for a part that is none says what is most likely meant.
func TestTheHintOfAnUnknownPartSaysWhatIsMeant(t *testing.T) {
	for marker, want := range map[string]string{
		"flux-system:web":     "write # towpath: web, without a namespace",
		"flux-system:web:tag": "write # towpath: web:tag, without a namespace",
		"web:TAG":             "write web:tag",
		"web:version":         "write web:tag where the value is the tag alone, web where it is a whole reference",
		"web:other":           "write web, web:tag, web:name, web:digest, web:registry or web:repository",
	} {
		_, skipped := Markers(File{Path: "f.yaml", Data: []byte("a: x:1 # towpath: " + marker + "\n")})
		if len(skipped) != 1 || skipped[0].Verdict != UnknownPart || skipped[0].Hint != want {
			t.Errorf("%s: %v, want %s", marker, skipped, want)
		}
	}
}

// What keeps a file from being YAML is said where it is known.
func TestAMarkerWithoutABlankIsNamedAsTheCause(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: x:1# towpath: web\n":         `f.yaml:2: the file is not YAML: the # of "# towpath: web" has no blank before it and is read as a part of the value: mapping values are not allowed in this context; put a blank before #; nothing in the file is written until then`,
		"b: x:1#{\"$imagepolicy\": \"n:w\"}\n": `f.yaml:1: the file is not YAML: the # of "#{\"$imagepolicy\": \"n:w\"}" has no blank before it and is read as a part of the value: mapping values are not allowed in this context; put a blank before #; nothing in the file is written until then`,
		"b: x:1# towpath: web\nc: [\n":         "f.yaml: the file is not YAML: mapping values are not allowed in this context; correct it; nothing in it is written until then",
	} {
		_, skipped := Markers(File{Path: "f.yaml", Data: []byte(text)})
		if len(skipped) != 1 || skipped[0].String() != want {
			t.Errorf("%q: %v, want %s", text, skipped, want)
		}
	}
}

// values are the cases in which the place is right and the value is not.
func valueCases() []verdictCase {
	return []verdictCase{
		{"a whole reference behind :tag", "a: x:1 # towpath: web:tag\n", []string{"wrong part 1 web"}},
		{"a digest behind :tag", "images:\n- name: x\n  newTag: sha256:abc # towpath: web:tag\n", []string{"wrong part 3 web"}},
		{"a name with a tag behind :name", "images:\n- name: x\n  newName: r/x:1 # towpath: web:name\n", []string{"wrong part 3 web"}},
		{"a name with a host behind :repository", "repository: ghcr.io/x/web # towpath: web:repository\n", []string{"wrong part 1 web"}},
		{"a host with a path behind :registry", "registry: ghcr.io/x # towpath: web:registry\n", []string{"wrong part 1 web"}},
		{"a whole reference behind :digest", "digest: x:1 # towpath: web:digest\n", []string{"wrong part 1 web"}},
		{"at a container's name, above its image", "- name: a # towpath: web\n  image: x:1\n", []string{"not beside 1 web"}},
		{"for the tag, at a container's name above its image", "- name: a # towpath: web:tag\n  image: x:1\n", []string{"not beside 1 web"}},
		{"for the name, at a variable's name above its value", "- name: A # towpath: web:name\n  value: x:1\n", []string{"not beside 1 web"}},
		{"at a container's empty name", "- image: x:1\n  name: '' # towpath: web\n", []string{"not beside 2 web"}},
		{"at a parameter's name, above its value", "- name: image.tag # towpath: web:tag\n  value: 1.0.0\n", []string{"not beside 1 web"}},
		{"at the name of a kustomize image with newName", "images:\n- name: web # towpath: web:name\n  newName: r/x\n", []string{"not beside 2 web"}},
		{"at what is never an image, below one", "image: x:1\nimagePullPolicy: Always # towpath: web\n", []string{"not beside 2 web"}},
		{"at a kind", "kind: Pod # towpath: web\n", []string{"not beside 1 web"}},
		{"at a name that is a reference works", "from: {name: x:1} # towpath: web\nname: x:1 # towpath: web\n", nil},
		{"at a name beside a tag works", "image:\n  name: r/x # towpath: web:name\n  tag: 1.0.0 # towpath: web:tag\n", nil},
		{"at the name of a tag works", "tags:\n- name: 1.0.0 # towpath: web:tag\n", nil},
		{"no part, at a tag", "tag: 1.0.0 # towpath: web\n", []string{"wrong part 1 web"}},
		{"no part, at a digest", "digest: " + digestA + " # towpath: web\n", []string{"wrong part 1 web"}},
		{"no part, at newName", "newName: r/x # towpath: web\n", []string{"wrong part 1 web"}},
		{"a host and port behind :registry works", "registry: localhost:5000 # towpath: web:registry\nrepository: x/web # towpath: web:repository\ntag: v1 # towpath: web:tag\n", nil},
		{"a tag with its digest behind :tag works", "tag: 1.0.0@" + digestA + " # towpath: web:tag\n", nil},
		{"an argument works", "- --image=x:1 # towpath: web\n", nil},
		{"an argument with two references", "- --images=x:1,y:1 # towpath: web\n", []string{"not a reference 1 web"}},
		{"a line of a Dockerfile", "from: FROM x:1 # towpath: web\n", []string{"not a reference 1 web"}},
		{"a script", "- sh -c 'run --image=x:1' # towpath: web\n", []string{"not a reference 1 web"}},
		{"a default of a variable", "a: ${IMAGE:=x:1} # towpath: web\n", []string{"not a reference 1 web"}},
		{"a variable", "a: ${IMAGE} # towpath: web\n", []string{"not a reference 1 web"}},
		{"an empty text", "a: \"\" # towpath: web\n", []string{"not a reference 1 web"}},
		{"an image without a tag", "a: x # towpath: web\n", []string{"not a reference 1 web"}},
		{"newTag beside a digest", "images:\n- name: x\n  newTag: \"1\" # towpath: web:tag\n  digest: " + digestA + "\n", []string{"tag and digest 3 web"}},
		{"newTag beside a digest in braces", "images:\n- {name: x, newTag: \"1\", digest: " + digestA + "} # towpath: web:tag\n", []string{"tag and digest 2 web"}},
		{"newTag beside an empty digest works", "images:\n- name: x\n  newTag: \"1\" # towpath: web:tag\n  digest: \"\"\n", nil},
		{"the digest beside a newTag works", "images:\n- name: x\n  newTag: \"1\"\n  digest: " + digestA + " # towpath: web:digest\n", nil},
		{"a tag beside a digest in Helm values works", "image:\n  tag: \"1\" # towpath: web:tag\n  digest: " + digestA + " # towpath: web:digest\n", nil},
		{"two tags of one policy", "- x:1 # towpath: web\n- x:2 # towpath: web\n", []string{"contradiction 2 web"}},
		{"a name alone", "a: r/x # towpath: web:name\n", []string{"no version 1 web"}},
		{"a registry and a tag", "registry: ghcr.io # towpath: web:registry\ntag: \"1\" # towpath: web:tag\n", []string{"lacks part 1 web"}},
	}
}

// verdictsOn is what lint says of one file.
func verdictsOn(t *testing.T, in string) []string {
	t.Helper()
	f := File{Path: "x.yaml", Data: []byte(in)}
	markers, skipped := Markers(f)
	_, more := Values(markers)
	var got []string
	for _, k := range append(skipped, more...) {
		if k.Path != f.Path || k.Reason == "" || k.Hint == "" || k.Verdict == "" {
			t.Errorf("a report that lacks something: %+v", k)
		}
		if strings.Contains(k.Reason, "; ") || strings.ContainsAny(k.String(), "\r\n") {
			t.Errorf("what is wrong and what to do are not apart, or not one line: %q", k.Reason)
		}
		got = append(got, strings.Join([]string{string(k.Verdict), string('0' + rune(k.Line)), k.Policy}, " "))
	}
	return got
}

func TestEveryPlaceOfAMarkerHasItsVerdict(t *testing.T) {
	for _, c := range slices.Concat(placements(), valueCases()) {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, verdictsOn(t, c.in)); d != "" {
				t.Errorf("%q\n%s", c.in, d)
			}
			markers, _ := Markers(File{Path: "x.yaml", Data: []byte(c.in)})
			if strings.HasSuffix(c.name, "works") && len(markers) == 0 {
				t.Errorf("%q has no usable marker", c.in)
			}
		})
	}
}

func TestApplySaysWhatBecameOfEachMarker(t *testing.T) {
	one := ref(t, "r/web:2")
	pinned := ref(t, "r/web:2@"+digestA)
	for _, c := range []struct {
		name string
		in   string
		sets []image.Ref
		want string // the words of all verdicts, in the order of the lines
	}{
		{"another value is written", "a: r/web:1 # towpath: web\n", []image.Ref{one}, "applied"},
		{"an equal value is up to date", "a: r/web:2 # towpath: web\n", []image.Ref{one}, "up to date"},
		{"an equal value in quotes is up to date", "a: '2' # towpath: web:tag\n", []image.Ref{one}, "up to date"},
		{"a number is written as text", "a: 2 # towpath: web:tag\n", []image.Ref{one}, "applied"},
		{"an empty value is written", "a: \"\" # towpath: web\n", []image.Ref{one}, "applied"},
		{"a variable is written over", "a: ${IMAGE} # towpath: web\n", []image.Ref{one}, "applied"},
		{"a prefix stays", "- --image=r/web:1 # towpath: web\n- web=r/web:2 # towpath: web\n", []image.Ref{one}, "applied, up to date"},
		{"a tag with its digest takes both", "tag: 1@" + strings.ReplaceAll(digestA, "a", "b") + " # towpath: web:tag\n", []image.Ref{pinned}, "applied"},
		{"a tag with its digest wants a digest", "tag: 1@" + digestA + " # towpath: web:tag\n", []image.Ref{one}, "lacks part"},
		{"a digest wants a digest, and the tag waits for it", "tag: '1' # towpath: web:tag\ndigest: x # towpath: web:digest\n", []image.Ref{one}, "another refused, lacks part"},
		{"halves of a name are written", "registry: q # towpath: web:registry\nrepository: web # towpath: web:repository\n", []image.Ref{ref(t, "ghcr.io/x/web:2")}, "applied, applied"},
		{"two wanted values are refused", "a: r/web:1 # towpath: web\n", []image.Ref{one, pinned}, "several wanted"},
		{"a broken part keeps the others from being written", "tag: '1' # towpath: web:tag\nname: [a, b] # towpath: web:name\n", []image.Ref{one}, "another refused, on a collection"},
		{"a file that would become too large", "a: r/web:1 # towpath: web\n#" + strings.Repeat("x", MaxFileSize-28) + "\n", []image.Ref{pinned}, "would change more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(applyVerdicts(c.in, c.sets), ", "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// applyVerdicts gives the verdict on each marker of one file, by line.
func applyVerdicts(in string, refs []image.Ref) []string {
	var sets []Set
	for _, r := range refs {
		sets = append(sets, Set{Policy: "web", Ref: r})
	}
	r := Apply([]File{{Path: "x.yaml", Data: []byte(in)}}, sets)
	byLine := map[int]string{}
	var lines []int
	say := func(line int, v Verdict) {
		lines = append(lines, line)
		byLine[line] += string(v)
	}
	for _, e := range r.Edits {
		say(e.Line, Applied)
	}
	for _, m := range r.UpToDate {
		say(m.Line, UpToDate)
	}
	for _, k := range r.Skipped {
		say(k.Line, k.Verdict)
	}
	slices.Sort(lines)
	var out []string
	for _, l := range slices.Compact(lines) {
		out = append(out, byLine[l])
	}
	return out
}

func TestCheckFileSaysWhatNobodyCanRead(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want Verdict
	}{
		{"plain text", []byte("a: 1\n"), ""},
		{"an empty file", nil, ""},
		{"a byte order mark of UTF-8", []byte("\ufeffa: 1\n"), ""},
		{"NUL bytes", []byte("a\x00b"), Binary},
		{"Latin-1", []byte("f\xfcr"), NotUTF8},
		{"UTF-16 of one order", []byte("\xff\xfea\x00"), NotUTF8},
		{"UTF-16 of the other", []byte("\xfe\xff\x00a"), NotUTF8},
		{"UTF-32", []byte("\x00\x00\xfe\xff"), NotUTF8},
		{"a pointer of Git LFS", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n"), LFSPointer},
		{"4 MiB", bytes.Repeat([]byte("#"), MaxFileSize), ""},
		{"more than 4 MiB", bytes.Repeat([]byte("#"), MaxFileSize+1), TooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := CheckFile(File{Path: "x.yaml", Data: c.data})
			switch {
			case k == nil && c.want != "":
				t.Errorf("nothing said, want %s", c.want)
			case k != nil && (k.Verdict != c.want || k.Path != "x.yaml" || k.Reason == "" || k.Hint == ""):
				t.Errorf("got %+v, want %s", *k, c.want)
			}
		})
	}
}

// TestEveryVerdictIsProduced holds the table of verdicts to what happens.
func TestEveryVerdictIsProduced(t *testing.T) {
	seen := map[Verdict]bool{Binary: true, LFSPointer: true, TooLarge: true} // TestCheckFileSaysWhatNobodyCanRead
	for _, c := range slices.Concat(placements(), valueCases()) {
		for _, w := range c.want {
			seen[Verdict(wantedWord.FindStringSubmatch(w)[1])] = true
		}
	}
	for _, in := range []string{"a: r/web:1 # towpath: web\nb: r/web:2 # towpath: web\nc: x # towpath: web:digest\nd: '1' # towpath: web:tag\ne: r/web:2.0 # towpath: web\n",
		"a: r/web:1 # towpath: web\n#" + strings.Repeat("x", MaxFileSize-28)} {
		for _, v := range applyVerdicts(in, []image.Ref{ref(t, "r/web:2.0")}) {
			seen[Verdict(v)] = true
		}
	}
	for _, v := range applyVerdicts("a: r/web:1 # towpath: web\n", []image.Ref{ref(t, "r/web:2"), ref(t, "r/web:3")}) {
		seen[Verdict(v)] = true
	}
	deep := "a: x:1 # towpath: web\nb: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n"
	many := "a: x:1 # towpath: web\n" + strings.Repeat("---\na: 1\n", 10_001)
	items := "a: x:1 # towpath: web\nb: [" + strings.Repeat("x,", MaxValues) + "]\n"
	for _, in := range []string{deep, many, items} {
		_, skipped := Markers(File{Data: []byte(in)})
		for _, k := range skipped {
			seen[k.Verdict] = true
		}
	}
	_, skipped := Annotate(File{Data: []byte("a: x:1 # renovate: y\n")}, []Note{{Line: 1, Column: 4, Policy: "web"}})
	for _, k := range skipped {
		seen[k.Verdict] = true
	}
	for _, v := range Verdicts() {
		if seen[v.Verdict] == slices.Contains(elsewhere, v.Verdict) {
			t.Errorf("%q: produced %v, but said to come from elsewhere %v", v.Verdict, seen[v.Verdict], !seen[v.Verdict])
		}
		delete(seen, v.Verdict)
	}
	if len(seen) > 0 {
		t.Errorf("verdicts that Verdicts does not explain: %v", seen)
	}
}

// wantedWord parts the verdict from what follows in a case.
var wantedWord = regexp.MustCompile(`^(.*) \d \S*$`)

const markersPage = "../../docs/reference/markers.md"

// verdictTable is where a generated table stands.
var verdictTable = regexp.MustCompile(`(?s)(<!-- verdicts of a (\w+),[^\n]*-->\n).*?(<!-- end -->)`)

// TestTheReferenceHasEveryVerdict keeps the tables of docs/reference/markers.md
// equal to Verdicts.
func TestTheReferenceHasEveryVerdict(t *testing.T) {
	data, err := os.ReadFile(markersPage)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	want := verdictTable.ReplaceAllStringFunc(string(data), func(part string) string {
		m := verdictTable.FindStringSubmatch(part)
		found = append(found, m[2])
		var b strings.Builder
		b.WriteString("| verdict | means | what to do |\n|---|---|---|\n")
		for _, v := range Verdicts() {
			if v.Of == m[2] {
				b.WriteString("| `" + string(v.Verdict) + "` | " + escapePipes(v.Meaning) + " | " + escapePipes(v.Remedy) + " |\n")
			}
		}
		return m[1] + b.String() + m[3]
	})
	if d := cmp.Diff([]string{OfMarker, OfValue, OfFile}, found); d != "" {
		t.Errorf("%s: tables (-want +got):\n%s", markersPage, d)
	}
	if *update {
		if err := os.WriteFile(markersPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(data), want); d != "" {
		t.Errorf("%s is not what Verdicts says; rewrite it with -update:\n%s", markersPage, d)
	}
}

func escapePipes(s string) string { return strings.ReplaceAll(s, "|", "\\|") }

// TestTheReferenceShowsMarkersThatWork reads what the page shows as YAML.
func TestTheReferenceShowsMarkersThatWork(t *testing.T) {
	data, err := os.ReadFile(markersPage)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(data, -1)
	if len(blocks) < 5 {
		t.Errorf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		if got := verdictsOn(t, string(b[1])); len(got) > 0 {
			t.Errorf("%s\n%v", b[1], got)
		}
		markers, _ := Markers(File{Data: b[1]})
		if want := bytes.Count(b[1], []byte(ownToken)); len(markers) != want {
			t.Errorf("%d markers of %d work:\n%s", len(markers), want, b[1])
		}
	}
}
