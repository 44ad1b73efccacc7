package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

type object = map[string]any

// reduceOpenAPI keeps the operations named by "METHOD PATH" and the components they refer to.
func reduceOpenAPI(source []byte, wanted []string) ([]byte, error) {
	var doc object
	dec := json.NewDecoder(bytes.NewReader(source))
	dec.UseNumber() // numbers stay as they are written
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	all, _ := doc["paths"].(object)
	paths := object{}
	for _, line := range wanted {
		method, path, _ := strings.Cut(line, " ")
		method, path = strings.ToLower(method), strings.TrimSpace(path)
		item, _ := all[path].(object)
		operation, ok := item[method].(object)
		if !ok {
			return nil, fmt.Errorf("no operation %s %s", method, path)
		}
		kept, ok := paths[path].(object)
		if !ok {
			kept = object{}
			paths[path] = kept
		}
		kept[method] = prune(operation)
		if shared, ok := item["parameters"]; ok {
			kept["parameters"] = prune(shared)
		}
	}
	components := object{}
	if err := follow(doc, paths, components); err != nil {
		return nil, err
	}
	info, _ := doc["info"].(object)
	return json.Marshal(object{
		"openapi":    doc["openapi"],
		"info":       object{"title": info["title"], "version": info["version"], "license": info["license"]},
		"servers":    doc["servers"],
		"paths":      paths,
		"components": components,
	})
}

// prose are the keys that say nothing about what is valid.
func prose(key string) bool {
	switch key {
	case "description", "summary", "example", "examples", "externalDocs", "tags", "links", "callbacks", "title":
		return true
	}
	return strings.HasPrefix(key, "x-") && key != "x-multi-segment"
}

// prune copies a value without its prose. Below properties, responses, headers and patternProperties the
// keys are names that somebody chose, and all stay.
func prune(v any) any {
	switch v := v.(type) {
	case object:
		kept := object{}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			value := v[key]
			switch {
			case named(key):
				kept[key] = pruneNamed(key, value)
			case !prose(key):
				kept[key] = prune(value)
			}
		}
		return kept
	case []any:
		kept := make([]any, 0, len(v))
		for _, item := range v {
			kept = append(kept, prune(item))
		}
		return kept
	}
	return v
}

func named(key string) bool {
	return key == "properties" || key == "patternProperties" || key == "responses" || key == "headers" || key == "content"
}

// pruneNamed is prune for a map whose keys are names.
func pruneNamed(key string, v any) any {
	names, ok := v.(object)
	if !ok {
		return prune(v)
	}
	kept := object{}
	for name, value := range names {
		kept[name] = prune(value)
		if response, ok := kept[name].(object); ok && key == "responses" && response["$ref"] == nil {
			response["description"] = "" // OpenAPI wants one
		}
	}
	return kept
}

// follow copies into components what v refers to, and what that refers to.
func follow(doc object, v any, components object) error {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := follow(doc, item, components); err != nil {
				return err
			}
		}
	case object:
		if ref, ok := v["$ref"].(string); ok {
			return take(doc, ref, components)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := follow(doc, v[key], components); err != nil {
				return err
			}
		}
	}
	return nil
}

// take copies one component.
func take(doc object, ref string, components object) error {
	parts := strings.Split(ref, "/") // #/components/KIND/NAME
	if len(parts) != 4 || parts[0] != "#" || parts[1] != "components" {
		return fmt.Errorf("reference %q is of no known form", ref)
	}
	all, _ := doc["components"].(object)
	kind, _ := all[parts[2]].(object)
	value, ok := kind[parts[3]]
	if !ok {
		return fmt.Errorf("nothing at %q", ref)
	}
	into, ok := components[parts[2]].(object)
	if !ok {
		into = object{}
		components[parts[2]] = into
	}
	if _, done := into[parts[3]]; done {
		return nil
	}
	pruned := prune(value)
	if response, ok := pruned.(object); ok && parts[2] == "responses" {
		response["description"] = ""
	}
	into[parts[3]] = pruned
	return follow(doc, pruned, components)
}
