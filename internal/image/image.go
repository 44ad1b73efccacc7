// Package image holds image references as plain values: a repository, a tag, a
// digest, and the three written together. A value that parsed is good for ever,
// and formats back to exactly the text it was parsed from.
//
// Floor 0. Pure: no network, no clock, no files. It knows the grammar of
// references and the short names of Docker Hub, and nothing about what a
// registry holds.
package image

// Repo names an image repository without tag or digest. It is comparable; the
// zero value is no repository. Two spellings of one repository ("alpine" and
// "docker.io/library/alpine") are different values with one Canonical form.
type Repo struct {
	name string // as written
	host string // canonical: lower case, Docker Hub as index.docker.io
	path string // canonical: with library/ for Docker Hub's official images
}

// String is the repository as the user wrote it, which is also what is written
// into manifests.
func (r Repo) String() string { return r.name }

// Canonical is registry host and path, for instance
// "index.docker.io/library/alpine". It is the key for one listing per image.
func (r Repo) Canonical() string {
	if r.name == "" {
		return ""
	}
	return r.host + "/" + r.path
}

// Host is the registry's host, with its port when one was written.
func (r Repo) Host() string { return r.host }

// Path is the repository's path on its registry.
func (r Repo) Path() string { return r.path }

// Tag is a tag in the registry's grammar: [A-Za-z0-9_][A-Za-z0-9._-]{0,127}.
type Tag string

// Digest is "sha256:" and 64 lower-case hexadecimal digits.
type Digest string

// Ref is a repository with a tag, a digest or both. Tag or Digest may be empty,
// not both.
type Ref struct {
	Repo   Repo
	Tag    Tag
	Digest Digest
}

// String is "repo:tag", "repo:tag@sha256:…" or "repo@sha256:…".
func (r Ref) String() string {
	s := r.Repo.String()
	if r.Tag != "" {
		s += ":" + string(r.Tag)
	}
	if r.Digest != "" {
		s += "@" + string(r.Digest)
	}
	return s
}

// Platform is what an image runs on: linux/amd64, linux/arm64/v8. Variant may
// be empty; a wanted platform without a variant is met by every variant.
type Platform struct {
	OS           string
	Architecture string
	Variant      string
}

// String is "os/architecture" or "os/architecture/variant".
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Meets reports whether an image built for p runs where want is asked for.
func (p Platform) Meets(want Platform) bool {
	return p.OS == want.OS && p.Architecture == want.Architecture && (want.Variant == "" || p.Variant == want.Variant)
}
