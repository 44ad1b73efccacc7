package main

import (
	"context"
	"strings"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/promote"
)

// asViewer makes a site that was opened with a person's credentials show what the
// bot sees: the bot is whoever opened the newest proposal, and its comments are
// known by their keys. Only for looking: the bot itself believes no key but its own.
func (s *site) asViewer(ctx context.Context, base string) error {
	if !s.forge.Authenticated() {
		return nil
	}
	pulls, err := s.forge.List(ctx, base)
	if err != nil {
		return err
	}
	for _, p := range pulls { // newest first
		if isProposal(p) {
			s.user, s.forge = p.Author, viewed{s.forge, p.Author}
			return nil
		}
	}
	return nil
}

// isProposal reports whether a pull request looks like one of the bot's.
func isProposal(p pr.Pull) bool {
	block, err := pr.ParseBlock(p.Body)
	return err == nil && !p.Fork && p.Branch == promote.BranchOf(block.Env, block.App)
}

// viewed is a forge in which the bot's comments are known by their keys.
type viewed struct {
	forge
	bot string
}

func (v viewed) List(ctx context.Context, base string) ([]pr.Pull, error) {
	pulls, err := v.forge.List(ctx, base)
	out := make([]pr.Pull, 0, len(pulls))
	for _, p := range pulls {
		comments := make([]pr.Comment, 0, len(p.Comments))
		for _, c := range p.Comments {
			if c.Key == "" && strings.EqualFold(c.User, v.bot) {
				c.Key, c.Body = pr.CutKey(c.Body)
			}
			comments = append(comments, c)
		}
		p.Comments = comments
		out = append(out, p)
	}
	return out, err
}
