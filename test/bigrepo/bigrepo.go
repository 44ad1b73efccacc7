// Package bigrepo makes large config repositories with `git fast-import`, the same
// every time, for tests and benchmarks. It needs the git program, and must not
// know what reads them.
package bigrepo

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Layout of the files: ten to an application, forty applications to a team.
const (
	filesPerApp  = 10
	appsPerTeam  = 40
	firstSeconds = 1_700_000_000 // time of the first commit
	secondsApart = 60            // between two commits
)

// Shape says how large. Zero values mean one file, one commit and no further branch.
type Shape struct {
	Files   int
	Commits int // of main; the first makes all files, each later one changes one
	// Branches are heads besides main, people/0000 and so on, each one commit on
	// top of a commit of main.
	Branches int
	// Text is the content of a file at its n-th change; nil is a small Deployment
	// without marker.
	Text func(file, n int) string
	// Name is where a file lies; nil is Path.
	Name func(file int) string
	// Also are further files of the first commit, by path, which no commit changes.
	Also map[string]string
}

// Path is where file number i lies.
func Path(i int) string {
	app := i / filesPerApp
	return fmt.Sprintf("env/team-%03d/app-%02d/f%d.yaml", app/appsPerTeam, app%appsPerTeam, i%filesPerApp)
}

// Branch is the name of further branch number i.
func Branch(i int) string { return fmt.Sprintf("people/%04d", i) }

// text is what Shape.Text nil means.
func text(file, n int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%d
  labels: {team: team-%d}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: web
          image: registry.example.com/team-%d/app-%d:1.0.%d
          ports: [{containerPort: 8080}]
`, file, file/filesPerApp/appsPerTeam, file/filesPerApp/appsPerTeam, file, n)
}

// Make creates the bare repository dir, packed as a server keeps it, with HEAD main.
func Make(ctx context.Context, dir string, s Shape) error {
	if s.Text == nil {
		s.Text = text
	}
	if s.Name == nil {
		s.Name = Path
	}
	if err := git(ctx, "", nil, "init", "--quiet", "--bare", "--initial-branch=main", dir); err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(s.write(w)) }()
	err := git(ctx, dir, r, "fast-import", "--quiet", "--depth=10")
	_ = r.Close() // ends the writer when git ended first
	if err != nil {
		return err
	}
	return git(ctx, dir, nil, "config", "receive.autogc", "false")
}

// git runs the program with nothing of the user's configuration.
func git(ctx context.Context, dir string, stdin io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make %s: git %s: %w: %s", filepath.Base(dir), args[0], err, said.Bytes())
	}
	return nil
}

// write is fast-import's input. A step that shares no divisor with the number of
// files changes them in an order that looks random and meets each.
func (s Shape) write(w io.Writer) error {
	files, commits := max(s.Files, 1), max(s.Commits, 1)
	b := bufio.NewWriterSize(w, 1<<20)
	head := func(ref string, n int, message string) {
		fmt.Fprintf(b, "commit refs/heads/%s\ncommitter Ada <ada@example.com> %d +0000\ndata %d\n%s\n",
			ref, firstSeconds+n*secondsApart, len(message), message)
	}
	file := func(i, n int) {
		t := s.Text(i, n)
		fmt.Fprintf(b, "M 100644 inline %s\ndata %d\n%s\n", s.Name(i), len(t), t)
	}
	every := max(commits/max(s.Branches, 1), 1)
	made := 0
	for c := range commits {
		if c == 0 {
			head("main", 0, "first")
			for i := range files {
				file(i, 0)
			}
			for _, name := range slices.Sorted(maps.Keys(s.Also)) {
				fmt.Fprintf(b, "M 100644 inline %s\ndata %d\n%s\n", name, len(s.Also[name]), s.Also[name])
			}
		} else {
			head("main", c, fmt.Sprintf("change %d", c))
			file(c*7919%files, c)
		}
		for ; made < s.Branches && (c+1 == commits || (c+1)%every == 0 && made < (c+1)/every); made++ {
			head(Branch(made), c, "people's "+Branch(made))
			fmt.Fprint(b, "from refs/heads/main\n")
			file(made%files, commits+made)
		}
	}
	return b.Flush()
}
