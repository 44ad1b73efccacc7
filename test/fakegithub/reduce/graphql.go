package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"
)

// reduceGraphQL keeps the fields named by "Type.field" ("Type.*" for all) whose types are then there,
// with all input types, enumerations and scalars that their arguments and results need.
func reduceGraphQL(source []byte, wanted []string) ([]byte, error) {
	doc, err := parser.ParseSchema(&ast.Source{Name: "schema.graphql", Input: string(source)})
	if err != nil {
		return nil, err
	}
	r := &graphqlReducer{types: map[string]*ast.Definition{}, wanted: map[string][]string{}, kept: map[string]*ast.Definition{}}
	for _, d := range doc.Definitions {
		r.types[d.Name] = d
	}
	for _, line := range wanted {
		typ, field, ok := strings.Cut(line, ".")
		if d := r.types[typ]; !ok || d == nil || field != "*" && d.Fields.ForName(field) == nil {
			return nil, fmt.Errorf("no field %q", line)
		}
		r.wanted[typ] = append(r.wanted[typ], field)
	}
	for typ := range r.wanted {
		r.keep(typ)
	}
	if err := r.complete(); err != nil {
		return nil, err
	}
	var result ast.SchemaDocument
	for _, d := range doc.Definitions { // in the order of the source
		if kept := r.kept[d.Name]; kept != nil {
			result.Definitions = append(result.Definitions, kept)
		}
	}
	var b bytes.Buffer
	formatter.NewFormatter(&b, formatter.WithoutDescription()).FormatSchemaDocument(&result)
	return b.Bytes(), nil
}

type graphqlReducer struct {
	types  map[string]*ast.Definition
	wanted map[string][]string // output type → fields
	kept   map[string]*ast.Definition
}

// keep takes over a type and the types it needs by itself; of a union's members, those of which a field is wanted.
func (r *graphqlReducer) keep(name string) {
	d := r.types[name]
	if d == nil || r.kept[name] != nil {
		return // a built-in scalar, or already there
	}
	cut := *d
	cut.Directives = nil // GitHub's own, such as @docsCategory, and deprecations
	cut.Fields = nil
	cut.Types = slices.DeleteFunc(slices.Clone(d.Types), func(member string) bool { return r.wanted[member] == nil })
	cut.EnumValues = slices.Clone(d.EnumValues)
	for i, v := range cut.EnumValues {
		plain := *v
		plain.Directives = nil
		cut.EnumValues[i] = &plain
	}
	r.kept[name] = &cut
	for _, f := range d.Fields {
		fields := r.wanted[name]
		if d.Kind != ast.InputObject && !slices.Contains(fields, f.Name) && !slices.Contains(fields, "*") {
			continue
		}
		field := *f
		field.Directives = nil
		field.Arguments = slices.Clone(f.Arguments)
		for i, a := range field.Arguments {
			argument := *a
			argument.Directives = nil
			field.Arguments[i] = &argument
			r.keep(a.Type.Name())
		}
		cut.Fields = append(cut.Fields, &field)
		if t := r.types[f.Type.Name()]; t != nil && (t.Kind == ast.Scalar || t.Kind == ast.Enum || t.Kind == ast.InputObject || t.Kind == ast.Union) {
			r.keep(t.Name)
		}
	}
}

// complete drops interfaces that are not kept and finds fields of
// types that have none.
func (r *graphqlReducer) complete() error {
	for name, d := range r.kept {
		d.Interfaces = slices.DeleteFunc(slices.Clone(d.Interfaces), func(i string) bool {
			kept := r.kept[i]
			return kept == nil || !hasAll(d, kept)
		})
		for _, f := range d.Fields {
			if t := r.types[f.Type.Name()]; t != nil && r.kept[t.Name] == nil {
				return fmt.Errorf("%s.%s is a %s, of which no field is wanted", name, f.Name, t.Name)
			}
		}
	}
	return nil
}

// hasAll tells whether d still has the fields of an interface.
func hasAll(d, iface *ast.Definition) bool {
	return !slices.ContainsFunc(iface.Fields, func(f *ast.FieldDefinition) bool { return d.Fields.ForName(f.Name) == nil })
}
