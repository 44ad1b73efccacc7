package promote

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// maxHistory bounds how many commits of the base branch are read, along first
// parents. A revert of something older is not recognised as one.
const maxHistory = 2000

// Held is what an app's markers held from one commit on.
type Held struct {
	Commit string
	Ours   bool // the commit's trailers name exactly these values
	Values map[string]image.Ref
}

// history is the base branch's line of first parents and what apps held along
// it: a cache, extended when the head moves.
type history struct {
	limit int      // of line; 0 = maxHistory
	line  []*point // newest first
	apps  map[string]*past
}

// point is a commit of the line.
type point struct {
	gitrepo.Commit
	tree gitrepo.Snapshot // zero until something is looked for in it
}

// past is what one app held, as of a head.
type past struct {
	head string
	tree string // object hash of its directory there
	held []Held // newest first; the last one is the oldest known state
}

// past reads what the apps held that something would move in. Nothing is read
// when nothing would move, or when the head is the one read before.
func (b *Bot) past(s Situation) (map[string][]Held, error) {
	moves := Next(s)
	if len(moves) == 0 {
		return nil, nil
	}
	if err := b.extend(s.Commit); err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", s.Branch, err)
	}
	envs, apps := map[string]policy.Environment{}, map[string][]AppState{}
	for _, m := range moves {
		if len(m.Sets) > 0 {
			app, _ := s.Envs[m.Env.Name].App(m.App)
			envs[m.Env.Name], apps[m.Env.Name] = m.Env, append(apps[m.Env.Name], app)
		}
	}
	out := map[string][]Held{}
	for name, env := range envs {
		held, err := b.pastOf(env, apps[name])
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", name, err)
		}
		for app, h := range held {
			out[name+"/"+app] = h
		}
	}
	return out, nil
}

// extend makes head the first of the line. Only commits that are not in it yet
// are read.
func (b *Bot) extend(head string) error {
	h := &b.history
	if len(h.line) > 0 && h.line[0].Hash == head {
		return nil
	}
	limit := cmp.Or(h.limit, maxHistory)
	var fresh []*point
	for at := head; len(fresh) < limit; {
		if len(h.line) > 0 && h.line[0].Hash == at {
			line := slices.Concat(fresh, h.line)
			h.line = line[:min(len(line), limit)]
			return nil
		}
		c, err := b.cfg.Git.ReadCommit(at)
		if errors.Is(err, gitrepo.ErrNoCommit) && len(fresh) > 0 {
			break // the repository itself is shallow: its history ends here
		}
		if err != nil {
			return err
		}
		fresh = append(fresh, &point{Commit: c})
		if len(c.Parents) == 0 {
			break
		}
		at = c.Parents[0]
	}
	h.line, h.apps = fresh, nil // another history: what was read of the old one does not count
	return nil
}

// reader is how far the line has been read for one app.
type reader struct {
	app  AppState
	past *past
	from int // everything before this index of the line is new to past
}

// pastOf brings what is known of apps of an environment up to the head of the
// line, in one walk along it, and returns it by their names. A commit is looked
// into only when it changed the environment's directory, and parsed only when it
// changed the app's.
func (b *Bot) pastOf(env policy.Environment, apps []AppState) (map[string][]Held, error) {
	h := &b.history
	var readers []reader
	at := make(map[string]int, len(h.line))
	for i, c := range h.line {
		at[c.Hash] = i
	}
	start := 0
	for _, app := range apps {
		r := h.reader(env, app, at)
		readers = append(readers, r)
		start = max(start, r.from)
	}
	after := "" // hash of the directory at the commit before; "" = not known
	for i := min(start, len(h.line)-1); i >= 0; i-- {
		tree, err := b.treeOf(h.line[i])
		if err != nil {
			return nil, err
		}
		dir, _ := tree.Hash(env.Path)
		for _, r := range readers {
			if i >= r.from || dir == after && after != "" {
				continue // known, or nothing in the environment changed
			}
			if err := b.step(r.past, h.line[i], env, r.app); err != nil {
				return nil, err
			}
		}
		after = dir
	}
	if h.apps == nil {
		h.apps = map[string]*past{}
	}
	out := map[string][]Held{}
	for _, r := range readers {
		r.past.head = h.line[0].Hash
		h.apps[pastKey(env, r.app)] = r.past
		out[r.app.Name] = r.past.held
	}
	return out, nil
}

