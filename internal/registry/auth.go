package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	maxDockerConfig = 1 << 20 // bytes
	dockerHub       = "index.docker.io"
)

// keychain reads a docker config.json again whenever it changes. A file that
// became unreadable (half-written, being replaced) leaves the last good
// credentials in use; one that never was readable is an error.
type keychain struct {
	path string

	mu      sync.Mutex
	raw     []byte
	now     credentials
	version int // 0: nothing was read; grows with each change
}

// credentials is one state of the file.
type credentials struct {
	path    string                     // of the file; "" means none was given
	auths   map[string]json.RawMessage // by host, or host/path, without scheme
	helpers map[string]bool            // hosts left to credential helpers
	store   bool                       // all hosts are left to one helper
}

var errNoConfig = errors.New("docker config cannot be read")

func (k *keychain) load() (credentials, int, error) {
	if k.path == "" {
		return credentials{}, 0, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	raw, err := readFile(k.path)
	if err == nil && (k.version == 0 || !bytes.Equal(raw, k.raw)) {
		var c credentials
		if c, err = parseConfig(raw); err == nil {
			c.path = k.path
			k.raw, k.now = raw, c
			k.version++
		}
	}
	if err != nil && k.version == 0 {
		return credentials{}, 0, fmt.Errorf("%w: %s: %w", errNoConfig, k.path, err)
	}
	return k.now, k.version, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			return nil, p.Err // the path is named by the caller
		}
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDockerConfig+1))
	if err == nil && len(raw) > maxDockerConfig {
		return nil, fmt.Errorf("larger than %d bytes", maxDockerConfig)
	}
	return raw, err
}

// parseConfig never quotes the file in an error: it holds passwords.
func parseConfig(raw []byte) (credentials, error) {
	var file struct {
		Auths       map[string]json.RawMessage `json:"auths"`
		CredHelpers map[string]string          `json:"credHelpers"`
		CredsStore  string                     `json:"credsStore"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return credentials{}, errors.New("not the JSON of a docker config")
	}
	c := credentials{auths: map[string]json.RawMessage{}, helpers: map[string]bool{}, store: file.CredsStore != ""}
	for key, entry := range file.Auths {
		// `docker login` with a helper leaves an empty entry behind.
		if s := strings.TrimSpace(string(entry)); s != "{}" && s != "null" {
			c.auths[plainKey(key)] = entry
		}
	}
	for key := range file.CredHelpers {
		c.helpers[plainKey(key)] = true
	}
	return c, nil
}

// plainKey makes "https://index.docker.io/v1/" and "docker.io" the host they mean.
func plainKey(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	key = strings.TrimSuffix(key, "/")
	for _, api := range []string{"/v1", "/v2"} {
		key = strings.TrimSuffix(key, api)
	}
	host, path, ok := strings.Cut(key, "/")
	host = strings.ToLower(host)
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = dockerHub
	}
	if !ok {
		return host
	}
	return host + "/" + path
}

// Resolve implements authn.Keychain: the longest entry that is the image, one of
// the folders above it, or its registry.
func (c credentials) Resolve(r authn.Resource) (authn.Authenticator, error) {
	key, ok := c.find(r.String())
	if !ok {
		return authn.Anonymous, nil
	}
	var auth authn.AuthConfig
	if err := json.Unmarshal(c.auths[key], &auth); err != nil {
		return nil, fmt.Errorf("%w: %s: the entry %q is broken", errNoConfig, c.path, key)
	}
	return authn.FromConfig(auth), nil
}

func (c credentials) find(image string) (string, bool) {
	for key := image; ; {
		if _, ok := c.auths[key]; ok {
			return key, true
		}
		i := strings.LastIndexByte(key, '/')
		if i < 0 {
			return "", false
		}
		key = key[:i]
	}
}

// remedy says what to do about a refusal.
func (c credentials) remedy(host, image string) string {
	_, has := c.find(image)
	switch {
	case has:
		return fmt.Sprintf("the credentials for %s in %s were not enough; renew them, and check the image's name", host, c.path)
	case c.path == "":
		return fmt.Sprintf("no credentials were given; name a docker config with an entry for %s, and check the image's name", host)
	case c.store || c.helpers[host]:
		return fmt.Sprintf("%s leaves %s to a credential helper, which is not run; put an entry into its auths", c.path, host)
	}
	return fmt.Sprintf("%s has no entry for %s; add one (docker login %s), and check the image's name", c.path, host, host)
}
