package migrate

import (
	"path"
	"strings"

	"towpath.dev/towpath/internal/patch"
)

// The API groups of Flux that say something of images.
const (
	fluxImages  = "image.toolkit.fluxcd.io"
	fluxSources = "source.toolkit.fluxcd.io"
)

// flux is one migration from Flux.
type flux struct {
	*collector
	repositories, policies, automations, sources []*object
	scopes                                       []string // folders of clusters
	drafts                                       []*draft
	used                                         map[*object]bool // repositories that a policy names
}

// Flux turns ImageRepository, ImagePolicy and ImageUpdateAutomation objects into
// policies and a pipeline. Flux's markers are read by Towpath as they are; where
// they cannot mean here what they mean there, a note says so. The branch is what is
// checked out, for a pipeline whose branch nothing names; empty: main.
func Flux(files []patch.File, branch string) Result {
	m := &flux{collector: newCollector(files, branch), used: map[*object]bool{}}
	for _, o := range m.read(fluxImages, fluxSources) {
		switch {
		case o.group() == fluxSources && o.kind == "GitRepository":
			m.sources = append(m.sources, o)
			continue
		case o.group() != fluxImages:
			continue
		case o.kind == "ImageRepository":
			m.repositories = append(m.repositories, o)
		case o.kind == "ImagePolicy":
			m.policies = append(m.policies, o)
		case o.kind == "ImageUpdateAutomation":
			m.automations = append(m.automations, o)
		default:
			m.note(o, o.line(), "kind: unknown in "+fluxImages+"; it is not carried over")
			continue
		}
		m.objects++
		m.top(o)
	}
	m.findScopes()
	for _, o := range m.policies {
		if d := m.policy(o); d != nil {
			m.drafts = append(m.drafts, d)
		}
	}
	m.unused()
	m.parted()
	m.decimals()
	l := m.pipeline()
	m.strayMarkers()
	m.leftovers()
	return m.finish(m.drafts, l)
}

// top reads what every object has, and marks what means nothing here.
func (c *collector) top(o *object) {
	root := o.field()
	root.skip("status")
	root.get("spec")
	meta := root.get("metadata")
	// What a cluster adds, and what tools keep in annotations, is not configuration.
	meta.skip("creationTimestamp", "generation", "resourceVersion", "uid", "managedFields", "finalizers", "ownerReferences", "generateName", "annotations", "labels")
}

// leftovers notes the fields that nobody read.
func (m *flux) leftovers() {
	for _, list := range [][]*object{m.repositories, m.policies, m.automations} {
		for _, o := range list {
			if o.kind == "ImageRepository" && !m.used[o] {
				continue // said as a whole
			}
			m.mistakes(o)
			o.field().unread(func(v value) {
				m.note(o, v.line(), strings.TrimPrefix(v.path, "spec.")+": unknown, so it is not carried over; look up what it did")
			})
		}
	}
}

// findScopes finds the folders of clusters: what flux bootstrap wrote is in their
// flux-system folder. Objects of two clusters do not see each other.
func (m *flux) findScopes() {
	for _, f := range m.files {
		switch path.Base(f.Path) {
		case "gotk-sync.yaml", "gotk-components.yaml":
			if dir := path.Dir(path.Dir(f.Path)); dir != "." {
				m.scopes = append(m.scopes, dir)
			}
		}
	}
}

// scopeOf is the cluster's folder that a path is in; "": none.
func (m *flux) scopeOf(p string) string {
	best := ""
	for _, s := range m.scopes {
		if within(p, s) && len(s) > len(best) {
			best = s
		}
	}
	return best
}

// sees tells whether an object in one namespace and cluster can name one in another.
// What is not known is no obstacle: kustomize may fill it in.
func sees(namespace, otherNamespace, scope, otherScope string) bool {
	return (namespace == "" || otherNamespace == "" || namespace == otherNamespace) && (scope == "" || otherScope == "" || scope == otherScope)
}

// find returns the object of a name that is nearest to another; nil: there is none.
func (m *flux) find(list []*object, name, namespace string, near *object) *object {
	var best *object
	score := -1
	for _, o := range list {
		if o.name != name || !sees(namespace, o.namespace, m.scopeOf(near.path), m.scopeOf(o.path)) {
			continue
		}
		if n := common(o.path, near.path); n > score {
			best, score = o, n
		}
	}
	return best
}

// common counts the bytes that two paths begin with alike.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// unused notes the repositories that no policy names.
func (m *flux) unused() {
	for _, o := range m.repositories {
		if !m.used[o] {
			m.note(o, o.line(), "no ImagePolicy names it, so nothing is written of it; it only listed tags")
		}
	}
}
