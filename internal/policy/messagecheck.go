package policy

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"go.yaml.in/yaml/v3"
)

// messageWords are the functions of text/template itself that a message may use.
// print and its like are not among them: with them a text could double itself.
var messageWords = []string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index"}

// messages reads the templates of a pipeline.
func (d *document) messages(n *yaml.Node) Messages {
	var m Messages
	d.mapping(n, "messages",
		field{"title", "", func(n *yaml.Node) { m.Title = d.message(n, "title", maxTitleTemplate) }},
		field{"body", "", func(n *yaml.Node) { m.Body = d.message(n, "body", maxBodyTemplate) }},
	)
	return m
}

// message reads one template and tries it.
func (d *document) message(n *yaml.Node, what string, most int) string {
	text, ok := d.text(n, "messages."+what)
	if !ok {
		return ""
	}
	if len(text) > most {
		d.fail(n, fmt.Sprintf("messages.%s: the template is longer than %d bytes", what, most), "shorten it")
		return ""
	}
	if bad, at := checkMessage(text); bad != nil {
		where := d.place(n)
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			where = place{where.line + at, 1}
		}
		d.failAt(where, fmt.Sprintf("messages.%s: %s", what, bad.reason), bad.hint)
		return ""
	}
	return text
}

var templateLine = regexp.MustCompile(`^template: :(\d+)(?::\d+)?: `)

// checkMessage says what is wrong with a template, and in which of its lines.
func checkMessage(text string) (bad *flaw, line int) {
	t, err := parseMessage(text)
	if err != nil {
		reason := err.Error()
		if m := templateLine.FindStringSubmatch(reason); m != nil {
			line, _ = strconv.Atoi(m[1])
			reason = reason[len(m[0]):]
		}
		return &flaw{reason, "the actions are those of Go's text/template; docs/guides/approvals-and-commands.md shows some"}, line
	}
	if len(t.Templates()) > 1 {
		return &flaw{"a template that defines another", "write it out where it is used"}, 1
	}
	if t.Tree == nil || t.Root == nil {
		return &flaw{"the template says nothing", "write a text, or remove the key"}, 1
	}
	top := reflect.TypeFor[MessageData]()
	w := messageWalk{text: text, vars: map[string]reflect.Type{"$": top}}
	w.list(t.Root, top)
	if w.bad != nil {
		return w.bad, w.line
	}
	for _, data := range sampleMessages() {
		out := &bounded{left: maxMessage}
		if err := t.Execute(out, data); err != nil {
			reason := err.Error()
			if m := templateLine.FindStringSubmatch(reason); m != nil {
				line, _ = strconv.Atoi(m[1])
				reason = reason[len(m[0]):]
			}
			return &flaw{reason, "try it with one edit and with two"}, line
		}
		if strings.TrimSpace(out.String()) == "" {
			return &flaw{"the template says nothing of a change", "write a text, or remove the key"}, 1
		}
	}
	return nil, 0
}

// messageWalk looks through a template for what it may not do and for fields that
// there are not. A nil type is not known, and has no fields.
type messageWalk struct {
	text    string
	vars    map[string]reflect.Type
	ranging bool
	bad     *flaw
	line    int
}

func (w *messageWalk) refuse(n parse.Node, reason, hint string) {
	if w.bad == nil {
		at := min(int(n.Position()), len(w.text))
		w.bad, w.line = &flaw{reason, hint}, 1+strings.Count(w.text[:at], "\n")
	}
}

func (w *messageWalk) list(l *parse.ListNode, dot reflect.Type) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		w.node(n, dot)
	}
}

func (w *messageWalk) node(n parse.Node, dot reflect.Type) {
	switch n := n.(type) {
	case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
	case *parse.ActionNode:
		w.pipe(n.Pipe, dot)
	case *parse.IfNode:
		w.pipe(n.Pipe, dot)
		w.list(n.List, dot)
		w.list(n.ElseList, dot)
	case *parse.WithNode:
		w.list(n.List, w.pipe(n.Pipe, dot))
		w.list(n.ElseList, dot)
	case *parse.RangeNode:
		w.rangeOver(n, dot)
	default:
		w.refuse(n, fmt.Sprintf("%s is not for messages", n), "define, template and block are not known here; write it out")
	}
}

