// Package registry asks image registries two things: which tags an image has,
// and which digest a tag names. Floor 1. It is the only importer of
// go-containerregistry. An answer is whole or an error: a listing is never
// partial, never endless and never larger than its limits, whatever a registry
// sends. It chooses nothing and keeps no tags.
package registry

import (
	"context"
	"errors"
	"net/http"
	"time"

	"towpath.dev/towpath/internal/image"
)

// Limits when Config has none.
const (
	DefaultMaxPages = 1000             // answers of one listing
	DefaultMaxTags  = 200_000          // tags of one listing
	DefaultMaxBody  = 32 << 20         // bytes of one answer and of all tags of one listing, decompressed
	DefaultTimeout  = 60 * time.Second // one Tags or Digest, all its requests together
)

// Errors callers branch on. Each is wrapped with the registry, the image and
// what to do.
var (
	ErrUnauthorized = errors.New("registry refused the credentials")
	ErrNotFound     = errors.New("image not found")
	ErrUnavailable  = errors.New("registry unavailable") // try again later
	ErrBadAnswer    = errors.New("registry answered wrongly")
)

// Config describes a Client. The zero Config is anonymous, with the default
// limits, over https only.
type Config struct {
	DockerConfig  string            // path of a docker config.json, read again when it changes; "" means anonymous
	InsecureHosts []string          // registries (host:port) spoken to in plain http; no other ever is
	MaxPages      int               // 0: DefaultMaxPages
	MaxTags       int               // 0: DefaultMaxTags
	MaxBody       int64             // 0: DefaultMaxBody
	Timeout       time.Duration     // 0: DefaultTimeout
	Transport     http.RoundTripper // below all limits; nil: one of its own
}

// Client asks registries. It may be used from many goroutines.
type Client struct{ c Config }

// New returns a Client. It connects to nothing.
func New(c Config) *Client { return &Client{c: c} }

// Tags returns every tag of repo as the registry wrote and ordered them, which
// includes strings that are no tag. It returns all of them or an error.
func (c *Client) Tags(ctx context.Context, repo image.Repo) ([]string, error) {
	return nil, ErrUnavailable
}

// Digest returns what the registry has under ref's tag, or, when ref has no
// tag, proves that ref's digest is there.
func (c *Client) Digest(ctx context.Context, ref image.Ref) (image.Digest, error) {
	return "", ErrUnavailable
}
