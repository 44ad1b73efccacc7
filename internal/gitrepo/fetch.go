package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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

// Fetch brings the refs that Config.Branch says up to date: forced (a rewritten
// branch is followed, but for the base branch: ErrRewritten), pruned, whole
// history. When nothing changed it costs one listing of the refs, reads no object
// and writes no file. A cache that was found damaged or was deleted is cloned
// anew; commits that were made but not pushed are then gone, and a Snapshot of a
// commit that no ref leads to any more cannot be read. After an error what was
// known before holds; a full disk damages nothing.
func (r *Repo) Fetch(ctx context.Context) error {
	ctx, release, err := r.acquire(ctx, "fetch")
	if err != nil {
		return err
	}
	defer release()
	s, old, err := r.state()
	if err != nil {
		return err
	}
	why, gone, err := r.rebuildReason()
	if err != nil {
		return err
	}
	if why == "" {
		fresh, err := r.fetchInto(ctx, s, old, nil)
		if err == nil {
			err = r.follow(s, old, fresh)
		}
		if err == nil {
			r.tidy(s)
			return nil
		}
		var broken storeError
		if !errors.As(err, &broken) || onDisk(err) || ctx.Err() != nil {
			return r.remoteError(ctx, "fetch", err)
		}
		if err := r.mayRebuild(broken.err); err != nil {
			return err
		}
		why = broken.Error()
	}
	r.log.Warn("git cache is cloned anew", "url", r.remote.shown, "dir", r.slot.dir, "reason", why)
	if err := r.build(ctx, old); err != nil {
		return r.remoteError(ctx, "clone", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !gone {
		r.rebuilt = r.c.Now()
	}
	return nil
}

// follow takes over what a fetch found, unless the base branch was rewritten.
func (r *Repo) follow(s *store, old, fresh view) error {
	if err := r.checkBase(s, old, fresh); err != nil {
		return err
	}
	return r.setView(fresh)
}

// checkBase refuses a base branch whose head does not descend from the one seen
// last. A refused pair is remembered, so that asking again costs nothing.
func (r *Repo) checkBase(s *store, old, fresh view) error {
	base := headsPrefix + r.c.Branch
	was, known := old.seen[base]
	is, there := fresh.refs[base]
	if !known || !there || was == is {
		return nil
	}
	if !r.stillRefused(old, fresh) {
		yes, err := descends(s, was, is)
		if err != nil {
			return storeError{err}
		}
		if yes {
			return nil
		}
	}
	if r.c.AllowRewrite {
		r.log.Warn("base branch was rewritten and is followed", "url", r.remote.shown, "branch", r.c.Branch, "old", was.String(), "new", is.String())
		return nil
	}
	r.refused = [2]plumbing.Hash{was, is}
	return fmt.Errorf("%w: %s was at %s and is at %s, which does not descend from it; "+
		"put the old commits back, or allow the rewriting once", ErrRewritten, r.c.Branch, was, is)
}

// stillRefused reports whether the base branch is rewritten as it was when that
// was refused.
func (r *Repo) stillRefused(old, fresh view) bool {
	base := headsPrefix + r.c.Branch
	return !r.c.AllowRewrite && r.refused == [2]plumbing.Hash{old.seen[base], fresh.refs[base]} && r.refused[0] != r.refused[1]
}

// tidy packs what lies around when there is much of it. What fails is only said:
// the cache serves as it is.
func (r *Repo) tidy(s *store) {
	if countPacks(s.dir) <= r.packs && countLoose(s.dir) <= r.loose {
		return
	}
	if err := s.repack(); err != nil {
		if !onDisk(err) {
			err = r.broken(s, err)
		}
		r.log.Warn("git cache could not be packed", "url", r.remote.shown, "dir", r.slot.dir, "reason", err.Error())
	}
}

// rebuildReason says why the cache must be cloned anew, "" when it need not. One
// that is gone was deleted, which is no damage.
func (r *Repo) rebuildReason() (why string, gone bool, err error) {
	r.mu.Lock()
	damage := r.damage
	r.mu.Unlock()
	if damage != nil {
		return damage.Error(), false, r.mayRebuild(damage)
	}
	if err := checkCache(r.slot.dir, r.remote.shown); err != nil {
		if errors.Is(err, errNoCache) {
			return "its folder was deleted", true, nil
		}
		return err.Error(), false, r.mayRebuild(err)
	}
	return "", false, nil
}

// mayRebuild refuses a rebuild too soon after one that succeeded.
func (r *Repo) mayRebuild(why error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.c.Now(); !r.rebuilt.IsZero() && now.Sub(r.rebuilt) < rebuildPause {
		return fmt.Errorf("git cache of %s is damaged again %s after it was cloned anew; "+
			"check the disk and run `git fsck` on the repository: %w", r.remote.shown, now.Sub(r.rebuilt).Round(1e9), why)
	}
	return nil
}

// storeError is a failure of the cache, not of the connection.
type storeError struct{ err error }

func (e storeError) Error() string { return e.err.Error() }
func (e storeError) Unwrap() error { return e.err }

// fetchInto reads the remote's refs and brings into s what they need that are
// followed, or only those named. old is what s is complete for.
func (r *Repo) fetchInto(ctx context.Context, s *store, old view, named []string) (view, error) {
	for try := 1; ; try++ {
		fresh, err := r.fetchOnce(ctx, s, old, named)
		if err == nil {
			r.count(func(c *Counts) { c.Fetches++ })
			return fresh, nil
		}
		if try == fetchTries || ctx.Err() != nil || !strings.Contains(err.Error(), "not our ref") {
			return view{}, err
		}
	}
}

func (r *Repo) fetchOnce(ctx context.Context, s *store, old view, named []string) (view, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sess, err := r.connect(ctx, uploadPack)
	if err != nil {
		return view{}, err
	}
	// Close only reports how the process ended; what matters was read before.
	defer func() { _ = sess.close() }()
	adv, err := r.listed(sess.refs(ctx))
	if err != nil {
		return view{}, err
	}
	fresh := r.c.advertised(old, adv)
	if named == nil && r.stillRefused(old, fresh) {
		return fresh, nil // a cache that is cloned anew would be cloned at every tick
	}
	wants := s.wants(old, fresh, adv, named)
	if len(wants) == 0 {
		return fresh, nil
	}
	if err := r.receive(ctx, sess, s, r.request(adv, wants, s.haves(r.c, old))); err != nil {
		cancel() // ends the process, whatever it still wants to send
		return view{}, err
	}
	for _, h := range wants {
		if !s.has(h) {
			return view{}, fmt.Errorf("the server did not send %s", h)
		}
	}
	return fresh, nil
}

// connect begins a conversation.
func (r *Repo) connect(ctx context.Context, service string) (session, error) {
	r.count(func(c *Counts) { c.Connections++ })
	return r.wire.open(ctx, service)
}

// listed refuses repositories that cannot be read rightly.
func (r *Repo) listed(adv *packp.AdvRefs, err error) (*packp.AdvRefs, error) {
	if err != nil {
		// go-git cannot read longer hashes, and shows the line that says why.
		if strings.Contains(err.Error(), "object-format=sha256") {
			return nil, fmt.Errorf("%w: sha256; only sha1 is", ErrFormat)
		}
		return nil, err
	}
	if f := adv.Capabilities.Get(capability.Capability("object-format")); len(f) > 0 && f[0] != "sha1" {
		return nil, fmt.Errorf("%w: %s; only sha1 is", ErrFormat, f[0])
	}
	if n := len(adv.Shallows); n > 0 {
		return nil, fmt.Errorf("%w: the server lacks what is before %d of its commits; "+
			"complete it there with `git fetch --unshallow`, or use the repository it came from", ErrShallow, n)
	}
	return adv, nil
}

// wants lists what must be downloaded for fresh, or for the refs named.
func (s *store) wants(old, fresh view, adv *packp.AdvRefs, named []string) []plumbing.Hash {
	var wants []plumbing.Hash
	asked := map[plumbing.Hash]bool{}
	add := func(h plumbing.Hash) {
		if !asked[h] && !s.has(h) {
			asked[h] = true
			wants = append(wants, h)
		}
	}
	if named == nil {
		for name, h := range fresh.refs {
			if old.refs[name] != h {
				add(h)
			}
		}
		return wants
	}
	for _, name := range named {
		if h, ok := adv.References[name]; ok {
			add(h)
		}
	}
	return wants
}

// request asks for everything that wants lead to and haves do not.
func (r *Repo) request(adv *packp.AdvRefs, wants, haves []plumbing.Hash) *packp.UploadPackRequest {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	if adv.Capabilities.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress)
	}
	if r.remote.needsMultiACK() {
		_ = req.Capabilities.Set(capability.MultiACK)
	}
	plumbing.HashesSort(wants)
	req.Wants, req.Haves = wants, haves
	return req
}

