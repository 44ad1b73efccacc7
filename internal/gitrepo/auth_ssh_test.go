package gitrepo

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"towpath.dev/towpath/test/gitssh"
)

// runAgent serves a keyring at a socket and returns its path.
func runAgent(t *testing.T, ring agent.Agent) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // a socket's path has to be short
	check(t, err)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	check(t, err)
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			conns.Go(func() {
				defer stop()
				defer func() { _ = c.Close() }()
				if ring == nil { // one that never answers
					<-ctx.Done()
					return
				}
				_ = agent.ServeAgent(ring, c) // ends with the connection
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); conns.Wait(); _ = os.RemoveAll(dir) })
	return l.Addr().String()
}

// hold adds private keys to a keyring.
func hold(t *testing.T, ring agent.Agent, keys ...any) agent.Agent {
	t.Helper()
	for _, k := range keys {
		check(t, ring.Add(agent.AddedKey{PrivateKey: k}))
	}
	return ring
}

func privateKey(t *testing.T, file string) any {
	t.Helper()
	return must(ssh.ParseRawPrivateKey(must(os.ReadFile(file))(t)))(t)
}

func public(t *testing.T, key any) ssh.PublicKey {
	t.Helper()
	return must(ssh.NewSignerFromKey(key))(t).PublicKey()
}

func TestKeysOfTheSSHAgent(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	s := gitssh.Serve(t, root)
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	right := privateKey(t, s.KeyFile)
	otherPublic := secret(t, string(ssh.MarshalAuthorizedKey(public(t, other))))
	rightPublic := secret(t, string(ssh.MarshalAuthorizedKey(public(t, right))))
	both := runAgent(t, hold(t, agent.NewKeyring(), &other, right))
	for name, c := range map[string]struct {
		socket, key string
		want        error
		text        string
	}{
		"all of its keys":            {socket: both},
		"the one that is named":      {socket: both, key: rightPublic},
		"another one is named":       {socket: both, key: otherPublic, want: ErrUnauthorized, text: "ssh agent"},
		"one that it has not":        {socket: runAgent(t, hold(t, agent.NewKeyring(), &other)), key: rightPublic, text: "does not have the key SHA256:"},
		"none that the server knows": {socket: runAgent(t, hold(t, agent.NewKeyring(), &other)), want: ErrUnauthorized, text: "ssh agent"},
		"no keys":                    {socket: runAgent(t, agent.NewKeyring()), text: "ssh-add"},
		"a private key is named":     {socket: both, key: s.KeyFile, text: "public key (KEY.pub)"},
		"no agent":                   {socket: "", text: "SSH_AUTH_SOCK"},
		"an agent that is gone":      {socket: "/absent/socket", text: "ask the ssh agent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(sshAuthSock, c.socket)
			config := Config{URL: s.URL + "/config.git", Auth: Auth{SSHAgent: true, SSHKeyFile: c.key, KnownHostsFile: s.KnownHostsFile}}
			if c.text == "" {
				roundTrip(t, config, dir)
				return
			}
			config.Dir = t.TempDir()
			_, err := Open(t.Context(), config)
			if err == nil || !strings.Contains(err.Error(), c.text) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want words like %q", err, c.text)
			}
		})
	}
	t.Run("one that does not answer ends with the context", func(t *testing.T) {
		t.Setenv(sshAuthSock, runAgent(t, nil))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := Open(ctx, Config{URL: s.URL + "/config.git", Dir: t.TempDir(), Auth: Auth{SSHAgent: true, KnownHostsFile: s.KnownHostsFile}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without being told to it is not asked", func(t *testing.T) {
		t.Setenv(sshAuthSock, both)
		_, err := Open(t.Context(), Config{URL: s.URL + "/config.git", Dir: t.TempDir(), Auth: Auth{KnownHostsFile: s.KnownHostsFile}})
		if err == nil || !strings.Contains(err.Error(), "needs a private key file") {
			t.Errorf("got %v", err)
		}
	})
}

func TestRSAKeysSignWithSHA2Only(t *testing.T) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	fromFile := must(parseSSHKey(must(os.ReadFile(sshKey(t, key)))(t), ""))(t)
	fromAgent := must(agentSigners(hold(t, agent.NewKeyring(), key).(agent.ExtendedAgent), nil))(t)
	for _, s := range append(fromAgent, fromFile) {
		able := s.(ssh.MultiAlgorithmSigner)
		if got := strings.Join(able.Algorithms(), " "); got != "rsa-sha2-512 rsa-sha2-256" {
			t.Errorf("it signs with %s", got)
		}
	}
}

