package promote

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// PolicyDir is where policies and pipelines live in a config repository.
const PolicyDir = "policies"

// appName is what a folder must be called to be an app: a part of a Git ref
// that needs no escaping anywhere.
var appName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// LoadConfig reads every policies/*.yaml of a config repository. A missing
// folder, or a file that cannot be read, is a problem that says what to do, not
// an error: the other files still count. Links are not followed.
func LoadConfig(fsys fs.FS) (policy.Config, error) {
	problem := func(reason, hint string) (policy.Config, error) {
		return policy.Config{Problems: []policy.Problem{{Path: PolicyDir, Object: "repository", Reason: reason, Hint: hint}}}, nil
	}
	info, err := fs.Lstat(fsys, PolicyDir)
	if errors.Is(err, fs.ErrNotExist) {
		return problem("there is no policies/ folder", "add policies/*.yaml with an ImagePolicy and a Pipeline: towpath adopt proposes them from your manifests, towpath migrate from Flux or Argo CD Image Updater")
	}
	if err == nil && !info.IsDir() {
		return problem("policies is no folder: a link is not followed", "make it a folder, with policies/*.yaml in it")
	}
	entries, err := fs.ReadDir(fsys, PolicyDir)
	if err != nil {
		return policy.Config{}, fmt.Errorf("read %s: %w", PolicyDir, err)
	}
	var files []policy.File
	var problems []policy.Problem
	for _, e := range entries {
		p := path.Join(PolicyDir, e.Name())
		if e.IsDir() || !isYAML(p) {
			continue
		}
		f, k := readFile(fsys, p)
		if k != nil {
			problems = append(problems, policy.Problem{Path: p, Line: 1, Column: 1, Reason: k.Reason, Hint: k.Hint, Verdict: string(k.Verdict)})
			continue
		}
		files = append(files, policy.File(f))
	}
	cfg := policy.Load(files)
	cfg.Problems = append(cfg.Problems, problems...)
	return cfg, nil
}

// markerProblems turns markers that cannot work, or that name no policy, into
// problems, and policies that no marker names, or that can choose nothing, into
// warnings.
func markerProblems(cfg policy.Config, envs map[string]EnvState) []policy.Problem {
	var out []policy.Problem
	used := map[string]bool{}
	missing := map[string]policy.Problem{} // by the name, which is looked for once
	for _, e := range envs {
		out = append(out, e.problems...)
		for _, a := range e.Apps {
			out = append(out, a.misplaced...)
			for _, s := range a.Skipped {
				out = append(out, skippedProblem(s))
			}
			for _, m := range a.Markers {
				used[m.Policy] = true
				if pol, ok := cfg.Policy(m.Policy); ok {
					out = append(out, otherImage(m, pol, a.Values[m.Policy].Repo)...)
					continue
				}
				p, said := missing[m.Policy]
				if !said {
					p = unknownPolicy(m, cfg, len(missing) < maxExplained)
					missing[m.Policy] = p
				}
				p.Path, p.Line, p.Column = m.Path, m.Line, m.Column
				out = append(out, p)
			}
		}
	}
	for _, p := range cfg.Policies {
		if !used[p.Name] && len(envs) > 0 {
			out = append(out, policy.Problem{Path: p.Source.Path, Line: p.Source.Line, Object: "ImagePolicy/" + p.Name, Warning: true,
				Reason: fmt.Sprintf("no marker names policy %q, so it changes nothing", p.Name),
				Hint:   fmt.Sprintf("put \"# towpath: %s\" behind an image in an environment's directory", p.Name)})
		}
	}
	out = append(out, neverProblems(cfg, envs)...)
	out = append(out, pinProblems(cfg, envs)...)
	out = append(out, flowProblems(cfg, envs)...)
	sortProblems(out)
	return out
}

// skippedProblem is a marker or a file that was left alone, as an error.
func skippedProblem(s patch.Skipped) policy.Problem {
	p := policy.Problem{Path: s.Path, Line: s.Line, Column: s.Column, Object: "marker", Reason: s.Reason, Hint: s.Hint, Verdict: string(s.Verdict)}
	if s.Line == 0 {
		p.Object = "file"
	}
	return p
}

// maxExplained is for how many unknown names it is looked for what may be meant.
const maxExplained = 1000

