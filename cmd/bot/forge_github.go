package main

import (
	"context"
	"log/slog"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/github"
)

func (c *connection) githubSite(ctx context.Context, repo *gitrepo.Repo, logger *slog.Logger) (*site, error) {
	transport, err := c.auth.Transport(c.forge.url)
	if err != nil {
		return nil, err
	}
	cfg := github.Config{URL: c.forge.url, Repo: c.forge.repo, App: c.forge.app, Transport: transport, Now: now, Logger: logger,
		Method: pr.Method(c.forge.method), AutoMerge: c.forge.autoMerge, Pace: c.forge.pace}
	if cfg.App == nil {
		cfg.Token = c.forge.token
	}
	f, err := github.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &site{repo: repo, git: repo, forge: f, user: f.User(), close: func() {
		f.Disconnect()
		_ = repo.Close() // a cache: nothing is lost
	}}
	v := verifiedGit{Repo: repo, forge: f}
	s.ours = v.ours // also of commits made before the flag was given or taken away
	if c.forge.verified {
		s.git = v
	}
	return s, nil
}
