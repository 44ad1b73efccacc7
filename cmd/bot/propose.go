package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/patch"
)

// proposal is what the commands share that propose changes to files of a folder:
// without --write they show them as a diff, with it they write them.
type proposal struct {
	write  bool
	dry    bool // the default, which may be said
	format string
}

func (p *proposal) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.write, "write", false, "write the files; without it they are shown as a diff")
	cmd.Flags().BoolVar(&p.dry, "dry-run", false, "write nothing, which is the default")
	cmd.Flags().StringVarP(&p.format, "output", "o", "text", "text or json")
}

func (p *proposal) check() error {
	if p.format != "text" && p.format != "json" {
		return usagef("-o %s: want text or json", p.format)
	}
	if p.write && p.dry {
		return usagef("--write and --dry-run: choose one")
	}
	return nil
}

// atRoot demands a folder that is the root of a repository: policies/ belongs there,
// and all paths are said from there.
func atRoot(dir string) error {
	if _, err := os.Stat(dir); err != nil {
		return usagef("open the repository: %w", err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if root := repositoryRoot(abs); root != abs {
		return usagef("%s is not the root of the repository, where policies/ belongs; that is %s", dir, root)
	}
	return nil
}

// defaultBranch stands in where no branch is known; --branch has it, too.
const defaultBranch = "main"

// The first words of the files of Git that say what is checked out.
const (
	gitDirWord  = "gitdir: "
	gitHeadWord = "ref: refs/heads/"
)

// checkedOut is the branch that is checked out in a clone or one of its worktrees; "":
// none is, or it cannot be known.
func checkedOut(dir string) string {
	git := filepath.Join(dir, ".git")
	if data, err := os.ReadFile(git); err == nil { // a worktree's .git is a file
		to, ok := strings.CutPrefix(strings.TrimSpace(string(data)), gitDirWord)
		if !ok {
			return ""
		}
		if git = to; !filepath.IsAbs(to) {
			git = filepath.Join(dir, to)
		}
	}
	head, err := os.ReadFile(filepath.Join(git, "HEAD"))
	if err != nil {
		return ""
	}
	branch, ok := strings.CutPrefix(strings.TrimSpace(string(head)), gitHeadWord)
	if !ok {
		return ""
	}
	return branch
}

// planOf is the command that says what the bot would do on a branch.
func planOf(branch string) string {
	if branch == "" || branch == defaultBranch {
		return "towpath plan"
	}
	return "towpath plan --branch " + shellWord(branch)
}

// plainWord needs no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)

// shellWord writes a word as one that a shell reads back.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// run writes files under dir when --write is given. Then it prints: with -o json v,
// else what was written or, without --write, one unified diff that git apply takes.
// old holds what was read, by path; a file that is not in it is a new one. Nothing
// is written when any file cannot be, or is not what was read, or the context ended.
func (p *proposal) run(ctx context.Context, s std, dir string, old map[string][]byte, files []patch.File, v any) error {
	if ctx.Err() != nil {
		return errUntouched
	}
	if p.write {
		if err := writeFiles(dir, old, files); err != nil {
			return err
		}
	}
	if p.format == "json" {
		return (&output{format: "json"}).print(s.out, v, nil)
	}
	var out bytes.Buffer
	for _, f := range files {
		before, known := old[f.Path]
		switch {
		case !p.write && known:
			unifiedDiff(&out, "a/"+f.Path, "b/"+f.Path, before, f.Data)
		case !p.write:
			unifiedDiff(&out, "/dev/null", "b/"+f.Path, nil, f.Data)
		case known:
			fmt.Fprintf(&out, "changed %s\n", f.Path)
		default:
			fmt.Fprintf(&out, "created %s\n", f.Path)
		}
	}
	_, err := s.out.Write(out.Bytes())
	return err
}

// writeFiles writes all files under dir byte for byte, each at once, or says why
// none was written. It neither leaves dir nor goes through a link.
func writeFiles(dir string, old map[string][]byte, files []patch.File) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer root.Close()
	for _, f := range files {
		before, known := old[f.Path]
		if err := asRead(root, f.Path, before, known); err != nil {
			return fmt.Errorf("nothing was written: %s: %w", f.Path, err)
		}
	}
	for _, f := range files {
		write := create
		if _, known := old[f.Path]; known {
			write = rewrite
		}
		if err := write(root, f); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

// asRead reports a file that is not as it was read, or that a link leads to.
func asRead(root *os.Root, name string, before []byte, known bool) error {
	for at := path.Dir(name); at != "."; at = path.Dir(at) {
		switch info, err := root.Lstat(at); {
		case errors.Is(err, fs.ErrNotExist) && !known:
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is no folder", at)
		}
	}
	info, err := root.Lstat(name)
	switch {
	case !known && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !known:
		return errors.New("it is there already; move it away")
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	}
	now, err := root.ReadFile(name)
	if err == nil && !bytes.Equal(now, before) {
		err = errors.New("it changed since it was read; try again")
	}
	return err
}

// create writes a new file, whole or not at all.
func create(root *os.Root, f patch.File) error {
	if err := root.MkdirAll(path.Dir(f.Path), 0o777); err != nil {
		return err
	}
	return place(root, f, 0o666, func(string) error { return nil }) // less the umask, as for any new file
}

// unifiedDiff prints the difference of two texts as git does; nothing when they are
// equal.
func unifiedDiff(w io.Writer, from, to string, before, after []byte) {
	a, b := bytes.SplitAfter(before, []byte{'\n'}), bytes.SplitAfter(after, []byte{'\n'})
	a, b = withoutEmpty(a), withoutEmpty(b)
	hunks := hunksOf(a, b)
	if len(hunks) == 0 {
		return
	}
	fmt.Fprintf(w, "--- %s\n+++ %s\n", from, to)
	for _, h := range hunks {
		h.print(w, a, b)
	}
}

// withoutEmpty drops what SplitAfter leaves behind the last line break.
func withoutEmpty(lines [][]byte) [][]byte {
	if n := len(lines); n > 0 && len(lines[n-1]) == 0 {
		return lines[:n-1]
	}
	return lines
}
