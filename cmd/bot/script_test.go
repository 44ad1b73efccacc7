package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/state"
	"towpath.dev/towpath/test/ociregistry"
)

// scriptCommands are what stories need beside towpath and git.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"registry":         scriptRegistry,
		"push":             scriptPush,
		"private-registry": scriptPrivate,
		"push-private":     scriptPushPrivate,
		"spoil":            scriptSpoil,
		"expand":           scriptExpand,
		"green":            scriptGreen,
		"odd":              scriptOdd,
	}
}

type registryKey struct{}

// scriptRegistry starts a registry for the story and sets REGISTRY to its address.
//
//	registry
func scriptRegistry(ts *testscript.TestScript, _ bool, _ []string) {
	reg, err := ociregistry.Start(ociregistry.Config{})
	ts.Check(err)
	ts.Defer(func() { _ = reg.Close() })
	ts.Setenv("REGISTRY", reg.Host())
	ts.Value(registryKey{}).(*registryHolder).server = reg
}

type registryHolder struct{ server *ociregistry.Server }

// scriptPush pushes a small image under the tags.
//
//	push shop/web 1.0.0 1.1.0
func scriptPush(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Value(registryKey{}).(*registryHolder).server.PushAll(args[0], args[1:]...))
}

// scriptGreen reports, as an agent of the environment would, that it has run
// what the base branch holds, in health, for a minute.
//
//	green REPO dev
func scriptGreen(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	repo, err := gitrepo.Open(ctx, gitrepo.Config{URL: ts.MkAbs(args[0]), Dir: ts.MkAbs(".green")})
	ts.Check(err)
	defer repo.Close()
	conn := connection{repo: args[0], branch: "main", forge: forgeFlags{kind: forgeLocal}}
	sit, err := conn.newBot(localSite(repo, botUser, slog.New(slog.DiscardHandler)), nil, slog.New(slog.DiscardHandler), true).Look(ctx)
	ts.Check(err)
	r := state.Report{Env: args[1], Cluster: args[1], Commit: sit.Commit, At: now()}
	for _, a := range sit.Envs[args[1]].Apps {
		r.Apps = append(r.Apps, state.AppReport{App: a.Name, Content: a.Content, Phase: state.Healthy, Since: now().Add(-time.Minute)})
	}
	ts.Check(state.PutReport(ctx, repo, r))
}
