package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/hook"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/gitea"
	"towpath.dev/towpath/internal/pr/github"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
)

// The forges.
const (
	forgeLocal  = "local"
	forgeGitHub = "github"
	forgeGitea  = "gitea"
)

const githubHost = "github.com"

// forge is where pull requests live, as far as the commands need it.
type forge interface {
	promote.Forge
	User() string
	Get(ctx context.Context, number int) (pr.Pull, error)
	Review(ctx context.Context, number int, r pr.Review) error
	Rights(ctx context.Context) (pr.Rights, error)
	Rules(ctx context.Context, branch string) (pr.Rules, error)
}

// forgeFlags say where pull requests live and as whom to speak there.
type forgeFlags struct {
	wanted    bool   // the command has them
	kind      string // "" = by the repository's host
	url       string
	repo      string // owner/name
	tokenFile string
	method    string
	pace      time.Duration
	autoMerge bool
	verified  bool
	appID     string
	appKey    string
	install   int64

	app *github.App // made of the last three by check; nil: there is none
}

func (f *forgeFlags) flags(cmd *cobra.Command) {
	f.wanted = true
	fs := cmd.Flags()
	fs.StringVar(&f.kind, "forge", "", "where pull requests live: local (in the config repository itself), github, gitea (default $TOWPATH_FORGE, else github for a repository at github.com, else local)")
	fs.StringVar(&f.url, "forge-url", "", "root of the forge, for GitHub Enterprise Server and Gitea (default $TOWPATH_FORGE_URL, else https:// and the repository's host)")
	fs.StringVar(&f.repo, "forge-repo", "", "OWNER/NAME at the forge (default the path of the repository's URL)")
	fs.StringVar(&f.tokenFile, "forge-token-file", "", "file with the token for the forge; used for Git over https, too, where no other credentials are given (default $TOWPATH_FORGE_TOKEN_FILE)")
	fs.StringVar(&f.appID, "github-app-id", "", "ID of a GitHub App, instead of a token; its tokens are used for Git over https, too")
	fs.StringVar(&f.appKey, "github-app-key-file", "", "file with the App's private key (PEM)")
	fs.Int64Var(&f.install, "github-app-installation", 0, "ID of the App's installation (default: GitHub is asked)")
	fs.BoolVar(&f.verified, "verified-commits", false, "let GitHub make the commits, which it then signs and calls verified")
	fs.BoolVar(&f.autoMerge, "auto-merge", false, "ask GitHub to merge by itself what its own rules do not let be merged yet")
	fs.DurationVar(&f.pace, "forge-pace", 0, "least time between two writes at GitHub (default 1s, as GitHub asks for)")
	fs.StringVar(&f.method, "merge-method", "", "squash, merge or rebase (default squash, or what the repository allows)")
}

// fromEnvironment fills in what a person would else type each time. They are not
// the flags' defaults: help prints those.
func (f *forgeFlags) fromEnvironment() {
	for _, v := range []struct {
		to   *string
		name string
	}{{&f.kind, "TOWPATH_FORGE"}, {&f.url, "TOWPATH_FORGE_URL"}, {&f.tokenFile, "TOWPATH_FORGE_TOKEN_FILE"}} {
		if *v.to == "" && !(v.to == &f.tokenFile && f.appID != "") && (f.kind != forgeLocal || v.to == &f.kind) {
			*v.to = os.Getenv(v.name)
		}
	}
}

