package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
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
			v := doctorView{Repo: c.shown(), Branch: c.branch, Forge: c.forge.kind, Findings: doctor.Examine(facts)}
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
	fmt.Fprintf(w, "%s, branch %s, forge %s: %s, %s, %d good\n", v.Repo, v.Branch, v.Forge, counted(count(doctor.Error), "error"), counted(count(doctor.Warning), "warning"), good)
}

// facts gathers what doctor judges. What cannot be had is in the facts, too.
func (c *connection) facts(ctx context.Context, reg *registryFlags, unauthenticated bool) doctor.Facts {
	f := doctor.Facts{Repo: c.shown(), Branch: c.branch, Forge: c.forge.kind, Method: pr.Method(c.forge.method),
		Signed: c.sign.KeyFile != "" || c.forge.verified, Unauthenticated: unauthenticated, Teams: map[string]error{}}
	at, end := c.lookAtForge(ctx, &f)
	defer end()
	repo, err := c.openRepo(ctx, slog.New(slog.DiscardHandler))
	if err == nil {
		defer func() { _ = repo.Close() }() // a cache: nothing is lost
		err = repo.Fetch(ctx)
	}
	if err != nil {
		f.Fetch, f.Rewritten = flagged(err), errors.Is(err, gitrepo.ErrRewritten)
		return f
	}
	f.Push = repo.MayPush(ctx)
	f.Fetch = c.lookAtRepository(ctx, &f, repo, at, reg)
	return f
}

// lookAtForge asks the forge who we are and what its rules are; nil: it is the
// local one, or does not know us.
func (c *connection) lookAtForge(ctx context.Context, f *doctor.Facts) (remoteForge, func()) {
	if c.forge.kind == forgeLocal {
		return nil, func() {}
	}
	at, err := c.openForge(ctx, slog.New(slog.DiscardHandler))
	if f.Login = err; err != nil {
		return nil, func() {}
	}
	f.Authenticated = at.Authenticated()
	f.Rights, f.RightsErr = at.Rights(ctx)
	f.Rules, f.RulesErr = at.Rules(ctx, c.branch)
	return at, at.Disconnect
}

// lookAtRepository reads pipelines, asks registries, and the forge about what the
// pipelines name.
func (c *connection) lookAtRepository(ctx context.Context, f *doctor.Facts, repo *gitrepo.Repo, at remoteForge, reg *registryFlags) error {
	quiet := slog.New(slog.DiscardHandler)
	a := reg.freshly()
	defer a.close()
	// Pull requests are not looked at, so the repository's own will do.
	sit, err := c.newBot(localSite(repo, botUser, quiet), a, quiet, f.Unauthenticated).Look(ctx)
	if err != nil {
		return flagged(err)
	}
	f.Pipelines, f.Problems = sit.Pipelines, sit.Problems
	f.Registries = registriesOf(sit)
	f.Owners = owners(repo, sit.Commit)
	if at == nil {
		return nil
	}
	for _, team := range teams(sit) {
		_, f.Teams[team] = at.Members(ctx, team)
	}
	return nil
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

// counted is "1 error", "2 errors".
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// shown is the repository's URL without what may be a password.
func (c *connection) shown() string {
	if u, err := url.Parse(c.repo); err == nil && u.Host != "" {
		u.User, u.RawQuery = nil, ""
		return u.String()
	}
	return shownURL(c.repo)
}
