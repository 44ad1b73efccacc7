package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"towpath.dev/towpath/internal/pr"
)

const (
	tokenReserve = 5 * time.Minute  // before its end a token is not used any more
	mintTimeout  = 60 * time.Second // all requests for one token together
)

// AppConfig names a GitHub App and where it is installed. URL, Repo, ID and KeyFile are required.
type AppConfig struct {
	URL  string // as in Config
	Repo string // owner/name
	ID   string // the App's ID or its client ID
	// KeyFile holds the App's private key (RSA, PEM, PKCS #1 or PKCS #8), read for each new token.
	KeyFile string
	// Installation is the ID of the App's installation for the repository; 0: it is asked for.
	Installation int64
	Transport    *http.Transport  // as in Config
	Now          func() time.Time // nil: time.Now
	API          string           // as in Config
}

// App gets tokens for a GitHub App: for one repository, with only those of the App's permissions that
// Towpath uses. The token serves Git over https, too, for any user name (GitHub suggests x-access-token).
// Its methods may be called by many at once.
type App struct {
	cfg         AppConfig
	owner, name string
	api         *url.URL
	client      *http.Client
	flight      singleflight.Group

	mu      sync.Mutex // guards what follows
	current grant
	skew    time.Duration // how far GitHub's clock is ahead of ours
	until   time.Time     // nothing is asked before
}

// grant is a token and what comes with it.
type grant struct {
	token       string
	expires     time.Time // by GitHub's clock
	slug        string
	id          int64             // of the App; required checks name it
	permissions map[string]string // of the token
	installed   map[string]string // of the installation
}

// NewApp checks the configuration; nothing is asked and the key is not read yet.
func NewApp(c AppConfig) (*App, error) {
	owner, name, err := splitRepo(c.Repo)
	if err != nil {
		return nil, err
	}
	if c.ID == "" || c.KeyFile == "" {
		return nil, errors.New("GitHub App: want its ID and the file of its private key")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Transport == nil {
		c.Transport = defaultTransport()
	}
	api, _, err := endpoints(Config{URL: c.URL, API: c.API})
	if err != nil {
		return nil, err
	}
	a := &App{cfg: c, owner: owner, name: name, api: api}
	a.client = &http.Client{Transport: c.Transport, Timeout: requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return a, nil
}

func defaultTransport() *http.Transport {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment}
}

func splitRepo(repo string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(repo, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("repository %q of GitHub: want owner/name", repo)
	}
	return owner, name, nil
}

// String names the App and hides its token from every log.
func (a *App) String() string { return "GitHub App " + a.cfg.ID }

// GoString hides the token as String does.
func (a *App) GoString() string { return a.String() }

// Token returns a token that is valid for five minutes at least, a new one where needed; many callers at
// once share one request.
func (a *App) Token(ctx context.Context) (string, error) {
	g, err := a.grant(ctx)
	return g.token, err
}

// Close frees the connections; the App may be used again.
func (a *App) Close() { a.cfg.Transport.CloseIdleConnections() }

// bind checks that the App's tokens are for the repository of c.
func (a *App) bind(c Config, api *url.URL) error {
	if !strings.EqualFold(a.cfg.Repo, c.Repo) || a.api.String() != api.String() {
		return fmt.Errorf("%s gets tokens for %s at %s, not for %s at %s", a, a.cfg.Repo, a.api.Host, c.Repo, api.Host)
	}
	return nil
}

// Refused says that GitHub refused a token; the next call of Token gets a new one. A token that is not the
// current one any more is nobody's loss.
func (a *App) Refused(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current.token == token {
		a.current.token = ""
	}
}

// grant is the current token, or a new one.
func (a *App) grant(ctx context.Context) (grant, error) {
	if g, ok := a.held(); ok {
		return g, nil
	}
	// The request must not end with the first of its callers, so its time is its own.
	ch := a.flight.DoChan("", func() (any, error) {
		if g, ok := a.held(); ok { // the flight before this one brought it
			return g, nil
		}
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), mintTimeout, errors.New("GitHub gave no token in time"))
		defer cancel()
		return a.mint(ctx)
	})
	select {
	case <-ctx.Done():
		return grant{}, ctx.Err()
	case r := <-ch:
		g, _ := r.Val.(grant)
		if r.Err != nil {
			return grant{}, fmt.Errorf("get a token for %s: %w", a, r.Err)
		}
		return g, nil
	}
}

