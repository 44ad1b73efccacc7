package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"towpath.dev/towpath/internal/image"
)

// Limits of the login of clouds.
const (
	cloudTimeout  = 5 * time.Second  // all requests of one login; metadata servers that are not there do not answer
	cloudKeep     = 10 * time.Minute // a token that does not say when it expires
	cloudPause    = 10 * time.Minute // after a failure, where nobody asked for this cloud by name
	cloudPauseOwn = time.Minute      // after a failure, where an operator did
	// amazonsOwn is where Amazon's metadata servers are besides 169.254.0.0/16.
	amazonsOwn = "fd00:ec2::/32"

	maxCloudAnswer  = 1 << 20   // bytes of one answer
	maxCloudHeaders = 256 << 10 // bytes
)

// provider logs in at one cloud for one registry. The error is in words that
// hold nothing of what the cloud or its library said but codes.
type provider func(ctx context.Context, host string) (*authn.AuthConfig, time.Time, error)

// clouds holds the logins of clouds. What they talk to is theirs: the vendors'
// own libraries find identity and endpoint from the environment of the process.
type clouds struct {
	byName map[string]provider
	now    func() time.Time

	mu     sync.Mutex
	tokens map[string]*cached[*authn.AuthConfig] // by provider, way of choosing it and host
}

func newClouds(now func() time.Time) *clouds {
	return cloudsOver(&http.Transport{
		Proxy:                  cloudProxy,
		DisableKeepAlives:      true, // a token an hour
		TLSHandshakeTimeout:    cloudTimeout,
		MaxResponseHeaderBytes: maxCloudHeaders,
	}, now)
}

// cloudsOver is newClouds with a transport of the caller's.
func cloudsOver(wire http.RoundTripper, now func() time.Time) *clouds {
	client := &http.Client{Transport: cloudWire{wire}}
	return &clouds{
		now: now, tokens: map[string]*cached[*authn.AuthConfig]{},
		byName: map[string]provider{
			"ecr":    ecrLogin{client}.login,
			"google": googleLogin{client}.login,
			"azure":  azureLogin{client}.login,
			"github": githubLogin,
		},
	}
}

func providers() []string { return []string{"ecr", "google", "azure", "github"} }

// ecrHost is the grammar of AWS for the hosts of ECR: account, endpoint with
// FIPS, region.
var ecrHost = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr(-fips)?\.([a-z0-9][a-z0-9-]*)\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn))$`)

const (
	ecrPublicHost = "public.ecr.aws"
	githubHost    = "ghcr.io"
)

// providerOf names the cloud a host belongs to; "" for none. Every host it
// names is run by that cloud's vendor: a credential chosen by a name that
// somebody wrote into a policy must not reach anybody else.
func providerOf(host string) string {
	switch {
	case host == ecrPublicHost || ecrHost.MatchString(host):
		return "ecr"
	case host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev"):
		return "google"
	case strings.HasSuffix(host, ".azurecr.io") || strings.HasSuffix(host, ".azurecr.cn") || strings.HasSuffix(host, ".azurecr.us"):
		return "azure"
	case host == githubHost:
		return "github"
	}
	return ""
}

// named is the source of a host for which an operator named the provider: when
// it fails, nothing is tried in its stead.
func (c *clouds) named(provider string) source {
	return func(ctx context.Context, repo image.Repo) (login, error) {
		l, err := c.find(ctx, provider, repo.Host(), cloudPauseOwn)
		switch {
		case err != nil && ctx.Err() != nil:
			return login{}, err
		case err != nil:
			return login{}, &noLogin{
				fmt.Sprintf("provider %s gave no credentials for %s: %s", provider, repo.Host(), oneLine(err)),
				"check the identity that this process runs with",
			}
		}
		return l, nil
	}
}

// automatic is the source that chooses the provider by the host. A failure is no
// reason not to ask the registry; a refusal tells of it.
func (c *clouds) automatic(ctx context.Context, repo image.Repo) (login, error) {
	provider := providerOf(repo.Host())
	if provider == "" {
		return login{}, nil
	}
	l, err := c.find(ctx, provider, repo.Host(), cloudPause)
	switch {
	case err != nil && ctx.Err() != nil:
		return login{}, err
	case err != nil:
		l.why = fmt.Sprintf("provider %s gave no credentials for %s: %s", provider, repo.Host(), oneLine(err))
	}
	return l, nil
}

func (c *clouds) find(ctx context.Context, provider, host string, pause time.Duration) (login, error) {
	token := c.token(provider, host, pause)
	l := login{from: "of provider " + provider, renew: token.renew}
	var err error
	l.auth, err = token.get(ctx)
	return l, err
}

func (c *clouds) token(provider, host string, pause time.Duration) *cached[*authn.AuthConfig] {
	key := fmt.Sprintf("%s %s %s", provider, pause, host)
	if provider == "google" {
		key = fmt.Sprintf("%s %s", provider, pause) // one for all its hosts
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tokens[key]
	if t == nil {
		if len(c.tokens) >= maxHosts {
			clear(c.tokens)
		}
		login := c.byName[provider]
		t = newCached(cached[*authn.AuthConfig]{
			fetch: func(ctx context.Context) (*authn.AuthConfig, time.Time, error) { return login(ctx, host) },
			now:   c.now, limit: cloudTimeout, keep: cloudKeep, pause: pause,
		})
		c.tokens[key] = t
	}
	return t
}

// cloudProxy is the proxy of the environment, but for metadata servers: they are
// on this very machine's link, and what they hand out is for nobody else.
func cloudProxy(req *http.Request) (*url.URL, error) {
	if isMetadata(req.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(req)
}

func isMetadata(host string) bool {
	if host == googleMetadata {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.IsLinkLocalUnicast() || netip.MustParsePrefix(amazonsOwn).Contains(addr))
}

// cloudWire bounds the answers that the vendors' libraries read.
type cloudWire struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w cloudWire) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxCloudAnswer), resp.Body}
	}
	return resp, err
}

// vendorSays makes words of a vendor's error that repeat nothing but a code: its
// text may hold a request with a secret in it. otherwise is said when there is none.
func vendorSays(err error, otherwise string) error {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) && codeGrammar.MatchString(coded.ErrorCode()) {
		return fmt.Errorf("refused with %s", coded.ErrorCode())
	}
	var status interface{ HTTPStatusCode() int }
	if errors.As(err, &status) && status.HTTPStatusCode() > 0 {
		return fmt.Errorf("refused with %d %s", status.HTTPStatusCode(), http.StatusText(status.HTTPStatusCode()))
	}
	return errors.New(otherwise)
}

var codeGrammar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
