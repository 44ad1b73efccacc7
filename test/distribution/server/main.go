// Command registry is distribution, the registry that runs behind Docker Hub, GHCR and most private
// registries, ended by its parent's death. It stores in memory and logs in by token or password;
// drivers for clouds are left out, since nothing here has one.
//
// It is built and run by package distribution for tests. It must never be part of the bot: that is
// why it has a module of its own.
//
// Usage: registry serve CONFIG
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

func main() {
	// The parent keeps the writing end of standard input open and never writes: at its end, however it
	// comes, the kernel closes the pipe.
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := registry.RootCmd.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "registry: %v\n", err)
		os.Exit(1)
	}
}
