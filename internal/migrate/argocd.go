package migrate

import (
	"fmt"
	"path"
	"strings"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// The API groups of Argo CD, and the prefix of Image Updater's annotations.
const (
	argoGroup = "argoproj.io"
	updater   = "argocd-image-updater.argoproj.io"
)

// updaterConfig is the ConfigMap of Image Updater's own settings.
const updaterConfig = "argocd-image-updater-config"

// argo is one migration from Argo CD Image Updater.
type argo struct {
	*collector
	apps   []*app
	wanted []*wanted
}

// wanted is a policy and the applications whose images it is for.
type wanted struct {
	*draft
	apps []*app
}

// app is an Application, or what an ApplicationSet makes Applications of.
type app struct {
	o           *object
	name        string
	meta, spec  value
	annotations value
	paths       []string // folders of its manifests in this repository
	places      map[string]bool
	base        string // the branch it is read from; "" when not said
	merge       policy.Merge
	used        bool
	remarks     []string
}

// ImageUpdater turns the annotations of Argo CD Image Updater on Applications and
// ApplicationSets, and its ImageUpdater resources, into policies and a pipeline. The
// branch is as for Flux.
func ImageUpdater(files []patch.File, branch string) Result {
	m := &argo{collector: newCollector(files, branch)}
	var resources []*object
	for _, o := range m.read(updater, argoGroup, updaterConfig) {
		switch {
		case o.group() == argoGroup && (o.kind == "Application" || o.kind == "ApplicationSet"):
			m.apps = append(m.apps, m.app(o))
		case o.group() == updater && o.kind == "ImageUpdater":
			resources = append(resources, o)
		case o.group() == updater:
			m.note(o, o.line(), "kind: unknown in "+updater+"; it is not carried over")
		case o.kind == "ConfigMap" && o.name == updaterConfig:
			m.config(o)
		}
	}
	for _, o := range resources {
		m.objects++
		m.resource(o)
	}
	for _, a := range m.apps {
		m.annotated(a)
	}
	for _, w := range m.wanted {
		m.mistaken(w.draft, w.origin)
	}
	m.named()
	l := m.pipeline()
	m.leftovers(resources)
	var drafts []*draft
	for _, w := range m.wanted {
		drafts = append(drafts, w.draft)
	}
	return m.finish(drafts, l)
}

// leftovers notes the fields and annotations that nobody read.
func (m *argo) leftovers(resources []*object) {
	for _, o := range resources {
		m.mistakes(o)
		o.field().unread(func(v value) {
			m.note(o, v.line(), strings.TrimPrefix(v.path, "spec.")+": unknown, so it is not carried over; look up what it did")
		})
	}
	for _, a := range m.apps {
		if a.used {
			m.mistakes(a.o)
		}
		a.annotations.unread(func(v value) {
			key, ours := strings.CutPrefix(v.n.Value, updater+"/")
			if ours {
				m.note(a.o, v.line(), key+": unknown, or of an alias that image-list does not have, so it is not carried over; look up what it did")
			}
		})
	}
}

// app reads where an application's manifests are.
func (m *argo) app(o *object) *app {
	root := o.field()
	if o.kind == "ApplicationSet" {
		root = o.field("spec", "template")
	}
	a := &app{o: o, name: o.name, meta: root.get("metadata"), spec: root.get("spec"), places: map[string]bool{}, merge: policy.MergePush}
	a.annotations = a.meta.get("annotations")
	a.annotations.path = "" // its keys are shown as they are
	if o.kind == "ApplicationSet" {
		a.name = a.meta.get("name").text()
	}
	return a
}

// sources are an application's sources: one, or several.
func (a *app) sources() []value {
	if list := a.spec.get("sources"); list.ok() {
		return list.items()
	}
	if one := a.spec.get("source"); one.ok() {
		return []value{one}
	}
	return nil
}

// locate finds the folders of an application that images are taken care of for.
func (m *argo) locate(a *app) {
	if a.used {
		return
	}
	a.used = true
	charts := ""
	for _, s := range a.sources() {
		p, revision := s.get("path"), s.get("targetRevision").text()
		clean := strings.TrimPrefix(path.Clean("/"+p.text()), "/")
		switch {
		case p.text() == "":
			charts = s.get("chart").text()
		case strings.Contains(p.text(), "{{"):
			m.note(a.o, p.line(), fmt.Sprintf("source.path: %q is a template, so its folders are not known; write their environments into the pipeline", short(p.text())))
		case clean == "" || !m.has(clean):
			m.note(a.o, p.line(), fmt.Sprintf("source.path: there is no YAML in %s here, so it is of another repository (%s) or empty; migrate there, and take the policies along", short(p.text()), short(withoutUser(s.get("repoURL").text()))))
		default:
			a.paths = append(a.paths, clean)
			if revision != "" && revision != "HEAD" && !strings.Contains(revision, "{{") {
				a.base = orElse(a.base, revision)
			}
			m.overrides(a, clean)
		}
	}
	if charts != "" && len(a.paths) == 0 {
		m.note(a.o, a.spec.line(), fmt.Sprintf("source.chart: %s is a chart, and Towpath renders plain manifests and kustomizations only; its policies are written, its environment is not", short(charts)))
	}
}

// overrides notes the file into which Image Updater wrote.
func (m *argo) overrides(a *app, dir string) {
	file := path.Join(dir, ".argocd-source-"+a.name+".yaml")
	if m.has(file) {
		m.add(Note{Path: file, Object: a.o.String(), Text: "Image Updater wrote its choice into this file, and Argo CD puts it over what the manifests say; move the values into the manifests and delete it"})
	}
}

// withoutUser drops what may be a password from a URL.
func withoutUser(url string) string {
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			return scheme + "://" + rest[at+1:]
		}
	}
	return url
}

// config notes the settings of Image Updater itself.
func (m *argo) config(o *object) {
	data := o.field("data")
	for _, key := range data.keys() {
		v := data.get(key)
		text := "a setting of Image Updater; towpath run --help lists those of the bot"
		switch {
		case key == "registries.conf":
			text = "registries are described in the file for --registries: plainHTTP for insecure, auth for credentials, requestsPerSecond for limit (docs/guides/registries.md); api_url and prefix have no equal, the host of an image is asked"
		case strings.HasPrefix(key, "git.commit-sign"):
			text = "commits are not signed"
		case key == "git.user", key == "git.email", strings.HasPrefix(key, "git.commit"):
			text = "commits are made by Towpath under its own name, with its own message"
		}
		m.note(o, v.line(), "data."+key+": "+text)
	}
}
