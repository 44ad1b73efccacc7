package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/promote"
)

// finding is one line of `lint` as JSON.
type finding struct {
	Path    string `json:"path"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Object  string `json:"object,omitempty"`
	Verdict string `json:"verdict,omitempty"` // of a marker or a file, as docs/reference/markers.md lists them
	Reason  string `json:"reason"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"`
	text    string
}

func lintCommand(s std) *cobra.Command {
	var o output
	var j jsonFlag
	cmd := command("lint [DIR]", "check policies, pipeline and markers",
		"Checks a checkout of the config repository, offline: policies/*.yaml and *.yml, the\nenvironments' directories, their manifests, and every marker in the repository, also where it\ncannot work: outside of the environments, or in a file that is no YAML. Hidden folders and\nsubmodules are left out, links not followed. DIR is the root of the checkout: the folder that\nholds policies/. With --json, markers in .json files outside of the environments are found, too;\nthe bot writes none in any .json file. Exit 1 on errors; warnings alone are fine.",
		"  towpath lint\n  towpath lint examples/shop", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			if _, err := os.Stat(dir); err != nil {
				return usagef("open the config repository: %w", err)
			}
			if above := rootAbove(dir); above != "" {
				return usagef("%s is not the root of a config repository: it has no policies/; the one above is %s", dir, above)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				return usagef("open the config repository: %w", err)
			}
			defer root.Close()
			problems, err := promote.Lint(promote.Within(cmd.Context(), root.FS()), j.more()...)
			if cmd.Context().Err() != nil {
				return errors.New("interrupted: not everything was checked")
			}
			if err != nil {
				return err
			}
			return printProblems(s, o, problems)
		})
	o.flag(cmd)
	j.flag(cmd)
	return cmd
}

// rootAbove is the folder with policies/ above dir, when dir itself has none and
// is not the root of a repository; else "".
func rootAbove(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	root := repositoryRoot(abs)
	if _, err := os.Stat(filepath.Join(root, promote.PolicyDir)); err != nil || root == abs {
		return ""
	}
	return root
}

func findings(problems []policy.Problem) []finding {
	out := make([]finding, 0, len(problems))
	for _, p := range problems {
		out = append(out, finding{p.Path, p.Line, p.Column, p.Object, p.Verdict, p.Reason, p.Hint, p.Warning, p.String()})
	}
	return out
}

// printFindings prints one line per finding.
func printFindings(w io.Writer, list []finding) {
	for _, f := range list {
		kind := "error"
		if f.Warning {
			kind = "warning"
		}
		fmt.Fprintf(w, "%s: %s\n", kind, f.text)
	}
}

func printProblems(s std, o output, problems []policy.Problem) error {
	bad := 0
	for _, p := range problems {
		if !p.Warning {
			bad++
		}
	}
	list := findings(problems)
	err := o.print(s.out, list, func(w io.Writer) {
		printFindings(w, list)
		if len(problems) == 0 {
			fmt.Fprintln(w, "no problems")
		}
	})
	if err == nil && bad > 0 {
		return errFindings
	}
	return err
}
