package gitrepo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath.dev/towpath/test/githttp"
)

// gate is a git server with a guard before it, that answers whether a request
// may go on.
type gate struct {
	*httptest.Server
	ca    string // file with its certificate, when it speaks TLS
	mu    sync.Mutex
	guard func(http.ResponseWriter, *http.Request) bool
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next http.Handler) {
	g.mu.Lock()
	ok := g.guard == nil || g.guard(w, r)
	g.mu.Unlock()
	if ok {
		next.ServeHTTP(w, r)
	}
}

// newGate serves the repositories below root; config may change the TLS of the
// server, and makes it one when it is not nil.
func newGate(t *testing.T, root string, config *tls.Config, guard func(http.ResponseWriter, *http.Request) bool) *gate {
	t.Helper()
	next := must(githttp.Handler(root, githttp.Options{}))(t)
	g := &gate{guard: guard}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.ServeHTTP(w, r, next) }))
	g.Server.Config.ErrorLog = silentLog()
	if config == nil {
		g.Start()
	} else {
		g.TLS = config
		g.StartTLS()
		g.ca = secret(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw})))
	}
	t.Cleanup(g.Close)
	return g
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// wants is a guard that lets through who sends this header.
func wants(header string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == header {
			return true
		}
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return false
	}
}

// roundTrip reads, commits and pushes.
func roundTrip(t *testing.T, c Config, dir string) {
	t.Helper()
	r := open(t, c)
	base := must(r.Head("main"))(t)
	made := commit(t, r, base, map[string]string{"a": t.Name()})
	check(t, r.Push(t.Context(), Update{Ref: "refs/heads/main", Old: base, New: made.Hash}))
	check(t, r.Fetch(t.Context()))
	if got := gitRun(t, dir, "rev-parse", "main"); got != made.Hash {
		t.Errorf("main is %s, want %s", got, made.Hash)
	}
}

func TestEveryWayToLogInOverHTTPS(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	for name, c := range map[string]struct {
		user string // in the URL
		auth Auth
		want string
	}{
		"user and password files": {"", Auth{UsernameFile: secret(t, "bot"), PasswordFile: secret(t, secretPassword)}, basic("bot", secretPassword)},
		"a token alone":           {"", Auth{PasswordFile: secret(t, secretPassword)}, basic("git", secretPassword)},
		"the URL's user":          {"org@", Auth{PasswordFile: secret(t, secretPassword)}, basic("org", secretPassword)},
		"files before the URL":    {"org:old@", Auth{UsernameFile: secret(t, "bot"), PasswordFile: secret(t, secretPassword)}, basic("bot", secretPassword)},
		"all in the URL":          {"bot:" + secretPassword + "@", Auth{}, basic("bot", secretPassword)},
		"a bearer token":          {"", Auth{BearerTokenFile: secret(t, secretPassword)}, "Bearer " + secretPassword},
		"a login": {"", Auth{Login: func(context.Context, string) (string, string, error) {
			return "x-access-token", secretPassword, nil
		}}, basic("x-access-token", secretPassword)},
		"a login without user": {"", Auth{Login: func(context.Context, string) (string, string, error) { return "", secretPassword, nil }}, basic("git", secretPassword)},
		"nobody":               {"", Auth{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, root, &tls.Config{}, wants(c.want))
			c.auth.CAFile = g.ca
			roundTrip(t, Config{URL: strings.Replace(g.URL, "://", "://"+c.user, 1) + "/config.git", Auth: c.auth}, dir)
		})
	}
}

func TestALoginIsAskedAgainWhenItWasRefused(t *testing.T) {
	root := t.TempDir()
	put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a": "0\n"})
	good := "token-1"
	g := newGate(t, root, nil, func(w http.ResponseWriter, r *http.Request) bool { return wants(basic("app", good))(w, r) })
	have, asked := "token-1", []string{}
	renew := true
	r := open(t, Config{URL: g.URL + "/config.git", Auth: Auth{Login: func(_ context.Context, refused string) (string, string, error) {
		asked = append(asked, refused)
		if refused == have && renew {
			have = good
		}
		return "app", have, nil
	}}})
	check(t, r.Fetch(t.Context()))
	if len(asked) != 2 || asked[0] != "" || asked[1] != "" {
		t.Errorf("asked after %q", asked)
	}
	g.mu.Lock()
	good = "token-2"
	g.mu.Unlock()
	asked = nil
	check(t, r.Fetch(t.Context()))
	if strings.Join(asked, ",") != ",token-1" {
		t.Errorf("asked after %q when the token was revoked", asked)
	}
	g.mu.Lock()
	good, renew = "token-3", false
	g.mu.Unlock()
	asked = nil
	if err := r.Fetch(t.Context()); !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "token-2") {
		t.Errorf("a token that stays bad: %v", err)
	}
	if len(asked) != 2 {
		t.Errorf("asked %d times", len(asked))
	}
	r.wire.(*httpTransport).auth.Login = func(context.Context, string) (string, string, error) {
		return "", "", errors.New("the App was removed")
	}
	if err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "the App was removed") {
		t.Errorf("a login that fails: %v", err)
	}
}

