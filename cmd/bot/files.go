package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/promote"
)

// jsonFlag is the flag of the commands that can also read JSON files.
type jsonFlag bool

func (j *jsonFlag) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar((*bool)(j), "json", false, "look for markers in .json files, too; JSON is YAML, and the markers in it are comments behind #")
}

// more is what yamlFiles and Lint want to know of it.
func (j jsonFlag) more() []string {
	if j {
		return []string{".json"}
	}
	return nil
}

// yamlFiles reads the YAML files under dir, and those with one of the further
// extensions, such as ".json". Nothing outside of dir is read, whatever links say,
// and .git is left out. What cannot be read is skipped with its verdict; only dir
// itself must be readable. It ends with its context, between files.
func yamlFiles(ctx context.Context, dir string, more ...string) (files []patch.File, skipped []patch.Skipped, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", dir, err)
	}
	defer root.Close()
	files, skipped, err = promote.Files(promote.Within(ctx, root.FS()), more...)
	if ctx.Err() != nil {
		return nil, nil, errUntouched
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", dir, err)
	}
	return files, skipped, nil
}

// errUntouched ends a command that a signal stopped before it wrote anything.
var errUntouched = errors.New("interrupted: nothing was written")
