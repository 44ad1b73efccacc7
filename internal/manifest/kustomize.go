package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomize renders an app of kustomize. Everything its builder may do beside
// reading the tree is refused before it sees the kustomization, because it
// fetches URLs and runs git whatever its options say.
func (r *Renderer) kustomize(t *tree, d place) ([]Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if t.schema {
			openapi.ResetOpenAPI() // a schema of one app must not reach the next
		}
	}()
	if err := t.nested(d.Dir, 0); err != nil {
		return nil, err
	}
	options := krusty.MakeDefaultOptions() // plugins off, files only at or below their kustomization
	built, err := krusty.MakeKustomizer(options).Run(view{t}, virtual(d.Dir))
	if t.refused != nil {
		return nil, fmt.Errorf("%s: %w", d.Dir, t.refused)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: kustomize: %s", d.Dir, t.redact(err.Error()))
	}
	if built.Size() > r.limits.Objects {
		return nil, tooMany(d.Dir, r.limits.Objects)
	}
	var all []Object
	for i, res := range built.Resources() {
		from := origin{source: d.Dir, at: fmt.Sprintf("%s: object %d", d.Dir, i+1)}
		raw, err := res.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("%s: %s", from.at, t.redact(err.Error()))
		}
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return nil, fmt.Errorf("%s: %s", from.at, t.redact(err.Error()))
		}
		found, err := objects(value, from)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// nested walks the kustomizations from dir downwards, so that their depth is
// bounded before the builder recurses.
func (t *tree) nested(dir string, depth int) error {
	if depth > t.limits.Depth {
		return fmt.Errorf("%s: bases are nested deeper than %d", dir, t.limits.Depth)
	}
	for _, name := range kustomizationNames {
		k, err := t.kustomizationAt(path.Join(dir, name))
		if err != nil {
			return err
		}
		if k == nil {
			continue
		}
		for _, p := range append(k.Resources, k.Components...) {
			at := path.Join(dir, p)
			if what, err := t.look(at); err != nil {
				return fmt.Errorf("%s: %w", path.Join(dir, name), err)
			} else if what != folder || within(dir, at) {
				continue // a file, nothing at all, or a cycle that the builder names
			}
			if err := t.nested(at, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// within reports whether dir is at or below outer.
func within(dir, outer string) bool {
	return outer == "." || dir == outer || strings.HasPrefix(dir, outer+"/")
}

// kustomizationAt reads and screens a kustomization file. It returns nil when
// there is none, or none that the builder would understand.
func (t *tree) kustomizationAt(name string) (*types.Kustomization, error) {
	if what, err := t.look(name); err != nil || what != file {
		return nil, err
	}
	data, err := t.read(name)
	if err != nil {
		return nil, err
	}
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		return nil, nil //nolint:nilerr // the builder reads it the same way, fails the same way and says why
	}
	k.FixKustomization()
	if err := screen(&k, path.Dir(name)); err != nil {
		return nil, t.refuse(fmt.Errorf("%s: %w", name, err))
	}
	t.schema = t.schema || len(k.OpenAPI) > 0
	return &k, nil
}

// screen refuses what would run a program, use the network or leave the tree.
// It sees the kustomization as the builder does, decoded by the same code.
func screen(k *types.Kustomization, dir string) error {
	for _, refused := range []struct {
		used  bool
		field string
		hint  string
	}{
		{len(k.Generators) > 0, "generators", "plugins are not run; use configMapGenerator and secretGenerator"},
		{len(k.Transformers) > 0, "transformers", "plugins are not run; use the fields of the kustomization itself"},
		{len(k.Validators) > 0, "validators", "plugins are not run"},
		{len(k.HelmCharts) > 0 || k.HelmGlobals != nil || len(k.HelmChartInflationGenerator) > 0, "helmCharts", "Helm is not run; commit what the chart renders to"},
	} {
		if refused.used {
			return fmt.Errorf("%s: %s", refused.field, refused.hint)
		}
	}
	for _, p := range paths(k) {
		if err := local(dir, p.path); err != nil {
			return fmt.Errorf("%s: %w", p.field, err)
		}
	}
	return nil
}

// reference is a path in a kustomization, with the field it stands in.
type reference struct{ field, path string }

// paths lists every path that the builder may load.
func paths(k *types.Kustomization) []reference {
	var all []reference
	add := func(field string, list ...string) {
		for _, p := range list {
			all = append(all, reference{field, p})
		}
	}
	add("resources", k.Resources...)
	add("components", k.Components...)
	add("crds", k.Crds...)
	add("configurations", k.Configurations...)
	add("openapi", k.OpenAPI["path"])
	for _, p := range k.Patches {
		add("patches", p.Path)
	}
	//lint:ignore SA1019 the builder still loads it
	for _, p := range k.PatchesJson6902 { //nolint:staticcheck // deprecated, but the builder still loads it
		add("patchesJson6902", p.Path)
	}
	//lint:ignore SA1019 the builder still loads it
	for _, p := range k.PatchesStrategicMerge { //nolint:staticcheck // deprecated, but the builder still loads it
		if !strings.Contains(string(p), "\n") && !strings.HasPrefix(string(p), "{") { // else it is the patch itself, and no URL
			add("patchesStrategicMerge", string(p))
		}
	}
	for _, p := range k.Replacements {
		add("replacements", p.Path)
	}
	for _, g := range k.ConfigMapGenerator {
		add("configMapGenerator", sources(g.KvPairSources)...)
	}
	for _, g := range k.SecretGenerator {
		add("secretGenerator", sources(g.KvPairSources)...)
	}
	return all
}

// sources lists the files of a generator, without the keys before "=".
func sources(s types.KvPairSources) []string {
	list := append([]string(nil), s.EnvSources...)
	for _, f := range s.FileSources {
		if _, p, ok := strings.Cut(f, "="); ok {
			f = p
		}
		list = append(list, f)
	}
	return list
}

var (
	// remote matches all that the builder's loader takes for a URL or for a Git
	// repository: a scheme, an scp-like user, GitHub's host, go-getter's prefix.
	remote = regexp.MustCompile(`(?i)^\s*([a-z][a-z0-9+.-]*:|[a-z][a-z0-9-]*@|github\.com[/:])|://|::`)
	// userinfo and query are where URLs carry credentials.
	userinfo = regexp.MustCompile(`//[^/@]*@`)
	query    = regexp.MustCompile(`\?.*`)
)

// local refuses a path that is remote, absolute or outside of the tree.
func local(dir, p string) error {
	if !isPath(p) && (remote.MatchString(p) || path.IsAbs(p) || !fs.ValidPath(path.Join(dir, p))) {
		return errors.New("an entry is no path inside the repository; details are withheld, as it may be a patch of a Secret")
	}
	switch {
	case remote.MatchString(p):
		shown := query.ReplaceAllString(userinfo.ReplaceAllString(p, "//"), "")
		return fmt.Errorf("%q is remote; copy it into the repository and name it by path", shown)
	case path.IsAbs(p):
		return fmt.Errorf("%q is absolute; write it relative to the kustomization", p)
	case !fs.ValidPath(path.Join(dir, p)):
		return fmt.Errorf("%q leaves the repository", p)
	}
	return nil
}
