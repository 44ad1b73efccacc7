package policy

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"
)

// Messages are templates for what commits and pull requests say. An empty one
// stands for Towpath's own words.
type Messages struct {
	Title string // of pull requests, and the subject of commits
	Body  string // of commits, between subject and trailers
}

// The limits of messages.
const (
	maxTitleTemplate = 1000     // bytes
	maxBodyTemplate  = 4 << 10  // bytes
	maxMessage       = 16 << 10 // bytes of what a template writes; the rest is cut
	maxMessageEdits  = 200      // edits that a template sees
	maxMessageText   = 2000     // bytes of one text that a function gives
)

// MessageData is what a template knows: one app's change in one environment.
type MessageData struct {
	Environment string
	App         string
	From        string // environment before, or registry
	Versions    string // "1.1.0", or "api 2.0.0, web 1.1.0" where there are several
	Edits       []MessageEdit
	Why         []string // one line per value
}

// MessageEdit is one changed value.
type MessageEdit struct {
	Path     string
	Line     int
	Old, New string
	Policy   string
}

// RenderTitle is the title for a change; "" when there is no template, or none
// that says something. Everything in it may be of any length and have lines.
func (m Messages) RenderTitle(data MessageData) string { return render(m.Title, data) }

// RenderBody is the body for a change, as RenderTitle.
func (m Messages) RenderBody(data MessageData) string { return render(m.Body, data) }

func render(text string, data MessageData) string {
	if text == "" {
		return ""
	}
	t, err := parseMessage(text)
	if err != nil {
		return "" // Load has refused it
	}
	data.Edits = data.Edits[:min(len(data.Edits), maxMessageEdits)]
	data.Why = data.Why[:min(len(data.Why), maxMessageEdits)]
	out := &bounded{left: maxMessage}
	if err := t.Execute(out, data); err != nil && !errors.Is(err, errFull) {
		return ""
	}
	return strings.ToValidUTF8(out.String(), "")
}

// errFull ends a template that writes too much.
var errFull = errors.New("the text is too long")

// bounded keeps the beginning of what is written.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	_, _ = b.Buffer.Write(p[:n]) // never fails
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// parseMessage parses a template that has passed every check but those of its
// fields.
func parseMessage(text string) (*template.Template, error) {
	return template.New("").Option("missingkey=error").Funcs(messageFuncs()).Parse(text)
}

// messageFuncs are the functions of templates. Each gives a text that is hardly
// longer than its arguments, and depends on nothing else.
func messageFuncs() template.FuncMap {
	short := func(s string) string {
		if len(s) > maxMessageText {
			s = strings.ToValidUTF8(s[:maxMessageText], "")
		}
		return s
	}
	return template.FuncMap{
		"lower": func(s string) string { return short(strings.ToLower(short(s))) },
		"upper": func(s string) string { return short(strings.ToUpper(short(s))) },
		"trim":  func(s string) string { return strings.TrimSpace(short(s)) },
		"cut": func(n int, s string) (string, error) {
			if n < 1 || n > maxMessageText {
				return "", fmt.Errorf("cut: want a length from 1 to %d, got %d", maxMessageText, n)
			}
			if s = short(s); utf8.RuneCountInString(s) > n {
				s = string([]rune(s)[:n-1]) + "…"
			}
			return s, nil
		},
		"join": func(sep string, list []string) string {
			if len(sep) > 10 {
				sep = sep[:10]
			}
			return short(strings.Join(list, sep))
		},
		"base": func(s string) string {
			s = short(s)
			return s[strings.LastIndexByte(s, '/')+1:]
		},
	}
}

// sampleMessages are changes that a template is tried on when it is loaded.
func sampleMessages() []MessageData {
	edit := MessageEdit{Path: "envs/dev/web/deployment.yaml", Line: 12, Old: "registry.example/web:1.0.0", New: "registry.example/web:1.1.0", Policy: "web"}
	one := MessageData{Environment: "dev", App: "web", From: "registry", Versions: "1.1.0", Edits: []MessageEdit{edit}, Why: []string{"policy `web` chose `1.1.0`"}}
	two := one
	two.From, two.Edits, two.Why = "dev", []MessageEdit{edit, edit}, []string{"a", "b"}
	return []MessageData{one, two}
}

// fieldType is the type of a field; false when there is none.
func fieldType(t reflect.Type, field string) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	f, ok := t.FieldByName(field)
	return f.Type, ok
}

// fieldsOf lists the fields of a type, for a hint.
func fieldsOf(t reflect.Type) []string {
	var out []string
	if t.Kind() == reflect.Struct {
		for f := range t.NumField() {
			out = append(out, "."+t.Field(f).Name)
		}
	}
	slices.Sort(out)
	return out
}
