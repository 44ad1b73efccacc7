package migrate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/policy"
)

// writeBack is where and how Image Updater wrote.
type writeBack struct {
	method, branch, repository, target value
	request                            value // a pull request
}

func (w writeBack) or(u writeBack) writeBack {
	for _, p := range []struct{ mine, theirs *value }{
		{&w.method, &u.method}, {&w.branch, &u.branch}, {&w.repository, &u.repository}, {&w.target, &u.target}, {&w.request, &u.request},
	} {
		if !p.mine.ok() {
			*p.mine = *p.theirs
		}
	}
	return w
}

// targets names where in the manifests an image stands.
type targets struct {
	name, tag, spec value
}

// annotated reads the annotations of an application, if it lists images.
func (m *argo) annotated(a *app) {
	get := func(key string) value { return a.annotations.get(updater + "/" + key) }
	images := get("image-list")
	if !images.ok() {
		return
	}
	m.objects++
	m.locate(a)
	m.written(a, writeBack{method: get("write-back-method"), branch: get("git-branch"), repository: get("git-repository"), target: get("write-back-target")})
	set := func(prefix string) settings {
		get(prefix + "force-update") // Towpath writes at markers, whether or not an image runs
		s := settings{get(prefix + "update-strategy"), get(prefix + "allow-tags"), get(prefix + "ignore-tags"), get(prefix + "platforms"), get(prefix + "pull-secret")}
		if old := get(prefix + "tag-match"); !s.allow.ok() {
			s.allow = old
		}
		return s
	}
	all := set("")
	for _, text := range list(images) {
		e := newEntry(text, images)
		if strings.Contains(text, "{{") {
			m.note(a.o, images.line(), fmt.Sprintf("image-list: %q is a template; write a policy for each image that it becomes", short(text)))
			continue
		}
		s := all
		var t targets
		if e.alias != "" {
			s = set(e.alias + ".").or(all)
			t = targets{get(e.alias + ".helm.image-name"), get(e.alias + ".helm.image-tag"), get(e.alias + ".helm.image-spec")}
			get(e.alias + ".kustomize.image-name") // adopt finds the entry of images: by its name
		}
		m.want(m.draftOf(a.o, e, s), t, get("write-back-target"), a)
	}
}

// want keeps a draft with the applications it is for.
func (m *argo) want(d *draft, t targets, target value, apps ...*app) {
	m.wanted = append(m.wanted, &wanted{d, apps})
	for _, a := range apps {
		m.place(d, t, target, a)
	}
}

// written reads how what was chosen got into Git.
func (m *argo) written(a *app, w writeBack) {
	note := func(v value, text string) { a.remarks = append(a.remarks, m.note(v.o, v.line(), text)) }
	method, how, _ := strings.Cut(w.method.text(), ":")
	switch method {
	case "", "argocd":
		m.note(a.o, a.annotations.line(), "write-back-method: argocd changed the Application in the cluster, and Git knows nothing of it; Towpath writes into Git, so remove the parameters and images that were set on the Application")
	case "git":
		if how != "" && how != "repocreds" {
			note(w.method, "write-back-method: credentials of Git are given to the bot, with --username-file and --password-file or --ssh-key-file")
		}
	default:
		note(w.method, fmt.Sprintf("write-back-method: %q is unknown; Towpath writes into Git", short(w.method.text())))
	}
	other := !slices.ContainsFunc(a.sources(), func(s value) bool { return s.get("repoURL").text() == w.repository.text() })
	if w.repository.ok() && other {
		note(w.repository, fmt.Sprintf("git-repository: %s was written to, which is not the Application's; policies and pipeline belong into the repository that is written to", short(withoutUser(w.repository.text()))))
	}
	base, write, both := strings.Cut(w.branch.text(), ":")
	if base != "" && !strings.Contains(base, "{{") {
		a.base = base
	}
	if both && write != "" && write != base {
		a.merge = policy.MergeApproval
		note(w.branch, "git-branch: Image Updater pushed to a branch for people to merge; here each app has a branch and a pull request of its own, and merge: approval waits for a person (merge: auto would not)")
	}
	if w.request.ok() {
		a.merge = policy.MergeApproval
		note(w.request, "pullRequest: here each app has a pull request of its own, in the forge that the bot is told, and merge: approval waits for a person (merge: auto would not)")
	}
}

