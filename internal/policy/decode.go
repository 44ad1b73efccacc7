package policy

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// The limits of one document.
const (
	maxValues   = 100_000 // values after following aliases
	maxProblems = 20      // problems shown
)

// document is one document being decoded. Its methods read a node as one type and
// note a Problem when it is not; a document with a Problem is not used.
type document struct {
	path     string
	offset   int // lines before the document
	object   string
	problems []Problem
	hidden   int // problems beyond maxProblems
	values   int
}

// place is a position in a file.
type place struct{ line, column int }

func (d *document) place(n *yaml.Node) place {
	return place{line: d.offset + max(n.Line, 1), column: max(n.Column, 1)}
}

func (d *document) source(n *yaml.Node) Source {
	return Source{Path: d.path, Line: d.place(n).line}
}

// fail notes a problem of a value at a node.
func (d *document) fail(n *yaml.Node, reason, hint string) {
	d.failAt(d.place(n), reason, hint)
}

// misshapen notes a problem of structure at a node: the JSON Schema must refuse
// it, too, and a fuzz test holds it to that.
func (d *document) misshapen(n *yaml.Node, reason, hint string) {
	d.note(d.place(n), Problem{Reason: reason, Hint: hint, Structure: true})
}

func (d *document) failAt(at place, reason, hint string) {
	d.note(at, Problem{Reason: reason, Hint: hint})
}

// warn notes something that does not disable the document.
func (d *document) warn(at place, reason, hint string) {
	d.note(at, Problem{Reason: reason, Hint: hint, Warning: true})
}

// note keeps a problem with its place and object.
func (d *document) note(at place, p Problem) {
	if len(d.problems) >= maxProblems && !p.Warning {
		d.hidden++
		return
	}
	p.Path, p.Line, p.Column, p.Object = d.path, at.line, at.column, d.object
	p.Reason, p.Hint = oneLine(p.Reason), oneLine(p.Hint)
	d.problems = append(d.problems, p)
}

func (d *document) bad() bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return !p.Warning })
}

// oneLine keeps a text of the user's from breaking the line or flooding it.
func oneLine(s string) string {
	const most = 400
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// field is one key a mapping may have.
type field struct {
	key      string
	required string                 // when not empty: an example of what to write
	read     func(value *yaml.Node) // nil: the key exists in Towpath but not in this version
}

// mapping reads a mapping strictly: known keys, each at most once, each with a
// value, none missing.
func (d *document) mapping(n *yaml.Node, what string, fields ...field) bool {
	n, ok := d.resolve(n)
	if !ok || d.merges(n) {
		return false
	}
	if n.Kind != yaml.MappingNode || n.ShortTag() != "!!map" {
		d.misshapen(n, fmt.Sprintf("%s: want a mapping, got %s", what, describe(n)), keysHint("here", fields))
		return false
	}
	seen := map[string]place{} // and the keys that were meant: their absence is no second problem
	for i := 0; i+1 < len(n.Content); i += 2 {
		d.entry(n.Content[i], n.Content[i+1], what, fields, seen)
	}
	for _, f := range fields {
		if _, ok := seen[f.key]; !ok && f.required != "" {
			d.misshapen(n, fmt.Sprintf("%s: %s is missing", what, f.key), "add "+f.required)
		}
	}
	return true
}

// merges refuses a mapping with a merge key.
func (d *document) merges(n *yaml.Node) bool {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() == "!!merge" {
			d.fail(n.Content[i], "merge keys (<<) are not supported", "write the keys out")
			return true
		}
	}
	return false
}

func (d *document) entry(key, value *yaml.Node, what string, fields []field, seen map[string]place) {
	if key.Kind == yaml.AliasNode || key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
		d.fail(key, fmt.Sprintf("%s: want a key, got %s", what, describe(key)), keysHint("here", fields))
		return
	}
	if at, ok := seen[key.Value]; ok {
		d.fail(key, fmt.Sprintf("duplicate key %q", key.Value), fmt.Sprintf("the first one is in line %d; remove one", at.line))
		return
	}
	seen[key.Value] = d.place(key)
	i := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
	if i < 0 {
		seen[d.unknownKey(key, what, fields)] = d.place(key)
		return
	}
	if fields[i].read == nil {
		d.misshapen(key, fmt.Sprintf("not supported by this version: %s in %s", key.Value, what), "remove it")
		return
	}
	value, ok := d.resolve(value)
	if !ok {
		return
	}
	if isNull(value) {
		d.misshapen(key, fmt.Sprintf("%s: %s has no value", what, key.Value), "write one or remove the key")
		return
	}
	fields[i].read(value)
}

// unknownKey returns the key that was probably meant.
func (d *document) unknownKey(key *yaml.Node, what string, fields []field) (meant string) {
	hint := keysHint("of "+what, fields)
	near, ok := Nearest(key.Value, keysOf(fields))
	if ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	d.misshapen(key, fmt.Sprintf("unknown key %q", key.Value), hint)
	return near
}

// keysOf are the keys that can be written.
func keysOf(fields []field) []string {
	var keys []string
	for _, f := range fields {
		if f.read != nil {
			keys = append(keys, f.key)
		}
	}
	return keys
}

