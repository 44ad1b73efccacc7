package adopt

import (
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
)

// kustomizeImages reads the list images: of a kustomization.
func (w *walker) kustomizeImages(list *yaml.Node) {
	for _, e := range items(list) {
		if e.Kind != yaml.MappingNode {
			continue
		}
		f := kustomizeImage(e)
		f.named, f.slot = text(e, "name"), "images["+text(e, "name")+"]"
		w.add(f)
	}
}

func kustomizeImage(e *yaml.Node) finding {
	name, newName, newTag, digest := scalar(e, "name"), scalar(e, "newName"), scalar(e, "newTag"), scalar(e, "digest")
	repo := newName
	if !has(repo) {
		repo = name
	}
	switch {
	case !has(repo):
		return finding{node: e, reason: "the entry has no name"}
	case has(newTag) && has(digest):
		return finding{node: newTag, text: repo.Value, reason: "it has newTag and digest, and kustomize ignores newTag then",
			hint: "remove one of them; newTag may be TAG@sha256:…"}
	case has(digest):
		return finding{node: digest, text: repo.Value + "@" + digest.Value, reason: hasDigestOnly, hint: "write newTag: TAG@sha256:… in its place"}
	case has(newTag):
		return pair{repository: repo, tag: newTag}.read("")
	case has(newName):
		if f := wholeRef(newName, 0, ""); f.reason == "" { // newName: repo:tag
			return f
		}
	}
	return finding{node: repo, text: repo.Value, reason: "the entry has neither newTag nor digest", hint: "write newTag with the tag that is meant"}
}

// imageKey is a key under which values describe an image.
var imageKey = regexp.MustCompile(`(?i)image$`)

// values reads Helm values: pairs of repository and tag under any key, and texts under
// keys that end with image.
func (w *walker) values(n *yaml.Node, key, slot string, depth int) {
	if n == nil || depth > maxDepth {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		if w.pairOf(n, key, slot) {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			if to := direct(v); imageKey.MatchString(k.Value) && to.Kind == yaml.ScalarNode {
				w.image(n, to, slot+"."+k.Value)
				continue
			}
			name := k.Value
			if strings.EqualFold(key, "images") && direct(v).Kind == yaml.ScalarNode {
				name = key // images: {web: repo:tag}
			}
			if !w.mention(n, name, direct(v)) {
				w.values(v, k.Value, slot+"."+k.Value, depth+1)
			}
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			w.values(c, key, slot+"["+entry(c, i)+"]", depth+1)
		}
	case yaml.ScalarNode:
		w.block(n)
	}
}

// pairOf reads a mapping that is a reference in parts; false: it is none. A name with
// a version is one under a key that ends with image only: dependencies look alike.
func (w *walker) pairOf(n *yaml.Node, key, slot string) bool {
	p := pair{registry: scalar(n, "registry"), digest: scalar(n, "digest"), repository: scalar(n, "repository"), tag: scalar(n, "tag"), sha: scalar(n, "sha")}
	under := imageKey.MatchString(key)
	if p.repository == nil && under && has(p.tag) {
		p.repository = scalar(n, "image") // beside a registry of its own
	}
	if !under && foreign.MatchString(key) {
		return false
	}
	if p.repository == nil && (under || p.tag != nil) {
		p.repository = scalar(n, "name")
	}
	if p.tag == nil && (under || !has(scalar(n, "name"))) {
		p.tag = scalar(n, "version")
	}
	if p.repository == nil && under && has(p.tag) {
		w.add(leftAt(p.tag, isTagAlone, hintTag))
		return true
	}
	if !has(p.repository) || strings.Contains(p.repository.Value, "://") {
		return false
	}
	if !has(p.tag) && !under {
		return false
	}
	if _, err := image.ParseRepo(p.repository.Value); err != nil && !variable.MatchString(p.repository.Value) {
		return false
	}
	w.add(p.read(slot))
	return true
}

// foreign is a key under which a repository is none of images.
var foreign = regexp.MustCompile(`(?i)(git|chart|source|helm)s?$|^(git|chart|source|helm)`)

// Charts are said, so that nobody waits for them.
const (
	isChart   = "a chart's version is not an image"
	hintChart = "change it by hand"
)

func (w *walker) chart(n *yaml.Node, name string) {
	if has(n) {
		w.add(finding{node: n, text: strings.TrimSpace(name + " " + n.Value), reason: isChart, hint: hintChart})
	}
}

func (w *walker) helmRelease(d *yaml.Node, slot string) {
	w.chart(get(d, "spec", "chart", "spec", "version"), text(d, "spec", "chart", "spec", "chart"))
	w.values(get(d, "spec", "values"), "", slot+".values", 0)
}

// argo reads the sources of an Argo CD Application, or of an ApplicationSet's template.
func (w *walker) argo(d *yaml.Node, kind, slot string) {
	spec := get(d, "spec")
	if kind == "ApplicationSet" {
		w.mentions(get(spec, "generators"), 0)
		spec = get(d, "spec", "template", "spec")
	}
	sources := items(spec, "sources")
	if s := get(spec, "source"); s != nil {
		sources = append(sources, s)
	}
	for _, s := range sources {
		if c := text(s, "chart"); c != "" {
			w.chart(scalar(s, "targetRevision"), c)
		}
		for _, n := range items(s, "kustomize", "images") {
			if n.Kind == yaml.ScalarNode {
				name := n.Value[:strings.LastIndexByte(n.Value, '=')+1]
				w.add(wholeRef(n, len(name), slot+" "+name))
			}
		}
		w.parameters(items(s, "helm", "parameters"), slot)
		w.values(get(s, "helm", "valuesObject"), "", slot+".valuesObject", 0)
		if v := get(s, "helm", "values"); v != nil && v.Kind == yaml.ScalarNode && mentionsImage.MatchString(v.Value) {
			w.add(finding{node: v, text: "helm.values", reason: "the values are a text, where nothing can be marked", hint: "write them under valuesObject"})
		}
	}
}

// parameters pairs Argo CD's Helm parameters: image.repository with image.tag.
func (w *walker) parameters(list []*yaml.Node, slot string) {
	values := map[string]*yaml.Node{}
	for _, p := range list {
		if v := scalar(p, "value"); v != nil {
			values[text(p, "name")] = v
		}
	}
	for _, p := range list {
		name := text(p, "name")
		v := values[name]
		dot := strings.LastIndexByte(name, '.') + 1
		prefix, last := name[:dot], name[dot:]
		switch {
		case !has(v):
		case last == "tag" || last == "version" && imageKey.MatchString(strings.TrimSuffix(prefix, ".")):
			q := pair{registry: values[prefix+"registry"], repository: values[prefix+"repository"], tag: v, digest: values[prefix+"digest"]}
			if q.repository == nil {
				q.repository = values[prefix+"name"]
			}
			if !has(q.repository) {
				w.add(finding{node: v, text: v.Value, reason: "the parameters do not say which image it is the tag of", hint: "add the parameter " + prefix + "repository"})
				continue
			}
			w.add(q.read(slot + " " + prefix))
		case imageKey.MatchString(last):
			if f := wholeRef(v, 0, slot+" "+name); f.reason != hasNoTag {
				w.add(f)
			}
		}
	}
}

// refOnly tells whether a value is one scalar with a whole reference.
func (v *value) refOnly() bool { return len(v.spots) == 1 && v.spots[0].part == patch.PartRef }
