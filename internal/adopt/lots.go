package adopt

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/policy"
)

// lot is the values that one new policy is for.
type lot struct {
	rule   rule
	values []*value
}

// guessed is a value with what its tag makes one believe.
type guessed struct {
	*value
	rule rule
}

// guessNew makes policies for the values that have none.
func (a *adoption) guessNew() {
	byImage := map[string][]guessed{} // by canonical name
	a.keep(func(v *value) (string, string) {
		if v.policy != "" {
			return "", ""
		}
		r := guess(v.ref.Tag, v.ref.Repo)
		switch {
		case r.reason != "":
			return r.reason, r.hint
		case r.policy.DigestTag != "" && !v.whole():
			return fmt.Sprintf("%s is a tag that moves, and there is no place for its digest", v.ref.Tag), "write it as " + string(v.ref.Tag) + "@sha256:…, or take a tag with a version"
		}
		if bad := r.check("x", v.ref.Repo, v.ref.Tag); bad != "" {
			return bad, "write an ImagePolicy for it and mark the value by hand"
		}
		key := v.ref.Repo.Canonical()
		byImage[key] = append(byImage[key], guessed{v, r})
		return "", ""
	})
	lots := map[string][]*lot{}
	for _, key := range slices.Sorted(maps.Keys(byImage)) {
		lots[key] = a.lots(byImage[key])
	}
	a.name(lots)
}

// lots parts the values of one image by the policies that they need.
func (a *adoption) lots(values []guessed) []*lot {
	a.join(values)
	var out []*lot
	for _, v := range values {
		i := slices.IndexFunc(out, func(l *lot) bool { return l.rule.kind == v.rule.kind })
		if i < 0 {
			i = len(out)
			out = append(out, &lot{rule: v.rule})
		}
		l := out[i]
		// The newest tag explains a policy best: it is the one that others follow.
		if newest := v.ref.Tag; len(l.values) > 0 && l.rule.why != v.rule.why && v.rule.policy.DigestTag == "" &&
			!slices.ContainsFunc(l.values, func(o *value) bool { return !policy.Lower(v.policyOf(), o.ref.Tag, newest) }) {
			l.rule = v.rule
		}
		l.values = append(l.values, v.value)
	}
	return out
}

// policyOf is the policy that a value was guessed to need.
func (g guessed) policyOf() policy.Policy {
	p := g.rule.policy
	p.Name, p.Image = "x", g.ref.Repo
	return p
}

// join gives one rule to the values of one place in environments that follow each
// other and hold different major versions: the next one is on its way through them.
func (a *adoption) join(values []guessed) {
	type line struct{ pipeline, entry, app, slot, form string }
	byLine := map[line][]int{}
	for i, v := range values {
		if v.rule.policy.Semver != nil {
			key := line{v.pipeline, a.entryOf(v.env), v.app, v.slot, v.rule.form}
			byLine[key] = append(byLine[key], i)
		}
	}
	for _, list := range byLine {
		var ranges, suffixes []string
		var tags [2]string
		prereleases, follows := false, false
		for _, i := range list {
			r := values[i].rule
			prereleases = prereleases || r.policy.Semver.Prereleases
			for _, j := range list {
				if values[j].rule.kind != r.kind && a.follows(values[j].env, values[i].env) && !follows {
					follows, tags = true, [2]string{string(values[i].ref.Tag), string(values[j].ref.Tag)}
				}
			}
			if in := r.policy.Semver.Range; !slices.Contains(ranges, in) {
				ranges, suffixes = append(ranges, in), append(suffixes, r.suffix)
			}
		}
		if !follows {
			continue
		}
		byLength := func(x, y string) int { return cmp.Or(len(x)-len(y), strings.Compare(x, y)) }
		slices.SortFunc(ranges, byLength)
		slices.SortFunc(suffixes, byLength)
		in := strings.Join(ranges, " || ")
		for _, i := range list {
			r := &values[i].rule
			r.policy.Semver = &policy.Semver{Range: in, Prereleases: prereleases}
			r.kind, r.suffix = r.form+" "+in, strings.Join(suffixes, "-")
			r.why = fmt.Sprintf("environments that follow each other hold %s and %s at one place, so both are of one line: %s", tags[0], tags[1], in)
		}
	}
}

// before is the environment from which one gets its versions; "": none.
func (a *adoption) before(env string) string {
	for _, e := range a.envs {
		if e.Name == env {
			return e.from
		}
	}
	return ""
}

// entryOf is the environment through which versions come to another.
func (a *adoption) entryOf(env string) string {
	for range a.envs { // a pipeline has no circles, and if it had, this would end
		from := a.before(env)
		if from == "" {
			break
		}
		env = from
	}
	return env
}

// follows tells whether the versions of one environment come from another.
func (a *adoption) follows(env, from string) bool {
	for range a.envs {
		if env = a.before(env); env == "" || env == from {
			break
		}
	}
	return env == from && env != ""
}
