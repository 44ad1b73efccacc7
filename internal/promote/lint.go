package promote

import (
	"cmp"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// Lint checks a whole config repository, offline: its policies and pipelines,
// every marker, also where it cannot work, and that every app renders. Markers
// outside the environments are looked for in the files that Files would read.
// Errors in policies/ come first; what follows from one is one line.
func Lint(fsys fs.FS, more ...string) ([]policy.Problem, error) {
	problems, err := lint(fsys, more...)
	return fold(problems), err
}

// lint is Lint with a line for each marker.
func lint(fsys fs.FS, more ...string) ([]policy.Problem, error) {
	cfg, err := LoadConfig(fsys)
	if err != nil {
		return nil, err
	}
	out := cfg.Problems
	if len(cfg.Pipelines) == 0 && !hasErrors(out) {
		out = append(out, noPipeline())
	}
	l := linter{fsys: fsys, more: more, covered: map[string]bool{}, reached: map[string]string{}}
	envs := map[string]EnvState{}
	r := manifest.NewRenderer(manifest.Limits{})
	for _, pl := range cfg.Pipelines {
		for _, env := range pl.Environments {
			l.paths = append(l.paths, env.Path)
			v := parseEnv(fsys, env, nil)
			l.cover(v)
			out = append(out, l.nearMisses(cfg, v)...)
			envs[env.Name] = EnvState{Env: env, Apps: v.apps, Problem: v.problem, problems: v.problems}
			if v.problem != "" {
				out = append(out, environmentProblem(env, v.problem))
				continue
			}
			out = append(out, l.render(r, env, v)...)
		}
	}
	out = append(out, markerProblems(cfg, envs)...)
	if len(l.paths) > 0 { // else every marker would be outside, because of one error elsewhere
		strays, err := l.strays()
		if err != nil {
			return nil, err
		}
		out = append(out, strays...)
	}
	sortProblems(out)
	return out, nil
}

// nearMisses reports the comments in an environment that are no markers because of
// a slip. The bot, which looks for the bytes of markers only, does not see them.
func (l *linter) nearMisses(cfg policy.Config, v envView) []policy.Problem {
	names := make([]string, 0, len(cfg.Policies))
	for _, p := range cfg.Policies {
		names = append(names, p.Name)
	}
	named := func(name string) bool {
		_, ok := policy.Nearest(name, names)
		return ok
	}
	var out []policy.Problem
	for _, p := range v.read {
		if f, k := readFile(l.fsys, p); k == nil {
			for _, near := range patch.NearMarkers(f, named) {
				out = append(out, skippedProblem(near))
			}
		}
	}
	return out
}

// render checks that every app of an environment renders. What the app's own
// files were reported for is not said again.
func (l *linter) render(r *manifest.Renderer, env policy.Environment, v envView) []policy.Problem {
	apps, err := r.Render(l.fsys, env.Path)
	if err != nil {
		return []policy.Problem{environmentProblem(env, err.Error())}
	}
	var out []policy.Problem
	for _, a := range apps {
		for _, p := range a.Reached {
			l.reached[p] = cmp.Or(l.reached[p], a.Dir)
		}
		if a.Problem != nil && !saidAlready(a, v) {
			out = append(out, appProblem(env, a))
		}
	}
	return out
}

// saidAlready reports whether an app is not rendered because of a file, link or
// the like that has its verdict.
func saidAlready(a manifest.App, v envView) bool {
	text := a.Problem.Error()
	for _, app := range v.apps {
		if app.Name != a.Name {
			continue
		}
		for _, k := range app.Skipped {
			rest, is := strings.CutPrefix(text, k.Path)
			if is && fileVerdict(k) && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, " ")) {
				return true
			}
		}
	}
	return false
}

// appProblem is why an app cannot be rendered, at the file that its error names.
func appProblem(env policy.Environment, a manifest.App) policy.Problem {
	p := policy.Problem{Path: a.Dir, Object: "app " + env.Name + "/" + a.Name, Hint: "correct it"}
	text := a.Problem.Error()
	for strings.HasPrefix(text, a.Dir) {
		m := leadingPlace.FindStringSubmatch(text)
		if m == nil {
			break
		}
		p.Path, text = m[1], text[len(m[0]):]
		p.Line, _ = strconv.Atoi(m[2])
	}
	p.Reason = text
	if !strings.HasPrefix(text, "kustomize: ") { // whose own words are no hints
		p.Reason, p.Hint = reasonAndHint(text, p.Hint)
	}
	p.Hint += "; the agent leaves the app as it is until then"
	return p
}

// leadingPlace is the file and line that an error begins with.
var leadingPlace = regexp.MustCompile(`^([^:\s]+)(?::([0-9]+))?: `)

// reasonAndHint parts an error that says what to do behind a semicolon.
func reasonAndHint(text, hint string) (string, string) {
	if reason, rest, ok := strings.Cut(text, "; "); ok {
		return reason, rest
	}
	return text, hint
}

func environmentProblem(env policy.Environment, reason string) policy.Problem {
	reason, hint := reasonAndHint(reason, "create the directory or correct the environment's path")
	return policy.Problem{Path: env.Source.Path, Line: env.Source.Line, Object: "environment " + env.Name, Reason: reason,
		Hint: hint + "; the other environments go on"}
}
