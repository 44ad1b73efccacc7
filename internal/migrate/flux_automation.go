package migrate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

// defaultBranch stands in where no branch is known.
const defaultBranch = "main"

// automation is what an ImageUpdateAutomation says.
type automation struct {
	o       *object
	branch  string // "" when it is not known
	merge   policy.Merge
	path    string
	names   []string // policies it takes
	remarks []string
	off     string // why it does nothing
}

// pipeline turns the automations into environments; nil: there is nothing to say.
func (m *flux) pipeline() *line {
	var list []*automation
	for _, o := range m.automations {
		list = append(list, m.automation(o))
	}
	l := &line{name: "images"}
	if len(list) == 0 {
		m.noAutomation()
		return nil
	}
	l.branch = m.branch(list, l)
	for _, a := range list {
		m.stops(l, a)
	}
	m.settle(l)
	l.order()
	m.everything(l, m.drafts)
	m.bases(l)
	l.gather()
	l.comments = []string{
		"Migrated from ImageUpdateAutomation: every environment takes new tags from the registry by itself, as Flux did.",
	}
	l.promotable()
	return l
}

// noAutomation notes policies without anybody who writes.
func (m *flux) noAutomation() {
	if len(m.policies) > 0 {
		o := m.policies[0]
		m.note(o, o.line(), "there is no ImageUpdateAutomation in these files, so no pipeline is written; write one that names your environments (docs/reference/policies.md)")
	}
}

// branch chooses the branch of most automations; those of others are left out.
func (m *flux) branch(list []*automation, l *line) string {
	count := map[string]int{}
	best := ""
	for _, a := range list {
		if a.branch == "" {
			continue
		}
		count[a.branch]++
		if n := count[a.branch]; best == "" || n > count[best] || n == count[best] && a.branch < best {
			best = a.branch
		}
	}
	if best == "" {
		o := list[0].o
		l.remarks = append(l.remarks, remark{headOfFile, m.note(o, o.line(), "git.checkout.ref: neither it nor a GitRepository in these files names a branch; correct branch: "+m.head+" if it is another"), true})
		return m.head
	}
	for _, a := range list {
		if a.branch != "" && a.branch != best && a.off == "" {
			a.off = m.note(a.o, a.o.field("spec", "git").line(), fmt.Sprintf("git.checkout.ref.branch: one pipeline has one branch, %s, and this one is %s; a bot of its own with --branch can serve it, from the policies on that branch", best, short(a.branch)))
		}
	}
	return best
}

func (m *flux) automation(o *object) *automation {
	spec := o.field("spec")
	a := &automation{o: o, merge: policy.MergePush}
	note := func(v value, text string) {
		a.remarks = append(a.remarks, m.note(o, v.line(), strings.TrimPrefix(v.path, "spec.")+": "+text))
	}
	spec.skip("interval") // the bot writes as soon as a look at a registry brings something
	m.source(a, spec, note)
	m.push(a, spec.get("git").get("push"), note)
	commit := spec.get("git").get("commit")
	if v := commit.get("author"); v.ok() {
		author := strings.TrimSpace(v.get("name").text() + " <" + v.get("email").text() + ">")
		note(v, fmt.Sprintf("commits are made by Towpath under its own name, and %s is not carried over; let rules that ask for that author know the bot", short(author)))
	}
	if v := commit.get("signingKey"); v.ok() {
		commit.skip("signingKey")
		note(v, "commits are not signed; if the branch asks for signatures, exempt the bot or keep pull requests that are merged by a signing forge")
	}
	if v := commit.get("messageTemplate"); v.ok() {
		note(v, "the message of a commit is Towpath's own, with trailers that its history is read from; change what reads the old ones")
	}
	if v := commit.get("messageTemplateValues"); v.ok() {
		commit.skip("messageTemplateValues")
		note(v, "the message of a commit is Towpath's own, and takes no values; change what reads them")
	}
	update := spec.get("update")
	if v := update.get("strategy"); v.ok() && v.text() != "Setters" {
		note(v, fmt.Sprintf("%q is unknown; Towpath writes at markers, as Setters does", short(v.text())))
	}
	a.path = strings.TrimPrefix(path.Clean("/"+update.get("path").text()), "/")
	if a.path == "" {
		a.path = "."
	}
	const suspended = "an environment cannot be suspended, so it is a comment; take the # away to let it go on"
	if v := spec.get("suspend"); v.ok() {
		if on, sure := v.boolean(); on {
			a.off = m.note(o, v.line(), "suspend: "+suspended)
		} else if !sure {
			a.off = m.note(o, v.line(), v.notBoolean()+", and is taken for true: "+suspended)
		}
	}
	m.takes(a, spec.get("policySelector"), note)
	if wrong := m.mistakes(o); len(wrong) > 0 {
		a.off = orElse(a.off, wrong[0])
	}
	return a
}

