package migrate

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

const (
	wrapAt      = 100 // bytes of a comment's line
	maxFileName = 100 // bytes of a policy's name in the name of its file
	maxUnable   = 10  // rounds of taking out what does not load
	anyVersion  = "*" // the range that stands in where there is none
	headOfFile  = ""  // the place of a remark that belongs to no key
)

// remark is a comment for one place of a written document.
type remark struct {
	key  string // of spec, before whose line it stands; headOfFile
	text string
	todo bool
}

// draft is a policy to be written.
type draft struct {
	policy.Policy
	origin    *object
	namespace string
	scope     string // the cluster's folder, "" when all share it
	from      []string
	remarks   []remark
	unable    bool // it cannot work as it is, and is written as a comment
	held      bool // it is written, but brings nothing in
}

// todo adds a remark on what a person has to do.
func (d *draft) todo(key, text string) {
	r := remark{key, oneLine(text), true}
	if !slices.Contains(d.remarks, r) {
		d.remarks = append(d.remarks, r)
	}
}

// same tells whether two drafts say the same, whatever their names.
func (d *draft) same(e *draft) bool {
	a, b := d.Policy, e.Policy
	a.Name, b.Name = "", ""
	return d.unable == e.unable && d.held == e.held && bytes.Equal(policy.Format(a), policy.Format(b))
}

// format writes a draft with its remarks.
func (d *draft) format() []byte {
	lines := strings.Split(strings.TrimSuffix(string(policy.Format(d.Policy)), "\n"), "\n")
	head := []string{lines[0]}
	if len(d.from) > 0 {
		head = append(head, comment("Migrated from "+strings.Join(d.from, " and ")+".", "", "")...)
	}
	body := lines[1:]
	for _, r := range d.remarks {
		prefix, at := "", -1
		if r.todo {
			prefix = "TODO: "
		}
		if r.key != headOfFile {
			at = slices.IndexFunc(body, func(l string) bool { return strings.HasPrefix(l, "  "+r.key+":") })
		}
		if at < 0 {
			head = append(head, comment(r.text, "", prefix)...)
			continue
		}
		body = slices.Insert(body, at, comment(r.text, "  ", prefix)...)
	}
	if d.unable {
		for i, l := range body {
			body[i] = strings.TrimRight("# "+l, " ")
		}
	}
	return []byte(strings.Join(append(head, body...), "\n") + "\n")
}

