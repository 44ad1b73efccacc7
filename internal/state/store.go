package state

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"towpath.dev/towpath/internal/gitrepo"
)

const (
	reportsDir = "reports"
	jsonExt    = ".json"

	maxTries = 10                     // pushes tried before a write gives up
	firstTry = 20 * time.Millisecond  // wait after the first lost race, at random around it
	lastTry  = 500 * time.Millisecond // longest wait between two tries
)

// Git is what the store needs of a repository; *gitrepo.Repo has it.
type Git interface {
	Fetch(ctx context.Context) error
	Refs(prefix string) (map[string]string, error)
	Snapshot(commit string) (gitrepo.Snapshot, error)
	Commit(ctx context.Context, c gitrepo.Change) (gitrepo.Commit, error)
	Push(ctx context.Context, updates ...gitrepo.Update) error
}

// Loader loads the state again and again, and reads only what changed since. It
// is not safe for concurrent use.
type Loader struct {
	g    Git
	seen seenCache
}

// NewLoader returns a Loader that has read nothing.
func NewLoader(g Git) *Loader { return &Loader{g: g} }

// Load is NewLoader(g).Load(ctx).
func Load(ctx context.Context, g Git) (State, error) { return NewLoader(g).Load(ctx) }

// Load reads the state as of the last Fetch. Without the ref it is empty. A
// report file that cannot be read becomes a Report with only its Problem, any
// other such file a line of Problems, so that one broken file never hides the
// others. Reports are sorted by Env, then Cluster. The State is not to be
// written to.
func (l *Loader) Load(ctx context.Context) (State, error) {
	s, err := l.load(ctx)
	if err != nil {
		return State{}, fmt.Errorf("load %s: %w", Ref, err)
	}
	return s, nil
}

func (l *Loader) load(ctx context.Context) (State, error) {
	commit, snap, err := read(l.g)
	if err != nil || commit == "" {
		return State{}, err
	}
	s, fsys := State{Commit: commit}, snap.FS()
	files, err := reportFiles(fsys)
	if err != nil {
		return State{}, err
	}
	for _, name := range files {
		if ctx.Err() != nil {
			return State{}, context.Cause(ctx)
		}
		s.Reports = append(s.Reports, readReport(fsys, name))
	}
	slices.SortFunc(s.Reports, func(a, b Report) int {
		return cmp.Or(strings.Compare(a.Env, b.Env), strings.Compare(a.Cluster, b.Cluster))
	})
	if err := l.seen.load(ctx, snap, &s); err != nil {
		return State{}, err
	}
	s.loadScans(fsys)
	return s, nil
}

// PutReport replaces the report of r.Env and r.Cluster and leaves all else as
// it is. The state has no history: each write is a commit without parent. It
// pushes by compare-and-swap, fetching and trying again when another writer was
// first, and gives up after maxTries with an error that errors.Is
// gitrepo.ErrStale. A report equal to the stored one costs no push.
func PutReport(ctx context.Context, g Git, r Report) error {
	name, err := reportPath(r.Env, r.Cluster)
	if err != nil {
		return err
	}
	data, err := encode(r)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return write(ctx, g, strings.TrimSuffix(name, jsonExt), r.At, []edit{{name, func([]byte) ([]byte, error) { return data, nil }}})
}

// encode is v as people read it with git show.
func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// edit is what becomes of one file. make is given its content, nil when there
// is no file and empty when it cannot be read, and is called again on each try;
// nil from it leaves the file as it is.
type edit struct {
	name string
	make func(old []byte) ([]byte, error)
}

// write puts edits into one commit and pushes it; what is said in errors and in
// the commit's message. When no file changes nothing is written.
func write(ctx context.Context, g Git, what string, at time.Time, edits []edit) error {
	try := func() (struct{}, error) {
		err := put(ctx, g, gitrepo.Change{ReplaceTree: true, Message: "state: " + what, Time: at}, edits)
		if err != nil && !errors.Is(err, gitrepo.ErrStale) {
			return struct{}{}, backoff.Permanent(err)
		}
		if err != nil {
			if ferr := g.Fetch(ctx); ferr != nil {
				return struct{}{}, backoff.Permanent(ferr)
			}
		}
		return struct{}{}, err
	}
	waits := &backoff.ExponentialBackOff{
		InitialInterval: firstTry, RandomizationFactor: 0.9, Multiplier: 1.6, MaxInterval: lastTry,
	}
	if _, err := backoff.Retry(ctx, try, backoff.WithBackOff(waits), backoff.WithMaxTries(maxTries), backoff.WithMaxElapsedTime(0)); err != nil {
		return fmt.Errorf("write %s to %s: %w", what, Ref, err)
	}
	return nil
}

