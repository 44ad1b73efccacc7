package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	bigint "math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/internal/registry"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: bigint.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// sign returns certificate and key (PEM) for 127.0.0.1 and name.
func (a *authority) sign(t *testing.T, name string, until time.Time) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: bigint.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if name == "127.0.0.1" {
		tmpl.DNSNames, tmpl.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// secure serves one image over TLS, with a certificate for name.
func secure(t *testing.T, a *authority, name string, change func(*tls.Config)) (srv *httptest.Server, host string) {
	t.Helper()
	until := time.Now().Add(time.Hour)
	if change == nil {
		change = func(*tls.Config) {}
	}
	cert, key := a.sign(t, name, until)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tags":["1.0.0"]}`)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	change(srv.TLS)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv, strings.TrimPrefix(srv.URL, "https://")
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newAuthority(t), newAuthority(t)
	_, host := secure(t, ours, "127.0.0.1", nil)
	_, elsewhere := secure(t, ours, "registry.example", nil)
	expired, expiredKey := ours.sign(t, "127.0.0.1", time.Now().Add(-time.Hour))
	_, late := secure(t, ours, "127.0.0.1", func(c *tls.Config) {
		pair, err := tls.X509KeyPair(expired, expiredKey)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	})
	_, ancient := secure(t, ours, "127.0.0.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	_, mutual := secure(t, ours, "127.0.0.1", func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, pool })
	ca := write(t, filepath.Join(dir, "ca.pem"), ours.pem)
	cert, key := ours.sign(t, "bot", time.Now().Add(time.Hour))
	certFile, keyFile := write(t, filepath.Join(dir, "cert.pem"), cert), write(t, filepath.Join(dir, "key.pem"), key)
	for name, tc := range map[string]struct {
		host     registry.Host
		mentions string // "": it works
	}{
		"an authority of one's own":    {registry.Host{Host: host, CAFile: ca}, ""},
		"without it":                   {registry.Host{Host: host}, "authority that is not trusted here; check the name; give caFile"},
		"another authority":            {registry.Host{Host: host, CAFile: write(t, filepath.Join(dir, "other.pem"), theirs.pem)}, "not trusted"},
		"a certificate for another":    {registry.Host{Host: elsewhere, CAFile: ca}, "for another name"},
		"an expired certificate":       {registry.Host{Host: late, CAFile: ca}, "has expired"},
		"TLS 1.1":                      {registry.Host{Host: ancient, CAFile: ca}, "protocol version"},
		"a client certificate":         {registry.Host{Host: mutual, CAFile: ca, CertFile: certFile, KeyFile: keyFile}, ""},
		"no client certificate":        {registry.Host{Host: mutual, CAFile: ca}, "certFile and keyFile"},
		"a file that is not there":     {registry.Host{Host: host, CAFile: filepath.Join(dir, "none.pem")}, "none.pem: no such file"},
		"a file without a certificate": {registry.Host{Host: host, CAFile: keyFile}, "caFile holds no certificate"},
		"a key of another certificate": {registry.Host{Host: mutual, CAFile: ca, CertFile: ca, KeyFile: keyFile}, "no certificate and its key"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.host.PrivateNetwork = true
			c := client(t, registry.Config{Hosts: []registry.Host{tc.host}})
			_, err := c.List(t.Context(), repo(t, tc.host.Host+"/web"), registry.Listing{})
			if tc.mentions == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			mention(t, err, registry.ErrUnavailable, tc.host.Host, tc.mentions)
			if strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), "registry.example") {
				t.Errorf("the error quotes a certificate: %v", err)
			}
		})
	}
}

func TestCertificateFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newAuthority(t), newAuthority(t)
	_, host := secure(t, ours, "127.0.0.1", nil)
	ca := write(t, filepath.Join(dir, "ca.pem"), theirs.pem)
	c := client(t, registry.Config{Hosts: []registry.Host{{Host: host, CAFile: ca, PrivateNetwork: true}}})
	_, err := c.List(t.Context(), repo(t, host+"/web"), registry.Listing{})
	mention(t, err, registry.ErrUnavailable, "not trusted")
	write(t, ca, ours.pem)
	list(t, c, host+"/web", registry.Listing{})
	write(t, ca, []byte("half-writ")) // the last good one stays
	list(t, c, host+"/web", registry.Listing{})
	if err := os.Remove(ca); err != nil {
		t.Fatal(err)
	}
	list(t, c, host+"/web", registry.Listing{})
	write(t, ca, theirs.pem)
	_, err = c.List(t.Context(), repo(t, host+"/web"), registry.Listing{})
	mention(t, err, registry.ErrUnavailable, "not trusted")
}

func TestAddressesNobodyMeantAreNotDialled(t *testing.T) {
	srv, n := faulty(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tags":["1.0.0"]}`) })
	_, port, err := net.SplitHostPort(hostOf(srv))
	if err != nil {
		t.Fatal(err)
	}
	secretly, _ := faulty(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://localhost:"+port+"/", http.StatusFound)
	})
	realm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://localhost:`+port+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer realm.Close()
	plainly, _ := faulty(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/x", http.StatusFound)
	})
	credentials, _ := faulty(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/x"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	const howto = "ask who runs the registry, or, if that address is meant, allow its network"
	for name, tc := range map[string]struct {
		config   registry.Config
		image    string
		mentions []string
	}{
		"by its address": {registry.Config{}, hostOf(srv), []string{"127.0.0.1 is a loopback address", "name " + hostOf(srv) + " with privateNetwork", "--allow-registry-network"}},
		"by a name":      {registry.Config{}, "localhost:" + port, []string{"localhost:" + port, "is a loopback address"}},
		"by a redirect": {registry.Config{InsecureHosts: []string{hostOf(secretly)}}, hostOf(secretly),
			[]string{hostOf(secretly) + " sent us to localhost:" + port, "loopback address", "name localhost:" + port + " with privateNetwork"}},
		"by a token server": {registry.Config{InsecureHosts: []string{hostOf(realm)}}, hostOf(realm), []string{"sent us to localhost:" + port, "loopback address"}},
		"link-local, though private networks are meant": {registry.Config{Hosts: []registry.Host{{Host: "169.254.169.254", PrivateNetwork: true}}}, "169.254.169.254",
			[]string{"link-local address, where clouds keep credentials", "--allow-registry-network"}},
		"link-local, though plain http is meant": {registry.Config{InsecureHosts: []string{"169.254.169.254:80"}}, "169.254.169.254:80", []string{"link-local"}},
		"link-local, by a redirect to plain http": {registry.Config{InsecureHosts: []string{hostOf(plainly)}}, hostOf(plainly),
			[]string{"sent us to 169.254.169.254", "link-local address, where clouds keep credentials", howto}},
		"link-local, by a token server in plain http": {registry.Config{InsecureHosts: []string{hostOf(credentials)}}, hostOf(credentials),
			[]string{"sent us to 169.254.169.254", "link-local address, where clouds keep credentials", howto}},
		"another network is allowed": {registry.Config{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, hostOf(srv), []string{"loopback"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, tc.config).List(t.Context(), repo(t, tc.image+"/web"), registry.Listing{})
			mention(t, err, registry.ErrUnavailable, tc.mentions...)
		})
	}
	if n.Load() != 0 {
		t.Errorf("%d requests came through", n.Load())
	}
	allowed := client(t, registry.Config{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
	for _, host := range []string{hostOf(srv), "localhost:" + port} {
		_, err := allowed.List(t.Context(), repo(t, host+"/web"), registry.Listing{})
		mention(t, err, registry.ErrUnavailable, "speaks plain http") // it was dialled
	}
}

func TestCredentialsStayWithTheirHost(t *testing.T) {
	var seen atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || strings.Contains(r.URL.String(), "s3cret") {
			t.Errorf("credentials came along: %v", r.Header)
		}
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "s3cret") {
			t.Errorf("credentials came along: %s", body)
		}
		seen.Add(1)
		_, _ = io.WriteString(w, `{"tags":["1.0.0"]}`)
	}))
	defer other.Close()
	t.Run("when a list is redirected", func(t *testing.T) {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "s3cret-canary" {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, r, other.URL+"/elsewhere", http.StatusTemporaryRedirect)
		}))
		defer srv.Close()
		c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv), hostOf(other)}, DockerConfig: dockerConfig(t, "", hostOf(srv), "bot", "s3cret-canary")})
		list(t, c, hostOf(srv)+"/web", registry.Listing{})
		if seen.Load() != 1 {
			t.Errorf("%d requests reached the other host", seen.Load())
		}
	})
	for _, kind := range []string{"auth", "identitytoken"} {
		t.Run("when a token server redirects: "+kind, func(t *testing.T) {
			seen.Store(0)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					http.Redirect(w, r, other.URL+"/token", http.StatusTemporaryRedirect)
					return
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token"`, r.Host))
				w.WriteHeader(http.StatusUnauthorized)
			}))
			defer srv.Close()
			path := dockerConfig(t, "", hostOf(srv), "bot", "s3cret-canary")
			if kind == "identitytoken" {
				write(t, path, fmt.Appendf(nil, `{"auths":{%q:{"identitytoken":"s3cret-canary"}}}`, hostOf(srv)))
			}
			c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv), hostOf(other)}, DockerConfig: path})
			_, err := c.List(t.Context(), repo(t, hostOf(srv)+"/web"), registry.Listing{})
			mention(t, err, registry.ErrBadAnswer, "its token server redirects to another host")
			if seen.Load() != 0 {
				t.Error("the other host was asked")
			}
		})
	}
}