// unknownPolicy is the problem of a marker whose policy is not there to use:
// because of an error of its own, which is the one to mend, or altogether.
func unknownPolicy(m patch.Marker, cfg policy.Config, explain bool) policy.Problem {
	p := policy.Problem{Path: m.Path, Line: m.Line, Column: m.Column, Object: "marker", Verdict: string(patch.UnknownPolicy),
		Reason: fmt.Sprintf("marker names policy %q, which does not exist", m.Policy),
		Hint:   fmt.Sprintf("add an ImagePolicy named %s to policies/, or remove the marker", m.Policy)}
	if !explain {
		return p
	}
	if place := BrokenPolicy(cfg.Problems, m.Policy); place != "" {
		p.Reason, p.Hint = fmt.Sprintf("nothing is written here: policy %q has an error (%s)", m.Policy, place), ""
		return p
	}
	if place := unnamed(cfg.Problems, m.Policy); place != "" {
		p.Hint = fmt.Sprintf(maybeUnread+" (%s): correct that one first; else add an ImagePolicy named %s to policies/", place, m.Policy)
		return p
	}
	names := make([]string, len(cfg.Policies))
	for i, known := range cfg.Policies {
		names[i] = known.Name
	}
	if near, ok := policy.Nearest(m.Policy, names); ok {
		p.Hint = fmt.Sprintf("did you mean %q? else a%s", near, p.Hint[1:])
	}
	return p
}

// maybeUnread begins the hint at a marker whose policy may be there after all.
const maybeUnread = "it may be in a document that cannot be read"

// unnamed returns where a document has an error that may be the policy of a name:
// its own name cannot be read, or is no name and nearly this one; "": there is none.
func unnamed(problems []policy.Problem, name string) string {
	for _, b := range problems {
		almost, is := strings.CutPrefix(b.Object, "ImagePolicy/")
		if _, near := policy.Nearest(name, []string{almost}); !b.Warning && (b.Object == "" || is && near) {
			return placeOf(b)
		}
	}
	return ""
}

// fold puts the problems of markers that one error in policies/ brings about into
// one line for each policy, at the first of them. Every marker of a policy is
// among them, or none.
func fold(problems []policy.Problem) []policy.Problem {
	type cause struct{ reason, hint string }
	count, at := map[cause]int{}, map[cause]int{}
	var out []policy.Problem
	for _, p := range problems {
		c := cause{p.Reason, p.Hint}
		if p.Verdict != string(patch.UnknownPolicy) || p.Hint != "" && !strings.HasPrefix(p.Hint, maybeUnread) {
			out = append(out, p)
			continue
		}
		if count[c]++; count[c] == 1 {
			at[c] = len(out)
			out = append(out, p)
		}
	}
	for c, n := range count {
		if n > 1 {
			out[at[c]].Reason += fmt.Sprintf(" (and at %s)", plural(n-1, "more marker"))
		}
	}
	return out
}

// BrokenPolicy returns where the error is that keeps a policy from being used,
// as "policies/web.yaml:9"; "": there is none.
func BrokenPolicy(problems []policy.Problem, name string) string {
	for _, b := range problems {
		if !b.Warning && b.Object == "ImagePolicy/"+name {
			return placeOf(b)
		}
	}
	return ""
}

func placeOf(p policy.Problem) string {
	if p.Line == 0 {
		return p.Path
	}
	return fmt.Sprintf("%s:%d", p.Path, p.Line)
}

// otherImage warns of a marker whose value is of another image than its
// policy's: the next update would replace one image by the other.
func otherImage(m patch.Marker, p policy.Policy, whole image.Repo) []policy.Problem {
	ref, err := m.Ref()
	have := ref.Repo
	if m.Part == patch.PartRepository { // half a name: what it is together with its registry
		have = whole
	}
	if err != nil || have == (image.Repo{}) || have.Canonical() == p.Image.Canonical() {
		return nil
	}
	return []policy.Problem{{Path: m.Path, Line: m.Line, Column: m.Column, Object: "marker", Warning: true,
		Reason: fmt.Sprintf("the value is of image %s, but policy %q is about %s", have, p.Name, p.Image),
		Hint:   "the next update replaces the one by the other; correct the marker if that is not meant"}}
}