func (a *App) held() (grant, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := a.current.expires.Sub(a.cfg.Now().Add(a.skew))
	return a.current, a.current.token != "" && left > tokenReserve
}

// wanted are the permissions that Towpath has a use for, each with what for; what is optional is not
// missed by most.
func wanted() []permission {
	return []permission{
		{"contents", "write", ""},
		{"pull_requests", "write", ""},
		{"statuses", "write", ""},
		{"issues", "write", "to make labels that are not there yet"},
		{"checks", "read", "to read the checks of others"},
		{"deployments", "write", "to show environments on GitHub's pages"},
		{"merge_queues", "write", "for a base branch with a merge queue"},
		{"members", "read", "for approvals of teams"},
		{"administration", "read", "to read the protection of branches"},
	}
}

// permission is one of an App's, in the words of GitHub's interface.
type permission struct{ area, level, optional string }

// String is the permission in the words of GitHub's pages: "Pull requests: write".
func (p permission) String() string {
	words := strings.ReplaceAll(p.area, "_", " ")
	if p.area == "statuses" {
		words = "commit statuses"
	}
	return strings.ToUpper(words[:1]) + words[1:] + ": " + p.level
}

// within reports whether granted permissions hold p.
func (p permission) within(granted map[string]string) bool {
	has := granted[p.area]
	return has == p.level || has == "admin" || has == "write"
}

// mint asks for the installation and then for its token. A JWT that is refused while the clocks differ is
// made anew by GitHub's clock, once.
func (a *App) mint(ctx context.Context) (grant, error) {
	var installation struct {
		ID          int64             `json:"id"`
		AppID       int64             `json:"app_id"`
		AppSlug     string            `json:"app_slug"`
		Permissions map[string]string `json:"permissions"`
		Suspended   *string           `json:"suspended_at"`
	}
	path := "repos/" + url.PathEscape(a.owner) + "/" + url.PathEscape(a.name) + "/installation"
	if a.cfg.Installation != 0 {
		path = "app/installations/" + strconv.FormatInt(a.cfg.Installation, 10)
	}
	err := a.ask(ctx, http.MethodGet, path, nil, &installation)
	if errors.Is(err, errClock) {
		err = a.ask(ctx, http.MethodGet, path, nil, &installation)
	}
	switch {
	case status(err) == http.StatusNotFound:
		return grant{}, fmt.Errorf("it is not installed for %s/%s; install it there: %w", a.owner, a.name, err)
	case err != nil:
		return grant{}, err
	case installation.Suspended != nil:
		return grant{}, fmt.Errorf("its installation for %s is suspended: %w", a.owner, pr.ErrUnauthorized)
	}
	g := grant{slug: installation.AppSlug, id: installation.AppID, installed: installation.Permissions, permissions: map[string]string{}}
	for _, p := range append(wanted(), permission{"metadata", "read", ""}) {
		if has := g.installed[p.area]; has == "read" && p.level == "write" {
			g.permissions[p.area] = "read"
		} else if p.within(g.installed) {
			g.permissions[p.area] = p.level
		}
	}
	var made struct {
		Token       string            `json:"token"`
		Expires     time.Time         `json:"expires_at"`
		Permissions map[string]string `json:"permissions"`
	}
	body := map[string]any{"repositories": []string{a.name}, "permissions": g.permissions}
	path = fmt.Sprintf("app/installations/%d/access_tokens", installation.ID)
	if err := a.ask(ctx, http.MethodPost, path, body, &made); err != nil {
		return grant{}, err
	}
	if made.Token == "" || made.Expires.IsZero() {
		return grant{}, errors.New("GitHub's answer holds no token")
	}
	g.token, g.expires = made.Token, made.Expires
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current = g
	return g, nil
}

// user is the login that the App acts by.
func (a *App) user(ctx context.Context, _ *Forge) (string, error) {
	g, err := a.grant(ctx)
	if err != nil {
		return "", err
	}
	if g.slug == "" {
		return "", fmt.Errorf("%s: GitHub did not say its name", a)
	}
	return g.slug + "[bot]", nil
}

// granted are the permissions of the installation.
func (a *App) granted(ctx context.Context) (map[string]string, error) {
	g, err := a.grant(ctx)
	return maps.Clone(g.installed), err
}