func keysHint(where string, fields []field) string {
	keys := keysOf(fields)
	if len(keys) == 1 {
		return fmt.Sprintf("the only key %s is %s", where, keys[0])
	}
	return fmt.Sprintf("the keys %s are %s", where, list(keys))
}

// resolve follows an alias and counts: a small file can name itself a billion
// times.
func (d *document) resolve(n *yaml.Node) (*yaml.Node, bool) {
	d.values++
	if d.values == maxValues {
		d.fail(n, fmt.Sprintf("more than %d values after following aliases", maxValues), "write the values out instead of *aliases, or split the document")
	}
	if d.values >= maxValues {
		return n, false
	}
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias, true
	}
	return n, true
}

// sequence calls read for every item of a list.
func (d *document) sequence(n *yaml.Node, what, example string, read func(i int, item *yaml.Node)) bool {
	if n.Kind != yaml.SequenceNode || n.ShortTag() != "!!seq" {
		d.misshapen(n, fmt.Sprintf("%s: want a list, got %s", what, describe(n)), "write it like "+example)
		return false
	}
	for i, item := range n.Content {
		item, ok := d.resolve(item)
		if !ok {
			return false
		}
		read(i, item)
	}
	return true
}

// text reads a string. A number or a date is refused rather than spelled
// back, because 1.10 and 1.1 are the same number.
func (d *document) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		hint := "write a text"
		if n.Kind == yaml.ScalarNode && n.Value != "" {
			hint = fmt.Sprintf("put it in quotes: %q", n.Value)
		}
		d.misshapen(n, fmt.Sprintf("%s: want a text, got %s", what, describe(n)), hint)
		return "", false
	}
	if strings.TrimSpace(n.Value) == "" {
		empty := Problem{Reason: what + ": the text is empty", Hint: "write one or remove the key", Structure: n.Value == ""}
		d.note(d.place(n), empty)
		return "", false
	}
	return n.Value, true
}

func (d *document) boolean(n *yaml.Node, what string) (bool, bool) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		if v, err := strconv.ParseBool(strings.ToLower(n.Value)); err == nil {
			return v, true
		}
	}
	d.misshapen(n, fmt.Sprintf("%s: want true or false, got %s", what, describe(n)), "write true or false, without quotes")
	return false, false
}

func (d *document) integer(n *yaml.Node, what string, least, most int) (int, bool) {
	v, err := strconv.Atoi(n.Value)
	inside := v >= least && v <= most
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && err == nil && inside && strconv.Itoa(v) == n.Value {
		return v, true
	}
	// 0x10, 010 and 2.0 are good numbers in some reader of YAML or JSON.
	var number float64
	odd := n.Kind == yaml.ScalarNode && n.Decode(&number) == nil && number >= float64(least) && number <= float64(most) && number == math.Trunc(number)
	d.note(d.place(n), Problem{
		Reason: fmt.Sprintf("%s: want a whole number, got %s", what, describe(n)),
		Hint:   fmt.Sprintf("write one from %d to %d, without quotes", least, most), Structure: !odd,
	})
	return 0, false
}

func (d *document) duration(n *yaml.Node, what string) (time.Duration, bool) {
	const hint = "write one like 30s, 5m or 24h"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.misshapen(n, fmt.Sprintf("%s: want a duration, got %s", what, describe(n)), hint)
		return 0, false
	}
	v, err := time.ParseDuration(n.Value)
	number, days := strings.CutSuffix(n.Value, "d")
	count, notNumber := strconv.ParseUint(number, 10, 16)
	switch {
	case err != nil && days && notNumber == nil:
		d.fail(n, fmt.Sprintf("%s: bad duration %q", what, n.Value), fmt.Sprintf("there is no unit for days; write %dh", 24*count))
	case err != nil:
		d.fail(n, fmt.Sprintf("%s: bad duration %q", what, n.Value), hint)
	case strings.HasPrefix(n.Value, "-"):
		d.fail(n, fmt.Sprintf("%s: the duration %s is negative", what, n.Value), hint)
	default:
		return v, true
	}
	return 0, false
}

// choice reads one of a few words.
func (d *document) choice(n *yaml.Node, what string, words ...string) (string, bool) {
	s, ok := d.text(n, what)
	if !ok || slices.Contains(words, s) {
		return s, ok
	}
	hint := "write one of " + list(words)
	if near, ok := Nearest(s, words); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	d.misshapen(n, fmt.Sprintf("%s: unknown value %q", what, s), hint)
	return "", false
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// describe names what is there, in the words of someone who writes YAML.
func describe(n *yaml.Node) string {
	if tag := n.ShortTag(); strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") {
		return "a value tagged " + tag
	}
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	names := map[string]string{"!!null": "nothing", "!!bool": "the truth value", "!!int": "the number", "!!float": "the number",
		"!!timestamp": "the date", "!!str": "the text"}
	name := cmp.Or(names[n.ShortTag()], "the value")
	if isNull(n) {
		return name
	}
	if n.ShortTag() == "!!str" {
		return fmt.Sprintf("%s %q", name, n.Value)
	}
	return name + " " + n.Value
}

// list is "a", "a and b", "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
