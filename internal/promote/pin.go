package promote

import (
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// pinProblems warns of apps whose markers leave no place for the digest that
// their policy is to write.
func pinProblems(cfg policy.Config, envs map[string]EnvState) []policy.Problem {
	var out []policy.Problem
	for _, e := range envs {
		for _, a := range e.Apps {
			mine := markersByPolicy(a)
			for name := range a.Values {
				if p, ok := cfg.Policy(name); ok && p.Pin == policy.PinDigest {
					a.Markers = mine[name]
					out = append(out, unpinned(a, p)...)
				}
			}
		}
	}
	return out
}

// markersByPolicy sorts an app's markers out once, as to look through all of them
// for each policy would cost their square.
func markersByPolicy(a AppState) map[string][]patch.Marker {
	out := map[string][]patch.Marker{}
	for _, m := range a.Markers {
		out[m.Policy] = append(out[m.Policy], m)
	}
	return out
}

// unpinned warns of one policy's markers, which are those of a.
func unpinned(a AppState, p policy.Policy) []policy.Problem {
	mine := a.Markers
	holds := func(m patch.Marker) bool {
		return m.Part == patch.PartRef || m.Part == patch.PartDigest || m.Part == patch.PartTag && strings.Contains(m.Value, "@")
	}
	i := slices.IndexFunc(mine, func(m patch.Marker) bool { return m.Part == patch.PartTag })
	if i < 0 || slices.ContainsFunc(mine, holds) {
		return nil
	}
	m := mine[i]
	w := policy.Problem{Path: m.Path, Line: m.Line, Column: m.Column, Object: "marker", Warning: true, Verdict: string(patch.LacksPart),
		Reason: fmt.Sprintf("policy %q pins digests, but its markers in %s/%s hold only the tag, so the digest is left out", p.Name, a.Env, a.Name),
		Hint:   fmt.Sprintf("write the value as TAG@sha256:… once, and it is kept that way; or mark the digest's own place with \"# towpath: %s:digest\"; or set pin: tag", p.Name)}
	if p.DigestTag != "" {
		w.Reason = fmt.Sprintf("policy %q follows a tag by its digest, but its markers in %s/%s hold only the tag, so it changes nothing here", p.Name, a.Env, a.Name)
		w.Hint = strings.TrimSuffix(w.Hint, "; or set pin: tag")
	}
	return []policy.Problem{w}
}
