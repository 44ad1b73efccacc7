package gitrepo

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// openPGPSigner parses one armored private key. Its newest subkey that may sign
// does so, else the key itself.
func openPGPSigner(data []byte, passphrase string) (signFunc, error) {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("it is no OpenPGP key that can be read: %w", err)
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("it holds %d OpenPGP keys; export the one to sign with (gpg --armor --export-secret-keys KEY)", len(keys))
	}
	key := keys[0]
	if key.PrivateKey == nil {
		return nil, errors.New("it is a public OpenPGP key; export the private one (gpg --armor --export-secret-keys KEY)")
	}
	if err := openPrivate(key, passphrase); err != nil {
		return nil, err
	}
	return func(data []byte, at time.Time) (string, error) { return openPGPSignature(key, data, at) }, nil
}

// openPrivate decrypts the key and its subkeys.
func openPrivate(key *openpgp.Entity, passphrase string) error {
	encrypted := key.PrivateKey.Encrypted && !key.PrivateKey.Dummy()
	for _, sub := range key.Subkeys {
		encrypted = encrypted || sub.PrivateKey != nil && sub.PrivateKey.Encrypted && !sub.PrivateKey.Dummy()
	}
	switch {
	case !encrypted:
		return nil
	case passphrase == "":
		return errors.New("it is encrypted; give a passphrase file")
	}
	if err := key.DecryptPrivateKeys([]byte(passphrase)); err != nil {
		return errors.New("the passphrase is not the key's")
	}
	return nil
}

// openPGPSignature makes a detached signature, dated like the commit. The same
// key, data and time give the same signature with RSA and Ed25519; ECDSA and DSA
// keys of OpenPGP sign differently each time.
func openPGPSignature(key *openpgp.Entity, data []byte, at time.Time) (string, error) {
	if from := validFrom(key); at.Before(from) {
		at = from
	}
	sub, ok := key.SigningKey(at)
	if !ok {
		return "", fmt.Errorf("the OpenPGP key has no part that may sign on %s: it is expired, revoked or for encryption only",
			at.Format(time.DateOnly))
	}
	if sub.PrivateKey == nil || sub.PrivateKey.Dummy() {
		return "", errors.New("the file lacks the private half of the OpenPGP key that may sign")
	}
	random := false
	config := &packet.Config{
		DefaultHash:                           crypto.SHA512,
		Time:                                  func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: &random,
	}
	var sig bytes.Buffer
	if err := openpgp.DetachSign(&sig, key, bytes.NewReader(data), config); err != nil {
		return "", err
	}
	var out strings.Builder
	w, err := armor.Encode(&out, openpgp.SignatureType, nil)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(sig.Bytes()); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}

// validFrom is when all of a key that can sign had been made: gpg takes a
// signature that is older than its key for a forgery.
func validFrom(key *openpgp.Entity) time.Time {
	from := key.PrimaryKey.CreationTime
	later := func(t time.Time) {
		if t.After(from) {
			from = t
		}
	}
	if self, _ := key.PrimarySelfSignature(); self != nil {
		later(self.CreationTime)
	}
	for _, sub := range key.Subkeys {
		if sub.Sig.FlagsValid && sub.Sig.FlagSign {
			later(sub.PublicKey.CreationTime)
			later(sub.Sig.CreationTime)
		}
	}
	return from
}
