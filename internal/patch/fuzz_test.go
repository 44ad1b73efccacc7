package patch

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
)

const digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// The bits that choose what is wanted.
const (
	webPinned   = 1 << iota // web has a digest
	apiPinned               // api has a digest
	webNameless             // web has a tag and no repository
	webTwice                // two values are wanted for web
	apiUnwanted             // api is left alone
	webUntagged             // web has a digest and no tag
)

// fuzzSets makes the wanted values out of what the fuzzer chose.
func fuzzSets(t *testing.T, tag string, choice uint8) []Set {
	wanted, err := image.ParseTag(tag)
	if err != nil {
		wanted = "2.0.0"
	}
	web := ref(t, "ghcr.io/example/web:2.0.0@"+digestA)
	web.Tag = wanted
	if choice&webPinned == 0 {
		web.Digest = ""
	}
	if choice&webNameless != 0 {
		web.Repo = image.Repo{}
	}
	if choice&webUntagged != 0 {
		web.Tag, web.Digest = "", digestA
	}
	sets := []Set{{Policy: "web", Ref: web}}
	if choice&webTwice != 0 {
		sets = append(sets, Set{Policy: "web", Ref: ref(t, "ghcr.io/example/web:other")})
	}
	api := ref(t, "registry.example:5000/shop/api:1.10@"+digestB)
	if choice&apiPinned == 0 {
		api.Digest = ""
	}
	if choice&apiUnwanted == 0 {
		sets = append(sets, Set{Policy: "api", Ref: api})
	}
	return sets
}

// hostile are texts that parsers and finders of comments have stumbled over,
// many after the YAML test suite. In each a marker may stand; W is replaced by
// a value with a marker at the end of its line.
var hostile = []string{
	"W", "- W", "a: W", "? W", "? a\n: W", "- - W", "-\ta: W", "--- W", "--- !!str W", "---\n...\n---\nW\n...\n",
	"a: b: W", "{a: W\n}", "[a, W\n]", "{a: b, c: W\n, d: e}", "{? a : W\n}", "{\"a\":W\n}", "[a: W\n]", "[? a : W\n]", "{a, W\n}",
	"a: &x W\nb: *x", "a: &x !!str W", "a: !!str &x W", "a: !<tag:yaml.org,2002:str> W", "a: &x\n  W", "&k a: W", "*k : W", "&a a: &b b\n*a : W",
	"a: |\n  W\nb: W", "a: |2\n   W\nb: W", "a: >-\n\n  W\n\nb: W", "a: |+\n  x\n\nb: W", "- |\n W\n- W", "a: |-\n  x\n # c\nb: W", "a: |\nb: W",
	"a: 'x\n  W\n  y'\nb: W", "a: \"x\n  W\n  y\"\nb: W", "a: \"x\\\n  y\" \nb: W", "a: x\n  y\n  W", "'a': W", "\"a\": W", "'a b': W", "a b: W", "a#b: W", "\"a # towpath: web\": W",
	"%YAML 1.2\n---\na: W", "%TAG ! tag:x,2000:\n---\na: W", "# c\n--- # d\na: W", "\ufeffa: W", "a: 1\n\ufeffb: W",
	"<<: W", "<<: {a: W\n}", "=: W", "~: W", "null: W", "? |\n  k\n: W", "? [a, b]\n: W", "? {a: b}\n: W", "{a: b}: W", "[a]: W", "a:\n- W\n-\n- b",
	"a: x#y\nb: W", "a: x #y\nb: W", "a: '#'\nb: W", "a: \"#\"\nb: W", "a: '''' # x\nb: W", "a: \"\\\"\" # x\nb: W", "a: https://x/#y\nb: W", "a: [x#y, W\n]",
	"a:\r  b: W\r", "a: 1\r\nb: W\r\n", "a: 1\u0085b: W\u0085", "a: \"x\u2028 y\"\nb: W\u2028c: 1", "a: 'x\u2029'\nb: W", "a:\tW", "a: W\n\t\nb: W", "a: W\n  \t# x\nb: W",
	"a: ? W", "a: - W", "a: \"\\u0022\" # x\nb: W", "🚀: {🚀: '🚀', é: W\n}", "a: {{ x }}\nb: W", "{{ x }}: W", "a: \"{{ x }}\"\nb: W", "- {{ x }}\n- W", "a: ${X}\nb: W",
	"a: W\na: W", "a: W\n---\na: W", "a: W\n--- |\n W\n--- >\n W\n", "- W\n- W\n# W", "#\n#W\na: W", "a: W # towpath: api", "a: W\n\n\n\n", "a: \n  - b: W\n    c: W\n  - d",
	"images:\n- name: a\n  newTag: W\n  digest: W", "image: {registry: W\n, repository: W\n, tag: W\n}", "a: x=W", "a: 'x=W", "- --image=W", "a: !x W", "a: !!int W", "a: !!binary W",
	"apiVersion: v1\nkind: List\nitems:\n- spec: {image: W\n}", "a: |\n\tW\nb: W", "a: [\nW\n,\nW\n]", "a: [\n\tW\n]", "a: {\n W\n}", "a: 'W\nb: W'", "a: \"W\nb: W\"",
}

