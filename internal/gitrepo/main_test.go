package gitrepo

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/test/githttp"
	"towpath.dev/towpath/test/gitssh"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(childVariable); args != "" {
		os.Exit(fetchChild(args))
	}
	// The real git must do the same on every machine.
	for k, v := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
		"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
		"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
	} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// gitRun runs the real git in dir and returns what it prints.
func gitRun(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return gitIn(t, dir, "", args...)
}

func gitIn(t testing.TB, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// bare makes an empty bare repository with branch main and returns its folder.
func bare(t testing.TB, root, name string) string {
	t.Helper()
	dir := filepath.Join(root, name)
	gitRun(t, root, "init", "--quiet", "--bare", "--initial-branch=main", dir)
	gitRun(t, dir, "config", "receive.autogc", "false")
	return dir
}

// put commits files ("" deletes) to a branch of a bare repository with the real
// git, on top of parent ("" is an orphan, "-" the branch as it is).
func put(t testing.TB, dir, branch, parent string, files map[string]string) string {
	t.Helper()
	index := filepath.Join(t.TempDir(), "index")
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GIT_INDEX_FILE="+index)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, stderr.String())
		}
		return strings.TrimSpace(string(out))
	}
	if parent == "-" {
		parent = gitRun(t, dir, "for-each-ref", "--format=%(objectname)", "refs/heads/"+branch)
	}
	if parent != "" {
		run("", "read-tree", parent)
	}
	for name, text := range files {
		if text == "" {
			run("0 "+strings.Repeat("0", 40)+"\t"+name+"\n", "update-index", "--index-info")
			continue
		}
		mode := "100644"
		switch {
		case strings.HasSuffix(name, ".sh"):
			mode = "100755"
		case strings.HasSuffix(name, ".link"):
			mode = "120000"
		case strings.HasSuffix(name, ".module"):
			run("", "update-index", "--add", "--cacheinfo", "160000,"+text+","+name)
			continue
		}
		run("", "update-index", "--add", "--cacheinfo", mode+","+run(text, "hash-object", "-w", "--stdin")+","+name)
	}
	args := []string{"commit-tree", run("", "write-tree"), "-m", "change " + branch}
	if parent != "" {
		args = append(args, "-p", parent)
	}
	commit := run("", args...)
	run("", "update-ref", "refs/heads/"+branch, commit)
	return commit
}

// at is the clock of the tests.
func at() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// open opens a Repo that is closed with the test.
func open(t testing.TB, c Config) *Repo {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Now == nil {
		c.Now = at
	}
	r, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// must fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// commit commits files on a parent and returns the commit.
func commit(t testing.TB, r *Repo, parent string, files map[string]string) Commit {
	t.Helper()
	c := Change{Parent: parent, Message: "change", Files: map[string][]byte{}}
	for n, text := range files {
		c.Files[n] = []byte(text)
	}
	return must(r.Commit(t.Context(), c))(t)
}

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *logged) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
func (l *logged) logger() *slog.Logger        { return slog.New(slog.NewTextHandler(l, nil)) }

// world is a folder of repositories that is served somehow.
type world struct {
	root string
	base string // URL of root
	auth Auth
}

func (w world) config(name string) Config { return Config{URL: w.base + "/" + name, Auth: w.auth} }

// secretPassword is looked for in errors and logs.
const secretPassword = "s3cr3t-pa55"

// secret writes a credential file.
func secret(t testing.TB, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(f, []byte(text+"\n"), 0o600))
	return f
}

// serving are the ways to reach a repository: one per transport, and the other
// ways to write a URL or to authenticate.
func serving() (transports, urls map[string]func(*testing.T, string) world) {
	transports = map[string]func(*testing.T, string) world{
		"path": func(_ *testing.T, root string) world { return world{root: root, base: root} },
		"http": func(t *testing.T, root string) world {
			url := githttp.Serve(t, root, githttp.Options{Username: "bot", Password: secretPassword})
			return world{root: root, base: url, auth: Auth{UsernameFile: secret(t, "bot"), PasswordFile: secret(t, secretPassword)}}
		},
		"ssh": func(t *testing.T, root string) world {
			s := gitssh.Serve(t, root)
			return world{root: root, base: s.URL, auth: Auth{SSHKeyFile: s.KeyFile, KnownHostsFile: s.KnownHostsFile}}
		},
	}
	urls = map[string]func(*testing.T, string) world{
		"file url": func(_ *testing.T, root string) world { return world{root: root, base: "file://" + root} },
		"http without password": func(t *testing.T, root string) world {
			return world{root: root, base: githttp.Serve(t, root, githttp.Options{})}
		},
		"http with password in the url": func(t *testing.T, root string) world {
			url := githttp.Serve(t, root, githttp.Options{Username: "bot", Password: secretPassword})
			return world{root: root, base: strings.Replace(url, "http://", "http://bot:"+secretPassword+"@", 1)}
		},
	}
	return transports, urls
}

// everyTransport runs a test over file, http and ssh.
func everyTransport(t *testing.T, test func(*testing.T, world)) {
	transports, _ := serving()
	for name, serve := range transports {
		t.Run(name, func(t *testing.T) { test(t, serve(t, t.TempDir())) })
	}
}

// everyURL runs a test over all ways to reach a repository.
func everyURL(t *testing.T, test func(*testing.T, world)) {
	everyTransport(t, test)
	_, urls := serving()
	for name, serve := range urls {
		t.Run(name, func(t *testing.T) { test(t, serve(t, t.TempDir())) })
	}
}
