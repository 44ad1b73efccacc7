// Package examples embeds whole config repositories. Each is the input of an
// end-to-end test, and shop is what `towpath demo` runs.
package examples

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
)

// FS holds one folder per example.
//
//go:embed shop
var FS embed.FS

// Host is the registry that the examples name.
const Host = "registry.example"

// Shop returns the files of shop, by path, with host in place of Host.
func Shop(host string) (map[string][]byte, error) {
	sub, err := fs.Sub(FS, "shop")
	if err != nil {
		return nil, fmt.Errorf("read examples/shop: %w", err)
	}
	files := map[string][]byte{}
	err = fs.WalkDir(sub, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(sub, p)
		files[p] = bytes.ReplaceAll(data, []byte(Host), []byte(host))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read examples/shop: %w", err)
	}
	return files, nil
}