// authority signs certificates of clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	from := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, from, from, key.Public(), key))(t)
	return authority{must(x509.ParseCertificate(der))(t), key}
}

// issue returns certificate and key in PEM.
func (a authority) issue(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	from := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "bot"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der := must(x509.CreateCertificate(rand.Reader, from, a.cert, k.Public(), a.key))(t)
	pk := must(x509.MarshalPKCS8PrivateKey(k))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}))
}

func TestClientCertificates(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	clients := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	var serial int64
	var elsewhere int
	other := newGate(t, root, &tls.Config{ClientAuth: tls.RequestClientCert}, func(_ http.ResponseWriter, r *http.Request) bool {
		elsewhere += len(r.TLS.PeerCertificates)
		return r.Header.Get("Authorization") == ""
	})
	g := newGate(t, root, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, func(w http.ResponseWriter, r *http.Request) bool {
		serial = r.TLS.PeerCertificates[0].SerialNumber.Int64()
		if strings.HasPrefix(r.URL.Path, "/moved/") {
			http.Redirect(w, r, other.URL+strings.TrimPrefix(r.URL.RequestURI(), "/moved"), http.StatusFound)
			return false
		}
		return true
	})
	cert, key := clients.issue(t, 7)
	auth := Auth{CAFile: g.ca, ClientCertFile: secret(t, cert), ClientKeyFile: secret(t, key), BearerTokenFile: secret(t, secretPassword)}
	roundTrip(t, Config{URL: g.URL + "/config.git", Auth: auth}, dir)

	t.Run("a new one is shown at the next connection", func(t *testing.T) {
		r := open(t, Config{URL: g.URL + "/config.git", Auth: auth})
		cert, key := clients.issue(t, 8)
		check(t, os.WriteFile(auth.ClientCertFile, []byte(cert), 0o600))
		check(t, os.WriteFile(auth.ClientKeyFile, []byte(key), 0o600))
		check(t, r.Fetch(t.Context()))
		if serial != 8 {
			t.Errorf("certificate %d was shown", serial)
		}
	})
	t.Run("another server gets none, and no token", func(t *testing.T) {
		both := auth
		both.CAFile = secret(t, string(must(os.ReadFile(g.ca))(t))+string(must(os.ReadFile(other.ca))(t)))
		r := open(t, Config{URL: g.URL + "/moved/config.git", Auth: both})
		if _, err := r.Head("main"); err != nil || elsewhere != 0 {
			t.Errorf("%d certificates went to the other server; %v", elsewhere, err)
		}
	})
	for name, c := range map[string]struct {
		change func(*Auth)
		text   string
	}{
		"no certificate":    {func(a *Auth) { a.ClientCertFile, a.ClientKeyFile = "", "" }, "certificate"},
		"no key":            {func(a *Auth) { a.ClientKeyFile = "" }, "needs both files"},
		"another's key":     {func(a *Auth) { _, k := clients.issue(t, 9); a.ClientKeyFile = secret(t, k) }, "does not match"},
		"an encrypted key":  {func(a *Auth) { a.ClientKeyFile = secret(t, encryptedPEM()) }, "openssl pkey"},
		"a late encryption": {func(a *Auth) { a.ClientKeyFile = secret(t, strings.ReplaceAll(key, "PRIVATE", "ENCRYPTED PRIVATE")) }, "is encrypted"},
		"no CA":             {func(a *Auth) { a.CAFile = "" }, "as CA file"},
		"a CA file of text": {func(a *Auth) { a.CAFile = secret(t, "hello") }, "no certificate in PEM form"},
		"CA file missing":   {func(a *Auth) { a.CAFile += "x" }, "no such file"},
		"key file missing":  {func(a *Auth) { a.ClientKeyFile += "x" }, "no such file"},
		"a huge CA file":    {func(a *Auth) { a.CAFile = secret(t, strings.Repeat("x", maxSecretBytes+1)) }, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			auth := auth
			c.change(&auth)
			_, err := Open(t.Context(), Config{URL: g.URL + "/config.git", Dir: t.TempDir(), Auth: auth})
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want words like %q", err, c.text)
			}
		})
	}
}