func TestALoginNeverLeavesHTTPSForHTTP(t *testing.T) {
	const plain, secure, other = "plain.example:5000", "secure.example", "other.example"
	for name, tc := range map[string]struct {
		host, realm string
		sentTo      string // a list is redirected there, and that host names the realm
		refused     bool
	}{
		"https to http":                        {secure, "http://" + plain, "", true},
		"https to https":                       {secure, "https://" + other, "", false},
		"http to https":                        {plain, "https://" + other, "", false},
		"http to http":                         {plain, "http://" + plain, "", false},
		"https to http after a redirect":       {secure, "http://" + plain, "https://" + other, true},
		"https to http after http":             {plain, "http://" + plain, "https://" + other, true},
		"https to https after a redirect":      {secure, "https://" + other, "https://" + other, false},
		"https to https after http was passed": {plain, "https://" + other, "https://" + other, false},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := 0
			c := client(t, registry.Config{
				InsecureHosts: []string{plain}, DockerConfig: dockerConfig(t, "", tc.host, "bot", "s3cret-canary"),
				Transport: headed(func(req *http.Request) (int, string, http.Header) {
					switch {
					case req.URL.Path == "/token":
						tokens++
						return 200, `{"token":"abc"}`, nil
					case req.URL.Host == tc.host && tc.sentTo != "" && req.URL.Path == "/v2/":
						return 200, "", nil
					case req.URL.Host == tc.host && tc.sentTo != "":
						return 307, "", http.Header{"Location": {tc.sentTo + "/v2/deep/tags/list"}}
					case req.Header.Get("Authorization") != "Bearer abc":
						return 401, "", http.Header{"Www-Authenticate": {`Bearer realm="` + tc.realm + `/token"`}}
					}
					return 200, `{"tags":["1.0.0"]}`, nil
				}),
			})
			_, err := c.List(t.Context(), repo(t, tc.host+"/web"), registry.Listing{})
			if !tc.refused {
				if err != nil || tokens != 1 {
					t.Errorf("%d tokens, error %v", tokens, err)
				}
				return
			}
			mention(t, err, registry.ErrBadAnswer, "its login leads from https to plain http")
			if tokens != 0 {
				t.Errorf("%d requests reached the token server", tokens)
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	ours := newAuthority(t)
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), ours.pem)
	plain, _ := faulty(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tags":["1.0.0"]}`) })
	srv, host := secure(t, ours, "127.0.0.1", nil)
	inner := srv.Config.Handler
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hops := 0
		if _, err := fmt.Sscanf(r.URL.Path, "/v2/hops%d/", &hops); err == nil && hops > 0 {
			http.Redirect(w, r, fmt.Sprintf("/v2/hops%d/tags/list", hops-1), http.StatusFound)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/v2/plain/") {
			http.Redirect(w, r, plain.URL+"/v2/web/tags/list", http.StatusFound)
			return
		}
		inner.ServeHTTP(w, r)
	})
	c := client(t, registry.Config{Hosts: []registry.Host{{Host: host, CAFile: ca, PrivateNetwork: true}}, InsecureHosts: []string{hostOf(plain)}})
	list(t, c, host+"/hops5", registry.Listing{})
	_, err := c.List(t.Context(), repo(t, host+"/hops6"), registry.Listing{})
	mention(t, err, registry.ErrBadAnswer, "redirects more than 5 times")
	_, err = c.List(t.Context(), repo(t, host+"/plain"), registry.Listing{})
	mention(t, err, registry.ErrBadAnswer, "redirects from https to another scheme")
}

