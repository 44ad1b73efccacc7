package kube

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPullSecretsOfARealCluster(t *testing.T) {
	c, ctx := open(t), t.Context()
	create := func(kind, name, body string) {
		t.Helper()
		k, err := c.Resolve(ctx, "", "v1", kind)
		if err != nil {
			t.Fatal(err)
		}
		raw := []byte(`{"apiVersion":"v1","kind":"` + kind + `","metadata":{"name":"` + name + `"},` + body + `}`)
		if _, err := c.Apply(ctx, Target{Kind: k, Namespace: "default", Name: name}, raw, ApplyOptions{Manager: "m"}); err != nil {
			t.Fatal(err)
		}
	}
	secret := func(name, kind, key, content string) {
		t.Helper()
		create("Secret", name, `"type":"`+kind+`","data":{"`+key+`":"`+base64.StdEncoding.EncodeToString([]byte(content))+`"}`)
	}
	const one, two, three = `{"auths":{"one.io":{}}}`, `{"two.io":{"auth":"Y2FuYXJ5OmNhbmFyeQ=="}}`, `{"auths":{"three.io":{}}}`
	secret("one", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", one)
	secret("two", "kubernetes.io/dockercfg", ".dockercfg", two)
	secret("three", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", three)
	secret("opaque", "Opaque", ".dockerconfigjson", "canary")
	create("ServiceAccount", "puller", `"imagePullSecrets":[{"name":"three"},{"name":"one"},{"name":"lost"}]`)
	create("ServiceAccount", "plain", `"automountServiceAccountToken":false`)

	for name, test := range map[string]struct {
		account  string
		names    []string
		want     []string
		errs     []string
		is       error
		requests int64
	}{
		"in the order of their names":               {"", []string{"two", "one"}, []string{two, one}, nil, nil, 2},
		"each once, the account's last":             {"puller", []string{"two", "one", "two"}, []string{two, one, three}, []string{"get Secret default/lost: not found"}, ErrNotFound, 5},
		"an account without any":                    {"plain", nil, nil, nil, nil, 1},
		"what is missing is named, beside the rest": {"nobody", []string{"lost", "one"}, []string{one}, []string{"get ServiceAccount default/nobody: not found", "get Secret default/lost: not found"}, ErrNotFound, 3},
		"another type of Secret":                    {"", []string{"opaque"}, nil, []string{"get Secret default/opaque: it is no pull secret, its type being Opaque"}, nil, 1},
		"none":                                      {"", nil, nil, nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.Requests()
			got, err := c.PullSecrets(ctx, "default", test.account, test.names)
			var texts []string
			for _, g := range got {
				texts = append(texts, string(g))
			}
			if !slices.Equal(texts, test.want) {
				t.Errorf("%q, want %q", texts, test.want)
			}
			if (err != nil) != (len(test.errs) > 0) || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v", err)
			}
			for _, want := range test.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if err != nil && (strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "canary")) {
				t.Errorf("error %q", err)
			}
			if n := c.Requests() - before; n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
	// An empty one cannot be made: the API server demands the key. A namespace
	// that is not there has no Secrets.
	if _, err := c.PullSecrets(ctx, "nowhere", "", []string{"one"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("in a missing namespace: %v", err)
	}
}

func TestTheNamespaceOfAKubeconfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	config := `{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],` +
		`"contexts":[{"name":"a","context":{"cluster":"c","namespace":"shop"}},{"name":"b","context":{"cluster":"c"}}]}`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for context, want := range map[string]string{"": "shop", "a": "shop", "b": "default", "missing": "default"} {
		if got := Namespace(Config{Kubeconfig: path, Context: context}); got != want {
			t.Errorf("context %q: %q, want %q", context, got, want)
		}
	}
	if got := Namespace(Config{}); got != "default" { // this is no pod
		t.Errorf("outside a cluster: %q", got)
	}
}
