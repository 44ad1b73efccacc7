package local_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// first is a folder with config.git, a bare repository whose main has two files: made once, and copied.
var first = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "towpath-local-")
	if err != nil {
		return "", err
	}
	files := "M 100644 inline dev/web.yaml\ndata 13\nimage: web:1\n\nM 100644 inline prod/web.yaml\ndata 13\nimage: web:1\n\n"
	for _, c := range []struct{ input, args string }{
		{"", "init -q --bare --template= -b main ."},
		{"", "config receive.autogc false"},
		{"commit refs/heads/main\ncommitter Ann <ann@example.com> 1772366400 +0000\ndata 5\nfirst\n" + files, "fast-import --quiet"},
	} {
		cmd := exec.Command("git", strings.Fields(c.args)...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(c.input)
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("git %s: %w: %s", c.args, err, out)
		}
	}
	return dir, nil
})

// bare makes a bare repository whose main has two files; url is its path.
func bare(t *testing.T) (url string) {
	t.Helper()
	from, err := first()
	must(t, err)
	url = filepath.Join(t.TempDir(), "config.git")
	must(t, os.CopyFS(url, os.DirFS(from)))
	return url
}

func open(t *testing.T, url string) *gitrepo.Repo {
	t.Helper()
	r, err := gitrepo.Open(t.Context(), gitrepo.Config{URL: url, Dir: t.TempDir(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	fetch(t, r)
	return r
}

func fetch(t *testing.T, r *gitrepo.Repo) {
	t.Helper()
	if err := r.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func push(t *testing.T, r *gitrepo.Repo, u ...gitrepo.Update) {
	t.Helper()
	if err := r.Push(t.Context(), u...); err != nil {
		t.Fatal(err)
	}
}

func head(t *testing.T, r *gitrepo.Repo, branch string) string {
	t.Helper()
	refs, err := r.Refs("refs/heads/" + branch)
	if err != nil {
		t.Fatal(err)
	}
	return refs["refs/heads/"+branch]
}

// commitTo puts files on branch, which starts from main when it is new.
func commitTo(t *testing.T, r *gitrepo.Repo, branch string, files map[string][]byte) string {
	t.Helper()
	old := head(t, r, branch)
	parent := old
	if parent == "" {
		parent = head(t, r, "main")
	}
	c, err := r.Commit(t.Context(), gitrepo.Change{Parent: parent, Files: files, Message: "on " + branch})
	if err != nil {
		t.Fatal(err)
	}
	push(t, r, gitrepo.Update{Ref: "refs/heads/" + branch, Old: old, New: c.Hash})
	return c.Hash
}

func content(t *testing.T, r *gitrepo.Repo, commit, name string) string {
	t.Helper()
	s, err := r.Snapshot(commit)
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.Files("", func(p string) bool { return p == name })
	if err != nil {
		t.Fatal(err)
	}
	return string(files[name])
}

func forge(g local.Git, user string) *local.Forge {
	return local.New(local.Config{Git: g, User: user, Now: clock})
}

func ensure(t *testing.T, f *local.Forge, r pr.Request) pr.Pull {
	t.Helper()
	p, err := f.Ensure(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(t *testing.T, f *local.Forge, number int) pr.Pull {
	t.Helper()
	p, err := f.Get(t.Context(), number)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const branch = "towpath/prod/web"

// proposal pushes a change of prod/web.yaml and returns the request for it.
func proposal(t *testing.T, r *gitrepo.Repo, version string) pr.Request {
	t.Helper()
	c := commitTo(t, r, branch, map[string][]byte{"prod/web.yaml": []byte("image: web:" + version + "\n")})
	return pr.Request{
		Branch: branch, Base: "main", Head: c, Title: "prod: web 1 → " + version,
		Body: "| a | b |\n\n<!-- towpath:v1\n{}\n-->", Labels: []string{pr.LabelPromo},
	}
}
