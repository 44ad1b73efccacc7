package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/internal/schedule"
	"towpath.dev/towpath/internal/state"
)

// connection holds the flags that say where the config repository is and how to
// reach it.
type connection struct {
	repo, branch, cache string
	forge               forgeFlags
	auth                gitrepo.Auth
	sign                gitrepo.Signing
	author              gitrepo.Identity
	rewritten           bool
	log                 string
}

func (c *connection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.repo, "repo", "", "URL of the config repository: path, https://, ssh:// (default $TOWPATH_REPO, else the origin of the clone you stand in)")
	f.StringVar(&c.branch, "branch", "main", "base branch with policies/ and environments")
	f.StringVar(&c.cache, "cache", "", "folder for caches, deletable at any time (default $TOWPATH_CACHE, else the user's cache folder)")
	c.credentialFlags(cmd)
	f.BoolVar(&c.rewritten, "allow-rewritten-base", false, "follow the base branch although its history was rewritten; refused without it, as far as the cache remembers")
	f.StringVar(&c.log, "log-format", "text", "text or json")
}

func (c *connection) logger(w io.Writer) (*slog.Logger, error) {
	switch c.log {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, usagef("--log-format %s: want text or json", c.log)
}

// cacheDir is the folder for everything that may be deleted.
func cacheDir(flag string) (string, error) {
	if flag == "" {
		flag = os.Getenv("TOWPATH_CACHE")
	}
	if flag != "" {
		return filepath.Abs(flag)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder: %w; set TOWPATH_CACHE", err)
	}
	return filepath.Join(dir, "towpath"), nil
}

// check finds the config repository's URL and refuses what no waiting mends.
func (c *connection) check() error {
	if c.repo == "" {
		c.repo = os.Getenv("TOWPATH_REPO") // not the flag's default: help prints those, and a URL may hold a password
	}
	if c.repo == "" {
		origin, err := gitrepo.Origin(".")
		if err != nil {
			return usagef("no config repository: give --repo, set TOWPATH_REPO, or stand in a clone of it")
		}
		c.repo = origin
	}
	if c.branch == "" || strings.HasPrefix(c.branch, "refs/") {
		return usagef("--branch %q: want the name of a branch, as main", c.branch)
	}
	if isSSH(c.repo) && (c.auth.SSHKeyFile == "" && !c.auth.SSHAgent || c.auth.KnownHostsFile == "") {
		return usagef("a repository over ssh needs --ssh-key-file or --ssh-agent, and --known-hosts-file")
	}
	if err := c.forge.check(c.repo); err != nil {
		return err
	}
	if err := c.forge.makeApp(c.auth); err != nil {
		return err
	}
	c.forge.lend(c.repo, &c.auth)
	return nil
}

// isSSH reports whether an address is reached by ssh.
func isSSH(repo string) bool {
	host, _ := splitURL(repo)
	return strings.HasPrefix(repo, "ssh://") || host != "" && !strings.Contains(repo, "://")
}

// openRepo opens the cached clone of the config repository.
func (c *connection) openRepo(ctx context.Context, logger *slog.Logger) (*gitrepo.Repo, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	dir, err := c.cacheFor("git")
	if err != nil {
		return nil, err
	}
	return gitrepo.Open(ctx, gitrepo.Config{URL: c.repo, Dir: dir, Branch: c.branch, AllowRewrite: c.rewritten, Auth: c.auth,
		Sign: c.sign, Author: c.author, Logger: logger})
}

// cacheFor is the folder of one kind of cache for this repository, which check
// has found.
func (c *connection) cacheFor(kind string) (string, error) {
	dir, err := cacheDir(c.cache)
	if err != nil {
		return "", err
	}
	// "." is another repository in each folder.
	url, err := gitrepo.Canonical(c.repo)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(url))
	return filepath.Join(dir, kind, hex.EncodeToString(sum[:8])), nil
}

