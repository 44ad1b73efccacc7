package adopt

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// walker collects what the documents of one file hold.
type walker struct {
	found []finding
}

func (w *walker) add(f finding) {
	if len(w.found) < maxFindings {
		w.found = append(w.found, f)
	}
}

// kustomizationFiles may leave out apiVersion and kind.
var kustomizationFiles = regexp.MustCompile(`^(kustomization\.ya?ml|Kustomization)$`)

// valuesFile is what files of Helm values are called.
var valuesFile = regexp.MustCompile(`(?i)^(values([-._].*)?|.*[-._]values)\.ya?ml$`)

// document looks into one document by its kind.
func (w *walker) document(p string, d *yaml.Node) {
	d = direct(d)
	if d == nil || d.Kind != yaml.MappingNode {
		return
	}
	if text(d, "apiVersion") != "" && text(d, "kind") != "" {
		w.object(d, 0)
		return
	}
	switch {
	case kustomizationFiles.MatchString(path.Base(p)):
		w.kustomizeImages(get(d, "images"))
	case valuesFile.MatchString(path.Base(p)):
		w.values(d, "", "values", 0)
	default:
		w.compose(get(d, "services"))
	}
}

// object looks into a Kubernetes object, or something that looks like one.
func (w *walker) object(d *yaml.Node, depth int) {
	group, kind := groupOf(text(d, "apiVersion")), text(d, "kind")
	slot := kind + "/" + text(d, "metadata", "namespace") + "/" + text(d, "metadata", "name")
	switch {
	case depth > maxDepth, group == "towpath.dev", group == "image.toolkit.fluxcd.io", kind == "CustomResourceDefinition":
	case group == "kustomize.config.k8s.io":
		w.kustomizeImages(get(d, "images"))
	case group == "kustomize.toolkit.fluxcd.io" && kind == "Kustomization":
		w.kustomizeImages(get(d, "spec", "images"))
	case group == "helm.toolkit.fluxcd.io" && kind == "HelmRelease":
		w.helmRelease(d, slot)
	case group == "argoproj.io" && (kind == "Application" || kind == "ApplicationSet"):
		w.argo(d, kind, slot)
	case strings.HasSuffix(kind, "List") && get(d, "items") != nil:
		for _, item := range items(d, "items") {
			if text(item, "kind") == "" { // a list of one kind may leave it out
				w.tree(item, slot, 0)
				continue
			}
			w.object(item, depth+1)
		}
	default:
		w.tree(d, slot, 0)
	}
}

// groupOf is the group of an apiVersion; empty: the core group.
func groupOf(apiVersion string) string {
	g, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return g
}

// tree walks an object of any kind: every "image" with a text is a reference, and a
// few other places that Kubernetes has.
func (w *walker) tree(n *yaml.Node, slot string, depth int) {
	if depth > maxDepth {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		w.imageVolume(n, slot)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			switch to := direct(v); {
			case k.Value == "image" && to.Kind == yaml.ScalarNode:
				w.image(n, to, slot+".image")
			case k.Value == "image" && to.Kind == yaml.MappingNode && v.Kind != yaml.AliasNode:
				if !w.pairOf(to, k.Value, slot+".image") {
					w.tree(v, slot+".image", depth+1)
				}
			case k.Value == "args" || k.Value == "command":
				w.arguments(to, slot+"."+k.Value)
			case w.mention(n, k.Value, to):
			default:
				w.tree(v, slot+"."+k.Value, depth+1)
			}
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			w.tree(c, slot+"["+entry(c, i)+"]", depth+1)
		}
	case yaml.ScalarNode:
		w.block(n)
	}
}

// image reads the text at the key "image". A neighbour may hold its tag.
func (w *walker) image(in, n *yaml.Node, slot string) {
	switch {
	case !has(n) || n.ShortTag() != "!!str" || strings.Contains(n.Value, "://"):
		return
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		w.add(leftAt(n, "it is written as a block", "write it on one line"))
		return
	}
	if f := wholeRef(n, 0, slot); f.reason != hasNoTag {
		w.add(f)
		return
	}
	for _, key := range []string{"imageTag", "tag"} {
		if tag := scalar(in, key); has(tag) {
			digest := scalar(in, "imageDigest")
			if !has(digest) {
				digest = scalar(in, "digest")
			}
			w.add(pair{registry: scalar(in, "registry"), repository: n, tag: tag, digest: digest, sha: scalar(in, "sha")}.read(slot))
			return
		}
	}
	w.add(leftAt(n, hasNoTag, hintNoTag))
}

// imageVolume reads a volume that is an image.
func (w *walker) imageVolume(n *yaml.Node, slot string) {
	for _, v := range items(n, "volumes") {
		if ref := scalar(get(v, "image"), "reference"); has(ref) {
			w.add(wholeRef(ref, 0, slot+".volumes["+text(v, "name")+"]"))
		}
	}
}

// imageFlag is an argument that holds an image: --sidecar-image=repo:tag.
var imageFlag = regexp.MustCompile(`(?i)^-{0,2}[a-z0-9_.-]*image=`)

// arguments reads arguments whose name ends with image.
func (w *walker) arguments(list *yaml.Node, slot string) {
	if list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	before := ""
	for _, c := range list.Content {
		c = direct(c)
		flag := before
		before = c.Value
		if c.Kind != yaml.ScalarNode {
			continue
		}
		name := imageFlag.FindString(c.Value)
		if name == "" {
			w.block(c)
			w.flagged(flag, c)
			continue
		}
		if f := wholeRef(c, len(name), slot+" "+name); f.reason != "it is no image reference" {
			w.add(f)
		}
	}
}

// block lists images in a text of several lines, as in a ConfigMap's data.
func (w *walker) block(n *yaml.Node) {
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 {
		return
	}
	for _, m := range imageLine.FindAllStringSubmatchIndex(n.Value, maxFindings) {
		at := &yaml.Node{Kind: yaml.ScalarNode, Line: n.Line + 1 + strings.Count(n.Value[:m[2]], "\n"), Value: bare(n.Value[m[2]:m[3]])}
		w.add(leftAt(at, isText, hintText))
	}
}

// entry names an item of a list: by its name, else by its number.
func entry(n *yaml.Node, i int) string {
	if name := text(n, "name"); name != "" {
		return name
	}
	return strconv.Itoa(i)
}