// needsMultiACK recognizes Azure DevOps by its URLs: it answers only requests
// with multi_ack, which go-git leaves out of what it says a server can. Because
// haves and done are sent at once, its longer answer is read as any other.
func (r remote) needsMultiACK() bool {
	return strings.Contains(r.path, "/_git/") || strings.Contains(r.host, "ssh.dev.azure.com") ||
		strings.Contains(r.host, "vs-ssh.visualstudio.com")
}

// receive downloads a pack to a file and only then gives it to the store, so
// that a broken connection never touches it.
func (r *Repo) receive(ctx context.Context, sess session, s *store, req *packp.UploadPackRequest) (err error) {
	body, err := sess.fetch(ctx, req)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(packDir(s.dir), "tmp_incoming_")
	if err != nil {
		return errors.Join(storeError{fmt.Errorf("receive pack: %w", err)}, body.Close())
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	n, err := io.Copy(diskWriter{f}, io.LimitReader(demux(req, body), maxPackBytes+1))
	cerr := body.Close()
	if onDisk(err) {
		return fmt.Errorf("receive pack: %w", err)
	}
	if err != nil {
		return sess.explain(fmt.Errorf("receive pack: %w", err))
	}
	if n > maxPackBytes {
		return fmt.Errorf("receive pack: more than %d bytes", int64(maxPackBytes))
	}
	if cerr != nil {
		return sess.explain(fmt.Errorf("receive pack: %w", cerr))
	}
	if err := checkSum(f, n); err != nil {
		return sess.explain(fmt.Errorf("receive pack: %w", err))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return storeError{fmt.Errorf("receive pack: %w", err)}
	}
	if err := s.addPack(contextReader{ctx, f}); err != nil {
		return storeError{fmt.Errorf("store pack: %w", err)}
	}
	return nil
}

// haves lists commits the store is complete for: the base branch's head and some
// of its ancestors, for the case that it was rewritten, then the heads of the
// other refs, newest history unknown: reading each would cost more than it saves.
func (s *store) haves(c Config, old view) []plumbing.Hash {
	var out []plumbing.Hash
	seen := map[plumbing.Hash]bool{}
	add := func(h plumbing.Hash) {
		if !seen[h] && len(out) < maxHaves {
			seen[h] = true
			out = append(out, h)
		}
	}
	var q queue
	for name, h := range old.refs {
		if name == headsPrefix+c.Branch || c.Branch == "" && len(old.refs) < maxHaves/4 {
			q.push(s, h, 0)
		}
	}
	for len(out) < maxHaves/2 {
		v, ok := q.pop()
		if !ok {
			break
		}
		add(v.commit.Hash)
		for _, p := range v.commit.ParentHashes {
			q.push(s, p, 0)
		}
	}
	for _, refs := range []map[string]plumbing.Hash{old.refs, old.others} {
		for _, h := range refs {
			if s.has(h) {
				add(h)
			}
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
