package patch

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
)

// edges are texts at the edges of what the simple reader takes.
var edges = []string{
	"a: b\n", "a:\n- b\n- c: d\n  e: f\ng: h\n", "- - a\n  - b\n- - c\n", "a: b\n c: d\n", "a: b\n  c\n", "a: b\n# x\n  c\n",
	"a: |\n  x\n   y\n\n\nb: c\n", "a: |+\n  x\n\n\nb: >-\n  y\n", "a: |\nb: c\n", "a: |\n\n  x\n \n  y", "- |\n x\n- >\n y\n", "a: |-\n  # no\n # yes\nb: c\n",
	"a: 'it''s' # x\nb: \"q\\\"\\n\" # y\n", "a: \"x\n  y\"\nb: c\n", "a: 'x\n\n y' # z\n", "a: x\n  y z\n\n  - w\nb: c\n",
	"a: {}\nb: []\nc: [x, \"y\", 'z', r/i:1]\nd: {e: f, g: [h]}\n", "a: {{ .b }}\n", "a: [b\n", "a: [b: c]\n", "a: {b:c}\n", "a: {b: [c, {d: e}], f: g}\n",
	"<<: x\n", "a: <<\n", "a: ~\nb:\nc: null\nd: 1_000\ne: 0x1F\nf: 2024-01-05\ng: -5\nh: --flag=x\n", "a: - b\n", "- -\n- a\n", "-\n  a: b\n-\n- c\n",
	"---\na: b\n---\nc: d\n", "--- a\n", "---\n---\n", "a: b\n...\n---\nc: d\n", "%YAML 1.1\n---\na: b\n", "a: &x b\n---\nc: *x\n", "a: '\n---\nb'\n", "a: |\n---\nb: c\n",
	"a: b\r\nc: d\r\n", "a: b\rc: d\r", "a: b\u2028c: d\n", "\ufeffa: b\n", "a: \u00a0b\nключ: значение # да\n\"ключ\": '🚀'\n", "a:\tb\n", "a: b\t# c\n", "\ta: b\n",
	"a: b #c\nd: e#f\n#g\n", "# only\n", "", "\n", "a: b: c\n", "a:b\n", "a: b:\n", "? a\n: b\n", "a: !!int b\n", "a: \"b\" c\n", "a: 'b'#c\n", "a: b\na: c\n",
	"a:\n    b: c\n  # x\n    d: e\n", "a:\n- b\n # x\n- c\n", "a:\n  - b:\n    - c\n    - d\n  - e: f\n", "a:\n- b\nc\n", "a\n", "a: \"\\x41\"\n", "...: a\n", "... # x\n", ".a: b\n",
	"kind: ConfigMap\ndata:\n  x.sh: |\n    # towpath: web\n    echo \"[31m\"\n  y: z:1 # towpath: web\n",
}

// edgeSeeds adds the golden files' inputs and the edge texts.
func edgeSeeds(f *testing.F) {
	f.Helper()
	names, err := filepath.Glob("testdata/apply/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, in := range archive.Files {
			if strings.HasPrefix(in.Name, "in/") {
				f.Add(in.Data)
				f.Add(bytes.ReplaceAll(in.Data, []byte("\n"), []byte("\r\n")))
			}
		}
	}
	for _, text := range edges {
		f.Add([]byte(text))
		f.Add([]byte(text + "---\nimage: web:1.0 # towpath: web\n"))
		f.Add([]byte("image: web:1.0 # towpath: web\n---\n" + text))
		f.Add([]byte("x:\n  image: web:1.0 # towpath: web\n" + text))
	}
	f.Add(corpus(3, true)[2].Data)
}

