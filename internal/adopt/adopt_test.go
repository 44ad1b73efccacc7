package adopt

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestWholeRepositoriesAreAdopted keeps, for each repository in testdata, what is
// proposed: the changed lines, the new files, the guesses and what is left.
func TestWholeRepositoriesAreAdopted(t *testing.T) {
	golden, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(golden) < 3 {
		t.Fatalf("%d golden files, %v", len(golden), err)
	}
	for _, name := range golden {
		t.Run(filepath.Base(name), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var files []patch.File
			kept := ar.Files[:0]
			for _, f := range ar.Files {
				p, in := strings.CutPrefix(f.Name, "in/")
				if !in {
					continue
				}
				kept = append(kept, f)
				if strings.HasSuffix(p, ".yaml") {
					files = append(files, patch.File{Path: p, Data: f.Data})
				}
			}
			out := proposeChecked(t, files)
			ar.Files = append(slices.Clip(kept), report(files, out)...)
			got := txtar.Format(ar)
			if *update {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("not as in %s; look, then -update:\n%s", name, d)
			}
		})
	}
}

// report is a proposal as files of a golden file: what is new whole, what changed by
// line.
func report(files []patch.File, p Proposal) []txtar.File {
	var out []txtar.File
	for _, f := range p.Files {
		i := slices.IndexFunc(files, func(o patch.File) bool { return o.Path == f.Path })
		if i < 0 {
			out = append(out, txtar.File{Name: "new/" + f.Path, Data: f.Data})
			continue
		}
		var b bytes.Buffer
		before, after := strings.Split(string(files[i].Data), "\n"), strings.Split(string(f.Data), "\n")
		for j := range before {
			if before[j] != after[j] {
				b.WriteString("- " + before[j] + "\n+ " + after[j] + "\n")
			}
		}
		out = append(out, txtar.File{Name: "changed/" + f.Path, Data: b.Bytes()})
	}
	var left bytes.Buffer
	for _, l := range p.Left {
		left.WriteString(l.String() + "\n")
	}
	return append(out, txtar.File{Name: "left", Data: left.Bytes()})
}

// proposeChecked proposes and holds the proposal to its promises.
func proposeChecked(t *testing.T, files []patch.File) Proposal {
	t.Helper()
	p := Propose(Input{Files: files, Config: load(files), Renders: rendered(files)})
	after := merged(files, p.Files)
	cfg := load(after)
	for _, problem := range cfg.Problems {
		t.Errorf("a proposed policy is wrong: %s", problem)
	}
	again := Propose(Input{Files: after, Config: cfg, Renders: rendered(after)})
	if len(again.Files) > 0 {
		t.Errorf("proposing again changes %s:\n%s", again.Files[0].Path, again.Files[0].Data)
	}
	for _, m := range p.Marks {
		if _, ok := cfg.Policy(m.Policy); !ok {
			t.Errorf("%s:%d names the policy %s, which is not there", m.Path, m.Line, m.Policy)
		}
	}
	return p
}

func merged(files, changed []patch.File) []patch.File {
	out := slices.Clone(files)
	for _, f := range changed {
		if i := slices.IndexFunc(out, func(o patch.File) bool { return o.Path == f.Path }); i >= 0 {
			out[i] = f
		} else {
			out = append(out, f)
		}
	}
	return out
}

func load(files []patch.File) policy.Config {
	var in []policy.File
	for _, f := range files {
		if strings.HasPrefix(f.Path, "policies/") {
			in = append(in, policy.File{Path: f.Path, Data: f.Data})
		}
	}
	return policy.Load(in)
}

// rendered asks the renderer that lint asks.
func rendered(files []patch.File) func(string) string {
	tree := fstest.MapFS{}
	for _, f := range files {
		tree[f.Path] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	r := manifest.NewRenderer(manifest.Limits{})
	return func(dir string) string {
		apps, err := r.Render(fs.FS(tree), dir)
		if err != nil {
			return err.Error()
		}
		for _, a := range apps {
			if a.Problem != nil {
				return a.Problem.Error()
			}
		}
		return ""
	}
}