// place notes where the markers go when adopt could not know.
func (m *argo) place(d *draft, t targets, target value, a *app) {
	kind, file, _ := strings.Cut(target.text(), ":")
	if kind != "helmvalues" && kind != "" && kind != "kustomization" {
		m.note(target.o, target.line(), fmt.Sprintf("write-back-target: %q is unknown; put the markers where the image stands", short(target.text())))
	}
	keys := []struct {
		v    value
		key  string
		part string
	}{{t.spec, t.spec.text(), ""}, {t.name, t.name.text(), ":name"}, {t.tag, t.tag.text(), ":tag"}}
	if kind == "helmvalues" && !t.spec.ok() && !t.name.ok() && !t.tag.ok() {
		keys[1].key, keys[2].key = "image.name", "image.tag"
	}
	if t.spec.ok() {
		keys = keys[:1]
	}
	if kind != "helmvalues" || file == "" {
		for _, k := range keys {
			if k.key != "" && k.v.ok() {
				m.note(k.v.o, k.v.line(), fmt.Sprintf("%s: the Helm parameter %s held this value; write \"# towpath: %s%s\" behind the value in Git that stands for it", short(keyOf(k.v)), short(k.key), d.Name, k.part))
			}
		}
		return
	}
	for _, p := range a.paths {
		at := path.Join(p, file)
		if strings.HasPrefix(file, "/") {
			at = strings.TrimPrefix(path.Clean(file), "/")
		}
		if usual(t.spec.text(), keys[0].key) || len(keys) > 1 && usual(keys[1].key, keys[2].key) {
			continue
		}
		for _, k := range keys {
			if k.key == "" {
				continue
			}
			where := at
			if line := m.lineOf(at, k.key); line > 0 {
				where = fmt.Sprintf("%s:%d", at, line)
			}
			v := k.v
			if !v.ok() {
				v = target
			}
			m.note(v.o, v.line(), fmt.Sprintf("%s: adopt does not know that %s of %s is a part of an image; write \"# towpath: %s%s\" behind it", short(keyOf(v)), short(k.key), short(where), d.Name, k.part))
		}
	}
}

// keyOf is an annotation without its prefix, or the path of a field.
func keyOf(v value) string {
	return strings.TrimPrefix(strings.TrimPrefix(v.path, updater+"/"), "spec.")
}

// usual tells whether adopt finds a pair of keys of Helm values by their names.
func usual(name, tag string) bool {
	of, last := path.Split(strings.ReplaceAll(name, ".", "/"))
	ofTag, lastTag := path.Split(strings.ReplaceAll(tag, ".", "/"))
	switch last + " " + lastTag {
	case "repository tag", "repository version", "name tag", "name version", "image imageTag", "image image":
		return of == ofTag
	}
	return false
}

// lineOf finds a dotted key in a file of values; 0: it is not there.
func (m *argo) lineOf(file, key string) int {
	for _, f := range m.files {
		if f.Path != file {
			continue
		}
		for _, o := range m.document(f.Path, chunk{data: f.Data}) {
			v := o.field()
			for part := range strings.SplitSeq(key, ".") {
				if v = v.get(part); !v.ok() {
					break
				}
			}
			if v.ok() {
				return v.line()
			}
		}
	}
	return 0
}

// named gives different policies different names, and makes one of those that say the
// same.
func (m *argo) named() {
	byName := map[string][]*wanted{}
	var names []string
	for _, w := range m.wanted {
		if byName[w.Name] == nil {
			names = append(names, w.Name)
		}
		list := byName[w.Name]
		if i := slices.IndexFunc(list, func(o *wanted) bool { return o.same(w.draft) }); i >= 0 {
			list[i].merge(w.draft)
			list[i].apps = append(list[i].apps, w.apps...)
			continue
		}
		byName[w.Name] = append(list, w)
	}
	used := map[string]bool{}
	for _, n := range names {
		used[n] = true
	}
	m.wanted = nil
	for _, n := range names {
		list := byName[n]
		m.wanted = append(m.wanted, list...)
		keeps := list[0] // the one of most applications
		for _, w := range list {
			if len(w.apps) > len(keeps.apps) {
				keeps = w
			}
		}
		for i, w := range list {
			if w == keeps {
				continue
			}
			qualifier := fmt.Sprint(i + 1)
			if len(w.apps) > 0 {
				qualifier = w.apps[0].qualifier()
			}
			w.Name = subdomain(n + "-" + qualifier)
			for k := 2; used[w.Name]; k++ {
				w.Name = subdomain(fmt.Sprintf("%s-%s-%d", n, qualifier, k))
			}
			used[w.Name] = true
			w.todo(headOfFile, m.note(w.origin, w.origin.line(), fmt.Sprintf("%s: %s:%d wants something else of the image of this name, so this policy is %s; name it in the markers of this application", n, keeps.origin.path, keeps.origin.line(), w.Name)))
		}
	}
}

// qualifier tells an application from others: by its stage, else by its name.
func (a *app) qualifier() string {
	for _, p := range a.paths {
		if s := stagePath(p); s != "" {
			return path.Base(s)
		}
	}
	return a.name
}