func put(ctx context.Context, g Git, c gitrepo.Change, edits []edit) error {
	old, snap, err := read(g)
	if err != nil {
		return err
	}
	var fsys fs.FS
	if old != "" {
		fsys = snap.FS()
	}
	c.Files = map[string][]byte{}
	for _, e := range edits {
		var have []byte
		if old != "" {
			if have, err = fs.ReadFile(fsys, e.name); errors.Is(err, fs.ErrNotExist) {
				have = nil
			} else if err != nil {
				have = []byte{}
			}
		}
		data, err := e.make(have)
		if err != nil {
			return err
		}
		if data != nil && (have == nil || !bytes.Equal(have, data)) {
			c.Files[e.name] = data
		}
	}
	if len(c.Files) == 0 {
		return nil
	}
	if old != "" {
		if c.Copy, err = rest(fsys, ".", c.Files, old); err != nil {
			return err
		}
	}
	made, err := g.Commit(ctx, c)
	if err != nil {
		return err
	}
	return g.Push(ctx, gitrepo.Update{Ref: Ref, Old: old, New: made.Hash})
}

// rest names everything under dir but the files, to be taken from commit
// unread: what this version does not know, or cannot read, stays as it is.
func rest(fsys fs.FS, dir string, files map[string][]byte, commit string) (map[string]string, error) {
	entries, err := list(fsys, dir)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if _, replaced := files[name]; replaced {
			continue
		}
		if !e.IsDir() || !holds(name, files) {
			out[name] = commit
			continue
		}
		below, err := rest(fsys, name, files, commit)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, below)
	}
	return out, nil
}

// holds tells whether one of the files is somewhere in dir.
func holds(dir string, files map[string][]byte) bool {
	for name := range files {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

// read returns the state's commit and tree; "" when there is no state yet.
func read(g Git) (string, gitrepo.Snapshot, error) {
	refs, err := g.Refs(Ref)
	commit, ok := refs[Ref]
	if err != nil || !ok {
		return "", gitrepo.Snapshot{}, err
	}
	snap, err := g.Snapshot(commit)
	return commit, snap, err
}

// reportFiles lists reports/<env>/<cluster>.json.
func reportFiles(fsys fs.FS) ([]string, error) {
	envs, err := list(fsys, reportsDir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, env := range envs {
		if !env.IsDir() {
			continue
		}
		dir := path.Join(reportsDir, env.Name())
		clusters, err := list(fsys, dir)
		if err != nil {
			return nil, err
		}
		for _, c := range clusters {
			if !c.IsDir() && strings.HasSuffix(c.Name(), jsonExt) {
				out = append(out, path.Join(dir, c.Name()))
			}
		}
	}
	return out, nil
}

// list is fs.ReadDir, and nothing for a directory that is not there.
func list(fsys fs.FS, dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// reportPath is reports/<env>/<cluster>.json. Clusters may be named anything
// (an ARN, a URL), so what is special in a path is escaped.
func reportPath(env, cluster string) (string, error) {
	if env == "" || cluster == "" {
		return "", fmt.Errorf("report of environment %q, cluster %q: both need a name", env, cluster)
	}
	return path.Join(reportsDir, escape(env), escape(cluster)+jsonExt), nil
}

// escape makes one path segment of any name; Git refuses "." and ".." and, in
// any case, ".git".
func escape(name string) string {
	s := url.PathEscape(name)
	if strings.HasPrefix(s, ".") {
		return "%2E" + s[1:]
	}
	return s
}

func unescape(segment string) string {
	if s, err := url.PathUnescape(segment); err == nil {
		return s
	}
	return segment
}

func readReport(fsys fs.FS, name string) Report {
	dir, file := path.Split(name)
	env, cluster := unescape(path.Base(dir)), unescape(strings.TrimSuffix(file, jsonExt))
	bad := func(reason string) Report {
		return Report{Env: env, Cluster: cluster, Problem: name + " in " + Ref + ": " + reason + "; the agent's next report replaces it"}
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return bad(reason(err))
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return bad(err.Error())
	}
	if r.Env != env || r.Cluster != cluster {
		return bad(fmt.Sprintf("is about environment %q, cluster %q", r.Env, r.Cluster))
	}
	return r
}

// reason drops the path of a PathError, which the caller names better.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
