package image

import (
	"fmt"
	"strconv"
	"strings"
)

// The limits of the distribution reference grammar.
const (
	maxNameLength = 255 // bytes of host and path together
	maxTagLength  = 128 // bytes
	digestHex     = 64  // hexadecimal digits of a sha256
	maxPlatform   = 64  // bytes of os/architecture/variant
)

const (
	digestPrefix = "sha256:"

	dockerHub        = "index.docker.io" // where Docker Hub's short names live
	dockerHubShort   = "docker.io"
	dockerHubLibrary = "library/"
)

// ParseRepo reads a repository: no scheme, no tag, no digest. A first component
// with a dot, a colon or an upper-case letter, or "localhost", is the registry;
// without one the repository is on Docker Hub. The errors say what to write.
func ParseRepo(s string) (Repo, error) {
	if err := plainRepo(s); err != nil {
		return Repo{}, fmt.Errorf("image %q: %w", shorten(s), err)
	}
	r, err := parseRepo(s)
	if err != nil {
		return Repo{}, fmt.Errorf("image %q: %w", shorten(s), err)
	}
	return r, nil
}

// plainRepo refuses what people write around a repository by mistake.
func plainRepo(s string) error {
	if err := common(s); err != nil {
		return err
	}
	if name, _, ok := strings.Cut(s, "@"); ok {
		return fmt.Errorf("a digest does not belong here; write %s", strconv.Quote(name))
	}
	if name, tag := splitTag(s); tag != "" || strings.HasSuffix(s, ":") {
		return fmt.Errorf("a tag does not belong here; write %s", strconv.Quote(name))
	}
	return nil
}

func common(s string) error {
	if s == "" {
		return fmt.Errorf("is empty; write one like ghcr.io/owner/name")
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		return fmt.Errorf("a scheme does not belong here; remove %q and keep %q", scheme+"://", rest)
	}
	return nil
}

// splitTag cuts at the colon behind the last slash, so that a registry's port is
// never taken for a tag.
func splitTag(s string) (name, tag string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i < strings.LastIndexByte(s, '/') {
		return s, ""
	}
	return s[:i], s[i+1:]
}

func parseRepo(s string) (Repo, error) {
	if len(s) > maxNameLength {
		return Repo{}, fmt.Errorf("is longer than %d bytes", maxNameLength)
	}
	host, path := splitHost(s)
	if host == "" {
		host = dockerHub
	} else if err := checkHost(host); err != nil {
		return Repo{}, err
	}
	for part := range strings.SplitSeq(path, "/") {
		if err := checkComponent(part); err != nil {
			return Repo{}, err
		}
	}
	if lower := strings.ToLower(host); isHost(lower) {
		host = lower // "Registry/app" keeps its letter, without which it would be Docker Hub's registry/app
	}
	if host == dockerHubShort {
		host = dockerHub
	}
	if host == dockerHub && !strings.Contains(path, "/") {
		if isHex(path) && len(path) == digestHex {
			return Repo{}, fmt.Errorf("looks like the id of an image, which no registry can resolve")
		}
		path = dockerHubLibrary + path
	}
	return Repo{name: s, host: host, path: path}, nil
}

// splitHost follows Docker's rule: the first component is a registry when it
// could not be the name of a user.
func splitHost(s string) (host, path string) {
	first, rest, ok := strings.Cut(s, "/")
	if !ok {
		return "", s
	}
	if isHost(first) {
		return first, rest
	}
	return "", s
}

func isHost(first string) bool {
	return strings.ContainsAny(first, ".:[") || first == "localhost" || first != strings.ToLower(first)
}

func checkHost(host string) error {
	name, port := host, ""
	if strings.HasPrefix(host, "[") {
		inner, after, ok := strings.Cut(host[1:], "]")
		if !ok || !isIPv6(inner) {
			return fmt.Errorf("registry %q is not an IPv6 address in brackets", host)
		}
		if after == "" {
			return nil
		}
		if after[0] != ':' {
			return fmt.Errorf("registry %q has text behind the bracket", host)
		}
		return checkPort(host, after[1:])
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		name, port = host[:i], host[i+1:]
		if err := checkPort(host, port); err != nil {
			return err
		}
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isHostLabel(label) {
			return fmt.Errorf("registry %q is not a host name", host)
		}
	}
	return nil
}

func checkPort(host, port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("registry %q has no port between 1 and 65535 behind the colon", host)
	}
	return nil
}

func isIPv6(s string) bool {
	if !strings.Contains(s, ":") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != ':' && !isHexByte(c) && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

func isHostLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' {
			return false
		}
	}
	return true
}

