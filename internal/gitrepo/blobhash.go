package gitrepo

import "github.com/go-git/go-git/v5/plumbing"

// BlobHash returns the object hash that data has as a file in a repository, the
// hash that Snapshot.Hash returns for it.
func BlobHash(data []byte) string {
	return plumbing.ComputeHash(plumbing.BlobObject, data).String()
}
