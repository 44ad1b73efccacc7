package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Limits of an ssh connection.
const (
	sshDialTimeout = 30 * time.Second // connection and handshake together
)

// sshTransport connects with one key and one known_hosts file. It asks no
// agent and reads nothing of ~/.ssh, so what it does is what Config says.
type sshTransport struct {
	remote remote
	auth   Auth
}

func (t sshTransport) close() {}

func (t sshTransport) open(ctx context.Context, service string) (session, error) {
	client, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	s, err := startRemote(ctx, client, service+" "+shellQuote(t.remote.path))
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	return s, nil
}

// addr is host:port of the server.
func (t sshTransport) addr() string {
	if host, port, err := net.SplitHostPort(t.remote.host); err == nil {
		return net.JoinHostPort(host, port)
	}
	return net.JoinHostPort(strings.Trim(t.remote.host, "[]"), "22")
}

func (t sshTransport) dial(ctx context.Context) (*ssh.Client, error) {
	config, err := t.clientConfig()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sshDialTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.addr())
	if err != nil {
		return nil, err
	}
	// The handshake knows no context; closing the connection ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, chans, reqs, err := ssh.NewClientConn(conn, t.addr(), config)
	if !stop() && err == nil {
		_ = c.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, t.handshakeError(err)
	}
	return ssh.NewClient(c, chans, reqs), nil
}

func (t sshTransport) clientConfig() (*ssh.ClientConfig, error) {
	key, err := readSecret(t.auth.SSHKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read ssh key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) && t.auth.SSHPassphraseFile != "" {
		pass, perr := readSecret(t.auth.SSHPassphraseFile)
		if perr != nil {
			return nil, fmt.Errorf("read passphrase of ssh key: %w", perr)
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(key, []byte(trimNewline(pass)))
	}
	if err != nil {
		return nil, fmt.Errorf("read ssh key %s: %w", t.auth.SSHKeyFile, err)
	}
	check, err := knownhosts.New(t.auth.KnownHostsFile)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	return &ssh.ClientConfig{
		User:              t.remote.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback:   check,
		HostKeyAlgorithms: knownAlgorithms(check, t.addr()),
		Timeout:           sshDialTimeout,
	}, nil
}

// knownAlgorithms asks known_hosts which kinds of key it holds for addr, so
// that the server shows one of those and not another it also has.
func knownAlgorithms(check ssh.HostKeyCallback, addr string) []string {
	var keyErr *knownhosts.KeyError
	if err := check(addr, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &keyErr) {
		return nil
	}
	var out []string
	for _, k := range keyErr.Want {
		if k.Key.Type() == ssh.KeyAlgoRSA {
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		out = append(out, k.Key.Type())
	}
	return out
}

// noKey is a public key that is in no known_hosts file.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

func (t sshTransport) handshakeError(err error) error {
	var keyErr *knownhosts.KeyError
	switch {
	case errors.As(err, &keyErr) && len(keyErr.Want) == 0:
		return fmt.Errorf("%w: %s is not in %s; add it with `ssh-keyscan` after comparing the fingerprint",
			ErrHostKey, t.addr(), t.auth.KnownHostsFile)
	case errors.As(err, &keyErr):
		return fmt.Errorf("%w: %s shows another key than %s line %d; somebody may be listening, or the server was reinstalled",
			ErrHostKey, t.addr(), keyErr.Want[0].Filename, keyErr.Want[0].Line)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("%w: the server refused key %s for user %q", ErrUnauthorized, t.auth.SSHKeyFile, t.remote.user)
	}
	return err
}

// startRemote runs a command on the server; the client belongs to the session.
func startRemote(ctx context.Context, client *ssh.Client, command string) (session, error) {
	sess, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := sess.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := sess.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr := &messages{}
	sess.Stderr = stderr
	if err := sess.Start(command); err != nil {
		return nil, err
	}
	return newPipeSession(ctx, in, out, stderr, &remoteProcess{client: client, sess: sess}), nil
}

// remoteProcess is a command on an ssh server, with the connection to it.
type remoteProcess struct {
	client *ssh.Client
	sess   *ssh.Session
	waited bool
}

func (p *remoteProcess) kill() { _ = p.client.Close() }

func (p *remoteProcess) wait() error {
	if p.waited {
		return nil
	}
	p.waited = true
	err := p.sess.Wait()
	_ = p.client.Close()
	// The connection's goroutines end with it.
	_ = p.client.Wait()
	return err
}

// shellQuote quotes s for the server's shell as git itself does.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}