// connectProxy is a proxy that connects anybody to to, and counts.
func connectProxy(t *testing.T, to string, code int) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	n := &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		if code != http.StatusOK || r.Method != http.MethodConnect {
			http.Error(w, "the proxy's own text", code)
			return
		}
		up, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(up, down); _ = up.Close() }()
		_, _ = io.Copy(down, up)
		_ = down.Close()
	}))
	t.Cleanup(srv.Close)
	return srv, n
}

func TestProxies(t *testing.T) {
	ours := newAuthority(t)
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), ours.pem)
	_, there := secure(t, ours, "registry.example", nil)
	proxy, n := connectProxy(t, there, http.StatusOK)
	refusing, _ := connectProxy(t, there, http.StatusProxyAuthRequired)

	t.Run("a name is the proxy's affair", func(t *testing.T) {
		c := client(t, registry.Config{Hosts: []registry.Host{{Host: "registry.example", CAFile: ca, Proxy: proxy.URL}}})
		list(t, c, "registry.example/web", registry.Listing{})
		if n.Load() != 1 {
			t.Errorf("%d connections through the proxy, want 1", n.Load())
		}
		c.Close()
	})
	t.Run("addresses and this machine are not", func(t *testing.T) {
		n.Store(0)
		for _, host := range []string{"127.0.0.1:443", "localhost:443", "10.1.2.3", "169.254.169.254", "127.1:443"} {
			c := client(t, registry.Config{Hosts: []registry.Host{{Host: host, Proxy: proxy.URL}}})
			_, err := c.List(t.Context(), repo(t, host+"/web"), registry.Listing{})
			mention(t, err, registry.ErrUnavailable, "an address that is not asked")
		}
		if n.Load() != 0 {
			t.Errorf("the proxy was asked %d times", n.Load())
		}
	})
	t.Run("a proxy that refuses is named, and not quoted", func(t *testing.T) {
		u, err := url.Parse(refusing.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("me", "s3cret-canary")
		c := client(t, registry.Config{Hosts: []registry.Host{{Host: "registry.example", CAFile: ca, Proxy: u.String()}}})
		_, err = c.List(t.Context(), repo(t, "registry.example/web"), registry.Listing{})
		mention(t, err, registry.ErrUnavailable, "the proxy answered 407", "registries file")
		if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "own text") {
			t.Error(err)
		}
	})
	t.Run("a proxy that is down", func(t *testing.T) {
		c := client(t, registry.Config{Hosts: []registry.Host{{Host: "registry.example", Proxy: "http://me:s3cret-canary@127.0.0.1:1"}}})
		_, err := c.List(t.Context(), repo(t, "registry.example/web"), registry.Listing{})
		mention(t, err, registry.ErrUnavailable, "connection refused")
		if strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
	})
	t.Run("direct is without a proxy", func(t *testing.T) {
		c := client(t, registry.Config{Hosts: []registry.Host{{Host: there, Proxy: "direct", PrivateNetwork: true}}})
		_, err := c.List(t.Context(), repo(t, there+"/web"), registry.Listing{})
		mention(t, err, registry.ErrUnavailable, "certificate")
	})
}

