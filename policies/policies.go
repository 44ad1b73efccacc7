// Package policies holds ready-to-copy policies as YAML: copy one into the
// policies folder of a config repository and change name, image and range. Beside
// them are the JSON Schemas of every kind of document.
//
// Floor 0. It holds files and no code: what a policy means is internal/policy's.
package policies

import "embed"

// FS holds the policies, one per file.
//
//go:embed *.yaml
var FS embed.FS

// Schemas holds one JSON Schema (draft-07) per kind, schema/<kind in lower
// case>.json, and schema/all.json for a file that holds several kinds. They are
// made from Go types by a test: go test ./policies -run Schema -update.
//
//go:embed schema/*.json
var Schemas embed.FS
