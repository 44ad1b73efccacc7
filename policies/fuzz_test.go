package policies

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"
)

// FuzzSchemaAgrees: Load and the schemas agree on every document, however it was
// changed. The text is taken as it is, and then, where JSON can show it, changed
// in structure as the script says.
func FuzzSchemaAgrees(f *testing.F) {
	for i, text := range library(f) {
		f.Add(text, []byte{})
		f.Add(text, []byte{byte(i), 1, byte(3 * i), 3, byte(7 * i), 5})
	}
	bad, err := txtar.ParseFile("../internal/policy/testdata/bad.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range bad.Files[:len(bad.Files)-1] {
		f.Add(string(file.Data), []byte{})
	}
	schemas := compileSchemas(f)
	words := vocabulary(f)
	f.Fuzz(func(t *testing.T, text string, script []byte) {
		schemas.agree(t, text)
		if changed, ok := mutate(text, script, words); ok {
			schemas.agree(t, changed)
		}
	})
}

// TestSchemaAgreesOnChangedDocuments is the fuzzer with a seed of its own, so that
// every test run compares some thousand documents.
func TestSchemaAgreesOnChangedDocuments(t *testing.T) {
	schemas, words, texts := compileSchemas(t), vocabulary(t), library(t)
	random := rand.New(rand.NewPCG(3, 1))
	const rounds = 2000
	used, refused := 0, 0
	for i := range rounds {
		script := make([]byte, 6*(1+random.IntN(3)))
		for j := range script {
			script[j] = byte(random.Uint32())
		}
		changed, ok := mutate(texts[i%len(texts)], script, words)
		if !ok {
			t.Fatalf("not a document: %s", texts[i%len(texts)])
		}
		switch took, compared := schemas.agree(t, changed); {
		case compared && took:
			used++
		case compared:
			refused++
		}
		if t.Failed() {
			t.Fatalf("round %d", i)
		}
	}
	if used < rounds/50 || refused < rounds/2 {
		t.Errorf("of %d documents %d were used and %d refused: that says little", rounds, used, refused)
	}
}

// tree is a document as it will be written, in flow style: texts of scalars and
// keys are YAML, so that numbers, dates and tags can stand in it.
type tree struct {
	kind byte // s: scalar, m: mapping, l: list
	text string
	keys []string
	kids []*tree
}

func treeOf(v any) *tree {
	switch v := v.(type) {
	case map[string]any:
		t := &tree{kind: 'm'}
		for _, key := range slices.Sorted(keysOf(v)) {
			t.keys, t.kids = append(t.keys, quoted(key)), append(t.kids, treeOf(v[key]))
		}
		return t
	case []any:
		t := &tree{kind: 'l'}
		for _, item := range v {
			t.kids = append(t.kids, treeOf(item))
		}
		return t
	}
	return &tree{kind: 's', text: quoted(v)}
}

func keysOf(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// quoted is a scalar as JSON, which is YAML too.
func quoted(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "null"
	}
	return string(data)
}

func (t *tree) write(b *strings.Builder) {
	switch t.kind {
	case 's':
		b.WriteString(t.text)
	case 'l':
		b.WriteString("[")
		for i, kid := range t.kids {
			if i > 0 {
				b.WriteString(", ")
			}
			kid.write(b)
		}
		b.WriteString("]")
	case 'm':
		b.WriteString("{")
		for i, kid := range t.kids {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(t.keys[i] + ": ")
			kid.write(b)
		}
		b.WriteString("}")
	}
}

// all are the nodes of a tree, itself first. A node that stands in it twice, as
// copies do, is listed twice.
func (t *tree) all(list []*tree) []*tree {
	const most = 2000
	if len(list) > most {
		return list
	}
	list = append(list, t)
	for _, kid := range t.kids {
		list = kid.all(list)
	}
	return list
}

func (t *tree) copy() *tree {
	c := &tree{kind: t.kind, text: t.text, keys: slices.Clone(t.keys)}
	for _, kid := range t.kids {
		c.kids = append(c.kids, kid.copy())
	}
	return c
}

// words are what changes are made with.
type words struct{ keys, values []string }

