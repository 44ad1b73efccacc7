// Package manifest turns a directory of a file system into ordered Kubernetes
// objects: plain YAML and kustomize, app by app.
//
// It is on floor 0: it reads nothing but the fs.FS it is given. It must not
// follow a link, leave that file system, start a program, load a plugin or use
// a network, and one bad app must never stop another.
package manifest

import (
	"io/fs"
	"sync"
)

// ID identifies an object in a cluster, whatever version serves it.
type ID struct{ Group, Kind, Namespace, Name string }

// String returns "apps/Deployment shop/web", "Namespace shop" or "v1" objects
// without group as "ConfigMap shop/settings".
func (id ID) String() string { return "" }

// Object is one rendered manifest.
type Object struct {
	id         ID
	apiVersion string
	content    map[string]any
	source     string
	wave       int
}

// ID returns the object's identity. Namespace is as written, "" when absent.
func (o Object) ID() ID { return o.id }

// APIVersion returns group/version as written.
func (o Object) APIVersion() string { return o.apiVersion }

// Map returns the content, with the types that apimachinery's unstructured
// wants (int64, float64, string, bool, nil, map[string]any, []any). Callers
// must not change it.
func (o Object) Map() map[string]any { return o.content }

// Source returns the file of a plain object, the app's directory otherwise.
func (o Object) Source() string { return o.source }

// Wave returns the annotation towpath.dev/wave, 0 when absent.
func (o Object) Wave() int { return o.wave }

// App is one app of an environment. Objects is nil when Problem is not.
type App struct {
	Name    string
	Dir     string // slash-separated, in the fs.FS
	Objects []Object
	Problem error
	Reached []string // every path read, listed or looked for, sorted
}

// AppDir is an app of an environment, not rendered.
type AppDir struct {
	Name  string
	Dir   string
	Files []string // the YAML files that belong to it, sorted
}

// Limits bounds what one app may cost. A zero field means its default.
type Limits struct {
	Objects int   // objects per app, default 10,000
	Bytes   int64 // bytes read per app, default 16 MiB
	Depth   int   // folders below the app, default 32
	Files   int   // files read per app, default 10,000
}

// Renderer renders directories. kustomize keeps global state, so one Renderer
// should be shared by all callers of a process.
type Renderer struct {
	limits Limits
	mu     sync.Mutex // one kustomize build at a time
}

// NewRenderer returns a Renderer with the given limits.
func NewRenderer(l Limits) *Renderer { return &Renderer{limits: l} }

// Render renders the environment at dir. The error is about dir itself; what
// is wrong with an app is in its Problem.
func (r *Renderer) Render(fsys fs.FS, dir string) ([]App, error) { return nil, nil }

// Apps lists the apps of the environment at dir without rendering them.
func Apps(fsys fs.FS, dir string) ([]AppDir, error) { return nil, nil }
