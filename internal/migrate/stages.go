package migrate

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// maxName is the length in bytes of an environment's or pipeline's name.
const maxName = 63

// The stages through which versions usually travel, in order.
const (
	unknownStage = iota
	devStage
	testStage
	stagingStage
	prodStage
)

// stageOf tells which stage a folder's or application's name speaks of.
func stageOf(name string) int {
	name = strings.ToLower(name)
	if strings.Contains(name, "preprod") || strings.Contains(name, "pre-prod") {
		return stagingStage
	}
	if strings.Contains(name, "nonprod") || strings.Contains(name, "non-prod") {
		return devStage
	}
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		switch word {
		case "dev", "develop", "development", "sandbox", "lab":
			return devStage
		case "test", "testing", "int", "integration", "qa":
			return testStage
		case "stage", "staging", "stg", "uat", "acc", "acceptance":
			return stagingStage
		case "prod", "production", "prd", "live":
			return prodStage
		}
	}
	return unknownStage
}

// stagePath is the part of a path up to the folder that is named like a stage;
// "": there is none.
func stagePath(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		if stageOf(part) != unknownStage {
			return strings.Join(parts[:i+1], "/")
		}
	}
	return ""
}

// groups gives each folder the environment's directory it belongs to: down to the
// folder named like a stage, else the highest one that holds no other environment.
func groups(folders []string) map[string]string {
	out := map[string]string{}
	var stages []string
	for _, f := range folders {
		if s := stagePath(f); s != "" {
			out[f] = s
			stages = append(stages, s)
		}
	}
	for _, f := range folders {
		if out[f] != "" {
			continue
		}
		parts := strings.Split(f, "/")
		out[f] = f
		for i := 1; i < len(parts); i++ {
			above := strings.Join(parts[:i], "/")
			if !slices.ContainsFunc(stages, func(s string) bool { return within(s, above) }) {
				out[f] = above
				break
			}
		}
	}
	return out
}

// within tells whether path is folder or below it.
func within(p, folder string) bool {
	return folder == "." || p == folder || strings.HasPrefix(p, folder+"/")
}

// order puts environments into the order of their stages and gives them names.
func (l *line) order() {
	slices.SortStableFunc(l.stops, func(a, b *stop) int {
		return cmp.Or(cmp.Compare(stageOf(path.Base(a.Path)), stageOf(path.Base(b.Path))), strings.Compare(a.Path, b.Path))
	})
	bases, long := map[string]int{}, map[string]bool{}
	for _, s := range l.stops {
		bases[label(path.Base(s.Path))]++
	}
	for _, s := range l.stops { // one line's names are all long when one must be
		if bases[label(path.Base(s.Path))] > 1 {
			long[family(s.Path)] = true
		}
	}
	used := map[string]bool{}
	for _, s := range l.stops {
		name := label(path.Base(s.Path))
		if long[family(s.Path)] {
			name = longer(s.Path)
		}
		s.Name = name
		for n := 2; used[s.Name]; n++ {
			s.Name = fmt.Sprintf("%s-%d", name[:min(len(name), maxName-4)], n)
		}
		used[s.Name] = true
	}
}

// longer names an environment by more of its path: apps/web/overlays/dev is web-dev.
func longer(p string) string {
	parts := strings.Split(p, "/")
	last := len(parts) - 1
	for i := last - 1; i >= 0; i-- {
		switch parts[i] {
		case "overlays", "envs", "environments", "clusters", "deploy", "k8s", "kustomize", "manifests":
			continue
		}
		return label(parts[i] + "-" + parts[last])
	}
	return label(p)
}

// label makes a DNS-1123 label of a text.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return '-'
	}, strings.ToLower(s))
	s = strings.Trim(s, "-")
	s = strings.Trim(s[:min(len(s), maxName)], "-")
	if s == "" {
		return "main"
	}
	return s
}

// subdomain makes a policy's name of a text.
func subdomain(s string) string {
	const most = 253
	var parts []string
	for part := range strings.SplitSeq(s, ".") {
		part = strings.Trim(strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
				return r
			}
			return '-'
		}, strings.ToLower(part)), "-")
		if part != "" {
			parts = append(parts, part)
		}
	}
	name := strings.Join(parts, ".")
	name = strings.Trim(name[:min(len(name), most)], "-.")
	if name == "" {
		return "unnamed"
	}
	return name
}

