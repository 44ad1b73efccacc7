package gitea

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Files are texts by their paths, with slashes.
type Files map[string]string

// Change is one commit and where it goes.
type Change struct {
	// Branch is pushed to; empty means "main".
	Branch string
	// More are other branches that are pushed to, at once.
	More []string
	// From is the branch, tag or commit that the commit stands on; empty means none, for the first commit.
	From string
	// Message of the commit; empty means "change".
	Message string
	// Files are written; others stay.
	Files Files
	// Delete are paths to remove.
	Delete []string
	// Force replaces what the branch holds.
	Force bool
}

// CloneURL returns the address of a repository, "owner/name", for Git; it holds no credentials.
func (s *Server) CloneURL(repo string) string { return s.URL + "/" + repo + ".git" }

// NewRepository makes the repository "owner/name", whose owner is a user or an organization, readable by
// everybody, and pushes a first commit to its default branch, main. Without files it stays empty.
func (s *Server) NewRepository(ctx context.Context, repo string, files Files) error {
	owner, name, _ := strings.Cut(repo, "/")
	err := s.ask(ctx, s.Admin, http.MethodPost, "/admin/users/"+url.PathEscape(owner)+"/repos", object{"name": name, "default_branch": "main"}, nil)
	if err != nil {
		return fmt.Errorf("make repository %s: %w", repo, err)
	}
	if len(files) == 0 {
		return nil
	}
	_, err = s.Commit(ctx, repo, s.Admin, Change{Files: files})
	return err
}

// Commit pushes a commit to a repository, "owner/name", as a user, by Git over HTTP, and returns its
// hash. An error holds what Git said, such as why the server refused.
func (s *Server) Commit(ctx context.Context, repo string, by User, c Change) (string, error) {
	dir, err := os.MkdirTemp(s.tmp(), "commit-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	hash, err := s.commit(ctx, repo, by, c, dir)
	if err != nil {
		return "", fmt.Errorf("commit to %s as %s: %w", repo, by.Name, err)
	}
	return hash, nil
}

func (s *Server) commit(ctx context.Context, repo string, by User, c Change, dir string) (string, error) {
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.Message == "" {
		c.Message = "change"
	}
	git := func(args ...string) (string, error) { return s.git(ctx, by, dir, args...) }
	if _, err := git("init", "--quiet"); err != nil {
		return "", err
	}
	if c.From != "" {
		if _, err := git("fetch", "--quiet", "--depth=1", s.CloneURL(repo), c.From); err != nil {
			return "", err
		}
		if _, err := git("checkout", "--quiet", "--detach", "FETCH_HEAD"); err != nil {
			return "", err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(c.Files[name]), 0o644); err != nil {
			return "", err
		}
	}
	for _, name := range c.Delete {
		if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return "", err
		}
	}
	if _, err := git("add", "--all"); err != nil {
		return "", err
	}
	if _, err := git("commit", "--quiet", "--allow-empty", "--message", c.Message); err != nil {
		return "", err
	}
	push := []string{"push", "--quiet", s.CloneURL(repo)}
	for _, branch := range append([]string{c.Branch}, c.More...) {
		ref := "HEAD:refs/heads/" + branch
		if c.Force {
			ref = "+" + ref
		}
		push = append(push, ref)
	}
	if _, err := git(push...); err != nil {
		return "", err
	}
	return git("rev-parse", "HEAD")
}

// git runs the git program in dir as a user, with none of the settings of this machine.
func (s *Server) git(ctx context.Context, by User, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	login := base64.StdEncoding.EncodeToString([]byte(by.Name + ":" + by.Token))
	cmd.Env = append(s.environment(),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		// Not in the arguments, which other users of this machine can read.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic "+login,
		"GIT_AUTHOR_NAME="+by.Name, "GIT_AUTHOR_EMAIL="+by.Name+"@example.com",
		"GIT_COMMITTER_NAME="+by.Name, "GIT_COMMITTER_EMAIL="+by.Name+"@example.com",
	)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}
