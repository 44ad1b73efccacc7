// Package policies holds ready-to-copy policies as YAML: copy one into the
// policies folder of a config repository and change name, image and range.
package policies

import "embed"

// FS holds the policies, one per file.
//
//go:embed *.yaml
var FS embed.FS