// family is what the stages of one line have in common: the path with a * in place of
// the folder that is named like a stage. apps/web/overlays/dev is of apps/web/overlays/*.
func family(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		if stageOf(part) != unknownStage {
			parts[i] = "*"
			break
		}
	}
	return strings.Join(parts, "/")
}

// promotable says above each later environment of a line how it would be promoted
// into instead, when the order of the stages is clear. Environments of different
// lines hold different apps, which are promoted by their names.
func (l *line) promotable() {
	type stage struct {
		stop *stop
		rank int
	}
	last := map[string]stage{} // by family
	for _, s := range l.stops {
		f, rank := family(s.Path), stageOf(path.Base(s.Path))
		if s.off || rank == unknownStage {
			continue
		}
		before, has := last[f]
		if has && rank > before.rank {
			text := fmt.Sprintf("Write from: [%s] and gates: {healthy: {}} in place of update to promote instead", before.stop.Name)
			if !slices.Equal(before.stop.Update.Policies, s.Update.Policies) {
				text += "; the markers must name the same policies in both"
			}
			s.say(text + ".")
		}
		if rank > before.rank {
			last[f] = stage{s, rank}
		}
	}
}

// gather moves what is said of several environments to the head of the pipeline, where
// it is said once.
func (l *line) gather() {
	count := map[remark]int{}
	for _, s := range l.stops {
		for _, r := range s.remarks {
			if r.todo && !s.off { // beside a comment stands what to do before the # goes
				count[r]++
			}
		}
	}
	for _, s := range l.stops {
		s.remarks = slices.DeleteFunc(s.remarks, func(r remark) bool {
			if count[r] > 1 && !slices.Contains(l.remarks, r) {
				l.remarks = append(l.remarks, r)
			}
			return count[r] > 1
		})
	}
}

// settle makes environments of places: one per path, none inside another.
func (c *collector) settle(l *line) {
	byPath := map[string]*stop{}
	var out []*stop
	for _, s := range l.stops {
		if have := byPath[s.Path]; have != nil && have.off == s.off {
			have.absorb(s)
			continue
		}
		if byPath[s.Path] == nil {
			byPath[s.Path] = s
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b *stop) int { return cmp.Compare(len(a.Path), len(b.Path)) })
	var kept []*stop
	for _, s := range out {
		i := slices.IndexFunc(kept, func(o *stop) bool { return !o.off && !s.off && within(s.Path, o.Path) })
		if i < 0 {
			kept = append(kept, s)
			continue
		}
		o := kept[i]
		o.absorb(s)
		o.todo(c.note(s.origin, s.origin.line(), fmt.Sprintf("path %s is inside %s, and an environment cannot be inside another: the two are one environment, and its policies are those of both; give each a directory of its own to part them", s.Path, o.Path)))
	}
	l.stops = kept
}

// absorb takes over what another environment of the same files does.
func (s *stop) absorb(t *stop) {
	for _, p := range t.Update.Policies {
		if !slices.Contains(s.Update.Policies, p) {
			s.Update.Policies = append(s.Update.Policies, p)
		}
	}
	if t.Merge == "approval" {
		s.Merge = t.Merge
	}
	for _, r := range t.remarks {
		if !slices.Contains(s.remarks, r) {
			s.remarks = append(s.remarks, r)
		}
	}
}

// everything writes "*" where an environment takes all policies that are written,
// unless there are others.
func (c *collector) everything(l *line, drafts []*draft) {
	all := map[string]bool{}
	free := !c.has(PolicyDir)
	for _, d := range drafts {
		free = free && !d.held
		if !d.unable {
			all[d.Name] = true
		}
	}
	for _, s := range l.stops {
		slices.Sort(s.Update.Policies)
		if free && len(all) > 0 && len(s.Update.Policies) == len(all) && !slices.ContainsFunc(s.Update.Policies, func(n string) bool { return !all[n] }) {
			s.Update.Policies = []string{"*"}
		}
	}
}
