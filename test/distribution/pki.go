package distribution

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificateLife is longer than any test; clocks of test machines may be off by the same.
const certificateLife = 24 * time.Hour

// pki is an authority and what it signed, in memory and as files.
type pki struct {
	caFile, serverCert, serverKey, clientCert, clientKey string

	pool   *x509.CertPool
	server tls.Certificate
	client tls.Certificate

	tokenCert string // the file that the registry trusts
	tokenDER  []byte
	tokenKey  *ecdsa.PrivateKey // signs tokens
}

func newPKI(dir string) (*pki, error) {
	p := &pki{pool: x509.NewCertPool()}
	ca, caKey, err := certificate("the authority", nil, nil)
	if err != nil {
		return nil, err
	}
	p.pool.AddCert(ca)
	token, tokenKey, err := certificate("the token server", nil, nil)
	if err != nil {
		return nil, err
	}
	p.tokenDER, p.tokenKey = token.Raw, tokenKey
	if p.caFile, err = write(dir, "ca.pem", "CERTIFICATE", ca.Raw); err != nil {
		return nil, err
	}
	if p.tokenCert, err = write(dir, "token.pem", "CERTIFICATE", token.Raw); err != nil {
		return nil, err
	}
	if p.server, p.serverCert, p.serverKey, err = signed(dir, "server", ca, caKey); err != nil {
		return nil, err
	}
	p.client, p.clientCert, p.clientKey, err = signed(dir, "client", ca, caKey)
	return p, err
}

// signed makes a certificate by ca, for servers on loopback and for clients.
func signed(dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (c tls.Certificate, certFile, keyFile string, err error) {
	cert, key, err := certificate(name, ca, caKey)
	if err != nil {
		return c, "", "", err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, "", "", fmt.Errorf("make the key of %s: %w", name, err)
	}
	if certFile, err = write(dir, name+".pem", "CERTIFICATE", cert.Raw); err != nil {
		return c, "", "", err
	}
	keyFile, err = write(dir, name+".key", "PRIVATE KEY", raw)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, certFile, keyFile, err
}

// certificate makes a certificate by parent, or by itself when there is none.
func certificate(name string, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, fmt.Errorf("make the certificate of %s: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name + " of a test registry"},
		NotBefore:    time.Now().Add(-certificateLife),
		NotAfter:     time.Now().Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage |= x509.KeyUsageCertSign
		parent, parentKey = template, key
	} else {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
		template.DNSNames = []string{"localhost"}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, fmt.Errorf("make the certificate of %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func write(dir, name, kind string, raw []byte) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}), 0o600)
}