// hostCert makes a host certificate for names.
func hostCert(t *testing.T, authority, host any, names []string, until time.Time) ssh.PublicKey {
	t.Helper()
	c := &ssh.Certificate{Key: public(t, host), CertType: ssh.HostCert, ValidPrincipals: names,
		ValidAfter: 1, ValidBefore: uint64(until.Unix())}
	check(t, c.SignCert(rand.Reader, must(ssh.NewSignerFromKey(authority))(t)))
	return c
}

func TestKnownHostsAreReadAsOpenSSHDoes(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	_, ed2, _ := ed25519.GenerateKey(rand.Reader)
	_, ca, _ := ed25519.GenerateKey(rand.Reader)
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	rs := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	line := func(names string, key any) string {
		return names + " " + string(ssh.MarshalAuthorizedKey(public(t, key)))
	}
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	const certs = "ssh-ed25519-cert-v01@openssh.com"
	for name, c := range map[string]struct {
		file, addr string
		key        ssh.PublicKey
		fails      string // words of the error
		kinds      string // first and last algorithm asked for
	}{
		"a plain name":               {line("h.example", ed), "h.example:22", public(t, ed), "", "ssh-ed25519 ssh-ed25519"},
		"another port":               {line("h.example", ed), "h.example:2222", public(t, ed), "is not in", " "},
		"a name with a port":         {line("[h.example]:2222", ed), "h.example:2222", public(t, ed), "", "ssh-ed25519 ssh-ed25519"},
		"a hashed name":              {line(knownhosts.HashHostname("h.example"), ed), "h.example:22", public(t, ed), "", "ssh-ed25519 ssh-ed25519"},
		"a hashed name with a port":  {line(knownhosts.HashHostname("[h.example]:2222"), ed), "h.example:2222", public(t, ed), "", "ssh-ed25519 ssh-ed25519"},
		"a pattern":                  {line("*.example,!bad.example", ed), "h.example:22", public(t, ed), "", "ssh-ed25519 ssh-ed25519"},
		"a pattern that excludes":    {line("*.example,!bad.example", ed), "bad.example:22", public(t, ed), "is not in", " "},
		"several keys":               {line("h.example", ed2) + line("h.example", ec) + line("h.example", ed), "h.example:22", public(t, ed), "", "ssh-ed25519 ecdsa-sha2-nistp256"},
		"rsa is asked for with SHA2": {line("h.example", rs), "h.example:22", public(t, rs), "", "rsa-sha2-512 rsa-sha2-256"},
		"another key":                {line("h.example", ed), "h.example:22", public(t, ed2), "shows another key", "ssh-ed25519 ssh-ed25519"},
		"a revoked key":              {line("h.example", ed) + "@revoked " + line("*", ed), "h.example:22", public(t, ed), "is revoked", "ssh-ed25519 ssh-ed25519"},
		"another key is revoked":     {line("h.example", ed) + "@revoked " + line("*", ed2), "h.example:22", public(t, ed), "", "ssh-ed25519 ssh-ed25519"},
		"a certificate":              {"@cert-authority " + line("*.example", ca), "h.example:22", hostCert(t, ca, ed, []string{"h.example"}, later), "", certs + " rsa-sha2-256-cert-v01@openssh.com"},
		"certificate or key":         {"@cert-authority " + line("*.example", ca) + line("h.example", ed), "h.example:22", public(t, ed), "", certs + " ssh-ed25519"},
		"one of another host":        {"@cert-authority " + line("*.example", ca), "h.example:22", hostCert(t, ca, ed, []string{"g.example"}, later), "not in the set of valid principals", certs + " rsa-sha2-256-cert-v01@openssh.com"},
		"one that is over":           {"@cert-authority " + line("*.example", ca), "h.example:22", hostCert(t, ca, ed, []string{"h.example"}, past), "expired", certs + " rsa-sha2-256-cert-v01@openssh.com"},
		"one of another authority":   {"@cert-authority " + line("*.example", ca), "h.example:22", hostCert(t, ed2, ed, []string{"h.example"}, later), "no authorities", certs + " rsa-sha2-256-cert-v01@openssh.com"},
		"of a revoked authority":     {"@cert-authority " + line("*", ca) + "@revoked " + line("*", ca), "h.example:22", hostCert(t, ca, ed, []string{"h.example"}, later), "revoked", certs + " rsa-sha2-256-cert-v01@openssh.com"},
		"an authority's own key":     {"@cert-authority " + line("*.example", ca), "h.example:22", public(t, ca), "is not in", certs + " rsa-sha2-256-cert-v01@openssh.com"},
		"comments and empty lines":   {"# hello\n\n  " + line("h.example", ed), "h.example:22", public(t, ed), "", "ssh-ed25519 ssh-ed25519"},
		"an empty file":              {"", "h.example:22", public(t, ed), "ssh-keyscan", " "},
	} {
		t.Run(name, func(t *testing.T) {
			k := must(readKnownHosts(secret(t, c.file), c.addr))(t)
			err := k.callback("whatever the library says", &net.TCPAddr{IP: net.IPv4(1, 2, 3, 4), Port: 22}, c.key)
			if c.fails == "" && err != nil || c.fails != "" && (!errors.Is(err, ErrHostKey) || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("got %v, want words like %q", err, c.fails)
			}
			first, last := "", ""
			if kinds := k.algorithms(); len(kinds) > 0 {
				first, last = kinds[0], kinds[len(kinds)-1]
			}
			if first+" "+last != c.kinds {
				t.Errorf("asked for %s … %s, want %s", first, last, c.kinds)
			}
		})
	}
	for _, bad := range []string{"h.example ssh-ed25519 xxxx\n", "@revoked\n", "@unknown h.example ssh-ed25519 AAAA\n"} {
		if _, err := readKnownHosts(secret(t, bad), "h:22"); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

// mute is an ssh server that does part of what it is asked, then nothing.
func mute(t *testing.T, opens bool) (url, hosts string) {
	t.Helper()
	_, host, _ := ed25519.GenerateKey(rand.Reader)
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(must(ssh.NewSignerFromKey(host))(t))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				conn, channels, requests, err := ssh.NewServerConn(c, config)
				if err != nil {
					return
				}
				conns.Go(func() {
					for range requests { // never answered
					}
				})
				for ch := range channels {
					if !opens {
						continue
					}
					_, reqs, err := ch.Accept()
					if err != nil {
						break
					}
					conns.Go(func() {
						for r := range reqs {
							_ = r.Reply(true, nil) // a client that is gone needs none
						}
					})
				}
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = l.Close(); conns.Wait() })
	addr := l.Addr().String()
	return "ssh://" + addr + "/x.git", secret(t, knownhosts.Line([]string{addr}, public(t, host)))
}

