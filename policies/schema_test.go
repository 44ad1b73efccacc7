package policies

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"

	"towpath.dev/towpath/internal/policy"
)

var update = flag.Bool("update", false, "rewrite the schemas and the tables made from them")

const (
	schemaBase = "https://towpath.dev/schema/v1/"
	// draft is what editors understand. yaml-language-server says of anything
	// newer that it is "not yet fully supported"; so no $ref stands beside other
	// keywords either: everything is written out where it is used.
	draft = "http://json-schema.org/draft-07/schema#"
)

// kinds are the documents of the policies folder, which may stand in one file.
func kinds() map[string]reflect.Type {
	return map[string]reflect.Type{
		"ImagePolicy": reflect.TypeFor[policy.ImagePolicyDocument](),
		"Pipeline":    reflect.TypeFor[policy.PipelineDocument](),
	}
}

// TestTheSchemasAreMadeFromTheTypes keeps policies/schema equal to what the Go
// types and their comments say.
func TestTheSchemasAreMadeFromTheTypes(t *testing.T) {
	want := map[string]*jsonschema.Schema{"all": everyKind(t), "registries": registries(t)}
	for kind := range kinds() {
		want[strings.ToLower(kind)] = reflected(t, kind)
	}
	for name, schema := range want {
		schema.Version, schema.ID = draft, jsonschema.ID(schemaBase+name+".json")
		file := path.Join("schema", name+".json")
		data := indented(t, schema)
		if *update {
			if err := os.WriteFile(file, data, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := fs.ReadFile(Schemas, file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(have), string(data)); d != "" {
			t.Errorf("%s is not what the types say; rewrite it with -update:\n%s", file, d)
		}
	}
	files, err := fs.Glob(Schemas, "schema/*")
	if err != nil || len(files) != len(want) && !*update {
		t.Errorf("%d schemas for %d kinds: %v %v", len(files), len(want), files, err)
	}
}

func indented(t *testing.T, v any) []byte {
	t.Helper()
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	data := buf.Bytes()
	for _, c := range []string{"<", ">", "&"} { // the library escapes them for HTML
		data = bytes.ReplaceAll(data, fmt.Appendf(nil, `\u%04x`, c[0]), []byte(c))
	}
	return data
}

// reflected is the schema of one kind, all in one piece.
func reflected(t *testing.T, kind string) *jsonschema.Schema {
	t.Helper()
	s := reflector(t, "../internal/policy").ReflectFromType(kinds()[kind])
	s.Title = kind
	polish(s)
	return s
}

// reflector knows the comments of a package.
func reflector(t *testing.T, folder string) *jsonschema.Reflector {
	t.Helper()
	r := &jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, DoNotReference: true}
	if err := r.AddGoComments("towpath.dev/towpath/policies", folder); err != nil {
		t.Fatal(err)
	}
	return r
}

// typeName is how Go begins the comment of a type.
var typeName = regexp.MustCompile(`^[A-Z]\w+(?:Document|Spec) is (.)`)

// polish turns Go comments into descriptions, and says of every text without a
// grammar that it is not empty.
func polish(s *jsonschema.Schema) {
	s.Description = strings.Join(strings.Fields(s.Description), " ")
	if m := typeName.FindStringSubmatch(s.Description); m != nil {
		s.Description = strings.ToUpper(m[1]) + s.Description[len(m[0]):]
	}
	if s.Type == "string" && s.Pattern == "" && len(s.Enum) == 0 {
		one := uint64(1)
		s.MinLength = &one
	}
	if s.Items != nil {
		polish(s.Items)
	}
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		polish(p.Value)
	}
}

// everyKind is the schema of a document of any kind.
func everyKind(t *testing.T) *jsonschema.Schema {
	t.Helper()
	kind := &jsonschema.Schema{Type: "string", Description: "The kind of the document."}
	all := &jsonschema.Schema{
		Title: "Towpath", Description: "A document of the policies folder, of any kind.", Type: "object", Required: []string{"kind"},
		Properties: jsonschema.NewProperties(),
	}
	all.Properties.Set("kind", kind)
	for _, name := range sortedKinds() {
		kind.Enum = append(kind.Enum, name)
		is := &jsonschema.Schema{Properties: jsonschema.NewProperties()}
		is.Properties.Set("kind", &jsonschema.Schema{Const: name})
		then := reflected(t, name)
		then.Version = ""
		all.AllOf = append(all.AllOf, &jsonschema.Schema{If: is, Then: then})
	}
	return all
}

func sortedKinds() []string {
	var names []string
	for name := range kinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
