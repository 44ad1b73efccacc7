package migrate

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// builtOn are the folders whose kustomizations take a folder, or what is in it, from
// elsewhere.
func (c *collector) builtOn(dir string) []string {
	var users []string
	for _, f := range c.files {
		switch path.Base(f.Path) {
		case "kustomization.yaml", "kustomization.yml", "Kustomization":
		default:
			continue
		}
		at := path.Dir(f.Path)
		if within(at, dir) || slices.Contains(users, at) {
			continue
		}
		for _, to := range taken(f.Data) {
			if to = path.Join(at, to); within(to, dir) && !within(to, at) {
				users = append(users, at)
				break
			}
		}
	}
	slices.Sort(users)
	return users
}

// taken are the paths that a kustomization names; none when it cannot be read.
func taken(data []byte) []string {
	var root yaml.Node
	if decode(data, &root) != nil || len(root.Content) != 1 {
		return nil
	}
	o := &object{root: target(root.Content[0]), read: map[*yaml.Node]bool{}}
	if o.root == nil {
		return nil
	}
	var out []string
	for _, key := range []string{"resources", "bases", "components"} {
		for _, to := range o.field(key).texts() {
			if !strings.Contains(to, "://") {
				out = append(out, to)
			}
		}
	}
	return out
}
