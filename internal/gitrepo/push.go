package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

// maxUpdates limits the refs of one Push.
const maxUpdates = 1000

// Push moves refs on the server, each only if it is still at its Old; the server
// itself checks that. All or none move when the server knows atomic pushes (Git,
// and forges built on it, do); else the error names those that moved. An Update
// with Old == New moves nothing but must hold. errors.Is ErrStale when an Old
// does not hold: Fetch and decide again. After success Refs and Head show the
// new state without a Fetch. When the connection breaks after sending, the
// outcome is unknown and only a Fetch tells it.
func (r *Repo) Push(ctx context.Context, updates ...Update) error {
	cmds, err := commands(updates)
	if err != nil {
		return fmt.Errorf("push to %s: %w", r.remote.shown, err)
	}
	ctx, release, err := r.acquire(ctx, "push to")
	if err != nil {
		return err
	}
	defer release()
	s, _, err := r.state()
	if err != nil {
		return err
	}
	for _, c := range cmds {
		if c.New != plumbing.ZeroHash && !s.has(c.New) {
			return fmt.Errorf("push to %s: %s: %w: %s", r.remote.shown, c.Name, ErrNoCommit, c.New)
		}
	}
	moved, err := r.push(ctx, s, cmds)
	if len(moved) > 0 {
		r.pushed(moved)
	}
	if err != nil {
		return r.remoteError(ctx, "push to", err)
	}
	r.count(func(c *Counts) { c.Pushes++ })
	return nil
}

// commands parses updates.
func commands(updates []Update) ([]*packp.Command, error) {
	if len(updates) == 0 || len(updates) > maxUpdates {
		return nil, fmt.Errorf("%d updates; want 1 to %d", len(updates), maxUpdates)
	}
	seen := map[string]bool{}
	var out []*packp.Command
	for _, u := range updates {
		name := plumbing.ReferenceName(u.Ref)
		if name.Validate() != nil || !pushable(u.Ref) {
			return nil, fmt.Errorf("%q is not a ref below refs/heads/ or refs/towpath/", u.Ref)
		}
		if seen[u.Ref] {
			return nil, fmt.Errorf("%s is given twice", u.Ref)
		}
		seen[u.Ref] = true
		for _, h := range []string{u.Old, u.New} {
			if h != "" && (len(h) != hexHashSize || !plumbing.IsHash(h)) {
				return nil, fmt.Errorf("%s: %q is no commit hash", u.Ref, h)
			}
		}
		if u.Old == "" && u.New == "" {
			return nil, fmt.Errorf("%s: neither old nor new commit is given", u.Ref)
		}
		out = append(out, &packp.Command{Name: name, Old: plumbing.NewHash(u.Old), New: plumbing.NewHash(u.New)})
	}
	return out, nil
}

// pushed takes over what moved. The push has happened, so a disk that does not
// take it is only said, and tried again at the next Fetch.
func (r *Repo) pushed(moved []*packp.Command) {
	_, v, err := r.state()
	if err != nil {
		return // closed
	}
	v.refs, v.others = maps.Clone(v.refs), maps.Clone(v.others)
	for _, c := range moved {
		name := c.Name.String()
		into := v.refs
		if !r.c.follows(name) {
			into = v.others
		}
		if c.New == plumbing.ZeroHash {
			delete(into, name)
		} else {
			into[name] = c.New
		}
	}
	v = r.c.see(v)
	if err := r.setView(v); err != nil {
		r.mu.Lock()
		r.view, r.dirty = v, true
		r.mu.Unlock()
		r.log.Warn("git cache does not hold what was pushed", "url", r.remote.shown, "dir", r.slot.dir, "reason", err.Error())
	}
}

// push sends the commands and returns those that the server carried out.
func (r *Repo) push(ctx context.Context, s *store, cmds []*packp.Command) ([]*packp.Command, error) {
	sess, err := r.connect(ctx, receivePack)
	if err != nil {
		return nil, err
	}
	// Close only reports how the process ended; the report was read before.
	defer func() { _ = sess.close() }()
	adv, err := sess.refs(ctx)
	if err != nil {
		return nil, err
	}
	if err := holds(cmds, adv); err != nil {
		return nil, err // spares packing; the server's own check still decides a race
	}
	req, sent, err := r.updateRequest(s, cmds, adv)
	if err != nil {
		return nil, err
	}
	said := &messages{}
	req.Progress = said
	report, err := sess.push(ctx, req)
	if err != nil {
		return nil, err
	}
	if report == nil {
		return r.unreported(ctx, cmds)
	}
	moved, err := r.judge(ctx, cmds, report, said)
	if err == nil {
		r.count(func(c *Counts) { c.ObjectsSent += sent })
	}
	return moved, err
}

// holds compares every Old with what the server just listed.
func holds(cmds []*packp.Command, adv *packp.AdvRefs) error {
	for _, c := range cmds {
		if is := adv.References[c.Name.String()]; is != c.Old {
			return fmt.Errorf("%w: %s is %s, expected %s", ErrStale, c.Name, shownHash(is), shownHash(c.Old))
		}
	}
	return nil
}

func shownHash(h plumbing.Hash) string {
	if h == plumbing.ZeroHash {
		return "absent"
	}
	return h.String()
}

