package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// The line that editors look for.
const modeline = "# yaml-language-server: $schema=https://towpath.dev/schema/v1/%s.json\n"

// maxListLine is the length in bytes from which a list is written one entry a line.
const maxListLine = 100

// Format writes a policy as a person would: one document with the line that editors
// look for, the comments, and only the keys that differ from their defaults. A zero
// value stands for its default. Load reads the same policy again, but for its Source;
// a policy that is wrong is written as it is, and Load says what is wrong with it.
// A comment may have several lines.
func Format(p Policy, comments ...string) []byte {
	var w writer
	w.head("imagepolicy", kindImagePolicy, p.Name, comments)
	w.line(1, "image: %s", plain(p.Image.String()))
	if p.Schedule != "" && p.Schedule != DefaultSchedule {
		w.line(1, "schedule: %s", quoted(p.Schedule))
	}
	w.line(1, "select:")
	w.selector(p)
	if p.Filter != nil {
		w.line(1, "filter:")
		w.line(2, "pattern: %s", singleQuoted(p.Filter.Pattern))
		if p.Filter.Extract != "" {
			w.line(2, "extract: %s", singleQuoted(p.Filter.Extract))
		}
	}
	var excludes []string
	for _, e := range p.Exclude {
		excludes = append(excludes, quoted(e.Text))
	}
	w.list(1, "exclude", excludes)
	if p.Lane != "" && p.Lane != LaneStrict {
		w.line(1, "lane: %s", plain(string(p.Lane)))
	}
	var platforms []string
	for _, platform := range p.Platforms {
		platforms = append(platforms, plain(platform.String()))
	}
	w.list(1, "platforms", platforms)
	if p.MinAge != 0 {
		w.line(1, "minAge: %s", duration(p.MinAge))
	}
	if p.DigestTag == "" && p.Pin != "" && p.Pin != PinTag {
		w.line(1, "pin: %s", plain(string(p.Pin)))
	}
	if p.RefreshDigest {
		w.line(1, "refreshDigest: true")
	}
	if p.AllowDowngrade {
		w.line(1, "allowDowngrade: true")
	}
	return []byte(w.String())
}

// FormatPipeline writes a pipeline as Format does a policy.
func FormatPipeline(pl Pipeline, comments ...string) []byte {
	var w writer
	w.head("pipeline", kindPipeline, pl.Name, comments)
	w.line(1, "branch: %s", plain(pl.Branch))
	if m := pl.Messages; m != (Messages{}) {
		w.line(1, "messages:")
		if m.Title != "" {
			w.line(2, "title: %s", quoted(m.Title))
		}
		if m.Body != "" {
			w.line(2, "body: %s", quoted(m.Body))
		}
	}
	w.line(1, "environments:")
	for _, e := range pl.Environments {
		w.environment(e)
	}
	return []byte(w.String())
}

// writer collects the lines of a document.
type writer struct{ strings.Builder }

