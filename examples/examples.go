// Package examples embeds whole config repositories. Each is the input of an
// end-to-end test, and shop is what `towpath demo` runs.
package examples

import "embed"

// FS holds one folder per example.
//
//go:embed shop
var FS embed.FS
