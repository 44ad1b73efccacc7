package forges

import (
	"slices"
	"strings"
	"unicode/utf8"

	"towpath.dev/towpath/internal/pr"
)

func statusCases() []testCase {
	return []testCase{
		{"a status is shown, and written once", nil, statusOnce},
		{"a status changes in place", nil, statusChanges},
		{"a status whose answer was lost is written once", needsLose, statusLost},
		{"a description is cut at 140 characters, and the same one is written once", nil, statusCut},
		{"checks of others are listed with whose they are", nil, othersChecks},
		{"a status of another commit is no check of the pull request", nil, statusElsewhere},
	}
}

// checkOf is the check of a context; the number of checks of it is 1 where there is one.
func checkOf(p pr.Pull, context string) (c pr.Check, n int) {
	for _, x := range p.Checks {
		if x.Context == context {
			c, n = x, n+1
		}
	}
	return c, n
}

func (s *stage) status(f Forge, number int, c pr.Check) {
	s.Helper()
	s.must("set the status "+c.Context, f.SetStatus(s.Context(), number, c))
}

func (s *stage) seeCheck(number int, want pr.Check) pr.Check {
	s.Helper()
	var got pr.Check
	s.see(number, "with the check "+string(want.State)+" "+want.Description, func(p pr.Pull) bool {
		var n int
		got, n = checkOf(p, want.Context)
		return n == 1 && got.Says(want)
	})
	return got
}

func statusOnce(s *stage) {
	p, r := s.propose()
	for _, state := range []pr.CheckState{pr.CheckPending, pr.CheckSuccess, pr.CheckFailure} {
		c := pr.Check{Context: "towpath/" + string(state), State: state, Description: "waits for 1 of 2 – \"ok\" <b>", Commit: r.Head}
		s.status(s.Forge, p.Number, c)
		s.seeCheck(p.Number, c)
		s.free("the same again", func() { s.status(s.Forge, p.Number, c) })
		again := s.Restart()
		s.free("the same after a restart", func() { s.status(again, p.Number, c) })
		s.seeCheck(p.Number, c)
	}
}

func statusChanges(s *stage) {
	p, r := s.propose()
	c := pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: "waiting", Commit: r.Head}
	s.status(s.Forge, p.Number, c)
	s.seeCheck(p.Number, c)
	c.Description = "waiting still"
	s.status(s.Forge, p.Number, c)
	s.seeCheck(p.Number, c)
	c.State, c.Description = pr.CheckSuccess, "all gates pass"
	s.status(s.Forge, p.Number, c)
	s.seeCheck(p.Number, c)
	c.State, c.Description = pr.CheckPending, "waiting"
	s.status(s.Forge, p.Number, c)
	s.seeCheck(p.Number, c)
}

func statusLost(s *stage) {
	p, r := s.propose()
	c := pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: "waiting", Commit: r.Head}
	n := s.writes(func() {
		s.Lose(1)
		s.settle("set a status", func() error { return s.Forge.SetStatus(s.Context(), p.Number, c) })
		s.Lose(0)
	})
	if n != 1 {
		s.Errorf("%d writes of one status", n)
	}
	s.seeCheck(p.Number, c)
}

func statusCut(s *stage) {
	p, r := s.propose()
	c := pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: strings.Repeat("é🚀", 100), Commit: r.Head}
	s.status(s.Forge, p.Number, c)
	var got pr.Check
	s.see(p.Number, "with the check", func(p pr.Pull) bool {
		var n int
		got, n = checkOf(p, c.Context)
		return n == 1
	})
	kept := strings.TrimSuffix(got.Description, "…")
	if n := utf8.RuneCountInString(got.Description); n > 140 || !strings.HasPrefix(c.Description, kept) || len(kept) < 100 {
		s.Errorf("%d characters: %q", n, got.Description)
	}
	s.free("the same again", func() { s.status(s.Forge, p.Number, c) })
}

func othersChecks(s *stage) {
	p, r := s.propose()
	c := pr.Check{Context: "ci/build", State: pr.CheckFailure, Description: "2 tests failed", Commit: r.Head}
	s.status(s.as(Alice), p.Number, c)
	ours := pr.Check{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "ok", Commit: r.Head}
	s.status(s.Forge, p.Number, ours)
	s.must("label", s.as(Alice).SetLabel(s.Context(), p.Number, "checked", true)) // statuses alone may not be news
	if got := s.seeCheck(p.Number, c); got.App != Alice {
		s.Errorf("the check of Alice is said to be of %q", got.App)
	}
	if got := s.seeCheck(p.Number, ours); got.App == Alice {
		s.Errorf("our check is said to be of %q", got.App)
	}
}

func statusElsewhere(s *stage) {
	p, r := s.propose()
	elsewhere := pr.Check{Context: pr.LintContext, State: pr.CheckSuccess, Description: "elsewhere", Commit: s.head(base)}
	s.status(s.Forge, p.Number, elsewhere)
	s.free("the same again", func() { s.status(s.Forge, p.Number, elsewhere) })
	here := pr.Check{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "here", Commit: r.Head}
	s.status(s.Forge, p.Number, here)
	s.seeCheck(p.Number, here)
	got := s.list(s.Forge)[p.Number]
	if slices.ContainsFunc(got.Checks, func(c pr.Check) bool { return c.Context == pr.LintContext || c.Commit != r.Head }) {
		s.Errorf("checks %+v, the head is %s", got.Checks, r.Head)
	}
}
