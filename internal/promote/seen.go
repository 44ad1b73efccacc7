package promote

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// envView is an environment as parsed.
type envView struct {
	apps     []AppState
	problem  string
	problems []policy.Problem // with single apps, which are left out
	read     []string         // every file whose markers were judged
}

// seen is what ticks read before, by what Git calls it: a tick reads only what
// changed. Nothing of it ever changes an outcome.
type seen struct {
	blobs blobs
	base  gitrepo.Snapshot // the newest that was looked at
	cfg   policy.Config
	cfgOf string // object hash of policies/ that cfg is of; "" = none
	envs  map[string]*envSeen
	heads map[string]headSeen // by commit

	found   []policy.Problem // with the markers of envs
	foundIn string           // hashes of all that found depends on; "" = it is not to be used again
}

// envSeen is one environment as it was looked at last.
type envSeen struct {
	tree string // hash that view depends on; "" = view is not to be used again
	view envView
	apps map[string]appSeen // by the name of the folder
}

// appSeen is a folder of an environment.
type appSeen struct {
	object gitrepo.Object
	dir    manifest.AppDir
	isApp  bool
	state  *AppState // nil: its name cannot be used, or it depends on more than its folder
}

func newSeen(dir string, logger *slog.Logger) seen {
	s := seen{envs: map[string]*envSeen{}, blobs: blobs{logger: logger}}
	if dir != "" {
		s.blobs.file = filepath.Join(dir, plainFile)
	}
	return s
}

// snapshot is the tree of the base branch's head.
func (s *seen) snapshot(g Git, head string) (gitrepo.Snapshot, error) {
	if s.base.Commit == head {
		return s.base, nil
	}
	snap, err := g.Snapshot(head)
	if err == nil {
		s.base = snap
	}
	return snap, err
}

// config is LoadConfig, of a tree of policies/ that is new.
func (s *seen) config(snap gitrepo.Snapshot) (policy.Config, error) {
	hash, _ := snap.Hash(PolicyDir)
	if hash == "" || hash != s.cfgOf {
		cfg, err := LoadConfig(snap.FS())
		if err != nil {
			return policy.Config{}, err
		}
		s.cfg, s.cfgOf = cfg, hash
		if slices.ContainsFunc(cfg.Problems, func(p policy.Problem) bool { return p.Verdict == string(patch.NotRead) }) {
			s.cfgOf = "" // it may be readable at the next tick
		}
	}
	cfg := s.cfg
	cfg.Problems = slices.Clip(cfg.Problems) // others are put behind them
	return cfg, nil
}

// problems is markerProblems, folded, of trees that are new.
func (s *seen) problems(cfg policy.Config, envs map[string]EnvState) []policy.Problem {
	of := s.cfgOf
	for _, name := range slices.Sorted(maps.Keys(envs)) {
		e := s.envs[envKey(envs[name].Env)]
		if of == "" || e == nil || e.tree == "" {
			of = ""
			break
		}
		of += "\x00" + envKey(envs[name].Env) + "\x00" + e.tree
	}
	if of == "" || of != s.foundIn {
		s.found, s.foundIn = fold(markerProblems(cfg, envs)), of
	}
	return s.found
}

func envKey(env policy.Environment) string { return env.Name + "\x00" + env.Path }

// env parses the environment's directory, or what of it changed since it was
// looked at last.
func (s *seen) env(snap gitrepo.Snapshot, env policy.Environment, branch string) EnvState {
	hash, ok := snap.Hash(env.Path)
	if !ok {
		return EnvState{Env: env, Problem: fmt.Sprintf("directory %s does not exist on %s", env.Path, branch)}
	}
	e := s.envs[envKey(env)]
	if e == nil {
		e = &envSeen{}
		s.envs[envKey(env)] = e
	}
	if e.tree == "" || e.tree != hash && e.tree != snap.Tree {
		e.look(snap, env, hash, &s.blobs)
	}
	return EnvState{Env: env, Apps: e.view.apps, Problem: e.view.problem, problems: e.view.problems}
}

// look parses what changed.
func (e *envSeen) look(snap gitrepo.Snapshot, env policy.Environment, hash string, known *blobs) {
	p := parser{fsys: snap.FS(), env: env, blobs: known, before: e.apps, apps: map[string]appSeen{}}
	e.view = p.parse()
	e.tree = hash
	switch {
	case e.view.problem != "" || p.unsure:
		e.tree = ""
	case p.outside:
		e.tree = snap.Tree
	}
	e.apps = p.apps
}

// end forgets the environments that are none any more, and keeps what was learned.
func (s *seen) end(envs map[string]EnvState) {
	used := map[string]bool{}
	for _, e := range envs {
		used[envKey(e.Env)] = true
	}
	for key := range s.envs {
		if !used[key] {
			delete(s.envs, key)
		}
	}
	s.blobs.save()
}

// parser reads an environment.
type parser struct {
	fsys   fs.FS
	env    policy.Environment
	blobs  *blobs
	before map[string]appSeen // what is known of its folders
	apps   map[string]appSeen // what is known of them now

	outside bool // something depends on what is outside the environment: where a link leads
	unsure  bool // something could not be read, which may be otherwise next time
}

// parseEnv reads an environment as it is; known may be nil.
func parseEnv(fsys fs.FS, env policy.Environment, known *blobs) envView {
	p := parser{fsys: fsys, env: env, blobs: known, apps: map[string]appSeen{}}
	return p.parse()
}

func (p *parser) parse() (v envView) {
	dirs, err := manifest.AppsAgain(p.fsys, p.env.Path, p.again)
	if err != nil {
		return envView{problem: err.Error()}
	}
	for _, d := range dirs {
		if !appName.MatchString(d.Name) || strings.Contains(d.Name, "..") || strings.HasSuffix(d.Name, ".lock") {
			v.problems = append(v.problems, policy.Problem{Path: d.Dir, Object: "app " + p.env.Name + "/" + d.Name,
				Reason: fmt.Sprintf("%q cannot be the name of an app: branches are named after it", d.Name),
				Hint:   "rename the folder: letters, digits, -, _ and . (not .lock at the end)"})
			continue
		}
		v.apps = append(v.apps, p.app(d))
		v.read = append(v.read, d.Files...)
	}
	return v
}

// again is what a folder of the environment is, as long as it is the same.
func (p *parser) again(e fs.DirEntry, read func() (manifest.AppDir, bool)) (manifest.AppDir, bool) {
	o, ok := gitrepo.ObjectOf(e)
	if !ok {
		return read()
	}
	if known, ok := p.before[e.Name()]; ok && known.object == o {
		p.apps[e.Name()] = known
		return known.dir, known.isApp
	}
	dir, isApp := read()
	if dir.Unread == "" {
		p.apps[e.Name()] = appSeen{object: o, dir: dir, isApp: isApp}
	}
	return dir, isApp
}

// app is the state of an app that again has told of, or of the files that lie in
// the environment's directory.
func (p *parser) app(d manifest.AppDir) AppState {
	known, ok := p.apps[d.Name]
	ok = ok && known.dir.Dir == d.Dir
	if ok && known.state != nil {
		return *known.state
	}
	a := parseApp(p.fsys, p.env.Name, d, p.blobs)
	unsure := d.Unread != "" || slices.ContainsFunc(a.Skipped, func(k patch.Skipped) bool { return k.Verdict == patch.NotRead })
	p.unsure = p.unsure || unsure
	p.outside = p.outside || len(d.Odd) > 0
	if ok && !unsure && len(d.Odd) == 0 {
		known.state = &a
		p.apps[d.Name] = known
	}
	return a
}
