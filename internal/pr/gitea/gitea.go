// Package gitea speaks to Gitea and Forgejo as a forge of pull requests. Floor 1: it knows the values of
// package pr, and neither Git nor what the pull requests are for. Only here is Gitea's own client
// imported, and no type of it leaves the package.
//
// A look at a repository in which nothing changed costs one request: the pull requests that changed last,
// which these servers list by the second of the change. Details are read of what changed only. Versions
// are never compared: what an older server or a Forgejo does not have shows in its answers.
//
// The package waits only where the server asks for another try at once, and then for ten seconds at most.
// It must not follow a redirect, so credentials reach no other host.
package gitea

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"towpath.dev/towpath/internal/pr"
)

const (
	userAgent = "towpath"
	// pageSize is how many things one page of an answer is asked to hold; a server may give fewer.
	pageSize = 50
	// maxPages bounds every walk over pages.
	maxPages = 50
)

// Config says which repository is meant and who we are there. URL, Repo and Token are required.
type Config struct {
	URL   string // the server's root: https://git.example.com
	Repo  string // owner/name
	Token func(ctx context.Context) (string, error)
	// Transport is what connects: proxy, certificates. nil: a clone of http.DefaultTransport.
	Transport *http.Transport
	Now       func() time.Time // nil: time.Now
	Logger    *slog.Logger     // nil: discard
	Method    pr.Method        // of merges that ask for none; "": squash where it is allowed
	Prefix    string           // of our branches; "": towpath/
}

// Forge is a repository of a Gitea or Forgejo. Its methods may be called by many at once.
type Forge struct {
	cfg         Config
	owner, name string
	user        string
	transport   *transport
	http        *http.Client
	perPage     int // what the server gives at most, pageSize at most

	ensuring sync.Mutex // one Ensure at a time: two of one branch would both open
	// commenting: one comment on a pull request at a time.
	commenting [16]sync.Mutex
	scanning   sync.Mutex // one scan at a time
	seen       scanState  // guarded by scanning

	mu        sync.Mutex
	known     map[int]*entry       // by number
	uncertain map[int][]string     // comments that may or may not have been written, by number
	may       map[string]mayAnswer // by lower-case name
}

// Open finds out who we are and that the repository can be read.
func Open(ctx context.Context, c Config) (*Forge, error) {
	f, err := newForge(c)
	if err != nil {
		return nil, err
	}
	if err := f.greet(ctx); err != nil {
		f.Disconnect()
		return nil, fmt.Errorf("open %s at %s: %w", c.Repo, shownURL(c.URL), err)
	}
	return f, nil
}

func newForge(c Config) (*Forge, error) {
	owner, name, ok := strings.Cut(c.Repo, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("repository %q of Gitea: want owner/name", c.Repo)
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("URL of Gitea: want the server's root, https://git.example.com")
	}
	if c.Token == nil {
		return nil, errors.New("repository of Gitea: want a token")
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	c.URL = strings.TrimSuffix(u.String(), "/")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Prefix == "" {
		c.Prefix = "towpath/"
	}
	t := newTransport(c.Transport, c.Now)
	return &Forge{
		cfg: c, owner: owner, name: name, transport: t, perPage: pageSize,
		http:      &http.Client{Transport: t},
		known:     map[int]*entry{},
		uncertain: map[int][]string{},
		may:       map[string]mayAnswer{},
	}, nil
}

// greet learns our name, and what the server says of its pages.
func (f *Forge) greet(ctx context.Context) error {
	c, err := f.client(ctx)
	if err != nil {
		return err
	}
	me, _, err := c.GetMyUserInfo()
	if err != nil {
		return plain(err)
	}
	if f.user = me.UserName; f.user == "" {
		return errors.New("the server does not say who we are; is it a Gitea or Forgejo?")
	}
	if _, _, err := c.GetRepo(f.owner, f.name); err != nil {
		return plain(err)
	}
	if s, _, err := c.GetGlobalAPISettings(); err == nil && s.MaxResponseItems > 0 {
		f.perPage = min(pageSize, s.MaxResponseItems)
	}
	return nil
}

// Disconnect ends idle connections. The Forge must not be used after it.
func (f *Forge) Disconnect() { f.transport.base.CloseIdleConnections() }

// User is our name at the server.
func (f *Forge) User() string { return f.user }

// Authenticated reports true: the server proves who reviewed.
func (f *Forge) Authenticated() bool { return true }

// Figures counts what was asked of the server.
func (f *Forge) Figures() Figures { return f.transport.figures() }

// client is the vendor's, with the token of this moment. It is made for each operation, because it
// carries the context, and makes no request of its own: the server's version is not asked.
func (f *Forge) client(ctx context.Context) (*sdk.Client, error) {
	token, err := f.cfg.Token(ctx)
	if err != nil {
		return nil, err
	}
	return sdk.NewClient(f.cfg.URL, sdk.SetGiteaVersion(""), sdk.SetContext(ctx), sdk.SetToken(token),
		sdk.SetHTTPClient(f.http), sdk.SetUserAgent(userAgent))
}

// ours reports whether a name is our own; the server does not tell upper from lower case in names.
func (f *Forge) ours(u *sdk.User) bool { return u != nil && strings.EqualFold(u.UserName, f.user) }

// shownURL is a URL without what may be a password.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "the forge's URL"
	}
	u.User = nil
	return u.String()
}