// check refuses what no waiting mends. repo is the config repository's URL.
func (f *forgeFlags) check(repo string) error {
	if !f.wanted {
		return nil
	}
	f.fromEnvironment()
	if f.kind == "" {
		f.kind = forgeLocal
		if name, err := hook.RepoName(repo); err == nil && strings.HasPrefix(name, githubHost+"/") {
			f.kind = forgeGitHub
		}
	}
	switch f.kind {
	case forgeLocal:
		if f.url != "" || f.tokenFile != "" || f.repo != "" || f.method != "" || f.appID != "" || f.appKey != "" || f.verified || f.autoMerge {
			return usagef("flags that are about GitHub or Gitea need --forge github or --forge gitea")
		}
		return nil
	case forgeGitHub:
	case forgeGitea:
		if f.appID != "" || f.appKey != "" || f.verified || f.autoMerge {
			return usagef("--github-app-id, --github-app-key-file, --verified-commits and --auto-merge need --forge github")
		}
	default:
		return usagef("--forge %s: this version knows local, github and gitea", f.kind)
	}
	switch {
	case (f.appID == "") != (f.appKey == ""):
		return usagef("a GitHub App needs both --github-app-id and --github-app-key-file")
	case f.tokenFile != "" && f.appID != "":
		return usagef("--forge-token-file and --github-app-id: choose one")
	case f.tokenFile == "" && f.appID == "":
		return usagef("--forge %s: nobody is known there without credentials; give --forge-token-file", f.kind)
	}
	switch pr.Method(f.method) {
	case "", pr.Squash, pr.Merge, pr.Rebase:
	default:
		return usagef("--merge-method %s: want squash, merge or rebase", f.method)
	}
	if f.url == "" {
		host := hostOf(repo)
		if host == "" {
			return usagef("--forge %s: %s names no server; give --forge-url and --forge-repo", f.kind, shownURL(repo))
		}
		f.url = "https://" + host
	}
	if f.repo == "" {
		f.repo = pathOf(repo)
	}
	if owner, name, ok := strings.Cut(f.repo, "/"); !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return usagef("--forge-repo %s: want OWNER/NAME", f.repo)
	}
	return nil
}