// seeds are the fixtures and the hostile texts with markers of every part.
func seeds(f *testing.F) [][]byte {
	var all [][]byte
	for _, s := range stories(f) {
		for _, in := range s.files {
			if len(in.Data) < 16<<10 {
				all = append(all, in.Data)
			}
		}
	}
	for i, text := range hostile {
		for j, value := range []string{
			"x:1 # towpath: web", "1.9 # towpath: web:tag", "'x/y' # towpath: api:name", "\"" + digestA + "\" # towpath: api:digest",
			"docker.io # towpath: api:registry", "x/y # towpath: web:repository", "1.0@" + digestA + " # towpath: web:tag", "x:1 # {\"$imagepolicy\": \"ns:web\"}",
		} {
			if j == 0 || (i+j)%4 == 0 {
				all = append(all, []byte(strings.ReplaceAll(text, "W", value)))
			}
		}
	}
	return all
}

// FuzzApply holds what Apply promises for any bytes and any wanted values: no
// panic; only the values of the edits differ, in the bytes and in the trees;
// every marker has one verdict; a second time changes nothing; the markers stay
// the same but for their values.
func FuzzApply(f *testing.F) {
	tags := []string{"2.0.0", "1.10", "yes", "1e3", "20240601"}
	for i, data := range seeds(f) {
		f.Add(data, tags[i%len(tags)], uint8(0))
		f.Add(data, tags[(i+1)%len(tags)], uint8(webPinned|apiPinned))
		f.Add(data, tags[(i+2)%len(tags)], uint8(i))
	}
	f.Add([]byte("\"$imagepolicy\":\":0web"), "0", uint8('b'))
	f.Add([]byte("0: #0towpath:\n web #towpath:0"), "0", uint8(5))
	f.Add([]byte(`b: "sha256:a\aa{a" # towpath: api:digest`), "0", uint8(3))
	f.Add([]byte(`b: '\\x/y' # towpath: api:name`), "0", uint8('O'))
	f.Add([]byte("010601hcr.io/example/web:1.0.0\"# {\"$imagepolicy\": \"flux-system:web , \""), "(601", uint8(1))
	f.Fuzz(holdsPromises)
}

func holdsPromises(t *testing.T, data []byte, tag string, choice uint8) {
	sets := fuzzSets(t, tag, choice)
	in := File{Path: "x.yaml", Data: bytes.Clone(data)}
	r := Apply([]File{in}, sets)
	if !bytes.Equal(in.Data, data) {
		t.Fatal("the input was changed")
	}
	oneVerdict(t, in, sets, r)
	if (len(r.Files) > 0) != (len(r.Edits) > 0) || len(r.Files) > 1 {
		t.Fatalf("%d files for %d edits", len(r.Files), len(r.Edits))
	}
	if len(r.Files) == 0 {
		return
	}
	after := r.Files[0]
	onlyEditedBytes(t, in, after, r.Edits)
	onlyEditedScalars(t, in, after, r.Edits)
	sameMarkers(t, in, after, r.Edits)
	again := Apply(r.Files, sets)
	if len(again.Edits) > 0 {
		t.Fatalf("a second time: %v", again.Edits)
	}
	if got, want := len(again.UpToDate), len(r.UpToDate)+len(r.Edits); got != want {
		t.Fatalf("a second time %d are up to date, not %d", got, want)
	}
}

