// Package gitrepo reads and writes one remote Git repository through a bare
// cache on disk: incremental fetch, snapshots as fs.FS, commits written as blobs
// and trees without a checkout, and pushes that are compare-and-swap.
//
// Floor 1. It is the only importer of go-git, and none of go-git's types leaves it.
package gitrepo
