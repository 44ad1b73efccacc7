package policies

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/policy"
)

const referencePage = "../docs/reference/policies.md"

// keyTable is where a generated table stands.
var keyTable = regexp.MustCompile(`(?s)(<!-- keys of (\w+),[^\n]*-->\n).*?(<!-- end -->)`)

// TestTheReferenceHasEveryKey keeps the tables of docs/reference/policies.md equal
// to the schemas.
func TestTheReferenceHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	want := keyTable.ReplaceAllStringFunc(string(data), func(part string) string {
		m := keyTable.FindStringSubmatch(part)
		found = append(found, m[2])
		return m[1] + keysTable(t, m[2]) + m[3]
	})
	slices.Sort(found)
	if d := cmp.Diff(sortedKinds(), found); d != "" {
		t.Errorf("%s: tables of kinds (-want +got):\n%s", referencePage, d)
	}
	if *update {
		if err := os.WriteFile(referencePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(data), want); d != "" {
		t.Errorf("%s is not what the types say; rewrite it with -update:\n%s", referencePage, d)
	}
}

// keysTable is the table of the keys below spec, in the order of the types.
func keysTable(t *testing.T, kind string) string {
	t.Helper()
	s := reflected(t, kind)
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var root rawSchema
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| key of `spec` | value | default | what it does |\n|---|---|---|---|\n")
	root.Properties.get("spec").rows(&b, "")
	return b.String()
}

// rawSchema is what the tables need of a schema, its properties in order.
type rawSchema struct {
	Type        string
	Enum        []string
	Default     any
	Description string
	Required    []string
	OneOf       []any
	MaxItems    *int
	Pattern     string
	Minimum     *int
	Maximum     *int
	Items       *rawSchema
	Properties  orderedSchemas
}

type orderedSchemas []namedSchema

type namedSchema struct {
	name   string
	schema rawSchema
}

func (o *orderedSchemas) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		entry := namedSchema{name: fmt.Sprint(key)}
		if err := d.Decode(&entry.schema); err != nil {
			return err
		}
		*o = append(*o, entry)
	}
	return nil
}

func (o orderedSchemas) get(name string) *rawSchema {
	for i := range o {
		if o[i].name == name {
			return &o[i].schema
		}
	}
	return &rawSchema{}
}

// rows writes a row for each key, and below a mapping those of its keys.
func (s *rawSchema) rows(b *strings.Builder, prefix string) {
	for _, p := range s.Properties {
		def := ""
		switch {
		case p.schema.Default != nil:
			def = fmt.Sprintf("`%v`", p.schema.Default)
		case slices.Contains(s.Required, p.name):
			def = "required"
		}
		description := strings.ReplaceAll(p.schema.Description, "|", `\|`)
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, p.name, p.schema.value(), def, description)
		p.schema.rows(b, prefix+p.name+".")
		if p.schema.Items != nil {
			p.schema.Items.rows(b, prefix+p.name+"[].")
		}
	}
}

// value says what may be written.
func (s *rawSchema) value() string {
	switch {
	case len(s.Enum) > 0:
		return "`" + strings.Join(s.Enum, "`, `") + "`"
	case s.Type == "array" && s.MaxItems != nil && *s.MaxItems == 1:
		return "list of one " + s.Items.value()
	case s.Type == "array" && s.Items.Type == "object":
		return fmt.Sprintf("list of mappings, at most %d", *s.MaxItems)
	case s.Type == "array":
		return fmt.Sprintf("list of texts, at most %d", *s.MaxItems)
	case s.Type == "object" && len(s.OneOf) > 0:
		return "mapping with one key"
	case s.Type == "object":
		return "mapping"
	case s.Type == "boolean":
		return "`true`, `false`"
	case s.Type == "integer":
		return fmt.Sprintf("number from %d to %d", *s.Minimum, *s.Maximum)
	case strings.Contains(s.Pattern, "ms|s|m|h"):
		return "duration"
	}
	return "text"
}

// TestTheReferenceNamesEveryFieldOfLayouts holds the page and the schema to what is
// said of a layout with a field that nobody knows.
func TestTheReferenceNamesEveryFieldOfLayouts(t *testing.T) {
	data, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	_, hint := policy.CheckLayout("YYYY.XYX")
	fields := regexp.MustCompile(`\b(?:[A-Z]+|0[A-Z])\b`).FindAllString(hint, -1)
	if len(fields) < 10 {
		t.Fatalf("the fields are not in the hint: %s", hint)
	}
	for _, s := range everySpot(t) {
		said, layout := fmt.Sprint(s.schema["description"]), strings.HasSuffix(s.name, ".layout")
		for _, f := range fields {
			if layout && !strings.Contains(said, " "+f) {
				t.Errorf("the description of layout does not name the field %s", f)
			}
		}
	}
	for _, f := range fields {
		if !strings.Contains(string(data), "`"+f+"`") {
			t.Errorf("%s does not name the field %s", referencePage, f)
		}
	}
}

// TestTheEditorGuideNamesEverySchema holds the guide's addresses to the schemas.
func TestTheEditorGuideNamesEverySchema(t *testing.T) {
	guide, err := os.ReadFile("../docs/guides/editor.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(Schemas, "schema/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := fs.ReadFile(Schemas, f)
		if err != nil {
			t.Fatal(err)
		}
		var head struct {
			ID string `json:"$id"`
		}
		if err := json.Unmarshal(data, &head); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(guide), "`"+head.ID+"`") {
			t.Errorf("docs/guides/editor.md does not name %s", head.ID)
		}
	}
}
