package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/pr"
)

func pullsCommand(s std) *cobra.Command {
	var c connection
	var o output
	var all bool
	cmd := command("pulls [NUMBER|ENV/APP]", "pull requests: list them, or read one",
		"Lists the open pull requests, or shows one: its text, gates, reviews and comments. Its change\nis the branch towpath/ENV/APP, for git diff.",
		"  towpath pulls\n  towpath pulls prod/web\n  towpath pulls --all -o json", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			list, err := c.listPulls(cmd.Context(), s.err)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				p, err := pickPull(list, args[0], true)
				if err != nil {
					return err
				}
				return o.print(s.out, p, func(w io.Writer) { printPull(w, p) })
			}
			shown := []pr.Pull{}
			for _, p := range list {
				if p.Open || all {
					shown = append(shown, p)
				}
			}
			if host := hostOf(c.repo); c.forge.kind == forgeLocal && host != "" && len(list) == 0 {
				fmt.Fprintf(s.err, "note: looked into the repository itself (the forge local), not at %s; give --forge github or --forge gitea\n", host)
			}
			return o.print(s.out, shown, func(w io.Writer) { printPulls(w, shown) })
		})
	c.flags(cmd)
	c.forge.flags(cmd)
	o.flag(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "closed ones, too")
	return cmd
}

func (c *connection) listPulls(ctx context.Context, w io.Writer) ([]pr.Pull, error) {
	logger, err := c.logger(w)
	if err != nil {
		return nil, err
	}
	at, err := c.openSite(ctx, botUser, logger)
	if err != nil {
		return nil, err
	}
	defer at.close()
	if err := at.repo.Fetch(ctx); err != nil {
		return nil, err
	}
	if err := at.asViewer(ctx, c.branch); err != nil {
		return nil, err
	}
	return at.forge.List(ctx, c.branch)
}

// withoutKey is a comment as people see it: to others than its writer the forge
// shows the hidden key, too.
func withoutKey(c pr.Comment) string {
	_, text := pr.CutKey(c.Body)
	return text
}

func printPulls(w io.Writer, list []pr.Pull) {
	rows := [][]string{{"NUMBER", "TITLE", "BRANCH", "STATE", "GATES"}}
	for _, p := range list {
		rows = append(rows, []string{fmt.Sprintf("#%d", p.Number), p.Title, p.Branch, pullState(p), dash(gatesLine(p))})
	}
	table(w, rows)
}

func pullState(p pr.Pull) string {
	switch {
	case p.Merged:
		return "merged"
	case !p.Open:
		return "closed by " + dash(p.ClosedBy)
	case p.HasLabel(pr.LabelHold):
		return "held"
	}
	return "open"
}

func gatesLine(p pr.Pull) string {
	for _, c := range p.Checks {
		if c.Context == pr.StatusContext {
			return string(c.State) + ": " + c.Description
		}
	}
	return ""
}

func printPull(w io.Writer, p pr.Pull) {
	fmt.Fprintf(w, "#%d %s\n%s into %s, %s", p.Number, p.Title, p.Branch, p.Base, pullState(p))
	if p.Head != "" && p.Open {
		fmt.Fprintf(w, ", at commit %.12s", p.Head)
	}
	fmt.Fprintf(w, "\n\n%s\n", strings.TrimSpace(pr.WithoutBlock(p.Body)))
	for _, r := range p.Reviews {
		fmt.Fprintf(w, "\n%s by %s at %s for commit %.12s\n", strings.ReplaceAll(string(r.State), "_", " "), r.User, r.At.UTC().Format("2006-01-02 15:04:05Z"), r.Commit)
	}
	for _, c := range p.Comments {
		fmt.Fprintf(w, "\n%s at %s:\n%s\n", c.User, c.At.UTC().Format("2006-01-02 15:04:05Z"), strings.TrimSpace(withoutKey(c)))
	}
}
