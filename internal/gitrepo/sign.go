package gitrepo

import (
	"bytes"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Forms of signatures.
const (
	SignSSH     = "ssh"     // as ssh-keygen -Y sign makes them
	SignOpenPGP = "openpgp" // as gpg makes them
)

// Signing says how commits are signed; without KeyFile they are not. The files
// are read again at each commit.
type Signing struct {
	// Format is SignSSH or SignOpenPGP; "" is whatever the key file holds.
	Format string
	// KeyFile is a private key: PEM or OpenSSH's own form (Ed25519, ECDSA or
	// RSA), or one armored OpenPGP key.
	KeyFile string
	// PassphraseFile opens KeyFile, when that is encrypted.
	PassphraseFile string
}

func (s Signing) check() error {
	switch {
	case s.Format != "" && s.Format != SignSSH && s.Format != SignOpenPGP:
		return fmt.Errorf("signatures of format %q are not known; use %s or %s", s.Format, SignSSH, SignOpenPGP)
	case s.KeyFile == "" && (s.Format != "" || s.PassphraseFile != ""):
		return errors.New("commits are to be signed, but no key file is given")
	}
	return nil
}

// signer signs commits. Opening an encrypted key is made to be slow, so a key
// is kept for as long as its files hold the same.
type signer struct {
	from Signing

	mu              sync.Mutex
	key, passphrase string // what the files held
	sign            signFunc
}

// signFunc returns the armored signature of data, made at a time.
type signFunc func(data []byte, at time.Time) (string, error)

// signature returns the armored signature of a commit object, "" when commits
// are not signed. Errors name files, never what they hold.
func (s *signer) signature(commit []byte, at time.Time) (string, error) {
	if s.from.KeyFile == "" {
		return "", nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return "", fmt.Errorf("sign the commit: %w", err)
	}
	sig, err := s.sign(commit, at)
	if err != nil {
		return "", fmt.Errorf("sign the commit with %s: %w", s.from.KeyFile, err)
	}
	return sig, nil
}

// load reads the files, and the key in them when they changed.
func (s *signer) load() error {
	data, err := readSecret(s.from.KeyFile)
	if err != nil {
		return fmt.Errorf("read signing key: %w", err)
	}
	passphrase := ""
	if s.from.PassphraseFile != "" {
		if passphrase, err = readLine("passphrase of signing key", s.from.PassphraseFile); err != nil {
			return err
		}
	}
	if s.sign != nil && s.key == string(data) && s.passphrase == passphrase {
		return nil
	}
	s.sign = nil
	sign, err := s.parse(data, passphrase)
	if err != nil {
		return fmt.Errorf("read signing key %s: %w", s.from.KeyFile, err)
	}
	s.key, s.passphrase, s.sign = string(data), passphrase, sign
	return nil
}

func (s *signer) parse(data []byte, passphrase string) (signFunc, error) {
	armored := bytes.Contains(data, []byte("-----BEGIN PGP "))
	switch {
	case armored && s.from.Format == SignSSH:
		return nil, errors.New("it is an OpenPGP key, but signatures are to be of format ssh")
	case armored:
		return openPGPSigner(data, passphrase)
	case s.from.Format == SignOpenPGP:
		return nil, errors.New("it is no armored OpenPGP key; write one with `gpg --armor --export-secret-keys KEY`")
	}
	key, err := parseSSHKey(data, passphrase)
	if err != nil {
		return nil, err
	}
	return func(data []byte, _ time.Time) (string, error) { return sshSignature(key, data) }, nil
}

// What OpenSSH's PROTOCOL.sshsig fixes.
const (
	sshsigMagic     = "SSHSIG"
	sshsigVersion   = 1
	sshsigNamespace = "git"
	sshsigHash      = "sha512"
	sshsigPEM       = "SSH SIGNATURE"
)

// sshSignature signs as `ssh-keygen -Y sign -n git` does. The same key and data
// give the same signature with every kind of key.
func sshSignature(key ssh.Signer, data []byte) (string, error) {
	hash := sha512.Sum512(data)
	signed := append([]byte(sshsigMagic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{sshsigNamespace, "", sshsigHash, hash[:]})...)
	able, ok := key.(ssh.AlgorithmSigner)
	if !ok {
		return "", errors.New("the key cannot choose its algorithm")
	}
	algorithm := key.PublicKey().Type()
	if algorithm == ssh.KeyAlgoRSA {
		algorithm = ssh.KeyAlgoRSASHA512
	}
	// Without a source of randomness ECDSA signs as RFC 6979 says, so that a
	// commit made again after a crash is the same commit.
	sig, err := able.SignWithAlgorithm(nil, signed, algorithm)
	if err != nil {
		return "", err
	}
	blob := append([]byte(sshsigMagic), ssh.Marshal(struct {
		Version                   uint32
		PublicKey                 []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{sshsigVersion, key.PublicKey().Marshal(), sshsigNamespace, "", sshsigHash, ssh.Marshal(sig)})...)
	return strings.TrimSuffix(string(pem.EncodeToMemory(&pem.Block{Type: sshsigPEM, Bytes: blob})), "\n"), nil
}

// withSignature puts a signature into a commit object, as Git does: the last
// header, its lines one space deep.
func withSignature(commit []byte, signature string) []byte {
	headers, message, _ := bytes.Cut(commit, []byte("\n\n"))
	var b bytes.Buffer
	b.Write(headers)
	b.WriteString("\ngpgsig " + strings.ReplaceAll(signature, "\n", "\n "))
	b.WriteString("\n\n")
	b.Write(message)
	return b.Bytes()
}

// Ours reports whether a commit is by us: made by Config.Author and committed by
// Config.Committer, as far as their addresses tell. It trusts what the commit
// says.
func (r *Repo) Ours(c Commit) bool {
	return c.Author.Email == r.c.Author.clean().Email && c.Committer.Email == r.c.Committer.clean().Email
}
