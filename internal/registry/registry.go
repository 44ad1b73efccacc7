// Package registry asks image registries: which tags an image has, which digest
// a tag names, which platforms an image is for. Floor 1. It is the only importer
// of go-containerregistry, which is used for the ways to log in. An answer is
// whole or an error: a listing is never partial, never endless and never larger
// than its limits, whatever a registry sends. A host is asked at a pace, left
// alone when it says so or fails, and never over an address that nobody meant.
// It chooses nothing and keeps no tags.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"towpath.dev/towpath/internal/image"
)

// Limits when Config has none.
const (
	DefaultMaxPages = 1000             // answers of one listing
	DefaultMaxTags  = 200_000          // tags of one listing
	DefaultMaxBody  = 16 << 20         // bytes of one answer, decompressed, and of all tags of one listing
	DefaultTimeout  = 60 * time.Second // one call, all its requests together
)

// spareRequests is what one call may send beside its pages: ping, token,
// redirects, a second try with GET or after a new login.
const spareRequests = 20

// Errors callers branch on. Each comes wrapped in one line that names the
// registry, the image and what to do.
var (
	ErrUnauthorized = errors.New("access refused")
	ErrNotFound     = errors.New("not found")
	ErrUnavailable  = errors.New("registry unavailable") // passes by itself: try again later, see RetryAt
	ErrBadAnswer    = errors.New("registry answered wrongly")
)

// Config describes a Client. The zero Config is anonymous, with the default
// limits, over https only, to public addresses only.
type Config struct {
	// DockerConfig is the path of a docker config.json (`docker login` writes
	// it), or of an older .dockercfg. It is read again when it changes; "" means
	// none. The credential helpers it names (credHelpers, credsStore) are run.
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
	// PullSecrets returns the contents of kubernetes.io/dockerconfigjson or
	// dockercfg secrets, as many as it can, beside an error about the others; nil:
	// there are none. They are asked for again after ten minutes and when a
	// registry refuses them. Credential helpers in them are not run.
	PullSecrets func(ctx context.Context) ([][]byte, error)
	// CloudCredentials: registries of Amazon, Google, Azure and ghcr.io for which
	// nothing else has credentials are logged in at as whoever this process is
	// there. Off, no metadata server is ever asked but by an Auth.Provider.
	CloudCredentials bool
	MaxPages         int           // answers of one listing; 0: DefaultMaxPages
	MaxTags          int           // tags of one listing; 0: DefaultMaxTags
	MaxBody          int64         // bytes of one answer; 0: DefaultMaxBody
	Timeout          time.Duration // of one call, without the time it waits for its turn; 0: DefaultTimeout
	// Transport is what lies below all limits, and where a test counts
	// requests; nil: one of the Client's own.
	Transport http.RoundTripper
}

// Client asks registries. It may be used from many goroutines. It asks each
// host once how to log in, and fetches one token per image, until they expire,
// are refused, or the credentials change. Equal calls at one time are one.
type Client struct {
	c     Config
	hosts hosts
	keys  *keychains
	wire  *wire

	lists     flights[Listing]
	digests   flights[image.Digest]
	platforms flights[[]image.Platform]

	mu       sync.Mutex
	sessions map[string]*session // by Repo.Canonical
	pings    map[string]*ping    // by host
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
	h := newHosts(c.Hosts, c.InsecureHosts)
	return &Client{
		c: c, hosts: h, keys: newKeychains(c), wire: newWire(c, h),
		sessions: map[string]*session{}, pings: map[string]*ping{},
	}
}

// Close drops idle connections. The Client stays usable.
func (c *Client) Close() { c.wire.closeIdle() }

// Hold keeps host unasked until then, an hour at most: what a registry asked for
// before a restart. Calls that need it fail at once with ErrUnavailable.
func (c *Client) Hold(host string, until time.Time) {
	c.wire.paces.of(normalHost(host)).hold(until)
}

// call is one List, Digest or Platforms.
type call struct {
	ctx    context.Context // of all its requests: with the deadline and the budget
	budget *budget
	used   *atomic.Int64   // version of the credentials it was last sent with
	outer  context.Context // of those who wait for it
	op     string
	repo   image.Repo
	c      *Client
}

func (c *Client) begin(ctx context.Context, op string, repo image.Repo, pages int) (call, func()) {
	inner, cancel := context.WithCancelCause(ctx)
	b := newBudget(pages+spareRequests, c.c.Timeout, func() { cancel(errTimeout) })
	k := call{ctx: context.WithValue(inner, budgetKey{}, b), budget: b, used: &atomic.Int64{}, outer: ctx, op: op, repo: repo, c: c}
	return k, func() { b.pause(); cancel(nil) }
}

// perform carries out one call, and once more after a refusal when there are
// other credentials by then.
func perform[T any](ctx context.Context, c *Client, op string, repo image.Repo, pages int, f func(call) (T, error)) (T, error) {
	k, done := c.begin(ctx, op, repo, pages)
	defer done()
	v, err := f(k)
	if err != nil && errors.Is(k.judge(err).kind, ErrUnauthorized) {
		c.forget(repo)
		if c.keys.refused(k.ctx, repo, int(k.used.Load())) {
			v, err = f(k)
		}
	}
	if err != nil {
		var none T
		return none, k.fail(err)
	}
	return v, nil
}

// leftBy adds what was asked to the error of a caller that did not wait for the
// answer.
func leftBy(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil && err == context.Cause(ctx) { //nolint:errorlint // the very error, unwrapped
		return fmt.Errorf("%s: %w", op, err)
	}
	return err
}
