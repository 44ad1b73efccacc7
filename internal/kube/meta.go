package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind is a kind of object and how the API server serves it.
type Kind struct {
	Group, Version, Kind string
	Resource             string // plural, as in the path
	Namespaced           bool
	HasStatus            bool // it has a status subresource
}

// APIVersion returns group/version as manifests write it.
func (k Kind) APIVersion() string {
	if k.Group == "" {
		return k.Version
	}
	return k.Group + "/" + k.Version
}

// String returns apps/Deployment, or ConfigMap for a kind without group.
func (k Kind) String() string {
	if k.Group == "" {
		return k.Kind
	}
	return k.Group + "/" + k.Kind
}

func (k Kind) secret() bool { return k.Group == "" && k.Kind == "Secret" }

// Target names one object. Namespace is empty for cluster-wide kinds.
type Target struct {
	Kind            Kind
	Namespace, Name string
}

// String returns "apps/Deployment shop/web".
func (t Target) String() string {
	if t.Namespace == "" {
		return t.Kind.String() + " " + t.Name
	}
	return t.Kind.String() + " " + t.Namespace + "/" + t.Name
}

// Meta is what the API server says of an object besides its content.
type Meta struct {
	Namespace, Name string
	UID             string
	ResourceVersion string
	Generation      int64
	Deleting        bool // deletion was asked for and has not ended
	Labels          map[string]string
	Annotations     map[string]string // without copies of the whole object
	Fields          []Fields
}

// Object is an object as the API server holds it. The data of a Secret is left
// out, and so is metadata.managedFields, which is in Fields.
type Object struct {
	Meta
	Content map[string]any
}

// Fields is the part of an object that one field manager owns.
type Fields struct {
	Manager     string
	Apply       bool   // by server-side apply, else by an update
	Subresource string // status, scale or ""
	Time        time.Time
	raw         []byte // FieldsV1 as JSON
}

// Hash returns a digest of the set of owned fields, whatever their order.
func (f Fields) Hash() string {
	var set any
	if json.Unmarshal(f.raw, &set) != nil {
		return ""
	}
	canonical, err := json.Marshal(set) // sorts keys
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:16])
}

// Owns reports whether the field at the path, such as spec, replicas, is in the set.
func (f Fields) Owns(path ...string) bool {
	var set map[string]json.RawMessage
	raw := f.raw
	for _, p := range path {
		set = nil
		if json.Unmarshal(raw, &set) != nil {
			return false
		}
		next, ok := set["f:"+p]
		if !ok {
			return false
		}
		raw = next
	}
	return true
}

// Applied returns what manager owns by server-side apply of the object itself.
func (m Meta) Applied(manager string) (Fields, bool) {
	for _, f := range m.Fields {
		if f.Apply && f.Subresource == "" && f.Manager == manager {
			return f, true
		}
	}
	return Fields{}, false
}

// Other returns the manager that changed the object last, other than manager
// and the writers of status; "" when there is none.
func (m Meta) Other(manager string) string {
	var last Fields
	for _, f := range m.Fields {
		if f.Manager == manager || f.Subresource == "status" {
			continue
		}
		if last.Manager == "" || f.Time.After(last.Time) {
			last = f
		}
	}
	return last.Manager
}

// Newer reports whether resource version a was given out after b. Versions
// that are no numbers are only compared for being the same.
func Newer(a, b string) bool {
	if a == b {
		return false
	}
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	if errX != nil || errY != nil {
		return true
	}
	return x > y
}

// copiesOfContent are annotations that hold the whole object, Secrets included.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func metaOf(o metav1.Object) Meta {
	m := Meta{
		Namespace:       o.GetNamespace(),
		Name:            o.GetName(),
		UID:             string(o.GetUID()),
		ResourceVersion: o.GetResourceVersion(),
		Generation:      o.GetGeneration(),
		Deleting:        o.GetDeletionTimestamp() != nil,
		Labels:          o.GetLabels(),
		Annotations:     o.GetAnnotations(),
	}
	delete(m.Annotations, lastApplied)
	for _, e := range o.GetManagedFields() {
		f := Fields{Manager: e.Manager, Apply: e.Operation == metav1.ManagedFieldsOperationApply, Subresource: e.Subresource}
		if e.Time != nil {
			f.Time = e.Time.Time
		}
		if e.FieldsV1 != nil {
			f.raw = e.FieldsV1.GetRawBytes()
		}
		m.Fields = append(m.Fields, f)
	}
	return m
}
