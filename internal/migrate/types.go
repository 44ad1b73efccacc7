package migrate

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mistake is a value of another type than belongs in its place. An API server refuses
// such an object, so nothing can be said to have worked.
type mistake struct {
	v    value
	want string
}

func (m mistake) String() string {
	is := map[yaml.Kind]string{yaml.ScalarNode: "a text", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}[m.v.n.Kind]
	return fmt.Sprintf("%s: it is %s, where %s belongs, so it is not carried over; correct it", strings.TrimPrefix(m.v.path, "spec."), is, m.want)
}

// is tells whether a value is of the kind that it is read as. One that is not is a
// mistake of its object.
func (v value) is(kind yaml.Kind, want string) bool {
	if v.n == nil || v.n.Kind == kind {
		return v.n != nil
	}
	if !v.o.misread[v.n] {
		if v.o.misread == nil {
			v.o.misread = map[*yaml.Node]bool{}
		}
		v.o.misread[v.n] = true
		v.o.mistakes = append(v.o.mistakes, mistake{v, want})
	}
	return false
}

func (v value) isText() bool    { return v.is(yaml.ScalarNode, "a text") }
func (v value) isList() bool    { return v.is(yaml.SequenceNode, "a list") }
func (v value) isMapping() bool { return v.is(yaml.MappingNode, "a mapping") }

// mistakes notes the values of another type than belongs in their places, and returns
// what was said.
func (c *collector) mistakes(o *object) []string {
	var out []string
	for _, m := range o.mistakes {
		out = append(out, c.note(o, m.v.line(), m.String()))
	}
	return out
}

// boolean reads what kubectl reads as one, which is YAML 1.1's: yes and on, too. What
// is not there is false. It is not sure of anything else, a text in quotes for one.
func (v value) boolean() (on, sure bool) {
	if v.n == nil {
		return false, true
	}
	if !v.isText() || v.n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 || v.n.ShortTag() == "!!str" && v.n.Style&yaml.TaggedStyle != 0 {
		return false, false
	}
	switch v.n.Value {
	case "true", "True", "TRUE", "yes", "Yes", "YES", "y", "Y", "on", "On", "ON":
		return true, true
	case "false", "False", "FALSE", "no", "No", "NO", "n", "N", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

// notBoolean says what is wrong with a value that boolean is not sure of.
func (v value) notBoolean() string {
	what := "it"
	if v.n.Kind == yaml.ScalarNode {
		what = fmt.Sprintf("%q", short(v.n.Value))
	}
	return fmt.Sprintf("%s: %s is neither true nor false", strings.TrimPrefix(v.path, "spec."), what)
}