func TestAnSSHServerThatStopsAnswering(t *testing.T) {
	s := gitssh.Serve(t, t.TempDir())
	for name, opens := range map[string]bool{"after the handshake": false, "after the command": true} {
		t.Run(name+" ends with the context", func(t *testing.T) {
			url, hosts := mute(t, opens)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := Open(ctx, Config{URL: url, Dir: t.TempDir(), Auth: Auth{SSHKeyFile: s.KeyFile, KnownHostsFile: hosts}})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("is given up", func(t *testing.T) {
		url, hosts := mute(t, true)
		tr := sshTransport{remote: must(parseRemote(url))(t), auth: Auth{SSHKeyFile: s.KeyFile, KnownHostsFile: hosts}, alive: 5 * time.Millisecond}
		sess := must(tr.open(t.Context(), uploadPack))(t)
		if _, err := sess.refs(t.Context()); err == nil {
			t.Error("it answered")
		}
		_ = sess.close() // the connection is gone
	})
}

// sshd is OpenSSH's own server, with keys of every kind and a host certificate.
type sshd struct {
	url   string            // ssh://user@host:port
	hosts map[string]string // known_hosts files
}

// startSSHD runs it for the current user; keys are the files of public keys that
// may log in.
func startSSHD(t *testing.T, keys ...string) sshd {
	t.Helper()
	server, keygenProgram := program(t, "sshd", "openssh-server"), program(t, "ssh-keygen", "openssh-client")
	dir := t.TempDir()
	var allowed bytes.Buffer
	for _, k := range keys {
		allowed.Write(must(os.ReadFile(k))(t))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	check(t, l.Close())
	ca, ed, rs := keygen(t, "-t", "ed25519", "-N", ""), keygen(t, "-t", "ed25519", "-N", ""), keygen(t, "-t", "rsa", "-b", "2048", "-N", "")
	runIn(t, nil, keygenProgram, "-q", "-s", ca, "-h", "-I", "host", "-n", "127.0.0.1", ed+".pub")
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		check(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	config := write("config", strings.Join([]string{
		"ListenAddress 127.0.0.1:" + port, "HostKey " + ed, "HostKey " + rs, "HostCertificate " + ed + "-cert.pub",
		"AuthorizedKeysFile " + write("allowed", allowed.String()), "StrictModes no", "UsePAM no", "PidFile none",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password", "PubkeyAcceptedAlgorithms -ssh-rsa", "",
	}, "\n"))
	if os.Getuid() == 0 {
		check(t, os.MkdirAll("/run/sshd", 0o755)) // it separates its privileges there
	}
	cmd := exec.Command(server, "-D", "-e", "-f", config)
	var said bytes.Buffer
	cmd.Stderr = &said
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("sshd said: %s", said.String())
		}
	})
	addr := net.JoinHostPort("127.0.0.1", port)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("sshd does not start: %s", said.String())
		}
	}
	name := "[127.0.0.1]:" + port + " "
	read := func(key string) string { return string(must(os.ReadFile(key + ".pub"))(t)) }
	hashed := write("hashed", name+read(ed)+name+read(rs))
	runIn(t, nil, keygenProgram, "-H", "-f", hashed)
	user := strings.TrimSpace(runIn(t, nil, "id", "-un"))
	return sshd{url: "ssh://" + user + "@" + addr, hosts: map[string]string{
		"plain": write("plain", name+read(ed)), "rsa": write("rsa", name+read(rs)), "hashed": hashed,
		"authority": write("authority", "@cert-authority "+name+read(ca)),
		"revoked":   write("revoked", name+read(ed)+"@revoked * "+read(ed)),
	}}
}

