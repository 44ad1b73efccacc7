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

// lot is the values that one new policy is for.
type lot struct {
	rule   rule
	values []*value
	joined bool // of several, whose reason says so
}

// guessNew makes policies for the values that have none.
func (a *adoption) guessNew() {
	byImage := map[string][]*lot{} // by canonical name
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
		i := slices.IndexFunc(byImage[key], func(l *lot) bool { return l.rule.kind == r.kind })
		if i < 0 {
			i = len(byImage[key])
			byImage[key] = append(byImage[key], &lot{rule: r})
		}
		byImage[key][i].values = append(byImage[key][i].values, v)
		return "", ""
	})
	for _, key := range slices.Sorted(maps.Keys(byImage)) {
		byImage[key] = join(byImage[key])
	}
	a.name(byImage)
}

// join makes one lot of those that hold the versions of one slot in several
// environments: the next major version is on its way through them.
func join(lots []*lot) []*lot {
	for i := 0; i < len(lots); i++ {
		for j := i + 1; j < len(lots); {
			if !lots[i].sameLine(lots[j]) {
				j++
				continue
			}
			l, k := lots[i], lots[j]
			ranges := strings.Split(l.rule.policy.Semver.Range, " || ")
			if in := k.rule.policy.Semver.Range; !slices.Contains(ranges, in) {
				ranges = append(ranges, in)
			}
			slices.SortFunc(ranges, func(x, y string) int { return cmp.Or(len(x)-len(y), strings.Compare(x, y)) })
			in := strings.Join(ranges, " || ")
			l.values, l.joined = append(l.values, k.values...), true
			l.rule.policy.Semver = &policy.Semver{Range: in, Prereleases: l.rule.policy.Semver.Prereleases || k.rule.policy.Semver.Prereleases}
			l.rule.why = fmt.Sprintf("the environments hold %s and %s at one place, so both are of one line: %s", l.values[0].ref.Tag, k.values[0].ref.Tag, in)
			lots = slices.Delete(lots, j, j+1)
			j = i + 1
		}
	}
	return lots
}

// sameLine tells whether two lots of versions share a slot.
func (l *lot) sameLine(k *lot) bool {
	if l.rule.policy.Semver == nil || k.rule.policy.Semver == nil || l.rule.form != k.rule.form {
		return false
	}
	return slices.ContainsFunc(l.values, func(v *value) bool {
		return slices.ContainsFunc(k.values, func(o *value) bool {
			return v.pipeline == o.pipeline && v.env != o.env && v.app == o.app && v.slot == o.slot
		})
	})
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
		for _, l := range byImage[key] {
			repo := l.values[0].ref.Repo
			base := shortName(repo)
			if short[base] > 1 {
				base = ownedName(repo)
			}
			if len(byImage[key]) > 1 {
				base = label(base + "-" + l.rule.suffix)
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
	why := l.because(p)
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

// because explains the policy of a lot by the newest tag in it: that is the one that
// others follow.
func (l *lot) because(p policy.Policy) string {
	newest := l.values[0]
	for _, v := range l.values[1:] {
		if p.DigestTag == "" && policy.Lower(p, newest.ref.Tag, v.ref.Tag) {
			newest = v
		}
	}
	if r := guess(newest.ref.Tag, newest.ref.Repo); r.kind == l.rule.kind && !l.joined {
		return r.why
	}
	return l.rule.why
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
