package adopt

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/policy"
)

// environment is a directory in which values can be marked.
type environment struct {
	Name, Path, Pipeline string
	from                 string // the environment before, empty where new tags enter
	update               *policy.Update
	root                 bool // a kustomization lies in it: it is one app
}

// rootApp is what the app of files directly in an environment's directory is called.
const rootApp = "root"

// place gives every value its environment, and leaves those that are in none.
func (a *adoption) place() {
	failed := map[string]string{} // folders that cannot be environments, and why
	var lines []line
	if len(a.in.Config.Pipelines) > 0 {
		for _, pl := range a.in.Config.Pipelines {
			for _, e := range pl.Environments {
				a.envs = append(a.envs, environment{Name: e.Name, Path: e.Path, Pipeline: pl.Name, from: strings.Join(e.From, ""), update: e.Update})
			}
		}
	} else {
		lines = a.guessLines(failed)
		for _, l := range lines {
			for _, e := range l.envs {
				a.envs = append(a.envs, environment{Name: e.name, Path: e.dir, Pipeline: l.name, from: l.before(e)})
			}
		}
	}
	for i, e := range a.envs {
		a.envs[i].root = slices.ContainsFunc(a.in.Files, func(f file) bool {
			return path.Dir(f.Path) == e.Path && kustomizationFiles.MatchString(path.Base(f.Path))
		})
	}
	shared := a.sharedFolders()
	a.keep(func(v *value) (string, string) {
		e, app := a.home(v.path)
		if e == nil {
			return a.outside(v, failed, shared)
		}
		v.env, v.pipeline, v.app = e.Name, e.Pipeline, app
		return "", ""
	})
	a.borrowed()
	a.pipelines = a.formatted(lines)
}

// home is the environment and the app that a file belongs to; nil: none.
func (a *adoption) home(p string) (*environment, string) {
	for i, e := range a.envs {
		if !within(p, e.Path) {
			continue
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(p, e.Path), "/")
		if e.Path == "." {
			rest = p
		}
		if app, _, deeper := strings.Cut(rest, "/"); deeper && !e.root {
			return &a.envs[i], app
		}
		return &a.envs[i], rootApp
	}
	return nil, ""
}

// within tells whether p is dir or below it.
func within(p, dir string) bool { return dir == "." || p == dir || strings.HasPrefix(p, dir+"/") }

// outside says why a value is in no environment, and what to do.
func (a *adoption) outside(v *value, failed map[string]string, shared []string) (reason, hint string) {
	for dir := path.Dir(v.path); ; dir = path.Dir(dir) {
		if why, ok := failed[dir]; ok {
			return dir + " cannot be an environment's directory: " + why, "correct it, or write a Pipeline by hand"
		}
		if slices.Contains(shared, dir) {
			all, plain := a.takers(v.path, v.ref.Repo.String(), func(string) bool { return true })
			if len(all) > 0 && len(plain) == 0 {
				return hasEntry, ""
			}
			return "it is a base that environments may share, and a change in it would reach all of them at once", v.perOverlay(plain)
		}
		if dir == "." {
			break
		}
	}
	if len(a.envs) == 0 {
		return "there is no environment's directory that could hold it", "move the manifests into a folder, and other YAML out of it"
	}
	return "it is outside the directories of all environments", "move it into one, or add an environment to the pipeline"
}

// line is a guessed pipeline.
type line struct {
	name string
	envs []stop // in order
	why  string
}

// stop is a guessed environment.
type stop struct {
	name, dir string
	from      int // index in the line, -1: new tags enter here
	merge     policy.Merge
	rank      int
	rest      string // what else the folder's name says
}

// before is the name of the stop from which s gets its versions, empty for none.
func (l *line) before(s stop) string {
	if s.from < 0 {
		return ""
	}
	return l.envs[s.from].name
}

// renders asks whether a folder can be an environment, and remembers why not.
func (a *adoption) renders(dir string, failed map[string]string) bool {
	reason := badPath(dir)
	if reason == "" && a.in.Renders != nil {
		reason = a.in.Renders(dir)
	}
	if reason != "" {
		failed[dir] = reason
	}
	return reason == ""
}

// badPath says why no pipeline may have an environment at dir; empty: one may.
func badPath(dir string) string {
	e := policy.Environment{Name: "x", Path: dir, Merge: policy.MergePush, Update: &policy.Update{Policies: []string{policy.AllPolicies}}}
	data := policy.FormatPipeline(policy.Pipeline{Name: "x", Branch: "main", Environments: []policy.Environment{e}})
	for _, p := range policy.Load([]policy.File{{Path: policyDir + "/x.yaml", Data: data}}).Problems {
		return p.Reason
	}
	return ""
}

// guessLines guesses environments from the names of folders; when no name says
// anything, every folder with manifests is one.
func (a *adoption) guessLines(failed map[string]string) []line {
	groups := a.groups()
	var lines []line
	for _, g := range groups {
		l := line{why: "the folders' names say the order; change it, and who approves, as you like"}
		dropped := false
		for _, f := range g.folders {
			if !a.renders(f.dir, failed) {
				dropped = true
				continue
			}
			l.envs = append(l.envs, stop{dir: f.dir, rank: f.rank, rest: f.rest})
		}
		if len(l.envs) == 0 {
			continue
		}
		l.chain(dropped)
		l.name = groupName(g.parent)
		lines = append(lines, l)
	}
	if len(groups) == 0 {
		lines = a.guessFolders(failed)
	}
	nameLines(lines)
	return lines
}