// encryptedPEM is a key as OpenSSL wrote it long ago, cut short.
func encryptedPEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte("x"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}}))
}

func TestAnOldTLSIsRefused(t *testing.T) {
	root := t.TempDir()
	put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a": "0\n"})
	g := newGate(t, root, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, nil)
	_, err := Open(t.Context(), Config{URL: g.URL + "/config.git", Dir: t.TempDir(), Auth: Auth{CAFile: g.ca}})
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("got %v", err)
	}
}

// proxy is an http proxy that leads every name to one server.
type proxy struct {
	*httptest.Server
	mu     sync.Mutex
	header string   // wanted of Proxy-Authorization
	asked  []string // hosts
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{}
	var tunnels sync.WaitGroup
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Host)
		ok := r.Header.Get("Proxy-Authorization") == p.header
		p.mu.Unlock()
		if !ok {
			http.Error(w, "you said "+r.Header.Get("Proxy-Authorization"), http.StatusProxyAuthRequired)
			return
		}
		if r.Method != http.MethodConnect {
			http.Error(w, "only tunnels", http.StatusForbidden)
			return
		}
		up, err := net.Dial("tcp", target)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = up.Close()
			return
		}
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		end := func() { _ = up.Close(); _ = down.Close() }
		tunnels.Go(func() { _, _ = io.Copy(up, down); end() })
		tunnels.Go(func() { _, _ = io.Copy(down, up); end() })
	}))
	t.Cleanup(func() { p.Close(); tunnels.Wait() })
	return p
}

func TestProxies(t *testing.T) {
	root := t.TempDir()
	dir := bare(t, root, "config.git")
	put(t, dir, "main", "", map[string]string{"a": "0\n"})
	g := newGate(t, root, &tls.Config{}, wants(basic("git", "token")))
	p := newProxy(t, g.Listener.Addr().String())
	const far = "https://example.com/config.git" // a name that the server's certificate has
	auth := Auth{CAFile: g.ca, PasswordFile: secret(t, "token"), ProxyURL: p.URL}
	roundTrip(t, Config{URL: far, Auth: auth}, dir)
	if len(p.asked) == 0 || p.asked[0] != "example.com:443" {
		t.Errorf("the proxy was asked for %q", p.asked)
	}
	p.mu.Lock()
	p.header = basic("me", secretPassword)
	p.mu.Unlock()
	auth.ProxyURL = strings.Replace(p.URL, "://", "://me@", 1)
	auth.ProxyPasswordFile = secret(t, secretPassword)
	roundTrip(t, Config{URL: far, Auth: auth}, dir)

	t.Run("a new password is read at the next connection", func(t *testing.T) {
		r := open(t, Config{URL: far, Auth: auth})
		p.mu.Lock()
		p.header = basic("me", "rotated")
		p.mu.Unlock()
		check(t, os.WriteFile(auth.ProxyPasswordFile, []byte("rotated"), 0o600))
		check(t, r.Fetch(t.Context()))
	})
	for _, url := range []string{far, "http://example.com/config.git"} {
		bad := auth
		bad.ProxyPasswordFile = secret(t, secretPassword+"-old")
		_, err := Open(t.Context(), Config{URL: url, Dir: t.TempDir(), Auth: bad})
		if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "proxy") || strings.Contains(err.Error(), secretPassword) {
			t.Errorf("%s: %v", url, err)
		}
	}
	gone := auth
	gone.ProxyURL = "http://me@127.0.0.1:1"
	if _, err := Open(t.Context(), Config{URL: far, Dir: t.TempDir(), Auth: gone}); err == nil || strings.Contains(err.Error(), secretPassword) {
		t.Errorf("a proxy that is not there: %v", err)
	}
}

// childVariable makes the test's program a fetching child: main_test.go.
const childVariable = "TOWPATH_TEST_FETCH"

