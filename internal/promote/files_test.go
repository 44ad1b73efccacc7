package promote

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"towpath.dev/towpath/internal/patch"
)

func TestFilesReadsWhatMayHoldMarkersAndNamesWhatItCannot(t *testing.T) {
	dir := t.TempDir()
	write := func(p, text string) {
		t.Helper()
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, p string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, p)); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"a.yaml", "B.YML", "c/Kustomization", "c/d.yml", ".hidden/e.yaml", "f.json", "README.md", ".git/g.yaml", "c/.git/h.yaml"} {
		write(p, "a: 1\n")
	}
	write("module/.git", "gitdir: ../.git/modules/module\n")
	write("module/x.yaml", "a: 1\n")
	write("binary.yaml", "a\x00b")
	write("lfs.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:x\n")
	write("latin1.yaml", "a: \xe4\n")
	write("edge.yaml", strings.Repeat("#", patch.MaxFileSize))
	write("large.yaml", strings.Repeat("#", patch.MaxFileSize+1))
	link("a.yaml", "inside.yaml")
	link("inside.yaml", "twice.yaml")
	link("/etc/passwd", "absolute.yaml")
	link("../../etc/passwd", "above.yaml")
	link("nowhere", "dangling.yaml")
	link("c", "folder")
	link("loop.yaml", "loop.yaml")
	link("nowhere.md", "text.md")
	link("README.md", "LICENSE")
	for _, p := range []string{"pipe.yaml", "pipe"} {
		if err := syscall.Mkfifo(filepath.Join(dir, p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	files, skipped, err := Files(root.FS(), ".json")
	if err != nil {
		t.Fatal(err)
	}
	var read, left []string
	for _, f := range files {
		read = append(read, f.Path)
	}
	for _, k := range skipped {
		left = append(left, k.Path+": "+string(k.Verdict))
		if k.Reason == "" || k.Hint == "" || k.Line != 0 {
			t.Errorf("%+v says too little, or a line", k)
		}
	}
	if want := []string{".hidden/e.yaml", "B.YML", "a.yaml", "c/Kustomization", "c/d.yml", "edge.yaml", "f.json"}; !slices.Equal(read, want) {
		t.Errorf("read %q\nwant %q", read, want)
	}
	want := []string{"above.yaml: link", "absolute.yaml: link", "binary.yaml: binary", "dangling.yaml: link", "folder: link", "large.yaml: too large",
		"latin1.yaml: not UTF-8", "lfs.yaml: LFS pointer", "loop.yaml: link", "module: submodule", "pipe.yaml: not read"}
	if !slices.Equal(left, want) {
		t.Errorf("left %q\nwant %q", left, want)
	}
	if _, _, err := Files(os.DirFS(filepath.Join(dir, "absent"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// moving is a file system in which a file is no longer what it was when it was
// looked at.
type moving struct {
	fstest.MapFS
	open map[string]func() (fs.File, error)
}

func (m moving) Open(name string) (fs.File, error) {
	if f := m.open[name]; f != nil {
		return f()
	}
	return m.MapFS.Open(name)
}

// endless is a file that never ends; it counts what is read.
type endless struct {
	fs.File
	read *int
}

func (e endless) Read(p []byte) (int, error) {
	*e.read += len(p)
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

// cutOff is a file that cannot be read to its end.
type cutOff struct{ fs.File }

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestFilesThatMoveWhileTheyAreRead(t *testing.T) {
	m := moving{fstest.MapFS{}, map[string]func() (fs.File, error){}}
	for _, p := range []string{"fails.yaml", "gone.yaml", "grows.yaml", "ok.yaml", "shrinks.yaml"} {
		m.MapFS[p] = &fstest.MapFile{Data: []byte("a: 1\n")}
	}
	read := 0
	other := func(p string) fs.File {
		f, err := fstest.MapFS{p: {Data: []byte("a")}}.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	m.open["gone.yaml"] = func() (fs.File, error) { return nil, &fs.PathError{Op: "open", Path: "gone.yaml", Err: fs.ErrNotExist} }
	m.open["grows.yaml"] = func() (fs.File, error) { return endless{other("grows.yaml"), &read}, nil }
	m.open["shrinks.yaml"] = func() (fs.File, error) { return other("shrinks.yaml"), nil }
	m.open["fails.yaml"] = func() (fs.File, error) { return cutOff{other("fails.yaml")}, nil }
	files, skipped, err := Files(m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Path+"="+string(f.Data))
	}
	for _, k := range skipped {
		got = append(got, k.String())
	}
	want := []string{"ok.yaml=a: 1\n", "shrinks.yaml=a",
		"fails.yaml: it cannot be read: unexpected EOF; make it readable, or take it away",
		"gone.yaml: it cannot be read: file does not exist; make it readable, or take it away",
		"grows.yaml: the file is larger than 4 MiB; split it, or move the marked values into a file of their own"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if read > patch.MaxFileSize+patch.MaxFileSize/2 {
		t.Errorf("%d bytes are read of a file without end", read)
	}
}