// line writes one line; every level is two spaces.
func (w *writer) line(level int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", level))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

func (w *writer) head(schema, kind, name string, comments []string) {
	fmt.Fprintf(w, modeline, schema)
	for _, comment := range comments {
		for text := range strings.SplitSeq(comment, "\n") {
			w.line(0, "%s", strings.TrimRight("# "+oneLineOf(text), " "))
		}
	}
	w.line(0, "apiVersion: %s", apiVersion)
	w.line(0, "kind: %s", kind)
	w.line(0, "metadata: {name: %s}", plain(name))
	w.line(0, "spec:")
}

// oneLineOf keeps what is in a comment from ending it, and from being a character
// that YAML does not allow.
func oneLineOf(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}

func (w *writer) selector(p Policy) {
	if s := p.Semver; s != nil {
		more := ""
		if s.Prereleases {
			more = ", prereleases: true"
		}
		w.line(2, "semver: {range: %s%s}", quoted(s.Range), more)
	}
	if p.Calver != nil {
		w.line(2, "calver: {layout: %s}", quoted(p.Calver.Layout))
	}
	if p.Numerical != nil {
		w.line(2, "numerical: {order: %s}", orderText(p.Numerical.Order))
	}
	if p.Alphabetical != nil {
		w.line(2, "alphabetical: {order: %s}", orderText(p.Alphabetical.Order))
	}
	if p.DigestTag != "" {
		w.line(2, "digest: {tag: %s}", plain(string(p.DigestTag)))
	}
}

func orderText(o Order) string {
	if o == "" {
		o = OrderNewest
	}
	return plain(string(o))
}

// list writes a list of texts that are ready to write, if there are any.
func (w *writer) list(level int, key string, items []string) {
	if len(items) == 0 {
		return
	}
	if joined := strings.Join(items, ", "); len(joined) <= maxListLine {
		w.line(level, "%s: [%s]", key, joined)
		return
	}
	w.line(level, "%s:", key)
	for _, item := range items {
		w.line(level+1, "- %s", item)
	}
}

func (w *writer) environment(e Environment) {
	w.line(2, "- name: %s", plain(e.Name))
	w.line(3, "path: %s", plain(e.Path))
	if e.Update != nil {
		names := plainAll(e.Update.Policies)
		if joined := strings.Join(names, ", "); len(joined) <= maxListLine {
			w.line(3, "update: {policies: [%s]}", joined)
		} else {
			w.line(3, "update:")
			w.list(4, "policies", names)
		}
	}
	w.list(3, "from", plainAll(e.From))
	w.line(3, "merge: %s", plain(string(e.Merge)))
	if e.OnNewVersion != "" && e.OnNewVersion != Supersede {
		w.line(3, "onNewVersion: %s", plain(e.OnNewVersion))
	}
	w.gates(e)
}

func (w *writer) gates(e Environment) {
	g := e.Gates
	if a := g.Approvals; a != nil && e.Merge == MergeApproval && a.Required == 1 && len(a.From) == 0 && a.PreventSelfReview {
		g.Approvals = nil // what merge: approval means by itself
	}
	if g == (Gates{}) {
		return
	}
	w.line(3, "gates:")
	if a := g.Approvals; a != nil {
		w.approvals(a)
	}
	switch h := g.Healthy; {
	case h == nil:
	case h.StableFor == 0:
		w.line(4, "healthy: {}")
	default:
		w.line(4, "healthy: {stableFor: %s}", duration(h.StableFor))
	}
	if g.Soak != nil {
		w.line(4, "soak: {for: %s}", duration(g.Soak.For))
	}
}

func (w *writer) approvals(a *Approvals) {
	required := max(a.Required, 1)
	from, self := strings.Join(plainAll(a.From), ", "), a.PreventSelfReview
	switch {
	case len(from) > maxListLine || !self:
		w.line(4, "approvals:")
		w.line(5, "required: %d", required)
		w.list(5, "from", plainAll(a.From))
		if !self {
			w.line(5, "preventSelfReview: false")
		}
	case from != "":
		w.line(4, "approvals: {required: %d, from: [%s]}", required, from)
	default:
		w.line(4, "approvals: {required: %d}", required)
	}
}

// duration is "24h" rather than "24h0m0s".
func duration(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"0s", "0m"} {
		unit := len(s) - len(zero)
		if strings.HasSuffix(s, zero) && unit > 0 && (s[unit-1] == 'm' || s[unit-1] == 'h') {
			s = s[:unit]
		}
	}
	return s
}

func plainAll(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, plain(s))
	}
	return out
}

// Texts that need no quotes in any place, unless they mean something else.
var (
	plainText  = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_./-]*[A-Za-z0-9_])?(:[0-9]+/[A-Za-z0-9_./-]+)?$`)
	numberText = regexp.MustCompile(`^[0-9_.:eExXoO+-]+$`)
)

// plain writes a text without quotes if every reader of YAML takes it for a text.
func plain(s string) string {
	var n yaml.Node
	switch {
	case !plainText.MatchString(s), numberText.MatchString(s), yaml.Unmarshal([]byte(s), &n) != nil:
		return quoted(s)
	}
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off":
		return quoted(s)
	}
	if len(n.Content) != 1 || n.Content[0].ShortTag() != "!!str" || n.Content[0].Value != s {
		return quoted(s)
	}
	return s
}

// quoted writes a text in the quotes that need no escapes, if there are such.
func quoted(s string) string {
	if strings.ContainsAny(s, `"\`) && printable(s) {
		return singleQuoted(s)
	}
	return strconv.Quote(s)
}

// singleQuoted is for expressions, in which a backslash is nothing special.
func singleQuoted(s string) string {
	if !printable(s) {
		return strconv.Quote(s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}