func TestConnectionsAreUsedAgainAcrossImages(t *testing.T) {
	var conns atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"tags":["1.0.0"]}`) }))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	c := client(t, registry.Config{InsecureHosts: []string{hostOf(srv)}})
	for i := range 50 {
		list(t, c, fmt.Sprintf("%s/app%d", hostOf(srv), i), registry.Listing{})
	}
	if conns.Load() != 1 {
		t.Errorf("%d connections for 50 images one after the other", conns.Load())
	}
}

// TestARegistryThatIsElsewhere is the shape of registry.k8s.io: everything is
// redirected to other hosts, which page their lists and may want a token.
func TestARegistryThatIsElsewhere(t *testing.T) {
	for _, wants := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a token: %v", wants), func(t *testing.T) {
			var tokens atomic.Int64
			elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				auth := r.Header.Get("Authorization")
				switch {
				case strings.HasPrefix(auth, "Basic"):
					t.Errorf("the password came along to %s", r.URL)
				case r.URL.Path == "/token":
					tokens.Add(1)
					_, _ = io.WriteString(w, `{"token":"of-a-stranger"}`)
					return
				case wants && auth != "Bearer of-a-stranger":
					w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",scope="repository:deep/web:pull"`, r.Host))
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				w.Header().Set("ETag", `"v1"`)
				last := r.URL.Query().Get("last")
				if last == "" {
					w.Header().Set("Link", `</v2/deep/web/tags/list?last=a>; rel="next"`)
				}
				if r.Header.Get("If-None-Match") == `"v1"` {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				_, _ = fmt.Fprintf(w, `{"tags":["x%s"]}`, last)
			}))
			defer elsewhere.Close()
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, password, _ := r.BasicAuth(); password != "s3cret-canary" {
					w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				http.Redirect(w, r, elsewhere.URL+"/v2/deep/web/tags/list", http.StatusTemporaryRedirect)
			}))
			defer front.Close()
			c := client(t, registry.Config{InsecureHosts: []string{hostOf(front), hostOf(elsewhere)}, DockerConfig: dockerConfig(t, "", hostOf(front), "bot", "s3cret-canary")})
			first := list(t, c, hostOf(front)+"/web", registry.Listing{})
			second := list(t, c, hostOf(front)+"/web", kept(t, first))
			for _, l := range []registry.Listing{first, second} {
				if strings.Join(l.Tags, " ") != "x xa" {
					t.Errorf("tags %q", l.Tags)
				}
			}
			if !second.Unchanged || wants != (tokens.Load() > 0) {
				t.Errorf("unchanged %v, %d tokens", second.Unchanged, tokens.Load())
			}
		})
	}
}

func TestHTTP2IsSpokenWhereItIsOffered(t *testing.T) {
	ours := newAuthority(t)
	ca := write(t, filepath.Join(t.TempDir(), "ca.pem"), ours.pem)
	cert, key := ours.sign(t, "127.0.0.1", time.Now().Add(time.Hour))
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var old atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			old.Add(1)
		}
		if r.URL.Path == "/v2/rude/tags/list" {
			panic(http.ErrAbortHandler) // RST_STREAM
		}
		_, _ = io.WriteString(w, `{"tags":["1.0.0"]}`)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "https://")
	c := client(t, registry.Config{Hosts: []registry.Host{{Host: host, CAFile: ca, PrivateNetwork: true}}})
	list(t, c, host+"/web", registry.Listing{})
	_, err = c.List(t.Context(), repo(t, host+"/rude"), registry.Listing{})
	mention(t, err, registry.ErrUnavailable, "the connection broke")
	list(t, c, host+"/web", registry.Listing{})
	if old.Load() != 0 {
		t.Errorf("%d requests over HTTP/1", old.Load())
	}
	c.Close()
}
