package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/doctor"
	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/promote"
)

// doctorView is the JSON of `doctor`.
type doctorView struct {
	Repo     string           `json:"repo"`
	Branch   string           `json:"branch"`
	Forge    string           `json:"forge"`
	Findings []doctor.Finding `json:"findings"`
}

func doctorCommand(s std) *cobra.Command {
	var c connection
	var r registryFlags
	var o output
	var unauthenticated bool
	cmd := command("doctor", "check credentials, rights and the base branch's protection",
		"Asks Git, the forge and the registries what they would let the bot do, and compares the base\nbranch's protection with what the pipeline needs. Writes nothing anywhere. Give it the flags\nthat the bot has. Each finding says why it matters and what to do. Exit 1 when something would\nfail; warnings alone are fine.",
		"  towpath doctor\n  towpath doctor --repo https://github.com/shop/config --forge-token-file token -o wide", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if err := c.check(); err != nil {
				return err
			}
			facts := c.facts(cmd.Context(), &r, unauthenticated)
			if cmd.Context().Err() != nil {
				return cmd.Context().Err()
			}
			v := doctorView{Repo: shownURL(c.repo), Branch: c.branch, Forge: c.forge.kind, Findings: doctor.Examine(facts)}
			if err := o.print(s.out, v, func(w io.Writer) { printDiagnosis(w, v, o.wide()) }); err != nil {
				return err
			}
			if doctor.Fails(v.Findings) {
				return errFindings
			}
			return nil
		})
	c.flags(cmd)
	c.forge.flags(cmd)
	r.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&unauthenticated, "allow-unauthenticated-approvals", false, "judge as a bot with this flag would")
	return cmd
}

// printDiagnosis prints errors and warnings with their reasons, and of what is
// good one line each when all is wanted.
func printDiagnosis(w io.Writer, v doctorView, all bool) {
	good := 0
	for _, f := range v.Findings {
		if f.Level == doctor.OK {
			good++
			if !all {
				continue
			}
		}
		fmt.Fprintf(w, "%-7s  %s (%s): %s\n", f.Level, f.Object, f.Check, f.Message)
		if f.Why != "" {
			fmt.Fprintf(w, "         why: %s\n", f.Why)
		}
		if f.Remedy != "" {
			fmt.Fprintf(w, "         do:  %s\n", f.Remedy)
		}
	}
	count := func(l doctor.Level) int {
		n := 0
		for _, f := range v.Findings {
			if f.Level == l {
				n++
			}
		}
		return n
	}
	fmt.Fprintf(w, "%s, %s at %s: %d errors, %d warnings, %d good\n", v.Repo, v.Branch, v.Forge, count(doctor.Error), count(doctor.Warning), good)
}

// facts gathers what doctor judges. What cannot be had is in the facts, too.
func (c *connection) facts(ctx context.Context, reg *registryFlags, unauthenticated bool) doctor.Facts {
	quiet := slog.New(slog.DiscardHandler)
	f := doctor.Facts{Repo: shownURL(c.repo), Branch: c.branch, Forge: c.forge.kind, Method: pr.Method(c.forge.method),
		Unauthenticated: unauthenticated, Teams: map[string]error{}}
	repo, err := c.openRepo(ctx, quiet)
	if err != nil {
		f.Fetch = err
		return f
	}
	defer func() { _ = repo.Close() }() // a cache: nothing is lost
	if f.Fetch = repo.Fetch(ctx); f.Fetch != nil {
		return f
	}
	f.Push = repo.MayPush(ctx)
	at, err := c.siteOf(ctx, repo, botUser, quiet)
	if err != nil {
		f.Login = err
		at = localSite(repo, botUser, quiet) // the rest of the repository can be looked at without the forge
	}
	defer at.close()
	f.Authenticated = err == nil && at.forge.Authenticated()
	a := reg.freshly()
	defer a.close()
	sit, err := c.newBot(at, a, quiet, unauthenticated).Look(ctx)
	if err != nil {
		f.Fetch = flagged(err)
		return f
	}
	f.Pipelines, f.Problems = sit.Pipelines, sit.Problems
	f.Registries = registriesOf(sit)
	if f.Login == nil {
		f.Rights, f.RightsErr = at.forge.Rights(ctx)
		f.Rules, f.RulesErr = at.forge.Rules(ctx, c.branch)
		f.Owners = owners(repo, sit.Commit)
		for _, team := range teams(sit) {
			_, f.Teams[team] = at.forge.Members(ctx, team)
		}
	}
	return f
}

// registriesOf is what was heard of each image.
func registriesOf(s promote.Situation) []doctor.Registry {
	var out []doctor.Registry
	for name, l := range s.Listings {
		out = append(out, doctor.Registry{Image: name, Tags: len(l.Tags), Err: l.Err})
	}
	slices.SortFunc(out, func(a, b doctor.Registry) int { return strings.Compare(a.Image, b.Image) })
	return out
}

// teams are those whose approval counts anywhere.
func teams(s promote.Situation) []string {
	var out []string
	for _, p := range s.Pipelines {
		for _, e := range p.Environments {
			if e.Gates.Approvals == nil {
				continue
			}
			for _, who := range e.Gates.Approvals.From {
				if team, ok := strings.CutPrefix(who, "team:"); ok && !slices.Contains(out, team) {
					out = append(out, team)
				}
			}
		}
	}
	return out
}

// ownersFiles are where GitHub looks for CODEOWNERS, the first one counts.
var ownersFiles = []string{".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"}

// owners reads CODEOWNERS of a commit; nil: there is none.
func owners(repo *gitrepo.Repo, commit string) func(dir string) []string {
	snap, err := repo.Snapshot(commit)
	if err != nil {
		return nil
	}
	for _, name := range ownersFiles {
		files, err := snap.Files(parentOf(name), func(p string) bool { return p == name })
		if data, ok := files[name]; err == nil && ok {
			parsed, _ := pr.ParseCodeOwners(data) // GitHub passes over lines it cannot read, too
			return func(dir string) []string {
				owners, same, _ := parsed.Covers(dir)
				if !same { // by parts: those of a manifest where manifests are
					owners = parsed.Of(dir + "/app/manifest.yaml")
				}
				return owners
			}
		}
	}
	return nil
}

func parentOf(name string) string {
	if i := strings.LastIndex(name, "/"); i >= 0 {
		return name[:i]
	}
	return "."
}
