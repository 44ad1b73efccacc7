package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/scan"
)

// planned is the JSON of `plan`.
type planned struct {
	Branch   string        `json:"branch"`
	Commit   string        `json:"commit"`
	Push     []plannedMove `json:"push"`
	Propose  []plannedMove `json:"propose"`
	Merge    []plannedPull `json:"merge"`
	Close    []plannedPull `json:"close"`
	Wait     []plannedWait `json:"wait"`
	Choices  []choice      `json:"choices"`
	Problems []finding     `json:"problems"`

	failed, images int // images that could not be looked at, and all that were to be
}

type plannedMove struct {
	Environment string        `json:"environment"`
	App         string        `json:"app"`
	From        string        `json:"from"`
	Pull        int           `json:"pull,omitempty"` // the open pull request that is rebuilt
	Title       string        `json:"title"`
	Edits       []plannedEdit `json:"edits"`
	Why         []string      `json:"why"`
}

type plannedEdit struct {
	Path string `json:"path"`
	Line int    `json:"line"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

type plannedPull struct {
	Number int    `json:"number"`
	Title  string `json:"title"`
	Reason string `json:"reason"`
}

// plannedWait is something that does not happen now, and why.
type plannedWait struct {
	Environment string    `json:"environment"`
	App         string    `json:"app"`
	Pull        int       `json:"pull,omitempty"`
	Reasons     []string  `json:"reasons"`
	Next        time.Time `json:"next,omitzero"`
}

// choice is what a policy wants for one app.
type choice struct {
	Environment string            `json:"environment"`
	App         string            `json:"app"`
	Policy      string            `json:"policy"`
	Current     string            `json:"current"`
	Selected    string            `json:"selected"`
	Changed     bool              `json:"changed"`
	Reason      string            `json:"reason"`
	Notes       []string          `json:"notes,omitempty"` // what was passed over, what left the registry
	Next        time.Time         `json:"next,omitzero"`   // when time alone may change the choice
	Rejected    []policy.Rejected `json:"rejected"`        // every other tag, with the rule that dropped it

	failed bool // Reason is why nothing can be chosen
}

func planCommand(s std) *cobra.Command {
	var c connection
	var r registryFlags
	var o output
	var exitCode, unauthenticated bool
	cmd := command("plan", "what run --once would do, and what it would not and why",
		"Looks at the repository, registries, reports and pull requests, decides as the bot would, and\nprints it; with -o wide every tag and the rule that dropped it, too. Nothing is written.\nRegistries are asked now, whatever schedules say: what the bot remembers of them, such as an\nanswer that it doubts, is not used. The base branch of the repository's origin is read, not the\nfolder you stand in: push first (towpath lint checks the folder). Exit 1 when the repository has\nerrors, which are printed first; what they do not concern is planned all the same.",
		"  towpath plan\n  towpath plan -o json --exit-code", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			sit, err := c.readSituation(cmd.Context(), s.err, &r, unauthenticated)
			if err != nil {
				return err
			}
			plan := promote.Decide(sit)
			v := describePlan(sit, plan)
			c.sayElsewhere(s.err, sit)
			if err := o.print(s.out, v, func(w io.Writer) { printPlan(w, v, o.wide()) }); err != nil {
				return err
			}
			if err := unseen(v.failed, v.images); err != nil {
				return err
			}
			if exitCode && !plan.Idle() || v.errors() > 0 {
				return errFindings
			}
			return nil
		})
	c.flags(cmd)
	c.forge.flags(cmd)
	r.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit 1 also when there is something to do")
	cmd.Flags().BoolVar(&unauthenticated, "allow-unauthenticated-approvals", false, "judge as a bot with this flag would")
	return cmd
}

func describePlan(s promote.Situation, p promote.Plan) planned {
	v := planned{Branch: s.Branch, Commit: s.Commit, Push: []plannedMove{}, Propose: []plannedMove{}, Merge: []plannedPull{},
		Close: []plannedPull{}, Wait: []plannedWait{}, Choices: choices(s), Problems: findings(s.Problems)}
	v.failed, v.images = images(s, s.Choices)
	for _, m := range p.Push {
		v.Push = append(v.Push, describeMove(m, 0))
	}
	for _, m := range p.Propose {
		v.Propose = append(v.Propose, describeMove(m.Move, m.Pull))
	}
	for _, c := range p.Close {
		v.Close = append(v.Close, plannedPull{c.Pull.Number, c.Pull.Title, c.Reason})
	}
	for _, j := range p.Judged {
		if j.Verdict.Act == promote.ActMerge {
			v.Merge = append(v.Merge, plannedPull{j.Pull.Number, j.Pull.Title, "every gate passes"})
			continue
		}
		v.Wait = append(v.Wait, plannedWait{j.Block.Env, j.Block.App, j.Pull.Number, reasons(j.Verdict), j.Verdict.Next})
	}
	for _, m := range p.Waiting {
		v.Wait = append(v.Wait, plannedWait{m.Env.Name, m.App, 0, m.Hold, m.Next})
	}
	v.order(s.Pipelines)
	return v
}

// order puts what is about environments into the order in which versions travel.
func (v *planned) order(pipelines []policy.Pipeline) {
	at := map[string]int{}
	for _, pl := range pipelines {
		for _, env := range pl.Environments {
			at[env.Name] = len(at)
		}
	}
	moves := func(a, b plannedMove) int { return at[a.Environment] - at[b.Environment] }
	slices.SortStableFunc(v.Push, moves)
	slices.SortStableFunc(v.Propose, moves)
	slices.SortStableFunc(v.Wait, func(a, b plannedWait) int { return at[a.Environment] - at[b.Environment] })
	slices.SortStableFunc(v.Choices, func(a, b choice) int { return at[a.Environment] - at[b.Environment] })
}

// errors counts the problems that are no warnings.
func (v planned) errors() int {
	n := 0
	for _, f := range v.Problems {
		if !f.Warning {
			n++
		}
	}
	return n
}

func describeMove(m promote.Move, pull int) plannedMove {
	out := plannedMove{Environment: m.Env.Name, App: m.App, From: m.From, Pull: pull, Title: promote.Title(m), Why: m.Why}
	for _, e := range m.Edits {
		out.Edits = append(out.Edits, plannedEdit{e.Path, e.Line, e.Old, e.New})
	}
	return out
}

func reasons(v promote.Verdict) []string {
	var out []string
	for _, g := range v.Missing() {
		out = append(out, g.Gate+": "+g.Reason)
	}
	return out
}

func choices(s promote.Situation) []choice {
	out := []choice{}
	for _, c := range s.Choices {
		reason := c.Reason
		if c.Problem != "" {
			reason = c.Problem
		}
		rejected := c.Rejected
		if rejected == nil {
			rejected = []policy.Rejected{}
		}
		out = append(out, choice{c.Env, c.App, c.Policy, string(c.Current), string(c.Selected), c.Wanted, reason,
			slices.Concat(c.Notes, unrecorded(s, c)), c.Next, rejected, c.Problem != ""})
	}
	return out
}

// unrecorded says of which tags the bot has not seen the digest yet: looking
// without writing starts no age.
func unrecorded(s promote.Situation, c scan.Result) []string {
	var out []string
	for _, sight := range s.Sights {
		aged := slices.ContainsFunc(s.Policies, func(p policy.Policy) bool { return p.Name == c.Policy && p.MinAge > 0 })
		if aged && sight.Repo == c.Repository {
			out = append(out, fmt.Sprintf("%s is not seen by the bot yet: its minAge begins with the bot's next look", sight.Tag))
		}
	}
	return out
}

func printPlan(w io.Writer, v planned, wide bool) {
	fmt.Fprintln(w, baseOf(v.Branch, v.Commit))
	errs, warnings := []finding{}, []finding{}
	for _, f := range v.Problems {
		if f.Warning {
			warnings = append(warnings, f)
		} else {
			errs = append(errs, f)
		}
	}
	printFindings(w, errs)
	moves := func(head string, list []plannedMove) {
		for _, m := range list {
			fmt.Fprintf(w, "%s %s\n", head, m.Title)
			for _, e := range m.Edits {
				fmt.Fprintf(w, "    %s:%d %s -> %s\n", e.Path, e.Line, e.Old, e.New)
			}
			for _, y := range m.Why {
				fmt.Fprintf(w, "    because %s\n", strings.ReplaceAll(y, "`", ""))
			}
		}
	}
	moves("push", v.Push)
	moves("propose", v.Propose)
	for _, p := range v.Merge {
		fmt.Fprintf(w, "merge #%d %s: %s\n", p.Number, p.Title, p.Reason)
	}
	for _, p := range v.Close {
		fmt.Fprintf(w, "close #%d %s: %s\n", p.Number, p.Title, p.Reason)
	}
	for _, x := range v.Wait {
		fmt.Fprintf(w, "wait %s/%s", x.Environment, x.App)
		if x.Pull != 0 {
			fmt.Fprintf(w, " #%d", x.Pull)
		}
		fmt.Fprintf(w, ": %s\n", strings.Join(x.Reasons, "; "))
	}
	if len(v.Push)+len(v.Propose)+len(v.Merge)+len(v.Close)+len(v.Wait) == 0 {
		fmt.Fprintln(w, idle(v))
	}
	said := map[string]bool{}
	for _, c := range v.Choices {
		reason := c.Reason
		if c.failed && said[reason] {
			reason = "nothing is chosen, as said above"
		}
		said[c.Reason] = true
		fmt.Fprintf(w, "choice %s/%s %s: %s: %s\n", c.Environment, c.App, c.Policy, dash(c.Selected), reason)
		printChoice(w, c, wide)
	}
	printFindings(w, warnings)
}

// idle is what a plan without acts says: only what was looked at can be known to
// need nothing.
func idle(v planned) string {
	switch v.failed {
	case 0:
		if n := v.errors(); n == 1 {
			return "nothing to do but to mend the error above"
		} else if n > 1 {
			return fmt.Sprintf("nothing to do but to mend the %d errors above", n)
		}
		return "nothing to do"
	case v.images:
		return fmt.Sprintf("could not look at %d of %d images", v.failed, v.images)
	}
	return fmt.Sprintf("could not look at %d of %d images; nothing to do for the others", v.failed, v.images)
}

// printChoice prints what is known beside the reason, and every tag when asked.
func printChoice(w io.Writer, c choice, tags bool) {
	if tags {
		for _, r := range c.Rejected {
			fmt.Fprintf(w, "    not %.60q: %s\n", r.Tag, r.Reason)
		}
	}
	for _, n := range c.Notes {
		fmt.Fprintf(w, "    note: %s\n", n)
	}
	if !c.Next.IsZero() {
		fmt.Fprintf(w, "    looked at next: %s\n", c.Next.UTC().Format(time.RFC3339))
	}
}
