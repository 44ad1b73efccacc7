package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
)

// kustomizationNames are the files that make a folder a kustomization.
var kustomizationNames = konfig.RecognizedKustomizationFileNames()

// AppDir is an app of an environment, not rendered.
type AppDir struct {
	Name string
	Dir  string
	// Files are the YAML files of the app's own folder, sorted: those below it
	// too, unless the app is the files that lie beside other apps' folders. The
	// bases of a kustomization lie elsewhere and are not among them.
	Files []string
	// Odd are the paths among them, sorted, that are named like manifests or like
	// folders and are neither: links, submodules, devices. None is followed, and an
	// app of plain YAML that has one is not rendered.
	Odd []string
	// Unread is why Files is not all there is: too deep, too many, a folder that
	// cannot be listed. "" when it is.
	Unread string
}

// place is an app before it is rendered.
type place struct {
	AppDir
	kustomized string // its kustomization file, "" when the app is plain YAML
	flat       bool   // the app is the files of the folder, not what is below
}

// Apps lists the apps of the environment at dir without rendering them, sorted
// by name. An app is a folder of dir that holds YAML; or dir itself, named
// RootApp, when files lie directly in it; or only dir itself when there is a
// kustomization file. Names that start with a dot are left out.
func Apps(fsys fs.FS, dir string) ([]AppDir, error) { return AppsAgain(fsys, dir, nil) }

// AppsAgain is Apps for a caller that knows folders of dir from before. again is
// asked for each of them that may be an app and returns what it is, or that it is
// none; read looks. Whatever read says is true of every folder of the same name
// in the same dir with the same content, unless Unread is set. nil: all are read.
func AppsAgain(fsys fs.FS, dir string, again Again) ([]AppDir, error) {
	places, err := list(fsys, dir, again)
	if err != nil {
		return nil, err // names dir
	}
	apps := make([]AppDir, len(places))
	for i, p := range places {
		apps[i] = p.AppDir
	}
	return apps, nil
}

// Again returns what a folder of an environment is: from memory, or from read.
type Again func(e fs.DirEntry, read func() (AppDir, bool)) (AppDir, bool)

// noDirectory is an environment's directory that is not there.
type noDirectory string

func (d noDirectory) Error() string {
	return fmt.Sprintf("environment directory %s does not exist; create it with an app's manifests in it, or correct the environment's path", string(d))
}

// Is makes it the file system's own error to callers.
func (noDirectory) Is(target error) bool { return target == fs.ErrNotExist }

// list finds the apps of an environment.
func list(fsys fs.FS, dir string, again Again) ([]place, error) {
	if !fs.ValidPath(dir) {
		return nil, fmt.Errorf("environment directory %q is no path inside the repository; write it without a leading slash, and without dots for folders above", dir)
	}
	t := newTree(fsys, Limits{}.withDefaults())
	entries, err := t.list(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noDirectory(dir)
	}
	if err != nil {
		return nil, err
	}
	if k := kustomization(entries); k != "" {
		p := place{AppDir: AppDir{Name: RootApp, Dir: dir}, kustomized: k}
		t.gather(&p.AppDir, true)
		return []place{p}, nil
	}
	var places []place
	files := false
	for _, e := range entries {
		switch {
		case isHidden(e.Name()):
		case e.IsDir(), !e.Type().IsRegular() && mayMatter(e.Name()) && !isYAML(e.Name()):
			if p, ok := t.known(dir, e, again); ok {
				places = append(places, p)
			}
		case isYAML(e.Name()):
			files = true
		}
	}
	if files {
		p := place{AppDir: AppDir{Name: RootApp, Dir: dir}, flat: true}
		t.gather(&p.AppDir, false)
		if slices.ContainsFunc(places, func(q place) bool { return q.Name == p.Name }) {
			return nil, fmt.Errorf("environment directory %s: the files in it and the folder %s would both be app %s; move the files into a folder of their own", dir, path.Join(dir, p.Name), p.Name)
		}
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int { return strings.Compare(a.Name, b.Name) })
	return places, nil
}

// known is app, unless again knows the folder.
func (t *tree) known(dir string, e fs.DirEntry, again Again) (p place, ok bool) {
	if again == nil || !e.IsDir() {
		return t.app(dir, e)
	}
	p.AppDir, ok = again(e, func() (AppDir, bool) {
		p, ok := t.app(dir, e)
		return p.AppDir, ok
	})
	return p, ok // how it is rendered nobody asks who lists
}

// app reads one folder of an environment. It reports false when nothing in it
// is a manifest; what cannot be read is an app, so that somebody hears of it.
func (t *tree) app(dir string, e fs.DirEntry) (place, bool) {
	p := place{AppDir: AppDir{Name: e.Name(), Dir: path.Join(dir, e.Name())}}
	entries, err := t.list(p.Dir)
	switch {
	case !e.IsDir(), err == nil && isSubmodule(entries):
		p.Odd = []string{p.Dir}
		return p, true
	case err != nil:
		p.Unread = err.Error()
		return p, true
	}
	p.kustomized = kustomization(entries)
	t.gather(&p.AppDir, true)
	return p, p.Unread != "" || len(p.Files)+len(p.Odd) > 0
}

// gather fills in what the app's folder holds. What it finds wrong is a Problem
// of the app once it is rendered.
func (t *tree) gather(a *AppDir, deep bool) {
	h, err := t.walk(a.Dir, deep, 0)
	if err != nil {
		a.Unread = err.Error()
	}
	a.Files, a.Odd = h.files, h.odd
}

// kustomization returns the name of a folder's kustomization file, or "".
func kustomization(entries []fs.DirEntry) string {
	for _, e := range entries {
		if slices.Contains(kustomizationNames, e.Name()) && !e.IsDir() {
			return e.Name()
		}
	}
	return ""
}