// updateRequest builds commands, capabilities and the pack of what the server lacks.
func (r *Repo) updateRequest(s *store, cmds []*packp.Command, adv *packp.AdvRefs) (*packp.ReferenceUpdateRequest, int, error) {
	req := packp.NewReferenceUpdateRequestFromCapabilities(adv.Capabilities)
	req.Commands = cmds
	for _, c := range []capability.Capability{capability.Atomic, capability.Sideband64k} {
		if adv.Capabilities.Supports(c) {
			_ = req.Capabilities.Set(c)
		}
	}
	onlyDeletes := true
	for _, c := range cmds {
		if c.New != plumbing.ZeroHash {
			onlyDeletes = false
		} else if !adv.Capabilities.Supports(capability.DeleteRefs) {
			return nil, 0, fmt.Errorf("%w: the server deletes no refs", ErrRejected)
		}
	}
	if onlyDeletes {
		return req, 0, nil
	}
	missing, err := missingObjects(s, cmds, adv)
	if err != nil {
		return nil, 0, r.broken(s, err)
	}
	pack, err := s.pack(missing)
	if err != nil {
		return nil, 0, r.broken(s, err)
	}
	req.Packfile = io.NopCloser(pack)
	return req, len(missing), nil
}

// unreported asks for the outcome of a push to a server that does not report it.
func (r *Repo) unreported(ctx context.Context, cmds []*packp.Command) ([]*packp.Command, error) {
	adv, err := r.listForPush(ctx)
	if err != nil {
		return nil, fmt.Errorf("the server did not report the outcome: %w", err)
	}
	var moved []*packp.Command
	for _, c := range cmds {
		if adv.References[c.Name.String()] == c.New {
			moved = append(moved, c)
		}
	}
	if len(moved) == len(cmds) {
		return moved, nil
	}
	if err := holds(cmds, adv); err != nil {
		return moved, err
	}
	return moved, fmt.Errorf("%w: the server gave no reason", ErrRejected)
}

func (r *Repo) listForPush(ctx context.Context) (*packp.AdvRefs, error) {
	sess, err := r.connect(ctx, receivePack)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sess.close() }()
	return sess.refs(ctx)
}

var (
	// Words of servers about a ref that somebody else moved or is moving.
	staleWords = []string{
		"failed to lock", "cannot lock ref", "unable to lock", "fetch first", "stale info",
		"incorrect old value", "reference already exists", "but expected",
	}
	// Words about a ref that a hook or a rule holds.
	declinedWords = []string{"declined", "protected", "prohibited", "not allowed"}
	// How a line begins that Git itself says of a ref it could not lock. Hooks
	// speak on the same channel, in whatever words.
	lockLines = []string{"error: cannot lock ref", "error: failed to lock", "error: unable to lock"}
)

// lostRace reports whether the words about the refs, or else Git's own lines among
// those that the server printed, say that somebody else was faster.
func lostRace(words string, said []string) bool {
	if containsAny(words, declinedWords) {
		return false
	}
	if containsAny(words, staleWords) {
		return !strings.Contains(words, "cannot create")
	}
	return slices.ContainsFunc(said, func(line string) bool {
		return slices.ContainsFunc(lockLines, func(begin string) bool { return strings.HasPrefix(line, begin) }) &&
			!strings.Contains(line, "cannot create")
	})
}

// judge reads the server's report. What it says of a ref that did not move is
// worded differently by every server, so the refs are listed again: an Old that
// no longer holds is ErrStale whatever the words.
func (r *Repo) judge(ctx context.Context, cmds []*packp.Command, report *packp.ReportStatus, said *messages) ([]*packp.Command, error) {
	if report.UnpackStatus != "ok" {
		return nil, fmt.Errorf("%w: the server could not store the pack: %s", ErrRejected, joinText(report.UnpackStatus, said.String()))
	}
	status := map[plumbing.ReferenceName]string{}
	for _, s := range report.CommandStatuses {
		status[s.ReferenceName] = s.Status
	}
	var moved, left []*packp.Command
	var words []string
	for _, c := range cmds {
		switch text, ok := status[c.Name]; {
		case ok && text == "ok":
			moved = append(moved, c)
			continue
		case !ok:
			words = append(words, c.Name.String()+": not reported")
		case !strings.HasPrefix(text, "atomic "): // the echo of another ref's failure
			words = append(words, c.Name.String()+": "+oneLine(text))
		}
		left = append(left, c)
	}
	if len(left) == 0 {
		return moved, nil
	}
	text := joinText(strings.Join(words, ", "), said.String())
	if len(moved) > 0 {
		text += fmt.Sprintf(" (%d of %d refs did move)", len(moved), len(cmds))
	}
	adv, err := r.listForPush(ctx)
	if err == nil {
		err = holds(left, adv)
	}
	if errors.Is(err, ErrStale) {
		return moved, err
	}
	if lostRace(strings.Join(words, ", "), said.lines()) {
		return moved, fmt.Errorf("%w: %s", ErrStale, text)
	}
	return moved, fmt.Errorf("%w: %s", ErrRejected, text)
}

func joinText(a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	}
	return a + ": " + b
}
