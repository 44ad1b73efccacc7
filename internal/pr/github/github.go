// Package github speaks to GitHub and GitHub Enterprise Server as a forge of pull requests. Floor 1: it
// knows the values of package pr, and neither Git nor what the pull requests are for. Only here is go-github
// imported, and no type of it leaves the package.
//
// An idle look costs one request, which GitHub answers 304 and does not count. Nothing is asked while
// GitHub asks to be left alone: every call returns *pr.LimitError until then. The package waits only
// between two writes, never for a limit, and it must never send credentials to another host.
package github

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"

	"towpath.dev/towpath/internal/pr"
)

// Config says which repository is meant and who we are there. URL, Repo and one of Token and App are
// required.
type Config struct {
	URL   string // https://github.com, or the root of a GitHub Enterprise Server
	Repo  string // owner/name
	Token func(ctx context.Context) (string, error)
	App   *App // instead of Token
	// Transport is what connects: proxy, certificates. nil: a clone of http.DefaultTransport.
	Transport *http.Transport
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: discard
	Method    pr.Method        // of merges that ask for none; "": squash where it is allowed
	Prefix    string           // of our branches; "": towpath/
	// AutoMerge asks GitHub to merge by itself what its rules do not let be merged yet, where the
	// repository allows that.
	AutoMerge bool
	// Pace is the time between two writes; 0: a second, as GitHub asks for.
	Pace time.Duration
	// Floor is how many requests of the hour are left to others: below it nothing is sent until the
	// hour is over. 0: 500, or a tenth of the limit where that is less; -1: none.
	Floor int
	// API is the root of the REST interface where it is not what URL says, for tests.
	API string

	// around stands between us and Transport, for tests; nil: nothing.
	around func(http.RoundTripper) http.RoundTripper
	// pause stands in for waiting until GitHub knows more, for tests; nil: time itself.
	pause func(ctx context.Context, d time.Duration) error
}

// Forge is a repository of GitHub. Its methods may be called by many at once.
type Forge struct {
	cfg         Config
	owner, name string
	user        string // our login: "name", or "slug[bot]"
	client      *gh.Client
	graphqlURL  string
	transport   *transport
	writing     chan struct{} // held by who writes what must be there once
	memory
	views
}

// Open finds out who we are and that the repository can be read.
func Open(ctx context.Context, c Config) (*Forge, error) {
	f, err := newForge(c)
	if err != nil {
		return nil, err
	}
	if f.user, err = f.whoami(ctx); err == nil {
		err = f.find(ctx)
	}
	if err != nil {
		f.Disconnect()
		return nil, err
	}
	return f, nil
}

// find looks whether the repository is there. Under the name that it has now requests need no redirect.
func (f *Forge) find(ctx context.Context) error {
	r, _, err := f.repository(ctx)
	switch {
	case errors.Is(err, pr.ErrNotFound):
		return fmt.Errorf("repository %s at GitHub: it is not there, or %s may not read it: %w", f.cfg.Repo, f.user, err)
	case err != nil:
		return fmt.Errorf("repository %s at GitHub: %w", f.cfg.Repo, err)
	}
	owner, name, err := splitRepo(r.FullName)
	if err == nil && !strings.EqualFold(r.FullName, f.cfg.Repo) {
		f.cfg.Logger.Warn("the repository has another name now; give that", "repo", f.cfg.Repo, "now", r.FullName)
		f.owner, f.name = owner, name
	}
	return nil
}

func newForge(c Config) (*Forge, error) {
	owner, name, ok := strings.Cut(c.Repo, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("repository %q of GitHub: want owner/name", c.Repo)
	}
	if (c.Token == nil) == (c.App == nil) {
		return nil, errors.New("repository of GitHub: want either a token or an App")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Prefix == "" {
		c.Prefix = "towpath/"
	}
	api, graphqlURL, err := endpoints(c)
	if err != nil {
		return nil, err
	}
	if c.App != nil {
		if err := c.App.bind(c, api); err != nil {
			return nil, err
		}
	}
	f := &Forge{cfg: c, owner: owner, name: name, graphqlURL: graphqlURL, transport: newTransport(c, api), writing: make(chan struct{}, 1)}
	f.client = gh.NewClient(&http.Client{Transport: f.transport, CheckRedirect: f.transport.redirect})
	f.client.BaseURL = api
	f.client.UserAgent = userAgent
	return f, nil
}

// endpoints are the roots of REST, with a slash at the end, and of GraphQL.
func endpoints(c Config) (api *url.URL, graphql string, err error) {
	root := c.API
	if root == "" {
		u, err := url.Parse(c.URL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, "", errors.New("URL of GitHub: want https://github.com or the root of a GitHub Enterprise Server")
		}
		switch host := strings.ToLower(u.Host); host {
		case "github.com", "www.github.com", "api.github.com":
			root = "https://api.github.com/"
		default:
			if strings.HasSuffix(host, ".ghe.com") { // GitHub Enterprise Cloud with data residency
				root = "https://api." + strings.TrimPrefix(host, "api.") + "/"
				break
			}
			root = u.Scheme + "://" + u.Host + "/api/v3/"
		}
	}
	api, err = url.Parse(strings.TrimSuffix(root, "/") + "/")
	if err != nil || api.Host == "" {
		return nil, "", errors.New("URL of GitHub's interface cannot be read")
	}
	api.User = nil
	g := *api
	if path, ok := strings.CutSuffix(api.Path, "/api/v3/"); ok {
		g.Path = path + "/api/graphql"
	} else {
		g.Path += "graphql"
	}
	return api, g.String(), nil
}

// User is our name at GitHub, known since Open: a login, or an App's "slug[bot]".
func (f *Forge) User() string { return f.user }

// Authenticated implements promote.Forge: GitHub proves who wrote a review.
func (f *Forge) Authenticated() bool { return true }

// Disconnect frees the connections; the Forge may be used again.
func (f *Forge) Disconnect() { f.transport.close() }

// repoPath is a path below the repository: "repos/owner/name/…", with every argument escaped.
func (f *Forge) repoPath(format string, args ...any) string {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = url.PathEscape(s)
		}
	}
	return "repos/" + url.PathEscape(f.owner) + "/" + url.PathEscape(f.name) + "/" + fmt.Sprintf(format, args...)
}

// whoami asks for our login.
func (f *Forge) whoami(ctx context.Context) (string, error) {
	if f.cfg.App != nil {
		return f.cfg.App.user(ctx, f)
	}
	var me struct {
		Login string `json:"login"`
		Email string `json:"email"`
	}
	if _, err := f.do(ctx, http.MethodGet, "user", nil, &me); err != nil {
		return "", fmt.Errorf("ask GitHub who we are: %w", err)
	}
	f.email = me.Email
	return me.Login, nil
}
