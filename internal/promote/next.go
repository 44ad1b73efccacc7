package promote

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// FromRegistry is the From of a move that enters the pipeline.
const FromRegistry = "registry"

// Next lists the moves that should happen: new tags into entry environments,
// and what an environment holds into the one behind it. A move that should not
// be proposed yet says why in Hold. An app that needs nothing has no move; one of
// whose values a person took some back has two.
func Next(s Situation) []Move {
	var out []Move
	for _, pl := range s.Pipelines {
		for _, env := range pl.Environments {
			for _, app := range s.Envs[env.Name].Apps {
				out = append(out, nextFor(s, env, app)...)
			}
		}
	}
	return out
}

func nextFor(s Situation, env policy.Environment, app AppState) []Move {
	m := Move{Env: env, App: app.Name, FromCommit: s.Commit}
	if env.Update != nil {
		m.From = FromRegistry
		fromChoices(&m, s, app)
		return entering(s, m, app)
	}
	m.From = env.From[0]
	up, ok := s.Envs[m.From].App(app.Name)
	switch {
	case !ok && len(app.Values) > 0:
		m.Hold = append(m.Hold, fmt.Sprintf("%s has no app %s, so nothing is promoted from it", m.From, app.Name))
	case len(up.Skipped) > 0:
		m.Hold = append(m.Hold, fmt.Sprintf("the markers of %s in %s cannot all be read: %s", app.Name, m.From, skippedText(up.Skipped[0])))
	}
	if len(m.Hold) > 0 {
		return []Move{m}
	}
	fromUpstream(&m, s, up, app)
	m.fill(app)
	if len(m.Edits) > 0 {
		holdUntilHealthy(&m, s)
		m.holdReverted(takenBack(s, m, app))
	}
	return m.needed()
}

// entering parts what a person took back from the rest: values that enter from
// registries have nothing to do with each other. What is promoted has run
// together, and stays together.
func entering(s Situation, m Move, app AppState) []Move {
	m.fill(app)
	back := takenBack(s, m, app)
	if len(back) == 0 {
		return m.needed()
	}
	free, held := m.empty(), m.empty()
	for i, set := range m.Sets {
		to := &free
		if back[set.Policy] != "" {
			to = &held
		}
		to.Sets, to.Why = append(to.Sets, set), append(to.Why, m.Why[i])
	}
	free.fill(app)
	held.fill(app)
	held.holdReverted(back)
	return append(free.needed(), held)
}

// empty is m with nothing to write.
func (m Move) empty() Move {
	return Move{Env: m.Env, App: m.App, From: m.From, FromCommit: m.FromCommit}
}

// fill applies m.Sets to the app's files.
func (m *Move) fill(app AppState) {
	res := patch.Apply(app.Files, m.Sets)
	m.Edits, m.Files = res.Edits, res.Files
	for _, sk := range res.Skipped {
		m.Hold = append(m.Hold, fmt.Sprintf("%s:%d: %s", sk.Path, sk.Line, sk.Reason))
	}
	if len(m.Edits) > 0 {
		m.Values = after(app, res.Files)
		m.Content = patch.Content(m.Env.Name, m.App, m.Values)
	}
}

// needed is m unless it is about nothing.
func (m Move) needed() []Move {
	if len(m.Edits)+len(m.Hold) == 0 {
		return nil
	}
	return []Move{m}
}

func (m *Move) holdReverted(back map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(back)) {
		m.Hold = append(m.Hold, back[name])
		m.Reverted = append(m.Reverted, name)
	}
}

// fromChoices takes what the registries offer.
func fromChoices(m *Move, s Situation, app AppState) {
	for _, c := range s.Choices {
		if c.Env == m.Env.Name && c.App == app.Name && c.Wanted && c.Problem == "" {
			m.Sets = append(m.Sets, patch.Set{Policy: c.Policy, Ref: c.Ref})
			m.Why = append(m.Why, fmt.Sprintf("policy `%s` chose `%s`: %s", c.Policy, c.Selected, c.Reason))
		}
	}
}

// fromUpstream takes what the environment before holds on the base branch.
func fromUpstream(m *Move, s Situation, up, app AppState) {
	for _, name := range slices.Sorted(maps.Keys(app.Values)) {
		ref, ok := up.Values[name]
		pol, known := findPolicy(s, name)
		if !ok || !known {
			continue
		}
		have := app.Values[name]
		if ref.Tag == have.Tag && (ref.Digest == have.Digest || ref.Digest == "") {
			continue
		}
		if ref.Tag == "" && pol.DigestTag == "" {
			m.Hold = append(m.Hold, fmt.Sprintf("%s marks only the digest of %s, so nobody knows whether it is newer; mark the tag, too", m.From, name))
			continue
		}
		if !pol.AllowDowngrade && policy.Lower(pol, ref.Tag, have.Tag) {
			m.Hold = append(m.Hold, fmt.Sprintf("%s holds %s %s, lower than the %s of %s; a version is never lowered by itself: change %s by hand, or set allowDowngrade",
				m.From, name, ref.Tag, have.Tag, m.Env.Name, m.Env.Path))
			continue
		}
		m.Sets = append(m.Sets, patch.Set{Policy: name, Ref: image.Ref{Repo: pol.Image, Tag: ref.Tag, Digest: ref.Digest}})
		m.Why = append(m.Why, fmt.Sprintf("`%s` holds `%s` `%s`, at commit %.12s", m.From, name, version(ref), s.Commit))
	}
}

// holdUntilHealthy keeps a move back while the environment before does not run
// exactly these values in health, so that no pull request is opened for a
// version that is broken already.
func holdUntilHealthy(m *Move, s Situation) {
	if m.Env.Gates.Healthy == nil && m.Env.Gates.Soak == nil {
		return
	}
	up, _ := s.Envs[m.From].App(m.App)
	stable := time.Duration(0)
	if h := m.Env.Gates.Healthy; h != nil {
		stable = h.StableFor
	}
	if k := m.Env.Gates.Soak; k != nil && m.Env.Merge == policy.MergePush {
		stable = max(stable, k.For) // there is no pull request that could wait
	}
	if r := judgeGreen("healthy", stable, s, m.From, up); r.State != Pass {
		m.Hold = append(m.Hold, r.Reason)
		m.Next = r.Next
	} else {
		m.Why = append(m.Why, r.Reason)
	}
}

// after returns the values of the app once files are in place.
func after(app AppState, files []patch.File) map[string]image.Ref {
	changed := map[string]patch.File{}
	for _, f := range files {
		changed[f.Path] = f
	}
	var markers []patch.Marker
	for _, f := range app.Files {
		if c, ok := changed[f.Path]; ok {
			f = c
		}
		ms, _ := patch.Markers(f)
		markers = append(markers, ms...)
	}
	values, _ := patch.Values(markers)
	return values
}

func findPolicy(s Situation, name string) (policy.Policy, bool) {
	for _, p := range s.Policies {
		if p.Name == name {
			return p, true
		}
	}
	return policy.Policy{}, false
}

// Versions names the tags of a set of values for people: "1.1.0", or
// "web 1.1.0, api 2.0.0" when there are several.
func Versions(values map[string]image.Ref) string {
	names := slices.Sorted(maps.Keys(values))
	if len(names) == 1 {
		return version(values[names[0]])
	}
	out := ""
	for i, n := range names {
		if i > 0 {
			out += ", "
		}
		out += n + " " + version(values[n])
	}
	return out
}

func version(r image.Ref) string {
	if r.Tag != "" {
		return string(r.Tag)
	}
	return short(string(r.Digest))
}
