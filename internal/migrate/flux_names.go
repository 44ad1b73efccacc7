package migrate

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// fluxMarker finds the namespace and the policy that a marker of Flux names.
var fluxMarker = regexp.MustCompile(`"\$imagepolicy"[ \t]*:[ \t]*"([^":\\]*):([^":\\]*)`)

// marker is a marker of Flux somewhere in the files.
type marker struct {
	path            string
	line            int
	namespace, name string
	tag             string // of the value in front of it, as far as it can be told
}

// tagBefore finds the tag at the end of what stands before a comment.
var tagBefore = regexp.MustCompile(`([A-Za-z0-9_][A-Za-z0-9_.-]*)(?:@sha256:[0-9a-f]+)?["']?[ \t]*$`)

func (c *collector) markers() []marker {
	var out []marker
	for _, f := range c.files {
		if !bytes.Contains(f.Data, []byte("$imagepolicy")) {
			continue
		}
		n := 0
		for text := range bytes.Lines(f.Data) {
			n++
			found := fluxMarker.FindAllSubmatch(text, -1)
			if len(found) == 0 {
				continue
			}
			value, _, _ := bytes.Cut(text, []byte("#"))
			tag := ""
			if t := tagBefore.FindSubmatch(value[max(0, len(value)-maxText):]); t != nil {
				tag = string(t[1])
			}
			for _, m := range found {
				out = append(out, marker{f.Path, n, string(m[1]), string(m[2]), tag})
			}
		}
	}
	return out
}

// parted gives policies of one name in several namespaces or clusters names of their
// own: here a name is all that a marker can say.
func (m *flux) parted() {
	byName := map[string][]*draft{}
	var names []string
	for _, d := range m.drafts {
		if byName[d.Name] == nil {
			names = append(names, d.Name)
		}
		byName[d.Name] = append(byName[d.Name], d)
	}
	markers := m.markers()
	used := map[string]bool{}
	for _, n := range names {
		used[n] = true
	}
	gone := map[*draft]bool{}
	for _, name := range names {
		same := byName[name]
		first := same[0]
		if !slices.ContainsFunc(same, func(d *draft) bool { return !d.same(first) }) {
			for _, d := range same[1:] {
				first.merge(d)
				gone[d] = true
			}
			continue
		}
		m.rename(name, same, markers, used)
	}
	m.drafts = slices.DeleteFunc(m.drafts, func(d *draft) bool { return gone[d] })
}

// merge takes over a draft that says the same.
func (d *draft) merge(e *draft) {
	for _, from := range e.from {
		if !slices.Contains(d.from, from) {
			d.from = append(d.from, from)
		}
	}
	for _, r := range e.remarks {
		if !slices.Contains(d.remarks, r) {
			d.remarks = append(d.remarks, r)
		}
	}
	if d.namespace != e.namespace {
		d.namespace = ""
	}
	if d.scope != e.scope {
		d.scope = ""
	}
}

// rename parts policies of one name that say different things. The one that all
// markers mean keeps the name, if there is such a one.
func (m *flux) rename(name string, same []*draft, markers []marker, used map[string]bool) {
	var naming []marker
	for _, k := range markers {
		if k.name == name {
			naming = append(naming, k)
		}
	}
	var keeps *draft
	for _, d := range same {
		all := len(naming) > 0 && d.namespace != ""
		for _, k := range naming {
			all = all && k.namespace == d.namespace && (d.scope == "" || m.scopeOf(k.path) == d.scope)
		}
		alone := !slices.ContainsFunc(same, func(e *draft) bool { return e != d && sees(e.namespace, d.namespace, e.scope, d.scope) })
		if all && alone {
			keeps = d
		}
	}
	for i, d := range same {
		if d == keeps {
			continue
		}
		qualifier := d.namespace
		if slices.ContainsFunc(same, func(e *draft) bool { return e != d && e.namespace == d.namespace }) {
			qualifier = distinct(d, same)
		}
		d.Name = subdomain(name + "-" + qualifier)
		for n := 2; used[d.Name]; n++ {
			d.Name = subdomain(fmt.Sprintf("%s-%s-%d", name, qualifier, n))
		}
		used[d.Name] = true
		other := same[(i+1)%len(same)]
		text := fmt.Sprintf("metadata.name: another ImagePolicy %s is in %s:%d and says something else, and a marker names no namespace and no cluster here; this one is %s now", name, other.origin.path, other.origin.line(), d.Name)
		if keeps == nil {
			text += "; " + m.toChange(d, naming)
		}
		d.todo(headOfFile, m.note(d.origin, d.origin.line(), text))
	}
}

// toChange names the markers that should name a policy by its new name.
func (m *flux) toChange(d *draft, naming []marker) string {
	const most = 10
	var places []string
	for _, k := range naming {
		if sees(d.namespace, k.namespace, d.scope, m.scopeOf(k.path)) {
			places = append(places, fmt.Sprintf("%s:%d", k.path, k.line))
		}
	}
	switch {
	case len(places) == 0:
		return "name it in the markers that mean it"
	case len(places) > most:
		places = append(places[:most], fmt.Sprintf("%d more", len(places)-most))
	}
	return "name it in the markers that mean it, among " + strings.Join(places, ", ")
}

// distinct is the first folder of a draft's path that no other has in its place.
func distinct(d *draft, all []*draft) string {
	parts := strings.Split(d.origin.path, "/")
	for i, part := range parts[:len(parts)-1] {
		if !slices.ContainsFunc(all, func(e *draft) bool {
			other := strings.Split(e.origin.path, "/")
			return e != d && i < len(other) && other[i] == part
		}) {
			return part
		}
	}
	return strings.TrimSuffix(parts[len(parts)-1], ".yaml")
}

// strayMarkers notes markers whose namespace kept Flux from writing them: Towpath
// does not look at it, so they come to life.
func (m *flux) strayMarkers() {
	for _, k := range m.markers() {
		var of *draft
		dead := true
		for _, d := range m.drafts {
			if d.Name == k.name {
				of = d
				dead = dead && d.namespace != "" && k.namespace != d.namespace
			}
		}
		if of != nil && dead {
			m.add(Note{Path: k.path, Line: k.line, Object: "marker", Text: oneLine(fmt.Sprintf(
				"it names %s in namespace %s, but the ImagePolicy is in %s, so Flux ignored it; Towpath looks at the name only and will write here: remove the marker if it should not",
				k.name, k.namespace, of.namespace))})
		}
	}
}
