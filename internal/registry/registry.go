// Package registry asks image registries two things: which tags an image has,
// and which digest a tag names. Floor 1. It is the only importer of
// go-containerregistry. An answer is whole or an error: a listing is never
// partial, never endless and never larger than its limits, whatever a registry
// sends. It chooses nothing and keeps no tags.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"towpath.dev/towpath/internal/image"
)

// Limits when Config has none.
const (
	DefaultMaxPages = 1000             // answers of one listing
	DefaultMaxTags  = 200_000          // tags of one listing
	DefaultMaxBody  = 16 << 20         // bytes of one answer, decompressed, and of all tags of one listing
	DefaultTimeout  = 60 * time.Second // one Tags or Digest, all its requests together
)

const (
	// pageSize is what is asked for; ECR refuses more than 1000.
	pageSize = 1000
	// spareRequests is what one call may send beside its pages: ping, token,
	// redirects, a second try with GET.
	spareRequests = 20
)

// Errors callers branch on. Each comes wrapped in one line that names the
// registry, the image and what to do.
var (
	ErrUnauthorized = errors.New("access refused")
	ErrNotFound     = errors.New("not found")
	ErrUnavailable  = errors.New("registry unavailable") // passes by itself: try again later
	ErrBadAnswer    = errors.New("registry answered wrongly")
)

// Config describes a Client. The zero Config is anonymous, with the default
// limits, over https only, to public addresses only.
type Config struct {
	// DockerConfig is the path of a docker config.json (`docker login` writes
	// it). It is read again when it changes; "" means anonymous. Credential
	// helpers in it are not run.
	DockerConfig string
	// Hosts are what is said of single registries; the first of two with one
	// name counts. LoadHosts reads and checks them.
	Hosts []Host
	// InsecureHosts are the registries (host:port) spoken to in plain http, and
	// only in plain http, on whatever address: short for a Host with PlainHTTP
	// and PrivateNetwork. No other registry ever is, loopback included.
	InsecureHosts []string
	// AllowNetworks are addresses that any registry may lead to although they are
	// private, loopback or link-local.
	AllowNetworks []netip.Prefix
	// PullSecrets returns the contents of kubernetes.io/dockerconfigjson secrets;
	// nil: there are none.
	PullSecrets func(ctx context.Context) ([][]byte, error)
	MaxPages      int           // answers of one listing; 0: DefaultMaxPages
	MaxTags       int           // tags of one listing; 0: DefaultMaxTags
	MaxBody       int64         // bytes of one answer; 0: DefaultMaxBody
	Timeout       time.Duration // of one Tags or Digest; 0: DefaultTimeout
	// Transport is what lies below all limits, and where a test counts
	// requests; nil: one of the Client's own.
	Transport http.RoundTripper
}

// Client asks registries. It may be used from many goroutines. It asks each
// host once how to log in, and fetches one token per image, until they expire,
// are refused, or the docker config changes.
type Client struct {
	c        Config
	insecure map[string]bool // by host:port
	keys     *keychain
	wire     *wire

	mu       sync.Mutex
	held     map[string]time.Time      // by host: not asked before then
	version  int                       // of keys, that the sessions were made with
	sessions map[string]*remote.Puller // by Repo.Canonical
}

// New returns a Client. It connects to nothing.
func New(c Config) *Client {
	if c.MaxPages <= 0 {
		c.MaxPages = DefaultMaxPages
	}
	if c.MaxTags <= 0 {
		c.MaxTags = DefaultMaxTags
	}
	if c.MaxBody <= 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	insecure := map[string]bool{}
	for _, h := range c.InsecureHosts {
		insecure[h] = true
	}
	return &Client{
		c:        c,
		insecure: insecure,
		keys:     &keychain{path: c.DockerConfig},
		wire:     newWire(c.Transport, insecure, c.MaxBody),
		sessions: map[string]*remote.Puller{},
		held:     map[string]time.Time{},
	}
}

// Close drops idle connections. The Client stays usable.
func (c *Client) Close() { c.wire.closeIdle() }

