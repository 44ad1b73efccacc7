package migrate

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/patch"
)

// TestEveryFieldIsCarriedOverNotedOrListedInTheGuide takes away one field after the
// other from objects that have them all, and renames it. Without it something else must
// be written or noted, unless the guide lists it; under a name that nobody knows it must
// be noted.
func TestEveryFieldIsCarriedOverNotedOrListedInTheGuide(t *testing.T) {
	for _, test := range []struct {
		file, guide string
		run         func([]patch.File, string) Result
		least       int
	}{
		{"testdata/fields-flux.yaml", "migrate-from-flux.md", Flux, 80},
		{"testdata/fields-argocd.yaml", "migrate-from-argocd-image-updater.md", ImageUpdater, 80},
	} {
		listed := listedFields(t, "../../docs/guides/"+test.guide)
		data, err := os.ReadFile(test.file)
		if err != nil {
			t.Fatal(err)
		}
		docs := decodeAll(t, data)
		whole := outcome(test.run, docs)
		matters := map[string]bool{}
		total := 0
		for _, doc := range docs {
			o := newObjects("x", 0, doc.Content[0], 0)[0]
			if o.group() != fluxImages && o.group() != updater && o.name != "annotated" {
				continue // only told where branches and folders are
			}
			eachField(doc.Content[0], o.kind, func(name string, m *yaml.Node, i int) {
				if o.kind == "Application" && !strings.Contains(name, ".annotations.") {
					return // Argo CD's own
				}
				total++
				if strings.HasSuffix(name, ".apiVersion") && strings.Count(name, ".") == 1 || strings.HasSuffix(name, ".kind") && strings.Count(name, ".") == 1 {
					matters[name] = true
					return
				}
				key, value := m.Content[i], m.Content[i+1]
				m.Content = slices.Delete(slices.Clone(m.Content), i, i+2)
				if outcome(test.run, docs) != whole {
					matters[name] = true
				} else if _, ok := matters[name]; !ok {
					matters[name] = false
				}
				renamed := *key
				renamed.Value += "Unknown"
				m.Content = slices.Insert(m.Content, i, &renamed, value)
				told := outcome(test.run, docs)
				if !strings.Contains(told, renamed.Value) && !isFree(name) {
					t.Errorf("%s: %s becomes %s, and nobody says that it is unknown", test.file, name, renamed.Value)
				}
				m.Content[i] = key
			})
		}
		if total < test.least {
			t.Errorf("%s: only %d fields", test.file, total)
		}
		for name, ok := range matters {
			if !ok && !isWhole(name) && !slices.ContainsFunc(listed, func(l string) bool {
				return name == l || strings.HasSuffix(name, "/"+l) || strings.HasSuffix(name, "."+l)
			}) {
				t.Errorf("%s: %s makes no difference, and %s does not list it", test.file, name, test.guide)
			}
		}
	}
}

// isFree tells whether any name is good in a field's place.
func isFree(name string) bool {
	return regexp.MustCompile(`\.metadata|matchLabels|merge_request\.|sourceRef\.apiVersion|\.kustomize\.`).MatchString(name) || isWhole(name)
}

// isWhole tells whether a field is below one that is spoken of as a whole.
func isWhole(name string) bool {
	return regexp.MustCompile(`\.(status|accessFrom|signingKey|messageTemplateValues|pullRequest|certSecretRef|proxySecretRef)\..`).MatchString(name)
}

// listedFields are the code words of the guide's last table's first column.
func listedFields(t *testing.T, guide string) []string {
	t.Helper()
	data, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(data), "\n## What means nothing here\n")
	if !ok {
		t.Fatalf("%s has no table of what means nothing here", guide)
	}
	var out []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				out = append(out, m[1])
			}
		}
		if strings.HasPrefix(line, "## ") {
			break
		}
	}
	return out
}

func decodeAll(t *testing.T, data []byte) []*yaml.Node {
	t.Helper()
	var out []*yaml.Node
	for _, d := range documents(data) {
		var n yaml.Node
		if err := yaml.Unmarshal(d.data, &n); err != nil {
			t.Fatal(err)
		}
		out = append(out, &n)
	}
	return out
}

// outcome is everything that comes of objects, without line numbers.
func outcome(run func([]patch.File, string) Result, docs []*yaml.Node) string {
	var b bytes.Buffer
	for _, d := range docs {
		text, _ := yaml.Marshal(d)
		fmt.Fprintf(&b, "---\n%s", text)
	}
	files := []patch.File{{Path: "flux/all.yaml", Data: b.Bytes()}}
	for _, p := range []string{"envs/dev/web/x.yaml", "envs/test/web/x.yaml", "envs/staging/web/x.yaml", "envs/prod/web/x.yaml", "envs/back/x.yaml", "envs/none/x.yaml", "envs/extra/x.yaml"} {
		files = append(files, patch.File{Path: p, Data: []byte("a: b\n")})
	}
	r := run(files, "")
	var out strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&out, "%s\n%s", f.Path, f.Data)
	}
	var notes []string
	for _, n := range r.Notes {
		notes = append(notes, n.Object+": "+n.Text)
	}
	slices.Sort(notes)
	return out.String() + strings.Join(notes, "\n")
}

// eachField calls f for every key of every mapping, with its path without indices.
func eachField(n *yaml.Node, path string, f func(name string, m *yaml.Node, i int)) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			eachField(item, path, f)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := path + "." + n.Content[i].Value
			f(name, n, i)
			eachField(n.Content[i+1], name, f)
		}
	}
}
