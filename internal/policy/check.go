package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// check holds the documents against each other. When a file or document could not
// even be recognised (incomplete), a name that is nowhere may be in there, and
// is only a warning.
func check(docs []*parsed, incomplete bool) {
	policies := map[string]bool{}
	byName := map[string][]*parsed{}
	for _, d := range docs {
		if d.name == "" {
			incomplete = incomplete || d.bad()
			continue
		}
		if d.kind == kindImagePolicy {
			policies[d.name] = true
		}
		byName[d.kind+" "+d.name] = append(byName[d.kind+" "+d.name], d)
	}
	for _, same := range byName {
		for i, d := range same {
			if len(same) > 1 {
				other := same[(i+1)%len(same)]
				d.failAt(d.namePlace, fmt.Sprintf("another %s named %q is at %s:%d, so neither is used", d.kind, d.name, other.path, other.namePlace.line), "rename one")
			}
		}
	}
	for _, d := range docs {
		if d.kind != kindPipeline {
			continue
		}
		d.checkPolicies(policies, incomplete)
		d.order()
	}
	checkEnvironments(docs)
}

// checkPolicies holds update.policies to the policies there are, broken ones
// included: their own documents say what is wrong.
func (p *parsed) checkPolicies(known map[string]bool, incomplete bool) {
	for _, e := range p.envs {
		for i := 0; e.Update != nil && i < len(e.Update.Policies); i++ {
			name := e.Update.Policies[i]
			if name == AllPolicies || known[name] {
				continue
			}
			reason, hint := fmt.Sprintf("unknown policy %q", name), "add an ImagePolicy of that name"
			if near, ok := Nearest(name, slices.Sorted(maps.Keys(known))); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			if incomplete {
				p.warn(e.updatePlaces[i], reason+", or its document cannot be read", hint)
			} else {
				p.failAt(e.updatePlaces[i], reason, hint)
			}
		}
	}
}

// order puts the environments into promotion order: in the order they are
// written, but each behind the one it promotes from.
func (p *parsed) order() {
	index := map[string]int{}
	for i, e := range p.envs {
		if _, twice := index[e.Name]; twice || e.Name == "" {
			return // what a from means is only known once the names are good
		}
		index[e.Name] = i
	}
	before := make([]int, len(p.envs)) // index of the one before; -1: none
	names := make([]string, 0, len(index))
	for i, e := range p.envs {
		before[i] = -1
		names = append(names, e.Name)
		if len(e.From) == 1 {
			if j, ok := index[e.From[0]]; ok {
				before[i] = j
			}
		}
	}
	for _, e := range p.envs {
		for i, from := range e.From {
			if _, ok := index[from]; ok {
				continue
			}
			hint := "the environments are " + list(names)
			if near, ok := Nearest(from, names); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			p.failAt(e.fromPlaces[i], fmt.Sprintf("from: unknown environment %q", from), hint)
		}
	}
	if p.cycle(before) {
		return
	}
	done := make([]bool, len(p.envs))
	var visit func(i int)
	visit = func(i int) {
		if done[i] {
			return
		}
		done[i] = true
		if before[i] >= 0 {
			visit(before[i])
		}
		p.pipeline.Environments = append(p.pipeline.Environments, p.envs[i].Environment)
	}
	for i := range p.envs {
		visit(i)
	}
}

// cycle reports every ring of environments once.
func (p *parsed) cycle(before []int) bool {
	const unseen, walking = 0, 1
	state := make([]int, len(before)) // the walk that met the environment first
	found := false
	for start := range before {
		walk := start + walking
		at := start
		for at >= 0 && state[at] == unseen {
			state[at] = walk
			at = before[at]
		}
		if at < 0 || state[at] != walk {
			continue
		}
		found = true
		ring := []string{p.envs[at].Name}
		for i := before[at]; i != at; i = before[i] {
			ring = append(ring, p.envs[i].Name)
		}
		ring = append(ring, p.envs[at].Name)
		slices.Reverse(ring)
		p.failAt(p.envs[at].fromPlaces[0], "the environments form a cycle: "+strings.Join(ring, " → "), "one of them must have update instead of from")
	}
	return found
}

// checkEnvironments holds all environments of all pipelines apart: reports are
// kept by an environment's name, and two writers in one directory undo each other.
func checkEnvironments(docs []*parsed) {
	type item struct {
		doc *parsed
		env parsedEnvironment
	}
	var items []item
	for _, d := range docs {
		for _, e := range d.envs {
			items = append(items, item{d, e})
		}
	}
	byName, byPath := map[string][]item{}, map[string][]item{}
	for _, it := range items {
		if it.env.Name != "" {
			byName[it.env.Name] = append(byName[it.env.Name], it)
		}
		if it.env.Path != "" {
			byPath[it.env.Path] = append(byPath[it.env.Path], it)
		}
	}
	for _, it := range items {
		if same := byName[it.env.Name]; len(same) > 1 {
			other := same[0]
			if other.env.namePlace == it.env.namePlace && other.doc == it.doc {
				other = same[1]
			}
			it.doc.failAt(it.env.namePlace, fmt.Sprintf("another environment named %q is at %s:%d", it.env.Name, other.doc.path, other.env.namePlace.line), "rename one")
		}
		if it.env.Path == "" {
			continue
		}
		same := byPath[it.env.Path]
		if i := slices.IndexFunc(same, func(o item) bool { return o.env.pathPlace != it.env.pathPlace || o.doc != it.doc }); i >= 0 {
			it.doc.failAt(it.env.pathPlace, fmt.Sprintf("the environment at %s:%d has the same path %s", same[i].doc.path, same[i].env.pathPlace.line, it.env.Path), "give each environment its own directory")
		}
		for _, above := range parents(it.env.Path) {
			if outer := byPath[above]; len(outer) > 0 {
				o := outer[0]
				reason := fmt.Sprintf("path %s is inside %s, the path of environment %s at %s:%d", it.env.Path, above, o.env.Name, o.doc.path, o.env.pathPlace.line)
				it.doc.failAt(it.env.pathPlace, reason, "give each environment its own directory")
				if o.doc != it.doc {
					reason := fmt.Sprintf("path %s holds %s, the path of environment %s at %s:%d", above, it.env.Path, it.env.Name, it.doc.path, it.env.pathPlace.line)
					o.doc.failAt(o.env.pathPlace, reason, "give each environment its own directory")
				}
			}
		}
	}
}

// parents are the directories above a clean relative path.
func parents(path string) []string {
	if path == "." {
		return nil
	}
	above := []string{"."}
	for i := range len(path) {
		if path[i] == '/' {
			above = append(above, path[:i])
		}
	}
	return above
}
