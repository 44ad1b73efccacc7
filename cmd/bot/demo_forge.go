package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"towpath.dev/towpath/examples"
	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/build"
	"towpath.dev/towpath/test/gitea"
)

// demoPerson approves prod in the demo.
type demoPerson struct {
	name string
	conn connection // as whom
}

// pipelineFile is the pipeline of examples/shop.
const pipelineFile = "policies/pipeline.yaml"

// startForge makes the config repository of examples/shop, with the registry's
// real address, and what keeps its pull requests.
func (w *world) startForge(ctx context.Context, d demoFlags, s std, tell *teller) error {
	files, err := examples.Shop(w.registry.Host())
	if err != nil {
		return err
	}
	w.conn = connection{branch: "main", cache: filepath.Join(w.dir, "cache"), log: "text"}
	if d.forge == forgeGitea {
		err = w.startGitea(ctx, d, files, tell, s)
	} else {
		err = w.seed(ctx, files)
		tell.say("a Git repository holds examples/shop: two apps in dev, staging and prod, and their policies")
	}
	return err
}

// seed makes a bare repository that is its own forge.
func (w *world) seed(ctx context.Context, files map[string][]byte) error {
	w.conn.repo, w.conn.forge = filepath.Join(w.dir, "config.git"), forgeFlags{kind: forgeLocal}
	if err := gitrepo.InitBare(w.conn.repo, "main"); err != nil {
		return err
	}
	you := w.conn
	you.cache = filepath.Join(w.dir, "cache-you")
	w.people = []demoPerson{{name: "you", conn: you}}
	if err := w.openGit(ctx); err != nil {
		return err
	}
	c, err := w.git.Commit(ctx, gitrepo.Change{Files: files, Message: "a shop with two apps and three environments\n"})
	if err != nil {
		return err
	}
	return w.git.Push(ctx, gitrepo.Update{Ref: "refs/heads/main", New: c.Hash})
}

func (w *world) openGit(ctx context.Context) (err error) {
	w.git, err = w.conn.openRepo(ctx, slog.New(slog.DiscardHandler))
	return err
}

// The repository and the people of the demo's Gitea.
const (
	giteaOwner = "shop"
	giteaRepo  = giteaOwner + "/config"
)

// startGitea starts a real Gitea with a bot user and two reviewers, who both must
// approve prod; main is protected.
func (w *world) startGitea(ctx context.Context, d demoFlags, files map[string][]byte, tell *teller, s std) error {
	built, err := gitea.Build(ctx, build.Config{CacheDir: d.cache, Source: d.source, Say: func(format string, args ...any) { fmt.Fprintf(s.err, format+"\n", args...) }})
	if err != nil {
		return err
	}
	tell.say("starting a real Gitea")
	if w.gitea, err = gitea.Run(ctx, built, filepath.Join(w.dir, "gitea")); err != nil {
		return err
	}
	one := []byte("approvals: {required: 1}")
	if !bytes.Contains(files[pipelineFile], one) {
		return errors.New("the pipeline of examples/shop is not the one that the demo knows")
	}
	files[pipelineFile] = bytes.ReplaceAll(files[pipelineFile], one, []byte(`approvals: {required: 2, from: ["user:alice", "user:bob"]}`))
	if err := w.seedGitea(ctx, files); err != nil {
		return err
	}
	tell.say("Gitea at %s holds %s: examples/shop, two apps in dev, staging and prod; main is protected, the bot is user %s, and alice and bob must both approve prod", w.gitea.URL, giteaRepo, botUser)
	return w.openGit(ctx)
}

func (w *world) seedGitea(ctx context.Context, files map[string][]byte) error {
	owner, err := w.gitea.NewUser(ctx, "owner")
	if err != nil {
		return err
	}
	if err := w.gitea.NewOrganization(ctx, giteaOwner, owner); err != nil {
		return err
	}
	text := gitea.Files{}
	for name, data := range files {
		text[name] = string(data)
	}
	if err := w.gitea.NewRepository(ctx, giteaRepo, text); err != nil {
		return err
	}
	for _, name := range []string{botUser, "alice", "bob"} {
		u, err := w.gitea.NewUser(ctx, name)
		if err != nil {
			return err
		}
		if err := w.gitea.AddCollaborator(ctx, giteaRepo, u, gitea.Write); err != nil {
			return err
		}
		conn, err := w.giteaConnection(u)
		if err != nil {
			return err
		}
		if name == botUser {
			w.conn = conn
		} else {
			w.people = append(w.people, demoPerson{name: name, conn: conn})
		}
	}
	return w.gitea.Protect(ctx, giteaRepo, gitea.Protection{
		Branch: "main", Pushers: []string{botUser}, Mergers: []string{botUser},
		Checks: []string{pr.StatusContext}, RejectionBlocks: true, BindsAdmins: true,
	})
}

// giteaConnection is how a user reaches the repository, with a token in a file.
func (w *world) giteaConnection(u gitea.User) (connection, error) {
	file := filepath.Join(w.dir, "token-"+u.Name)
	if err := os.WriteFile(file, []byte(u.Token+"\n"), 0o600); err != nil {
		return connection{}, fmt.Errorf("keep the token of %s: %w", u.Name, err)
	}
	return connection{
		repo: w.gitea.CloneURL(giteaRepo), branch: "main", cache: filepath.Join(w.dir, "cache-"+u.Name), log: "text",
		auth:  gitrepo.Auth{PasswordFile: file},
		forge: forgeFlags{wanted: true, kind: forgeGitea, url: w.gitea.URL, repo: giteaRepo, tokenFile: file},
	}, nil
}

// forgeWords are the flags that say which forge and as whom, for a command line.
func (c *connection) forgeWords() string {
	if c.forge.kind == forgeLocal {
		return ""
	}
	return fmt.Sprintf(" --forge %s --forge-url %s --forge-token-file %s", c.forge.kind, c.forge.url, c.forge.tokenFile)
}

// approveWords are the command lines by which people approve prod.
func (w *world) approveWords() string {
	var lines []string
	for _, p := range w.people {
		lines = append(lines, fmt.Sprintf("%s approve prod/web --repo %s%s", self(), p.conn.repo, p.conn.forgeWords()))
	}
	return strings.Join(lines, "\n")
}

// approve lets everybody whose approval is needed give it, one after the other,
// and shows that it is not enough before the last one.
func (w *world) approve(ctx context.Context, tell *teller, pull pr.Pull) error {
	for i, p := range w.people {
		if err := p.approve(ctx, pull); err != nil {
			return err
		}
		tell.say("prod: %s approved (as `towpath approve prod/web` does)", p.name)
		if i == len(w.people)-1 {
			break
		}
		given := fmt.Sprintf("%d of %d approvals", i+1, len(w.people))
		v, err := w.wait(ctx, "the approval of "+p.name+" counts", func(v statusView) bool {
			return strings.Contains(strings.Join(find(v, "prod", "web").Waiting, " "), given)
		})
		if err != nil {
			return err
		}
		for _, x := range find(v, "prod", "web").Waiting {
			tell.say("prod: it waits for %s", x)
		}
	}
	return nil
}

func (p demoPerson) approve(ctx context.Context, pull pr.Pull) error {
	at, err := p.conn.openSite(ctx, p.name, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer at.close()
	if err := at.repo.Fetch(ctx); err != nil {
		return err
	}
	return at.forge.Review(ctx, pull.Number, pr.Review{State: pr.Approved, Commit: pull.Head})
}
