package gitrepo

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	secrets "towpath.dev/towpath/internal/secret"
)

// get asks for a page on a new connection and returns it.
func get(t testing.TB, tr *http.Transport, url string) string {
	t.Helper()
	res, err := (&http.Client{Transport: tr}).Get(url)
	check(t, err)
	body := must(io.ReadAll(res.Body))(t)
	check(t, res.Body.Close())
	tr.CloseIdleConnections()
	return string(body)
}

func TestConnectionsToAForgeShowTheCertificateOfToday(t *testing.T) {
	clients := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	var serial int64
	g := newGate(t, t.TempDir(), &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, func(_ http.ResponseWriter, r *http.Request) bool {
		serial = r.TLS.PeerCertificates[0].SerialNumber.Int64()
		return false
	})
	cert, key := clients.issue(t, 7)
	auth := Auth{CAFile: g.ca, ClientCertFile: secret(t, cert), ClientKeyFile: secret(t, key)}
	tr := must(auth.Transport(g.URL))(t)
	for want := int64(7); want < 9; want++ {
		if get(t, tr, g.URL+"/"); serial != want {
			t.Errorf("certificate %d was shown, want %d", serial, want)
		}
		cert, key = clients.issue(t, want+1)
		check(t, os.WriteFile(auth.ClientCertFile, []byte(cert), 0o600))
		check(t, os.WriteFile(auth.ClientKeyFile, []byte(key), 0o600))
	}
	check(t, os.WriteFile(auth.ClientKeyFile, []byte("half of a ke"), 0o600))
	res, err := (&http.Client{Transport: tr}).Get(g.URL)
	if err == nil {
		check(t, res.Body.Close())
	}
	if err == nil || !strings.Contains(err.Error(), "client certificate") {
		t.Errorf("a key that is half written: %v", err)
	}
}

func TestConnectionsToAForgeUseTheProxysPasswordOfToday(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "saw ", r.Header.Get("Proxy-Authorization"))
	}))
	t.Cleanup(proxy.Close)
	auth := Auth{ProxyURL: strings.Replace(proxy.URL, "://", "://me@", 1), ProxyPasswordFile: secret(t, "first-one")}
	tr := must(auth.Transport("http://forge.example"))(t)
	for _, password := range []string{"first-one", secretPassword} {
		check(t, os.WriteFile(auth.ProxyPasswordFile, []byte(password+"\n"), 0o600))
		said := get(t, tr, "http://forge.example/api")
		if want := "saw " + basic("me", password); said != want {
			t.Errorf("%s, want %s", said, want)
		}
		// What a client of the forge does before it shows what was said.
		known := &secrets.Known{}
		known.AddProxy(must(tr.Proxy(must(http.NewRequest(http.MethodGet, "http://forge.example/api", nil))(t)))(t))
		if cut := known.Cut(said + password); leaked(cut, password) != "" || strings.Contains(cut, basic("me", password)[6:]) {
			t.Errorf("after cutting: %s", cut)
		}
	}
}
