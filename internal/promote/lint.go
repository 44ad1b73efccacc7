package promote

import (
	"io/fs"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/policy"
)

// Lint checks a whole config repository, offline: its policies and pipelines,
// every marker in an environment's directory, and that every app renders.
func Lint(fsys fs.FS) ([]policy.Problem, error) {
	cfg, err := LoadConfig(fsys)
	if err != nil {
		return nil, err
	}
	out := cfg.Problems
	if len(cfg.Pipelines) == 0 && !hasErrors(out) {
		out = append(out, noPipeline())
	}
	envs := map[string]EnvState{}
	r := manifest.NewRenderer(manifest.Limits{})
	for _, pl := range cfg.Pipelines {
		for _, env := range pl.Environments {
			v := parseEnv(fsys, env)
			envs[env.Name] = EnvState{Env: env, Apps: v.apps, Problem: v.problem, problems: v.problems}
			if v.problem != "" {
				out = append(out, environmentProblem(env, v.problem))
				continue
			}
			out = append(out, renderProblems(r, fsys, env)...)
		}
	}
	out = append(out, markerProblems(cfg, envs)...)
	sortProblems(out)
	return out, nil
}

func renderProblems(r *manifest.Renderer, fsys fs.FS, env policy.Environment) []policy.Problem {
	apps, err := r.Render(fsys, env.Path)
	if err != nil {
		return []policy.Problem{environmentProblem(env, err.Error())}
	}
	var out []policy.Problem
	for _, a := range apps {
		if a.Problem != nil {
			out = append(out, policy.Problem{Path: a.Dir, Object: "app " + env.Name + "/" + a.Name, Reason: a.Problem.Error(),
				Hint: "correct it; the agent leaves the app as it is until then"})
		}
	}
	return out
}

func environmentProblem(env policy.Environment, reason string) policy.Problem {
	return policy.Problem{Path: env.Source.Path, Line: env.Source.Line, Object: "environment " + env.Name, Reason: reason,
		Hint: "create the directory or correct the environment's path; the other environments go on"}
}
