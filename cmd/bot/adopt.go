package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/adopt"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/promote"
)

// adopted is the JSON of `adopt`; its names are a contract.
type adopted struct {
	Marks        []adopt.Mark         `json:"marks"`
	Policies     []adoptedPolicy      `json:"policies"`     // new ones
	Environments []adoptedEnvironment `json:"environments"` // of new pipelines
	Left         []adopt.Left         `json:"left"`
	Files        []string             `json:"files"` // changed and new
}

type adoptedPolicy struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	Path  string `json:"path"`
	Why   string `json:"why"`
}

type adoptedEnvironment struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	From     string `json:"from,omitempty"` // empty: new tags enter here
	Merge    string `json:"merge"`
	Pipeline string `json:"pipeline"`
}

func adoptCommand(s std) *cobra.Command {
	var p proposal
	var branch string
	var images []string
	cmd := command("adopt DIR", "propose markers, policies and a pipeline for a repository without them",
		"Finds image references in the YAML files of a checkout: in manifests of every kind, kustomize\nimages, Helm values, HelmReleases and Argo CD Applications. Proposes a marker for each, an\nImagePolicy guessed from the tag that is there, and a Pipeline guessed from the names of\nfolders, unless there is one. DIR is the root of the checkout. Offline.\n\n"+
			"Without --write nothing is written: the diff is on standard output, what was guessed and what\nis left, with the reasons, on standard error. Nothing but comments is put into files that are\nthere. What has a marker is left alone, so adopt can be run again.",
		"  towpath adopt .\n  towpath adopt . --image 'ghcr.io/acme/*' --write", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := p.check(); err != nil {
				return err
			}
			for _, pattern := range images {
				if _, err := path.Match(pattern, ""); err != nil {
					return usagef("--image %s: not a pattern; write one like 'ghcr.io/acme/*'", pattern)
				}
			}
			return adoptDir(cmd.Context(), s, p, args[0], adopt.Input{Branch: branch, Images: images})
		})
	p.flag(cmd)
	cmd.Flags().StringVar(&branch, "branch", "", "the branch of a new pipeline (default: what is checked out, else main)")
	cmd.Flags().StringArrayVar(&images, "image", nil, "adopt only images that match the pattern (name, path or whole name; * stands for a part without /); can be repeated")
	return cmd
}

func adoptDir(ctx context.Context, s std, p proposal, dir string, in adopt.Input) error {
	if err := atRoot(dir); err != nil {
		return err
	}
	again := adoptAgain(dir, in)
	in.Branch = cmp.Or(in.Branch, checkedOut(dir), defaultBranch)
	fsys := os.DirFS(dir)
	old, skipped, err := readProposable(ctx, s, dir, &in)
	if err != nil {
		return err
	}
	in.Renders = renders(promote.Within(ctx, fsys))
	out := adopt.Propose(in)
	for _, k := range skipped {
		out.Left = append(out.Left, adopt.Left{Path: k.Path, Line: k.Line, Reason: k.Reason, Hint: k.Hint})
	}
	if err := p.run(ctx, s, dir, old, out.Files, adoptedOf(out)); err != nil {
		return err
	}
	sayAdopted(s.err, out)
	if migrate := sayOthers(s.err, out, in, dir); migrate != "" && !p.write {
		fmt.Fprintf(s.err, "\nnext: %s\n", migrate)
		return nil
	}
	sayNext(s.err, p.write, out, dir, again, branchOf(in))
	return nil
}

// branchOf is the branch of the pipeline that is there or would be.
func branchOf(in adopt.Input) string {
	if len(in.Config.Pipelines) > 0 {
		return in.Config.Pipelines[0].Branch
	}
	return in.Branch
}

// sayOthers points to migrate where another updater's objects are there and what they
// want is in no policy. It returns the first command of that kind, "" when there is
// none.
func sayOthers(w io.Writer, p adopt.Proposal, in adopt.Input, dir string) (migrate string) {
	names := ""
	if len(p.Unknown) > 0 {
		names = "markers name policies that are not there: " + strings.Join(p.Unknown, ", ")
	}
	for _, word := range sortedNames(migrations()) {
		if len(in.Config.Policies) > 0 && names == "" || migrations()[word].run(in.Files, "").Objects == 0 {
			continue
		}
		command := fmt.Sprintf("towpath migrate %s %s", word, shellWord(dir))
		migrate = cmp.Or(migrate, command)
		fmt.Fprintf(w, "\n%s\n", strings.TrimPrefix(names+"; ", "; ")+
			fmt.Sprintf("%s says which tags are wanted: %s makes policies and a pipeline of it, so migrate first, then adopt", migrations()[word].whose, command))
	}
	if names != "" && migrate == "" {
		fmt.Fprintf(w, "\n%s; write them into %s/, or correct the markers\n", names, promote.PolicyDir)
	}
	return migrate
}

// adoptAgain is the command that writes what this one shows.
func adoptAgain(dir string, in adopt.Input) string {
	words := []string{"towpath", "adopt", shellWord(dir)}
	for _, pattern := range in.Images {
		words = append(words, "--image", shellWord(pattern))
	}
	if in.Branch != "" {
		words = append(words, "--branch", shellWord(in.Branch))
	}
	return strings.Join(append(words, "--write"), " ")
}