// makeApp is one App for everybody who needs its token, reached as Git is.
func (f *forgeFlags) makeApp(a gitrepo.Auth) error {
	if !f.wanted || f.kind != forgeGitHub || f.appID == "" || f.app != nil {
		return nil
	}
	transport, err := a.Transport(f.url)
	if err == nil {
		f.app, err = github.NewApp(github.AppConfig{URL: f.url, Repo: f.repo, ID: f.appID, KeyFile: f.appKey, Installation: f.install, Transport: transport, Now: now})
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}

// lend gives the token to Git where the repository is at the forge itself and no
// other credentials are given: a token is never sent to another host.
func (f *forgeFlags) lend(repo string, a *gitrepo.Auth) {
	if !f.wanted || f.kind == forgeLocal || a.UsernameFile != "" || a.PasswordFile != "" || a.BearerTokenFile != "" {
		return
	}
	at, err := url.Parse(repo)
	forge, ferr := url.Parse(f.url)
	// The very same server: not over http what was given for https.
	if err != nil || ferr != nil || at.Scheme != "http" && at.Scheme != "https" || at.Scheme != forge.Scheme || at.User != nil || at.Host != forge.Host {
		return
	}
	if f.app == nil {
		a.PasswordFile = f.tokenFile
		return
	}
	a.Login = func(ctx context.Context, refused string) (string, string, error) {
		if refused != "" {
			f.app.Refused(refused)
		}
		token, err := f.app.Token(ctx)
		return "x-access-token", token, err
	}
}

// token reads the token anew, so that a rotated one is used at once.
func (f *forgeFlags) token(context.Context) (string, error) {
	const maxToken = 64 << 10
	info, err := os.Stat(f.tokenFile)
	if err == nil && info.Size() > maxToken {
		err = errors.New("it is too large to be a token")
	}
	if err != nil {
		return "", fmt.Errorf("read --forge-token-file: %w", err)
	}
	data, err := os.ReadFile(f.tokenFile)
	if err != nil {
		return "", fmt.Errorf("read --forge-token-file: %w", err)
	}
	t := strings.TrimSpace(string(data))
	if t == "" || strings.ContainsAny(t, "\r\n") {
		return "", fmt.Errorf("read --forge-token-file %s: it holds no token, or more than one line", f.tokenFile)
	}
	return t, nil
}

// splitURL takes a repository's address apart: host (with a port only where it is
// http's) and path. Addresses without a host give none.
func splitURL(repo string) (host, path string) {
	if !strings.Contains(repo, "://") {
		at := strings.LastIndex(strings.SplitN(repo, ":", 2)[0], "@")
		host, path, ok := strings.Cut(repo[at+1:], ":")
		if !ok || strings.Contains(host, "/") {
			return "", ""
		}
		return host, path
	}
	u, err := url.Parse(repo)
	if err != nil || u.Scheme == "file" {
		return "", ""
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Host, u.Path
	}
	return u.Hostname(), u.Path
}

func hostOf(repo string) string {
	host, _ := splitURL(repo)
	return host
}

// pathOf is OWNER/NAME of an address; a root in front of it, as servers below a
// path have, does not belong to it.
func pathOf(repo string) string {
	_, path := splitURL(repo)
	parts := strings.Split(strings.Trim(strings.TrimSuffix(strings.Trim(path, "/"), ".git"), "/"), "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}

// shownURL is an address without what may be a password.
func shownURL(repo string) string {
	if name, err := hook.RepoName(repo); err == nil {
		return name
	}
	return "the repository's URL"
}

// site is the config repository and its forge, opened.
type site struct {
	repo  *gitrepo.Repo
	git   promote.Git // repo, or what commits in its stead
	forge forge
	user  string                    // our name at the forge
	ours  func(gitrepo.Commit) bool // nil: by the author
	close func()
}

// openSite opens both. user is who acts at a forge that takes our word for it.
func (c *connection) openSite(ctx context.Context, user string, logger *slog.Logger) (*site, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	repo, err := c.openRepo(ctx, logger)
	if err != nil {
		return nil, err
	}
	s, err := c.siteOf(ctx, repo, user, logger)
	if err != nil {
		return nil, errors.Join(err, repo.Close())
	}
	return s, nil
}

// siteOf is the site of a repository that is open already; closing it closes the
// repository. An error leaves the repository open.
func (c *connection) siteOf(ctx context.Context, repo *gitrepo.Repo, user string, logger *slog.Logger) (*site, error) {
	s := localSite(repo, user, logger)
	if c.forge.kind == forgeLocal {
		return s, nil
	}
	f, err := c.openForge(ctx, logger)
	if err != nil {
		return nil, err
	}
	s.forge, s.user = f, f.User()
	s.close = func() {
		f.Disconnect()
		_ = repo.Close() // a cache: nothing is lost
	}
	if g, ok := f.(*github.Forge); ok {
		v := verifiedGit{Repo: repo, forge: g}
		s.ours = v.ours // also of commits made before the flag was given or taken away
		if c.forge.verified {
			s.git = v
		}
	}
	return s, nil
}

// remoteForge is a forge that is a server.
type remoteForge interface {
	forge
	Disconnect()
}

// openForge logs in at GitHub or Gitea.
func (c *connection) openForge(ctx context.Context, logger *slog.Logger) (remoteForge, error) {
	transport, err := c.auth.Transport(c.forge.url)
	if err != nil {
		return nil, err
	}
	if c.forge.kind == forgeGitea {
		return asForge(gitea.Open(ctx, gitea.Config{URL: c.forge.url, Repo: c.forge.repo, Token: c.forge.token, Transport: transport,
			Now: now, Logger: logger, Method: pr.Method(c.forge.method)}))
	}
	cfg := github.Config{URL: c.forge.url, Repo: c.forge.repo, App: c.forge.app, Transport: transport, Now: now, Logger: logger,
		Method: pr.Method(c.forge.method), AutoMerge: c.forge.autoMerge, Pace: c.forge.pace}
	if cfg.App == nil {
		cfg.Token = c.forge.token
	}
	return asForge(github.Open(ctx, cfg))
}

// asForge keeps a nil pointer from becoming a forge.
func asForge[F remoteForge](f F, err error) (remoteForge, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// localSite keeps pull requests in the repository itself.
func localSite(repo *gitrepo.Repo, user string, logger *slog.Logger) *site {
	return &site{repo: repo, git: repo, user: user,
		forge: local.New(local.Config{Git: repo, User: user, Logger: logger}),
		close: func() { _ = repo.Close() }} // a cache: nothing is lost
}

// howto tells readers of pull requests what to type where the forge has no buttons.
func (s *site) howto() promote.Howto {
	if s.forge.Authenticated() {
		return promote.Howto{}
	}
	return localHowto()
}
