package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

	maxTries = 10                     // pushes tried before PutReport gives up
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

// Load reads the state as of the last Fetch. Without the ref it is empty. A
// report file that cannot be read becomes a Report with only its Problem, so
// that one broken file never hides the others. Reports are sorted by Env, then
// Cluster.
func Load(ctx context.Context, g Git) (State, error) {
	commit, files, err := read(g)
	if err != nil {
		return State{}, fmt.Errorf("load %s: %w", Ref, err)
	}
	s := State{Commit: commit}
	for name, data := range files {
		if err := ctx.Err(); err != nil {
			return State{}, fmt.Errorf("load %s: %w", Ref, context.Cause(ctx))
		}
		if env, cluster, ok := parsePath(name); ok {
			s.Reports = append(s.Reports, parseReport(name, env, cluster, data))
		}
	}
	slices.SortFunc(s.Reports, func(a, b Report) int {
		return strings.Compare(a.Env+"\x00"+a.Cluster, b.Env+"\x00"+b.Cluster)
	})
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
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	data = append(data, '\n')
	try := func() (struct{}, error) {
		err := put(ctx, g, name, data, r.At)
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
		return fmt.Errorf("write %s to %s: %w", name, Ref, err)
	}
	return nil
}

func put(ctx context.Context, g Git, name string, data []byte, at time.Time) error {
	old, files, err := read(g)
	if err != nil {
		return err
	}
	if string(files[name]) == string(data) {
		return nil
	}
	files[name] = data
	c, err := g.Commit(ctx, gitrepo.Change{
		Files:       files,
		ReplaceTree: true,
		Message:     "state: " + strings.TrimSuffix(name, jsonExt) + "\n",
		Time:        at,
	})
	if err != nil {
		return err
	}
	return g.Push(ctx, gitrepo.Update{Ref: Ref, Old: old, New: c.Hash})
}

// read returns the state's commit and files, "" and an empty map when there is
// no state yet.
func read(g Git) (string, map[string][]byte, error) {
	refs, err := g.Refs(Ref)
	if err != nil {
		return "", nil, err
	}
	commit, ok := refs[Ref]
	if !ok {
		return "", map[string][]byte{}, nil
	}
	snap, err := g.Snapshot(commit)
	if err != nil {
		return "", nil, err
	}
	files, err := snap.Files(".", nil)
	if err != nil {
		return "", nil, err
	}
	return commit, files, nil
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

func parsePath(name string) (env, cluster string, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != reportsDir || !strings.HasSuffix(parts[2], jsonExt) {
		return "", "", false
	}
	env, err := url.PathUnescape(parts[1])
	if err != nil {
		env = parts[1]
	}
	cluster = strings.TrimSuffix(parts[2], jsonExt)
	if c, err := url.PathUnescape(cluster); err == nil {
		cluster = c
	}
	return env, cluster, true
}

func parseReport(name, env, cluster string, data []byte) Report {
	bad := func(reason string) Report {
		return Report{Env: env, Cluster: cluster, Problem: name + " in " + Ref + ": " + reason + "; the agent's next report replaces it"}
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
