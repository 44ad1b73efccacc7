package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/migrate"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// migration is one source of `migrate`.
type migration struct {
	what  string // what is looked for, in a sentence
	whose string // what says it, as the beginning of a sentence
	run   func(files []patch.File, branch string) migrate.Result
	then  string // what to remove in the end
}

// migrations are the sources by the word that names them.
func migrations() map[string]migration {
	return map[string]migration{
		"flux": {
			what:  "objects of image.toolkit.fluxcd.io (ImageRepository, ImagePolicy, ImageUpdateAutomation)",
			whose: "Flux's image automation",
			run:   migrate.Flux, then: "remove the ImageUpdateAutomation objects, or two will write",
		},
		"argocd-image-updater": {
			what:  "annotations of argocd-image-updater.argoproj.io and no ImageUpdater",
			whose: "Argo CD Image Updater",
			run:   migrate.ImageUpdater, then: "remove the annotations and ImageUpdater objects, or two will write",
		},
	}
}

// migrateResult is the JSON of `migrate`.
type migrateResult struct {
	Files   []migratedFile  `json:"files"`
	Notes   []migrate.Note  `json:"notes"`
	Skipped []patch.Skipped `json:"skipped"`
}

// migratedFile is one file that is proposed or was written.
type migratedFile struct {
	Path string `json:"path"`
	Data string `json:"data"`
}

func migrateCommand(s std) *cobra.Command {
	var p proposal
	cmd := command("migrate flux|argocd-image-updater DIR", "turn what other updaters read into policies and a pipeline",
		"Reads the objects of Flux's image automation, or Argo CD Image Updater's annotations and\nImageUpdater resources, in the YAML files of a repository, and proposes policies/*.yaml and\npolicies/pipeline.yaml. Only new files: nothing that is there is changed. What has no equal\nstands in the files as a TODO comment and is one line on standard error. Exit 1 when there is\nnothing to migrate. Markers of Flux work as they are; for Argo CD, towpath adopt writes them.",
		"  towpath migrate flux .\n  towpath migrate argocd-image-updater --write .", cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			if err := p.check(); err != nil {
				return err
			}
			m, ok := migrations()[args[0]]
			if !ok {
				return usagef("%q: want flux or argocd-image-updater", args[0])
			}
			return migrateDir(cmd.Context(), s, p, m, args[1])
		})
	p.flag(cmd)
	return cmd
}

func migrateDir(ctx context.Context, s std, p proposal, m migration, dir string) error {
	if err := atRoot(dir); err != nil {
		return err
	}
	files, skipped, err := yamlFiles(ctx, dir)
	if err != nil {
		return err
	}
	r := m.run(files, checkedOut(dir))
	for _, sk := range skipped {
		fmt.Fprintf(s.err, "%s\n", sk)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(s.err, "%s\n", n)
	}
	v := migrateResult{Files: []migratedFile{}, Notes: append([]migrate.Note{}, r.Notes...), Skipped: append([]patch.Skipped{}, skipped...)}
	for _, f := range r.Files {
		v.Files = append(v.Files, migratedFile{f.Path, string(f.Data)})
	}
	if err := p.run(ctx, s, dir, nil, r.Files, v); err != nil {
		return err
	}
	if r.Objects == 0 {
		fmt.Fprintf(s.err, "nothing to migrate under %s: no %s; DIR is the root of the repository that holds them\n", dir, m.what)
		return errFindings
	}
	sayMigrated(s, p, m, r, dir)
	return nil
}

// sayMigrated sums up and names the next steps.
func sayMigrated(s std, p proposal, m migration, r migrate.Result, dir string) {
	pipeline := ""
	policies := len(r.Files)
	if slices.ContainsFunc(r.Files, func(f patch.File) bool { return f.Path == migrate.PipelineFile }) {
		policies--
		pipeline = " and a pipeline"
	}
	did := "proposed"
	if p.write {
		did = "wrote"
	}
	fmt.Fprintf(s.err, "%s %s from %s: %s%s; %s above\n", did, count(len(r.Files), "file"), count(r.Objects, "object"),
		count(policies, "policy"), pipeline, count(len(r.Notes), "note"))
	if !p.write {
		fmt.Fprintf(s.err, "nothing was written; add --write to write %s\n", migrate.PolicyDir+"/")
		return
	}
	fmt.Fprintf(s.err, "next: look for TODO in %s/; towpath adopt --write %s marks what is not marked yet; towpath lint %[2]s; commit and push; %[4]s; then %[3]s\n", migrate.PolicyDir, shellWord(dir), m.then, planOf(branchIn(r.Files)))
}

// branchIn is the branch of the pipeline among new files; "": there is none.
func branchIn(files []patch.File) string {
	var in []policy.File
	for _, f := range files {
		in = append(in, policy.File{Path: f.Path, Data: f.Data})
	}
	if pls := policy.Load(in).Pipelines; len(pls) > 0 {
		return pls[0].Branch
	}
	return ""
}

// count is "1 file" or "3 files".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		noun = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
