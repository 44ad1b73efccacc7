package forges

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	base   = "main"
	branch = "towpath/prod/web"
	file   = "prod/web.yaml"

	maxLooks = 20                     // how often a case looks for what should be so
	pause    = 100 * time.Millisecond // between two looks
)

// stage is a World with a repository of its own beside the server's and the words of
// cases. It has no files checked out, and starts as few processes as will do: on a
// server each push starts more.
type stage struct {
	T
	*World
	dir  string          // of the repository
	have map[string]bool // commits that are in it
}

func newStage(t T, w *World) *stage {
	t.Helper()
	s := &stage{T: t, World: w, dir: filepath.Join(t.TempDir(), "stage.git"), have: map[string]bool{}}
	s.must("make a repository", s.prepare())
	s.put("", base, map[string]string{file: "image: web:1\n", "dev/web.yaml": "image: web:1\n"}, "first")
	return s
}

// prepare makes an empty repository that knows the way to the server's.
func (s *stage) prepare() error {
	config, origin := "[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n", s.Remote
	if u, err := url.Parse(s.Remote); err == nil && u.User != nil {
		// Without being asked first, which would be one more request.
		password, _ := u.User.Password()
		login := base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password))
		config += "[http]\n\textraHeader = Authorization: Basic " + login + "\n"
		u.User = nil
		origin = u.String()
	}
	config += "[remote \"origin\"]\n\turl = " + strconv.Quote(origin) + "\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
	for _, folder := range []string{"objects", "refs"} {
		if err := os.MkdirAll(filepath.Join(s.dir, folder), 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(filepath.Join(s.dir, "HEAD"), []byte("ref: refs/heads/"+base+"\n"), 0o644),
		os.WriteFile(filepath.Join(s.dir, "config"), []byte(config), 0o600))
}

func (s *stage) git(args ...string) string {
	s.Helper()
	return s.gitWith("", args...)
}

func (s *stage) gitWith(input string, args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), "git", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// heads are where branches of the server are; those that are not there are left out.
func (s *stage) heads(names ...string) map[string]string {
	s.Helper()
	args := []string{"ls-remote", "origin"}
	for _, name := range names {
		args = append(args, "refs/heads/"+name)
	}
	at := map[string]string{}
	for line := range strings.Lines(s.git(args...)) {
		hash, ref, _ := strings.Cut(strings.TrimSpace(line), "\t")
		at[strings.TrimPrefix(ref, "refs/heads/")] = hash
	}
	return at
}

// head is where a branch of the server is; "" when it is not there.
func (s *stage) head(name string) string {
	s.Helper()
	return s.heads(name)[name]
}

// push puts a commit with files on a branch, which starts at main's head when it
// is new. An empty text removes the file.
func (s *stage) push(to string, files map[string]string, message string) string {
	s.Helper()
	at := s.heads(to, base)
	from := at[to]
	if from == "" {
		from = at[base]
	}
	return s.put(from, to, files, message)
}

// rebuild replaces what a branch held by one commit on main's head, as the bot does.
func (s *stage) rebuild(to string, files map[string]string, message string) string {
	s.Helper()
	return s.put(s.head(base), to, files, message)
}

// put makes a commit on from, "" for the first of all, and pushes it.
func (s *stage) put(from, to string, files map[string]string, message string) string {
	s.Helper()
	s.fetch(from)
	var in strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&in, format+"\n", args...) }
	data := func(text string) { line("data %d\n%s", len(text), text) }
	line("commit refs/stage/next\nmark :1\ncommitter Alice <alice@example.com> %d +0000", time.Now().Unix())
	data(message + "\n")
	if from != "" {
		line("from %s", from)
	}
	for name, text := range files {
		if text == "" {
			line("D %s", name)
			continue
		}
		line("M 100644 inline %s", name)
		data(text)
	}
	line("get-mark :1")
	hash := s.gitWith(in.String(), "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--force")
	s.have[hash] = true
	s.git("push", "-q", "--force", "origin", hash+":refs/heads/"+to)
	return hash
}

// fetch makes a commit of one of the server's branches known here.
func (s *stage) fetch(commit string) {
	s.Helper()
	if commit != "" && !s.have[commit] {
		s.git("fetch", "-q", "--prune", "origin")
		s.have[commit] = true
	}
}

func (s *stage) deleteBranch(name string) {
	s.Helper()
	s.git("push", "-q", "origin", ":refs/heads/"+name)
}

