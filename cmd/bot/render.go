package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"towpath.dev/towpath/internal/manifest"
)

func renderCommand(s std) *cobra.Command {
	var o output
	var root string
	cmd := command("render DIR", "what the agent would apply from an environment's directory",
		"Renders every app of the directory, offline and without running anything from it. Bases\nelsewhere are read below --root. An app that cannot be rendered is reported, the others are\nprinted; the exit code is then 1.",
		"  towpath render envs/dev", cobra.ExactArgs(1),
		func(_ *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			dir, err := below(&root, args[0])
			if err != nil {
				return err
			}
			apps, err := manifest.NewRenderer(manifest.Limits{}).Render(os.DirFS(root), dir)
			if err != nil {
				return err
			}
			return printApps(s, o, apps)
		})
	o.flag(cmd)
	cmd.Flags().StringVar(&root, "root", "", "root of the config repository (default: the folder with .git above DIR, else DIR's parent tree you stand in)")
	return cmd
}

// below finds the root of the repository that dir is in, and dir relative to it.
func below(root *string, dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", fmt.Errorf("open directory: %w", err)
	}
	if *root == "" {
		*root = repositoryRoot(abs)
	}
	base, err := filepath.Abs(*root)
	if err != nil {
		return "", err
	}
	if base, err = filepath.EvalSymlinks(base); err != nil {
		return "", fmt.Errorf("open root: %w", err)
	}
	rel, err := filepath.Rel(base, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", usagef("%s is not below %s; give --root", dir, *root)
	}
	*root = base
	return filepath.ToSlash(rel), nil
}

// repositoryRoot is the nearest folder with policies/ or .git at or above dir,
// else dir itself.
func repositoryRoot(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		for _, mark := range []string{"policies", ".git"} {
			if _, err := os.Stat(filepath.Join(d, mark)); err == nil {
				return d
			}
		}
		if d == filepath.Dir(d) {
			return dir
		}
	}
}

func rank(object map[string]any) int {
	switch object["kind"] {
	case "Namespace":
		return 0
	case "CustomResourceDefinition":
		return 1
	}
	return 2
}

func printApps(s std, o output, apps []manifest.App) error {
	var all []map[string]any
	bad := false
	for _, a := range apps {
		if a.Problem != nil {
			bad = true
			fmt.Fprintf(s.err, "%s: %v\n", a.Name, a.Problem)
			continue
		}
		for _, obj := range a.Objects {
			all = append(all, obj.Map())
		}
	}
	// What others live in comes first, so that kubectl can apply this from the top.
	slices.SortStableFunc(all, func(a, b map[string]any) int { return cmp.Compare(rank(a), rank(b)) })
	list := map[string]any{"apiVersion": "v1", "kind": "List", "items": all}
	var printErr error
	err := o.print(s.out, list, func(w io.Writer) {
		for i, obj := range all {
			data, err := yaml.Marshal(obj)
			if err != nil {
				printErr = fmt.Errorf("write yaml: %w", err)
				return
			}
			if i > 0 {
				fmt.Fprintln(w, "---")
			}
			fmt.Fprintf(w, "%s", data)
		}
	})
	switch {
	case err != nil:
		return err
	case printErr != nil:
		return printErr
	case bad:
		return errFindings
	}
	return nil
}
