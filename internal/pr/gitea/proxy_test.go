package gitea

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestAProxysPasswordIsNotSaidBack(t *testing.T) {
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
	_, err = Open(t.Context(), Config{URL: "http://forge.example", Repo: "team/config", Transport: transport,
		Token: func(context.Context) (string, error) { return "forge-canary", nil }})
	if err == nil || !strings.Contains(err.Error(), "saw") {
		t.Fatalf("%v, want the proxy's words", err)
	}
	if strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("me:proxy-canary"))) {
		t.Errorf("shown: %v", err)
	}
}
