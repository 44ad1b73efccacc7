package adopt

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// assign finds a policy for every value: one that is there, or a new one.
func (a *adoption) assign() {
	a.keep(func(v *value) (string, string) {
		if a.overridden(v) {
			return "an entry of images: in the app's kustomization replaces it", "the entry is marked in its place"
		}
		return "", ""
	})
	kept := a.values[:0]
	for _, v := range a.values {
		if a.wanted(v.ref.Repo) {
			kept = append(kept, v)
		} else {
			a.others++
		}
	}
	a.values = kept
	a.useExisting()
	a.guessNew()
	a.unlike()
	a.agree()
	a.fed()
	a.pin()
}

// overridden tells whether a kustomization of the same app names a new tag for the
// image of v.
func (a *adoption) overridden(v *value) bool {
	if v.named != "" || !v.refOnly() {
		return false
	}
	return slices.ContainsFunc(a.values, func(k *value) bool {
		return k.named == v.ref.Repo.String() && k.env == v.env && k.app == v.app && within(path.Dir(v.path), path.Dir(k.path))
	})
}

// useExisting gives values the policies that are there, first those that enter the
// value's environment. A policy whose markers hold tags of another form is for
// other values.
func (a *adoption) useExisting() {
	shapes := map[string]map[string]bool{} // by policy
	for _, m := range a.markers {
		tag := tagOf(m)
		if tag == "" {
			continue
		}
		if shapes[m.Policy] == nil {
			shapes[m.Policy] = map[string]bool{}
		}
		shapes[m.Policy][shape(tag)] = true
	}
	a.keep(func(v *value) (reason, hint string) {
		for _, p := range a.byEntry(v) {
			if p.Image.Canonical() != v.ref.Repo.Canonical() {
				continue
			}
			if ok, _ := policy.Accepts(p, v.ref.Tag); !ok {
				continue
			}
			if of := shapes[p.Name]; of != nil && !of[shape(string(v.ref.Tag))] {
				continue
			}
			if why, what := cannotUse(p, v); why != "" {
				reason, hint = why, what
				continue
			}
			if shapes[p.Name] == nil {
				shapes[p.Name] = map[string]bool{shape(string(v.ref.Tag)): true}
			}
			v.policy = p.Name
			return "", ""
		}
		return reason, hint
	})
}

// byEntry returns the policies that are there: first those whose tags come to the
// environment of v, from the registry or from the environments before.
func (a *adoption) byEntry(v *value) []policy.Policy {
	byName := map[string]environment{}
	for _, e := range a.envs {
		byName[e.Name] = e
	}
	e := byName[v.env]
	for e.from != "" {
		e = byName[e.from]
	}
	enter, others := []policy.Policy{}, []policy.Policy{}
	for _, p := range a.in.Config.Policies {
		if e.update.Has(p.Name) {
			enter = append(enter, p)
		} else {
			others = append(others, p)
		}
	}
	return append(enter, others...)
}

// cannotUse says why a policy that takes a value's tag cannot write the value.
func cannotUse(p policy.Policy, v *value) (reason, hint string) {
	switch {
	case v.ref.Digest != "" && p.Pin != policy.PinDigest && p.DigestTag == "":
		return fmt.Sprintf("it holds a digest, and the policy %s writes tags alone", p.Name), "set pin: digest in " + p.Source.Path
	case p.DigestTag != "" && !v.whole():
		return fmt.Sprintf("the policy %s writes digests, and there is no place for one", p.Name), "write the tag as TAG@sha256:…"
	}
	return "", ""
}

// tagOf is the tag that a marked value holds, empty when it holds none.
func tagOf(m patch.Marker) string {
	text := m.Value
	switch m.Part {
	case patch.PartTag:
		tag, _, _ := strings.Cut(text, "@")
		return tag
	case patch.PartRef:
		if ref, err := image.ParseRef(text[strings.LastIndexByte(text, '=')+1:]); err == nil {
			return string(ref.Tag)
		}
	}
	return ""
}

// name gives every lot its policy: named after the image, with what tells it from
// another of the same image behind, or the owner before.
func (a *adoption) name(byImage map[string][]*lot) {
	taken := map[string]bool{}
	for _, p := range a.in.Config.Policies {
		taken[p.Name] = true
	}
	paths := []string{}
	for _, f := range a.in.Files {
		paths = append(paths, f.Path)
	}
	for _, l := range a.pipelines {
		paths = append(paths, l.Path)
	}
	for _, p := range paths { // whose files would be overwritten
		taken[strings.TrimSuffix(strings.TrimPrefix(p, policyDir+"/"), path.Ext(p))] = true
	}
	short := map[string]int{}
	for _, lots := range byImage {
		short[shortName(lots[0].values[0].ref.Repo)]++
	}
	for _, key := range slices.Sorted(maps.Keys(byImage)) {
		alike := map[string]int{}
		for _, l := range byImage[key] {
			alike[l.rule.suffix]++
		}
		for _, l := range byImage[key] {
			repo := l.values[0].ref.Repo
			base := shortName(repo)
			if short[base] > 1 {
				base = ownedName(repo)
			}
			if len(byImage[key]) > 1 {
				base = label(base + "-" + l.rule.suffix)
				if alike[l.rule.suffix] > 1 && l.rule.variant != "" {
					base = label(base + "-" + l.rule.variant)
				}
			}
			name := base
			for i := 2; taken[name]; i++ {
				name = fmt.Sprintf("%s-%d", base, i)
			}
			taken[name] = true
			a.add(name, l)
		}
	}
}

// shortName is the last part of an image's path.
func shortName(r image.Repo) string { return cmp.Or(label(path.Base(r.Path())), "image") }

