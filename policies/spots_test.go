package policies

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// spot is a place in a sample, and what the schema says of it.
type spot struct {
	name   string // "Pipeline spec.environments[1].gates"
	doc    map[string]any
	path   []any // keys and indexes
	schema map[string]any
	value  any
}

// everySpot walks the samples beside their schemas. It fails when a key of a
// schema is in no sample.
func everySpot(t testing.TB) []spot {
	t.Helper()
	var spots []spot
	missing := map[string]bool{}
	for _, doc := range samples() {
		kind := doc["kind"].(string)
		data, err := fs.ReadFile(Schemas, "schema/"+strings.ToLower(kind)+".json")
		if err != nil {
			t.Fatal(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(data, &schema); err != nil {
			t.Fatal(err)
		}
		var walk func(s spot)
		walk = func(s spot) {
			spots = append(spots, s)
			properties, _ := s.schema["properties"].(map[string]any)
			for _, key := range slices.Sorted(maps.Keys(properties)) {
				at := schemaPath(kind, s.path, key)
				value, there := s.value.(map[string]any)[key]
				if !there {
					if _, known := missing[at]; !known {
						missing[at] = true
					}
					continue
				}
				missing[at] = false
				walk(spot{s.name + "." + key, doc, append(slices.Clone(s.path), key), properties[key].(map[string]any), value})
			}
			items, _ := s.value.([]any)
			for i, item := range items {
				walk(spot{fmt.Sprintf("%s[%d]", s.name, i), doc, append(slices.Clone(s.path), i), s.schema["items"].(map[string]any), item})
			}
		}
		walk(spot{name: kind + " " + doc["metadata"].(map[string]any)["name"].(string), doc: doc, schema: schema, value: doc})
	}
	for at, is := range missing {
		if is {
			t.Errorf("no sample has %s", at)
		}
	}
	return spots
}

// schemaPath names a key wherever in a list it is.
func schemaPath(kind string, path []any, key string) string {
	name := kind
	for _, step := range path {
		if s, ok := step.(string); ok {
			name += "." + s
		}
	}
	return name + "." + key
}

// with is the sample with another value at the spot, as YAML.
func (s spot) with(t testing.TB, value any) string {
	t.Helper()
	var put func(v any, path []any) any
	put = func(v any, path []any) any {
		if len(path) == 0 {
			return value
		}
		switch v := v.(type) {
		case map[string]any:
			m := maps.Clone(v)
			m[path[0].(string)] = put(v[path[0].(string)], path[1:])
			return m
		case []any:
			l := slices.Clone(v)
			l[path[0].(int)] = put(v[path[0].(int)], path[1:])
			return l
		}
		t.Fatalf("%s: no way to %v", s.name, path)
		return nil
	}
	data, err := json.Marshal(put(s.doc, s.path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// without is the sample without a key of the mapping at the spot.
func (s spot) without(t testing.TB, key string) string {
	t.Helper()
	m := maps.Clone(s.value.(map[string]any))
	delete(m, key)
	return s.with(t, m)
}

func (s spot) number(key string) (int, bool) {
	n, ok := s.schema[key].(float64)
	return int(n), ok
}

func TestTheSamplesAreGood(t *testing.T) {
	for _, doc := range samples() {
		text := spot{doc: doc}.with(t, doc)
		if v := load(text); !v.used || len(v.problems) > 0 {
			t.Errorf("%v: %s", v.problems, text)
		}
	}
}

// keyList is how Load names the keys of a mapping.
var keyList = regexp.MustCompile(`^(?:the (?:only )?keys? .* (?:are|is)|the selectors are) (.+)$`)

// TestLoadAndTheSchemasKnowTheSameKeys asks Load for the keys of every mapping
// with one that nobody knows, and for those required by leaving them out.
func TestLoadAndTheSchemasKnowTheSameKeys(t *testing.T) {
	for _, s := range everySpot(t) {
		properties, ok := s.schema["properties"].(map[string]any)
		if !ok {
			continue
		}
		m := maps.Clone(s.value.(map[string]any))
		const nobody = "xyxyxyxyxy"
		m[nobody] = true
		var known []string
		for _, p := range load(s.with(t, m)).structure {
			if list := keyList.FindStringSubmatch(p.Hint); list != nil && strings.Contains(p.Reason, nobody) {
				known = strings.Split(strings.ReplaceAll(list[1], " and ", ", "), ", ")
			}
		}
		slices.Sort(known)
		if d := cmp.Diff(slices.Sorted(maps.Keys(properties)), known); d != "" {
			t.Errorf("%s: keys of the schema (-) and of Load (+):\n%s", s.name, d)
		}
		required, _ := s.schema["required"].([]any)
		for key := range m {
			if key == nobody {
				continue
			}
			_, alternative := s.schema["oneOf"]
			missing := len(load(s.without(t, key)).structure) > 0
			if want := slices.Contains(required, any(key)); missing != want && !alternative {
				t.Errorf("%s: without %s Load finds the structure wrong: %v, the schema: %v", s.name, key, missing, want)
			}
		}
	}
}

// wordList is how Load names the words that may be written.
var wordList = regexp.MustCompile(`^write one of (.+)$`)

// TestLoadAndTheSchemasKnowTheSameWords does the same for the words of a value.
func TestLoadAndTheSchemasKnowTheSameWords(t *testing.T) {
	for _, s := range everySpot(t) {
		enum, ok := s.schema["enum"].([]any)
		if !ok {
			continue
		}
		for _, word := range enum {
			if v := load(s.with(t, word)); len(v.structure) > 0 && s.path[0] == "spec" {
				t.Errorf("%s: Load does not know %v: %v", s.name, word, v.structure)
			}
		}
		v := load(s.with(t, "xyxyxyxyxy"))
		if len(v.structure) == 0 {
			t.Errorf("%s: Load takes any word", s.name)
			continue
		}
		if list := wordList.FindStringSubmatch(v.structure[0].Hint); list != nil {
			known := strings.Split(strings.ReplaceAll(list[1], " and ", ", "), ", ")
			if d := cmp.Diff(fmt.Sprint(enum), fmt.Sprint(known)); d != "" {
				t.Errorf("%s: words of the schema (-) and of Load (+):\n%s", s.name, d)
			}
		} else if s.path[0] == "spec" && len(enum) > 1 {
			t.Errorf("%s: Load does not say the words: %s", s.name, v.structure[0].Hint)
		}
	}
}

// TestLoadAndTheSchemasHaveTheSameLimits stands on every limit and one beyond it.
func TestLoadAndTheSchemasHaveTheSameLimits(t *testing.T) {
	limits := 0
	for _, s := range everySpot(t) {
		expect := func(value any, good bool) {
			t.Helper()
			limits++
			v := load(s.with(t, value))
			if bad := len(v.structure) > 0; bad == good {
				t.Errorf("%s: %.60v: want good %v: %v", s.name, fmt.Sprint(value), good, v.structure)
			}
		}
		items, _ := s.value.([]any)
		list := func(n int) []any {
			all := []any{}
			for i := range n {
				item := items[0]
				if text, ok := item.(string); ok && n > 1 {
					item = fmt.Sprintf("%s%d", text, i)
				}
				all = append(all, item)
			}
			return all
		}
		if most, ok := s.number("maxItems"); ok {
			expect(list(most), true)
			expect(list(most+1), false)
		}
		if least, ok := s.number("minItems"); ok {
			expect(list(least-1), false)
		} else if items != nil {
			expect([]any{}, true)
		}
		if s.schema["uniqueItems"] == true {
			expect([]any{items[0], items[0]}, false)
		} else if _, text := s.value.([]any); text {
			expect([]any{items[0], items[0]}, s.schema["maxItems"] != 1.0)
		}
		if least, ok := s.number("minimum"); ok {
			expect(least, true)
			expect(least-1, false)
		}
		if most, ok := s.number("maximum"); ok {
			expect(most, true)
			expect(most+1, false)
		}
		if _, ok := s.number("minLength"); ok {
			expect("", false)
		}
		if most, ok := s.number("maxLength"); ok {
			limits++
			refused := func(n int) bool {
				return slices.ContainsFunc(load(s.with(t, strings.Repeat("a", n))).problems, func(p policy.Problem) bool {
					return strings.Contains(p.Reason, "longer") || strings.Contains(p.Reason, "tag")
				})
			}
			if refused(most) || !refused(most+1) {
				t.Errorf("%s: the most characters are not %d", s.name, most)
			}
		}
	}
	if limits < 50 {
		t.Errorf("only %d limits", limits)
	}
}

// TestPatternsOfTheSchemasAreNoStricterThanLoad tries odd texts wherever a schema
// has a grammar. One that Load takes must be good.
func TestPatternsOfTheSchemasAreNoStricterThanLoad(t *testing.T) {
	schemas := compileSchemas(t)
	texts := []string{
		"0", "+1.5h", ".5h", "1.h", "1ns", "1us", "1µs", "1μs", "1ms", "1s", "1m", "1h1m1s", "-1s", "1d", "",
		"a", "1", "a-b", "x--y", "a.b-c.d", "a..b", "-a", "a-", "A", "_x", "A1_b.c-d", ".a", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 128), strings.Repeat("a", 253),
		"linux/amd64", "linux/arm/v7", "windows/amd64", "linux/s390x_1.2", "linux", "linux/", "a/b/c/d",
		"user:a", "user:a b", "team:org/sre", "user:é", "user: a", "user:", "group:a",
	}
	taken := map[string]int{}
	for _, s := range everySpot(t) {
		pattern, ok := s.schema["pattern"].(string)
		if !ok {
			continue
		}
		taken[pattern] += 0
		for _, text := range texts {
			if used, _ := schemas.agree(t, s.with(t, text)); used {
				taken[pattern]++
			}
		}
	}
	for pattern, n := range taken {
		if n < 3 && !strings.Contains(pattern, "[a-z0-9]([-a-z0-9]*[a-z0-9])?$") { // names of environments are referred to
			t.Errorf("Load took only %d of the texts where the pattern is %s", n, pattern)
		}
	}
}

// TestDefaultsAndExamplesOfTheSchemasAreTrue writes every default out, which must
// change nothing, and every example, which must be good in some sample.
func TestDefaultsAndExamplesOfTheSchemasAreTrue(t *testing.T) {
	same := cmp.Options{
		cmp.Comparer(func(a, b image.Repo) bool { return a == b }),
		cmp.Comparer(func(a, b policy.Source) bool { return true }),
		cmp.Comparer(func(a, b policy.Problem) bool { return true }),
	}
	good := map[string]bool{}
	for _, s := range everySpot(t) {
		if def, ok := s.schema["default"]; ok {
			key := s.path[len(s.path)-1].(string)
			parent := s
			parent.path = s.path[:len(s.path)-1]
			parent.value = valueAt(s.doc, parent.path)
			written, left := load(s.with(t, def)), load(parent.without(t, key))
			// A default may be no good here, as pin: tag beside refreshDigest; then neither is leaving it out.
			if d := cmp.Diff(left.config, written.config, same); d != "" {
				t.Errorf("%s: writing the default %v out changes something: %v %v\n%s", s.name, def, written.problems, left.problems, d)
			}
		}
		examples, _ := s.schema["examples"].([]any)
		for _, example := range examples {
			name := fmt.Sprintf("%s: %v", schemaPath(s.doc["kind"].(string), s.path, ""), example)
			good[name] = good[name] || load(s.with(t, example)).used
		}
	}
	for name, is := range good {
		if !is {
			t.Errorf("the example is good nowhere: %s", name)
		}
	}
	if len(good) < 20 {
		t.Errorf("only %d examples", len(good))
	}
}

func valueAt(v any, path []any) any {
	for _, step := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[step.(string)]
		case []any:
			v = at[step.(int)]
		}
	}
	return v
}
