package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/scan"
)

// sayElsewhere notes that the clone one stands in holds something else than the
// base branch of its origin, which is what was read.
func (c *connection) sayElsewhere(w io.Writer, s promote.Situation) {
	origin, err := gitrepo.Origin(".")
	if err != nil || origin != c.repo {
		return
	}
	dir, err := os.Getwd()
	if err != nil || dir == origin { // a bare repository holds no files of its own
		return
	}
	root := cloneAround(dir)
	if root == "" || !s.Differs(os.DirFS(root)) {
		return
	}
	fmt.Fprintf(w, "note: read from %s of origin; this folder differs from it: commit and push what you mean first (towpath lint checks the folder)\n", baseOf(s.Branch, s.Commit))
}

// baseOf names what was read: "main at 5726d4b".
func baseOf(branch, commit string) string { return fmt.Sprintf("%s at %.7s", branch, commit) }

// cloneAround is the nearest folder with .git at or above dir; "": there is none.
func cloneAround(dir string) string {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, ".git")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return ""
		}
	}
}

// images counts the images that choices are about, and those of them whose
// registry could not be asked.
func images(s promote.Situation, choices []scan.Result) (failed, all int) {
	seen := map[string]bool{}
	for _, c := range choices {
		if seen[c.Repository] {
			continue
		}
		seen[c.Repository] = true
		all++
		if s.Listings[c.Repository].Err != nil {
			failed++
		}
	}
	return failed, all
}

// unseen is an error when a registry did not answer. Why is in what the command
// prints of each choice, and is not said again.
func unseen(failed, all int) error {
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("not everything could be looked at: %d of %d images; their choices say why", failed, all)
}
