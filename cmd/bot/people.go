package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/promote"
)

// person is somebody who acts on a pull request: at the local forge whoever they
// say they are, elsewhere whoever the token belongs to.
type person struct {
	conn      connection
	name      string
	closedToo bool // pull requests that were closed unmerged are meant, too
	reviews   bool // it is a review, which everybody may write
}

func (p *person) flags(cmd *cobra.Command) {
	p.conn.flags(cmd)
	p.conn.forge.flags(cmd)
	cmd.Flags().StringVar(&p.name, "as", "", "who says so, at the local forge, which takes your word for it (default: your login)")
}

// act opens the forge as the person, finds the pull request and calls do.
func (p *person) act(ctx context.Context, s std, arg string, do func(forge, pr.Pull) error) error {
	if err := p.conn.check(); err != nil {
		return err
	}
	if err := p.who(); err != nil {
		return err
	}
	logger, err := p.conn.logger(s.err)
	if err != nil {
		return err
	}
	at, err := p.conn.openSite(ctx, p.name, logger)
	if err != nil {
		return err
	}
	defer at.close()
	p.name = at.user
	if err := p.mayAct(ctx, at.forge); err != nil {
		return err
	}
	if err := at.repo.Fetch(ctx); err != nil {
		return err
	}
	pull, err := findPull(ctx, at.forge, p.conn.branch, arg, p.closedToo)
	if err != nil {
		return err
	}
	return do(at.forge, pull)
}

// mayAct refuses somebody whose word nobody would heed, before half of it is done.
// A review is not refused: who counts is the pipeline's to say.
func (p *person) mayAct(ctx context.Context, f forge) error {
	if !f.Authenticated() || p.reviews {
		return nil
	}
	r, err := f.Rights(ctx)
	if err == nil && !r.Write {
		err = fmt.Errorf("%s may not write to the repository, which this needs: %w", p.name, pr.ErrForbidden)
	}
	return err
}

// who settles the name of the person where nobody else knows it.
func (p *person) who() error {
	if p.conn.forge.kind != forgeLocal {
		if p.name != "" {
			return usagef("--as %s: at %s you are whom the token belongs to (--forge-token-file)", p.name, p.conn.forge.kind)
		}
		return nil
	}
	if p.name == "" {
		p.name = login()
	}
	p.name = strings.TrimSpace(p.name)
	if !isPersonName(p.name) || strings.EqualFold(p.name, botUser) {
		return usagef("who are you? give --as NAME (not %s, the bot's)", botUser)
	}
	return nil
}

// findPull finds a pull request by its number or by ENV/APP.
func findPull(ctx context.Context, forge forge, base, arg string, closedToo bool) (pr.Pull, error) {
	pulls, err := forge.List(ctx, base)
	if err != nil {
		return pr.Pull{}, err
	}
	return pickPull(pulls, arg, closedToo)
}

// pickPull picks from a list that has the newest first; an open pull request is
// the newest of its branch.
func pickPull(pulls []pr.Pull, arg string, closedToo bool) (pr.Pull, error) {
	number, err := strconv.Atoi(strings.TrimPrefix(arg, "#"))
	env, app, isKey := splitKey(arg)
	if err != nil && !isKey {
		return pr.Pull{}, usagef("%q is neither the number of a pull request nor ENV/APP; see towpath pulls", arg)
	}
	for _, p := range pulls {
		if (err != nil || p.Number != number) && (err == nil || p.Branch != promote.BranchOf(env, app)) {
			continue
		}
		switch {
		case p.Open || closedToo:
			return p, nil
		case err == nil:
			return p, fmt.Errorf("pull request #%d is closed; towpath pulls shows the open ones", number)
		}
	}
	return pr.Pull{}, fmt.Errorf("there is no open pull request %s; towpath pulls shows the open ones", arg)
}

// splitKey reads ENV/APP, or APP@ENV as `why` has it.
func splitKey(arg string) (env, app string, ok bool) {
	if app, env, ok = strings.Cut(arg, "@"); ok {
		return env, app, true
	}
	return strings.Cut(arg, "/")
}

// maxPersonName is in characters.
const maxPersonName = 100

// isPersonName keeps names on one line and out of Markdown. It is no regular
// expression: one that counts to 100 over all letters there are takes 4 MB, and 9 ms
// of every start.
func isPersonName(name string) bool {
	for i, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && (i == 0 || !strings.ContainsRune(" ._@+-", r)) {
			return false
		}
	}
	return name != "" && utf8.RuneCountInString(name) <= maxPersonName
}

func login() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return os.Getenv("USER")
}

// say prints one line and returns the error of printing.
func say(w io.Writer, format string, args ...any) error {
	_, err := fmt.Fprintf(w, format+"\n", args...)
	return err
}

