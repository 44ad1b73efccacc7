package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"unicode"
)

// Auth says how to log in and whom to trust. It names files, so that no secret
// is in a flag or an environment variable; they are read again at each
// connection, so that rotated ones are used at once. A newline at their end is
// ignored. What is for another kind of URL than Config.URL is ignored.
//
// Of BearerTokenFile, Login, and UsernameFile with PasswordFile only one may be
// given.
type Auth struct {
	// UsernameFile and PasswordFile are for http(s): a password or a token.
	// Without UsernameFile the user is the URL's, else "git", which is right for
	// tokens of nearly every forge.
	UsernameFile, PasswordFile string
	// BearerTokenFile is sent as "Authorization: Bearer" over http(s).
	BearerTokenFile string
	// Login is asked for user and password at each http(s) connection. refused
	// is "" or the password that it gave and the server just refused (401); then
	// it is asked once more, and should not give the same again. The user "" is
	// "git".
	Login func(ctx context.Context, refused string) (user, password string, err error)
	// CAFile holds certificates (PEM) of authorities that are trusted besides
	// the system's. There is no way to trust a server without a certificate.
	CAFile string
	// ClientCertFile and ClientKeyFile (PEM, not encrypted) are shown to the
	// server of Config.URL, and to no other that it redirects to.
	ClientCertFile, ClientKeyFile string
	// ProxyURL is an http, https or socks5 proxy for http(s), with a user name
	// but without password; "" is what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
	ProxyURL string
	// ProxyPasswordFile belongs to the user name in ProxyURL.
	ProxyPasswordFile string

	// SSHKeyFile is a private key, PEM or OpenSSH's own form: Ed25519, ECDSA or
	// RSA. With SSHAgent it is a public key: that key alone is used.
	SSHKeyFile string
	// SSHPassphraseFile opens SSHKeyFile, when that is encrypted.
	SSHPassphraseFile string
	// SSHAgent uses the keys of the ssh agent at $SSH_AUTH_SOCK: the one thing
	// that is no file.
	SSHAgent bool
	// KnownHostsFile is always needed for ssh; unknown hosts are refused.
	KnownHostsFile string
}

const (
	maxSecretBytes = 1 << 20 // of a credential, key or certificate file
	defaultUser    = "git"
)

// check says what contradicts itself, or is missing, for a kind of URL.
func (a Auth) check(scheme string) error {
	switch scheme {
	case "http", "https":
		return a.checkHTTP()
	case "ssh":
		return a.checkSSH()
	}
	return nil
}

func (a Auth) checkHTTP() error {
	ways := 0
	for _, given := range []bool{a.UsernameFile != "" || a.PasswordFile != "", a.BearerTokenFile != "", a.Login != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("there are several ways to log in; give a password file, a bearer token file or a login, not two of them")
	case a.UsernameFile != "" && a.PasswordFile == "":
		return errors.New("there is a user name file, but no password file")
	case (a.ClientCertFile == "") != (a.ClientKeyFile == ""):
		return errors.New("a client certificate needs both files, that of the certificate and that of its key")
	}
	_, err := a.proxyURL()
	return err
}

func (a Auth) checkSSH() error {
	const advice = "; make one with `ssh-keyscan HOST` and compare the fingerprints with those that its owner publishes"
	switch {
	case a.KnownHostsFile == "" && a.SSHKeyFile == "" && !a.SSHAgent:
		return errors.New("ssh needs a private key file and a known_hosts file" + advice)
	case a.KnownHostsFile == "":
		return errors.New("ssh needs a known_hosts file" + advice)
	case a.SSHKeyFile == "" && !a.SSHAgent:
		return errors.New("ssh needs a private key file, or the ssh agent")
	case a.SSHAgent && a.SSHPassphraseFile != "":
		return errors.New("keys of the ssh agent need no passphrase file")
	}
	return nil
}

// proxyURL parses ProxyURL; nil means the environment's. Errors do not show it:
// it may hold a password.
func (a Auth) proxyURL() (*url.URL, error) {
	if a.ProxyURL == "" {
		if a.ProxyPasswordFile != "" {
			return nil, errors.New("there is a proxy password file, but no proxy")
		}
		return nil, nil
	}
	u, err := url.Parse(a.ProxyURL)
	if err != nil || u.Host == "" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the proxy is no URL of the form http://USER@HOST:PORT (it is not shown, it may hold a password)")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	default:
		return nil, fmt.Errorf("the proxy has scheme %q; known are http, https and socks5", u.Scheme)
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("the proxy's URL holds a password; put that into a file of its own (proxy password file)")
	}
	if a.ProxyPasswordFile != "" && u.User.Username() == "" {
		return nil, errors.New("there is a proxy password file, but no user name in the proxy's URL")
	}
	return u, nil
}

// sendsSecret reports whether a connection to r carries something that must not
// be read on the way. A user name without password is most likely a token.
func (a Auth) sendsSecret(r remote) bool { return r.user != "" || r.password != "" || a.logsIn() }

// logsIn reports whether there are credentials besides the URL's.
func (a Auth) logsIn() bool { return a.PasswordFile != "" || a.BearerTokenFile != "" || a.Login != nil }

// login is what an http request proves who we are by.
type login struct {
	user, password string
	bearer         bool // password is a token for "Authorization: Bearer"
	none           bool
}

// login reads the credentials anew. refused is for Auth.Login.
func (a Auth) login(ctx context.Context, r remote, refused string) (login, error) {
	user := r.user
	if user == "" {
		user = defaultUser
	}
	switch {
	case a.Login != nil:
		name, password, err := a.Login(ctx, refused)
		if err != nil {
			return login{}, fmt.Errorf("get credentials: %w", err)
		}
		if name != "" {
			user = name
		}
		return login{user: user, password: password}, nil
	case a.BearerTokenFile != "":
		token, err := readLine("bearer token", a.BearerTokenFile)
		return login{password: token, bearer: true}, err
	case a.PasswordFile != "":
		password, err := readLine("password", a.PasswordFile)
		if err == nil && a.UsernameFile != "" {
			user, err = readLine("user name", a.UsernameFile)
		}
		if err == nil && strings.Contains(user, ":") {
			err = errors.New("the user name has a colon, which basic authentication cannot send")
		}
		return login{user: user, password: password}, err
	case r.user == "" && r.password == "":
		return login{none: true}, nil
	}
	return login{user: r.user, password: r.password}, nil
}

// readLine reads a credential of one line. Errors name the file, never its content.
func readLine(what, path string) (string, error) {
	b, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	s := trimNewline(b)
	switch {
	case s == "":
		return "", fmt.Errorf("read %s: %s is empty", what, path)
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", fmt.Errorf("read %s: %s holds more than one line, or something that is no text", what, path)
	}
	return s, nil
}

// readSecret reads a credential file.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > maxSecretBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxSecretBytes)
	}
	return b, nil
}

func trimNewline(b []byte) string { return strings.TrimRight(string(b), "\r\n") }
