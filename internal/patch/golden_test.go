package patch

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"towpath.dev/towpath/internal/image"
)

var update = flag.Bool("update", false, "write what the tests got into their golden files")

// form is how an input's bytes differ from what a txtar file can hold.
func form(data []byte, forms []string) []byte {
	for _, f := range forms {
		switch f {
		case "crlf":
			data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
		case "bom":
			data = append([]byte(byteOrderMark), data...)
		case "nofinal":
			data = bytes.TrimRight(data, "\r\n")
		case "latin1":
			data = bytes.ReplaceAll(data, []byte("ü"), []byte{0xFC})
		case "huge":
			data = append(data, bytes.Repeat([]byte("# filler\n"), MaxFileSize/9)...)
		default:
			panic("unknown form " + f)
		}
	}
	return data
}

// story is one txtar file: sets and forms in its comment, inputs below in/,
// what becomes of them below out/, and the report.
type story struct {
	archive *txtar.Archive
	sets    []Set
	files   []File
	forms   map[string][]string
	out     map[string][]byte
	report  string
}

func readStory(t testing.TB, name string) story {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := story{archive: a, forms: map[string][]string{}, out: map[string][]byte{}}
	for line := range strings.Lines(string(a.Comment)) {
		words := strings.Fields(line)
		switch {
		case len(words) > 1 && words[0] == "set":
			policy, ref, _ := strings.Cut(words[1], "=")
			r, err := image.ParseRef(ref)
			if err != nil {
				t.Fatal(err)
			}
			s.sets = append(s.sets, Set{Policy: policy, Ref: r})
		case len(words) > 1 && words[0] == "form":
			s.forms[words[1]] = words[2:]
		}
	}
	for _, f := range a.Files {
		kind, path, _ := strings.Cut(f.Name, "/")
		switch kind {
		case "in":
			s.files = append(s.files, File{Path: path, Data: form(f.Data, s.forms[path])})
		case "out":
			s.out[path] = form(f.Data, s.forms[path])
		case "report":
			s.report = string(f.Data)
		}
	}
	return s
}

func report(r Result) string {
	var b strings.Builder
	for _, e := range r.Edits {
		fmt.Fprintf(&b, "%s:%d %s %s: %s -> %s\n", e.Path, e.Line, e.Policy, e.Part, e.Old, e.New)
	}
	for _, k := range r.Skipped {
		fmt.Fprintf(&b, "skipped %s:%d %s: %s\n", k.Path, k.Line, k.Policy, k.Reason)
	}
	return b.String()
}

func TestApplyChangesTheMarkedValueAndNothingElse(t *testing.T) {
	names, err := filepath.Glob("testdata/apply/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no golden files", err)
	}
	inputs := 0
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			s := readStory(t, name)
			inputs += len(s.files)
			r := Apply(s.files, s.sets)
			if *update {
				writeStory(t, name, s, r)
				s = readStory(t, name)
			}
			if got := report(r); got != s.report {
				t.Errorf("report:\n%s\nwant:\n%s", got, s.report)
			}
			changed := map[string][]byte{}
			for _, f := range r.Files {
				changed[f.Path] = f.Data
			}
			for _, f := range s.files {
				got, want := changed[f.Path], s.out[f.Path]
				if !bytes.Equal(got, want) {
					t.Errorf("%s became:\n%q\nwant:\n%q", f.Path, got, want)
				}
				if got != nil {
					sameLines(t, f, got, r.Edits)
				}
			}
			again := Apply(merged(s.files, changed), s.sets)
			if len(again.Edits) > 0 || len(again.Files) > 0 {
				t.Errorf("a second time changed again: %v", again.Edits)
			}
		})
	}
	if inputs < 40 {
		t.Errorf("%d inputs; the set is meant to hold at least 40", inputs)
	}
}

func merged(files []File, changed map[string][]byte) []File {
	var out []File
	for _, f := range files {
		if data, ok := changed[f.Path]; ok {
			f.Data = data
		}
		out = append(out, f)
	}
	return out
}

// sameLines asserts that exactly the edited lines differ.
func sameLines(t testing.TB, f File, got []byte, edits []Edit) {
	t.Helper()
	edited := map[int]bool{}
	for _, e := range edits {
		if e.Path == f.Path {
			edited[e.Line] = true
		}
	}
	before, after := bytes.SplitAfter(f.Data, []byte{'\n'}), bytes.SplitAfter(got, []byte{'\n'})
	if len(before) != len(after) {
		t.Fatalf("%s: %d lines became %d", f.Path, len(before), len(after))
	}
	for i := range before {
		if bytes.Equal(before[i], after[i]) == edited[i+1] {
			t.Errorf("%s:%d: edited %v, but %q became %q", f.Path, i+1, edited[i+1], before[i], after[i])
		}
	}
}

func writeStory(t testing.TB, name string, s story, r Result) {
	t.Helper()
	a := &txtar.Archive{Comment: s.archive.Comment}
	for _, f := range s.archive.Files {
		if !strings.HasPrefix(f.Name, "in/") {
			continue
		}
		a.Files = append(a.Files, f)
		path := strings.TrimPrefix(f.Name, "in/")
		for _, c := range r.Files {
			if c.Path == path {
				data := bytes.TrimPrefix(c.Data, []byte(byteOrderMark))
				data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
				a.Files = append(a.Files, txtar.File{Name: "out/" + path, Data: data})
			}
		}
	}
	a.Files = append(a.Files, txtar.File{Name: "report", Data: []byte(report(r))})
	if err := os.WriteFile(name, txtar.Format(a), 0o666); err != nil {
		t.Fatal(err)
	}
}
