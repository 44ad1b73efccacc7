package gitrepo

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// nearby is how many commits are looked at before history is walked with the
// server's refs as border: a push is nearly always one commit on a known one.
const nearby = 64

// missingObjects lists what the server needs to have the new commits, judged
// by the refs it advertised: whoever has a commit has all that it leads to. It
// may list too much (a file that was only moved), never too little.
func missingObjects(s *store, cmds []*packp.Command, adv *packp.AdvRefs) ([]plumbing.Hash, error) {
	var news []plumbing.Hash
	replaced := map[plumbing.Hash]plumbing.Hash{}
	for _, c := range cmds {
		if c.New != plumbing.ZeroHash {
			news = append(news, c.New)
			replaced[c.New] = c.Old
		}
	}
	theirs := map[plumbing.Hash]bool{}
	for _, h := range adv.References {
		theirs[h] = true
	}
	commits, ok, err := nearCommits(s, news, theirs)
	if err == nil && !ok {
		commits, err = farCommits(s, news, theirs)
	}
	if err != nil {
		return nil, err
	}
	p := &packing{store: s, seen: map[plumbing.Hash]bool{}}
	for _, c := range commits {
		bases, err := p.bases(c, replaced[c.Hash])
		if err != nil {
			return nil, err
		}
		p.add(c.Hash)
		if err := p.tree(c.TreeHash, bases, 0); err != nil {
			return nil, err
		}
	}
	return p.out, nil
}

// nearCommits collects what is not theirs from news backwards; ok is false when
// that does not end soon.
func nearCommits(s *store, news []plumbing.Hash, theirs map[plumbing.Hash]bool) (_ []*object.Commit, ok bool, err error) {
	seen := map[plumbing.Hash]bool{}
	var out []*object.Commit
	todo := slices.Clone(news)
	for len(todo) > 0 {
		h := todo[0]
		todo = todo[1:]
		if seen[h] || theirs[h] {
			continue
		}
		seen[h] = true
		if len(out) == nearby {
			return nil, false, nil
		}
		c, err := s.commit(h)
		if err != nil {
			return nil, false, err
		}
		out = append(out, c)
		todo = append(todo, c.ParentHashes...)
	}
	return out, true, nil
}

// farCommits is the general case: all commits that news lead to and theirs do not.
func farCommits(s *store, news []plumbing.Hash, theirs map[plumbing.Hash]bool) ([]*object.Commit, error) {
	const known uint8 = 1
	var q queue
	for _, h := range news {
		q.push(s, h, 0)
	}
	for h := range theirs {
		// What is not here cannot lead to anything that is new; a tag is no commit.
		if _, err := s.commit(h); !errors.Is(err, plumbing.ErrObjectNotFound) {
			q.push(s, h, known)
		}
	}
	if q.err != nil {
		return nil, q.err
	}
	var met []*visit
	for slices.ContainsFunc(q.items, func(v *visit) bool { return v.flags&known == 0 }) {
		v, _ := q.pop()
		if v.flags&known == 0 {
			met = append(met, v)
		}
		for _, p := range v.commit.ParentHashes {
			q.push(s, p, v.flags)
		}
		if q.err != nil {
			return nil, q.err
		}
	}
	var out []*object.Commit
	for _, v := range met {
		if v.flags&known == 0 {
			out = append(out, v.commit)
		}
	}
	return out, nil
}

// packing collects objects once each.
type packing struct {
	store *store
	seen  map[plumbing.Hash]bool
	out   []plumbing.Hash
}

func (p *packing) add(h plumbing.Hash) {
	if !p.seen[h] {
		p.seen[h] = true
		p.out = append(p.out, h)
	}
}

// bases are the trees that the server has, or gets in the same pack, and that c's
// tree is likely to share most with: its parents', and that of the commit it
// replaces, which matters for commits without parent.
func (p *packing) bases(c *object.Commit, old plumbing.Hash) ([]plumbing.Hash, error) {
	var out []plumbing.Hash
	from := slices.Clone(c.ParentHashes)
	if old != plumbing.ZeroHash && p.store.has(old) {
		from = append(from, old)
	}
	for _, h := range from {
		parent, err := p.store.commit(h)
		if err != nil {
			return nil, err
		}
		out = append(out, parent.TreeHash)
	}
	return out, nil
}

// tree adds a tree and what is below it, without what a base has in the same place.
func (p *packing) tree(h plumbing.Hash, bases []plumbing.Hash, depth int) error {
	if p.seen[h] || slices.Contains(bases, h) {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("tree %s is deeper than %d directories", h, maxDepth)
	}
	t, err := p.store.tree(h)
	if err != nil {
		return err
	}
	var known []*tree
	for _, b := range bases {
		bt, err := p.store.tree(b)
		if err != nil {
			return err
		}
		known = append(known, bt)
	}
	p.add(h)
	for _, e := range t.entries {
		var below []plumbing.Hash
		have := false
		for _, bt := range known {
			be, ok := bt.find(e.name)
			have = have || ok && be.hash == e.hash
			if ok && be.isDir() {
				below = append(below, be.hash)
			}
		}
		switch {
		case have || e.mode&0o170000 == 0o160000: // a submodule's commit lives elsewhere
		case e.isDir():
			if err := p.tree(e.hash, below, depth+1); err != nil {
				return err
			}
		default:
			p.add(e.hash)
		}
	}
	return nil
}