// Tags returns every tag of repo, as the registry wrote and ordered them, which
// includes strings that are no tag. It returns all of them or an error. Each
// call is a listing; a caller with many policies on one image groups them by
// Repo.Canonical.
func (c *Client) Tags(ctx context.Context, repo image.Repo) ([]string, error) {
	call, done := c.begin(ctx, "list tags of "+repo.String(), repo, c.c.MaxPages)
	defer done()
	puller, where, err := c.session(repo)
	if err != nil {
		return nil, call.fail(err)
	}
	tags, err := c.list(call.ctx, puller, where)
	if err != nil {
		return nil, call.fail(err)
	}
	return tags, nil
}

// Listing is what a registry answered to one List; it may be kept on disk and
// given to the next.
type Listing struct {
	// Tags are all tags, as the registry wrote and ordered them, which includes
	// strings that are no tag.
	Tags []string `json:"tags"`
	// Pages are the answers they came in.
	Pages []Page `json:"pages,omitempty"`
	// Unchanged: the registry said so of every page; Tags are those of the last
	// listing.
	Unchanged bool `json:"-"`
}

// Page is one answer of a Listing.
type Page struct {
	ETag string `json:"etag,omitempty"`
	Next string `json:"next,omitempty"` // URL of the page after it
	Tags int    `json:"tags"`           // how many of Listing.Tags it holds
}

// List returns every tag of repo, or an error. last is an earlier answer (zero:
// none): what did not change since costs no body where the registry gave an
// ETag.
func (c *Client) List(ctx context.Context, repo image.Repo, last Listing) (Listing, error) {
	tags, err := c.Tags(ctx, repo)
	if err != nil {
		return Listing{}, err
	}
	return Listing{Tags: tags, Pages: []Page{{Tags: len(tags)}}}, nil
}

