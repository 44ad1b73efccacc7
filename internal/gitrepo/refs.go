package gitrepo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
)

const (
	headsPrefix = "refs/heads/"
	ourPrefix   = "refs/towpath/"
	maxNames    = 3 // branches named when one is missing
	maxDistance = 2 // edits between a missing branch's name and one that is meant perhaps
)

// pushable are the refs that Push moves, and that are followed when there is no
// base branch.
func pushable(name string) bool {
	return strings.HasPrefix(name, headsPrefix) || strings.HasPrefix(name, ourPrefix)
}

// follows reports whether the cache holds what the ref leads to.
func (c Config) follows(name string) bool {
	if c.Branch == "" {
		return pushable(name)
	}
	return name == headsPrefix+c.Branch || strings.HasPrefix(name, headsPrefix+"towpath/") ||
		strings.HasPrefix(name, ourPrefix) || strings.HasPrefix(name, headsPrefix+"gh-readonly-queue/"+c.Branch+"/")
}

// remembers reports whether the hash of a ref that is not followed is kept:
// people's branches and the heads of pull requests.
func (c Config) remembers(name string) bool {
	return c.Branch != "" && (strings.HasPrefix(name, headsPrefix) ||
		strings.HasPrefix(name, "refs/pull/") && strings.HasSuffix(name, "/head"))
}

// view is what is known of the remote; it is replaced, never changed.
type view struct {
	refs   map[string]plumbing.Hash // followed: the cache holds what they lead to
	others map[string]plumbing.Hash // remembered, and lost with the process
	seen   map[string]plumbing.Hash // base branch → its last head, kept also when the branch goes away
	head   string                   // ref that the remote's HEAD names; "" = unknown
}

// sort divides refs into those followed and those remembered.
func (c Config) sort(all map[string]plumbing.Hash) (refs, others map[string]plumbing.Hash) {
	refs, others = map[string]plumbing.Hash{}, map[string]plumbing.Hash{}
	for name, h := range all {
		switch {
		case c.follows(name):
			refs[name] = h
		case c.remembers(name):
			others[name] = h
		}
	}
	return refs, others
}

// advertised is the view after a listing: seen is taken over from old but for
// the base branch as it is now.
func (c Config) advertised(old view, adv *packp.AdvRefs) view {
	v := view{seen: maps.Clone(old.seen), head: headRef(adv)}
	v.refs, v.others = c.sort(adv.References)
	return c.see(v)
}

// see notes the base branch's head.
func (c Config) see(v view) view {
	base := headsPrefix + c.Branch
	if h, ok := v.refs[base]; ok && c.Branch != "" && v.seen[base] != h {
		v.seen = maps.Clone(v.seen)
		if v.seen == nil {
			v.seen = map[string]plumbing.Hash{}
		}
		v.seen[base] = h
	}
	return v
}

// sameOnDisk reports whether v needs no file written after old.
func (v view) sameOnDisk(old view) bool {
	return maps.Equal(v.refs, old.refs) && maps.Equal(v.seen, old.seen)
}

// leadsTo reports whether a followed ref is at h, so that the cache must hold it.
func (v view) leadsTo(h plumbing.Hash) bool {
	for _, is := range v.refs {
		if is == h {
			return true
		}
	}
	return false
}

// headRef is the ref that the remote's HEAD is, "" when it does not say.
func headRef(adv *packp.AdvRefs) string {
	for _, s := range adv.Capabilities.Get(capability.SymRef) {
		if ref, ok := strings.CutPrefix(s, "HEAD:"); ok {
			return ref
		}
	}
	return ""
}

// Refs returns the full names of the remote's refs that begin with prefix and
// what they point to, as of the last Fetch, Bring or Push. With Config.Branch
// it includes branches and pull requests that are not followed, whose commits
// only Bring makes readable; those are unknown until the first Fetch of a Repo
// that was opened from its cache.
func (r *Repo) Refs(prefix string) (map[string]string, error) {
	_, v, err := r.state()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, refs := range []map[string]plumbing.Hash{v.others, v.refs} {
		for n, h := range refs {
			if strings.HasPrefix(n, prefix) {
				out[n] = h.String()
			}
		}
	}
	return out, nil
}

// Head returns the commit of a branch as of the last Fetch, Bring or Push, also
// of one that is not followed; errors.Is ErrNoBranch, or ErrEmpty when there is
// no branch at all.
func (r *Repo) Head(branch string) (string, error) {
	_, v, err := r.state()
	if err != nil {
		return "", err
	}
	for _, refs := range []map[string]plumbing.Hash{v.refs, v.others} {
		if h, ok := refs[headsPrefix+branch]; ok {
			return h.String(), nil
		}
	}
	names := v.branches()
	if len(names) == 0 && v.head == "" && len(v.seen) == 0 {
		return "", fmt.Errorf("%w: %s has no commits; push a first commit to branch %q", ErrEmpty, r.remote.shown, branch)
	}
	return "", fmt.Errorf("%w: %q in %s%s; push it, or name another branch", ErrNoBranch, branch, r.remote.shown, v.hint(branch, names))
}

// branches are the names of all known branches, sorted.
func (v view) branches() []string {
	var names []string
	for _, refs := range []map[string]plumbing.Hash{v.refs, v.others} {
		for n := range refs {
			if b, ok := strings.CutPrefix(n, headsPrefix); ok {
				names = append(names, b)
			}
		}
	}
	slices.Sort(names)
	return names
}

// hint says which branch was meant perhaps, in the middle of a sentence.
func (v view) hint(branch string, names []string) string {
	var out string
	if def, ok := strings.CutPrefix(v.head, headsPrefix); ok && slices.Contains(names, def) {
		out = fmt.Sprintf(", whose default branch is %q", def)
	}
	var near []string
	for _, n := range names {
		if len(near) < maxNames && (strings.EqualFold(n, branch) || distance(n, branch) <= maxDistance) {
			near = append(near, fmt.Sprintf("%q", n))
		}
	}
	if len(near) > 0 {
		out += " (similar: " + strings.Join(near, ", ") + ")"
	}
	return out
}

// distance is how many bytes must be changed, put in or left out to make b of a;
// of names that differ more in length than matters, only that.
func distance(a, b string) int {
	if d := len(a) - len(b); d > maxDistance || -d > maxDistance {
		return maxDistance + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
