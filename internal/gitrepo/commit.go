package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxPathBytes limits the paths of a Change.
const maxPathBytes = 4096

// Commit writes the blobs, trees and the commit of a Change into the cache only;
// nothing is checked out and only directories on the way to a change are
// written. The same Change (with its Time) has the same hash everywhere, also
// when it is signed, but for ECDSA and DSA keys of OpenPGP, which sign anew each
// time. A key that cannot be read is an error; nothing can be pushed then. When
// the tree is Parent's and AllowEmpty is not set, nothing is written and the
// parent itself is returned: Hash == Change.Parent.
func (r *Repo) Commit(ctx context.Context, c Change) (Commit, error) {
	w := &writer{ctx: ctx, repo: r}
	var err error
	if w.store, _, err = r.state(); err != nil {
		return Commit{}, err
	}
	made, err := w.commit(c)
	r.count(func(n *Counts) { n.ObjectsWritten += w.written })
	if err != nil {
		return Commit{}, fmt.Errorf("commit to %s: %w", r.remote.shown, err)
	}
	return made, nil
}

// writer makes one commit.
type writer struct {
	ctx     context.Context
	repo    *Repo
	store   *store
	written int
}

// edit is what a Change wants at one path.
type edit struct {
	data []byte // new content of a file …
	copy *entry // … or an entry as it is …
	gone bool   // … or nothing
}

// edits are the edits below one directory: by name, and by directory.
type edits struct {
	here map[string]edit
	subs map[string]*edits
}

func newEdits() *edits { return &edits{here: map[string]edit{}, subs: map[string]*edits{}} }

func (w *writer) commit(c Change) (Commit, error) {
	wanted, err := w.plan(c)
	if err != nil {
		return Commit{}, err
	}
	var parent *object.Commit
	base := emptyTree
	if c.Parent != "" {
		if _, parent, err = w.repo.lookup(c.Parent); err != nil {
			return Commit{}, err
		}
		if !c.ReplaceTree {
			base = parent.TreeHash
		}
	}
	root, _, err := w.apply("", base, wanted)
	if err != nil {
		return Commit{}, err
	}
	if parent != nil && root == parent.TreeHash && !c.AllowEmpty {
		return commitOf(parent), nil
	}
	if root == emptyTree { // implied for Git, but it must be sent
		if _, err := w.put(plumbing.TreeObject, nil); err != nil {
			return Commit{}, err
		}
	}
	return w.write(c, root)
}

// plan sorts the paths of a Change into directories.
func (w *writer) plan(c Change) (*edits, error) {
	root := newEdits()
	for name, data := range c.Files {
		if err := checkPath(name); err != nil {
			return nil, err
		}
		root.add(name, edit{data: data, gone: data == nil})
	}
	for name, from := range c.Copy {
		if err := checkPath(name); err != nil {
			return nil, err
		}
		if _, both := c.Files[name]; both {
			return nil, fmt.Errorf("%s: is both written and copied", name)
		}
		snap, err := w.repo.Snapshot(from)
		if err != nil {
			return nil, err
		}
		e, ok, err := snap.lookup(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		root.add(name, edit{copy: &e, gone: !ok})
	}
	return root, nil
}

// lookup is find with "not there" as a value; a path through a file or link is
// not there either.
func (s Snapshot) lookup(name string) (entry, bool, error) {
	dir, err := s.tree(plumbing.NewHash(s.Tree))
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if err != nil {
			return entry{}, false, err
		}
		e, ok := dir.find(part)
		if !ok || i < len(parts)-1 && !e.isDir() {
			return entry{}, false, nil
		}
		if i == len(parts)-1 {
			return e, true, nil
		}
		dir, err = s.tree(e.hash)
	}
	return entry{}, false, err
}

func (d *edits) add(name string, e edit) {
	for {
		dir, rest, deeper := strings.Cut(name, "/")
		if !deeper {
			d.here[name] = e
			return
		}
		if d.subs[dir] == nil {
			d.subs[dir] = newEdits()
		}
		d, name = d.subs[dir], rest
	}
}

