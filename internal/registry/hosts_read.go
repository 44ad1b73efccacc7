package registry

import (
	"reflect"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// maxNameSaid is how much of a host's name stands in a problem.
const maxNameSaid = 100

// nameIn is what problems call a registry: its host, where that can be shown.
func nameIn(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i+1].Value
			if n.Content[i].Value != "host" || name == "" || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
				continue
			}
			if len(name) > maxNameSaid {
				name = strings.ToValidUTF8(name[:maxNameSaid], "") + "…"
			}
			return name
		}
	}
	return "a registry"
}

// mapping returns the values of a mapping, with problems for keys that t has not
// or that come twice.
func (l *loader) mapping(n *yaml.Node, what string, t reflect.Type) (map[string]*yaml.Node, bool) {
	if n.Kind != yaml.MappingNode || n.Style&yaml.TaggedStyle != 0 {
		l.problem(n.Line, "%s is no mapping", what)
		return nil, false
	}
	var known []string
	for f := range t.Fields() {
		known = append(known, keyOf(f))
	}
	values := map[string]*yaml.Node{}
	good := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		_, twice := values[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			l.problem(key.Line, "%s: there is no %.60q; there are %s", what, key.Value, strings.Join(known, ", "))
			good = false
		case twice:
			l.problem(key.Line, "%s: %s is written twice", what, key.Value)
			good = false
		}
		values[key.Value] = n.Content[i+1]
	}
	return values, good
}

func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// fill reads a mapping into a struct of texts, numbers, truth values and
// pointers to such structs. It takes what the schema takes: no value stands for
// a key that is not there, and none is made of one of another type.
func (l *loader) fill(n *yaml.Node, what string, into reflect.Value) bool {
	values, good := l.mapping(n, what, into.Type())
	for f, field := range into.Fields() {
		key := keyOf(f)
		value := values[key]
		if value == nil {
			continue
		}
		if field.Kind() == reflect.Pointer && value.Kind == yaml.MappingNode {
			field.Set(reflect.New(field.Type().Elem()))
			good = l.fill(value, what+": "+key, field.Elem()) && good
			continue
		}
		if wrong := scalar(value, field, key); wrong != "" {
			l.problem(value.Line, "%s: %s%s", what, key, wrong)
			good = false
		}
	}
	return good
}

// scalar reads one value and says what is wrong with it; of the value itself it
// says nothing, it may be a secret.
func scalar(n *yaml.Node, into reflect.Value, key string) string {
	tag := n.ShortTag()
	switch {
	case n.Kind == yaml.AliasNode:
		return " is an alias; write its value"
	case n.Style&yaml.TaggedStyle != 0:
		return " has a tag of YAML; remove it"
	case n.Kind == yaml.ScalarNode && tag == "!!null":
		return ": has no value; write one or remove the key"
	}
	good, want := false, "a mapping"
	switch into.Kind() {
	case reflect.Bool:
		good, want = tag == "!!bool", "true or false"
	case reflect.Float64:
		good, want = tag == "!!int" || tag == "!!float", "a number"
	case reflect.String:
		good, want = tag == "!!str" || tag == "!!timestamp", "a text"
		if good && n.Value == "" && key != "proxy" { // there it says something
			return ": has no value; write one or remove the key"
		}
		if good {
			into.SetString(n.Value)
			return ""
		}
	}
	if !good || n.Decode(into.Addr().Interface()) != nil {
		return " is " + called(tag) + "; want " + want
	}
	return ""
}

// called is what a person calls a type of YAML.
func called(tag string) string {
	switch tag {
	case "!!str", "!!timestamp":
		return "a text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a truth value"
	case "!!seq":
		return "a list"
	case "!!map":
		return "a mapping"
	}
	return "something else"
}
