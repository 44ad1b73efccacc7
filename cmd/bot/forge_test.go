package main

import (
	"strings"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
)

func TestATokenIsLentToTheVeryServerItIsForOnly(t *testing.T) {
	for name, c := range map[string]struct {
		repo, forge string
		auth        gitrepo.Auth
		want        string
	}{
		"the same server":                  {"https://git.example/shop/config", "https://git.example", gitrepo.Auth{}, "token"},
		"the same server below a path":     {"https://git.example/forge/shop/config", "https://git.example/forge", gitrepo.Auth{}, "token"},
		"another server":                   {"https://other.example/shop/config", "https://git.example", gitrepo.Auth{}, ""},
		"another port":                     {"https://git.example:8443/shop/config", "https://git.example", gitrepo.Auth{}, ""},
		"the same server, not encrypted":   {"http://git.example/shop/config", "https://git.example", gitrepo.Auth{}, ""},
		"a URL with a login of its own":    {"https://me@git.example/shop/config", "https://git.example", gitrepo.Auth{}, ""},
		"ssh":                              {"ssh://git@git.example/shop/config", "https://git.example", gitrepo.Auth{}, ""},
		"a path":                           {"/srv/config.git", "https://git.example", gitrepo.Auth{}, ""},
		"where a password is given":        {"https://git.example/shop/config", "https://git.example", gitrepo.Auth{PasswordFile: "mine"}, "mine"},
		"where a bearer token is given":    {"https://git.example/shop/config", "https://git.example", gitrepo.Auth{BearerTokenFile: "mine"}, ""},
		"a host that only begins the same": {"https://git.example.evil/shop/config", "https://git.example", gitrepo.Auth{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := forgeFlags{wanted: true, kind: forgeGitea, url: c.forge, tokenFile: "token"}
			f.lend(c.repo, &c.auth)
			if c.auth.PasswordFile != c.want {
				t.Errorf("the password file is %q, want %q", c.auth.PasswordFile, c.want)
			}
		})
	}
}

func TestWhichForgeIsMeant(t *testing.T) {
	t.Setenv("TOWPATH_FORGE", "")
	for name, c := range map[string]struct {
		repo string
		in   forgeFlags
		kind string
		url  string
		name string
		err  string
	}{
		"a path":                       {repo: "/srv/config.git", kind: forgeLocal},
		"github.com over https":        {repo: "https://github.com/Shop/config.git", in: forgeFlags{tokenFile: "t"}, kind: forgeGitHub, url: "https://github.com", name: "Shop/config"},
		"github.com over ssh":          {repo: "git@github.com:Shop/config.git", in: forgeFlags{tokenFile: "t"}, kind: forgeGitHub, url: "https://github.com", name: "Shop/config"},
		"github.com without a token":   {repo: "https://github.com/shop/config", err: "give --forge-token-file"},
		"another server":               {repo: "https://git.example/shop/config", kind: forgeLocal},
		"Gitea below a path":           {repo: "https://git.example/forge/shop/config.git", in: forgeFlags{kind: forgeGitea, url: "https://git.example/forge", tokenFile: "t"}, kind: forgeGitea, url: "https://git.example/forge", name: "shop/config"},
		"Gitea of a path":              {repo: "/srv/config.git", in: forgeFlags{kind: forgeGitea, tokenFile: "t"}, err: "names no server"},
		"no owner":                     {repo: "https://git.example/config", in: forgeFlags{kind: forgeGitea, tokenFile: "t"}, err: "want OWNER/NAME"},
		"flags of a forge without one": {repo: "/srv/config.git", in: forgeFlags{tokenFile: "t"}, err: "need --forge github or --forge gitea"},
		"an unknown forge":             {repo: "/srv/config.git", in: forgeFlags{kind: "gitlab"}, err: "knows local, github and gitea"},
		"an unknown method":            {repo: "https://github.com/a/b", in: forgeFlags{tokenFile: "t", method: "octopus"}, err: "want squash, merge or rebase"},
		"half an App":                  {repo: "https://github.com/a/b", in: forgeFlags{appID: "1"}, err: "needs both"},
		"an App at Gitea":              {repo: "https://git.example/a/b", in: forgeFlags{kind: forgeGitea, appID: "1", appKey: "k"}, err: "need --forge github"},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.in
			f.wanted = true
			err := f.check(c.repo)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || f.kind != c.kind || f.url != c.url || f.repo != c.name {
				t.Errorf("got %s %s %s, %v", f.kind, f.url, f.repo, err)
			}
		})
	}
}
