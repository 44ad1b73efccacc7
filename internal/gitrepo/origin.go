package gitrepo

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// Origin returns the URL of the repository that the clone around dir came from:
// its remote "origin", a path made absolute, or the path of the repository itself
// when it is bare.
// errors.Is ErrNotFound when dir is in no repository or the clone has no origin.
func Origin(dir string) (string, error) {
	// The common folder is where a linked worktree has its settings. The first
	// finds a bare repository, which the search upwards does not.
	r, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		r, err = git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	}
	if err != nil {
		return "", fmt.Errorf("find the clone around %s: %w", dir, errors.Join(ErrNotFound, err))
	}
	tree, err := r.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		return filepath.Abs(dir)
	}
	if err != nil {
		return "", fmt.Errorf("find the clone around %s: %w", dir, err)
	}
	remote, err := r.Remote("origin")
	if err != nil || len(remote.Config().URLs) == 0 {
		return "", fmt.Errorf("find the origin of the clone around %s: %w", dir, ErrNotFound)
	}
	url := remote.Config().URLs[0]
	if strings.Contains(url, "://") || scpLike.MatchString(url) || brokenURL.MatchString(url) || filepath.IsAbs(url) {
		return url, nil
	}
	return filepath.Abs(filepath.Join(tree.Filesystem.Root(), url))
}

// Author is who our commits are by.
func (r *Repo) Author() Identity { return r.c.Author }

// InitBare creates an empty bare repository at dir whose HEAD is branch.
func InitBare(dir, branch string) error {
	_, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{Bare: true,
		InitOptions: git.InitOptions{DefaultBranch: plumbing.NewBranchReferenceName(branch)}})
	if err != nil {
		return fmt.Errorf("create repository %s: %w", dir, err)
	}
	return nil
}