// botUser is the bot's name at the local forge.
const botUser = "towpath"

// localHowto tells readers of the local forge's pull requests what to type.
func localHowto() promote.Howto {
	return promote.Howto{
		Approve: "`towpath approve KEY`",
		Hold:    "`towpath hold KEY`, and `towpath release KEY` to go on",
		Reject:  "`towpath reject KEY`",
	}
}

// registryFlags say how to reach registries.
type registryFlags struct {
	dockerConfig string
	insecure     hostNames
	hosts        hostsFile
	networks     networks
	cloud        bool
	pull         pullSecretFlags
}

func (r *registryFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.dockerConfig, "docker-config", "", "docker config.json with credentials for registries; the credential helpers it names are run")
	cmd.Flags().Var(&r.insecure, "insecure-registry", "host:port that is asked over plain http; may be repeated")
	cmd.Flags().Var(&r.hosts, "registries", "file of kind Registries: networks, limits, TLS, proxies and logins of single registries")
	cmd.Flags().Var(&r.networks, "allow-registry-network", "CIDR that registries may lead to although it is private or link-local; may be repeated")
	cmd.Flags().BoolVar(&r.cloud, "cloud-credentials", false, "log in at ECR, Google's and Azure's registries and ghcr.io as whoever this process is there, where nothing else has credentials")
	r.pull.flags(cmd)
}

// client returns a client of registries, and what ends its connections and those
// of its credentials.
func (r *registryFlags) client() (*registry.Client, func()) {
	secrets, end := r.pull.source()
	c := registry.New(registry.Config{
		DockerConfig: r.dockerConfig, InsecureHosts: r.insecure, Hosts: r.hosts.hosts, AllowNetworks: r.networks,
		CloudCredentials: r.cloud, PullSecrets: secrets,
	})
	return c, func() {
		c.Close()
		end()
	}
}

// newBot wires a bot. scanner may be nil: then no registry is asked.
func (c *connection) newBot(at *site, scanner promote.Scanner, logger *slog.Logger, unauthenticated bool) *promote.Bot {
	known, _ := c.cacheFor("markers") // without a folder nothing is kept
	return promote.New(promote.Config{
		Git: at.git, Scanner: scanner, Forge: at.forge, Branch: c.branch, User: at.user, Logger: logger, Now: now, Dir: known,
		Author:               at.repo.Author(),
		Ours:                 at.ours,
		Pause:                schedule.Pause,
		States:               state.NewLoader(at.repo).Load,
		AllowUnauthenticated: unauthenticated, Howto: at.howto(),
	})
}

// readSituation looks at the repository once. It asks every registry, or none
// when reg is nil.
func (c *connection) readSituation(ctx context.Context, w io.Writer, reg *registryFlags, unauthenticated bool) (promote.Situation, error) {
	logger, err := c.logger(w)
	if err != nil {
		return promote.Situation{}, err
	}
	at, err := c.openSite(ctx, botUser, logger)
	if err != nil {
		return promote.Situation{}, err
	}
	defer at.close()
	if err := at.repo.Fetch(ctx); err != nil {
		return promote.Situation{}, err
	}
	if err := at.asViewer(ctx, c.branch); err != nil {
		return promote.Situation{}, err
	}
	var scanner promote.Scanner
	if reg != nil {
		a := reg.freshly()
		defer a.close()
		scanner = a
	}
	// What the bot would log is in what the command prints.
	sit, err := c.newBot(at, scanner, slog.New(slog.DiscardHandler), unauthenticated).Look(ctx)
	return sit, flagged(err)
}

// flagged adds to an error about the base branch which flag names it.
func flagged(err error) error {
	switch {
	case errors.Is(err, gitrepo.ErrNoBranch):
		return fmt.Errorf("%w (--branch)", err)
	case errors.Is(err, gitrepo.ErrRewritten):
		return fmt.Errorf("%w (--allow-rewritten-base)", err)
	}
	return err
}
