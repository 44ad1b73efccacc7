package adopt

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
)

// FuzzAdopt holds proposals for any tree of files, written as a txtar archive, to
// their promises: only comments are put into files that are there, policies and
// pipelines are read without a complaint, values can be written and written back, and
// proposing again changes nothing.
func FuzzAdopt(f *testing.F) {
	golden, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range golden {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		ar := txtar.Parse(data)
		ar.Files = slices.DeleteFunc(ar.Files, func(f txtar.File) bool { return !strings.HasPrefix(f.Name, "in/") })
		for i := range ar.Files {
			ar.Files[i].Name = strings.TrimPrefix(ar.Files[i].Name, "in/")
		}
		f.Add(txtar.Format(ar))
	}
	f.Add([]byte("-- values.yaml --\na: &x {image: {repository: a, tag: 1.0, digest: \"\"}}\nb: *x\nimage: 'a:1'\r\n"))
	f.Add([]byte("-- dev/a.yaml --\napiVersion: v1\nkind: List\nitems: [{kind: Pod, apiVersion: v1, spec: {image: &a \"b:1.2\", x: {image: *a}}}]\n-- prod/a.yaml --\napiVersion: v1\nkind: Pod\nimage: b:2.0 # towpath: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		files := treeOf(data)
		p := Propose(Input{Files: files, Config: load(files)})
		after := merged(files, p.Files)
		cfg, before := load(after), load(files)
		if len(cfg.Problems) > len(before.Problems) {
			t.Errorf("a proposed policy is wrong: %v", cfg.Problems)
		}
		for _, f := range p.Files {
			i := slices.IndexFunc(files, func(o patch.File) bool { return o.Path == f.Path })
			if i >= 0 {
				onlyComments(t, files[i], f)
			}
		}
		if again := Propose(Input{Files: after, Config: cfg}); len(again.Files) > 0 && len(before.Problems) == 0 {
			t.Errorf("proposing again changes %s to\n%s", again.Files[0].Path, again.Files[0].Data)
		}
		writeAndBack(t, p, after)
	})
}

// treeOf reads the YAML files of an archive, the first of a path each.
func treeOf(data []byte) []patch.File {
	var files []patch.File
	for _, f := range txtar.Parse(data).Files {
		p := filepath.ToSlash(filepath.Clean(f.Name))
		if !filepath.IsLocal(p) || p == "." || slices.ContainsFunc(files, func(o patch.File) bool { return o.Path == p }) {
			continue
		}
		files = append(files, patch.File{Path: p, Data: f.Data})
	}
	return files
}

// onlyComments reports anything but comments put in: every line keeps its bytes, in
// order, and the trees are equal.
func onlyComments(t *testing.T, before, after patch.File) {
	a, b := bytes.Split(before.Data, []byte("\n")), bytes.Split(after.Data, []byte("\n"))
	if len(a) != len(b) {
		t.Fatalf("%s had %d lines and has %d", before.Path, len(a), len(b))
	}
	for i := range a {
		rest := b[i]
		for _, c := range a[i] {
			at := bytes.IndexByte(rest, c)
			if at < 0 {
				t.Fatalf("%s:%d: %q became %q", before.Path, i+1, a[i], b[i])
			}
			rest = rest[at+1:]
		}
		if !bytes.Equal(a[i], b[i]) && !bytes.Contains(b[i], []byte("# towpath: ")) {
			t.Fatalf("%s:%d: %q became %q", before.Path, i+1, a[i], b[i])
		}
	}
	x, errX := parse(before.Data)
	y, errY := parse(after.Data)
	if errX != nil || errY != nil || !slices.EqualFunc(x, y, equalTree) {
		t.Fatalf("%s has another tree: %v %v\n%s", before.Path, errX, errY, after.Data)
	}
}

func equalTree(x, y *yaml.Node) bool {
	return x.Kind == y.Kind && x.Tag == y.Tag && x.Value == y.Value && x.Anchor == y.Anchor && x.Style == y.Style &&
		slices.EqualFunc(x.Content, y.Content, equalTree)
}

// writeAndBack writes another tag at every mark and then the old one again.
func writeAndBack(t *testing.T, p Proposal, files []patch.File) {
	type home struct{ env, app, policy string }
	markers := map[home][]patch.Marker{}
	inHome := map[home][]patch.File{}
	for _, m := range p.Marks {
		h := home{m.Environment, m.App, m.Policy}
		i := slices.IndexFunc(files, func(f patch.File) bool { return f.Path == m.Path })
		if !slices.ContainsFunc(inHome[h], func(f patch.File) bool { return f.Path == m.Path }) {
			inHome[h] = append(inHome[h], files[i])
			found, _ := patch.Markers(files[i])
			for _, marker := range found {
				if marker.Policy == m.Policy {
					markers[h] = append(markers[h], marker)
				}
			}
		}
	}
	for h, of := range markers {
		values, bad := patch.Values(of)
		if len(bad) > 0 {
			t.Fatalf("the marks of %s contradict each other: %v", h.policy, bad)
		}
		ref := values[h.policy]
		if ref.Repo == (image.Repo{}) {
			ref.Repo, _ = image.ParseRepo("registry.example/x")
		}
		other := ref
		other.Tag = "towpath-7"
		same := applied(inHome[h], h.policy, ref) // numbers without quotes get them
		away := applied(same, h.policy, other)
		if changed := slices.EqualFunc(same, away, func(x, y patch.File) bool { return bytes.Equal(x.Data, y.Data) }); changed && ref.Tag != other.Tag {
			t.Errorf("%s cannot be written in %s", h.policy, h.app)
		}
		back := applied(away, h.policy, ref)
		for i := range same {
			// What YAML 1.1 reads as a number, such as 1:30, comes back in quotes.
			if !bytes.Equal(same[i].Data, back[i].Data) && !bytes.Equal(unquoted(same[i].Data), unquoted(back[i].Data)) {
				t.Errorf("%s is not as it was:\n%s\nwas\n%s", same[i].Path, back[i].Data, same[i].Data)
			}
		}
	}
}

func applied(files []patch.File, name string, ref image.Ref) []patch.File {
	return merged(files, patch.Apply(files, []patch.Set{{Policy: name, Ref: ref}}).Files)
}

func unquoted(data []byte) []byte { return bytes.ReplaceAll(data, []byte{'"'}, nil) }
