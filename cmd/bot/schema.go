package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/policies"
)

// schemaEntry is one line of `schema` without a kind.
type schemaEntry struct {
	Kind        string `json:"kind"` // as the argument is written
	ID          string `json:"id"`
	Description string `json:"description"`
}

func schemaCommand(s std) *cobra.Command {
	var o output
	cmd := command("schema [KIND]", "print the JSON Schema of a kind of document",
		"Prints the JSON Schema (draft-07) that this version holds documents of a kind to, for\neditors and CI. Without a kind it lists them; all is one schema for every kind in the\npolicies folder. The letter case of the kind does not matter.",
		"  towpath schema ImagePolicy\n  towpath schema all > .vscode/towpath.json", cobra.MaximumNArgs(1),
		func(_ *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if len(args) == 0 {
				return listSchemas(s, o)
			}
			return printSchema(s, o, args[0])
		})
	o.flag(cmd)
	return cmd
}

// schemaKinds are the names of the embedded schemas, sorted.
func schemaKinds() ([]string, error) {
	files, err := fs.Glob(policies.Schemas, "schema/*.json")
	if err != nil {
		return nil, fmt.Errorf("list schemas: %w", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".json")
	}
	return files, nil
}

func readSchema(kind string) ([]byte, error) {
	data, err := fs.ReadFile(policies.Schemas, "schema/"+kind+".json")
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	return data, nil
}

func listSchemas(s std, o output) error {
	kinds, err := schemaKinds()
	if err != nil {
		return err
	}
	rows := [][]string{{"KIND", "SCHEMA", "WHAT"}}
	var list []schemaEntry
	for _, kind := range kinds {
		data, err := readSchema(kind)
		if err != nil {
			return err
		}
		var head struct {
			ID          string `json:"$id"`
			Description string `json:"description"`
		}
		if err := json.Unmarshal(data, &head); err != nil {
			return fmt.Errorf("read schema of %s: %w", kind, err)
		}
		list = append(list, schemaEntry{kind, head.ID, head.Description})
		rows = append(rows, []string{kind, head.ID, head.Description})
	}
	return o.print(s.out, list, func(w io.Writer) { table(w, rows) })
}

func printSchema(s std, o output, kind string) error {
	kinds, err := schemaKinds()
	if err != nil {
		return err
	}
	for _, known := range kinds {
		if !strings.EqualFold(known, kind) {
			continue
		}
		data, err := readSchema(known)
		if err != nil {
			return err
		}
		if o.format == "yaml" {
			return o.print(s.out, json.RawMessage(data), nil)
		}
		_, err = s.out.Write(data)
		return err
	}
	return usagef("there is no kind %q; there are %s", kind, strings.Join(kinds, ", "))
}
