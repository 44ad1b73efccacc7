package local_test

import (
	"os/exec"
	"path/filepath"
	"strings"
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

// bare makes a bare repository whose main has two files; url is its path.
func bare(t *testing.T) (url string) {
	t.Helper()
	url = filepath.Join(t.TempDir(), "config.git")
	git(t, t.TempDir(), "init", "-q", "--bare", "-b", "main", url)
	r := open(t, url)
	c, err := r.Commit(t.Context(), gitrepo.Change{Message: "first", Time: noon, Files: map[string][]byte{
		"dev/web.yaml":  []byte("image: web:1\n"),
		"prod/web.yaml": []byte("image: web:1\n"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	push(t, r, gitrepo.Update{Ref: "refs/heads/main", New: c.Hash})
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
