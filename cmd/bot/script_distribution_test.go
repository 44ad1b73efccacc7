package main

import (
	"context"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"towpath.dev/towpath/test/build"
	"towpath.dev/towpath/test/distribution"
)

// privateKey is where a story keeps its private registry.
type privateKey struct{}

// privateHolder is that registry, nil until the story starts it.
type privateHolder struct{ server *distribution.Registry }

// scriptPrivate starts a registry as companies run it: distribution, with TLS by
// an authority of its own, and tokens from a server of its own. It sets REGISTRY
// and TOKENS to their addresses, REGISTRY_CA to the authority's file, and
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
	for name, value := range map[string]string{
		"REGISTRY": r.Host, "TOKENS": r.TokenHost, "REGISTRY_CA": r.CAFile,
		"REGISTRY_USER": distribution.User, "REGISTRY_PASSWORD": distribution.Password,
	} {
		ts.Setenv(name, value)
	}
	ts.Value(privateKey{}).(*privateHolder).server = r
}

// scriptPushPrivate is push for the registry of private-registry.
//
//	push-private shop/web 1.0.0 1.1.0
func scriptPushPrivate(ts *testscript.TestScript, _ bool, args []string) {
	_, err := ts.Value(privateKey{}).(*privateHolder).server.Push(context.Background(), args[0], args[1:]...)
	ts.Check(err)
}

// scriptExpand writes a file with the values of its ${VARIABLES}.
//
//	expand registries.yaml.in registries.yaml
func scriptExpand(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
