// Package manifest turns a directory of a file system into ordered Kubernetes
// objects: plain YAML and kustomize, app by app.
//
// It is on floor 0: it reads nothing but the fs.FS it is given. It must not
// follow a link, leave that file system, start a program, load a plugin or use
// a network, and one bad app must never stop another.
package manifest

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// What one app may cost when a Limits field is zero.
const (
	DefaultObjects = 10_000
	DefaultBytes   = 16 << 20
	DefaultDepth   = 32
	DefaultFiles   = 10_000
)

// Limits bounds what one app may cost. A zero field means its default.
type Limits struct {
	Objects int   // objects of the app
	Bytes   int64 // bytes read, each file counted once
	Depth   int   // folders below the app's
	Files   int   // files read, each reading counted
}

func (l Limits) withDefaults() Limits {
	if l.Objects == 0 {
		l.Objects = DefaultObjects
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	if l.Files == 0 {
		l.Files = DefaultFiles
	}
	return l
}

// App is one app of an environment. Objects is nil when Problem is not.
type App struct {
	Name    string
	Dir     string   // slash-separated, in the fs.FS
	Objects []Object // plain YAML: by file and document; kustomize: in its order
	Problem error    // names file and document, and never holds a Secret's data
	// Reached lists every path read, listed or looked for, whether it exists or
	// not, sorted: while the hashes of these are the same, so are Objects and
	// Problem, but for objects that another app has too.
	Reached []string
}

// Renderer renders directories. kustomize keeps global state, so all callers
// of a process must share one Renderer.
type Renderer struct {
	limits Limits
	mu     sync.Mutex // one kustomize build at a time: its OpenAPI schema is global
}

// NewRenderer returns a Renderer with the given limits.
func NewRenderer(l Limits) *Renderer { return &Renderer{limits: l.withDefaults()} }

// Render renders the environment at dir, app by app as Apps lists them, sorted
// by name. What is wrong with an app is in its Problem; the error is about dir
// itself. An object that several apps have is a problem of each of them.
func (r *Renderer) Render(fsys fs.FS, dir string) ([]App, error) {
	dirs, err := list(fsys, dir, nil)
	if err != nil {
		return nil, err // names dir; what for it was rendered, callers say
	}
	apps := make([]App, 0, len(dirs))
	for _, d := range dirs {
		apps = append(apps, r.render(fsys, d))
	}
	share(apps)
	return apps, nil
}

// share makes every app with an object that another app has too a problem.
// Neither is right by its name: were one to keep the object, a new app could
// take it from its rightful owner.
func share(apps []App) {
	owners := map[ID][]int{} // the apps that have an object
	for i, a := range apps {
		for _, o := range a.Objects {
			owners[o.id] = append(owners[o.id], i)
		}
	}
	problems := make([]error, len(apps))
	for i, a := range apps {
		for _, o := range a.Objects {
			if also := owners[o.id]; len(also) > 1 {
				problems[i] = shared(apps, o, i, also)
				break
			}
		}
	}
	for i, problem := range problems {
		if problem != nil {
			apps[i].Objects, apps[i].Problem = nil, problem
		}
	}
}

// shared names the other apps that have an object of app i.
func shared(apps []App, o Object, i int, also []int) error {
	var others []string
	for _, j := range also {
		if j != i {
			others = append(others, fmt.Sprintf("%s (%s)", apps[j].Name, apps[j].Dir))
		}
	}
	return fmt.Errorf("%s: %s is in app %s, too; keep it in one of them", o.source, o.id, strings.Join(others, " and in app "))
}

// render renders one app and turns whatever goes wrong into its Problem.
func (r *Renderer) render(fsys fs.FS, d place) (a App) {
	t := newTree(fsys, r.limits)
	a = App{Name: d.Name, Dir: d.Dir}
	defer func() {
		if p := recover(); p != nil {
			a.Objects, a.Problem = nil, fmt.Errorf("%s: rendering failed: %s", d.Dir, t.redact(fmt.Sprint(p)))
		}
		a.Reached = t.reachedPaths()
	}()
	switch {
	case slices.Contains(d.Odd, d.Dir):
		a.Problem = notRegular(d.Dir)
	case d.kustomized == "":
		a.Objects, a.Problem = t.plain(d)
	default:
		a.Objects, a.Problem = r.kustomize(t, d)
	}
	if a.Problem == nil {
		a.Problem = unique(a.Objects)
	}
	if a.Problem == nil && len(a.Objects) > r.limits.Objects {
		a.Problem = tooMany(d.Dir, r.limits.Objects)
	}
	if a.Problem != nil {
		a.Objects = nil
	}
	return a
}

func tooMany(dir string, limit int) error {
	return fmt.Errorf("%s: more than %d objects; split the app", dir, limit)
}

// unique reports an object that an app has twice.
func unique(objects []Object) error {
	first := make(map[ID]string, len(objects)) // ID → where it was seen
	for _, o := range objects {
		if at, seen := first[o.id]; seen {
			return fmt.Errorf("%s: %s is in %s too; an object belongs in one place", o.at, o.id, at)
		}
		first[o.id] = o.at
	}
	return nil
}

// RootApp is the name of the app that an environment's directory is itself. It is
// the same in every environment, so that what is promoted meets its like.
const RootApp = "root"
