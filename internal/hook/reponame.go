package hook

import (
	"errors"
	"net/url"
	"path"
	"strings"
)

// MaxAddress is the longest address of a repository, in bytes.
const MaxAddress = 2048

// RepoName is how the repository of an address is named here, whatever way the
// address is written: host/path in lower case, without scheme, port, user and
// ".git", or file:///path. So https://github.com/Shop/config.git,
// git@github.com:shop/config and ssh://git@github.com:22/shop/config are
// github.com/shop/config.
//
// Two repositories may have one name, on servers that are told apart by their
// port or by capital letters: a poke for the one then is one for the other. The
// error does not quote the address, which may hold a password.
func RepoName(address string) (string, error) {
	if address == "" {
		return "", errors.New("name repository: its address is empty")
	}
	if len(address) > MaxAddress {
		return "", errors.New("name repository: its address is too long")
	}
	host, file, err := splitAddress(address)
	if err != nil {
		return "", err
	}
	if !printable(host + file) {
		return "", errors.New("name repository: its address has characters that cannot be shown")
	}
	local := host == ""
	if !local {
		host, file = cleanHost(host), strings.ToLower(file)
	}
	file = path.Clean("/" + file)
	for strings.HasSuffix(file, ".git") {
		file = path.Clean(strings.TrimSuffix(file, ".git"))
	}
	switch {
	case file == "/":
		return "", errors.New("name repository: its address has no path")
	case local:
		return "file://" + file, nil
	case host == "":
		return "", errors.New("name repository: its address has no host")
	}
	return host + file, nil
}

// splitAddress returns the host, which is empty for this machine, and the path.
func splitAddress(address string) (host, file string, err error) {
	if !strings.Contains(address, "://") {
		if host, file, ok := splitSCP(address); ok {
			return host, file, nil
		}
		if path.IsAbs(address) {
			return "", address, nil
		}
		return "", "", errors.New("name repository: its address is no URL, no user@host:path and no absolute path")
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", "", errors.New("name repository: its address does not parse")
	}
	host = u.Hostname()
	switch u.Scheme {
	case "file":
		if host == "" || strings.EqualFold(host, "localhost") {
			return "", u.Path, nil
		}
	case "http", "https", "ssh", "git":
		if host != "" {
			return host, u.Path, nil
		}
	}
	return "", "", errors.New("name repository: known are http, https, ssh and git addresses with a host, and file:///path")
}

// splitSCP takes [user@]host:path, which has no slash before the colon, apart.
func splitSCP(address string) (host, file string, ok bool) {
	user, _, _ := strings.Cut(address, ":")
	address = address[strings.LastIndexByte(user, '@')+1:]
	if literal, isLiteral := strings.CutPrefix(address, "["); isLiteral {
		host, file, ok = strings.Cut(literal, "]:")
	} else {
		host, file, ok = strings.Cut(address, ":")
	}
	return host, file, ok && host != "" && !strings.Contains(host, "/")
}

// cleanHost writes a host in one way. GitHub answers for ssh on port 443 under a
// name of its own.
func cleanHost(host string) string {
	host = strings.TrimRight(strings.ToLower(host), ".")
	if host == "ssh.github.com" {
		return "github.com"
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
