package github

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

// What one commit through GitHub's interface may hold. Base64 and JSON around it stay below what a
// request may be.
const (
	maxCommitFiles = 1000
	maxCommitBytes = 8 << 20
)

// Content is what a commit changes: files by path, nil for those that go. GitHub keeps no modes in such a
// commit: every file becomes a plain one, so executable files and links are not for it.
type Content struct {
	Message string // subject, an empty line, and the rest
	Files   map[string][]byte
}

// CommitOnBranch lets GitHub make a commit on a branch that is still at head, by us and signed by GitHub,
// so that its pages call it verified. It returns the commit's hash. pr.ErrHeadMoved when the branch is
// elsewhere or gone, pr.ErrForbidden when its rules, or our rights, do not allow it.
func (f *Forge) CommitOnBranch(ctx context.Context, branch, head string, c Content) (string, error) {
	oid, err := f.commitOnBranch(ctx, branch, head, c)
	if err != nil {
		return "", fmt.Errorf("commit on %s through GitHub: %w", branch, err)
	}
	return oid, nil
}

func (f *Forge) commitOnBranch(ctx context.Context, branch, head string, c Content) (string, error) {
	changes, err := fileChanges(c.Files)
	if err != nil {
		return "", err
	}
	subject, rest, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	message := map[string]any{"headline": strings.TrimSpace(subject)}
	if rest = strings.Trim(rest, "\r\n"); rest != "" {
		message["body"] = rest
	}
	in := map[string]any{
		"branch":          map[string]any{"repositoryNameWithOwner": f.owner + "/" + f.name, "branchName": branch},
		"expectedHeadOid": head, "message": message, "fileChanges": changes,
	}
	const mutation = `mutation($in: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $in) { commit { oid } } }`
	var data struct {
		CreateCommitOnBranch struct{ Commit struct{ OID string } }
	}
	if err := f.mutate(ctx, mutation, in, &data); err != nil {
		return "", commitError(err)
	}
	oid := data.CreateCommitOnBranch.Commit.OID
	if oid == "" {
		return "", errors.New("GitHub's answer holds no commit")
	}
	return oid, nil
}

// fileChanges are a commit's changes in the words of GraphQL, in the order of paths.
func fileChanges(files map[string][]byte) (map[string]any, error) {
	if len(files) == 0 || len(files) > maxCommitFiles {
		return nil, fmt.Errorf("the commit changes %d files; want 1 to %d", len(files), maxCommitFiles)
	}
	additions, deletions, size := []any{}, []any{}, 0
	for _, path := range slices.Sorted(maps.Keys(files)) {
		data := files[path]
		size += len(data)
		if data == nil {
			deletions = append(deletions, map[string]any{"path": path})
			continue
		}
		additions = append(additions, map[string]any{"path": path, "contents": base64.StdEncoding.EncodeToString(data)})
	}
	if size > maxCommitBytes {
		return nil, fmt.Errorf("the commit's files have %d bytes; at most %d can be sent", size, maxCommitBytes)
	}
	return map[string]any{"additions": additions, "deletions": deletions}, nil
}

// commitError tells refusals of a commit apart.
func commitError(err error) error {
	var e *graphqlError
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case slices.Contains(e.kinds, "STALE_DATA"), saysAny(err, "expected branch to point to", "no ref with the name"):
		return fmt.Errorf("%w: %w", pr.ErrHeadMoved, err)
	case saysAny(err, "rule violations", "protected branch", "not authorized to push"):
		return fmt.Errorf("%w: %w", pr.ErrForbidden, err)
	}
	return err
}

// PutBranch puts a branch at a commit that the repository has, wherever it was. It compares with nothing:
// it is for branches that nobody else uses.
func (f *Forge) PutBranch(ctx context.Context, branch, commit string) error {
	err := f.putBranch(ctx, branch, commit)
	if err != nil {
		return fmt.Errorf("put the branch %s at %s: %w", branch, shortHash(commit), err)
	}
	return nil
}

func (f *Forge) putBranch(ctx context.Context, branch, commit string) error {
	_, err := f.do(ctx, http.MethodPost, f.repoPath("git/refs"), map[string]any{"ref": "refs/heads/" + branch, "sha": commit}, nil)
	if !refSays(err, "already exists") {
		return err
	}
	_, err = f.do(ctx, http.MethodPatch, f.branchRef(branch), map[string]any{"sha": commit, "force": true}, nil)
	return err
}

// DropBranch deletes a branch; one that is not there is no error.
func (f *Forge) DropBranch(ctx context.Context, branch string) error {
	_, err := f.do(ctx, http.MethodDelete, f.branchRef(branch), nil, nil)
	if err != nil && status(err) != http.StatusNotFound && !refSays(err, "does not exist") {
		return fmt.Errorf("delete the branch %s: %w", branch, err)
	}
	return nil
}

// branchRef is the path of a branch among the refs, whose slashes stay.
func (f *Forge) branchRef(branch string) string {
	return f.repoPath("git/refs/heads/") + escapeRef(branch)
}

func refSays(err error, text string) bool {
	var e *apiError
	return errors.As(err, &e) && e.status == http.StatusUnprocessableEntity && e.says(text)
}

// Made reports whether a commit with these addresses is one of CommitOnBranch's, as far as addresses tell:
// GitHub committed it, and its author is us. Whoever may push can forge both.
func (f *Forge) Made(author, committer string) bool {
	if local, _, ok := strings.Cut(committer, "@"); !ok || !strings.EqualFold(local, "noreply") {
		return false
	}
	local, host, ok := strings.Cut(author, "@")
	if !ok {
		return false
	}
	if f.email != "" && strings.EqualFold(author, f.email) {
		return true
	}
	// ID+login@users.noreply.HOST; accounts of long ago have no ID in it.
	id, login, ok := strings.Cut(local, "+")
	if !ok || strings.Trim(id, "0123456789") != "" {
		login = local
	}
	return sameLogin(login, f.user) && strings.HasPrefix(strings.ToLower(host), "users.noreply.")
}
