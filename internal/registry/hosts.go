package registry

import (
	"net/url"
	"strings"
)

// Host is what an operator says of one registry. The zero value of every field
// but Host is what a public registry needs.
type Host struct {
	// Host is the registry as image names write it: "ghcr.io",
	// "registry.example:5000". "docker.io" means Docker Hub.
	Host string `json:"host"`
	// PlainHTTP: it is spoken to in plain http, and in nothing else.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// PrivateNetwork: its name may lead to private and loopback addresses.
	PrivateNetwork bool `json:"privateNetwork,omitempty"`
	// CAFile holds certificates (PEM) that are trusted for this host beside
	// those of the system. It is read again when it changes.
	CAFile string `json:"caFile,omitempty"`
	// CertFile and KeyFile (PEM) are a client certificate; both or none. They are
	// read again when they change.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// Proxy is a URL (http, https or socks5), "direct" for none, or "" for what
	// the environment says (HTTPS_PROXY, HTTP_PROXY, NO_PROXY).
	Proxy string `json:"proxy,omitempty"`
	// RequestsPerSecond is the rate kept over a while; 0: DefaultRequestsPerSecond.
	RequestsPerSecond float64 `json:"requestsPerSecond,omitempty"`
	// Auth says how to log in; nil leaves it to the docker config and what else
	// Config names.
	Auth *Auth `json:"auth,omitempty"`
}

// Auth is exactly one way to log in. Files are read again when they change; a
// newline at their end does not count.
type Auth struct {
	UsernameFile string `json:"usernameFile,omitempty"` // with PasswordFile
	PasswordFile string `json:"passwordFile,omitempty"` // with UsernameFile
	// TokenFile holds a token that stands for user and password (of ghcr.io, GitLab,
	// quay.io, a cloud …). It is sent as the password of the user that the registry
	// wants beside tokens.
	TokenFile        string `json:"tokenFile,omitempty"`
	DockerConfigFile string `json:"dockerConfigFile,omitempty"` // a docker config.json for this host alone
	// Provider is ecr, google, azure or github: the login of that cloud; or none:
	// this host is asked as a stranger.
	Provider string `json:"provider,omitempty"`
}

// hosts is what is said of single registries.
type hosts map[string]Host // by normalHost

func newHosts(said []Host, insecure []string) hosts {
	h := hosts{}
	for _, s := range said {
		key := normalHost(s.Host)
		if _, twice := h[key]; !twice {
			h[key] = s
		}
	}
	for _, name := range insecure {
		s := h[normalHost(name)]
		s.Host, s.PlainHTTP, s.PrivateNetwork = name, true, true
		h[normalHost(name)] = s
	}
	return h
}

// normalHost is a host as it stands in URLs of images.
func normalHost(host string) string {
	host = strings.ToLower(host)
	if host == "docker.io" || host == "registry-1.docker.io" {
		return dockerHub
	}
	return host
}

// named returns what is said of a host as image names write it.
func (h hosts) named(host string) Host { return h[normalHost(host)] }

// of returns what is said of the host of a URL, with or without its scheme's
// own port.
func (h hosts) of(u *url.URL) Host {
	host := normalHost(u.Host)
	if s, ok := h[host]; ok {
		return s
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	if bare, ok := strings.CutSuffix(host, port); ok && port != "" {
		return h[bare]
	}
	if u.Port() == "" && port != "" {
		return h[host+port]
	}
	return Host{}
}
