package patch

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/test/fixtures"
)

var update = flag.Bool("update", false, "write what the tests got into their golden files")

// story is a golden story with its sets and files as this package has them.
type story struct {
	fixtures.Story
	sets  []Set
	files []File
}

// stories returns the golden stories by the names of their files.
func stories(t testing.TB) map[string]story {
	t.Helper()
	read, err := fixtures.ReadAll("testdata/apply")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]story{}
	for _, r := range read {
		s := story{Story: r}
		for _, text := range r.Sets {
			policy, wanted, _ := strings.Cut(text, "=")
			s.sets = append(s.sets, Set{Policy: policy, Ref: ref(t, wanted)})
		}
		for _, f := range r.Files {
			s.files = append(s.files, File(f))
		}
		all[strings.TrimSuffix(filepath.Base(r.Name), ".txtar")] = s
	}
	return all
}

// told is all that Apply said, one line each, with its verdict.
func (s story) told(r Result) string {
	var b strings.Builder
	for _, e := range r.Edits {
		fmt.Fprintf(&b, "[%s] %s:%d %s %s: %s -> %s\n", Applied, e.Path, e.Line, e.Policy, e.Part, e.Old, e.New)
	}
	for _, m := range r.UpToDate {
		fmt.Fprintf(&b, "[%s] %s:%d %s %s: %s\n", UpToDate, m.Path, m.Line, m.Policy, m.Part, m.Value)
	}
	skipped := slices.Concat(r.Skipped, s.unread(r))
	if s.Values {
		var markers []Marker
		for _, f := range s.files {
			m, _ := Markers(f)
			markers = append(markers, m...)
		}
		_, bad := Values(markers)
		skipped = append(skipped, bad...)
	}
	for _, k := range skipped {
		fmt.Fprintf(&b, "[%s] %s: %s\n", k.Verdict, k.Policy, k)
	}
	return b.String()
}

// unread are the files of which CheckFile says that nothing in them can be read,
// when Apply did not meet a marker in their bytes and so said nothing.
func (s story) unread(r Result) []Skipped {
	var out []Skipped
	for _, f := range s.files {
		k := CheckFile(f)
		if k != nil && !slices.ContainsFunc(r.Skipped, func(o Skipped) bool { return o.Path == f.Path }) {
			out = append(out, *k)
		}
	}
	return out
}

// visible shows the bytes at the ends of a line that no one sees.
func visible(line []byte) string {
	text := strings.ReplaceAll(strings.TrimPrefix(string(line), byteOrderMark), "\t", "␉")
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\r", "␍")
	end := len(strings.TrimRight(text, " ␍"))
	return text[:end] + strings.ReplaceAll(text[end:], " ", "␠")
}

// lineDiff compares two files line by line, knowing nothing of YAML or of the
// edits: the numbers of the lines that differ, and those lines for a reader.
func lineDiff(t testing.TB, before, after File) (lines []int, shown string) {
	t.Helper()
	a, b := bytes.SplitAfter(before.Data, []byte{'\n'}), bytes.SplitAfter(after.Data, []byte{'\n'})
	if len(a) != len(b) {
		t.Fatalf("%s: %d lines became %d", before.Path, len(a), len(b))
	}
	var text strings.Builder
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			lines = append(lines, i+1)
			fmt.Fprintf(&text, "%s:%d\n-%s\n+%s\n", before.Path, i+1, visible(a[i]), visible(b[i]))
		}
	}
	return lines, text.String()
}

func TestApplyChangesTheMarkedValueAndNothingElse(t *testing.T) {
	for name, s := range stories(t) {
		t.Run(name, func(t *testing.T) {
			before := make([][]byte, len(s.files))
			for i, f := range s.files {
				before[i] = bytes.Clone(f.Data)
			}
			r := Apply(s.files, s.sets)
			changed := map[string]File{}
			for _, f := range r.Files {
				changed[f.Path] = f
			}
			var shown strings.Builder
			for i, f := range s.files {
				if !bytes.Equal(f.Data, before[i]) {
					t.Errorf("%s: the input was changed", f.Path)
				}
				lines, text := []int(nil), ""
				if after, ok := changed[f.Path]; ok {
					lines, text = lineDiff(t, f, after)
					onlyValues(t, f, after, r.Edits)
				}
				shown.WriteString(text)
				editedLines(t, f, lines, r.Edits)
				oneVerdictEach(t, f, s.sets, r)
			}
			if *update {
				writeStory(t, s, shown.String(), s.told(r))
				s = stories(t)[name]
			}
			if d := cmp.Diff(s.Changed, shown.String()); d != "" {
				t.Errorf("changed (-want +got):\n%s", d)
			}
			if d := cmp.Diff(s.Report, s.told(r)); d != "" {
				t.Errorf("report (-want +got):\n%s", d)
			}
			again := Apply(merged(s.files, changed), s.sets)
			if len(again.Edits) > 0 || len(again.Files) > 0 {
				t.Errorf("a second time changed again: %v", again.Edits)
			}
			if got, want := len(again.UpToDate), len(r.UpToDate)+len(r.Edits); got != want {
				t.Errorf("a second time %d markers are up to date, want %d", got, want)
			}
		})
	}
}

