package hook_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode"

	"towpath.dev/towpath/internal/hook"
)

func TestARepositoryHasOneNameHoweverItsAddressIsWritten(t *testing.T) {
	for name, addresses := range map[string][]string{
		"github.com/shop/config": {
			"https://github.com/shop/config", "https://github.com/shop/config.git", "https://github.com/shop/config.git/",
			"http://github.com/shop/config", "HTTPS://GitHub.COM/Shop/Config.GIT", "https://github.com:443/shop/config",
			"https://github.com./shop/config", "https://github.com//shop/./config",
			"https://x-access-token:hunter2@github.com/shop/config.git", "https://github.com/shop/config?hunter2#hunter2",
			"git@github.com:shop/config.git", "git@github.com:/shop/config", "github.com:shop/config",
			"ssh://git@github.com/shop/config.git", "ssh://git@github.com:22/shop/config",
			"ssh://git@ssh.github.com:443/shop/config.git", "git://github.com/shop/config.git",
		},
		"git.example/team/sub/config": {"https://git.example:8443/team/sub/config.git", "ssh://git@git.example:2222/team/sub/config.git"},
		"git.example/~ops/config":     {"ssh://git.example/~ops/config.git", "git.example:~ops/config"},
		"git.example/srv/git/config":  {"git@git.example:/srv/git/config.git", "ops@shop@git.example:/srv/git/config"},
		"[::1]/shop/config":           {"http://[::1]:3000/shop/config.git", "git@[::1]:shop/config"},
		"127.0.0.1/shop/config":       {"http://127.0.0.1:3000/shop/config.git", "git@127.0.0.1:shop/config"},
		"file:///srv/git/Config":      {"/srv/git/Config.git", "file:///srv/git/Config.git", "file://localhost/srv/git/Config/", "/srv/git/Config/.git", "file:///srv/git/Config"},
	} {
		for _, address := range addresses {
			if got, err := hook.RepoName(address); err != nil || got != name {
				t.Errorf("%s: %q, %v, want %s", address, got, err, name)
			}
		}
	}
}

func TestWhatIsNoAddressHasNoName(t *testing.T) {
	for _, address := range []string{
		"", "shop/config", "config", ".", "../config", "https://", "https:///shop", "https://github.com", "https://github.com/.git",
		"svn://hunter2@git.example/x", "javascript://hunter2", "https://user:hunter2@git.example/%zz", "https://[hunter2/x",
		"git@git.example:", "hunter2@:x", "file://hunter2/srv/git", "file:///", "/",
		"https://git.example/a\nhunter2", "https://git.example/a%0ahunter2", "https://git.example/\xff",
		"https://git.example/" + strings.Repeat("x", hook.MaxAddress),
	} {
		got, err := hook.RepoName(address)
		if err == nil {
			t.Errorf("%q is named %q", address, got)
		}
		quotesNothing(t, err)
	}
}

// FuzzRepoName: a name is one printable line without userinfo or scheme, and the
// ways to write an address of it give it again.
func FuzzRepoName(f *testing.F) {
	for _, seed := range []string{
		"https://user:hunter2@github.com:443/Shop/config.git", "git@github.com:shop/config", "ssh://git@[::1]:22/~x/y.git/",
		"file:///srv/git/x.git", "/srv/git/x", "a@b@c:d", "[::1]:x", "https://h/%2e%2e/%2f.git.git", "x:İ.GIT", "h.:/../..",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		name, err := hook.RepoName(address)
		if err != nil {
			if name != "" || strings.ContainsAny(err.Error(), "\n\r\x1b") || len(err.Error()) > 200 {
				t.Fatalf("%q beside %q", name, err)
			}
			return
		}
		if len(name) > 3*hook.MaxAddress || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q is named %q", address, name)
		}
		if local, ok := strings.CutPrefix(name, "file://"); ok {
			same(t, name, local)
			same(t, name, (&url.URL{Scheme: "file", Path: local + ".git"}).String())
			return
		}
		host, file, ok := strings.Cut(name, "/")
		if !ok || host == "" || strings.Contains(host, "@") {
			t.Fatalf("%q is named %q", address, name)
		}
		if u, err := url.Parse("https://" + host); err != nil || u.Host != host || u.Port() != "" {
			return // the host of user@host:path may be what a URL cannot have
		}
		for _, scheme := range []string{"http", "https", "ssh", "git"} {
			same(t, name, (&url.URL{Scheme: scheme, User: url.User("git"), Host: host, Path: "/" + file + ".git"}).String())
		}
		same(t, name, "git@"+host+":"+file+".git/")
	})
}

func same(t *testing.T, name, address string) {
	t.Helper()
	if len(address) > hook.MaxAddress || strings.Count(address, "://") > 1 {
		return
	}
	if got, err := hook.RepoName(address); err != nil || got != name {
		t.Fatalf("%q is named %q (%v), want %q", address, got, err, name)
	}
}