// oneVerdict asserts that every marker of a wanted policy has one verdict.
func oneVerdict(t *testing.T, in File, sets []Set, r Result) {
	t.Helper()
	want := map[string][]image.Ref{}
	for _, s := range sets {
		want[s.Policy] = append(want[s.Policy], s.Ref)
	}
	if !concerns(in.Data, want) { // Apply need not even read it
		nothingWanted(t, in, want, r)
		return
	}
	oneVerdictEach(t, in, sets, r)
	for _, k := range r.Skipped {
		if k.Verdict == "" || k.Reason == "" || k.Verdict == Applied || k.Verdict == UpToDate {
			t.Fatalf("skipped without a reason: %+v", k)
		}
	}
}

// nothingWanted asserts that a file which Apply left unread names no policy that
// is wanted: what is broken without naming one is for Markers to tell.
func nothingWanted(t *testing.T, in File, want map[string][]image.Ref, r Result) {
	t.Helper()
	if len(r.Edits)+len(r.UpToDate)+len(r.Skipped) > 0 {
		t.Fatalf("no marker is of these policies, but: %+v", r)
	}
	markers, skipped := Markers(in)
	for _, m := range markers {
		if len(want[m.Policy]) > 0 {
			t.Fatalf("not read, but there is %+v", m)
		}
	}
	for _, k := range skipped {
		if k.Policy != "" && len(want[k.Policy]) > 0 {
			t.Fatalf("not read, but there is %v", k)
		}
	}
}

// onlyEditedBytes asserts it of the bytes, knowing nothing of YAML.
func onlyEditedBytes(t *testing.T, in, after File, edits []Edit) {
	t.Helper()
	lines, _ := lineDiff(t, in, after)
	editedLines(t, in, lines, edits)
	onlyValues(t, in, after, edits)
}

// leafNode is a node as an independent walk sees it.
type leafNode struct {
	path, value, tag, comments string
	style                      yaml.Style
	line                       int
}

