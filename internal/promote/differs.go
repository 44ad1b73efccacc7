package promote

import (
	"io/fs"
	"reflect"
	"slices"

	"towpath.dev/towpath/internal/policy"
)

// Differs tells whether a checkout holds other policies, pipelines or marked
// values than the commit that the situation was read from. What else its files
// hold is not compared.
func (s Situation) Differs(fsys fs.FS) bool {
	cfg, err := LoadConfig(fsys)
	if err != nil || !reflect.DeepEqual(cfg.Policies, s.Policies) {
		return true
	}
	for _, p := range cfg.Problems {
		if !slices.Contains(s.Problems, p) {
			return true
		}
	}
	same := func(pl policy.Pipeline) bool {
		return slices.ContainsFunc(cfg.Pipelines, func(p policy.Pipeline) bool { return reflect.DeepEqual(p, pl) })
	}
	for _, pl := range s.Pipelines {
		if !same(pl) {
			return true
		}
		for _, env := range pl.Environments {
			if s.Envs[env.Name].differs(parseEnv(fsys, env, nil)) {
				return true
			}
		}
	}
	// A pipeline that was left out has a problem; any other is new.
	return slices.ContainsFunc(cfg.Pipelines, func(p policy.Pipeline) bool {
		used := slices.ContainsFunc(s.Pipelines, func(pl policy.Pipeline) bool { return pl.Name == p.Name })
		return !used && !slices.ContainsFunc(s.Problems, func(b policy.Problem) bool { return b.Object == "Pipeline/"+p.Name })
	})
}

func (e EnvState) differs(v envView) bool {
	return (e.Problem == "") != (v.problem == "") || !slices.EqualFunc(e.Apps, v.apps, func(a, b AppState) bool {
		return a.Name == b.Name && a.Content == b.Content && len(a.Markers) == len(b.Markers) && slices.Equal(a.Skipped, b.Skipped)
	})
}