// vocabulary is every key and word of the schemas, and what people and parsers
// get wrong.
func vocabulary(t testing.TB) words {
	t.Helper()
	w := words{
		keys: []string{`"Image"`, `"zzz"`, `"<<"`, "<<", "null", "1", "true", "2024-01-05", `"exlude"`, "!x image"},
		values: []string{
			"null", "~", `""`, `" "`, "1", "0", "-1", "2", "100", "101", "1.10", "2.0", "1e1", "1e400", "0x10", "010", "0o10", "1_0", "+3", ".inf", ".nan",
			"true", "False", "yes", "off", "n", `"true"`, `"1"`, "2024-01-05", `"2024-01-05"`, "12:30:45", "!!str 1", "!foo x", `!!int "3"`, "!!bool yes",
			`"5m"`, "5m", `"0"`, `"-5m"`, `"-0s"`, `"+1.5h"`, `".5h"`, `"1.h"`, `"1h1h"`, `"3d"`, `"5 m"`, `"9999999h"`, `"\t5m"`,
			`"*"`, `"linux/amd64"`, `"linux/arm/v7"`, `"linux"`, `"user:alice"`, `"team:"`, `"user: a"`, `"dev"`, `"prod"`, `"Dev"`, `"a.b"`, `"a..b"`, `"a-"`,
			`"YYYY.0M"`, `"1.x"`, `"^(.*)$"`, `"$1"`, `"/-x$/"`, `"-main"`, `"envs"`, `"refs/heads/a"`, `"@hourly"`,
			quoted(strings.Repeat("a", 63)), quoted(strings.Repeat("a", 64)), quoted(strings.Repeat("a", 129)), quoted(strings.Repeat("a", 254)), quoted(strings.Repeat("a", 1001)),
			"[]", "{}", "[[]]", `[""]`, "[null]", `["a", "a"]`, `{"zzz": 1}`, "&x a", "*x",
		},
	}
	for _, s := range everySpot(t) {
		if properties, ok := s.schema["properties"].(map[string]any); ok {
			for key := range properties {
				w.keys = append(w.keys, quoted(key))
			}
		}
		words, _ := s.schema["enum"].([]any)
		for _, word := range words {
			w.values = append(w.values, quoted(word))
		}
	}
	for _, list := range []*[]string{&w.keys, &w.values} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return w
}

// mutate changes a document as the script says: six bytes for each change, two
// for the node, one for what to do, one for a word, two for another node.
func mutate(text string, script []byte, w words) (changed string, ok bool) {
	var node yaml.Node
	if several(text) || yaml.Unmarshal([]byte(text), &node) != nil || len(node.Content) == 0 {
		return "", false
	}
	doc, ok := (&converter{}).value(node.Content[0])
	if !ok {
		return "", false
	}
	const size, most = 6, 8
	root := treeOf(doc)
	for i := 0; len(script) >= size && i < most; i++ {
		nodes := root.all(nil)
		at := func(high, low byte) *tree { return nodes[(int(high)<<8|int(low))%len(nodes)] }
		at(script[0], script[1]).change(script[2], int(script[3]), at(script[4], script[5]).copy(), w)
		script = script[size:]
	}
	var b strings.Builder
	root.write(&b)
	const longest = 200_000
	return b.String(), b.Len() < longest
}

// change does one thing to a node. other is a copy of another node.
func (t *tree) change(what byte, arg int, other *tree, w words) {
	key, value := w.keys[arg%len(w.keys)], w.values[arg%len(w.values)]
	i := 0
	if len(t.kids) > 0 {
		i = arg % len(t.kids)
	}
	switch kind := what % 10; {
	case kind == 0 && len(t.kids) > 0: // drop
		t.kids = slices.Delete(t.kids, i, i+1)
		if t.kind == 'm' {
			t.keys = slices.Delete(t.keys, i, i+1)
		}
	case kind == 1 && t.kind == 'm': // add
		t.keys, t.kids = append(t.keys, key), append(t.kids, other)
	case kind == 1 && t.kind == 'l':
		t.kids = append(t.kids, other)
	case kind == 2 && len(t.keys) > 0: // rename
		t.keys[int(what)/10%len(t.keys)] = key
	case kind == 3 && len(t.kids) > 0: // duplicate, with its key in a mapping
		t.kids = append(t.kids, t.kids[i].copy())
		if t.kind == 'm' {
			t.keys = append(t.keys, t.keys[i])
		}
	case kind == 4 && t.kind == 'l' && len(t.kids) > 0: // many, all different when they are texts
		for n := range arg {
			kid := t.kids[0].copy()
			kid.text = strings.TrimSuffix(kid.text, `"`) + fmt.Sprint(n) + `"`
			t.kids = append(t.kids, kid)
		}
	case kind == 5: // another's value
		*t = *other
	case kind == 6: // in a list
		*t = tree{kind: 'l', kids: []*tree{t.copy()}}
	case kind == 7: // in a mapping
		*t = tree{kind: 'm', keys: []string{key}, kids: []*tree{t.copy()}}
	case t.kind == 's' || kind == 8:
		*t = tree{kind: 's', text: value}
	}
}
