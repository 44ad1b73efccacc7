package controlplane

import (
	"context"
	"path/filepath"

	"towpath.dev/towpath/test/build"
)

// servers are the three binaries of a control plane.
func servers() build.Servers {
	return build.Servers{
		Name:   "controlplane",
		Title:  "the Kubernetes servers",
		Module: "test/controlplane/servers",
		Intro: []string{
			"building real Kubernetes servers for tests and the demo: this compiles etcd, Kubernetes and kwok",
			"from source, about 2,500 packages, and takes some minutes. It is done once; the result is kept in",
		},
		Steps: []build.Step{
			{Folder: ".", Package: "./janitor", Binary: "janitor", What: "janitor"},
			{Folder: "kwok", Package: ".", Binary: "kwok", What: "kwok"},
			{Folder: ".", Package: ".", Binary: "servers", What: "etcd, kube-apiserver, kube-controller-manager, kube-scheduler"},
		},
	}
}

// Binaries are the built servers.
type Binaries struct {
	Dir     string // the folder that holds them
	Servers string // etcd and the Kubernetes servers, chosen by the first argument
	Kwok    string
	Janitor string
}

// Build returns the servers, compiled when the cache folder has none for these sources, this Go
// version and this platform. Processes that call it at the same time build once: the others wait.
// A build that fails or is given up leaves no half-built servers.
func Build(ctx context.Context, cfg Config) (Binaries, error) {
	dir, err := servers().Build(ctx, build.Config{
		CacheDir: cfg.CacheDir, Source: cfg.Source, Say: newProgress(cfg.Progress).printf,
	})
	if err != nil {
		return Binaries{}, err
	}
	return Binaries{
		Dir:     dir,
		Servers: filepath.Join(dir, "servers"),
		Kwok:    filepath.Join(dir, "kwok"),
		Janitor: filepath.Join(dir, "janitor"),
	}, nil
}