// ownedName has the part before it, too.
func ownedName(r image.Repo) string {
	dir, last := path.Split(r.Path())
	return cmp.Or(label(path.Base(dir)+"-"+last), "image")
}

// add makes the policy of a lot.
func (a *adoption) add(name string, l *lot) {
	p := l.rule.policy
	p.Name, p.Image = name, l.values[0].ref.Repo
	why := l.rule.why
	for _, v := range l.values {
		v.policy = name
	}
	if !a.takes(name) {
		why += "; no environment of the pipeline takes it yet: add " + name + " to update.policies of one"
	}
	a.guesses = append(a.guesses, Guess{Policy: p, Path: policyDir + "/" + name + ".yaml", Why: why})
}

// takes tells whether an environment takes a policy: those of a new pipeline take all.
func (a *adoption) takes(name string) bool {
	return len(a.in.Config.Pipelines) == 0 || slices.ContainsFunc(a.envs, func(e environment) bool { return e.update.Has(name) })
}

// unknown are the policies of markers that are neither there nor proposed.
func (a *adoption) unknown() []string {
	var names []string
	for _, m := range a.markers {
		_, there := a.in.Config.Policy(m.Policy)
		proposed := slices.ContainsFunc(a.guesses, func(g Guess) bool { return g.Policy.Name == m.Policy })
		if !there && !proposed && !slices.Contains(names, m.Policy) {
			names = append(names, m.Policy)
		}
	}
	slices.Sort(names)
	return names
}

// untaken are the policies of values that would never move.
func (a *adoption) untaken() []string {
	var names []string
	for _, v := range a.values {
		if !a.takes(v.policy) && !slices.Contains(names, v.policy) {
			names = append(names, v.policy)
		}
	}
	slices.Sort(names)
	return names
}

// pin lets new policies write digests where a value holds one.
func (a *adoption) pin() {
	for i := range a.guesses {
		g := &a.guesses[i]
		for _, v := range a.values {
			if v.policy == g.Policy.Name && v.ref.Digest != "" && g.Policy.DigestTag == "" && g.Policy.Pin == "" {
				g.Policy.Pin = policy.PinDigest
				g.Why += fmt.Sprintf("; digests are written, because %s holds one", place(v.path, v.line()))
			}
		}
	}
}

// unlike leaves values with a digest of their own, to which the environment before
// could hand none on.
func (a *adoption) unlike() {
	from := map[string]string{}
	for _, e := range a.envs {
		from[e.Name] = e.from
	}
	a.keep(func(v *value) (string, string) {
		if v.ref.Digest == "" || v.refOnly() || from[v.env] == "" {
			return "", ""
		}
		i := slices.IndexFunc(a.values, func(o *value) bool {
			return o.policy == v.policy && o.app == v.app && o.env == from[v.env] && !o.whole()
		})
		if i < 0 {
			return "", ""
		}
		return fmt.Sprintf("it holds a digest, and %s, from where its versions come, holds none", from[v.env]),
			fmt.Sprintf("write both alike (%s)", place(a.values[i].path, a.values[i].line()))
	})
}

// fed leaves values to which nothing would ever come: the environment before has none
// of their policy in the same app.
func (a *adoption) fed() {
	from := map[string]string{}
	for _, e := range a.envs {
		from[e.Name] = e.from
	}
	type slot struct{ env, app, policy string }
	for again := true; again; {
		have := map[slot]bool{}
		for _, m := range a.markers {
			if env, app := a.home(m.Path); env != nil {
				have[slot{env.Name, app, m.Policy}] = true
			}
		}
		for _, v := range a.values {
			have[slot{v.env, v.app, v.policy}] = true
		}
		before := len(a.values)
		a.keep(func(v *value) (string, string) {
			if from[v.env] == "" || have[slot{from[v.env], v.app, v.policy}] {
				return "", ""
			}
			there, hint := a.instead(v, from[v.env]), "put the image there, too, or change it by hand"
			if there != "" {
				hint = "bring both places to tags of one form"
			}
			return fmt.Sprintf("its versions come from %s, where the app %s has no marker of the policy %s, so it would never move%s", from[v.env], v.app, v.policy, there), hint
		})
		again = len(a.values) < before
	}
}

// instead says what an environment has of the image of v that v does not follow.
func (a *adoption) instead(v *value, env string) string {
	i := slices.IndexFunc(a.values, func(o *value) bool {
		return o.env == env && o.app == v.app && o.ref.Repo.Canonical() == v.ref.Repo.Canonical()
	})
	if i < 0 {
		return ""
	}
	o := a.values[i]
	return fmt.Sprintf(" (%s is there, of the policy %s)", o.ref.Tag, o.policy)
}

// agree leaves the values that contradict another of the same policy in one app: a
// policy has one value there.
func (a *adoption) agree() {
	said := map[string][]patch.Marker{}
	for _, m := range a.markers {
		if env, app := a.home(m.Path); env != nil {
			key := env.Name + "\x00" + app + "\x00" + m.Policy
			said[key] = append(said[key], m)
		}
	}
	a.keep(func(v *value) (string, string) {
		key := v.env + "\x00" + v.app + "\x00" + v.policy
		all := slices.Clone(said[key])
		for _, s := range v.spots {
			m := patch.Marker{Path: v.path, Line: s.node.Line, Policy: v.policy, Part: s.part, Value: s.node.Value}
			if !slices.ContainsFunc(all, func(o patch.Marker) bool { return o.Part == m.Part && o.Value == m.Value }) {
				all = append(all, m)
			}
		}
		if _, bad := patch.Values(all); len(bad) > 0 {
			return bad[0].Reason + ", and a policy has one value in an app", "give both one value, or write a policy of its own for one of them"
		}
		said[key] = all
		return "", ""
	})
}