// rangeOver checks a loop: over a list of the data, and in no other loop, so that
// its length is that of the list.
func (w *messageWalk) rangeOver(n *parse.RangeNode, dot reflect.Type) {
	if w.ranging {
		w.refuse(n, "a range inside a range", "write one after the other")
		return
	}
	if !isField(n.Pipe) {
		w.refuse(n, "range over something else than a field", "write {{range .Edits}} or {{range $.Why}}")
		return
	}
	over := w.pipe(&parse.PipeNode{NodeType: parse.NodePipe, Pos: n.Pipe.Pos, Line: n.Pipe.Line, Cmds: n.Pipe.Cmds}, dot)
	if over == nil || over.Kind() != reflect.Slice {
		w.refuse(n, "range over something else than a list", "write {{range .Edits}} or {{range .Why}}")
		return
	}
	for i, v := range n.Pipe.Decl {
		is := over.Elem()
		if i == 0 && len(n.Pipe.Decl) == 2 {
			is = nil
		}
		w.vars[v.Ident[0]] = is
	}
	w.ranging = true
	w.list(n.List, over.Elem())
	w.ranging = false
	w.list(n.ElseList, dot)
}

// isField reports whether a pipeline is nothing but a field of the data, so that
// it is a list of the data or fails when it runs.
func isField(p *parse.PipeNode) bool {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return false
	}
	switch n := p.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		return true
	case *parse.VariableNode:
		return len(n.Ident) > 1
	}
	return false
}

// pipe checks a pipeline and returns the type of its value, as far as it is known.
func (w *messageWalk) pipe(p *parse.PipeNode, dot reflect.Type) reflect.Type {
	if p == nil {
		return nil
	}
	var is reflect.Type
	for i, c := range p.Cmds {
		is = nil
		for j, arg := range c.Args {
			t := w.value(arg, dot)
			if i == 0 && j == 0 && len(c.Args) == 1 {
				is = t
			}
		}
	}
	for _, v := range p.Decl {
		w.vars[v.Ident[0]] = is
	}
	return is
}

func (w *messageWalk) value(n parse.Node, dot reflect.Type) reflect.Type {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.FieldNode:
		return w.fields(n, dot, n.Ident)
	case *parse.VariableNode:
		return w.fields(n, w.vars[n.Ident[0]], n.Ident[1:])
	case *parse.ChainNode:
		w.value(n.Node, dot)
		return w.fields(n, reflect.TypeFor[MessageEdit](), n.Field) // all that a bracket can give with fields
	case *parse.PipeNode:
		return w.pipe(n, dot)
	case *parse.IdentifierNode:
		own := slices.Sorted(maps.Keys(messageFuncs()))
		if all := slices.Concat(own, messageWords); !slices.Contains(all, n.Ident) {
			w.refuse(n, fmt.Sprintf("the function %q is not for messages", n.Ident), "the functions are "+list(all))
		}
	}
	return nil
}

// fields follows a chain of fields.
func (w *messageWalk) fields(n parse.Node, from reflect.Type, chain []string) reflect.Type {
	for _, name := range chain {
		if from == nil {
			w.refuse(n, fmt.Sprintf("%s: nothing here has a field %s", n, name), "take it from the beginning: $.App")
			return nil
		}
		next, ok := fieldType(from, name)
		if !ok {
			hint := "the fields here are " + list(fieldsOf(from))
			if from.Kind() != reflect.Struct {
				hint = "take it from the beginning: $.App"
			}
			w.refuse(n, fmt.Sprintf("%s: there is no field %s here", n, name), hint)
			return nil
		}
		from = next
	}
	return from
}
