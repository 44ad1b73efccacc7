package main

import (
	"context"
	"net/http"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"towpath.dev/towpath/test/build"
	"towpath.dev/towpath/test/distribution"
	"towpath.dev/towpath/test/faults"
)

// privateKey is where a story keeps its private registry.
type privateKey struct{}

// privateHolder is that registry and the proxy before it, nil until the story
// starts them.
type privateHolder struct {
	server *distribution.Registry
	proxy  *faults.Proxy
}

// scriptPrivate starts a registry as companies run it: distribution, with TLS by
// an authority of its own, and tokens from a server of its own; before it stands a
// proxy that can spoil it. It sets REGISTRY and TOKENS to their addresses, REGISTRY_CA to the authority's file, and
// REGISTRY_USER and REGISTRY_PASSWORD.
//
//	private-registry
func scriptPrivate(ts *testscript.TestScript, _ bool, _ []string) {
	ctx := context.Background()
	bin, err := distribution.Build(ctx, build.Config{Say: ts.Logf})
	ts.Check(err)
	r, err := distribution.Run(ctx, bin, distribution.Options{TLS: true, TokenAuth: true})
	ts.Check(err)
	ts.Defer(func() { _ = r.Close() })
	cert := r.Certificate()
	p := faults.Run(faults.Options{Backend: r.Host, RootCAs: r.RootCAs(), TLS: &cert})
	ts.Defer(p.Close)
	for name, value := range map[string]string{
		"REGISTRY": p.Host(), "TOKENS": r.TokenHost, "REGISTRY_CA": r.CAFile,
		"REGISTRY_USER": distribution.User, "REGISTRY_PASSWORD": distribution.Password,
	} {
		ts.Setenv(name, value)
	}
	*ts.Value(privateKey{}).(*privateHolder) = privateHolder{r, p}
}

// scriptPushPrivate is push for the registry of private-registry.
//
//	push-private shop/web 1.0.0 1.1.0
func scriptPushPrivate(ts *testscript.TestScript, _ bool, args []string) {
	_, err := ts.Value(privateKey{}).(*privateHolder).server.Push(context.Background(), args[0], args[1:]...)
	ts.Check(err)
}

// scriptSpoil spoils the answers of the registry below a path, until it is told
// "nothing".
//
//	spoil /v2/shop/web/tags/list html
//	spoil nothing
func scriptSpoil(ts *testscript.TestScript, _ bool, args []string) {
	p := ts.Value(privateKey{}).(*privateHolder).proxy
	if args[0] == "nothing" {
		p.Set()
		return
	}
	fault, known := map[string]faults.Fault{
		"401":       faults.Status(http.StatusUnauthorized),
		"404":       faults.Status(http.StatusNotFound),
		"429":       faults.Status(http.StatusTooManyRequests),
		"html":      faults.HTML(),
		"truncated": faults.Truncate(-10),
		"one-tag":   faults.Tags("1.0.0"),
		"endless":   faults.EndlessPages(),
		"big-tag":   faults.BigTag(200 << 20),
	}[args[1]]
	if !known {
		ts.Fatalf("no fault is named %s", args[1])
	}
	p.Set(faults.Rule{Path: args[0], Fault: fault})
}

// scriptExpand writes a file with the values of its ${VARIABLES}.
//
//	expand registries.yaml.in registries.yaml
func scriptExpand(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
