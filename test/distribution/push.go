package distribution

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// The user who pushes, and whom the token server does not count.
const (
	pushUser     = "pusher"
	pushPassword = "pushed-canary"
	imageSize    = 64 // bytes of the one layer of an image
)

// pusher talks to the registry as somebody who may do all.
type pusher struct {
	transport *http.Transport
}

func newPusher(r *Registry) pusher {
	t := &http.Transport{}
	if r.options.TLS {
		t.TLSClientConfig = &tls.Config{RootCAs: r.pki.pool, Certificates: []tls.Certificate{r.pki.client}}
	}
	return pusher{transport: t}
}

func (p pusher) close() {
	if p.transport != nil {
		p.transport.CloseIdleConnections()
	}
}

func (r *Registry) scheme() string {
	if r.options.TLS {
		return "https://"
	}
	return "http://"
}

func (r *Registry) tag(repo, tag string) (name.Tag, error) {
	var opts []name.Option
	if !r.options.TLS {
		opts = append(opts, name.Insecure)
	}
	return name.NewTag(r.Image(repo)+":"+tag, opts...)
}

func (r *Registry) remote(ctx context.Context) []remote.Option {
	opts := []remote.Option{remote.WithContext(ctx), remote.WithTransport(r.pusher.transport)}
	if r.options.TokenAuth || r.options.BasicAuth {
		opts = append(opts, remote.WithAuth(&authn.Basic{Username: pushUser, Password: pushPassword}))
	}
	return opts
}

// Push stores a small random image for linux/amd64 under every tag of repo, replacing what the tags
// named, and returns its digest ("sha256:…").
func (r *Registry) Push(ctx context.Context, repo string, tags ...string) (string, error) {
	return r.PushFor(ctx, repo, "linux/amd64", tags...)
}

// PushFor is Push of an image for a platform: "linux/arm64", "linux/arm/v7".
func (r *Registry) PushFor(ctx context.Context, repo, platform string, tags ...string) (string, error) {
	img, err := picture(platform)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", repo, err)
	}
	return r.push(ctx, repo, tags, img, func(ref name.Reference, opts ...remote.Option) error {
		return remote.Write(ref, img, opts...)
	})
}

// PushIndex stores an index of one small random image per platform under every tag of repo and returns
// the digest of the index.
func (r *Registry) PushIndex(ctx context.Context, repo string, platforms []string, tags ...string) (string, error) {
	index := v1.ImageIndex(empty.Index)
	for _, platform := range platforms {
		img, err := picture(platform)
		if err != nil {
			return "", fmt.Errorf("push %s: %w", repo, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: parse(platform)}})
	}
	return r.push(ctx, repo, tags, index, func(ref name.Reference, opts ...remote.Option) error {
		return remote.WriteIndex(ref, index, opts...)
	})
}

// push writes under the first tag and points the others to the same.
func (r *Registry) push(ctx context.Context, repo string, tags []string, what remote.Taggable, first func(name.Reference, ...remote.Option) error) (string, error) {
	opts := r.remote(ctx)
	for i, tag := range tags {
		ref, err := r.tag(repo, tag)
		if err != nil {
			return "", fmt.Errorf("push %s: %w", repo, err)
		}
		if i == 0 {
			err = first(ref, opts...)
		} else {
			err = remote.Tag(ref, what, opts...)
		}
		if err != nil {
			return "", fmt.Errorf("push %s: %w", ref, err)
		}
	}
	digest, err := what.(interface{ Digest() (v1.Hash, error) }).Digest()
	if err != nil {
		return "", fmt.Errorf("push %s: %w", repo, err)
	}
	return digest.String(), nil
}

// Delete removes what reference, a tag or a digest, names in repo. The image of a removed tag stays
// reachable by its digest.
func (r *Registry) Delete(ctx context.Context, repo, reference string) error {
	sep := ":"
	if strings.Contains(reference, ":") {
		sep = "@"
	}
	var opts []name.Option
	if !r.options.TLS {
		opts = append(opts, name.Insecure)
	}
	ref, err := name.ParseReference(r.Image(repo)+sep+reference, opts...)
	if err == nil {
		err = remote.Delete(ref, r.remote(ctx)...)
	}
	if err != nil {
		return fmt.Errorf("delete %s of %s: %w", reference, repo, err)
	}
	return nil
}

// picture is a small random image that says which platform it is for.
func picture(platform string) (v1.Image, error) {
	img, err := random.Image(imageSize, 1)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	p := parse(platform)
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	return mutate.ConfigFile(img, config)
}

func parse(platform string) *v1.Platform {
	os, rest, _ := strings.Cut(platform, "/")
	arch, variant, _ := strings.Cut(rest, "/")
	return &v1.Platform{OS: os, Architecture: arch, Variant: variant}
}
