package fakegithub

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// identity is who a commit is by.
type identity struct{ name, email string }

// button commits what is merged by its button.
func button() identity { return identity{"GitHub", "noreply@github.com"} }

func (u *user) identity() identity {
	return identity{u.login, fmt.Sprintf("%d+%s@users.noreply.github.com", u.id, u.login)}
}

// gitError is git's own no.
type gitError struct {
	args   []string
	code   int
	stdout string
	stderr string
}

func (e *gitError) Error() string {
	return fmt.Sprintf("git %s: exit %d: %s", strings.Join(e.args, " "), e.code, strings.TrimSpace(e.stderr))
}

// git runs git in the bare repository and returns what it prints, without the last line's end.
func (r *Repo) git(args ...string) (string, error) { return r.gitWith(nil, "", args...) }

// gitWith is git with additional environment and standard input.
func (r *Repo) gitWith(env []string, stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.Dir, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", &gitError{args: args, code: exit.ExitCode(), stdout: out.String(), stderr: errs.String()}
	}
	if err != nil {
		return "", fmt.Errorf("run git: %w", err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// ofHashes is a question whose answer never changes: about commits that are named by their whole hashes.
var ofHashes = regexp.MustCompile(`^[a-z-]+(\x00-[^\x00]*)*(\x00[0-9a-f]{40}(\.\.[0-9a-f]{40})?)+$`)

// gitOf is git for such questions; each is asked once.
func (r *Repo) gitOf(args ...string) (string, error) {
	key := strings.Join(args, "\x00")
	if out, ok := r.answers.Load(key); ok {
		return out.(string), nil
	}
	out, err := r.git(args...)
	if err == nil && ofHashes.MatchString(key) {
		r.answers.Store(key, out)
	}
	return out, err
}

// heads are the commits of all branches. They are read from the folder itself, because every request needs
// them and a process would cost more than all else.
func (r *Repo) heads() (map[string]string, error) {
	const folder = "refs/heads/"
	at := map[string]string{}
	root := os.DirFS(r.Dir)
	err := fs.WalkDir(root, strings.TrimSuffix(folder, "/"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && (d.IsDir() || strings.HasSuffix(path, ".lock")) {
			return nil // gone a moment ago, or not yet there
		}
		if err != nil {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		at[strings.TrimPrefix(path, folder)] = strings.TrimSpace(string(text))
		return err
	})
	if err != nil {
		return nil, err
	}
	packed, err := fs.ReadFile(root, "packed-refs") // after the others: it is written before they are deleted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(packed)) {
		sha, ref, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name, ok := strings.CutPrefix(ref, folder); ok && at[name] == "" {
			at[name] = sha
		}
	}
	return at, nil
}

// said tells whether git ran and ended with this code.
func said(err error, code int) bool {
	var g *gitError
	return errors.As(err, &g) && g.code == code
}

// resolve returns the commit that a branch, a full ref or a hash names; "" if there is none.
func (r *Repo) resolve(ref string) string {
	for _, name := range []string{"refs/heads/" + ref, ref, "refs/" + ref, "refs/tags/" + ref} {
		if strings.HasPrefix(name, "-") {
			continue
		}
		if sha, err := r.git("rev-parse", "--verify", "--quiet", name+"^{commit}"); err == nil {
			return sha
		}
	}
	return ""
}

// head returns the commit of a branch; "" if there is no such branch.
func (r *Repo) head(branch string) string {
	all, err := r.heads()
	if err != nil {
		return ""
	}
	return all[branch]
}

// contains tells whether a commit's history holds another.
func (r *Repo) contains(commit, ancestor string) (bool, error) {
	_, err := r.git("merge-base", "--is-ancestor", ancestor, commit)
	if said(err, 1) {
		return false, nil
	}
	return err == nil, err
}

// setRef moves a ref from old to new; "" for old: whatever it was, "" for new: it goes.
func (r *Repo) setRef(ref, sha, old string) error {
	args := []string{"update-ref", ref, sha}
	if sha == "" {
		args = []string{"update-ref", "-d", ref}
	}
	if old != "" {
		args = append(args, old)
	}
	_, err := r.git(args...)
	return err
}

// mergeTree merges two commits; ok is false for a conflict.
func (r *Repo) mergeTree(ours, theirs string) (tree string, ok bool, err error) {
	out, err := r.git("merge-tree", "--write-tree", ours, theirs)
	if said(err, 1) {
		return "", false, nil
	}
	tree, _, _ = strings.Cut(out, "\n")
	return tree, err == nil, err
}

// commitTree makes a commit.
func (r *Repo) commitTree(tree, message string, author, committer identity, when time.Time, parents ...string) (string, error) {
	args := []string{"commit-tree", tree, "-F", "-"}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	return r.gitWith(dated(author, committer, when), message, args...)
}

func dated(author, committer identity, when time.Time) []string {
	date := fmt.Sprintf("%d +0000", when.Unix())
	return []string{
		"GIT_AUTHOR_NAME=" + author.name, "GIT_AUTHOR_EMAIL=" + author.email, "GIT_AUTHOR_DATE=" + date,
		"GIT_COMMITTER_NAME=" + committer.name, "GIT_COMMITTER_EMAIL=" + committer.email, "GIT_COMMITTER_DATE=" + date,
	}
}

// change makes a commit on top of a parent ("" for none) with files written, and removed where the
// content is nil.
func (r *Repo) change(parent string, files map[string][]byte, message string, author, committer identity) (string, error) {
	index, err := os.CreateTemp(r.Dir, "index-")
	if err != nil {
		return "", err
	}
	index.Close()
	os.Remove(index.Name())
	defer os.Remove(index.Name())
	env := []string{"GIT_INDEX_FILE=" + index.Name()}
	if parent != "" {
		if _, err := r.gitWith(env, "", "read-tree", parent); err != nil {
			return "", err
		}
	}
	var lines strings.Builder
	for path, content := range files {
		if content == nil {
			fmt.Fprintf(&lines, "0 %040d\t%s\n", 0, path)
			continue
		}
		blob, err := r.gitWith(nil, string(content), "hash-object", "-w", "--stdin")
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&lines, "100644 %s\t%s\n", blob, path)
	}
	if _, err := r.gitWith(env, lines.String(), "update-index", "--index-info"); err != nil {
		return "", err
	}
	tree, err := r.gitWith(env, "", "write-tree")
	if err != nil {
		return "", err
	}
	var parents []string
	if parent != "" {
		parents = append(parents, parent)
	}
	return r.commitTree(tree, message, author, committer, r.s.now(), parents...)
}

// rebase puts the commits of head that base has not on top of base; ok is false for a conflict.
func (r *Repo) rebase(base, head string, committer identity) (tip string, ok bool, err error) {
	dir, err := os.MkdirTemp(r.Dir, "rebase-")
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(dir)
	work := &Repo{s: r.s, Dir: dir + "/tree"}
	if _, err := r.git("worktree", "add", "--quiet", "--detach", work.Dir, head); err != nil {
		return "", false, err
	}
	defer func() {
		if _, e := r.git("worktree", "remove", "--force", work.Dir); err == nil {
			err = e
		}
	}()
	env := []string{"GIT_COMMITTER_NAME=" + committer.name, "GIT_COMMITTER_EMAIL=" + committer.email,
		fmt.Sprintf("GIT_COMMITTER_DATE=%d +0000", r.s.now().Unix())}
	if _, err := work.gitWith(env, "", "rebase", "--quiet", "--no-ff", base); err != nil {
		if said(err, 1) {
			return "", false, nil
		}
		return "", false, err
	}
	tip, err = work.git("rev-parse", "HEAD")
	return tip, err == nil, err
}
