package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"towpath.dev/towpath/internal/image"
)

// noLogin is an error about credentials that an operator named and that cannot
// be had. No answer of a registry is behind it.
type noLogin struct{ reason, hint string }

func (e *noLogin) Error() string { return e.reason }

// login is what one source of credentials says about one image.
type login struct {
	// auth is nil when the source has nothing for the image. Secrets are only
	// ever behind a pointer: %+v of whatever holds a login shows an address.
	auth *authn.AuthConfig
	// from says where auth is from: "in /etc/docker/config.json".
	from string
	// why says why there is no auth: "/etc/docker/config.json has no entry for ghcr.io".
	why string
	// renew makes the source look again at its next use; nil: it always does.
	renew func()
}

// source is one place that credentials may come from. An error means that
// nothing else may be tried in its stead.
type source func(ctx context.Context, repo image.Repo) (login, error)

// keychains knows the credentials for each image. The first source that has
// some decides: what is said of the host (Host.Auth) and nothing else; or the
// auths of the docker config, its helpers, the pull secrets, the cloud, in this
// order. It is safe for concurrent use.
type keychains struct {
	hosts   map[string]source // by canonical host: those with an Auth of their own
	sources []source          // of all other hosts, in order
	cloud   bool              // the login of clouds is among them
	now     func() time.Time

	mu       sync.Mutex
	last     map[string]resolved // by Repo.Canonical
	versions int                 // that were given out
}

// resolved is what was last found for one image.
type resolved struct {
	auth    *authn.AuthConfig
	version int // another whenever auth is
	from    string
	why     []string // of the sources that had nothing
	renew   []func()
}

func newKeychains(c Config) *keychains {
	k := &keychains{
		hosts: map[string]source{}, last: map[string]resolved{}, now: time.Now,
		cloud: c.CloudCredentials,
	}
	clouds := newClouds(k.clock)
	if c.DockerConfig != "" {
		k.sources = append(k.sources, newDockerConfig(c.DockerConfig, k.clock).find)
	}
	if c.PullSecrets != nil {
		k.sources = append(k.sources, newPullSecrets(c.PullSecrets, k.clock).find)
	}
	if c.CloudCredentials {
		k.sources = append(k.sources, clouds.automatic)
	}
	for _, h := range c.Hosts {
		host := plainKey(h.Host)
		if _, twice := k.hosts[host]; h.Auth != nil && !twice {
			k.hosts[host] = authSource(*h.Auth, clouds, k.clock)
		}
	}
	return k
}

// clock is k.now, looked up late so that a test can move it.
func (k *keychains) clock() time.Time { return k.now() }

// resolver returns the credentials for repo, and a version that is another
// whenever they are. It may run a helper or ask a cloud, within their limits,
// when what is known is too old.
func (k *keychains) resolver(ctx context.Context, repo image.Repo) (authn.Keychain, int, error) {
	r, err := k.resolve(ctx, repo)
	if err != nil {
		return nil, 0, err
	}
	return fixed{r.auth}, r.version, nil
}

func (k *keychains) resolve(ctx context.Context, repo image.Repo) (resolved, error) {
	sources := k.sources
	if own := k.hosts[repo.Host()]; own != nil {
		sources = []source{own}
	}
	var r resolved
	for _, find := range sources {
		l, err := find(ctx, repo)
		if err != nil {
			return resolved{}, err
		}
		if l.renew != nil {
			r.renew = append(r.renew, l.renew)
		}
		if l.auth != nil {
			r.auth, r.from = l.auth, l.from
			break
		}
		if l.why != "" {
			r.why = append(r.why, l.why)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	old, known := k.last[repo.Canonical()]
	r.version = old.version
	if !known || !sameAuth(old.auth, r.auth) {
		k.versions++
		r.version = k.versions
	}
	if !known && len(k.last) >= maxSessions {
		clear(k.last) // their versions never come again
	}
	k.last[repo.Canonical()] = r
	return r, nil
}

// refused is told that a registry refused the credentials of that version (0:
// the last that were given out for repo). It looks for others, unless it did so a
// moment ago, and reports whether there are: then, and only then, a second try
// makes sense.
func (k *keychains) refused(ctx context.Context, repo image.Repo, version int) bool {
	if version == 0 {
		k.mu.Lock()
		version = k.last[repo.Canonical()].version
		k.mu.Unlock()
	}
	r, err := k.resolve(ctx, repo)
	if err != nil || r.version != version {
		return err == nil // a file changed, or another image's refusal brought news
	}
	for _, renew := range r.renew {
		renew()
	}
	r, err = k.resolve(ctx, repo)
	return err == nil && r.version != version
}

// remedy says what to do about a refusal of repo.
func (k *keychains) remedy(repo image.Repo) string {
	const check = "and check the image's name"
	host := shownHost(repo.Host())
	k.mu.Lock()
	r := k.last[repo.Canonical()]
	k.mu.Unlock()
	switch {
	case r.auth != nil:
		return fmt.Sprintf("the credentials for %s %s were not enough; renew them, %s", host, r.from, check)
	case k.hosts[repo.Host()] != nil:
		return fmt.Sprintf("%s; correct the registry's auth, %s", strings.Join(r.why, ", "), check)
	case len(r.why) == 0:
		return fmt.Sprintf("no credentials were given; name a docker config (--docker-config) with an entry for %s%s, %s", host, k.offer(repo.Host()), check)
	}
	add := fmt.Sprintf("add one (docker login %s)", host)
	return fmt.Sprintf("%s; %s%s, %s", strings.Join(r.why, ", "), add, k.offer(repo.Host()), check)
}

// offer names a cloud's own login where it would help.
func (k *keychains) offer(host string) string {
	p := providerOf(host)
	if p == "" || k.cloud {
		return ""
	}
	return fmt.Sprintf(", or allow cloud credentials (%s)", p)
}

// shownHost is the name that people know Docker Hub by.
func shownHost(host string) string {
	if host == dockerHub {
		return "docker.io"
	}
	return host
}

// fixed is the keychain of one image.
type fixed struct{ auth *authn.AuthConfig }

// Resolve implements authn.Keychain.
func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) {
	if f.auth == nil {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(*f.auth), nil
}

func sameAuth(a, b *authn.AuthConfig) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// authSource is the one way to log in that a says.
func authSource(a Auth, clouds *clouds, now func() time.Time) source {
	switch {
	case a.DockerConfigFile != "":
		return newDockerConfig(a.DockerConfigFile, now).find
	case a.TokenFile != "":
		return newTokenFile(a.TokenFile).find
	case a.UsernameFile != "" || a.PasswordFile != "":
		return newPasswordFiles(a.UsernameFile, a.PasswordFile).find
	case a.Provider == "none" || a.Provider == "":
		return func(context.Context, image.Repo) (login, error) {
			return login{why: "its auth says provider: none"}, nil
		}
	case slices.Contains(providers(), a.Provider):
		return clouds.named(a.Provider)
	}
	return func(context.Context, image.Repo) (login, error) {
		return login{}, &noLogin{fmt.Sprintf("there is no provider %q", a.Provider), "want one of " + strings.Join(providers(), ", ") + ", none"}
	}
}
