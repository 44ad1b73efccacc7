package forges

import (
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

func commentCases() []testCase {
	return []testCase{
		{"a sticky comment is made once and edited in place", nil, sticky},
		{"a sticky comment is found after a restart", nil, stickyRestart},
		{"a sticky comment whose answer was lost is made once", needsLose, stickyLost},
		{"a sticky comment is found behind pages of others", needsMany, stickyFarBack},
		{"two keys are two comments", nil, twoKeys},
		{"a key in somebody else's comment means nothing", needsProof, othersKey},
		{"a text that looks like a key is a text", nil, textLikeKey},
		{"a comment comes back as it was written", nil, oddTexts},
		{"a long comment is cut, and written once", nil, longComment},
		{"a comment without a key is always a new one", nil, plainComments},
		{"commands are read from what people typed, in order", nil, commands},
	}
}

func needsProof(w *World) string {
	if !w.Forge.Authenticated() {
		return "proof of who wrote a comment"
	}
	return ""
}

const key = "gates"

func (s *stage) comment(f Forge, number int, c pr.Comment) {
	s.Helper()
	s.must("comment", f.Comment(s.Context(), number, c))
}

// keyed returns the comments of a key.
func keyed(p pr.Pull, key string) []pr.Comment {
	var out []pr.Comment
	for _, c := range p.Comments {
		if c.Key == key {
			out = append(out, c)
		}
	}
	return out
}

// plain is a text as forges may keep it: line ends and blanks at the end are theirs.
func plain(text string) string {
	return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
}

// seeText looks until the only comment of a key holds a text.
func (s *stage) seeText(number int, key, text string) pr.Pull {
	s.Helper()
	return s.seeTextBy(s.Forge, number, key, text)
}

func (s *stage) seeTextBy(f Forge, number int, key, text string) pr.Pull {
	s.Helper()
	return s.seeBy(f, number, fmt.Sprintf("with one comment %q that says %.50q", key, text), func(p pr.Pull) bool {
		all := keyed(p, key)
		return len(all) == 1 && plain(all[0].Body) == plain(text)
	})
}

func sticky(s *stage) {
	p, _ := s.propose()
	s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "waiting"})
	s.free("the same at once", func() { s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "waiting"}) })
	first := keyed(s.seeText(p.Number, key, "waiting"), key)[0]
	if first.User != s.Forge.User() || first.At.IsZero() {
		s.Errorf("comment %+v", first)
	}
	s.free("the same again", func() { s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "waiting"}) })
	s.comment(s.as(Alice), p.Number, pr.Comment{Body: "nice"})
	s.see(p.Number, "with Alice's comment", func(p pr.Pull) bool { return len(p.Comments) == 2 })
	n := s.writes(func() {
		s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "waiting\n\n- [x] for a person"})
	})
	if n != 1 {
		s.Errorf("%d writes of one edit", n)
	}
	got := s.seeText(p.Number, key, "waiting\n\n- [x] for a person")
	if again := keyed(got, key)[0]; again.ID != first.ID || len(got.Comments) != 2 {
		s.Errorf("edited in place: %+v", got.Comments)
	}
}

func stickyRestart(s *stage) {
	p, _ := s.propose()
	s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "one"})
	again := s.Restart()
	s.free("the same after a restart", func() { s.comment(again, p.Number, pr.Comment{Key: key, Body: "one"}) })
	s.comment(s.Restart(), p.Number, pr.Comment{Key: key, Body: "two"})
	s.seeTextBy(s.Restart(), p.Number, key, "two") // a forge need not call an edit news for who followed
}

func stickyLost(s *stage) {
	p, _ := s.propose()
	for i, text := range []string{"made", "edited"} {
		n := s.writes(func() {
			s.Lose(1)
			s.settle("comment", func() error { return s.Forge.Comment(s.Context(), p.Number, pr.Comment{Key: key, Body: text}) })
			s.Lose(0)
		})
		if got := s.seeText(p.Number, key, text); len(got.Comments) != 1 || n > 1+i {
			s.Errorf("%s: %d writes, comments %+v", text, n, got.Comments)
		}
	}
}

func stickyFarBack(s *stage) {
	others := s.many()
	p, _ := s.propose()
	s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "first"})
	for i := range others {
		s.comment(s.as(Alice), p.Number, pr.Comment{Body: fmt.Sprintf("/retry %d", i)})
	}
	s.seeText(p.Number, key, "first")
	s.comment(s.Restart(), p.Number, pr.Comment{Key: key, Body: "second"})
	got := s.seeTextBy(s.Restart(), p.Number, key, "second")
	last := got.Comments[len(got.Comments)-1]
	if last.Body != fmt.Sprintf("/retry %d", others-1) {
		s.Errorf("the last comment is %+v", last)
	}
}

func twoKeys(s *stage) {
	p, _ := s.propose()
	for _, k := range []string{key, "lint", "odd --> key/ü"} {
		s.comment(s.Forge, p.Number, pr.Comment{Key: k, Body: "of " + k})
	}
	for _, k := range []string{key, "lint", "odd --> key/ü"} {
		s.seeText(p.Number, k, "of "+k)
		s.free("the same again", func() { s.comment(s.Forge, p.Number, pr.Comment{Key: k, Body: "of " + k}) })
	}
}

