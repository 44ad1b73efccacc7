package forges

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// ProxyKeepsItsPassword opens a forge at root through a proxy that repeats its
// password in an error, and looks for it in what open says.
func ProxyKeepsItsPassword(t *testing.T, open func(root string, through *http.Transport) error) {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, "{\"message\": \"bad gateway, saw %s\"}", r.Header.Get("Proxy-Authorization"))
	}))
	t.Cleanup(proxy.Close)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("me", "proxy-canary")
	transport := &http.Transport{Proxy: http.ProxyURL(at)}
	t.Cleanup(transport.CloseIdleConnections)
	err = open("http://forge.example", transport)
	if err == nil || !strings.Contains(err.Error(), "saw") {
		t.Fatalf("%v, want the proxy's words", err)
	}
	if strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("me:proxy-canary"))) {
		t.Errorf("shown: %v", err)
	}
}
