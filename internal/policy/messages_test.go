package policy

import (
	"strings"
	"testing"
	"time"
)

func TestMessages(t *testing.T) {
	data := sampleMessages()[1]
	data.Edits[1].Path = "envs/dev/web/cron.yaml"
	for _, tt := range []struct{ name, text, want string }{
		{"fields", "{{.Environment}}: {{.App}} {{.Versions}} from {{.From}}", "dev: web 1.1.0 from dev"},
		{"a list", "{{range .Edits}}{{base .Path}}:{{.Line}} {{.Old}} -> {{.New}} ({{.Policy}}){{\"\\n\"}}{{end}}",
			"deployment.yaml:12 registry.example/web:1.0.0 -> registry.example/web:1.1.0 (web)\ncron.yaml:12 registry.example/web:1.0.0 -> registry.example/web:1.1.0 (web)\n"},
		{"the beginning from inside", "{{range $i, $e := .Edits}}{{$.App}}{{$i}}{{$e.Policy}} {{end}}", "web0web web1web "},
		{"functions", "{{upper .App}} {{lower \"A\"}} {{cut 3 .Versions}} {{join \", \" .Why}} {{trim \" x \"}}", "WEB a 1.… a, b x"},
		{"choices", "{{if eq .Environment \"prod\"}}!{{else if .Why}}{{len .Why}}{{else}}-{{end}}{{with .App}}{{.}}{{end}}", "2web"},
		{"one of a list", "{{(index .Edits 0).Path}} {{index .Why 0}}", "envs/dev/web/deployment.yaml a"},
		{"text alone", "bump", "bump"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if bad, line := checkMessage(tt.text); bad != nil {
				t.Fatalf("line %d: %s; %s", line, bad.reason, bad.hint)
			}
			m := Messages{Title: tt.text, Body: tt.text}
			if got := m.RenderTitle(data); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if m.RenderBody(data) != m.RenderTitle(data) {
				t.Error("title and body differ")
			}
		})
	}
}

// hostile are templates that would cost or reveal something.
func hostile() map[string]string {
	deep := strings.Repeat("{{range .Edits}}", 20) + "x" + strings.Repeat("{{end}}", 20)
	return map[string]string{
		"loops in loops":               deep,
		"a loop in the else of a loop": "{{range .Edits}}{{with .Path}}{{range $.Why}}x{{end}}{{end}}{{end}}",
		"a number of rounds":           "{{range 1000000000}}{{end}}x",
		"a number in a variable":       "{{$n := 1000000000}}{{range $n}}{{end}}x",
		"the length as rounds":         "{{range len .Edits}}{{end}}x",
		"a text as rounds":             "{{range .App}}{{end}}x",
		"a text that doubles":          "{{$x := .App}}{{$x = print $x $x}}{{$x}}",
		"a wide number":                "{{printf \"%900000d\" 1}}",
		"a call":                       "{{call .App}}x",
		"itself":                       "x{{template \"\" .}}",
		"a block":                      "{{block \"x\" .}}{{end}}",
		"a definition":                 "{{define \"x\"}}{{end}}y",
		"a method":                     "{{.Edits.Len}}",
		"a field of a text":            "{{.App.Foo}}",
		"a field of a list":            "{{.Edits.Path}}",
		"a field of nothing":           "{{(index .Edits 0).App}}",
		"an edit that is not there":    "{{(index .Edits 5).Path}}",
		"a huge cut":                   "{{cut 1000000000 .App}}",
		"HTML":                         "{{html .App}}",
		"an address":                   "{{urlquery .App}}",
		"slices":                       "{{slice .App 0 1}}",
		"a large number in a variable": "{{$x := 1000000000000}}{{range $x}}{{end}}b",
		"a number that a declaration in a branch hides": "{{$x := 1000000000000}}{{if .App}}{{$x := .Why}}{{end}}{{range $x}}{{end}}b",
		"a number that a branch not taken replaces":     "{{$x := 1000000000000}}{{if not .App}}{{$x = .Edits}}{{end}}{{range $x}}{{end}}b",
		"a number behind with":                          "{{with 1000000000000}}{{range .}}{{end}}{{end}}b",
		"a number that a function gives":                "{{range len .App}}{{end}}b",
	}
}

func TestHostileTemplatesAreRefused(t *testing.T) {
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			bad, line := checkMessage(text)
			if bad == nil || bad.reason == "" || bad.hint == "" || line < 1 {
				t.Errorf("%s: %+v in line %d", text, bad, line)
			}
		})
	}
}

func TestALongMessageIsCutAndCostsLittle(t *testing.T) {
	data := sampleMessages()[0]
	for range 100_000 {
		data.Edits = append(data.Edits, data.Edits[0])
	}
	text := "{{range .Edits}}" + strings.Repeat("{{upper .Path}}{{if .Old}}{{end}}", 100) + "{{end}}"
	if bad, _ := checkMessage(text); bad != nil {
		t.Fatal(bad.reason)
	}
	m := Messages{Body: text}
	if got := m.RenderBody(data); len(got) != maxMessage || !strings.HasPrefix(got, "ENVS/DEV/WEB/") {
		t.Errorf("%d bytes", len(got))
	}
}

func TestAPipelineGivesItsMessagesToItsEnvironments(t *testing.T) {
	c := Load([]File{{Path: "policies/p.yaml", Data: []byte("apiVersion: towpath.dev/v1\nkind: Pipeline\nmetadata: {name: p}\nspec:\n  branch: main\n  environments:\n" +
		"  - {name: dev, path: envs/dev, merge: push, update: {policies: [\"*\"]}}\n  messages:\n    title: \"{{.App}}\"\n    body: |\n      a\n      {{.Versions}}\n")}})
	if len(c.Problems) > 0 {
		t.Fatal(c.Problems)
	}
	want := Messages{Title: "{{.App}}", Body: "a\n{{.Versions}}\n"}
	if p := c.Pipelines[0]; p.Messages != want || p.Environments[0].Messages != want {
		t.Errorf("%+v", p)
	}
	again := Load([]File{{Path: "policies/p.yaml", Data: FormatPipeline(c.Pipelines[0])}})
	if len(again.Problems) > 0 || again.Pipelines[0].Messages != want {
		t.Errorf("written and read again: %+v", again)
	}
}

// FuzzMessages: what is taken renders within the limits, soon, and always the same.
func FuzzMessages(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text, "web")
	}
	f.Add("{{range $i, $e := .Edits}}{{$e.Path}}{{break}}{{else}}{{.App}}{{end}}", "a\nb")
	f.Add("{{with $x := .Why}}{{join \"-\" $x}}{{end}}", "\x00")
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(text) > maxBodyTemplate {
			return
		}
		bad, line := checkMessage(text)
		if bad != nil {
			if line < 0 || line > 1+strings.Count(text, "\n") {
				t.Errorf("line %d of %q", line, text)
			}
			return
		}
		data := sampleMessages()[1]
		data.App, data.Edits[0].New, data.Why = value, value, []string{value, value}
		began := time.Now()
		m := Messages{Body: text}
		got := m.RenderBody(data)
		if len(got) > maxMessage || got != m.RenderBody(data) {
			t.Errorf("%d bytes, or another text the second time", len(got))
		}
		if time.Since(began) > 10*time.Second {
			t.Errorf("took %s", time.Since(began))
		}
	})
}