func othersKey(s *stage) {
	p, _ := s.propose()
	s.comment(s.as(Alice), p.Number, pr.Comment{Key: key, Body: "all gates pass"})
	s.see(p.Number, "with Alice's comment", func(p pr.Pull) bool { return len(p.Comments) == 1 })
	s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "waiting"})
	s.comment(s.Restart(), p.Number, pr.Comment{Key: key, Body: "waiting still"})
	got := s.seeTextBy(s.Restart(), p.Number, key, "waiting still")
	if len(got.Comments) != 2 {
		s.Fatalf("comments %+v", got.Comments)
	}
	for _, c := range got.Comments {
		if (c.User == s.Forge.User()) != (c.Key == key) {
			s.Errorf("comment %+v", c)
		}
		if c.User == Alice && !strings.Contains(c.Body, "all gates pass") {
			s.Errorf("Alice's comment was edited: %+v", c)
		}
	}
}

func textLikeKey(s *stage) {
	p, _ := s.propose()
	text := pr.WithKey(key, "not the gates")
	s.comment(s.Forge, p.Number, pr.Comment{Body: text})
	s.see(p.Number, "with the comment", func(p pr.Pull) bool { return len(p.Comments) == 1 })
	s.comment(s.Forge, p.Number, pr.Comment{Key: key, Body: "the gates"})
	got := s.seeText(p.Number, key, "the gates")
	if len(got.Comments) != 2 {
		s.Errorf("comments %+v", got.Comments)
	}
}

func oddTexts(s *stage) {
	p, _ := s.propose()
	for i, text := range []string{
		"# Gates\n\n| gate | |\n|---|---|\n| soak | ⏳ 🚀 |\n\n```sh\ntowpath status\n```\n",
		"hidden: <!-- towpath:v1\n{}\n-->\nand <b>bold</b> &amp; `code`",
		"line ends\r\nof Windows\r\n",
		"quotes \"'` and \\ backslashes \\n and a tab\there",
		"@nobody-at-all #1 %s %!d(MISSING) ${HOME}",
	} {
		k := fmt.Sprint("odd", i)
		s.comment(s.Forge, p.Number, pr.Comment{Key: k, Body: text})
		s.seeText(p.Number, k, text)
		s.free("the same again", func() { s.comment(s.Forge, p.Number, pr.Comment{Key: k, Body: text}) })
		again := s.Restart()
		s.free("the same after a restart", func() { s.comment(again, p.Number, pr.Comment{Key: k, Body: text}) })
	}
}

func longComment(s *stage) {
	p, _ := s.propose()
	c := pr.Comment{Key: key, Body: strings.Repeat("long 🚀 text\n", 20_000)}
	s.comment(s.Forge, p.Number, c)
	got := s.see(p.Number, "with the comment", func(p pr.Pull) bool { return len(keyed(p, key)) == 1 })
	body := plain(keyed(got, key)[0].Body)
	if !strings.HasPrefix(body, c.Body[:10_000]) || body != plain(c.Body) && !strings.Contains(body[len(body)-200:], "cut") {
		s.Errorf("%d bytes came back, their end is %q", len(body), body[max(0, len(body)-200):])
	}
	s.free("the same again", func() { s.comment(s.Forge, p.Number, c) })
	again := s.Restart()
	s.free("the same after a restart", func() { s.comment(again, p.Number, c) })
}

func plainComments(s *stage) {
	p, _ := s.propose()
	for range 2 {
		s.comment(s.Forge, p.Number, pr.Comment{Body: "hello"})
	}
	s.see(p.Number, "with both comments", func(p pr.Pull) bool { return len(p.Comments) == 2 })
}

func commands(s *stage) {
	p, _ := s.propose()
	typed := []struct{ user, body string }{
		{Alice, "db is down\n/hold until Monday"},
		{Bob, "> /hold until Monday\n\n```\n/hold\n```\nno"},
		{Bob, "/release\r\n/retry"},
	}
	for i, c := range typed {
		s.comment(s.as(c.user), p.Number, pr.Comment{Body: c.body})
		s.see(p.Number, "with what was typed", func(p pr.Pull) bool { return len(p.Comments) == i+1 })
	}
	got := s.list(s.Forge)[p.Number].Comments
	var all []string
	for i, c := range got {
		if c.User != typed[i].user || plain(c.Body) != plain(typed[i].body) || c.Key != "" {
			s.Errorf("comment %+v, typed %+v", c, typed[i])
		}
		for _, cmd := range pr.ParseCommands(c.Body) {
			all = append(all, c.User+": "+cmd.Name+" "+cmd.Arg)
		}
	}
	if want := []string{"alice: hold until Monday", "bob: release ", "bob: retry "}; !slices.Equal(all, want) {
		s.Errorf("commands %q, want %q", all, want)
	}
	if !slices.IsSortedFunc(got, func(a, b pr.Comment) int { return int(a.ID - b.ID) }) || got[0].ID == got[1].ID {
		s.Errorf("the numbers of the comments do not rise: %+v", got)
	}
}
