package promote

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// Commit trailers. They repeat the hidden block so that history survives a lost
// forge.
const (
	trailerEnv     = "Towpath-Environment"
	trailerApp     = "Towpath-App"
	trailerPolicy  = "Towpath-Policy"
	trailerFrom    = "Towpath-From"
	trailerContent = "Towpath-Content"
)

// maxTitle is the length of a title or subject in runes; forges cut or refuse
// longer ones at about 255.
const maxTitle = 200

// maxDescription is the length of a commit status, GitHub's limit.
const maxDescription = 140

// Title is the title of a move's pull request and the subject of its commit: one
// line of at most 200 characters, in the words of the pipeline's template where it
// has one.
func Title(m Move) string {
	if t := cut(harmless(printable(m.Env.Messages.RenderTitle(messageData(m)))), maxTitle); t != "" {
		return t
	}
	return ownTitle(m)
}

func ownTitle(m Move) string {
	type step struct{ old, new string }
	steps := map[string]step{}
	for _, e := range m.Edits {
		o, n := tail(e.Old), tail(e.New)
		if o == n { // only the digest, or the repository
			o, n = cells(e)
		}
		if old, ok := steps[e.Policy]; !ok || old.old == old.new {
			steps[e.Policy] = step{o, n}
		}
	}
	names := slices.Sorted(maps.Keys(steps))
	parts := make([]string, 0, len(names))
	for _, n := range names {
		p := steps[n].old + " → " + steps[n].new
		if len(names) > 1 || n != m.App {
			p = n + " " + p
		}
		parts = append(parts, p)
	}
	return cut(fmt.Sprintf("%s: %s %s", m.Env.Name, m.App, strings.Join(parts, ", ")), maxTitle)
}

// tail is the version part of an edited value: the tag of a reference, or the
// value itself.
func tail(v string) string {
	t := refTail(v)
	if t.tag != "" {
		return t.tag
	}
	if t.digest != "" {
		return short(t.digest)
	}
	return v
}

type refParts struct{ tag, digest string }

// refTail splits the tag and the digest off a reference that may lack its
// repository (":1.0.0"), as a marker of a part leaves it.
func refTail(v string) refParts {
	name, digest, _ := strings.Cut(v, "@")
	if i := strings.LastIndex(name, ":"); i >= 0 && !strings.Contains(name[i:], "/") {
		if name[i+1:] != "" && !(name == "sha256" || strings.HasPrefix(v, "sha256:")) {
			return refParts{name[i+1:], digest}
		}
	}
	if strings.HasPrefix(v, "sha256:") {
		return refParts{"", v}
	}
	return refParts{"", digest}
}

// Message is the commit message of moves: subject, edits, trailers. The squash
// message of a merge is the same text.
func Message(moves []Move) string {
	var b strings.Builder
	if len(moves) == 1 {
		fmt.Fprintf(&b, "%s\n\n", Title(moves[0]))
	} else {
		var what []string
		for _, m := range moves {
			what = append(what, fmt.Sprintf("%s/%s %s", m.Env.Name, m.App, Versions(m.Values)))
		}
		fmt.Fprintf(&b, "%s\n\n", cut(fmt.Sprintf("update %d apps: %s", len(moves), strings.Join(what, ", ")), maxTitle))
	}
	for _, m := range moves {
		b.WriteString(messageBody(m))
	}
	b.WriteString("\n")
	for _, m := range moves {
		fmt.Fprintf(&b, "%s: %s\n%s: %s\n", trailerEnv, m.Env.Name, trailerApp, m.App)
		for _, p := range policiesOf(m.Edits) {
			fmt.Fprintf(&b, "%s: %s\n", trailerPolicy, p)
		}
		fmt.Fprintf(&b, "%s: %s\n%s: %s\n", trailerFrom, from(m), trailerContent, m.Content)
	}
	return b.String()
}

func from(m Move) string {
	if m.From == FromRegistry {
		return m.From
	}
	return m.From + "@" + m.FromCommit
}