// Platforms returns what the image with digest d was built for, sorted and
// without doubles. It costs one GET of the manifest, and for an image that is
// no index one more for its config.
func (c *Client) Platforms(ctx context.Context, repo image.Repo, d image.Digest) ([]image.Platform, error) {
	call, done := c.begin(ctx, "read platforms of "+repo.String()+"@"+string(d), repo, 0)
	defer done()
	puller, where, err := c.session(repo)
	if err != nil {
		return nil, call.fail(err)
	}
	got, err := puller.Get(call.ctx, where.Digest(string(d)))
	if err != nil {
		return nil, call.fail(err)
	}
	if got.MediaType.IsIndex() {
		var index struct {
			Manifests []struct {
				Platform struct{ OS, Architecture, Variant string }
			}
		}
		if err := json.Unmarshal(got.Manifest, &index); err != nil {
			return nil, call.fail(bad("its index cannot be read"))
		}
		found := []image.Platform{}
		for _, m := range index.Manifests {
			if m.Platform.OS != "" && m.Platform.OS != "unknown" {
				found = append(found, image.Platform(m.Platform))
			}
		}
		return found, nil
	}
	img, err := got.Image()
	if err != nil {
		return nil, call.fail(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, call.fail(err)
	}
	return []image.Platform{{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}}, nil
}

// RetryAt is when the registry said that it may be asked again; zero: it did
// not.
func RetryAt(err error) time.Time {
	var r *resting
	if errors.As(err, &r) && r.told {
		return r.until
	}
	return time.Time{}
}

// resting is a host that is left alone for a while.
type resting struct {
	until time.Time
	told  bool // by the registry
}

func (r *resting) Error() string {
	return "left alone until " + r.until.UTC().Format(time.RFC3339)
}

// Hold keeps host unasked until then, which a registry asked for before a
// restart. Calls that need it fail at once with ErrUnavailable.
func (c *Client) Hold(host string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[host] = until
}

func (c *Client) list(ctx context.Context, puller *remote.Puller, where name.Repository) ([]string, error) {
	lister, err := puller.Lister(ctx, where)
	if err != nil {
		return nil, err
	}
	tags := []string{}
	size := int64(0)
	seen := map[string]bool{}
	for pages := 1; lister.HasNext(); pages++ {
		page, err := lister.Next(ctx)
		if err != nil {
			return nil, err
		}
		tags = append(tags, page.Tags...)
		for _, t := range page.Tags {
			size += int64(len(t))
		}
		switch {
		case len(tags) > c.c.MaxTags:
			return nil, bad("the image has more than %d tags", c.c.MaxTags)
		case size > c.c.MaxBody:
			return nil, bad("its tags are more than %d bytes", c.c.MaxBody)
		case seen[page.Next]:
			return nil, bad("its list of tags leads in a circle")
		case page.Next != "" && pages >= c.c.MaxPages:
			return nil, bad("its list of tags has more than %d pages", c.c.MaxPages)
		}
		if page.Next != "" {
			seen[page.Next] = true
		}
	}
	return tags, nil
}

// Digest returns the digest that ref's tag names now (of the index, for an
// image of many platforms). A ref without a tag is looked up by its digest,
// which proves that it is still there. It costs one HEAD request, and a GET
// only where the registry's answer to HEAD is of no use.
func (c *Client) Digest(ctx context.Context, ref image.Ref) (image.Digest, error) {
	call, done := c.begin(ctx, "resolve "+ref.String(), ref.Repo, 0)
	defer done()
	puller, where, err := c.session(ref.Repo)
	if err != nil {
		return "", call.fail(err)
	}
	var what name.Reference = where.Tag(string(ref.Tag))
	if ref.Tag == "" {
		what = where.Digest(string(ref.Digest))
	}
	found, err := head(call.ctx, puller, what)
	if err != nil {
		return "", call.fail(err)
	}
	digest, err := image.ParseDigest(found)
	if err != nil {
		return "", call.fail(bad("its digest is no sha256 digest"))
	}
	return digest, nil
}

func head(ctx context.Context, puller *remote.Puller, what name.Reference) (string, error) {
	d, err := puller.Head(ctx, what)
	if err == nil {
		return d.Digest.String(), nil
	}
	var status *transport.Error
	unusable := errors.As(err, &status) && status.StatusCode == http.StatusMethodNotAllowed
	if !unusable && (status != nil || !isPlain(err)) {
		return "", err
	}
	got, err := puller.Get(ctx, what)
	if err != nil {
		return "", err
	}
	return got.Digest.String(), nil
}

// session returns what remembers how to log in for repo.
func (c *Client) session(repo image.Repo) (*remote.Puller, name.Repository, error) {
	keys, version, err := c.keys.load()
	if err != nil {
		return nil, name.Repository{}, err
	}
	var opts []name.Option
	if c.insecure[repo.Host()] {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(repo.Host(), opts...)
	if err != nil {
		return nil, name.Repository{}, fmt.Errorf("registry %q: %w", repo.Host(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := c.held[repo.Host()]; time.Now().Before(until) {
		return nil, name.Repository{}, &resting{until: until, told: true}
	}
	if version != c.version {
		clear(c.sessions)
		c.version = version
	}
	puller := c.sessions[repo.Canonical()]
	if puller == nil {
		puller, err = remote.NewPuller(
			remote.WithTransport(c.wire),
			remote.WithAuthFromKeychain(keys),
			remote.WithUserAgent("towpath"),
			remote.WithPageSize(pageSize),
			// No second tries here: the next tick is one, and it costs no
			// registry three requests at its worst moment.
			remote.WithRetryPredicate(func(error) bool { return false }),
			remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
			remote.WithRetryStatusCodes(),
		)
		if err != nil {
			return nil, name.Repository{}, err
		}
		c.sessions[repo.Canonical()] = puller
	}
	return puller, reg.Repo(repo.Path()), nil
}

// forget makes the next call log in anew: a password, a token or the way to log
// in may have changed.
func (c *Client) forget(repo image.Repo) {
	c.mu.Lock()
	delete(c.sessions, repo.Canonical())
	c.mu.Unlock()
	c.wire.forget(repo.Host())
}
