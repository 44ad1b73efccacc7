package migrate

import (
	"fmt"
	"path"
	"slices"

	"towpath.dev/towpath/internal/policy"
)

// resource reads an ImageUpdater, as version 1 of Image Updater has them.
func (m *argo) resource(o *object) {
	m.top(o)
	spec := o.field("spec")
	namespace := spec.get("namespace").text()
	if namespace == "" {
		namespace = o.namespace
	}
	all, write := updateSettings(spec.get("commonUpdateSettings")), back(spec.get("writeBackConfig"))
	for _, ref := range spec.get("applicationRefs").items() {
		apps := m.matching(o, ref, namespace)
		here := updateSettings(ref.get("commonUpdateSettings")).or(all)
		w := back(ref.get("writeBackConfig")).or(write)
		if on, sure := ref.get("useAnnotations").boolean(); on {
			continue // the annotations of the applications are read anyway
		} else if v := ref.get("useAnnotations"); !sure {
			m.note(o, v.line(), v.notBoolean()+"; images is read")
		}
		for _, a := range apps {
			m.locate(a)
			m.written(a, w)
		}
		for _, img := range ref.get("images").items() {
			name := img.get("imageName")
			e := newEntry(name.text(), name)
			e.alias = orElse(img.get("alias").text(), e.alias)
			if !name.ok() {
				m.note(o, img.line(), "images: an image without imageName; it is not carried over")
				continue
			}
			to := img.get("manifestTargets")
			helm := to.get("helm")
			to.skip("kustomize") // adopt finds the entry of images: by its name
			d := m.draftOf(o, e, updateSettings(img.get("commonUpdateSettings")).or(here))
			m.want(d, targets{helm.get("name"), helm.get("tag"), helm.get("spec")}, w.target, apps...)
		}
	}
}

// updateSettings reads commonUpdateSettings.
func updateSettings(v value) settings {
	v.skip("forceUpdate") // Towpath writes at markers, whether or not an image runs
	return settings{v.get("updateStrategy"), v.get("allowTags"), v.get("ignoreTags"), v.get("platforms"), v.get("pullSecret")}
}

// back reads a writeBackConfig.
func back(v value) writeBack {
	git := v.get("gitConfig")
	git.skip("pullRequest")
	return writeBack{v.get("method"), git.get("branch"), git.get("repository"), git.get("writeBackTarget"), git.get("pullRequest")}
}

// matching are the applications that a reference means.
func (m *argo) matching(o *object, ref value, namespace string) []*app {
	pattern, labels := ref.get("namePattern"), ref.get("labelSelectors")
	var out []*app
	for _, a := range m.apps {
		ok, err := path.Match(pattern.text(), a.name)
		if err == nil && ok && sees(namespace, a.o.namespace, "", "") && selects(labels, a.meta.get("labels").pairs()) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		m.note(o, pattern.line(), fmt.Sprintf("applicationRefs: no Application of these files is called %s, so its environment is not known; write one into the pipeline", short(pattern.text())))
	}
	return out
}

// pipeline makes environments of the folders that applications have their manifests
// in; nil: there are none.
func (m *argo) pipeline() *line {
	var paths []string
	for _, a := range m.apps {
		paths = append(paths, a.paths...)
	}
	l := &line{name: "images"}
	l.branch = m.branch(l)
	group := groups(paths)
	for _, a := range m.apps {
		var names []string
		for _, w := range m.wanted {
			if !w.unable && slices.Contains(w.apps, a) && !slices.Contains(names, w.Name) {
				names = append(names, w.Name)
			}
		}
		works := len(names) > 0
		for _, w := range m.wanted {
			if !works && slices.Contains(w.apps, a) && !slices.Contains(names, w.Name) {
				names = append(names, w.Name)
			}
		}
		for _, p := range a.paths {
			m.stop(l, a, p, works, policy.Environment{Path: m.directory(p, group[p], paths), Merge: a.merge, Update: &policy.Update{Policies: slices.Clone(names)}})
		}
	}
	if len(l.stops) == 0 {
		if len(m.wanted) > 0 {
			o := m.wanted[0].origin
			m.note(o, o.line(), "no application's folder is in these files, so no pipeline is written; write one that names your environments (docs/reference/policies.md)")
		}
		return nil
	}
	m.settle(l)
	l.order()
	var drafts []*draft
	for _, w := range m.wanted {
		drafts = append(drafts, w.draft)
	}
	m.everything(l, drafts)
	l.gather()
	l.comments = []string{"Migrated from Argo CD Image Updater: every environment takes new tags from the registry by itself, as its Applications did."}
	l.promotable()
	return l
}

// directory is the environment's directory for a folder: the group's if it holds
// nothing but applications or is a stage, else the folder itself.
func (m *argo) directory(p, group string, paths []string) string {
	if stagePath(p) == group {
		return group
	}
	for _, f := range m.files {
		if within(f.Path, group) && !slices.ContainsFunc(paths, func(p string) bool { return within(f.Path, p) }) {
			return p
		}
	}
	return group
}

// stop adds an environment for a folder of an application.
func (m *argo) stop(l *line, a *app, folder string, works bool, env policy.Environment) {
	s := &stop{Environment: env, origin: a.o}
	for _, text := range a.remarks {
		s.todo(text)
	}
	off := func(text string) {
		s.off = true
		s.todo(m.note(a.o, a.spec.line(), text+", so its environment is a comment"))
	}
	switch {
	case m.has(path.Join(folder, "Chart.yaml")):
		off(fmt.Sprintf("source.path: %s is a chart, and Towpath renders plain manifests and kustomizations only; render the chart into a folder", folder))
	case a.base != "" && a.base != l.branch:
		off(fmt.Sprintf("source.targetRevision: one pipeline has one branch, %s, and this one is %s", l.branch, short(a.base)))
	case !works:
		off("image-list: no policy that works belongs to it; correct one, and take the # away")
		if len(env.Update.Policies) == 0 {
			env.Update.Policies = []string{policy.AllPolicies}
		}
	}
	l.stops = append(l.stops, s)
}

// branch chooses the branch of most applications.
func (m *argo) branch(l *line) string {
	count, best := map[string]int{}, ""
	var first *app
	for _, a := range m.apps {
		if len(a.paths) > 0 && first == nil {
			first = a
		}
		if len(a.paths) == 0 || a.base == "" {
			continue
		}
		count[a.base]++
		if n := count[a.base]; best == "" || n > count[best] || n == count[best] && a.base < best {
			best = a.base
		}
	}
	if best == "" && first != nil {
		l.remarks = append(l.remarks, remark{headOfFile, m.note(first.o, first.spec.line(), "source.targetRevision: it names no branch; correct branch: "+m.head+" if the repository's is another"), true})
	}
	return orElse(best, m.head)
}