// fetchChild opens a repository, for what is read from the environment once.
func fetchChild(args string) int {
	f := strings.Split(args, "\n") // url, cache, CA file
	r, err := Open(context.Background(), Config{URL: f[0], Dir: f[1], Auth: Auth{CAFile: f[2]}})
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		return 1
	}
	return 0
}

func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	root := t.TempDir()
	put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a": "0\n"})
	g := newGate(t, root, &tls.Config{}, nil)
	p := newProxy(t, g.Listener.Addr().String())
	p.header = basic("me", secretPassword)
	with := func(password string) string { return strings.Replace(p.URL, "://", "://me:"+password+"@", 1) }
	for name, c := range map[string]struct {
		host  string
		env   []string
		fails string // words of the error, "" when there is none
		asks  bool   // the proxy
	}{
		"with user and password": {"example.com", []string{"HTTPS_PROXY=" + with(secretPassword)}, "", true},
		"with another password":  {"example.com", []string{"HTTPS_PROXY=" + with(secretPassword+"x")}, "the proxy 127.0.0.1", true},
		"not for this host":      {"test.invalid", []string{"HTTPS_PROXY=" + with(secretPassword), "NO_PROXY=.invalid"}, "test.invalid", false},
	} {
		t.Run(name, func(t *testing.T) {
			p.mu.Lock()
			p.asked = nil
			p.mu.Unlock()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, must(os.Executable())(t))
			cmd.Env = append(os.Environ(), childVariable+"=https://"+c.host+"/config.git\n"+t.TempDir()+"\n"+g.ca)
			cmd.Env = append(cmd.Env, c.env...)
			out, err := cmd.CombinedOutput()
			if (err == nil) != (c.fails == "") || !strings.Contains(string(out), c.fails) || strings.Contains(string(out), secretPassword) {
				t.Errorf("%v: %s", err, out)
			}
			if (len(p.asked) > 0) != c.asks {
				t.Errorf("the proxy was asked for %q", p.asked)
			}
		})
	}
}

func TestHTTPSettingsThatContradictAreRefused(t *testing.T) {
	login := func(context.Context, string) (string, string, error) { return "", "", nil }
	for text, a := range map[string]Auth{
		"several ways":                        {PasswordFile: "a", BearerTokenFile: "b"},
		"several ways to log in":              {BearerTokenFile: "b", Login: login},
		"no password file":                    {UsernameFile: "a"},
		"needs both files":                    {ClientCertFile: "a"},
		"no URL of the form":                  {ProxyURL: "me:" + secretPassword + "@proxy:1"},
		"is no URL of the form":               {ProxyURL: "http://me:" + secretPassword + "%zz@proxy"},
		"has scheme \"ftp\"":                  {ProxyURL: "ftp://me:" + secretPassword + "@proxy"},
		"holds a password":                    {ProxyURL: "http://me:" + secretPassword + "@proxy"},
		"no user name in the proxy's URL":     {ProxyURL: "http://proxy", ProxyPasswordFile: "a"},
		"a proxy password file, but no proxy": {ProxyPasswordFile: "a"},
	} {
		_, err := Open(t.Context(), Config{URL: "https://git.example/x", Dir: t.TempDir(), Auth: a})
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), secretPassword) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, a := range map[string]Auth{
		"is empty":           {PasswordFile: secret(t, "")},
		"more than one line": {BearerTokenFile: secret(t, secretPassword+"\nx")},
		"has a colon":        {UsernameFile: secret(t, "a:b"), PasswordFile: secret(t, secretPassword)},
		"no such file":       {BearerTokenFile: t.TempDir() + "/absent"},
	} {
		_, err := Open(t.Context(), Config{URL: "https://127.0.0.1:1/x", Dir: t.TempDir(), Auth: a})
		if err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), secretPassword) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAnAnswerThatStopsEndsWithTheContext(t *testing.T) {
	root := t.TempDir()
	put(t, bare(t, root, "config.git"), "main", "", map[string]string{"a": "0\n"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g := newGate(t, root, nil, func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000")
		_ = http.NewResponseController(w).Flush()
		cancel() // the client now waits for the rest
		<-r.Context().Done()
		return false
	})
	if _, err := Open(ctx, Config{URL: g.URL + "/config.git", Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// silentLog takes what the test's servers have to say about refused clients.
func silentLog() *log.Logger { return log.New(io.Discard, "", 0) }
