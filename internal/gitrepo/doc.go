// Package gitrepo reads and writes one remote Git repository through a bare
// cache on disk: incremental fetch, snapshots as fs.FS, commits written as blobs
// and trees without a checkout, and pushes that are compare-and-swap.
//
// Floor 1. It is the only importer of go-git, and none of go-git's types leaves
// it. It decides nothing, merges nothing, and never runs anything that a
// repository holds: no hook, no filter, no submodule, no symbolic link followed.
//
// # Transports
//
// http(s) is go-git's smart client over connections of our own: authorities,
// client certificate, proxy. ssh is golang.org/x/crypto/ssh with one known_hosts
// file and one key file, or the keys of an agent when that is asked for; nothing
// of ~/.ssh is read. A path or file:// URL starts the git program (git
// upload-pack and git receive-pack), because go-git's server inside the process
// neither checks the old value of a ref nor moves several at once; of the
// settings of user and system only safe.directory counts there. All speak
// protocol version 0 and end with their context.
//
// Credentials are read from files at every connection and are not sent on to
// another host by a redirect. They, and the user information of a URL, are in no
// error and no log line; what a server says back of them is cut out.
//
// # Signatures
//
// A commit is signed in this process, by an ssh key in the form of ssh-keygen or
// by an OpenPGP key; no program is run and no agent asked. What cannot be signed
// is not written.
//
// # Compare and swap
//
// A push sends each ref with the value it must still have, so the server's own
// lock decides a race, for any number of refs and all or none where the server
// can. Whatever words a server has for a lost race, it is ErrStale; what trying
// again cannot mend is ErrRejected.
//
// # What is downloaded
//
// With Config.Branch only the base branch, Towpath's own branches and records,
// and the merge queue of the base branch are followed. People's branches and pull
// requests are known by their hashes, and Bring downloads them when somebody must
// read them. An idle Fetch is one listing of the refs: it reads no object and
// writes no file. The base branch's last head is in the cache; a new one that
// does not descend from it is ErrRewritten, also after the branch was gone in
// between, until Config.AllowRewrite. With an empty cache nothing is known; the
// first clone of a second process on one folder asks what the others saw.
//
// A shallow origin is ErrShallow and a repository of SHA-256 ErrFormat. Packs
// that are sent have no deltas, which every server takes; a server is asked for
// multi_ack only when it is Azure DevOps, told by its URL.
//
// # The cache
//
// Config.Dir/clone-N is a bare repository that git itself can read, with the
// remote's refs/heads/x as refs/origin/heads/x, refs/towpath/x as
// refs/origin/towpath/x and the base branch's last head as refs/seen/heads/x.
// clone-N.lock is held by flock while a process uses it, so two processes never
// share one. Everything in it can be had again: a cache that is cut off, foreign,
// of another URL, or found incomplete while reading is cloned anew beside the old
// one, which it then replaces, with one log line. Only commits that were not
// pushed are lost by that. A full or read-only disk is no damage: it is said,
// what was half written is removed, and what was known before still holds. Many
// packs or loose objects are put into one pack, an object at a time.
package gitrepo
