package forges

import (
	"context"
	"errors"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

func answerCases() []testCase {
	return []testCase{
		{"a pull request that is not there is not found", nil, unknownNumber},
		{"a call whose context has ended does nothing", nil, cancelled},
		{"our rights are told", nil, rights},
		{"the rules of a branch are told", nil, rules},
		{"rules that were set are told, or said to be unknown", needsProtect, rulesSet},
		{"who may write is told", nil, mayWrite},
		{"the people of a team are told", nil, members},
		{"a report is shown once, or unsupported", nil, reported},
	}
}

// calls are all calls that are about one pull request.
func calls(ctx context.Context, f Forge, number int, head string) map[string]func() error {
	return map[string]func() error{
		"Get":      func() error { _, err := f.Get(ctx, number); return err },
		"Close":    func() error { return f.Close(ctx, number, "bye") },
		"Reopen":   func() error { return f.Reopen(ctx, number) },
		"Comment":  func() error { return f.Comment(ctx, number, pr.Comment{Key: key, Body: "text"}) },
		"SetLabel": func() error { return f.SetLabel(ctx, number, pr.LabelHold, true) },
		"Review":   func() error { return f.Review(ctx, number, pr.Review{State: pr.Approved}) },
		"Merge":    func() error { _, err := f.Merge(ctx, pr.MergeRequest{Number: number, Head: head}); return err },
		"SetStatus": func() error {
			return f.SetStatus(ctx, number, pr.Check{Context: "a/b", State: pr.CheckSuccess, Commit: head})
		},
	}
}

func unknownNumber(s *stage) {
	_, r := s.propose()
	for what, call := range calls(s.Context(), s.Forge, 4711, r.Head) {
		err := call()
		if what == "SetStatus" { // a status is the commit's
			continue
		}
		if !errors.Is(err, pr.ErrNotFound) {
			s.Errorf("%s: %v, want pr.ErrNotFound", what, err)
		} else if !strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), "\n") {
			s.Errorf("%s does not say which, in one line: %v", what, err)
		}
	}
}

func cancelled(s *stage) {
	p, r := s.propose()
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	r.Title = "another title"
	all := calls(ctx, s.Forge, p.Number, r.Head)
	all["Ensure"] = func() error { _, err := s.Forge.Ensure(ctx, r); return err }
	all["List"] = func() error { _, err := s.Forge.List(ctx, base); return err }
	all["Report"] = func() error {
		return s.Forge.Report(ctx, pr.Report{Env: "prod", Commit: r.Head, State: pr.ReportHealthy})
	}
	for what, call := range all {
		if err := call(); err == nil {
			s.Errorf("%s succeeded", what)
		}
	}
	s.later()
	if got := s.list(s.Forge)[p.Number]; !got.Open || got.Title == r.Title || len(got.Comments)+len(got.Reviews)+len(got.Checks) > 0 || got.HasLabel(pr.LabelHold) {
		s.Errorf("after calls without time: %+v", got)
	}
}

func rights(s *stage) {
	got, err := s.Forge.Rights(s.Context())
	s.must("rights", err)
	if got.User != s.Forge.User() || got.User == "" || !got.Read || !got.Write || len(got.Missing) > 0 {
		s.Errorf("%+v, we are %q", got, s.Forge.User())
	}
}

func rules(s *stage) {
	got, err := s.Forge.Rules(s.Context(), base)
	s.must("rules", err)
	if got.Branch != base || got.Protected || got.Approvals != 0 || len(got.Checks) > 0 || got.Queue {
		s.Errorf("%+v of a branch without rules", got)
	}
	want := s.Methods
	if want == nil {
		want = []pr.Method{pr.Squash, pr.Merge, pr.Rebase}
	}
	for _, m := range want {
		if !slices.Contains(got.Methods, m) {
			s.Errorf("methods %q, %s is allowed, too", got.Methods, m)
		}
	}
	if _, err := s.Forge.Rules(s.Context(), "no/such/branch"); err == nil {
		s.Logf("a branch that is not there has rules, as far as they go by its name")
	}
}

func rulesSet(s *stage) {
	s.must("protect", s.Protect(pr.Rules{Approvals: 2, Checks: []pr.RequiredCheck{{Context: pr.StatusContext}}}))
	got, err := s.Forge.Rules(s.Context(), base)
	s.must("rules", err)
	if len(got.Unknown) > 0 {
		s.Logf("unknown: %q", got.Unknown)
		return
	}
	checked := slices.ContainsFunc(got.Checks, func(c pr.RequiredCheck) bool { return c.Context == pr.StatusContext })
	if !got.Protected || got.Approvals != 2 || !checked {
		s.Errorf("%+v", got)
	}
}

func mayWrite(s *stage) {
	for user, want := range map[string]bool{Alice: true, Bob: true, Mallory: false, "no-such-person": false} {
		if !want && !s.Forge.Authenticated() {
			continue // it knows nobody, so nobody is refused
		}
		got, err := s.Forge.MayWrite(s.Context(), user)
		if err != nil && user != "no-such-person" {
			s.Errorf("%s: %v", user, err)
		}
		if got != want {
			s.Errorf("%s may write: %v, want %v", user, got, want)
		}
	}
}

func members(s *stage) {
	if s.Team == "" {
		if got, err := s.Forge.Members(s.Context(), "sre"); err == nil {
			s.Errorf("a forge without teams has %q in one", got)
		}
		return
	}
	got, err := s.Forge.Members(s.Context(), s.Team)
	s.must("members", err)
	slices.Sort(got)
	if !slices.Equal(got, []string{Alice, Bob}) {
		s.Errorf("the team %s is %q", s.Team, got)
	}
	if got, err := s.Forge.Members(s.Context(), "no-such-team"); err == nil {
		s.Errorf("a team that is not there is %q", got)
	}
}

func reported(s *stage) {
	r := pr.Report{Env: "prod", Commit: s.head(base), State: pr.ReportProgress, Description: "2 of 3 clusters"}
	err := s.Forge.Report(s.Context(), r)
	if errors.Is(err, pr.ErrUnsupported) {
		return
	}
	s.must("report", err)
	for _, state := range []pr.ReportState{pr.ReportProgress, pr.ReportHealthy, pr.ReportFailing, pr.ReportHealthy} {
		r.State = state
		s.must("report", s.Forge.Report(s.Context(), r))
		s.free("the same again", func() { s.must("report", s.Forge.Report(s.Context(), r)) })
		again := s.Restart()
		s.free("the same after a restart", func() { s.must("report", again.Report(s.Context(), r)) })
		if s.Reported == nil {
			continue
		}
		got, err := s.Reported(r.Env, r.Commit)
		s.must("read the report back", err)
		if got != state {
			s.Errorf("%s is shown as %q, reported as %q", r.Env, got, state)
		}
	}
}
