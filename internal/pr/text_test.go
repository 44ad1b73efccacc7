package pr

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestCommandsOfAComment(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want []Command
	}{
		"one with a reason":             {"/hold until Monday", []Command{{"hold", "until Monday"}}},
		"one without":                   {"/release", []Command{{"release", ""}}},
		"between prose":                 {"I think\n/hold db is down \nthanks", []Command{{"hold", "db is down"}}},
		"several, in order":             {"/retry\n\n/hold x", []Command{{"retry", ""}, {"hold", "x"}}},
		"in capitals":                   {"/Hold Me", []Command{{"hold", "Me"}}},
		"lines that end as Windows' do": {"/hold a\r\n/release\r\n", []Command{{"hold", "a"}, {"release", ""}}},
		"a tab before the reason":       {"/hold\tx\ty", []Command{{"hold", "x y"}}},
		"indented":                      {" /hold", nil},
		"quoted":                        {"> /hold", nil},
		"in the middle of a line":       {"please /hold", nil},
		"a path":                        {"/usr/bin is full", nil},
		"a slash alone":                 {"/\n/ hold\n//hold", nil},
		"a number":                      {"/1", nil},
		"in a code block":               {"```\n/hold\n```\n/retry", []Command{{"retry", ""}}},
		"in a code block of tildes":     {"~~~ sh\n```\n/hold\n~~~\n/retry", []Command{{"retry", ""}}},
		"in a longer fence":             {"````\n```\n/hold\n````\n/retry", []Command{{"retry", ""}}},
		"in a fence that never ends":    {"```\n/hold\n``` x\n/hold", nil},
		"behind code within a line":     {"```a``` is code\n/hold", []Command{{"hold", ""}}},
		"in a hidden comment":           {"<!--\n/hold\n-->\n/retry", []Command{{"retry", ""}}},
		"behind a hidden comment":       {"<!-- x -->\n/hold", []Command{{"hold", ""}}},
		"control and bidi characters":   {"/hold a\x1b[31mb\u202e\u200bc\u00a0d", []Command{{"hold", "a[31mbc d"}}},
		"broken UTF-8":                  {"/hold a\xffb", []Command{{"hold", "ab"}}},
		"a name too long":               {"/" + strings.Repeat("a", 33), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, ParseCommands(tc.body)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if n := len(ParseCommands(strings.Repeat("/hold\n", 50))); n != maxCommands {
		t.Errorf("%d commands of one comment", n)
	}
	if n := utf8.RuneCountInString(ParseCommands("/hold " + strings.Repeat("é", 500))[0].Arg); n != maxArg {
		t.Errorf("an argument of %d characters", n)
	}
}

func FuzzParseCommands(f *testing.F) {
	f.Add("/hold x\n```\n/a\n```")
	f.Add("<!--\n/x -->\r\n/y\t\x00z")
	f.Fuzz(func(t *testing.T, body string) {
		got := ParseCommands(body)
		if len(got) > maxCommands {
			t.Fatalf("%d commands", len(got))
		}
		var again strings.Builder
		for _, c := range got {
			if strings.ContainsAny(c.Arg, "\r\n\x00\x1b") || utf8.RuneCountInString(c.Arg) > maxArg || !utf8.ValidString(c.Arg) {
				t.Errorf("argument %q", c.Arg)
			}
			if strings.Contains(c.Arg, "<!--") {
				return
			}
			again.WriteString("/" + c.Name + " " + c.Arg + "\n")
		}
		if d := cmp.Diff(got, ParseCommands(again.String())); d != "" {
			t.Errorf("not stable (-want +got):\n%s", d)
		}
		if quoted := ParseCommands("> " + strings.ReplaceAll(strings.ReplaceAll(body, "\r", "\n"), "\n", "\n> ")); len(quoted) != 0 {
			t.Errorf("a quoted comment holds %+v", quoted)
		}
	})
}

func TestAKeyIsOnlyTheFirstLine(t *testing.T) {
	for name, tc := range map[string]struct{ body, key, rest string }{
		"as we write it":         {"<!-- towpath:comment:gates -->\ntext\n", "gates", "text\n"},
		"as a forge may keep it": {"<!-- towpath:comment:gates -->\r\ntext", "gates", "text"},
		"nothing behind it":      {"<!-- towpath:comment:gates -->", "gates", ""},
		"none":                   {"text", "", "text"},
		"further down":           {"text\n<!-- towpath:comment:gates -->\n", "", "text\n<!-- towpath:comment:gates -->\n"},
		"quoted":                 {"> <!-- towpath:comment:gates -->\n", "", "> <!-- towpath:comment:gates -->\n"},
		"text behind it":         {"<!-- towpath:comment:gates --> x\n", "", "<!-- towpath:comment:gates --> x\n"},
		"a broken escape":        {"<!-- towpath:comment:%zz -->\nx", "", "<!-- towpath:comment:%zz -->\nx"},
	} {
		t.Run(name, func(t *testing.T) {
			if key, rest := CutKey(tc.body); key != tc.key || rest != tc.rest {
				t.Errorf("key %q, rest %q", key, rest)
			}
		})
	}
}

func FuzzKeysRoundTrip(f *testing.F) {
	f.Add("gates", "text")
	f.Add("", "<!-- towpath:comment:x -->\ntext")
	f.Add("--> <script>\n", "\r\n")
	f.Fuzz(func(t *testing.T, key, body string) {
		text := WithKey(key, body)
		if k, b := CutKey(text); k != key || b != body {
			t.Errorf("%q, %q came back as %q, %q", key, body, k, b)
		}
		if first, _, _ := strings.Cut(text, "\n"); key != "" && strings.Count(first, "-->") != 1 {
			t.Errorf("the key %q ends the hidden line early: %q", key, first)
		}
	})
}

func TestTextsAreCutByCharacters(t *testing.T) {
	for name, tc := range map[string]struct {
		s    string
		n    int
		want string
	}{
		"short enough":           {"ab", 2, "ab"},
		"longer":                 {"abc", 2, "a…"},
		"characters, not bytes":  {"éé", 2, "éé"},
		"one":                    {"abc", 1, "…"},
		"characters of 4 bytes":  {"🚀🚀🚀", 2, "🚀…"},
		"nothing to cut at all ": {"", 1, ""},
	} {
		if got := CutText(tc.s, tc.n); got != tc.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestACutBodyKeepsItsBlockAndSaysSo(t *testing.T) {
	block := Block{Env: "prod", App: "web", Content: "sha256:ab"}
	for name, text := range map[string]string{
		"prose":                            strings.Repeat("é", 5000),
		"a code block the cut leaves open": "```\n" + strings.Repeat("x\n", 3000),
		"an HTML comment left open":        strings.Repeat("é", 700) + "<!-- " + strings.Repeat("x", 3000) + " -->",
	} {
		t.Run(name, func(t *testing.T) {
			got := CutBody(text+"\n\n"+block.String(), 1000)
			if n := utf8.RuneCountInString(got); n > 1000 {
				t.Errorf("%d characters", n)
			}
			b, err := ParseBlock(got)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(block, b); d != "" {
				t.Error(d)
			}
			seen := WithoutBlock(got)
			if !strings.HasSuffix(seen, cutNote) || openFence(seen) != 0 || strings.Contains(seen, "<!--") {
				t.Errorf("readers see …%q", seen[max(0, len(seen)-100):])
			}
			if CutBody(got, 1000) != got {
				t.Error("cut again")
			}
		})
	}
	if got := CutBody("short", 1000); got != "short" {
		t.Errorf("a short body became %q", got)
	}
}

func TestTheLatestReviewOfEachPerson(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	got := Latest([]Review{
		{User: "bob", State: Approved, At: at(3)},
		{User: "Alice", State: Approved, At: at(1)},
		{User: "alice", State: ChangesRequested, At: at(2)},
		{User: "carol", State: ChangesRequested, At: at(4)},
		{User: "carol", State: Approved, At: at(4)},
	})
	want := []Review{
		{User: "alice", State: ChangesRequested, At: at(2)},
		{User: "bob", State: Approved, At: at(3)},
		{User: "carol", State: Approved, At: at(4)},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
