package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"towpath.dev/towpath/internal/image"
)

const (
	maxDockerConfig = 1 << 20 // bytes
	dockerHub       = "index.docker.io"
	// hubServer is what docker calls Docker Hub when it talks to a helper.
	hubServer = "https://index.docker.io/v1/"
)

// credentials is one state of a docker config.
type credentials struct {
	auths   map[string]*json.RawMessage // by host, or host/path, without scheme
	globs   []string                    // the keys of auths whose host has a *, longest first
	helpers map[string]string           // by host: the helper that it is left to
	store   string                      // the helper that all other hosts are left to
}

// parseConfig reads a config.json, or the older .dockercfg that is nothing but
// its auths. It never quotes the file in an error: it holds passwords.
func parseConfig(raw []byte) (credentials, error) {
	var file struct {
		Auths       map[string]*json.RawMessage `json:"auths"`
		CredHelpers map[string]string           `json:"credHelpers"`
		CredsStore  string                      `json:"credsStore"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return credentials{}, errors.New("not the JSON of a docker config")
	}
	if file.Auths == nil && file.CredHelpers == nil && file.CredsStore == "" {
		file.Auths = legacy(raw)
	}
	c := credentials{auths: map[string]*json.RawMessage{}, helpers: map[string]string{}, store: file.CredsStore}
	for _, key := range slices.Sorted(maps.Keys(file.Auths)) {
		entry := file.Auths[key]
		// `docker login` with a helper leaves an empty entry behind.
		if entry == nil || strings.Join(strings.Fields(string(*entry)), "") == "{}" {
			continue
		}
		if key = plainKey(key); c.auths[key] == nil {
			c.auths[key] = entry
		}
	}
	c.sortGlobs()
	for key, name := range file.CredHelpers {
		c.helpers[plainKey(key)] = name
	}
	return c, nil
}

func (c *credentials) sortGlobs() {
	for key := range c.auths {
		if host, _, _ := strings.Cut(key, "/"); strings.Contains(host, "*") {
			c.globs = append(c.globs, key)
		}
	}
	slices.SortFunc(c.globs, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
}

// legacy returns the entries of a .dockercfg: {"host": {"auth": …}}.
func legacy(raw []byte) map[string]*json.RawMessage {
	var all map[string]*json.RawMessage
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	for key, entry := range all {
		var e map[string]json.RawMessage
		if entry == nil || json.Unmarshal(*entry, &e) != nil || (e["auth"] == nil && e["username"] == nil) {
			delete(all, key) // some other setting of a config.json
		}
	}
	return all
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

// entry returns the longest entry that is the image, one of the folders above
// it, or its registry. "" for none; an error does not quote the entry.
func (c credentials) entry(image string) (key string, auth *authn.AuthConfig, err error) {
	key = c.find(image)
	if key == "" {
		return "", nil, nil
	}
	auth = &authn.AuthConfig{}
	if err := json.Unmarshal(*c.auths[key], auth); err != nil {
		return key, nil, fmt.Errorf("the entry %q is broken", key)
	}
	if strings.ContainsFunc(auth.RegistryToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return key, nil, fmt.Errorf("the entry %q is broken", key)
	}
	if auth.IdentityToken == "" && auth.RegistryToken == "" && auth.Auth == "" && auth.Username == "" {
		return "", nil, nil // a mail address alone, or what docker adds beside a helper
	}
	return key, auth, nil
}

func (c credentials) find(image string) string {
	for key := image; ; {
		if _, ok := c.auths[key]; ok {
			return key
		}
		i := strings.LastIndexByte(key, '/')
		if i < 0 {
			break
		}
		key = key[:i]
	}
	for _, key := range c.globs {
		if globs(key, image) {
			return key
		}
	}
	return ""
}

// globs reports whether a key such as *.azurecr.io/team covers the image. A *
// stands for within one part between two dots, as for Kubernetes.
func globs(key, image string) bool {
	wantHost, wantPath, _ := strings.Cut(key, "/")
	host, rest, _ := strings.Cut(image, "/")
	if wantPath != "" && rest != wantPath && !strings.HasPrefix(rest, wantPath+"/") {
		return false
	}
	want, have := strings.Split(wantHost, "."), strings.Split(host, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// helper returns the name of the helper a host is left to, and what docker calls
// the host when it asks it.
func (c credentials) helper(host string) (name, server string) {
	if name = c.helpers[host]; name == "" {
		name = c.store
	}
	if host == dockerHub {
		return name, hubServer
	}
	return name, host
}

// dockerConfig is a docker config.json with its helpers.
type dockerConfig struct {
	file *watched[credentials]
	now  func() time.Time

	mu      sync.Mutex
	answers map[helperCall]*cached[*authn.AuthConfig]
}

func newDockerConfig(path string, now func() time.Time) *dockerConfig {
	return &dockerConfig{
		file: &watched[credentials]{path: path, max: maxDockerConfig, parse: parseConfig},
		now:  now, answers: map[helperCall]*cached[*authn.AuthConfig]{},
	}
}

// find is a source.
func (d *dockerConfig) find(ctx context.Context, repo image.Repo) (login, error) {
	path := d.file.path
	c, err := d.file.load()
	if err != nil {
		return login{}, &noLogin{"docker config cannot be read: " + oneLine(err), "name a readable one with --docker-config"}
	}
	_, auth, err := c.entry(repo.Canonical())
	if err != nil {
		return login{}, &noLogin{fmt.Sprintf("docker config cannot be read: %s: %s", path, oneLine(err)), "correct it, or log in again with docker"}
	}
	if auth != nil {
		return login{auth: auth, from: "in " + path}, nil
	}
	host := shownHost(repo.Host())
	name, server := c.helper(repo.Host())
	if name == "" {
		return login{why: fmt.Sprintf("%s has no entry for %s", path, host)}, nil
	}
	answer := d.answer(helperCall{name, server})
	auth, err = answer.get(ctx)
	l := login{auth: auth, from: fmt.Sprintf("from the credential helper %q of %s", name, path), renew: answer.renew}
	switch {
	case err != nil && ctx.Err() != nil:
		return login{}, err
	case err != nil:
		l.why = fmt.Sprintf("the credential helper %q of %s gave none for %s: %s", name, path, host, oneLine(err))
	case auth == nil:
		l.why = fmt.Sprintf("%s has no entry for %s, and its credential helper %q knows none", path, host, name)
	}
	return l, nil
}

func (d *dockerConfig) answer(call helperCall) *cached[*authn.AuthConfig] {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.answers[call]
	if a == nil {
		if len(d.answers) >= maxHosts {
			clear(d.answers)
		}
		a = newCached(cached[*authn.AuthConfig]{
			fetch: func(ctx context.Context) (*authn.AuthConfig, time.Time, error) {
				auth, err := call.run(ctx)
				return auth, time.Time{}, err
			},
			now: d.now, limit: helperTimeout, keep: helperKeep, pause: helperPause,
		})
		d.answers[call] = a
	}
	return a
}