// chain sorts the stops and says where each gets its versions from: the one before it,
// if there are several of that rank the one with the same second name.
func (l *line) chain(dropped bool) {
	slices.SortStableFunc(l.envs, func(x, y stop) int {
		return cmp.Or(x.rank-y.rank, strings.Compare(x.rest, y.rest), strings.Compare(x.dir, y.dir))
	})
	for i := range l.envs {
		e := &l.envs[i]
		e.from, e.merge = -1, policy.MergeApproval
		for j := i - 1; j >= 0; j-- {
			before := l.envs[j]
			if before.rank == e.rank {
				continue
			}
			if e.from < 0 || before.rank == l.envs[e.from].rank && (before.rest == e.rest || l.envs[e.from].rest != e.rest) {
				e.from = j
			}
		}
		if e.from < 0 && e.rank < rankProd && !dropped && l.envs[len(l.envs)-1].rank > e.rank {
			e.merge = policy.MergeAuto
		}
	}
}

// nameLines gives pipelines and environments names that are there once.
func nameLines(lines []line) {
	taken := map[string]bool{}
	free := func(name string) string {
		name = cmp.Or(label(name), "env")
		for i, base := 2, name; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		taken[name] = true
		return name
	}
	pipelines := map[string]bool{}
	for i := range lines {
		l := &lines[i]
		prefix := l.name
		l.name = cmp.Or(label(l.name), "delivery")
		if len(lines) == 1 {
			l.name, prefix = "delivery", ""
		}
		for n, base := 2, l.name; pipelines[l.name]; n++ {
			l.name = fmt.Sprintf("%s-%d", base, n)
		}
		pipelines[l.name] = true
		for j := range l.envs {
			e := &l.envs[j]
			name := path.Base(e.dir)
			if prefix != "" {
				name = prefix + "-" + name
			}
			e.name = free(name)
		}
	}
}

// guessFolders is for folders whose names say nothing: the deepest folder that holds
// all values is one environment, or those below it that render.
func (a *adoption) guessFolders(failed map[string]string) []line {
	shared := a.sharedFolders()
	var paths []string
	for _, v := range a.values {
		if !slices.ContainsFunc(shared, func(dir string) bool { return within(v.path, dir) }) {
			paths = append(paths, path.Dir(v.path))
		}
	}
	if len(paths) == 0 {
		return nil
	}
	l := line{name: "delivery", why: "the folders' names do not say what comes before what; add from: where versions shall be promoted"}
	var visit func(dir string, paths []string)
	visit = func(dir string, paths []string) {
		if dir != "." && a.renders(dir, failed) {
			l.envs = append(l.envs, stop{dir: dir, from: -1, merge: policy.MergeApproval})
			return
		}
		below := map[string][]string{}
		for _, p := range paths {
			if rest := strings.TrimPrefix(strings.TrimPrefix(p, dir), "/"); dir == "." && p != "." || p != dir && rest != "" {
				if dir == "." {
					rest = p
				}
				first, _, _ := strings.Cut(rest, "/")
				below[path.Join(dir, first)] = append(below[path.Join(dir, first)], p)
			}
		}
		for _, child := range sortedKeys(below) {
			visit(child, below[child])
		}
	}
	visit(commonFolder(paths), paths)
	if len(l.envs) == 0 {
		return nil
	}
	return []line{l}
}

// commonFolder is the deepest folder that all paths are in. An app is a folder in an
// environment, so the folder above a single app is preferred.
func commonFolder(dirs []string) string {
	common := dirs[0]
	for _, d := range dirs[1:] {
		for !within(d, common) {
			common = path.Dir(common)
		}
	}
	return common
}

// formatted makes the documents of new pipelines.
func (a *adoption) formatted(lines []line) []Line {
	taken := map[string]bool{}
	for _, f := range a.in.Files {
		taken[f.Path] = true
	}
	var out []Line
	for _, l := range lines {
		pl := policy.Pipeline{Name: l.name, Branch: cmp.Or(a.in.Branch, "main")}
		for _, s := range l.envs {
			e := policy.Environment{Name: s.name, Path: s.dir, Merge: s.merge, OnNewVersion: policy.Supersede}
			if from := l.before(s); from != "" {
				e.From, e.Gates.Healthy = []string{from}, &policy.Healthy{}
			} else {
				e.Update = &policy.Update{Policies: []string{policy.AllPolicies}}
			}
			pl.Environments = append(pl.Environments, e)
		}
		at := policyDir + "/pipeline.yaml"
		if len(lines) > 1 {
			at = policyDir + "/pipeline-" + l.name + ".yaml"
		}
		for i := 2; taken[at]; i++ {
			at = fmt.Sprintf("%s/pipeline-%s-%d.yaml", policyDir, l.name, i)
		}
		taken[at] = true
		out = append(out, Line{Pipeline: pl, Path: at, Why: l.why})
	}
	return out
}
