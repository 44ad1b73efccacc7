package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Limits of an ssh connection. A peer that does not answer aliveMissed questions
// in a row is dead; everything ends with the context besides.
const (
	sshDialTimeout = 30 * time.Second // connection and handshake together
	aliveInterval  = 30 * time.Second
	aliveMissed    = 4
)

// sshTransport connects with the keys and the one known_hosts file that Auth
// names. It reads nothing of ~/.ssh, and asks the ssh agent only when told to.
type sshTransport struct {
	remote remote
	auth   Auth
	alive  time.Duration // between two questions whether the peer lives; 0 is aliveInterval
}

func (t sshTransport) close() {}

func (t sshTransport) open(ctx context.Context, service string) (session, error) {
	client, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	// Opening the session and starting the command know no context either.
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	s, err := startRemote(ctx, client, service+" "+shellQuote(t.remote.path), t.alive)
	stop()
	if err != nil {
		_ = client.Close()
		_ = client.Wait()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return s, nil
}

// addr is host:port of the server, as known_hosts has it.
func (t sshTransport) addr() string {
	if host, port, err := net.SplitHostPort(t.remote.host); err == nil && port != "" {
		return net.JoinHostPort(strings.ToLower(host), port)
	}
	return net.JoinHostPort(strings.ToLower(strings.Trim(strings.TrimSuffix(t.remote.host, ":"), "[]")), "22")
}

func (t sshTransport) dial(ctx context.Context) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, sshDialTimeout)
	defer cancel()
	hosts, err := readKnownHosts(t.auth.KnownHostsFile, t.addr())
	if err != nil {
		return nil, err
	}
	keys, end, err := t.auth.clientKeys(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.addr())
	if err != nil {
		return nil, err
	}
	// The handshake knows no context; closing the connection ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, chans, reqs, err := ssh.NewClientConn(conn, t.addr(), &ssh.ClientConfig{
		User:              t.remote.user,
		Auth:              []ssh.AuthMethod{keys},
		HostKeyCallback:   hosts.callback,
		HostKeyAlgorithms: hosts.algorithms(),
		Timeout:           sshDialTimeout,
	})
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

func (t sshTransport) handshakeError(err error) error {
	var none *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &none) && strings.Contains(err.Error(), "host key"):
		return fmt.Errorf("%w: %s has no key of a kind that %s has for it: %w", ErrHostKey, t.addr(), t.auth.KnownHostsFile, err)
	case strings.Contains(err.Error(), "unable to authenticate") && t.auth.SSHAgent:
		return fmt.Errorf("%w: the server refused the keys of the ssh agent for user %q", ErrUnauthorized, t.remote.user)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("%w: the server refused key %s for user %q", ErrUnauthorized, t.auth.SSHKeyFile, t.remote.user)
	}
	return err
}

// startRemote runs a command on the server; the client belongs to the session.
func startRemote(ctx context.Context, client *ssh.Client, command string, alive time.Duration) (session, error) {
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
	p := &remoteProcess{client: client, sess: sess, ended: make(chan struct{})}
	if alive == 0 {
		alive = aliveInterval
	}
	p.watch.Go(func() { p.keepAlive(alive) })
	return newPipeSession(ctx, in, out, stderr, p), nil
}

// remoteProcess is a command on an ssh server, with the connection to it.
type remoteProcess struct {
	client *ssh.Client
	sess   *ssh.Session
	ended  chan struct{}
	watch  sync.WaitGroup
	waited bool
}

// keepAlive asks the server now and then whether it lives, which also keeps
// the connection in the tables of firewalls, and ends it when it does not.
func (p *remoteProcess) keepAlive(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	answered := make(chan bool, 1)
	asking, missed := false, 0
	for {
		select {
		case <-p.ended:
			return
		case ok := <-answered:
			if asking, missed = false, 0; !ok {
				return // the connection is gone
			}
		case <-tick.C:
			if missed++; missed > aliveMissed {
				p.kill()
				return
			}
			if !asking {
				asking = true
				p.watch.Go(func() {
					_, _, err := p.client.SendRequest("keepalive@openssh.com", true, nil)
					answered <- err == nil
				})
			}
		}
	}
}

func (p *remoteProcess) kill() { _ = p.client.Close() }

func (p *remoteProcess) wait() error {
	if p.waited {
		return nil
	}
	p.waited = true
	err := p.sess.Wait()
	close(p.ended)
	_ = p.client.Close()
	// The connection's goroutines end with it.
	_ = p.client.Wait()
	p.watch.Wait()
	return err
}

// shellQuote quotes s for the server's shell as git itself does.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}