// comment is a text as lines of a comment; what follows the first is set in.
func comment(text, indent, prefix string) []string {
	var out []string
	line, more := indent+"# "+prefix, indent+"# "+strings.Repeat(" ", min(len(prefix), 2))
	empty := true
	for word := range strings.FieldsSeq(oneLine(text)) {
		if !empty && len(line)+1+len(word) > wrapAt {
			out = append(out, line)
			line, empty = more, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return append(out, line)
}

// stop is an environment to be written.
type stop struct {
	policy.Environment
	origin  *object
	remarks []remark
	off     bool // it cannot work as it is, and is written as a comment
}

func (s *stop) todo(text string) {
	r := remark{headOfFile, oneLine(text), true}
	if !slices.Contains(s.remarks, r) {
		s.remarks = append(s.remarks, r)
	}
}

func (s *stop) say(text string) {
	s.remarks = append(s.remarks, remark{headOfFile, text, false})
}

// line is a pipeline to be written.
type line struct {
	name, branch string
	comments     []string
	remarks      []remark
	stops        []*stop
}

// format writes the pipeline; used tells whether any environment is active.
func (l *line) format() (data []byte, used bool) {
	pl := policy.Pipeline{Name: l.name, Branch: l.branch}
	for _, s := range l.stops {
		pl.Environments = append(pl.Environments, s.Environment)
		used = used || !s.off
	}
	lines := strings.Split(strings.TrimSuffix(string(policy.FormatPipeline(pl)), "\n"), "\n")
	out := []string{lines[0]}
	for _, c := range l.comments {
		out = append(out, comment(c, "", "")...)
	}
	for _, r := range l.remarks {
		out = append(out, comment(r.text, "", "TODO: ")...)
	}
	comments := len(out)
	at, off := -1, false
	for _, text := range lines[1:] {
		if strings.HasPrefix(text, "    - ") {
			at++
			off = l.stops[at].off
			for _, r := range l.stops[at].remarks {
				prefix := ""
				if r.todo {
					prefix = "TODO: "
				}
				out = append(out, comment(r.text, "    ", prefix)...)
			}
		}
		if off && used {
			text = "    # " + strings.TrimPrefix(text, "    ")
		}
		out = append(out, text)
	}
	for i := comments; i < len(out) && !used; i++ {
		out[i] = "# " + out[i]
	}
	return []byte(strings.Join(out, "\n") + "\n"), used
}

// finish writes drafts and pipeline as files, and takes out as a comment whatever
// would not load beside what is there.
func (c *collector) finish(drafts []*draft, l *line) Result {
	var existing []policy.File
	taken := map[string]bool{}
	for _, f := range c.files {
		if path.Dir(f.Path) == PolicyDir {
			existing = append(existing, policy.File{Path: f.Path, Data: f.Data})
		}
		taken[f.Path] = true
	}
	have := policy.Load(existing)
	c.foreign(have)
	drafts = c.unwritten(drafts, have, taken)
	if l != nil && (len(have.Pipelines) > 0 || taken[PipelineFile]) {
		where := PipelineFile
		if len(have.Pipelines) > 0 {
			where = have.Pipelines[0].Source.Path
		}
		c.add(Note{Path: where, Text: "a pipeline is there already and is left as it is; compare its environments with " + l.summary()})
		l = nil
	}
	paths := filePaths(drafts)
	for range maxUnable {
		files := write(drafts, paths, l)
		if !c.takeOut(drafts, paths, l, existing, files) {
			break
		}
	}
	files := write(drafts, paths, l)
	slices.SortFunc(files, func(a, b patch.File) int { return strings.Compare(a.Path, b.Path) })
	return Result{Files: files, Notes: c.sorted(), Objects: c.objects}
}

// summary names the environments for a note.
func (l *line) summary() string {
	var out []string
	for _, s := range l.stops {
		out = append(out, fmt.Sprintf("%s (path %s, merge %s)", s.Name, s.Path, s.Merge))
	}
	if len(out) == 0 {
		return "none"
	}
	return short(strings.Join(out, ", "))
}

// foreign notes files in the policies folder that are not for Towpath.
func (c *collector) foreign(have policy.Config) {
	said := map[string]bool{}
	for _, p := range have.Problems {
		if strings.HasPrefix(p.Reason, "unknown apiVersion") && !said[p.Path] {
			said[p.Path] = true
			c.add(Note{Path: p.Path, Line: p.Line, Object: p.Object,
				Text: "every document in " + PolicyDir + "/ is read as Towpath's, and this one is none; move the file to another folder"})
		}
	}
}

// unwritten drops the drafts that would overwrite a file or double a name.
func (c *collector) unwritten(drafts []*draft, have policy.Config, taken map[string]bool) []*draft {
	paths := filePaths(drafts)
	return slices.DeleteFunc(drafts, func(d *draft) bool {
		p, there := have.Policy(d.Name)
		switch {
		case there:
			c.note(d.origin, d.origin.line(), fmt.Sprintf("a policy %s is there already, in %s, and is left as it is; compare the two", d.Name, p.Source.Path))
		case taken[paths[d]]:
			there = true
			c.note(d.origin, d.origin.line(), fmt.Sprintf("%s is there already and is left as it is; move it away and migrate again if it is not the wanted policy", paths[d]))
		}
		return there
	})
}

// filePaths gives every draft its file.
func filePaths(drafts []*draft) map[*draft]string {
	out, used := map[*draft]string{}, map[string]bool{PipelineFile: true}
	for _, d := range drafts {
		name := d.Name[:min(len(d.Name), maxFileName)]
		p := PolicyDir + "/" + name + ".yaml"
		for n := 2; used[p]; n++ {
			p = fmt.Sprintf("%s/%s-%d.yaml", PolicyDir, name, n)
		}
		out[d], used[p] = p, true
	}
	return out
}

func write(drafts []*draft, paths map[*draft]string, l *line) []patch.File {
	var files []patch.File
	for _, d := range drafts {
		files = append(files, patch.File{Path: paths[d], Data: d.format()})
	}
	if l != nil {
		data, _ := l.format()
		files = append(files, patch.File{Path: PipelineFile, Data: data})
	}
	return files
}

// takeOut makes comments of the drafts and environments that have an error; false:
// there was none.
func (c *collector) takeOut(drafts []*draft, paths map[*draft]string, l *line, existing []policy.File, files []patch.File) bool {
	all := slices.Clone(existing)
	for _, f := range files {
		all = append(all, policy.File{Path: f.Path, Data: f.Data})
	}
	changed := false
	for _, p := range policy.Load(all).Problems {
		if p.Warning {
			continue
		}
		text := p.Reason
		if p.Hint != "" {
			text += "; " + p.Hint
		}
		for _, d := range drafts {
			if paths[d] == p.Path && !d.unable {
				d.unable, changed = true, true
				d.todo(headOfFile, c.note(d.origin, d.origin.line(), "the policy is written as a comment: "+text))
			}
		}
		if l == nil || p.Path != PipelineFile {
			continue
		}
		for _, s := range l.stops {
			if !s.off {
				s.off, changed = true, true
				s.todo(c.note(s.origin, s.origin.line(), "the environment is written as a comment: "+text))
			}
		}
	}
	if changed && l != nil {
		l.refer(drafts, existing)
	}
	return changed
}

// refer drops the names of policies that are comments from every environment.
func (l *line) refer(drafts []*draft, existing []policy.File) {
	known := map[string]bool{policy.AllPolicies: true}
	for _, p := range policy.Load(existing).Policies {
		known[p.Name] = true
	}
	for _, d := range drafts {
		known[d.Name] = known[d.Name] || !d.unable
	}
	for _, s := range l.stops {
		if s.Update == nil {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(s.Update.Policies), func(name string) bool { return !known[name] })
		if len(left) > 0 {
			s.Update.Policies = left
		} else if !s.off { // they stay named, so that taking the # away is enough
			s.off = true
			s.todo("no policy enters here: those that did are comments; correct one, then take the # away")
		}
	}
}
