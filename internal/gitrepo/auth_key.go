package gitrepo

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// sshAuthSock is the environment variable that names the ssh agent's socket.
const sshAuthSock = "SSH_AUTH_SOCK"

// keyDSA is what ssh calls a DSA key.
const keyDSA = "ssh-dss"

// clientKeys returns what may be shown to an ssh server, and what ends the
// connection to the agent, which ends with ctx too.
func (a Auth) clientKeys(ctx context.Context) (ssh.AuthMethod, func(), error) {
	if a.SSHAgent {
		return a.agentKeys(ctx)
	}
	signer, err := readSSHKey(a.SSHKeyFile, a.SSHPassphraseFile)
	if err != nil {
		return nil, nil, err
	}
	return ssh.PublicKeys(signer), func() {}, nil
}

// readSSHKey reads a private key, in PEM or OpenSSH's form. Errors name files,
// never what they hold.
func readSSHKey(path, passphraseFile string) (ssh.Signer, error) {
	data, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read ssh key: %w", err)
	}
	passphrase := ""
	if passphraseFile != "" {
		if passphrase, err = readLine("passphrase of ssh key", passphraseFile); err != nil {
			return nil, err
		}
	}
	signer, err := parseSSHKey(data, passphrase)
	if err != nil {
		return nil, fmt.Errorf("read ssh key %s: %w", path, err)
	}
	return signer, nil
}

// parseSSHKey parses a private key. An open one needs no passphrase; having one
// all the same is no error.
func parseSSHKey(data []byte, passphrase string) (ssh.Signer, error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil && looksPublic(data):
		return nil, errors.New("it is a public key; the private one is in the file without .pub")
	case block == nil:
		return nil, errors.New("it holds no key in PEM or OpenSSH form")
	case block.Type == "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is an encrypted PKCS #8 key, which is not known; rewrite it with `ssh-keygen -p -f KEY`")
	}
	signer, err := ssh.ParsePrivateKey(data)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		if passphrase == "" {
			return nil, errors.New("it is encrypted; give a passphrase file")
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(data, []byte(passphrase))
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, errors.New("the passphrase is not the key's")
		}
	}
	if err != nil {
		return nil, err
	}
	return modern(signer)
}

func looksPublic(data []byte) bool {
	_, _, _, _, err := ssh.ParseAuthorizedKey(data)
	return err == nil
}

// modern allows no signature made with SHA-1, which is RSA's old way and DSA's
// only one.
func modern(signer ssh.Signer) (ssh.Signer, error) {
	switch kind := signer.PublicKey().Type(); kind {
	case keyDSA:
		return nil, errors.New("DSA keys are not accepted any more; make an Ed25519 key with `ssh-keygen -t ed25519`")
	case ssh.KeyAlgoRSA:
		able, ok := signer.(ssh.AlgorithmSigner)
		if !ok {
			return nil, errors.New("this RSA key can sign with SHA-1 only")
		}
		return ssh.NewSignerWithAlgorithms(able, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
	}
	return signer, nil
}

// agentKeys asks the ssh agent for its keys, or for the one whose public half
// SSHKeyFile holds: a server lets only a few be tried.
func (a Auth) agentKeys(ctx context.Context) (ssh.AuthMethod, func(), error) {
	socket := os.Getenv(sshAuthSock)
	if socket == "" {
		return nil, nil, errors.New("the ssh agent is to be used, but $" + sshAuthSock + " names none")
	}
	var only ssh.PublicKey
	if a.SSHKeyFile != "" {
		data, err := readSecret(a.SSHKeyFile)
		if err != nil {
			return nil, nil, fmt.Errorf("read public ssh key: %w", err)
		}
		if only, _, _, _, err = ssh.ParseAuthorizedKey(data); err != nil {
			return nil, nil, fmt.Errorf("read public ssh key %s: with the ssh agent this has to be a public key (KEY.pub), "+
				"which says which of the agent's keys to use", a.SSHKeyFile)
		}
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the ssh agent: %w", err)
	}
	// The agent's protocol knows no context; closing the connection ends it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	end := func() { stop(); _ = conn.Close() }
	signers, err := agentSigners(agent.NewClient(conn), only)
	if err != nil {
		end()
		return nil, nil, err
	}
	return ssh.PublicKeys(signers...), end, nil
}

func agentSigners(from agent.ExtendedAgent, only ssh.PublicKey) ([]ssh.Signer, error) {
	all, err := from.Signers()
	if err != nil {
		return nil, fmt.Errorf("ask the ssh agent for its keys: %w", err)
	}
	var out []ssh.Signer
	for _, s := range all {
		if only != nil && !bytes.Equal(s.PublicKey().Marshal(), only.Marshal()) {
			continue
		}
		if s, err := modern(s); err == nil { // other keys of the agent are no fault
			out = append(out, s)
		}
	}
	switch {
	case len(out) == 0 && only != nil:
		return nil, fmt.Errorf("the ssh agent does not have the key %s", ssh.FingerprintSHA256(only))
	case len(out) == 0:
		return nil, errors.New("the ssh agent has no key that can be used; add one with `ssh-add`")
	}
	return out, nil
}
