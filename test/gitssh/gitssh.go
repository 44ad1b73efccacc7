// Package gitssh serves the repositories below a folder over SSH in this
// process, for tests: it runs git-upload-pack and git-receive-pack of the git
// program and nothing else. One key may log in, as any user.
package gitssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Server is a running server with the files a client needs.
type Server struct {
	URL            string // ssh://git@127.0.0.1:port, without a slash at its end
	Addr           string // 127.0.0.1:port
	KeyFile        string // private key that may log in
	OtherKeyFile   string // private key that may not
	KnownHostsFile string // holds the server's key
}

// Serve runs a server for root until the test ends; a repository root/a/b.git
// has the URL Server.URL + "/a/b.git". It returns after every connection ended.
func Serve(t testing.TB, root string) *Server {
	t.Helper()
	s, stop, err := start(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

// start writes the key files into dir and begins to accept connections.
func start(root, dir string) (*Server, func(), error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, nil, err
	}
	hostKey, _, err := newKey(filepath.Join(dir, "host_key"))
	if err != nil {
		return nil, nil, err
	}
	_, allowed, err := newKey(filepath.Join(dir, "id"))
	if err != nil {
		return nil, nil, err
	}
	if _, _, err := newKey(filepath.Join(dir, "other_id")); err != nil {
		return nil, nil, err
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), allowed.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}
	config.AddHostKey(hostKey)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	addr := l.Addr().String()
	s := &Server{
		URL: "ssh://git@" + addr, Addr: addr,
		KeyFile: filepath.Join(dir, "id"), OtherKeyFile: filepath.Join(dir, "other_id"),
		KnownHostsFile: filepath.Join(dir, "known_hosts"),
	}
	line := knownhosts.Line([]string{addr}, hostKey.PublicKey()) + "\n"
	if err := os.WriteFile(s.KnownHostsFile, []byte(line), 0o600); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { accept(ctx, l, config, root, &running) })
	return s, func() { cancel(); _ = l.Close(); running.Wait() }, nil
}

// newKey writes an ed25519 private key in OpenSSH's format.
func newKey(path string) (ssh.Signer, ssh.PublicKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, nil, err
	}
	return signer, signer.PublicKey(), nil
}

func accept(ctx context.Context, l net.Listener, config *ssh.ServerConfig, root string, running *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		running.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			defer func() { _ = conn.Close() }()
			serve(conn, config, root, running)
		})
	}
}

func serve(conn net.Conn, config *ssh.ServerConfig, root string, running *sync.WaitGroup) {
	c, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	running.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, reqs, err := ch.Accept()
		if err != nil {
			break
		}
		running.Go(func() { session(channel, reqs, root) })
	}
	_ = c.Close()
}

// session answers one exec request; everything else is refused.
func session(ch ssh.Channel, requests <-chan *ssh.Request, root string) {
	defer func() { _ = ch.Close() }()
	for req := range requests {
		var exec struct{ Command string }
		if req.Type != "exec" || ssh.Unmarshal(req.Payload, &exec) != nil {
			_ = req.Reply(false, nil)
			continue
		}
		_ = req.Reply(true, nil)
		code := run(ch, exec.Command, root)
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		return
	}
}

// run runs a git service on the repository a command names and returns its exit code.
func run(ch ssh.Channel, command, root string) uint32 {
	service, path, err := parse(command)
	if err != nil {
		_, _ = fmt.Fprintln(ch.Stderr(), err)
		return 1
	}
	// Below root, whatever dots the path has.
	dir := filepath.Join(root, filepath.Clean("/"+path))
	cmd := exec.Command("git", "-c", "receive.autogc=false", "-c", "safe.directory=*", service, dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, ch, ch.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return 1
	}
	if err := cmd.Start(); err != nil {
		_, _ = fmt.Fprintln(ch.Stderr(), err)
		return 1
	}
	// Ends when the client closes its side, or the channel is closed after the exit.
	go func() {
		_, _ = io.Copy(in, ch)
		_ = in.Close()
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) {
		return uint32(max(exit.ExitCode(), 1))
	}
	return 0
}

// parse reads "git-upload-pack '/path'" as git quotes it.
func parse(command string) (service, path string, err error) {
	name, arg, _ := strings.Cut(command, " ")
	service, ok := strings.CutPrefix(name, "git-")
	if !ok || service != "upload-pack" && service != "receive-pack" {
		return "", "", fmt.Errorf("command %q is not allowed", name)
	}
	arg = strings.NewReplacer(`'\''`, "'", `'\!'`, "!").Replace(arg)
	return service, strings.TrimSuffix(strings.TrimPrefix(arg, "'"), "'"), nil
}
