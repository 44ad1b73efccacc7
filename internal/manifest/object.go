package manifest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// WaveAnnotation orders objects inside a stage; its value is a whole number.
const WaveAnnotation = "towpath.dev/wave"

// maxListDepth bounds lists inside lists.
const maxListDepth = 8

// ID identifies an object in a cluster, whatever version serves it.
type ID struct{ Group, Kind, Namespace, Name string }

// String returns "apps/Deployment shop/web"; group and namespace are left out
// with their slash when empty: "ConfigMap shop/settings", "Namespace shop".
func (id ID) String() string {
	kind, name := id.Kind, id.Name
	if id.Group != "" {
		kind = id.Group + "/" + kind
	}
	if id.Namespace != "" {
		name = id.Namespace + "/" + name
	}
	return kind + " " + name
}

// Object is one rendered manifest.
type Object struct {
	id         ID
	apiVersion string
	content    map[string]any
	source     string
	at         string // source, with the document of a plain file
	wave       int
}

// ID returns the object's identity. Namespace is as written, "" when absent.
func (o Object) ID() ID { return o.id }

// APIVersion returns group and version as written, "apps/v1" or "v1".
func (o Object) APIVersion() string { return o.apiVersion }

// Map returns the content, with the types that apimachinery's unstructured
// wants (int64, float64, string, bool, nil, map[string]any, []any). Callers
// must not change it.
func (o Object) Map() map[string]any { return o.content }

// Source returns the file of a plain object, the app's directory of another.
func (o Object) Source() string { return o.source }

// Wave returns the number in the annotation towpath.dev/wave, 0 when absent.
func (o Object) Wave() int { return o.wave }

// origin says where a document came from, for Object and for errors.
type origin struct{ source, at string }

// objects makes a document's object, or those of a list. Its errors tell what
// is missing and never what a field holds, which may be a Secret's.
func objects(doc any, from origin) ([]Object, error) {
	list, err := appendObjects(nil, doc, "", 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from.at, err)
	}
	for i := range list {
		list[i].source, list[i].at = from.source, from.at
	}
	return list, nil
}

// appendObjects adds doc to list. inherit is the kind of list that doc is an
// item of, for items that leave out their own.
func appendObjects(list []Object, doc any, inherit string, depth int) ([]Object, error) {
	m, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("not a Kubernetes manifest, which is a mapping with apiVersion and kind; keep other YAML outside the app's folder, or list the manifests in a kustomization.yaml")
	}
	if inherit != "" {
		version, kind, _ := strings.Cut(inherit, " ")
		m = withType(m, version, kind)
	}
	version, _ := m["apiVersion"].(string)
	kind, _ := m["kind"].(string)
	if version == "" || kind == "" {
		return nil, errors.New("no apiVersion or no kind, so it is no Kubernetes manifest; keep other YAML outside the app's folder, or list the manifests in a kustomization.yaml")
	}
	if items, isList := m["items"].([]any); isList && strings.HasSuffix(kind, "List") {
		if depth == maxListDepth {
			return nil, fmt.Errorf("lists are nested deeper than %d", maxListDepth)
		}
		inherit = ""
		if kind != "List" {
			inherit = version + " " + strings.TrimSuffix(kind, "List")
		}
		for i, item := range items {
			var err error
			if list, err = appendObjects(list, item, inherit, depth+1); err != nil {
				return nil, fmt.Errorf("item %d: %w", i+1, err)
			}
		}
		return list, nil
	}
	if kind == "List" {
		return list, nil // without items
	}
	o, err := newObject(m, version, kind)
	if err != nil {
		return nil, err
	}
	return append(list, o), nil
}

// withType returns m with apiVersion and kind where it has none.
func withType(m map[string]any, version, kind string) map[string]any {
	if m["apiVersion"] != nil || m["kind"] != nil {
		return m
	}
	typed := map[string]any{"apiVersion": version, "kind": kind}
	for k, v := range m {
		typed[k] = v
	}
	return typed
}

func newObject(m map[string]any, version, kind string) (Object, error) {
	group, _, grouped := strings.Cut(version, "/")
	if !grouped {
		group = ""
	}
	o := Object{id: ID{Group: group, Kind: kind}, apiVersion: version, content: m}
	if group == "kustomize.config.k8s.io" {
		return o, fmt.Errorf("a %s below the app's folder; put it into the app's own folder, or outside the environment", kind)
	}
	meta, ok := m["metadata"].(map[string]any)
	if !ok {
		return o, fmt.Errorf("%s has no metadata.name", kind)
	}
	switch name := meta["name"].(type) {
	case string:
		o.id.Name = name
	case nil:
		if meta["generateName"] != nil {
			return o, fmt.Errorf("%s has generateName, which makes a new object each time; give it metadata.name", kind)
		}
	default:
		return o, fmt.Errorf("%s: metadata.name is not a text; quote it", kind)
	}
	if o.id.Name == "" {
		return o, fmt.Errorf("%s has no metadata.name", kind)
	}
	if namespace, set := meta["namespace"]; set && namespace != nil {
		if o.id.Namespace, ok = namespace.(string); !ok {
			return o, fmt.Errorf("%s: metadata.namespace is not a text; quote it", o.id)
		}
	}
	annotations, _ := meta["annotations"].(map[string]any)
	wave, set := annotations[WaveAnnotation]
	if !set {
		return o, nil
	}
	text, _ := wave.(string)
	var err error
	if o.wave, err = strconv.Atoi(text); err != nil {
		return o, fmt.Errorf(`%s: annotation %s is no whole number in quotes, like "5"`, o.id, WaveAnnotation)
	}
	return o, nil
}