// apply returns the hash of the directory base after the edits; empty reports
// that nothing is left in it. An unchanged directory is not written.
func (w *writer) apply(dir string, base plumbing.Hash, d *edits) (h plumbing.Hash, empty bool, err error) {
	t, err := w.store.tree(base)
	if err != nil {
		return h, false, w.repo.broken(w.store, err)
	}
	out := make([]entry, 0, len(t.entries)+len(d.here)+len(d.subs))
	for _, e := range t.entries {
		_, edited := d.here[e.name]
		if _, below := d.subs[e.name]; !edited && !below {
			out = append(out, e)
		}
	}
	for name, want := range d.here {
		old, _ := t.find(name)
		e, err := w.file(path.Join(dir, name), old, want)
		if err != nil {
			return h, false, err
		}
		if e.mode != 0 {
			if d.subs[name] != nil {
				return h, false, fmt.Errorf("%s: is to be a file and a directory at once", path.Join(dir, name))
			}
			e.name = name
			out = append(out, e)
		}
	}
	for name, sub := range d.subs {
		old, _ := t.find(name)
		e, err := w.subdir(path.Join(dir, name), old, d, sub)
		if err != nil {
			return h, false, err
		}
		if e.mode != 0 {
			e.name = name
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return emptyTree, true, nil
	}
	data := encodeTree(out)
	if h = plumbing.ComputeHash(plumbing.TreeObject, data); h == base {
		return h, false, nil
	}
	h, err = w.put(plumbing.TreeObject, data)
	return h, false, err
}

// file returns the entry for an edited path; the zero entry when it goes away.
func (w *writer) file(name string, old entry, want edit) (entry, error) {
	if err := context.Cause(w.ctx); err != nil {
		return entry{}, err
	}
	switch {
	case want.gone && want.copy == nil && old.isDir():
		return entry{}, fmt.Errorf("%s: is a directory; name the files to delete", name)
	case want.gone:
		return entry{}, nil
	case want.copy != nil:
		return *want.copy, nil
	case old.mode != 0 && !old.isFile():
		return entry{}, fmt.Errorf("%s: is %s and is not overwritten", name, old.kind())
	case int64(len(want.data)) > w.repo.c.MaxFileSize:
		return entry{}, fmt.Errorf("%s: %w", name, errTooLarge{int64(len(want.data)), w.repo.c.MaxFileSize})
	}
	h, err := w.put(plumbing.BlobObject, want.data)
	if err != nil {
		return entry{}, err
	}
	mode := old.mode
	if mode == 0 {
		mode = 0o100644
	}
	return entry{mode: mode, hash: h}, nil
}

// subdir applies the edits below name. A file may make way for the directory
// only if the same Change deletes it.
func (w *writer) subdir(name string, old entry, d, sub *edits) (entry, error) {
	base := emptyTree
	here, edited := d.here[path.Base(name)]
	switch {
	case edited && !here.gone:
		return entry{}, nil // refused by apply
	case edited: // it made way
	case old.isDir():
		base = old.hash
	case old.mode != 0:
		if sub.deletesOnly() {
			old.name = path.Base(name)
			return old, nil
		}
		return entry{}, fmt.Errorf("%s: is %s, not a directory", name, old.kind())
	}
	h, empty, err := w.apply(name, base, sub)
	if err != nil || empty {
		return entry{}, err
	}
	return entry{mode: 0o040000, hash: h}, nil
}

// deletesOnly reports whether nothing is to exist below.
func (d *edits) deletesOnly() bool {
	for _, e := range d.here {
		if !e.gone {
			return false
		}
	}
	for _, sub := range d.subs {
		if !sub.deletesOnly() {
			return false
		}
	}
	return true
}

func (w *writer) put(t plumbing.ObjectType, data []byte) (plumbing.Hash, error) {
	h, wrote, err := w.store.put(t, data)
	if wrote {
		w.written++
	}
	return h, err
}

// write makes the commit object.
func (w *writer) write(c Change, root plumbing.Hash) (Commit, error) {
	at := c.Time
	if at.IsZero() {
		at = w.repo.c.Now()
	}
	at = at.UTC().Truncate(time.Second)
	committer, author := w.repo.c.Committer.clean(), w.repo.c.Author.clean()
	if c.Author != (Identity{}) {
		author = c.Author.clean()
	}
	message := strings.TrimRightFunc(c.Message, unicode.IsSpace) + "\n"
	if strings.ContainsRune(message, 0) || !utf8.ValidString(message) {
		return Commit{}, errors.New("the commit message is not text")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", root)
	if c.Parent != "" {
		fmt.Fprintf(&b, "parent %s\n", c.Parent)
	}
	fmt.Fprintf(&b, "author %s <%s> %d +0000\n", author.Name, author.Email, at.Unix())
	fmt.Fprintf(&b, "committer %s <%s> %d +0000\n\n%s", committer.Name, committer.Email, at.Unix(), message)
	data := b.Bytes()
	signature, err := w.repo.signer.signature(data, at)
	if err != nil {
		return Commit{}, err
	}
	if signature != "" {
		data = withSignature(data, signature)
	}
	h, err := w.put(plumbing.CommitObject, data)
	if err != nil {
		return Commit{}, err
	}
	made := Commit{Hash: h.String(), Tree: root.String(), Message: message, Time: at,
		Author: author, Committer: committer}
	if c.Parent != "" {
		made.Parents = []string{c.Parent}
	}
	return made, nil
}

// or fills in what is empty.
func (i Identity) or(other Identity) Identity {
	if i.clean().Name == "" {
		i.Name = other.Name
	}
	if i.clean().Email == "" {
		i.Email = other.Email
	}
	return i
}

// clean drops what Git's format cannot hold.
func (i Identity) clean() Identity {
	keep := func(s string) string {
		return strings.TrimSpace(strings.Map(func(r rune) rune {
			if r == '<' || r == '>' || unicode.IsControl(r) || r == utf8.RuneError {
				return -1
			}
			return r
		}, s))
	}
	return Identity{Name: keep(i.Name), Email: keep(i.Email)}
}

// checkPath refuses paths that Git, or a file system it is checked out on, would
// take for something else.
func checkPath(name string) error {
	switch {
	case !fs.ValidPath(name) || name == ".":
		return fmt.Errorf("%q: is no path inside a repository", name)
	case len(name) > maxPathBytes:
		return fmt.Errorf("%.64q…: is longer than %d bytes", name, maxPathBytes)
	case strings.Count(name, "/") >= maxDepth:
		return fmt.Errorf("%q: is deeper than %d directories", name, maxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.ContainsFunc(part, unicode.IsControl) || strings.Contains(part, `\`) || isDotGit(part) {
			return fmt.Errorf("%q: has a part that is not allowed: %q", name, part)
		}
	}
	return nil
}

// isDotGit reports whether some file system takes name for .git: NTFS drops
// trailing dots and spaces, knows streams and short names; HFS+ ignores case
// and invisible characters.
func isDotGit(name string) bool {
	name, _, _ = strings.Cut(name, ":")
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimRight(name, ". ")
	return strings.EqualFold(name, ".git") || strings.EqualFold(name, "git~1")
}