func pastKey(env policy.Environment, app AppState) string {
	return env.Name + "\x00" + env.Path + "\x00" + app.Name + "\x00" + app.Dir
}

// reader begins where the app's past ends; at is where in the line a commit is.
func (h *history) reader(env policy.Environment, app AppState, at map[string]int) reader {
	if p := h.apps[pastKey(env, app)]; p != nil {
		if from, ok := at[p.head]; ok {
			return reader{app, &past{tree: p.tree, held: p.trim(h.line, at)}, from}
		}
	}
	return reader{app, &past{}, len(h.line)}
}

// treeOf reads the tree of a commit once.
func (b *Bot) treeOf(c *point) (gitrepo.Snapshot, error) {
	var err error
	if c.tree == (gitrepo.Snapshot{}) {
		c.tree, err = b.cfg.Git.Snapshot(c.Hash)
	}
	return c.tree, err
}

// step adds what the app held at the commit after those that p knows.
func (b *Bot) step(p *past, c *point, env policy.Environment, app AppState) error {
	tree, _ := c.tree.Hash(app.Dir) // "" where it does not exist
	if tree == p.tree && len(p.held) > 0 {
		return nil
	}
	p.tree = tree
	values := map[string]image.Ref{}
	if tree != "" {
		values = valuesAt(c.tree, env, app.Name, &b.seen.blobs)
	}
	if len(p.held) > 0 && maps.Equal(values, p.held[0].Values) {
		return nil
	}
	var err error
	now := Held{Commit: c.Hash, Values: values}
	if len(p.held) > 0 { // nobody asks who made the oldest state
		now.Ours, err = b.ours(c.Commit, env.Name+"/"+app.Name, patch.Content(env.Name, app.Name, values))
	}
	p.held = slices.Insert(p.held, 0, now)
	return err
}

// trim forgets what was before the line, so that a bot that has run for long
// knows what one that starts now does.
func (p *past) trim(line []*point, known map[string]int) []Held {
	i := slices.IndexFunc(p.held, func(h Held) bool { _, ok := known[h.Commit]; return !ok })
	if i < 0 {
		return slices.Clone(p.held)
	}
	oldest := line[len(line)-1].Hash
	if i > 0 && p.held[i-1].Commit == oldest {
		i-- // the line begins with a change: nothing before it is known
	}
	held := slices.Clone(p.held[:i+1])
	held[i] = Held{Commit: oldest, Values: held[i].Values}
	return held
}

// valuesAt returns what an app's markers held in a tree; what cannot be read
// there is not known.
func valuesAt(snap gitrepo.Snapshot, env policy.Environment, name string, known *blobs) map[string]image.Ref {
	fsys := snap.FS()
	dirs, err := manifest.AppsAgain(fsys, env.Path, func(e fs.DirEntry, read func() (manifest.AppDir, bool)) (manifest.AppDir, bool) {
		if e.Name() != name && e.Name() != manifest.RootApp { // a folder named like the files beside it is an error
			return manifest.AppDir{}, false
		}
		return read()
	})
	if err != nil {
		return map[string]image.Ref{}
	}
	i := slices.IndexFunc(dirs, func(d manifest.AppDir) bool { return d.Name == name })
	if i < 0 {
		return map[string]image.Ref{}
	}
	return parseApp(fsys, env.Name, dirs[i], known).Values
}

// ours reports whether we made a commit, or what it merged: its trailers name
// the app and the very content that it holds from there on. The trailers alone
// do not tell, as a revert may quote them.
func (b *Bot) ours(c gitrepo.Commit, key, content string) (bool, error) {
	if trailers(c.Message)[key] == content {
		return true, nil
	}
	for i, parent := range c.Parents {
		if i == 0 {
			continue
		}
		merged, err := b.cfg.Git.ReadCommit(parent)
		if errors.Is(err, gitrepo.ErrNoCommit) {
			continue
		}
		if err != nil {
			return false, err
		}
		if trailers(merged.Message)[key] == content {
			return true, nil
		}
	}
	return false, nil
}

// trailers reads which app of which environment a message of ours says was
// brought to which content, by environment/app.
func trailers(message string) map[string]string {
	out := map[string]string{}
	env, app := "", ""
	for line := range strings.Lines(message) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case trailerEnv:
			env = value
		case trailerApp:
			app = value
		case trailerContent:
			out[env+"/"+app] = value
		}
	}
	return out
}
