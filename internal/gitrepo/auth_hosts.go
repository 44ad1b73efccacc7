package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// knownHosts is a known_hosts file as OpenSSH reads it: hashed names, ports,
// patterns, @cert-authority and @revoked.
type knownHosts struct {
	path  string
	addr  string // host:port of the server
	check ssh.HostKeyCallback
	lines []string
}

func readKnownHosts(path, addr string) (*knownHosts, error) {
	data, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	check, err := knownhosts.New(path)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return &knownHosts{path: path, addr: addr, check: check, lines: strings.Split(string(data), "\n")}, nil
}

// entries returns the keys and the authorities that the file has for the server.
func (k *knownHosts) entries() (keys, authorities []knownhosts.KnownKey) {
	var found *knownhosts.KeyError
	// The network address does not matter where there is a name.
	if err := k.check(k.addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &found) {
		return nil, nil
	}
	for _, e := range found.Want {
		// The file may have been replaced since; then the next connection is right.
		if e.Line <= len(k.lines) && strings.HasPrefix(strings.TrimSpace(k.lines[e.Line-1]), "@cert-authority") {
			authorities = append(authorities, e)
		} else {
			keys = append(keys, e)
		}
	}
	return keys, authorities
}

// algorithms are the kinds of key to ask the server for: those that the file
// has, so that it does not show another one that it also has. nil is any.
func (k *knownHosts) algorithms() []string {
	keys, authorities := k.entries()
	var out []string
	if len(authorities) > 0 {
		// An authority may sign keys of every kind.
		out = append(out, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01,
			ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	for _, e := range keys {
		kinds := []string{e.Key.Type()}
		if kinds[0] == ssh.KeyAlgoRSA {
			kinds = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256} // never with SHA-1
		}
		for _, kind := range kinds {
			if !slices.Contains(out, kind) {
				out = append(out, kind)
			}
		}
	}
	return out
}

// callback decides about the key that the server shows; errors.Is ErrHostKey.
func (k *knownHosts) callback(_ string, remote net.Addr, key ssh.PublicKey) error {
	err := k.check(k.addr, remote, key)
	keys, _ := k.entries()
	if _, cert := key.(*ssh.Certificate); err == nil && !cert &&
		!slices.ContainsFunc(keys, func(e knownhosts.KnownKey) bool { return bytes.Equal(e.Key.Marshal(), key.Marshal()) }) {
		// An authority's own key is no host's key.
		err = &knownhosts.KeyError{Want: keys}
	}
	if err == nil {
		return nil
	}
	var other *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return fmt.Errorf("%w: the key of %s is revoked in %s line %d", ErrHostKey, k.addr, k.path, revoked.Revoked.Line)
	case errors.As(err, &other) && len(other.Want) == 0:
		return fmt.Errorf("%w: %s is not in %s; add it with `ssh-keyscan` after comparing the fingerprint %s",
			ErrHostKey, k.addr, k.path, ssh.FingerprintSHA256(key))
	case errors.As(err, &other):
		return fmt.Errorf("%w: %s shows another key (%s) than %s line %d; somebody may be listening, or the server was reinstalled",
			ErrHostKey, k.addr, ssh.FingerprintSHA256(key), k.path, other.Want[0].Line)
	}
	return fmt.Errorf("%w: %s: %w", ErrHostKey, k.addr, err) // a certificate that is not good
}

// noKey is a public key that is in no known_hosts file.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
