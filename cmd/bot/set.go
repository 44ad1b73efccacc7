package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// setResult is the JSON of `set`; its names are a contract.
type setResult struct {
	Edits   []patch.Edit    `json:"edits"`
	Skipped []patch.Skipped `json:"skipped"`
}

// setOptions are the flags of `set`.
type setOptions struct {
	output
	dry  bool
	more []string // further extensions of files
}

func setCommand(s std) *cobra.Command {
	var o output
	var j jsonFlag
	var dry bool
	cmd := command("set NAME=REF... DIR", "write references at the markers under DIR, offline",
		"Writes references at the markers of policies under DIR, in place. Only the marked values\nchange; everything else stays byte for byte. A marker that cannot be written is reported, and\nso is a file that may hold one and cannot be read; the exit code is then 1. Links are not\nfollowed. With --json, .json files are read and written, too: they are read as the YAML they\nare, and a marker makes one JSON with comments, which not every reader takes. The bot itself\nwrites .yaml and .yml only.",
		"  towpath set web=registry.example/web:2.0.0 envs/dev\n  towpath set web=registry.example/web:2.0.0 envs/dev --dry-run", cobra.MinimumNArgs(2),
		func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			sets, err := parseSets(args[:len(args)-1])
			if err != nil {
				return err
			}
			return setDir(cmd.Context(), s, setOptions{o, dry, j.more()}, sets, args[len(args)-1])
		})
	o.flag(cmd)
	j.flag(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would change, and write nothing")
	return cmd
}

func parseSets(args []string) ([]patch.Set, error) {
	var sets []patch.Set
	seen := map[string]bool{}
	for _, a := range args {
		name, ref, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, usagef("%q: want NAME=REF, for instance web=registry.example/web:2.0.0", a)
		}
		r, err := image.ParseRef(ref)
		if _, tagErr := image.ParseTag(ref); err != nil && tagErr == nil {
			return nil, usagef("%q is a tag alone; write the whole reference, as %s=registry.example/shop/%[2]s:%[1]s", ref, name)
		}
		if err != nil {
			return nil, usagef("%s: %w", name, err)
		}
		if seen[name] {
			return nil, usagef("%s is given twice", name)
		}
		seen[name] = true
		sets = append(sets, patch.Set{Policy: name, Ref: r})
	}
	return sets, nil
}

func setDir(ctx context.Context, s std, o setOptions, sets []patch.Set, dir string) error {
	if info, err := os.Stat(dir); err != nil {
		return usagef("%w; want a folder", err)
	} else if !info.IsDir() {
		return usagef("%s is no folder; give the one that it is in", dir)
	}
	files, skipped, err := yamlFiles(ctx, dir, o.more...)
	if err != nil {
		return err
	}
	res := applyEach(ctx, files, sets)
	if ctx.Err() != nil {
		return errUntouched
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer root.Close()
	v := setResult{Edits: []patch.Edit{}, Skipped: append(skipped, res.Skipped...)}
	read := map[string][]byte{}
	for _, f := range files {
		read[f.Path] = f.Data
	}
	refused := map[string]bool{}
	written := 0
	for _, f := range res.Files {
		if ctx.Err() != nil {
			refused[f.Path] = true
			continue
		}
		err := asRead(root, f.Path, read[f.Path], true)
		if err == nil && !o.dry {
			err = rewrite(root, f)
		}
		if err != nil {
			refused[f.Path] = true
			v.Skipped = append(v.Skipped, patch.Skipped{Path: f.Path, Verdict: patch.NotWritten, Reason: "it cannot be written: " + err.Error()})
			continue
		}
		written++
	}
	for _, e := range res.Edits {
		if !refused[e.Path] {
			v.Edits = append(v.Edits, e)
		}
	}
	if v.Skipped == nil {
		v.Skipped = []patch.Skipped{}
	}
	err = o.print(s.out, v, func(w io.Writer) {
		for _, e := range v.Edits {
			fmt.Fprintf(w, "%s:%d %s -> %s\n", e.Path, e.Line, e.Old, e.New)
		}
	})
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %d of %d files were written, those above; the rest is as it was", written, len(res.Files))
	}
	return sayMissing(s, v, sets, res, files)
}

// applyEach applies the sets to one file after the other, until the context ends.
func applyEach(ctx context.Context, files []patch.File, sets []patch.Set) patch.Result {
	var all patch.Result
	for i := range files {
		if ctx.Err() != nil {
			break
		}
		r := patch.Apply(files[i:i+1], sets)
		all.Files = append(all.Files, r.Files...)
		all.Edits = append(all.Edits, r.Edits...)
		all.UpToDate = append(all.UpToDate, r.UpToDate...)
		all.Skipped = append(all.Skipped, r.Skipped...)
	}
	return all
}

// sayMissing reports what set could not do: refused markers and names that no
// marker has.
func sayMissing(s std, v setResult, sets []patch.Set, res patch.Result, files []patch.File) error {
	marked := map[string]bool{}
	for _, e := range res.Edits {
		marked[e.Policy] = true
	}
	for _, m := range res.UpToDate {
		marked[m.Policy] = true
	}
	bad := len(v.Skipped) > 0
	for _, sk := range v.Skipped {
		marked[sk.Policy] = true
		fmt.Fprintln(s.err, sk)
	}
	var names []string // of all policies that are marked, when one is missing
	for _, set := range sets {
		if marked[set.Policy] {
			continue
		}
		bad = true
		like := ""
		if names == nil {
			names = markedNames(files)
		}
		if near, ok := policy.Nearest(set.Policy, names); ok {
			like = fmt.Sprintf("did you mean %s? else ", near)
		}
		fmt.Fprintf(s.err, "no marker names %s; %sput \"# towpath: %[1]s\" behind the value\n", set.Policy, like)
	}
	if bad {
		return errFindings
	}
	return nil
}

// markedNames are the policies that the usable markers of files name, sorted.
func markedNames(files []patch.File) []string {
	names := map[string]bool{}
	for _, f := range files {
		markers, _ := patch.Markers(f)
		for _, m := range markers {
			names[m.Policy] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// rewrite replaces a file by a new one beside it, keeping its mode, so that a
// crash leaves the old or the new content and nothing between.
func rewrite(root *os.Root, f patch.File) error {
	info, err := root.Stat(f.Path)
	if err != nil {
		return err
	}
	perm := info.Mode().Perm()
	return place(root, f, perm, func(tmp string) error { return root.Chmod(tmp, perm) })
}

// place writes a file whole or not at all: beside its place first, where finish
// sees it, then into it.
func place(root *os.Root, f patch.File, perm fs.FileMode, finish func(tmp string) error) error {
	tmp := fmt.Sprintf("%s.%08x.towpath", f.Path, rand.Uint32()) // one that a crash left is in nobody's way
	out, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = out.Write(f.Data)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = finish(tmp)
	}
	if err == nil {
		err = root.Rename(tmp, f.Path)
	}
	if err != nil {
		_ = root.Remove(tmp) // best effort: the error above is the one to report
	}
	return err
}