// source finds the branch that is checked out.
func (m *flux) source(a *automation, spec value, note func(value, string)) {
	ref := spec.get("sourceRef")
	ref.skip("apiVersion")
	if v := ref.get("kind"); v.ok() && v.text() != "GitRepository" {
		note(v, "only a GitRepository can be written to")
	}
	name, namespace := ref.get("name").text(), ref.get("namespace").text()
	if namespace == "" {
		namespace = a.o.namespace
	}
	checkout := spec.get("git").get("checkout").get("ref")
	from := checkout
	source := m.find(m.sources, name, namespace, a.o)
	if source == nil && !checkout.ok() {
		note(ref, fmt.Sprintf("there is no GitRepository %s in these files, so its branch is not known; correct the pipeline's branch if it is another", short(strings.TrimPrefix(namespace+"/"+name, "/"))))
	}
	if source != nil && !checkout.ok() {
		from = source.field("spec", "ref")
		if !from.get("branch").ok() && len(from.keys()) == 0 {
			a.branch = "master" // what Flux takes when nothing is said
		}
	}
	if v := from.get("branch"); v.ok() {
		a.branch = v.text()
	}
	if source != nil {
		m.mistakes(source)
	}
	for _, key := range []string{"tag", "semver", "commit", "name"} {
		if v := from.get(key); v.ok() {
			a.remarks = append(a.remarks, m.note(a.o, a.o.field("spec", "git").line(), fmt.Sprintf("%s: only a branch can be read from and written to; correct the pipeline's branch", strings.TrimPrefix(v.path, "spec."))))
		}
	}
}

// push tells how what is written gets into the branch.
func (m *flux) push(a *automation, v value, note func(value, string)) {
	branch, refspec, options := v.get("branch"), v.get("refspec"), v.get("options")
	asks := false
	if branch.ok() && branch.text() != a.branch {
		a.merge, asks = policy.MergeApproval, true
	}
	if refspec.ok() {
		if to := refspec.text(); strings.Contains(to, "refs/for/") {
			a.merge, asks = policy.MergeApproval, true
		} else {
			note(refspec, "a second push is not made; let the Git server mirror the branch")
		}
	}
	for _, key := range options.keys() {
		o := options.get(key)
		if strings.HasPrefix(key, "merge_request.") {
			a.merge, asks = policy.MergeApproval, true
			continue
		}
		note(o, "push options are not sent; a pull request is Towpath's own")
	}
	if asks {
		where := branch
		if !where.ok() {
			where = v
		}
		note(where, "Flux pushed to a branch for people to merge; here each app has a branch and a pull request of its own, and merge: approval waits for a person (merge: auto would not)")
	}
}

// takes finds the policies that an automation writes.
func (m *flux) takes(a *automation, selector value, note func(value, string)) {
	scope := m.scopeOf(a.o.path)
	for _, d := range m.drafts {
		if d.unable || d.held || !sees(a.o.namespace, d.namespace, scope, d.scope) || !selects(selector, d.origin.labels) {
			continue
		}
		a.names = append(a.names, d.Name)
	}
	for _, e := range selector.get("matchExpressions").items() {
		switch e.get("operator").text() {
		case "In", "NotIn", "Exists", "DoesNotExist":
		default:
			note(e, "the operator is unknown, and selects nothing")
		}
	}
	if len(a.names) == 0 {
		a.names = m.meant(a, selector, scope)
	} else {
		return
	}
	if a.off == "" {
		a.off = m.note(a.o, a.o.line(), "no policy that works belongs to it, so its environment is a comment; correct one, or name another in update.policies, and take the # away")
	}
}

