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
			for name := range a.Values {
				if p, ok := cfg.Policy(name); ok && p.Pin == policy.PinDigest {
					out = append(out, unpinned(a, p)...)
				}
			}
		}
	}
	return out
}

// unpinned warns of one policy's markers in an app.
func unpinned(a AppState, p policy.Policy) []policy.Problem {
	mine := slices.DeleteFunc(slices.Clone(a.Markers), func(m patch.Marker) bool { return m.Policy != p.Name })
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