func policiesOf(edits []patch.Edit) []string {
	set := map[string]bool{}
	for _, e := range edits {
		set[e.Policy] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// trailer returns the last value of a trailer in a commit message.
func trailer(message, key string) string {
	lines := strings.Split(strings.TrimRight(message, "\n"), "\n")
	for _, l := range slices.Backward(lines) {
		if v, ok := strings.CutPrefix(l, key+": "); ok {
			return v
		}
	}
	return ""
}

// Body is the text of a move's pull request: what changes, why, what it waits
// for, what a person can do. It ends with the hidden block. The state of the
// gates is in a comment of its own, so that the text stays as approved.
func Body(p Proposal, s Situation) string {
	m := p.Move
	var b strings.Builder
	fmt.Fprintf(&b, "Brings **%s** in **%s** to %s.\n\n", m.App, m.Env.Name, code(Versions(m.Values)))
	b.WriteString("| image | place | from | to |\n|---|---|---|---|\n")
	for _, e := range m.Edits {
		from, to := cells(e)
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(imageOf(s, e.Policy)), code(fmt.Sprintf("%s:%d", e.Path, e.Line)), code(from), code(to))
	}
	b.WriteString("\n### Why\n")
	for _, w := range m.Why {
		fmt.Fprintf(&b, "- %s\n", w)
	}
	if p.Supersedes != "" {
		fmt.Fprintf(&b, "- replaces %s, which this pull request carried before\n", code(p.Supersedes))
	}
	b.WriteString("\n### What it waits for\n")
	for _, g := range asks(m.Env) {
		fmt.Fprintf(&b, "- %s\n", g)
	}
	b.WriteString("\n### What you can do\n")
	for _, h := range howto(m, s.Config.Howto) {
		fmt.Fprintf(&b, "- %s\n", h)
	}
	b.WriteString("\n" + blockOf(p).String() + "\n")
	return b.String()
}

func blockOf(p Proposal) pr.Block {
	m := p.Move
	b := pr.Block{Env: m.Env.Name, App: m.App, Content: m.Content, From: m.From, FromCommit: m.FromCommit, Values: map[string]string{}, Policies: policiesOf(m.Edits)}
	for name, ref := range m.Values {
		b.Values[name] = ref.String()
	}
	for _, e := range m.Edits {
		b.Edits = append(b.Edits, fmt.Sprintf("%s:%d", e.Path, e.Line))
	}
	if p.Pull != 0 && p.Old.Content != m.Content {
		b.Supersedes = p.Old.Content
	}
	return b
}

// asks lists the gates of an environment in words.
func asks(env policy.Environment) []string {
	var out []string
	if env.Update == nil {
		from := env.From[0]
		out = append(out, fmt.Sprintf("**upstream**: %s holds exactly these values", from))
		if h := env.Gates.Healthy; h != nil {
			out = append(out, fmt.Sprintf("**healthy**: every cluster of %s runs them in health for %s", from, span(h.StableFor)))
		}
		if k := env.Gates.Soak; k != nil {
			out = append(out, fmt.Sprintf("**soak**: and has done so for %s without interruption", span(k.For)))
		}
	}
	if a := env.Gates.Approvals; a != nil {
		who := "anyone who may write here, but the author"
		if len(a.From) > 0 {
			who = code(strings.Join(a.From, ", "))
		}
		out = append(out, fmt.Sprintf("**approvals**: %d, by %s", a.Required, who))
	}
	return append(out, "**hold**: nobody holds it or asked for changes")
}

func howto(m Move, h Howto) []string {
	fill := func(s string) string { return strings.ReplaceAll(s, "KEY", m.Key()) }
	merge := "**merge**: nothing to do, it is merged as soon as everything above passes"
	if m.Env.Gates.Approvals != nil {
		merge = "**approve**: " + fill(cmp.Or(h.Approve, "give an approving review")) + "; it is merged as soon as everything above passes"
	}
	hold := fill(cmp.Or(h.Hold, "comment "+code("/hold")+" and why, and "+code("/release")+" to go on; the label "+code(pr.LabelHold)+" does the same"))
	reject := fill(cmp.Or(h.Reject, "close this pull request"))
	return []string{
		merge,
		"**hold**: " + hold,
		"**reject**: " + reject + "; exactly this is not proposed again, something newer is",
	}
}

func imageOf(s Situation, name string) string {
	if p, ok := findPolicy(s, name); ok {
		return p.Image.String()
	}
	return name
}

// cells shows the old and the new value of an edit: without the repository, as
// that has a column of its own, unless it is the repository that changes.
func cells(e patch.Edit) (from, to string) {
	if e.Part == patch.PartRef && repository(e.Old) != repository(e.New) {
		return e.Old, e.New
	}
	return cellOf(e.Old), cellOf(e.New)
}

// repository is a reference without its tag and digest.
func repository(v string) string {
	t := refTail(v)
	v, _, _ = strings.Cut(v, "@")
	return strings.TrimSuffix(v, ":"+t.tag)
}

// cellOf shows a value short enough for a table: the reference without its
// repository, which has a column of its own.
func cellOf(v string) string {
	t := refTail(v)
	switch {
	case t.tag != "" && t.digest != "":
		return t.tag + "@" + short(t.digest)
	case t.tag != "":
		return t.tag
	case t.digest != "":
		return short(t.digest)
	}
	return v
}

// code puts text into a code span that nothing in it can leave: no mention, no
// link, no table cell.
func code(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '`' || r == '|' || r == '\\':
			return '\''
		case r < ' ' || r == 0x7f || r == utf8.RuneError:
			return ' '
		}
		return r
	}, s)
	if strings.TrimSpace(s) == "" {
		return "–"
	}
	return "`" + s + "`"
}

// span prints a duration without its empty parts: 1h, not 1h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// cut shortens s to n runes.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// GateComment is the comment, edited in place, that lists every gate.
func GateComment(v Verdict) string {
	var b strings.Builder
	b.WriteString("| gate | state | |\n|---|---|---|\n")
	for _, g := range v.Gates {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", g.Gate, g.State, strings.ReplaceAll(g.Reason, "|", "/"))
	}
	return b.String()
}

// Status is the commit status of a verdict. What the forge itself waits for is no
// part of it: that may be this very status.
func Status(v Verdict, head string) pr.Check {
	c := pr.Check{Context: pr.StatusContext, Commit: head, State: pr.CheckSuccess, Description: "every gate passes"}
	missing := slices.DeleteFunc(v.Missing(), func(g GateResult) bool { return g.Gate == gateForge })
	if len(missing) > 0 {
		c.State = pr.CheckPending
		if v.Act == ActBlocked {
			c.State = pr.CheckFailure
		}
		c.Description = cut(missing[0].Gate+": "+missing[0].Reason, maxDescription)
	}
	return c
}