// meant are the policies that an automation would write if they worked; all, if there
// are none.
func (m *flux) meant(a *automation, selector value, scope string) []string {
	var names []string
	for _, d := range m.drafts {
		if sees(a.o.namespace, d.namespace, scope, d.scope) && selects(selector, d.origin.labels) {
			names = append(names, d.Name)
		}
	}
	if len(names) == 0 {
		return []string{policy.AllPolicies}
	}
	return names
}

// selects follows a selector of labels; an empty one selects everything.
func selects(v value, labels map[string]string) bool {
	for k, want := range v.get("matchLabels").pairs() {
		if have, ok := labels[k]; !ok || have != want {
			return false
		}
	}
	for _, e := range v.get("matchExpressions").items() {
		have, ok := labels[e.get("key").text()]
		values := e.get("values").texts()
		var holds bool
		switch e.get("operator").text() {
		case "In":
			holds = ok && slices.Contains(values, have)
		case "NotIn":
			holds = !ok || !slices.Contains(values, have)
		case "Exists":
			holds = ok
		case "DoesNotExist":
			holds = !ok
		}
		if !holds {
			return false
		}
	}
	return true
}

// stops makes the environments of an automation: its path, or what is marked below
// it where the path is the whole repository or holds several stages.
func (m *flux) stops(l *line, a *automation) {
	paths := []string{a.path}
	if !m.has(a.path) {
		paths, a.off = []string{a.path}, orElse(a.off, m.note(a.o, a.o.line(), fmt.Sprintf("update.path: there is no YAML in %s; correct the environment's path", short(a.path))))
	} else if split := m.below(a); a.path == "." || len(split) > 1 {
		paths = split
		if len(split) == 0 {
			paths, a.off = []string{"."}, orElse(a.off, m.note(a.o, a.o.line(), "update.path: it is the whole repository, and nothing in it is marked; write the environments that there are, each with its directory"))
		} else {
			a.remarks = append(a.remarks, m.note(a.o, a.o.line(), fmt.Sprintf("update.path: %s holds several folders with markers, and each is an environment: %s; join or part them as you like", a.path, strings.Join(split, ", "))))
		}
	}
	for _, p := range paths {
		if slices.ContainsFunc(m.files, func(f patch.File) bool { return f.Path == p }) {
			p = path.Dir(p)
		}
		s := &stop{Environment: policy.Environment{Path: p, Merge: a.merge, Update: &policy.Update{Policies: slices.Clone(a.names)}}, origin: a.o, off: a.off != ""}
		for _, text := range a.remarks {
			s.todo(text)
		}
		if a.off != "" {
			s.todo(a.off)
		}
		l.stops = append(l.stops, s)
	}
}

// bases says of environments that are kustomize bases what a change in them does.
func (m *flux) bases(l *line) {
	for _, s := range l.stops {
		if stagePath(s.Path) != "" {
			continue
		}
		if users := m.builtOn(s.Path); len(users) > 0 {
			s.todo(m.note(s.origin, s.origin.line(), fmt.Sprintf("update.path: %s is a base that %s build on, and a new tag in it reaches all of them at once, as it did with Flux; "+
				"to let them go one by one, give each an entry of images: with the marker, and remove it here", s.Path, short(strings.Join(users, ", ")))))
		}
	}
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// writes tells whether a marker is of a policy that an automation takes.
func (m *flux) writes(a *automation, k marker) bool {
	return slices.ContainsFunc(m.drafts, func(d *draft) bool { return slices.Contains(a.names, d.Name) && m.names(k, d) })
}

// names tells whether a marker means a policy: by its name, or by the one it had before
// it was parted from another.
func (m *flux) names(k marker, d *draft) bool {
	return d.Name == k.name || d.origin.name == k.name && sees(d.namespace, k.namespace, d.scope, m.scopeOf(k.path))
}

// below are the folders of an automation's path that hold markers of its policies, by
// stage; none when only one would come of it that is no stage.
func (m *flux) below(a *automation) []string {
	var folders []string
	for _, k := range m.markers() {
		if dir := path.Dir(k.path); within(k.path, a.path) && dir != "." && dir != PolicyDir && m.writes(a, k) {
			folders = append(folders, dir)
		}
	}
	var out []string
	stages := 0
	for _, g := range groups(folders) {
		if within(g, a.path) && !slices.Contains(out, g) {
			out = append(out, g)
			if stagePath(g) != "" {
				stages++
			}
		}
	}
	slices.Sort(out)
	if a.path != "." && stages < 2 {
		return nil
	}
	return out
}
