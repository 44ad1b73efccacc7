package hook

import (
	"bytes"
	"fmt"
	"strings"

	"towpath.dev/towpath/internal/image"
)

const (
	ghcrHost = "ghcr.io"
	ghcrForm = "payload=" // a webhook of content type application/x-www-form-urlencoded
)

// gitHubPackage is the part of GitHub's events package and registry_package that
// names an image.
type gitHubPackage struct {
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	Ecosystem   string `json:"ecosystem"`
	PackageType string `json:"package_type"`
	Owner       struct {
		Login string `json:"login"`
	} `json:"owner"`
	Version struct {
		Version   string `json:"version"` // the digest
		URL       string `json:"package_url"`
		Container struct {
			Tag struct {
				Name   string `json:"name"`
				Digest string `json:"digest"`
			} `json:"tag"`
		} `json:"container_metadata"`
	} `json:"package_version"`
	Registry struct {
		Type string `json:"type"`
	} `json:"registry"`
}

// ghcr reads GitHub's events package and registry_package, which differ in the
// name of one key. Other events, ping among them, have neither.
func ghcr(body []byte, found *pushes) error {
	if bytes.HasPrefix(body, []byte(ghcrForm)) {
		payload, ok := parameter(string(body), strings.TrimSuffix(ghcrForm, "="))
		if !ok {
			return fmt.Errorf("%w: it is a form without one payload", ErrPayload)
		}
		body = []byte(payload)
	}
	var e struct {
		Action          string         `json:"action"`
		Package         *gitHubPackage `json:"package"`
		RegistryPackage *gitHubPackage `json:"registry_package"`
	}
	if err := parse(body, &e); err != nil {
		return err
	}
	if e.Action != "published" && e.Action != "updated" {
		return nil
	}
	for _, p := range []*gitHubPackage{e.Package, e.RegistryPackage} {
		if p != nil && p.isImage() {
			p.push(found)
		}
	}
	return nil
}

// isImage reports whether the package is an image: GitHub writes CONTAINER, and
// docker in older events and in its own examples.
func (p *gitHubPackage) isImage() bool {
	for _, kind := range []string{p.PackageType, p.Ecosystem, p.Registry.Type} {
		if strings.EqualFold(kind, "container") || strings.EqualFold(kind, "docker") {
			return true
		}
	}
	return false
}

// push prefers the URL, which has the registry's host also on GitHub Enterprise
// Server. GitHub writes owners as they spell themselves; the registry knows them
// in lower case only.
func (p *gitHubPackage) push(found *pushes) {
	repo, tag := splitName(p.Version.URL)
	if repo == "" {
		repo = ghcrHost + "/" + first(p.Owner.Login, p.Namespace) + "/" + p.Name
	}
	digest := p.Version.Container.Tag.Digest
	if _, err := image.ParseDigest(digest); err != nil {
		digest = p.Version.Version
	}
	found.add(strings.ToLower(repo), first(p.Version.Container.Tag.Name, tag), digest)
}
