package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/image"
)

// maxManifest is the largest manifest that registries take.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests
const maxManifest = 4 << 20

const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	// The oldest format has a digest like the others, though no platforms.
	dockerSigned = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

func acceptManifests() http.Header {
	return http.Header{"Accept": {strings.Join([]string{ociIndex, dockerIndex, ociManifest, dockerManifest, dockerSigned}, ",")}}
}

// Digest returns the digest that ref's tag names now (of the index, for an
// image of many platforms). A ref without a tag is looked up by its digest,
// which proves that it is still there. It costs one HEAD request, and a GET
// only where the registry's answer to HEAD is of no use.
func (c *Client) Digest(ctx context.Context, ref image.Ref) (image.Digest, error) {
	op := "resolve " + ref.String()
	what := string(ref.Tag)
	if what == "" {
		what = string(ref.Digest)
	}
	d, err := c.digests.do(ctx, ref.Repo.Canonical()+" "+what, func(ctx context.Context) (image.Digest, error) {
		return perform(ctx, c, op, ref.Repo, 0, func(k call) (image.Digest, error) { return k.digest(what) })
	})
	return d, leftBy(ctx, op, err)
}

func (k call) manifestURL(what string) string {
	return k.c.base(k.repo.Host()) + "/v2/" + k.repo.Path() + "/manifests/" + what
}

func (k call) digest(what string) (image.Digest, error) {
	resp, err := k.ask(http.MethodHead, k.manifestURL(what), acceptManifests())
	if err != nil {
		return "", err
	}
	_ = resp.Body.Close()
	said := resp.Header.Get("Docker-Content-Digest")
	switch {
	case resp.StatusCode == http.StatusMethodNotAllowed, resp.StatusCode == http.StatusNotImplemented,
		resp.StatusCode == http.StatusOK && said == "":
		data, d, err := k.manifest(what)
		if err == nil && !isManifest(data) {
			return "", bad("it answered something that is no manifest")
		}
		return d, err
	case resp.StatusCode != http.StatusOK:
		return "", statusOf(resp)
	}
	d, err := image.ParseDigest(said)
	if err != nil {
		return "", bad("its digest is no sha256 digest")
	}
	if asked, err := image.ParseDigest(what); err == nil && d != asked {
		return "", bad("it answered with another digest than the one asked for")
	}
	return d, nil
}

// isManifest tells a manifest from a page for people: every format has a
// version.
func isManifest(data []byte) bool {
	var m struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	return json.Unmarshal(data, &m) == nil && m.SchemaVersion > 0
}

// manifest returns the manifest of a tag or digest, and its own digest, which
// is the one asked for.
func (k call) manifest(what string) ([]byte, image.Digest, error) {
	resp, err := k.ask(http.MethodGet, k.manifestURL(what), acceptManifests())
	if err != nil {
		return nil, "", err
	}
	return k.content(resp, what, maxManifest)
}

// content reads an answer that is named by its digest, and compares.
func (k call) content(resp *http.Response, what string, most int) ([]byte, image.Digest, error) {
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", statusOf(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if err != nil {
		return nil, "", err
	}
	if len(data) > most {
		return nil, "", bad("an answer is longer than %d bytes", most)
	}
	sum := sha256.Sum256(data)
	d := image.Digest("sha256:" + hex.EncodeToString(sum[:]))
	if asked, err := image.ParseDigest(what); err == nil && d != asked {
		return nil, "", bad("what it answered has another digest than the one asked for")
	}
	return data, d, nil
}

// Platforms returns what the image with digest d was built for, sorted and
// without doubles; none when it does not say. It costs one GET of the manifest,
// and for an image that is no index one more for its config.
func (c *Client) Platforms(ctx context.Context, repo image.Repo, d image.Digest) ([]image.Platform, error) {
	op := "read platforms of " + repo.String() + "@" + string(d)
	found, err := c.platforms.do(ctx, repo.Canonical()+" "+string(d), func(ctx context.Context) ([]image.Platform, error) {
		return perform(ctx, c, op, repo, 0, func(k call) ([]image.Platform, error) { return k.platforms(d) })
	})
	return slices.Clone(found), leftBy(ctx, op, err)
}

// platform is how manifests and configs write one.
type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (k call) platforms(d image.Digest) ([]image.Platform, error) {
	data, _, err := k.manifest(string(d))
	if err != nil {
		return nil, err
	}
	var m struct {
		SchemaVersion int `json:"schemaVersion"`
		Manifests     []struct {
			Platform *platform `json:"platform"`
		} `json:"manifests"`
		Config struct {
			Digest string `json:"digest"`
		} `json:"config"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, bad("its manifest cannot be read")
	}
	if m.Manifests != nil {
		var all []platform
		for _, child := range m.Manifests {
			if child.Platform != nil {
				all = append(all, *child.Platform)
			}
		}
		return tidy(all), nil
	}
	config, err := image.ParseDigest(m.Config.Digest)
	if err != nil {
		return nil, bad("its manifest names no config, so what it runs on is not known")
	}
	resp, err := k.ask(http.MethodGet, k.c.base(k.repo.Host())+"/v2/"+k.repo.Path()+"/blobs/"+string(config), nil)
	if err != nil {
		return nil, err
	}
	if data, _, err = k.content(resp, string(config), maxManifest); err != nil {
		return nil, err
	}
	var p platform
	if err := json.Unmarshal(data, &p); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, bad("its config cannot be read")
		}
		return nil, bad("its config does not say what it runs on")
	}
	return tidy([]platform{p}), nil
}

// tidy leaves out what is no platform: attestations say unknown/unknown, and an
// image without code says nothing.
func tidy(all []platform) []image.Platform {
	found := []image.Platform{}
	for _, p := range all {
		s := image.Platform(p).String()
		if parsed, err := image.ParsePlatform(s); err == nil && p.OS != "unknown" {
			found = append(found, parsed)
		}
	}
	slices.SortFunc(found, func(a, b image.Platform) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(found)
}
