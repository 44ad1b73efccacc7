package promote

import (
	"cmp"
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// flowProblems warns of marked values that nothing moves: their policy enters the
// pipeline nowhere, or the environment before does not hold it.
func flowProblems(cfg policy.Config, envs map[string]EnvState) []policy.Problem {
	var out []policy.Problem
	for _, pl := range cfg.Pipelines {
		outside := map[string]policy.Environment{} // policy that does not enter → where its first marker is
		for _, env := range pl.Environments {
			st, ok := envs[env.Name]
			if !ok || st.Problem != "" {
				continue
			}
			for _, app := range st.Apps {
				for _, m := range firstMarkers(app) {
					p, ok := cfg.Policy(m.Policy)
					if !ok {
						continue // said at the marker
					}
					if !enters(pl, p.Name) {
						if _, seen := outside[p.Name]; !seen {
							outside[p.Name] = env
						}
						continue
					}
					out = append(out, upstreamLacks(env, envs, app.Name, m)...)
				}
			}
		}
		for name, env := range outside {
			out = append(out, notTaken(cfg, pl, env, name))
		}
	}
	return out
}

// firstMarkers returns the first marker of each policy of an app.
func firstMarkers(a AppState) []patch.Marker {
	var out []patch.Marker
	for _, m := range a.Markers {
		if !slices.ContainsFunc(out, func(f patch.Marker) bool { return f.Policy == m.Policy }) {
			out = append(out, m)
		}
	}
	return out
}

// enters reports whether an environment of a pipeline takes a policy's tags.
func enters(pl policy.Pipeline, name string) bool {
	return slices.ContainsFunc(pl.Environments, func(e policy.Environment) bool { return e.Update.Has(name) })
}

// notTaken warns of a policy that has markers and that nobody takes.
func notTaken(cfg policy.Config, pl policy.Pipeline, env policy.Environment, name string) policy.Problem {
	p, _ := cfg.Policy(name)
	entry := env
	for _, e := range pl.Environments {
		if env.Update == nil && e.Update != nil {
			entry = e
			break
		}
	}
	return policy.Problem{Path: p.Source.Path, Line: p.Source.Line, Object: "ImagePolicy/" + name, Warning: true,
		Reason: fmt.Sprintf("policy %q has markers in %s, but no environment of pipeline %s takes it, so it changes nothing there", name, env.Name, pl.Name),
		Hint:   fmt.Sprintf("add %s to update.policies of %s", name, entry.Name)}
}

// upstreamLacks warns of a marker whose app takes its values from an environment that
// does not hold this one.
func upstreamLacks(env policy.Environment, envs map[string]EnvState, app string, m patch.Marker) []policy.Problem {
	if len(env.From) == 0 {
		return nil
	}
	from := env.From[0]
	before, ok := envs[from]
	if !ok || before.Problem != "" {
		return nil
	}
	w := policy.Problem{Path: m.Path, Line: m.Line, Column: m.Column, Object: "marker", Warning: true}
	up, ok := before.App(app)
	switch {
	case !ok:
		w.Reason = fmt.Sprintf("%s takes its versions from %s, which has no app %s, so nothing moves policy %q here", env.Name, from, app, m.Policy)
	case slices.ContainsFunc(up.Markers, func(u patch.Marker) bool { return u.Policy == m.Policy }),
		slices.ContainsFunc(up.Skipped, func(k patch.Skipped) bool { return cmp.Or(k.Policy, m.Policy) == m.Policy }):
		return nil
	default:
		w.Reason = fmt.Sprintf("%s takes its versions from %s, whose app %s has no marker of policy %q, so nothing moves it here", env.Name, from, app, m.Policy)
	}
	w.Hint = fmt.Sprintf("mark the value in %s, too, or let an environment take it from where it is", from)
	return []policy.Problem{w}
}
