package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// selection is the JSON of `select`; its names are a contract.
type selection struct {
	Policy   string            `json:"policy"`
	Current  image.Tag         `json:"current"`
	Selected image.Tag         `json:"selected"`
	Changed  bool              `json:"changed"`
	Reason   string            `json:"reason"`
	Rejected []policy.Rejected `json:"rejected"`
}

func selectCommand(s std) *cobra.Command {
	var o output
	var file, name, current, tags string
	cmd := command("select --policy FILE --tags FILE|- [--current TAG]", "which tag a policy chooses, offline",
		"Chooses among the given tags as the bot would, and gives the rule that dropped every\nother tag. Nothing better: selected is the current tag, changed is false, exit 0. A policy's\nminAge and platforms are not looked at: they take a registry (towpath why).",
		"  printf '1.0.0\\n1.1.0\\n2.0.0\\n' | towpath select --policy policies/web.yaml --current 1.0.0 --tags -", cobra.NoArgs,
		func(*cobra.Command, []string) error {
			if err := o.check(); err != nil {
				return err
			}
			p, err := readPolicy(file, name)
			if err != nil {
				return err
			}
			if current != "" {
				if _, err := image.ParseTag(current); err != nil {
					return usagef("--current: %w", err)
				}
			}
			list, err := readTags(tags, s.in)
			if err != nil {
				return err
			}
			sayOffline(s.err, p)
			c := policy.Select(p, list, image.Tag(current))
			if c.Rejected == nil {
				c.Rejected = []policy.Rejected{}
			}
			v := selection{c.Policy, c.Current, c.Selected, c.Changed, c.Reason, c.Rejected}
			return o.print(s.out, v, func(w io.Writer) { printSelection(w, v) })
		})
	f := cmd.Flags()
	f.StringVar(&file, "policy", "", "file with the ImagePolicy")
	f.StringVar(&name, "name", "", "which policy, when the file has several")
	f.StringVar(&current, "current", "", "the tag that is in Git now")
	f.StringVar(&tags, "tags", "", "file with one tag a line, - for standard input")
	o.flag(cmd)
	return cmd
}

// sayOffline names what of a policy takes a registry, and so is not looked at.
func sayOffline(w io.Writer, p policy.Policy) {
	var keys []string
	if p.MinAge > 0 {
		keys = append(keys, "minAge")
	}
	if len(p.Platforms) > 0 {
		keys = append(keys, "platforms")
	}
	if len(keys) > 0 {
		fmt.Fprintf(w, "note: %s of policy %s not looked at: that takes a registry (towpath why %[2]s)\n", strings.Join(keys, " and "), p.Name)
	}
}

func printSelection(w io.Writer, v selection) {
	fmt.Fprintf(w, "%s: %s", v.Policy, v.Selected)
	if v.Changed {
		fmt.Fprintf(w, " (was %s)", dash(string(v.Current)))
	}
	fmt.Fprintf(w, ": %s\n", v.Reason)
	if len(v.Rejected) > 0 {
		rows := [][]string{{"REJECTED", "WHY"}}
		for _, r := range v.Rejected {
			rows = append(rows, []string{fmt.Sprintf("%.60q", r.Tag), r.Reason})
		}
		table(w, rows)
	}
}

// readPolicy loads one policy of a file. Policies of other documents, and
// pipelines, need not be right.
func readPolicy(file, name string) (policy.Policy, error) {
	if file == "" {
		return policy.Policy{}, usagef("--policy FILE is required")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return policy.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	cfg := policy.Load([]policy.File{{Path: filepath.ToSlash(file), Data: data}})
	if name != "" {
		if p, ok := cfg.Policy(name); ok {
			return p, nil
		}
	}
	for _, p := range cfg.Problems {
		if !p.Warning && (name == "" || p.Object == "ImagePolicy/"+name) {
			return policy.Policy{}, p
		}
	}
	var names []string
	for _, p := range cfg.Policies {
		names = append(names, p.Name)
	}
	switch {
	case name != "":
		return policy.Policy{}, usagef("%s holds no policy %s (it has: %s)", file, name, strings.Join(names, ", "))
	case len(names) == 0:
		return policy.Policy{}, usagef("%s holds no ImagePolicy", file)
	case len(names) > 1:
		return policy.Policy{}, usagef("%s holds several policies; give --name: %s", file, strings.Join(names, ", "))
	}
	return cfg.Policies[0], nil
}

// Limits of a tag list given by hand.
const (
	maxTagLines = 1 << 20
	maxTagLine  = 64 << 10
)

func readTags(from string, in io.Reader) ([]string, error) {
	switch from {
	case "":
		return nil, usagef("--tags FILE is required (- for standard input)")
	case "-":
	default:
		f, err := os.Open(from)
		if err != nil {
			return nil, fmt.Errorf("read tags: %w", err)
		}
		defer f.Close()
		in = f
	}
	var out []string
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 0, 4096), maxTagLine)
	lines := 0
	for ; sc.Scan(); lines++ {
		if line := strings.TrimSpace(sc.Text()); line != "" {
			out = append(out, line)
		}
		if len(out) > maxTagLines {
			return nil, fmt.Errorf("read tags: more than %d lines", maxTagLines)
		}
	}
	if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("read tags: line %d is longer than %d bytes: write one tag a line", lines+1, maxTagLine)
	} else if err != nil {
		return nil, fmt.Errorf("read tags: %w", err)
	}
	return out, nil
}