// leaves lists all nodes of all documents, depth first.
func leaves(t *testing.T, data []byte) []leafNode {
	t.Helper()
	var all []leafNode
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		tag := n.ShortTag()
		if n.Kind == yaml.AliasNode { // as its anchor, which may be edited
			tag = ""
		}
		all = append(all, leafNode{fmt.Sprint(path, " ", n.Kind, " &", n.Anchor), n.Value, tag, n.HeadComment + "\n" + n.LineComment + "\n" + n.FootComment, n.Style, n.Line})
		for i, c := range n.Content {
			walk(c, fmt.Sprint(path, "/", i))
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	for i := 0; ; i++ {
		var n yaml.Node
		if err := d.Decode(&n); err != nil {
			if err.Error() == "EOF" {
				return all
			}
			t.Fatalf("document %d: %v", i, err)
		}
		walk(&n, fmt.Sprint(i))
	}
}

// onlyEditedScalars asserts that the trees differ at one scalar per edit, from
// its old to its new value, and nowhere else.
func onlyEditedScalars(t *testing.T, in, after File, edits []Edit) {
	t.Helper()
	a, b := leaves(t, in.Data), leaves(t, after.Data)
	if len(a) != len(b) {
		t.Fatalf("%d nodes became %d", len(a), len(b))
	}
	left := edits
	for i := range a {
		was, is := a[i], b[i]
		if was == is {
			continue
		}
		if len(left) == 0 {
			t.Fatalf("%+v became %+v, which is no edit", was, is)
		}
		e := left[0]
		left = left[1:]
		if was.path != is.path || was.line != is.line || was.comments != is.comments || was.value != e.Old || is.value != e.New || is.tag != "!!str" {
			t.Fatalf("%+v became %+v, and not as in the edit %+v", was, is, e)
		}
	}
	if len(left) > 0 {
		t.Fatalf("not in the tree: %v", left)
	}
}

// sameMarkers asserts that the markers stand where they stood, usable as they
// were, and hold the new values.
func sameMarkers(t *testing.T, in, after File, edits []Edit) {
	t.Helper()
	before, bad := Markers(in)
	now, nowBad := Markers(after)
	if len(before) != len(now) || len(bad) != len(nowBad) {
		t.Fatalf("%d usable and %d other markers became %d and %d", len(before), len(bad), len(now), len(nowBad))
	}
	left := edits
	for i, m := range before {
		want := m
		if len(left) > 0 && left[0].Line == m.Line && left[0].Policy == m.Policy && left[0].Part == m.Part && left[0].Old == m.Value {
			want.Value = left[0].New
			left = left[1:]
		}
		if now[i] != want {
			t.Fatalf("%+v became %+v", m, now[i])
		}
	}
	if len(left) > 0 {
		t.Fatalf("no marker for %v", left)
	}
	for i := range bad {
		if bad[i].Line != nowBad[i].Line || bad[i].Verdict != nowBad[i].Verdict {
			t.Fatalf("%v became %v", bad[i], nowBad[i])
		}
	}
}

// FuzzApplyTogether builds files out of the hostile texts and markers of all
// kinds, so that many stand in one file, one document and one document's
// neighbour, and holds what FuzzApply holds.
func FuzzApplyTogether(f *testing.F) {
	for i := range hostile {
		f.Add([]byte{byte(i), byte(i), byte(i + 1), byte(i >> 2), byte(3 * i), byte(i)}, "2.0.0", uint8(i))
	}
	f.Add([]byte("000000000000#0"), "0", uint8('q')) // byte order marks inside the file
	f.Add([]byte("+Z"), "0", uint8('*'))             // a marker's words inside a quoted value
	f.Fuzz(func(t *testing.T, plan []byte, tag string, choice uint8) {
		holdsPromises(t, together(plan), tag, choice)
	})
}

// together writes a file by a plan, two bytes for each text in it.
func together(plan []byte) []byte {
	values := []string{
		"x:1 # towpath: web", "1.9 # towpath: web:tag", "'x/y' # towpath: api:name", `"` + digestA + `" # towpath: api:digest`,
		"docker.io # towpath: api:registry", "x/y # towpath: web:repository", "1.0@" + digestA + " # towpath: web:tag", `x:1 # {"$imagepolicy": "ns:web"}`,
		"--image=x:1 # towpath: api", "&w x:1 # towpath: web", "x:1", `"" # towpath: web`, "x:1 # towpath: web # towpath: api", "~ # towpath: api:tag", "${X} # towpath: api", "x # towpath:",
	}
	breaks := []string{"\n", "\n", "\n", "\r\n", "\n\n", "\n# note\n", "\n---\n", "\n...\n---\n", "\n--- # x\n", "\r", "\n \n", "\u2028"}
	var b strings.Builder
	for i := 0; i+1 < len(plan) && b.Len() < 8<<10; i += 2 {
		how := int(plan[i+1])
		text := strings.ReplaceAll(hostile[int(plan[i])%len(hostile)], "W", values[how%len(values)])
		switch how >> 4 & 3 {
		case 0: // as it is
		case 1:
			text = fmt.Sprintf("k%d:\n  %s", i, strings.ReplaceAll(text, "\n", "\n  "))
		case 2:
			text = fmt.Sprintf("k%d: {a: b}\n%s", i, text)
		case 3:
			text = "- " + strings.ReplaceAll(text, "\n", "\n  ")
		}
		b.WriteString(text + breaks[(how>>6+i+len(plan))%len(breaks)])
	}
	return []byte(b.String())
}
