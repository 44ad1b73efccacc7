package reconcile

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

// App is an app of the environment as Git has it.
type App struct {
	Name    string
	Content string    // patch.Content of its marked values
	Objects []*Wanted // none when Problem is not nil
	Problem error     // why it could not be rendered
}

// Wanted is an object as Git has it, ready to be applied. It is not changed
// once it was made.
type Wanted struct {
	ID           manifest.ID // with the namespace it will have
	App          string
	Version      string    // of the API
	Kind         kube.Kind // without Resource when only Git defines it so far
	Body         []byte    // JSON, with our labels
	Hash         string    // of Body
	Stage, Wave  int
	Prune        string // what AnnotationPrune says
	Force        bool   // AnnotationForce
	Recreate     bool   // may be deleted and created when an immutable field changes
	AllowPrune   int    // AnnotationAllowPrune
	ScopeUnknown bool   // nothing says whether the kind has namespaces
	Defines      kindID // what a CustomResourceDefinition defines
	Problem      error  // why it cannot be applied
}

// kindID names a kind without its version.
type kindID struct{ Group, Kind string }

func kindOf(id manifest.ID) kindID { return kindID{id.Group, id.Kind} }

// scope says how a kind is served, if that is known.
type scope struct {
	kind       kube.Kind // zero when only a definition in Git is known
	namespaced bool
	err        error // why it is not known
}

const defaultNamespace = "default"

// wantedOf prepares o, an object of app, for the environment env.
func wantedOf(o manifest.Object, app, env string, s scope) *Wanted {
	id := o.ID()
	content := maps.Clone(o.Map())
	meta := cloneMap(content["metadata"])
	annotations := cloneMap(meta["annotations"])
	w := &Wanted{
		App: app, Version: version(o.APIVersion()), Kind: s.kind,
		Stage: stageOf(id), Wave: o.Wave(), Problem: s.err, ScopeUnknown: s.err != nil,
		Prune:    text(annotations[AnnotationPrune]),
		Force:    text(annotations[AnnotationForce]) == "true",
		Recreate: text(annotations[AnnotationRecreate]) == "true" || recreatable(id),
		Defines:  definedBy(id, content),
	}
	if n, err := strconv.Atoi(text(annotations[AnnotationAllowPrune])); err == nil {
		w.AllowPrune = n
	}
	switch {
	case s.err != nil: // as written
	case !s.namespaced:
		id.Namespace = ""
	case id.Namespace == "":
		id.Namespace = defaultNamespace
	}
	w.ID = id
	if delete(meta, "namespace"); id.Namespace != "" {
		meta["namespace"] = id.Namespace
	}
	for _, k := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
		delete(meta, k) // the API server's, not the user's
	}
	labels := cloneMap(meta["labels"])
	labels[LabelEnv] = env
	annotations[LabelApp] = app
	meta["labels"], meta["annotations"] = labels, annotations
	content["metadata"] = meta
	delete(content, "status")
	if isSecret(id) && w.Version == "v1" {
		encodeSecret(content)
	}
	body, err := json.Marshal(content)
	if err != nil {
		w.Problem = fmt.Errorf("%s: cannot be written as JSON", id)
		return w
	}
	sum := sha256.Sum256(body)
	w.Body, w.Hash = body, hex.EncodeToString(sum[:16])
	return w
}

// encodeSecret moves stringData into data, as the API server does, which keeps
// no record of who owns stringData: its keys would never be seen to change.
// What is not as it should be stays, for the API server to refuse.
func encodeSecret(content map[string]any) {
	plain, ok := content["stringData"].(map[string]any)
	if !ok {
		return
	}
	if _, isMap := content["data"].(map[string]any); !isMap && content["data"] != nil {
		return
	}
	data := cloneMap(content["data"])
	for k, v := range plain {
		s, isText := v.(string)
		if !isText {
			return
		}
		data[k] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	delete(content, "stringData")
	content["data"] = data
}

// target returns what the object is called at the API server.
func (w *Wanted) target() kube.Target {
	return kube.Target{Kind: w.Kind, Namespace: w.ID.Namespace, Name: w.ID.Name}
}

// withoutReplicas returns Body without spec.replicas, for an object that an
// autoscaler scales.
func (w *Wanted) withoutReplicas() []byte {
	var content map[string]any
	if json.Unmarshal(w.Body, &content) != nil {
		return w.Body
	}
	if spec, ok := content["spec"].(map[string]any); ok {
		delete(spec, "replicas")
	}
	body, err := json.Marshal(content)
	if err != nil {
		return w.Body
	}
	return body
}

// named returns Body under another name.
func (w *Wanted) named(name string) ([]byte, error) {
	var content map[string]any
	if err := json.Unmarshal(w.Body, &content); err != nil {
		return nil, fmt.Errorf("read %s: %w", w.ID, err)
	}
	meta := cloneMap(content["metadata"])
	meta["name"] = name
	content["metadata"] = meta
	return json.Marshal(content)
}

// The stages, in order of execution.
const (
	stageDefinitions = iota // namespaces and definitions of kinds
	stageConfig             // RBAC, classes, configuration
	stageWorkloads
	stageRest
	stageWebhooks // last, as they can refuse everything before them
)

func stageOf(id manifest.ID) int {
	switch id.Group {
	case "":
		switch id.Kind {
		case "Namespace":
			return stageDefinitions
		case "ConfigMap", "Secret", "ServiceAccount", "ResourceQuota", "LimitRange", "PersistentVolume", "PersistentVolumeClaim":
			return stageConfig
		case "Pod", "ReplicationController":
			return stageWorkloads
		}
	case "apiextensions.k8s.io":
		return stageDefinitions
	case "rbac.authorization.k8s.io", "storage.k8s.io", "scheduling.k8s.io", "node.k8s.io":
		return stageConfig
	case "networking.k8s.io":
		if id.Kind == "IngressClass" || id.Kind == "NetworkPolicy" {
			return stageConfig
		}
	case "gateway.networking.k8s.io":
		if id.Kind == "GatewayClass" {
			return stageConfig
		}
	case "apps", "batch":
		return stageWorkloads
	case "admissionregistration.k8s.io", "apiregistration.k8s.io":
		return stageWebhooks
	}
	return stageRest
}

// recreatable reports whether replacing the object loses nothing that Git
// does not bring back.
func recreatable(id manifest.ID) bool {
	switch kindOf(id) {
	case kindID{"batch", "Job"}, kindID{"", "ConfigMap"}, kindID{"", "Secret"}:
		return true // asked only when the API server says that the live one is immutable
	}
	return false
}

func definedBy(id manifest.ID, content map[string]any) kindID {
	if kindOf(id) != (kindID{"apiextensions.k8s.io", "CustomResourceDefinition"}) {
		return kindID{}
	}
	spec, _ := content["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	return kindID{text(spec["group"]), text(names["kind"])}
}

// definitions returns the scopes of the kinds that objects define.
func definitions(objects []manifest.Object) map[kindID]bool {
	out := map[kindID]bool{}
	for _, o := range objects {
		if k := definedBy(o.ID(), o.Map()); k != (kindID{}) {
			spec, _ := o.Map()["spec"].(map[string]any)
			out[k] = text(spec["scope"]) != "Cluster"
		}
	}
	return out
}

func version(apiVersion string) string {
	for i := len(apiVersion) - 1; i >= 0; i-- {
		if apiVersion[i] == '/' {
			return apiVersion[i+1:]
		}
	}
	return apiVersion
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func cloneMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	out := make(map[string]any, len(m)+1)
	maps.Copy(out, m)
	return out
}
