package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/ociregistry"
)

// What a real API server says to these requests is tested in internal/kube.
func TestPullSecretFlagsLogInAtARegistry(t *testing.T) {
	s, err := ociregistry.Start(ociregistry.Config{User: "bot", Password: "canary"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.PushAll("web", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	repo, err := image.ParseRepo(s.Image("web"))
	if err != nil {
		t.Fatal(err)
	}
	config := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"auths":{%q:{"username":"bot","password":"canary"}}}`, s.Host()))
	asked := []string{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/api/v1/namespaces/shop/serviceaccounts/puller":
			fmt.Fprint(w, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"puller"},"imagePullSecrets":[{"name":"regcred"}]}`)
		case "/api/v1/namespaces/shop/secrets/regcred":
			fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"regcred"},"type":"kubernetes.io/dockerconfigjson","data":{".dockerconfigjson":%q}}`, config)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"details":{"name":"x","kind":"secrets"}}`)
		}
	}))
	t.Cleanup(api.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{"name":"c","cluster":{"server":%q}}],`+
		`"contexts":[{"name":"a","context":{"cluster":"c","namespace":"shop"}}]}`, api.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args  []string
		want  string // of the error; "" for none
		asked int    // the cluster
	}{
		"none":                {nil, "no credentials were given", 0},
		"by name":             {[]string{"--pull-secret", "regcred"}, "", 1},
		"of an account":       {[]string{"--pull-secret-service-account", "puller"}, "", 2},
		"of both":             {[]string{"--pull-secret", "regcred,lost", "--pull-secret-service-account", "puller"}, "", 3},
		"one that is not":     {[]string{"--pull-secret", "lost"}, "get Secret shop/lost: not found", 1},
		"another namespace":   {[]string{"--pull-secret", "regcred", "--pull-secret-namespace", "other"}, "get Secret other/regcred: not found", 1},
		"a missing context":   {[]string{"--pull-secret", "regcred", "--context", "b"}, `it has no context "b"`, 0},
		"a missing file":      {[]string{"--pull-secret", "regcred", "--kubeconfig", "/nowhere"}, "--kubeconfig", 0},
		"nobody in the cloud": {[]string{"--cloud-credentials"}, "no credentials were given", 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			var r registryFlags
			cmd := &cobra.Command{}
			r.flags(cmd)
			args := append([]string{"--insecure-registry", s.Host(), "--kubeconfig", kubeconfig}, test.args...)
			if err := cmd.ParseFlags(args); err != nil {
				t.Fatal(err)
			}
			c, end := r.client()
			defer end()
			_, err := c.List(t.Context(), repo, registry.Listing{})
			switch {
			case test.want == "" && err != nil, test.want != "" && !errors.Is(err, registry.ErrUnauthorized):
				t.Errorf("error %v", err)
			case test.want != "" && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary")):
				t.Errorf("error %q, want %q", err, test.want)
			}
			if len(asked) != test.asked {
				t.Errorf("the cluster was asked %q, want %d requests", asked, test.asked)
			}
		})
	}
}