// checkComponent reads one path component: lower-case letters and digits, parted
// by one dot, one or two underscores, or any number of dashes.
func checkComponent(s string) error {
	if s == "" {
		return fmt.Errorf("has an empty path component; remove the extra slash")
	}
	for i := 0; i < len(s); {
		if isLowerAlnum(s[i]) {
			i++
			continue
		}
		j := i
		for j < len(s) && !isLowerAlnum(s[j]) {
			j++
		}
		if err := checkSeparator(s, i, j); err != nil {
			return err
		}
		i = j
	}
	return nil
}

func checkSeparator(s string, i, j int) error {
	for _, r := range s[i:j] {
		if r >= 'A' && r <= 'Z' {
			return fmt.Errorf("has upper-case letters in %q; registries want %q", s, strings.ToLower(s))
		}
		if !strings.ContainsRune("._-", r) {
			return fmt.Errorf("has the character %q in %q", r, s)
		}
	}
	sep := s[i:j]
	good := sep == "." || sep == "_" || sep == "__" || strings.Trim(sep, "-") == ""
	if i == 0 || j == len(s) || !good {
		return fmt.Errorf("has the separator %q in a wrong place in %q", sep, s)
	}
	return nil
}

// ParseTag reads one tag.
func ParseTag(s string) (Tag, error) {
	if !ValidTag(s) {
		return "", fmt.Errorf("tag %q: %s", shorten(s), tagFault(s))
	}
	return Tag(s), nil
}

// ValidTag tells whether s is a tag: [A-Za-z0-9_][A-Za-z0-9._-]{0,127}.
func ValidTag(s string) bool {
	if s == "" || len(s) > maxTagLength || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

func tagFault(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > maxTagLength:
		return fmt.Sprintf("is longer than %d characters", maxTagLength)
	case s[0] == '.' || s[0] == '-':
		return "starts with a dot or a dash"
	}
	return "holds something other than letters, digits, '_', '.' and '-'"
}

// ParseDigest reads one sha256 digest.
func ParseDigest(s string) (Digest, error) {
	hex, ok := strings.CutPrefix(s, digestPrefix)
	if !ok {
		return "", fmt.Errorf("digest %q: does not start with %s", shorten(s), digestPrefix)
	}
	if len(hex) != digestHex || !isHex(hex) {
		return "", fmt.Errorf("digest %q: want %d lower-case hexadecimal digits behind %s", shorten(s), digestHex, digestPrefix)
	}
	return Digest(s), nil
}

// ParseRef reads "repo:tag", "repo:tag@sha256:…" or "repo@sha256:…". A
// repository alone is an error: what it would mean changes from day to day.
func ParseRef(s string) (Ref, error) {
	ref, err := parseRef(s)
	if err != nil {
		return Ref{}, fmt.Errorf("image reference %q: %w", shorten(s), err)
	}
	return ref, nil
}

func parseRef(s string) (Ref, error) {
	var ref Ref
	if err := common(s); err != nil {
		return ref, err
	}
	rest, digest, pinned := strings.Cut(s, "@")
	name, tag := splitTag(rest)
	if tag == "" && strings.HasSuffix(rest, ":") {
		return ref, fmt.Errorf("the tag behind the colon is missing")
	}
	var err error
	if ref.Repo, err = parseRepo(name); err != nil {
		return ref, err
	}
	if tag == "" && !pinned {
		return ref, fmt.Errorf("a tag is missing; write %s:TAG", name)
	}
	if tag != "" {
		if ref.Tag, err = ParseTag(tag); err != nil {
			return ref, err
		}
	}
	if pinned {
		if ref.Digest, err = ParseDigest(digest); err != nil {
			return ref, err
		}
	}
	return ref, nil
}

// shorten keeps an error one readable line whatever a registry or file held.
func shorten(s string) string {
	const most = 140
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

func isAlnum(c byte) bool {
	return isLowerAlnum(c) || c >= 'A' && c <= 'Z'
}

func isLowerAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}

func isHexByte(c byte) bool {
	return c >= 'a' && c <= 'f' || c >= '0' && c <= '9'
}

func isHex(s string) bool {
	for i := range len(s) {
		if !isHexByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// ParsePlatform reads os/architecture or os/architecture/variant, as in
// linux/amd64 and linux/arm/v7: lower case letters, digits and underscores.
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	bad := len(parts) < 2 || len(parts) > 3 || len(s) > maxPlatform
	for _, part := range parts {
		bad = bad || part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_.") != ""
	}
	if bad {
		return Platform{}, fmt.Errorf("platform %q is not os/architecture or os/architecture/variant, such as linux/amd64", shorten(s))
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}
