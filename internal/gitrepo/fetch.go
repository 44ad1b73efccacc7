package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// Limits of a fetch.
const (
	maxHaves     = 256     // commits told to the server as known, newest first
	maxPackBytes = 4 << 30 // one received pack
	fetchTries   = 3       // when a ref moves between its listing and the pack
)

// fetched are the refs a cache follows.
func fetched(name string) bool {
	return strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/towpath/")
}

// acquire takes the right to talk to the server.
func (r *Repo) acquire(ctx context.Context, op string) (context.Context, func(), error) {
	select {
	case r.net <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%s %s: %w", op, r.remote.shown, context.Cause(ctx))
	}
	if ctx.Err() != nil {
		<-r.net
		return nil, nil, fmt.Errorf("%s %s: %w", op, r.remote.shown, context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.Timeout)
	return ctx, func() { cancel(); <-r.net }, nil
}

// Fetch brings refs/heads/* and refs/towpath/* up to date: forced (a rewritten
// branch is followed), pruned, whole history. When nothing changed it costs one
// listing of the refs. A cache that was found damaged, was deleted, or holds
// too many packs or loose objects is cloned anew; commits that were made but not pushed are then
// gone, and a Snapshot of a commit that no ref leads to any more cannot be read.
func (r *Repo) Fetch(ctx context.Context) error {
	ctx, release, err := r.acquire(ctx, "fetch")
	if err != nil {
		return err
	}
	defer release()
	s, refs, err := r.state()
	if err != nil {
		return err
	}
	why, err := r.rebuildReason()
	if err != nil {
		return err
	}
	if why == "" {
		fresh, err := r.fetchInto(ctx, s, refs)
		if err == nil {
			return r.fetchedRefs(refs, fresh)
		}
		var broken storeError
		if !errors.As(err, &broken) {
			return r.remoteError(ctx, "fetch", err)
		}
		if err := r.mayRebuild(broken.err); err != nil {
			return err
		}
		why = broken.Error()
	}
	r.log.Warn("git cache is cloned anew", "url", r.remote.shown, "dir", r.slot.dir, "reason", why)
	if err := r.build(ctx); err != nil {
		return r.remoteError(ctx, "clone", err)
	}
	return nil
}

// fetchedRefs takes over the refs of a successful fetch.
func (r *Repo) fetchedRefs(old, fresh map[string]plumbing.Hash) error {
	if maps.Equal(old, fresh) {
		return nil
	}
	return r.setRefs(fresh)
}

// rebuildReason says why the cache must be cloned anew, "" when it need not.
func (r *Repo) rebuildReason() (string, error) {
	r.mu.Lock()
	damage := r.damage
	r.mu.Unlock()
	if damage != nil {
		return damage.Error(), r.mayRebuild(damage)
	}
	if err := checkCache(r.slot.dir, r.remote.shown); err != nil {
		if errors.Is(err, errNoCache) {
			return "its folder was deleted", nil
		}
		return err.Error(), r.mayRebuild(err)
	}
	if n := countPacks(r.slot.dir); n > r.packs {
		return fmt.Sprintf("it has %d packs", n), nil
	}
	if n := countLoose(r.slot.dir); n > r.loose {
		return fmt.Sprintf("it has about %d objects outside packs", n), nil
	}
	return "", nil
}

// mayRebuild refuses a second rebuild too soon after the first.
func (r *Repo) mayRebuild(why error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.c.Now()
	if !r.rebuilt.IsZero() && now.Sub(r.rebuilt) < rebuildPause {
		return fmt.Errorf("git cache of %s is damaged again %s after it was cloned anew; "+
			"check the disk and run `git fsck` on the repository: %w", r.remote.shown, now.Sub(r.rebuilt).Round(1e9), why)
	}
	r.rebuilt = now
	return nil
}

// storeError is a failure of the cache, not of the connection.
type storeError struct{ err error }

func (e storeError) Error() string { return e.err.Error() }
func (e storeError) Unwrap() error { return e.err }

// fetchInto reads the remote's refs and brings what they need into s. known
// are the refs s is complete for.
func (r *Repo) fetchInto(ctx context.Context, s *store, known map[string]plumbing.Hash) (map[string]plumbing.Hash, error) {
	for try := 1; ; try++ {
		refs, err := r.fetchOnce(ctx, s, known)
		if err == nil {
			r.count(func(c *Counts) { c.Fetches++ })
			return refs, nil
		}
		if try == fetchTries || ctx.Err() != nil || !strings.Contains(err.Error(), "not our ref") {
			return nil, err
		}
	}
}

func (r *Repo) fetchOnce(ctx context.Context, s *store, known map[string]plumbing.Hash) (map[string]plumbing.Hash, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sess, err := r.wire.open(ctx, uploadPack)
	if err != nil {
		return nil, err
	}
	// Close only reports how the process ended; what matters was read before.
	defer func() { _ = sess.close() }()
	adv, err := sess.refs(ctx)
	if err != nil {
		return nil, err
	}
	refs := map[string]plumbing.Hash{}
	var wants []plumbing.Hash
	asked := map[plumbing.Hash]bool{}
	for name, h := range adv.References {
		if !fetched(name) {
			continue
		}
		refs[name] = h
		if known[name] != h && !asked[h] && !s.has(h) {
			asked[h] = true
			wants = append(wants, h)
		}
	}
	if len(wants) == 0 {
		return refs, nil
	}
	if err := r.receive(ctx, sess, s, request(adv, wants, s.haves(known))); err != nil {
		cancel() // ends the process, whatever it still wants to send
		return nil, err
	}
	for _, h := range wants {
		if !s.has(h) {
			return nil, fmt.Errorf("the server did not send %s", h)
		}
	}
	return refs, nil
}

func request(adv *packp.AdvRefs, wants, haves []plumbing.Hash) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	if adv.Capabilities.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress)
	}
	plumbing.HashesSort(wants)
	req.Wants, req.Haves = wants, haves
	return req
}

// receive downloads a pack to a file and only then gives it to the store, so
// that a broken connection never touches it.
func (r *Repo) receive(ctx context.Context, sess session, s *store, req *packp.UploadPackRequest) (err error) {
	body, err := sess.fetch(ctx, req)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, "objects", "pack"), "tmp_incoming_")
	if err != nil {
		return errors.Join(storeError{fmt.Errorf("receive pack: %w", err)}, body.Close())
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	n, err := io.Copy(f, io.LimitReader(demux(req, body), maxPackBytes+1))
	cerr := body.Close()
	if err != nil {
		return sess.explain(fmt.Errorf("receive pack: %w", err))
	}
	if n > maxPackBytes {
		return fmt.Errorf("receive pack: more than %d bytes", int64(maxPackBytes))
	}
	if cerr != nil {
		return sess.explain(fmt.Errorf("receive pack: %w", cerr))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return storeError{fmt.Errorf("receive pack: %w", err)}
	}
	if err := s.addPack(f); err != nil {
		return storeError{fmt.Errorf("store pack: %w", err)}
	}
	return nil
}

// haves lists commits the store is complete for, newest first: tips and, for
// the case that a branch was rewritten, some of their ancestors.
func (s *store) haves(known map[string]plumbing.Hash) []plumbing.Hash {
	var q queue
	for _, h := range known {
		q.push(s, h, 0)
	}
	var out []plumbing.Hash
	for len(out) < maxHaves {
		c, ok := q.pop()
		if !ok {
			break
		}
		out = append(out, c.commit.Hash)
		for _, p := range c.commit.ParentHashes {
			q.push(s, p, 0)
		}
	}
	return out
}

// isLoopback reports whether host[:port] is this machine.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