func approveCommand(s std) *cobra.Command {
	var p person
	cmd := command("approve NUMBER|ENV/APP", "approve a pull request",
		"Records your approval of the pull request's present commit; a rebuilt one needs a new approval.\nAt GitHub and Gitea you are whom the token belongs to, and a review there does the same. The local\nforge cannot prove who you are: the bot counts this only with --allow-unauthenticated-approvals.",
		"  towpath approve prod/web\n  towpath approve 2 --as alice", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			p.reviews = true
			return p.act(cmd.Context(), s, args[0], func(f forge, pull pr.Pull) error {
				if pull.Head == "" {
					return fmt.Errorf("the branch of pull request #%d is gone, so there is nothing to approve", pull.Number)
				}
				r := pr.Review{User: p.name, State: pr.Approved, Commit: pull.Head, At: now()}
				if err := f.Review(cmd.Context(), pull.Number, r); err != nil {
					return err
				}
				if err := p.sayWhetherItCounts(cmd.Context(), s.err, f); err != nil {
					return err
				}
				return say(s.out, "approved #%d as %s: %s", pull.Number, p.name, pull.Title)
			})
		})
	p.flags(cmd)
	return cmd
}

// sayWhetherItCounts warns of a review that the bot may not count.
func (p *person) sayWhetherItCounts(ctx context.Context, w io.Writer, f forge) error {
	if !f.Authenticated() {
		return say(w, "nobody proves who you are: the bot counts this only with --allow-unauthenticated-approvals")
	}
	if r, err := f.Rights(ctx); err == nil && !r.Write {
		return say(w, "%s may not write to the repository: the bot counts this only where the pipeline names you", p.name)
	}
	return nil
}

func holdCommand(s std) *cobra.Command {
	var p person
	var reason string
	cmd := command("hold NUMBER|ENV/APP", "stop a pull request until it is released",
		"Puts the label "+pr.LabelHold+" on a pull request: it is not merged until released.",
		"  towpath hold 2 --reason 'wait for the audit'", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return p.act(cmd.Context(), s, args[0], func(f forge, pull pr.Pull) error {
				if err := f.SetLabel(cmd.Context(), pull.Number, pr.LabelHold, true); err != nil {
					return err
				}
				if err := f.Comment(cmd.Context(), pull.Number, p.holdComment(f, reason)); err != nil {
					return err
				}
				return say(s.out, "held #%d; towpath release %d lets it go on", pull.Number, pull.Number)
			})
		})
	p.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept as a comment")
	return cmd
}

// holdComment says who holds a pull request and why: where comments are known to be
// a person's, as the command that the bot understands.
func (p *person) holdComment(f forge, reason string) pr.Comment {
	reason = strings.Join(strings.Fields(reason), " ")
	if f.Authenticated() {
		return pr.Comment{Body: strings.TrimSpace("/hold " + reason)}
	}
	text := "held by " + p.name
	if reason != "" {
		text += ": " + reason
	}
	return pr.Comment{User: p.name, Key: pr.KeyHold, Body: text, At: now()}
}

func releaseCommand(s std) *cobra.Command {
	var p person
	cmd := command("release NUMBER|ENV/APP", "let a held or rejected pull request go on",
		"Takes the labels "+pr.LabelHold+" and "+pr.LabelEdited+" off an open pull request. Gives a rejected one the label\n"+pr.LabelRetry+", so that the same is proposed again.",
		"  towpath release prod/web\n  towpath release 2", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			p.closedToo = true
			return p.act(cmd.Context(), s, args[0], func(f forge, pull pr.Pull) error {
				if pull.Merged {
					return fmt.Errorf("pull request #%d is merged; there is nothing to release", pull.Number)
				}
				if !pull.Open {
					if err := f.SetLabel(cmd.Context(), pull.Number, pr.LabelRetry, true); err != nil {
						return err
					}
					return say(s.out, "released #%d: the same may be proposed again", pull.Number)
				}
				if !pull.HasLabel(pr.LabelHold) && !pull.HasLabel(pr.LabelEdited) && !f.Authenticated() {
					return say(s.out, "#%d is not held", pull.Number)
				}
				for _, label := range []string{pr.LabelHold, pr.LabelEdited} {
					if err := f.SetLabel(cmd.Context(), pull.Number, label, false); err != nil {
						return err
					}
				}
				if f.Authenticated() { // so that an earlier /hold, which the bot may not have read yet, is undone
					if err := f.Comment(cmd.Context(), pull.Number, pr.Comment{Body: "/release"}); err != nil {
						return err
					}
				}
				return say(s.out, "released #%d", pull.Number)
			})
		})
	p.flags(cmd)
	return cmd
}

func rejectCommand(s std) *cobra.Command {
	var p person
	var reason string
	cmd := command("reject NUMBER|ENV/APP", "close a pull request unmerged",
		"Closes a pull request. Exactly this content is not proposed again; something newer is.",
		"  towpath reject 2 --reason 'breaks checkout'", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return p.act(cmd.Context(), s, args[0], func(f forge, pull pr.Pull) error {
				text := "Rejected by " + p.name + "."
				if reason != "" {
					text = "Rejected by " + p.name + ": " + reason
				}
				if err := f.Close(cmd.Context(), pull.Number, text); err != nil {
					return err
				}
				return say(s.out, "rejected #%d: %s", pull.Number, pull.Title)
			})
		})
	p.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept as a comment")
	return cmd
}