// FuzzSimpleAgrees holds what everything else rests on: what the simple reader
// accepts, the parser accepts and reads the same way; cutting a file into its
// documents loses none; and Apply gives the same result, to the byte, as when
// the parser reads everything.
func FuzzSimpleAgrees(f *testing.F) {
	edgeSeeds(f)
	repo, err := image.ParseRepo("ghcr.io/example/web")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkText(File{Data: data}) != nil {
			return // refused unread
		}
		valid := true
		for _, d := range cut(data, nil) {
			valid = agrees(t, data[d.start:d.end]) && valid
		}
		if _, err := parse(data); valid && err != nil {
			t.Fatalf("its documents are YAML, the file is not: %v", err)
		}
		file := File{Path: "x.yaml", Data: data}
		for _, tag := range []image.Tag{"1.0", "2.0.0"} {
			sets := []Set{{Policy: "web", Ref: image.Ref{Repo: repo, Tag: tag}}}
			quick, slow := apply([]File{file}, sets, &reader{}), apply([]File{file}, sets, &reader{whole: true})
			if slices.ContainsFunc(slow.Skipped, func(k Skipped) bool { return k.Verdict == WouldChangeMore }) {
				continue // over a whole file the parser may move comments from one document to another
			}
			if d := cmp.Diff(slow, quick); d != "" {
				t.Fatalf("with the parser alone (-), as it is (+):\n%s", d)
			}
		}
	})
}

// agrees compares both readers on one document, and reports whether the parser
// takes it.
func agrees(t *testing.T, data []byte) bool {
	t.Helper()
	trees, err := parse(data)
	var r simpleReader
	if r.check(data) && err != nil {
		t.Fatalf("the simple reader took %q, the parser says %v", data, err)
	}
	tree := r.tree(data, 0, &nodes{})
	if tree == nil {
		return err == nil
	}
	if !(&simpleReader{}).check(data) {
		t.Fatalf("with a tree accepted, without one not: %q", data)
	}
	if len(trees) != 1 {
		t.Fatalf("%q: %d documents (%v)", data, len(trees), err)
	}
	if d := compare(tree, trees[0]); d != "" {
		t.Fatalf("%q: %s", data, d)
	}
	sameComments(t, data, trees[0])
	return true
}

// compare says how the simple reader's tree a differs from the parser's b.
func compare(a, b *yaml.Node) string {
	missing := isMissing(a) && a.Line == 0
	switch {
	case a.Kind != b.Kind, a.Style != b.Style, a.Value != b.Value, len(a.Content) != len(b.Content), b.Anchor != "", b.Alias != nil,
		!missing && (a.Line != b.Line || a.Column != b.Column), missing && !isMissing(b), a.Kind != yaml.DocumentNode && a.ShortTag() != b.ShortTag():
		return fmt.Sprintf("read as %s, by the parser as %s", describe(a), describe(b))
	}
	for i := range a.Content {
		if d := compare(a.Content[i], b.Content[i]); d != "" {
			return d
		}
	}
	return ""
}

func describe(n *yaml.Node) string {
	return fmt.Sprintf("kind %d style %d %q %s at %d:%d with %d", n.Kind, n.Style, n.Value, n.ShortTag(), n.Line, n.Column, len(n.Content))
}

// sameComments asserts that the parser has every comment that stands beside a
// one-line scalar where the marker finder sees it.
func sameComments(t *testing.T, data []byte, tree *yaml.Node) {
	t.Helper()
	s := &source{data: data, lines: lineStarts(data, nil), docs: cut(data, nil)}
	s.take([]*yaml.Node{tree})
	all := comments(tree)
	for _, p := range s.spots {
		_, end, ok := s.span(p.node)
		if !ok || isBlock(p.node) {
			continue
		}
		_, stop := s.bounds(p.node.Line)
		text := strings.TrimSpace(string(data[end:stop]))
		if strings.HasPrefix(text, "#") && !strings.Contains(all, text) {
			t.Fatalf("line %d has the comment %q, the parser only\n%s", p.node.Line, text, all)
		}
	}
}

func comments(n *yaml.Node) string {
	all := n.HeadComment + "\n" + n.LineComment + "\n" + n.FootComment + "\n"
	for _, c := range n.Content {
		all += comments(c)
	}
	return all
}
