package policies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/policy"
)

// fuzzed is where the document under test is.
const fuzzed = "policies/a.yaml"

// judges are the schemas, by kind; "" is the one of every kind.
type judges map[string]*validator.Schema

func compileSchemas(t testing.TB) judges {
	t.Helper()
	j := judges{}
	for _, kind := range append(sortedKinds(), "") {
		name := strings.ToLower(kind) + ".json"
		if kind == "" {
			name = "all.json"
		}
		data, err := fs.ReadFile(Schemas, "schema/"+name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := validator.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		c := validator.NewCompiler()
		if err := c.AddResource(schemaBase+name, doc); err != nil {
			t.Fatal(err)
		}
		if j[kind], err = c.Compile(schemaBase + name); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

// verdict is what Load says of one document.
type verdict struct {
	used      bool             // Load uses it
	problems  []policy.Problem // that keep it from being used
	structure []policy.Problem // those of structure
	config    policy.Config
}

// load reads the document as Load does, with nothing beside it but a document
// that nobody can read, so that a policy it names may be in there.
func load(text string) verdict {
	c := policy.Load([]policy.File{{Path: fuzzed, Data: []byte(text)}, {Path: "policies/unreadable.yaml", Data: []byte("{\n")}})
	v := verdict{used: len(c.Policies)+len(c.Pipelines) > 0, config: c}
	for _, p := range c.Problems {
		if p.Path != fuzzed || p.Warning {
			continue
		}
		v.problems = append(v.problems, p)
		if p.Structure {
			v.structure = append(v.structure, p)
		}
	}
	return v
}

// check asks the schema of the document's kind, and holds the one of every kind
// to the same answer.
func (j judges) check(t testing.TB, doc any) error {
	t.Helper()
	all := j[""].Validate(doc)
	kind := ""
	if m, ok := doc.(map[string]any); ok {
		kind, _ = m["kind"].(string)
	}
	one, known := j[kind]
	if !known || kind == "" {
		return all
	}
	err := one.Validate(doc)
	if (err == nil) != (all == nil) {
		t.Errorf("the schema of %s says %v, the schema of every kind %v", kind, err, all)
	}
	return err
}

// agree holds Load and the schemas to each other on one document: what Load uses
// is good for the schema, and what Load refuses for its structure is not. What
// JSON cannot show is exempt. It tells whether Load and the schema took it.
func (j judges) agree(t testing.TB, text string) (used, compared bool) {
	t.Helper()
	v := load(text)
	var node yaml.Node
	if several(text) || yaml.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &node) != nil || len(node.Content) == 0 {
		return v.used, false
	}
	doc, shown := (&converter{}).value(node.Content[0])
	if !shown || doc == nil {
		return v.used, false
	}
	err := j.check(t, doc)
	if v.used && err != nil {
		t.Errorf("Load uses what its schema refuses:\n%s\n%v", text, err)
	}
	if len(v.structure) > 0 && err == nil {
		t.Errorf("the schema takes what Load refuses for its structure:\n%s\n%v", text, v.structure)
	}
	if !v.used && len(v.problems) == 0 {
		t.Errorf("Load neither uses it nor says why:\n%s", text)
	}
	return v.used, true
}

// several tells whether there may be more than one document in the text.
func several(text string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...") || strings.HasPrefix(line, "%") {
			return true
		}
	}
	return strings.ContainsRune(text, '\r')
}

// converter makes JSON values of YAML nodes.
type converter struct {
	inside []*yaml.Node // aliases being followed
	values int
}

// value is a node as JSON. ok is false for what JSON cannot show: duplicate and
// merge keys, keys that are no text, tags, dates, infinities, aliases that
// contain themselves, or more values than a person writes.
func (c *converter) value(n *yaml.Node) (v any, ok bool) {
	const most = 20_000
	if c.values++; c.values > most || n.Style&yaml.TaggedStyle != 0 {
		return nil, false
	}
	switch n.Kind {
	case yaml.AliasNode:
		if slices.Contains(c.inside, n.Alias) {
			return nil, false
		}
		c.inside = append(c.inside, n.Alias)
		v, ok := c.value(n.Alias)
		c.inside = c.inside[:len(c.inside)-1]
		return v, ok
	case yaml.SequenceNode:
		items := []any{}
		for _, item := range n.Content {
			v, ok := c.value(item)
			if !ok {
				return nil, false
			}
			items = append(items, v)
		}
		return items, true
	case yaml.MappingNode:
		entries := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			v, ok := c.value(n.Content[i+1])
			_, twice := entries[key.Value]
			special := key.ShortTag() == "!!null" || key.ShortTag() == "!!merge" || key.Style&yaml.TaggedStyle != 0
			if !ok || twice || special || key.Kind != yaml.ScalarNode {
				return nil, false
			}
			entries[key.Value] = v
		}
		return entries, true
	}
	if n.Decode(&v) != nil {
		return nil, false
	}
	switch x := v.(type) {
	case time.Time, []byte:
		return nil, false
	case float64:
		return x, !math.IsInf(x, 0) && !math.IsNaN(x)
	}
	return v, true
}

// library is every document that people copy: the policies, the examples and the
// pages' own, one text for each.
func library(t testing.TB) []string {
	t.Helper()
	var texts []string
	for _, f := range copied(t) {
		texts = append(texts, strings.Split(f.text, "\n---\n")...)
	}
	for _, doc := range samples() {
		data, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(data))
	}
	return texts
}

// samples are documents that between them have every key.
func samples() []map[string]any {
	object := func(kind, name string, spec map[string]any) map[string]any {
		return map[string]any{"apiVersion": "towpath.dev/v1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec}
	}
	var all []map[string]any
	for name, selector := range map[string]any{
		"semver": map[string]any{"range": "1.x", "prereleases": true}, "calver": map[string]any{"layout": "YYYY.0M.0D"},
		"numerical": map[string]any{"order": "oldest"}, "alphabetical": map[string]any{"order": "oldest"},
	} {
		all = append(all, object("ImagePolicy", name, map[string]any{
			"image": "ghcr.io/acme/web", "schedule": "@every 10m", "select": map[string]any{name: selector},
			"filter": map[string]any{"pattern": "^(?P<version>.+)-alpine$", "extract": "$version"}, "exclude": []any{"1.4.2"},
			"lane": "any", "platforms": []any{"linux/amd64"}, "minAge": "24h", "pin": "digest", "refreshDigest": true, "allowDowngrade": true,
		}))
	}
	slices.SortFunc(all, func(a, b map[string]any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	all = append(all, object("ImagePolicy", "digest", map[string]any{"image": "ghcr.io/acme/web", "select": map[string]any{"digest": map[string]any{"tag": "main"}},
		"platforms": []any{"linux/amd64"}, "minAge": "1h"}))
	return append(all, object("Pipeline", "shop", map[string]any{
		"branch": "main", "promote": map[string]any{"what": "images"},
		"messages": map[string]any{"title": "{{.App}} {{.Versions}}", "body": "{{range .Edits}}{{.Path}}{{end}}"},
		"environments": []any{
			map[string]any{"name": "dev", "path": "envs/dev", "update": map[string]any{"policies": []any{"web"}}, "merge": "push"},
			map[string]any{
				"name": "prod", "path": "envs/prod", "from": []any{"dev"}, "merge": "approval", "onNewVersion": "wait", "gates": map[string]any{
					"approvals": map[string]any{"required": 1, "from": []any{"team:sre"}, "preventSelfReview": false},
					"healthy":   map[string]any{"stableFor": "2m"}, "soak": map[string]any{"for": "30m"},
				},
			},
		},
	}))
}
