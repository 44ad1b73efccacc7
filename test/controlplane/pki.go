package controlplane

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// certLife is how long a run's certificates are valid; they start earlier for clocks that jump.
	certLife = 7 * 24 * time.Hour
	certSkew = time.Hour
	// tokenBytes is the length of the administrator's random token.
	tokenBytes = 24
)

// pki is one run's certificate authority, serving certificate, service account key and token. They
// are made anew for each run and removed with it.
type pki struct {
	caPEM []byte
	pool  *x509.CertPool
	token string // of an administrator, on all control planes of the set

	certFile, keyFile, serviceAccountKeyFile, tokenFile string
}

func newPKI(dir string) (*pki, error) {
	p, err := makePKI(dir)
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	return p, nil
}

func makePKI(dir string) (*pki, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := certTemplate("towpath control planes of one run", 1)
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := certTemplate("kube-apiserver", 2)
	leaf.KeyUsage = x509.KeyUsageDigitalSignature
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	leaf.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	saKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	random := make([]byte, tokenBytes)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	p := &pki{
		caPEM:                 pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		pool:                  x509.NewCertPool(),
		token:                 hex.EncodeToString(random),
		certFile:              filepath.Join(dir, "apiserver.crt"),
		keyFile:               filepath.Join(dir, "apiserver.key"),
		serviceAccountKeyFile: filepath.Join(dir, "service-accounts.key"),
		tokenFile:             filepath.Join(dir, "tokens.csv"),
	}
	p.pool.AppendCertsFromPEM(p.caPEM)
	if err := p.write(leafDER, key, saKey); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *pki) write(leafDER []byte, key, saKey *ecdsa.PrivateKey) error {
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	saPEM, err := encodeKey(saKey)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})
	for _, f := range []struct {
		path string
		data []byte
	}{
		{p.certFile, bytes.Join([][]byte{certPEM, p.caPEM}, nil)},
		{p.keyFile, keyPEM},
		{p.serviceAccountKeyFile, saPEM},
		{p.tokenFile, []byte(p.token + ",admin,admin,system:masters\n")},
	} {
		if err := os.WriteFile(f.path, f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func certTemplate(name string, serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-certSkew),
		NotAfter:     now.Add(certLife),
	}
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
