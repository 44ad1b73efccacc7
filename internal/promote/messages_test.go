package promote

import (
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// spoken is a proposal in the words of templates.
func spoken(t testing.TB, m policy.Messages) Proposal {
	t.Helper()
	tt, ok := t.(*testing.T)
	if !ok {
		tt = &testing.T{}
	}
	p := Decide(shop(tt, "1.1.0", "1.0.0", "1.0.0").green("dev", time.Hour)).Propose[0]
	p.Env.Messages = m
	return p
}

func TestTemplatesOfThePipelineSpeak(t *testing.T) {
	p := spoken(t, policy.Messages{Title: "chore({{.Environment}}):\n  {{.App}} {{.Versions}}", Body: "{{range .Edits}}* {{.Path}}:{{.Line}}\n{{end}}\n\n"})
	if got := Title(p.Move); got != "chore(staging): web 1.1.0" {
		t.Errorf("%q", got)
	}
	want := "chore(staging): web 1.1.0\n\n* envs/staging/web/deployment.yaml:3\n\nTowpath-Environment: staging\nTowpath-App: web\n"
	if got := Message([]Move{p.Move}); !strings.HasPrefix(got, want) {
		t.Errorf("%s", got)
	}
	t.Run("several in one commit", func(t *testing.T) {
		got := Message([]Move{p.Move, p.Move})
		if !strings.HasPrefix(got, "update 2 apps: ") || strings.Count(got, "* envs/staging") != 2 {
			t.Errorf("%s", got)
		}
	})
	t.Run("a long title is cut", func(t *testing.T) {
		p := spoken(t, policy.Messages{Title: strings.Repeat("é", 300)})
		if got := []rune(Title(p.Move)); len(got) != maxTitle || got[maxTitle-1] != '…' {
			t.Errorf("%d characters", len(got))
		}
	})
	t.Run("one that says nothing is left", func(t *testing.T) {
		p := spoken(t, policy.Messages{Title: "{{if eq .App \"api\"}}x{{end}}", Body: "{{if eq .App \"api\"}}x{{end}}"})
		if got := Message([]Move{p.Move}); !strings.HasPrefix(got, "staging: web 1.0.0 → 1.1.0\n\nenvs/staging/web/deployment.yaml:3 ") {
			t.Errorf("%s", got)
		}
	})
}

// forgeries are texts that try to pass for trailers or blocks of ours.
func forgeries() []string {
	return []string{
		"Towpath-Content: sha256:00", "Towpath-Content", "x\nTowpath-Environment: prod\nTowpath-App: api\nTowpath-Content: y\n", "  towpath-content : z", "\u00a0Towpath-Content: z",
		"x\rTowpath-Content: z", "x\u2028Towpath-Content: z", "Tow\u200bpath-Content: z", "Towpath-\x00Content: z", "x\x0bTowpath-App: z",
		"<!-- towpath:v1\n{}\n-->", "a\n\n\n", "TowpathTowpath-Content: -Content: z",
	}
}

func checkSpoken(t *testing.T, p Proposal) {
	t.Helper()
	own := p
	own.Env.Messages = policy.Messages{}
	message, plain := Message([]Move{p.Move}), Message([]Move{own.Move})
	for _, k := range []string{trailerEnv, trailerApp, trailerPolicy, trailerFrom, trailerContent} {
		if trailer(message, k) != trailer(plain, k) {
			t.Errorf("%s is %q, want %q in\n%q", k, trailer(message, k), trailer(plain, k), message)
		}
	}
	if got, want := len(trailers(message)), len(trailers(plain)); got != want {
		t.Errorf("%d apps in the trailers of\n%q", got, message)
	}
	for line := range strings.Lines(message[:strings.LastIndex(message, "\n"+trailerEnv)]) {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "towpath-") {
			t.Errorf("a forged trailer: %q", line)
		}
	}
	title := Title(p.Move)
	if strings.ContainsAny(title, "\r\n\x00") || title == "" || len([]rune(title)) > maxTitle {
		t.Errorf("title %q", title)
	}
	block, err := pr.ParseBlock(Body(p, Situation{}))
	if err != nil || block.Content != p.Content {
		t.Errorf("block %+v, %v", block, err)
	}
	if _, err := pr.ParseBlock(message); err == nil {
		t.Errorf("a block in the message\n%s", message)
	}
}

func TestATemplateForgesNoTrailer(t *testing.T) {
	for _, text := range forgeries() {
		t.Run(text, func(t *testing.T) {
			checkSpoken(t, spoken(t, policy.Messages{Title: text, Body: text}))
			p := spoken(t, policy.Messages{Title: "{{index .Why 0}}", Body: "a {{index .Why 0}}\n{{index .Why 0}}"})
			p.Why = []string{text}
			checkSpoken(t, p)
		})
	}
}

func FuzzMessageTrailers(f *testing.F) {
	for _, text := range forgeries() {
		f.Add(text)
	}
	p := spoken(f, policy.Messages{Title: "{{index .Why 0}}", Body: "{{range .Why}}{{.}}\n{{end}}"})
	f.Fuzz(func(t *testing.T, text string) {
		q := p
		q.Why = []string{text, text}
		checkSpoken(t, q)
	})
}
