package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
)

// rendering is what an environment's directory came out as, and what it was
// made of: while none of that changes, it need not be rendered again.
type rendering struct {
	path    string
	reached map[string]string // path → object hash in Git, "" = not there
	apps    []manifest.App
	content map[string]string // app → patch.Content
}

// same reports whether rendering s would come out as r.
func (r *rendering) same(path string, s gitrepo.Snapshot) bool {
	if r == nil || r.path != path {
		return false
	}
	for p, hash := range r.reached {
		if now, _ := s.Hash(p); now != hash {
			return false
		}
	}
	return true
}

// render renders the directory of the environment and notes what it reached.
func render(r *manifest.Renderer, s gitrepo.Snapshot, env, path string) (*rendering, error) {
	out := &rendering{path: path, reached: map[string]string{}, content: map[string]string{}}
	note := func(p string) { out.reached[p], _ = s.Hash(p) }
	note(path)
	fsys := s.FS()
	apps, err := r.Render(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", path, err)
	}
	dirs, err := manifest.Apps(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", path, err)
	}
	for _, app := range apps {
		for _, p := range app.Reached {
			note(p)
		}
	}
	for _, d := range dirs {
		content, err := contentOf(fsys, env, d)
		if err != nil {
			return nil, fmt.Errorf("read markers of app %s: %w", d.Name, err)
		}
		out.content[d.Name] = content
	}
	out.apps = apps
	return out, nil
}

// contentOf is the content of an app as the bot computes it from the same files:
// one that is too large for markers has none.
func contentOf(fsys fs.FS, env string, d manifest.AppDir) (string, error) {
	var markers []patch.Marker
	for _, p := range d.Files {
		info, err := fs.Stat(fsys, p)
		if err != nil {
			return "", err
		}
		if info.Size() > patch.MaxFileSize {
			continue
		}
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return "", err
		}
		m, _ := patch.Markers(patch.File{Path: p, Data: data})
		markers = append(markers, m...)
	}
	values, _ := patch.Values(markers)
	return patch.Content(env, d.Name, values), nil
}

// prepare makes apps out of a rendering: it finds out how each kind is served.
// complete is false when that is not known for some of them, and worth asking
// again.
func (a *Agent) prepare(ctx context.Context, r *rendering) (apps []App, complete bool) {
	type versioned struct{ group, version, kind string }
	scopes := map[versioned]scope{}
	var all []manifest.Object
	for _, app := range r.apps {
		all = append(all, app.Objects...)
	}
	defined := definitions(all)
	complete = true
	for _, o := range all {
		id := o.ID()
		key := versioned{id.Group, version(o.APIVersion()), id.Kind}
		if _, ok := scopes[key]; ok {
			continue
		}
		kind, err := a.c.API.Resolve(ctx, key.group, key.version, key.kind)
		namespaced, ok := defined[kindOf(id)]
		switch {
		case err == nil:
			scopes[key] = scope{kind: kind, namespaced: kind.Namespaced}
		case ok && errors.Is(err, kube.ErrNoKind):
			scopes[key] = scope{namespaced: namespaced}
		default:
			scopes[key] = scope{err: err}
			complete = false
		}
	}
	taken := map[manifest.ID]string{}
	for _, app := range r.apps {
		out := App{Name: app.Name, Content: r.content[app.Name], Problem: app.Problem}
		for _, o := range app.Objects {
			s := scopes[versioned{o.ID().Group, version(o.APIVersion()), o.ID().Kind}]
			w := wantedOf(o, app.Name, a.c.Env, s)
			if other, dup := taken[w.ID]; dup {
				out.Problem = errors.Join(out.Problem, fmt.Errorf("%s is also in %s: let only one of them have it", w.ID, other))
				continue
			}
			taken[w.ID] = o.Source()
			out.Objects = append(out.Objects, w)
		}
		apps = append(apps, out)
	}
	slices.SortFunc(apps, func(x, y App) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return apps, complete
}
