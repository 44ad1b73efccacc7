// Command prepare builds every real server that tests start, so that the minutes are spent where they
// are announced and not inside a test, where they would look like a hang.
//
//	go run ./test/prepare
//
// It is a tool of the Makefile, for a checkout. It starts nothing and must not know how a server is
// built: the packages that start them say that.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"towpath.dev/towpath/test/build"
	"towpath.dev/towpath/test/controlplane"
	"towpath.dev/towpath/test/distribution"
	"towpath.dev/towpath/test/gitea"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := prepare(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

func prepare(ctx context.Context) error {
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	// The shorter ones first: what is wrong with the compiler or the network is seen sooner.
	if _, err := distribution.Build(ctx, build.Config{Say: say}); err != nil {
		return err
	}
	if _, err := gitea.Build(ctx, build.Config{Say: say}); err != nil {
		return err
	}
	_, err := controlplane.Build(ctx, controlplane.Config{Progress: os.Stderr})
	return err
}
