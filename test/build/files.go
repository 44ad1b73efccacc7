package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Files are folders of a module that Servers.Module requires: what a server reads while it runs. The
// module cache is no place to read them from, since a person may empty it.
type Files struct {
	// Module is the path of the required module.
	Module string
	// Folders are names of folders at its root; each keeps its name.
	Folders []string
}

// copy puts the files into dir; unlike the module cache's they are not read-only, so that the folder can
// be removed.
func (b *builder) copy(ctx context.Context, files Files, dir string) error {
	root, err := ask(ctx, b.source, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", files.Module)
	if err == nil && root == "" {
		err = errors.New("it is not in the module cache")
	}
	if err != nil {
		return fmt.Errorf("find the files of %s: %w", files.Module, err)
	}
	for _, folder := range files.Folders {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			return fmt.Errorf("copy the files of %s: %w", files.Module, err)
		}
	}
	return nil
}