// fileAt is a file's text at a commit of the server's branches; "" when it is not there.
func (s *stage) fileAt(commit, name string) string {
	s.Helper()
	s.fetch(commit)
	if s.git("ls-tree", commit, "--", name) == "" {
		return ""
	}
	return s.git("show", commit+":"+name) + "\n"
}

// messageOf is a commit's message without blank lines at its end.
func (s *stage) messageOf(commit string) string {
	s.Helper()
	s.fetch(commit)
	return strings.TrimSpace(s.git("log", "-1", "--format=%B", commit))
}

// request is the bot's for its branch at head.
func request(head string) pr.Request {
	return pr.Request{
		Branch: branch, Base: base, Head: head, Title: "prod: web 1 → 2",
		Body:   "| a | b |\n|---|---|\n| 1 | 2 |\n\n" + pr.Block{Env: "prod", App: "web", Content: "sha256:ab"}.String(),
		Labels: []string{pr.LabelPromo},
	}
}

// propose pushes the bot's branch and opens its pull request.
func (s *stage) propose() (pr.Pull, pr.Request) {
	s.Helper()
	r := request(s.push(branch, map[string]string{file: "image: web:2\n"}, "prod: web 1 → 2"))
	return s.ensure(s.Forge, r), r
}

func (s *stage) ensure(f Forge, r pr.Request) pr.Pull {
	s.Helper()
	p, err := f.Ensure(s.Context(), r)
	s.must("ensure", err)
	if p.Number < 1 {
		s.Fatalf("ensure returned the pull request number %d", p.Number)
	}
	return p
}

// must ends the case on an error.
func (s *stage) must(what string, err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// as is the forge of one of the people.
func (s *stage) as(user string) Forge {
	s.Helper()
	if s.As == nil || s.As(user) == nil {
		s.Fatalf("this forge has no %s", user)
	}
	return s.As(user)
}

// later lets the forge's clock move on.
func (s *stage) later() {
	if s.Later != nil {
		s.Later()
		return
	}
	time.Sleep(pause)
}

// list is all pull requests onto main, by number.
func (s *stage) list(f Forge) map[int]pr.Pull {
	s.Helper()
	pulls, err := f.List(s.Context(), base)
	s.must("list", err)
	by := map[int]pr.Pull{}
	for _, p := range pulls {
		by[p.Number] = p
	}
	return by
}

// see looks, with time passing, until a pull request is listed as it should be,
// and fails the case when that never comes.
func (s *stage) see(number int, what string, ok func(p pr.Pull) bool) pr.Pull {
	s.Helper()
	return s.seeBy(s.Forge, number, what, ok)
}

func (s *stage) seeBy(f Forge, number int, what string, ok func(p pr.Pull) bool) pr.Pull {
	s.Helper()
	var last pr.Pull
	for range maxLooks {
		p, there := s.list(f)[number]
		if there && ok(p) {
			return p
		}
		last = p
		s.later()
	}
	s.Fatalf("pull request %d is never listed %s; last seen: %+v", number, what, last)
	return pr.Pull{}
}

// open returns the open pull requests onto main of the bot's branch.
func (s *stage) open(f Forge) []pr.Pull {
	s.Helper()
	var out []pr.Pull
	for _, p := range s.list(f) {
		if p.Open && p.Branch == branch && !p.Fork {
			out = append(out, p)
		}
	}
	return out
}

// seeOne fails the case unless exactly one pull request of the bot's branch comes to be open.
func (s *stage) seeOne(f Forge) pr.Pull {
	s.Helper()
	for range maxLooks {
		if all := s.open(f); len(all) == 1 {
			return all[0]
		}
		s.later()
	}
	all := s.open(f)
	s.Fatalf("%d open pull requests of one branch, want 1: %+v", len(all), all)
	return pr.Pull{}
}

// writes counts the bot's writes while do runs.
func (s *stage) writes(do func()) int {
	s.Helper()
	before := s.Writes()
	do()
	return s.Writes() - before
}

// free fails the case when do writes anything.
func (s *stage) free(what string, do func()) {
	s.Helper()
	if n := s.writes(do); n != 0 {
		s.Errorf("%s: %d writes, want none", what, n)
	}
}

// settle repeats a call whose answers are lost until it tells of no error.
func (s *stage) settle(what string, call func() error) {
	s.Helper()
	var err error
	for range maxLooks {
		if err = call(); err == nil {
			return
		}
		s.later()
	}
	s.Fatalf("%s: still fails when answers come through again: %v", what, err)
}