// sayNext names the commands that come next, as they can be typed.
func sayNext(w io.Writer, written bool, p adopt.Proposal, dir, again, branch string) {
	if len(p.Files) == 0 {
		return
	}
	if !written {
		fmt.Fprintf(w, "\nnext: %s\n", again)
		return
	}
	where := ""
	if filepath.Clean(dir) != "." {
		where = " in " + dir
	}
	take := ""
	if len(p.Untaken) > 0 {
		take = fmt.Sprintf("add %s to update.policies of an environment in %s/, ", strings.Join(p.Untaken, ", "), promote.PolicyDir)
	}
	fmt.Fprintf(w, "\nnext%s: %stowpath lint, commit and push, %s\n", where, take, planOf(branch))
}

// readProposable reads the files and policies of a checkout into in. Policies with
// errors end it: nobody could say what is missing.
func readProposable(ctx context.Context, s std, dir string, in *adopt.Input) (old map[string][]byte, skipped []patch.Skipped, err error) {
	if in.Files, skipped, err = yamlFiles(ctx, dir); err != nil {
		return nil, nil, err
	}
	if in.Config, err = promote.LoadConfig(os.DirFS(dir)); err != nil {
		return nil, nil, err
	}
	problems := slices.DeleteFunc(slices.Clone(in.Config.Problems), func(p policy.Problem) bool { return p.Warning || p.Path == promote.PolicyDir })
	if len(problems) > 0 {
		printFindings(s.err, findings(problems))
		return nil, nil, fmt.Errorf("the policies of %s have errors; correct them first", dir)
	}
	old = map[string][]byte{}
	for _, f := range in.Files {
		old[f.Path] = f.Data
	}
	return old, skipped, nil
}

// renders asks whether every app of a folder would render as an environment's.
func renders(fsys fs.FS) func(dir string) string {
	r := manifest.NewRenderer(manifest.Limits{})
	return func(dir string) string {
		apps, err := r.Render(fsys, dir)
		if err != nil {
			return err.Error()
		}
		for _, a := range apps {
			if a.Problem != nil {
				return a.Problem.Error()
			}
		}
		return ""
	}
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func adoptedOf(p adopt.Proposal) adopted {
	v := adopted{Marks: p.Marks, Left: p.Left, Policies: []adoptedPolicy{}, Environments: []adoptedEnvironment{}, Files: []string{}}
	if v.Marks == nil {
		v.Marks = []adopt.Mark{}
	}
	if v.Left == nil {
		v.Left = []adopt.Left{}
	}
	for _, g := range p.Policies {
		v.Policies = append(v.Policies, adoptedPolicy{Name: g.Policy.Name, Image: g.Policy.Image.String(), Path: g.Path, Why: g.Why})
	}
	for _, l := range p.Pipelines {
		for _, e := range l.Pipeline.Environments {
			v.Environments = append(v.Environments, adoptedEnvironment{Name: e.Name, Path: e.Path, From: strings.Join(e.From, ""),
				Merge: string(e.Merge), Pipeline: l.Pipeline.Name})
		}
	}
	for _, f := range p.Files {
		v.Files = append(v.Files, f.Path)
	}
	return v
}

// sayAdopted says what was found, what was guessed and why, and what is left.
func sayAdopted(w io.Writer, p adopt.Proposal) {
	sayMarks(w, p)
	sayGuesses(w, p)
	if len(p.Left) > 0 {
		fmt.Fprintf(w, "\nleft as they are:\n")
		for _, l := range p.Left {
			fmt.Fprintf(w, "  %s\n", l)
		}
	}
}

// sayMarks counts what is marked.
func sayMarks(w io.Writer, p adopt.Proposal) {
	images, files := map[string]bool{}, map[string]bool{}
	for _, m := range p.Marks {
		images[m.Image], files[m.Path] = true, true
	}
	if len(p.Marks) == 0 {
		fmt.Fprint(w, "nothing to mark")
	} else {
		fmt.Fprintf(w, "%s for %s in %s", count(len(p.Marks), "marker"), count(len(images), "image"), count(len(files), "file"))
	}
	if p.Marked > 0 {
		fmt.Fprintf(w, "; %d had a marker before", p.Marked)
	}
	if p.Others > 0 {
		fmt.Fprintf(w, "; %d are of images that --image leaves out", p.Others)
	}
	fmt.Fprintln(w)
}

// sayGuesses explains new policies and environments.
func sayGuesses(w io.Writer, p adopt.Proposal) {
	if len(p.Policies) > 0 {
		fmt.Fprintf(w, "\npolicies, guessed from the tags:\n")
		for _, g := range p.Policies {
			fmt.Fprintf(w, "  %s: %s: %s\n", g.Policy.Name, g.Policy.Image, g.Why)
		}
	}
	gated := false
	for _, l := range p.Pipelines {
		fmt.Fprintf(w, "\nenvironments of the pipeline %s, on branch %s, guessed from the folders: %s:\n", l.Pipeline.Name, l.Pipeline.Branch, l.Why)
		for _, e := range l.Pipeline.Environments {
			from := "new tags enter here"
			if len(e.From) > 0 {
				from = "from " + e.From[0] + ", when it is healthy there"
				gated = true
			}
			fmt.Fprintf(w, "  %s: %s: %s, merge: %s\n", e.Name, e.Path, from, e.Merge)
		}
	}
	if gated {
		fmt.Fprintf(w, "  %s\n", adopt.GateNote)
	}
}
