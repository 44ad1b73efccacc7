package promote

import (
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// neverProblems warns of policies that can choose nothing whatever is pushed: at
// all, or from what a marker holds where tags enter; and of current tags that
// their policy cannot order.
func neverProblems(cfg policy.Config, envs map[string]EnvState) []policy.Problem {
	var out []policy.Problem
	for _, p := range cfg.Policies {
		if reason, hint := policy.NeverMatches(p, ""); reason != "" {
			out = append(out, policy.Problem{Path: p.Source.Path, Line: p.Source.Line, Object: "ImagePolicy/" + p.Name, Warning: true,
				Reason: "the policy can never choose a tag: " + reason, Hint: hint})
		}
	}
	known := map[stuckAt]stuckWhy{}
	for _, e := range envs {
		for _, a := range e.Apps {
			mine := markersByPolicy(a)
			for name, ref := range a.Values {
				a.Markers = mine[name]
				if p, ok := cfg.Policy(name); ok && ref.Tag != "" && p.DigestTag == "" {
					out = append(out, stuck(e.Env, a, p, ref.Tag, known)...)
				}
			}
		}
	}
	return out
}

// stuckAt is what makes a current tag stuck; many apps have the same.
type stuckAt struct {
	policy string
	tag    image.Tag
	enters bool // tags of the policy enter here
}

// stuckWhy is a warning's text; an empty reason: there is none.
type stuckWhy struct{ reason, hint string }

// stuck warns of one current tag. known keeps what was found before.
func stuck(env policy.Environment, a AppState, p policy.Policy, tag image.Tag, known map[stuckAt]stuckWhy) []policy.Problem {
	i := slices.IndexFunc(a.Markers, func(m patch.Marker) bool {
		return m.Policy == p.Name && (m.Part == patch.PartRef || m.Part == patch.PartTag)
	})
	if i < 0 {
		return nil
	}
	at := stuckAt{p.Name, tag, env.Update.Has(p.Name)}
	why, ok := known[at]
	if !ok {
		why = whyStuck(p, tag, at.enters)
		known[at] = why
	}
	if why.reason == "" {
		return nil
	}
	m := a.Markers[i]
	return []policy.Problem{{Path: m.Path, Line: m.Line, Column: m.Column, Object: "marker", Warning: true, Reason: why.reason, Hint: why.hint}}
}

func whyStuck(p policy.Policy, tag image.Tag, enters bool) stuckWhy {
	if reason, _ := policy.NeverMatches(p, ""); reason != "" {
		return stuckWhy{} // said at the policy
	}
	if enters {
		if reason, hint := policy.NeverMatches(p, tag); reason != "" {
			return stuckWhy{fmt.Sprintf("policy %q can never choose a tag in place of %s: %s", p.Name, tag, reason), hint}
		}
	}
	if reason := filteredOut(p, tag); reason != "" && enters {
		return stuckWhy{fmt.Sprintf("the current tag %s does not pass the filter of policy %q (%s)", tag, p.Name, reason),
			"the next update leaves its kind of tags for those that the filter keeps; if that is not meant, correct the filter or write a tag that passes"}
	}
	if reason := unordered(p, tag); reason != "" {
		return stuckWhy{fmt.Sprintf("policy %q cannot order the current tag %s (%s), so it cannot tell what is lower and takes whatever it accepts", p.Name, tag, reason),
			"write a tag that the policy accepts into the file, or correct the policy"}
	}
	return stuckWhy{}
}

// filteredOut says why a policy's filter does not keep a tag that its selector
// could read; "": it does, or there is no filter.
func filteredOut(p policy.Policy, tag image.Tag) string {
	if p.Filter == nil {
		return ""
	}
	p = anything(p)
	ok, reason := policy.Accepts(p, tag)
	p.Filter = nil
	if without, _ := policy.Accepts(p, tag); ok || !without {
		return ""
	}
	return reason
}

// unordered says why a policy's selector cannot read a tag, whatever its range
// and exclusions; "": it can.
func unordered(p policy.Policy, tag image.Tag) string {
	p = anything(p)
	ok, reason := policy.Accepts(p, tag)
	if !ok && p.Filter != nil { // a tag that the filter does not keep is read as it is
		p.Filter = nil
		ok, _ = policy.Accepts(p, tag)
	}
	if ok {
		return ""
	}
	return reason
}

// anything is p without its range, lane and exclusions.
func anything(p policy.Policy) policy.Policy {
	p.Exclude, p.Lane = nil, policy.LaneAny
	if p.Semver != nil {
		p.Semver = &policy.Semver{Range: ">=0-0", Prereleases: true}
	}
	return p
}