func merged(files []File, changed map[string]File) []File {
	var out []File
	for _, f := range files {
		if after, ok := changed[f.Path]; ok {
			f = after
		}
		out = append(out, f)
	}
	return out
}

// editedLines asserts that the lines which differ are those of the edits.
func editedLines(t testing.TB, f File, lines []int, edits []Edit) {
	t.Helper()
	var want []int
	for _, e := range edits {
		if e.Path == f.Path && (len(want) == 0 || want[len(want)-1] != e.Line) {
			want = append(want, e.Line)
		}
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("%s: the lines %v differ, and %v are edited", f.Path, lines, want)
	}
}

// anyBreak is what YAML 1.1 takes for the end of a line.
var anyBreak = regexp.MustCompile("\r\n|[\n\r\u0085\u2028\u2029]")

// onlyValues asserts that each line of YAML that differs does so for one edit,
// and that within it only the value differs: what is left between the common
// beginning and the common end is text of the old value and of the new one, with
// or without quotes.
func onlyValues(t testing.TB, before, after File, edits []Edit) {
	t.Helper()
	if a, b := anyBreak.FindAll(before.Data, -1), anyBreak.FindAll(after.Data, -1); !slices.EqualFunc(a, b, bytes.Equal) {
		t.Fatalf("%s: the line breaks %q became %q", before.Path, a, b)
	}
	a, b := anyBreak.Split(string(before.Data), -1), anyBreak.Split(string(after.Data), -1)
	edits = slices.DeleteFunc(slices.Clone(edits), func(e Edit) bool { return e.Path != before.Path })
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		if len(edits) == 0 {
			t.Fatalf("%s: %q became %q, which is no edit", before.Path, a[i], b[i])
		}
		onlyValue(t, a[i], b[i], edits[0])
		edits = edits[1:]
	}
	if len(edits) > 0 {
		t.Errorf("%s: no line differs for %v", before.Path, edits)
	}
}

func onlyValue(t testing.TB, was, is string, e Edit) {
	t.Helper()
	head := 0
	for head < min(len(was), len(is)) && was[head] == is[head] {
		head++
	}
	tail := 0
	for tail < min(len(was), len(is))-head && was[len(was)-1-tail] == is[len(is)-1-tail] {
		tail++
	}
	gone, come := was[head:len(was)-tail], is[head:len(is)-tail]
	if !strings.Contains(`"`+e.New+`"'`+e.New+`'`, come) {
		t.Errorf("%s:%d: %q came, which is not of the value %q", e.Path, e.Line, come, e.New)
	}
	if strings.Contains(`"`+e.Old+`"'`+e.Old+`'`, gone) {
		return
	}
	if strings.Contains(gone, `\`) { // escapes: take all between the double quotes, and read it
		from, to := strings.LastIndexByte(was[:head+1], '"'), head+len(gone)+strings.IndexByte(was[head+len(gone):], '"')
		var value string
		if err := yaml.Unmarshal([]byte(was[max(from, 0):to+1]), &value); err == nil && value == e.Old {
			return
		}
	}
	if strings.ContainsAny(gone, " \t#,{}[]") {
		t.Errorf("%s:%d: %q went, which is not of the value %q", e.Path, e.Line, gone, e.Old)
	}
}

// oneVerdictEach asserts that every marker of the wanted policies that Markers
// finds, usable or not, is an edit, up to date or skipped: one of them, once.
func oneVerdictEach(t testing.TB, f File, sets []Set, r Result) {
	t.Helper()
	wanted, named := map[string]bool{"": true}, false
	for _, s := range sets {
		wanted[s.Policy] = true
		named = named || bytes.Contains(f.Data, []byte(s.Policy))
	}
	if !named {
		return // no marker of these sets, so Apply does not even read it
	}
	found, judged := map[int]int{}, map[int]int{}
	markers, skipped := Markers(f)
	for _, m := range markers {
		if wanted[m.Policy] {
			found[m.Line]++
		}
	}
	for _, k := range skipped {
		if wanted[k.Policy] {
			found[k.Line]++
		}
	}
	for _, e := range r.Edits {
		if e.Path == f.Path {
			judged[e.Line]++
		}
	}
	for _, m := range r.UpToDate {
		if m.Path == f.Path {
			judged[m.Line]++
		}
	}
	for _, k := range r.Skipped {
		if k.Path == f.Path {
			judged[k.Line]++
		}
	}
	if fmt.Sprint(found) != fmt.Sprint(judged) {
		t.Errorf("%s: markers per line %v, verdicts per line %v", f.Path, found, judged)
	}
}

func writeStory(t testing.TB, s story, changed, report string) {
	t.Helper()
	a := &txtar.Archive{Comment: s.Archive.Comment}
	for _, f := range s.Archive.Files {
		if strings.HasPrefix(f.Name, "in/") {
			a.Files = append(a.Files, f)
		}
	}
	if changed != "" {
		a.Files = append(a.Files, txtar.File{Name: "changed", Data: []byte(changed)})
	}
	if report != "" {
		a.Files = append(a.Files, txtar.File{Name: "report", Data: []byte(report)})
	}
	if err := os.WriteFile(s.Name, txtar.Format(a), 0o666); err != nil {
		t.Fatal(err)
	}
}