func TestOpenSSHsOwnServerAndKeys(t *testing.T) {
	var publics []string
	files := map[string]string{}
	for name, args := range sshKinds() {
		files[name] = keygen(t, args...)
		publics = append(publics, files[name]+".pub")
	}
	s := startSSHD(t, publics...)
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	url := s.url + root + "/config.git"
	for name, file := range files {
		t.Run("key "+name, func(t *testing.T) {
			roundTrip(t, Config{URL: url, Auth: Auth{SSHKeyFile: file, SSHPassphraseFile: secret(t, passphrase), KnownHostsFile: s.hosts["plain"]}}, dir)
		})
	}
	for _, hosts := range []string{"rsa", "hashed", "authority"} {
		t.Run("known hosts "+hosts, func(t *testing.T) {
			roundTrip(t, Config{URL: url, Auth: Auth{SSHKeyFile: files["ed25519"], KnownHostsFile: s.hosts[hosts]}}, dir)
		})
	}
	for name, c := range map[string]struct {
		auth Auth
		want error
		text string
	}{
		"a revoked host key": {Auth{SSHKeyFile: files["ed25519"], KnownHostsFile: s.hosts["revoked"]}, ErrHostKey, "revoked"},
		"a foreign key":      {Auth{SSHKeyFile: keygen(t, "-t", "ed25519", "-N", ""), KnownHostsFile: s.hosts["plain"]}, ErrUnauthorized, "refused key"},
		"no passphrase":      {Auth{SSHKeyFile: files["ed25519 with a phrase"], KnownHostsFile: s.hosts["plain"]}, nil, "passphrase file"},
		"wrong passphrase": {Auth{SSHKeyFile: files["rsa in PEM with phrase"], SSHPassphraseFile: secret(t, secretPassword), KnownHostsFile: s.hosts["plain"]},
			nil, "not the key's"},
		"a public key": {Auth{SSHKeyFile: files["ed25519"] + ".pub", KnownHostsFile: s.hosts["plain"]}, nil, "is a public key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), Config{URL: url, Dir: t.TempDir(), Auth: c.auth})
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), secretPassword) {
				t.Errorf("got %v, want words like %q", err, c.text)
			}
		})
	}
}
