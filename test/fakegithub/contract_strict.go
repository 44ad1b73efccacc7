package fakegithub

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// formats are the string formats that are checked besides kin-openapi's own (date, date-time).
func formats() []openapi3.SchemaValidationOption {
	return []openapi3.SchemaValidationOption{
		openapi3.EnableFormatValidation(),
		openapi3.WithStringFormatValidator("uri", openapi3.NewCallbackValidator(func(text string) error {
			if text == "" {
				return nil // what GitHub sends for no URL; its description has it as default
			}
			u, err := url.Parse(text)
			if err != nil {
				return err
			}
			if !u.IsAbs() || u.Host == "" {
				return errors.New("not an absolute URL")
			}
			return nil
		})),
	}
}

// undeclared finds properties of a valid value that its schema does not name. GitHub's schemas leave
// additionalProperties open nearly everywhere, so that validation alone would let every misspelt
// property pass that is not required.
func undeclared(schema *openapi3.Schema, value any, place string, report func(place, reason string)) {
	parts := variants(schema, value, nil)
	switch value := value.(type) {
	case map[string]any:
		properties, open := map[string][]*openapi3.Schema{}, true
		for _, part := range parts {
			for name, p := range part.Properties {
				properties[name] = append(properties[name], p.Value)
				open = false
			}
		}
		for _, part := range parts {
			if extra := part.AdditionalProperties; extra.Schema != nil || extra.Has != nil && *extra.Has {
				open = true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			under := place + "/" + name
			if len(properties[name]) == 0 {
				// The permissions of Apps are described in part, and differently in each place.
				if !open && !strings.HasSuffix(place, "/permissions") {
					report(under, "no such property is described")
				}
				continue
			}
			undeclared(merge(properties[name]), value[name], under, report)
		}
	case []any:
		var items []*openapi3.Schema
		for _, part := range parts {
			if part.Items != nil {
				items = append(items, part.Items.Value)
			}
		}
		if len(items) == 0 {
			return
		}
		for i, item := range value {
			undeclared(merge(items), item, place+"/"+strconv.Itoa(i), report)
		}
	}
}

// merge is a schema for a value that all of these describe.
func merge(schemas []*openapi3.Schema) *openapi3.Schema {
	if len(schemas) == 1 {
		return schemas[0]
	}
	all := &openapi3.Schema{}
	for _, s := range schemas {
		all.AllOf = append(all.AllOf, &openapi3.SchemaRef{Value: s})
	}
	return all
}

// variants returns the schema and those of its parts that hold for the value: all of allOf, and of
// oneOf and anyOf those that accept it.
func variants(schema *openapi3.Schema, value any, into []*openapi3.Schema) []*openapi3.Schema {
	into = append(into, schema)
	for _, part := range schema.AllOf {
		into = variants(part.Value, value, into)
	}
	for _, parts := range []openapi3.SchemaRefs{schema.OneOf, schema.AnyOf} {
		for _, part := range parts {
			if part.Value.VisitJSON(value, formats()...) == nil {
				into = variants(part.Value, value, into)
			}
		}
	}
	return into
}

// typeName says what a JSON value is.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return fmt.Sprintf("%T", v)
	}
}
