package forges

import (
	"towpath.dev/towpath/internal/pr"
)

func closeCases() []testCase {
	return []testCase{
		{"a pull request is closed with a comment, once", nil, closedOnce},
		{"a closing whose answer was lost is done once", needsLose, closeLost},
		{"who closed it is told", nil, closedByWhom},
		{"a closed pull request is opened again and closed again", nil, reopened},
		{"a pull request is not opened again beside another of its branch", nil, reopenedBeside},
		{"a merged pull request is not opened again", nil, reopenedMerged},
	}
}

func (s *stage) close(f Forge, number int, comment string) {
	s.Helper()
	s.must("close", f.Close(s.Context(), number, comment))
}

func (s *stage) seeClosed(number int) pr.Pull {
	s.Helper()
	return s.see(number, "closed", func(p pr.Pull) bool { return !p.Open })
}

func closedOnce(s *stage) {
	p, r := s.propose()
	s.close(s.Forge, p.Number, "superseded by 3")
	s.free("again at once", func() { s.close(s.Forge, p.Number, "superseded by 3") })
	got := s.seeClosed(p.Number)
	if got.Merged || got.ClosedBy != s.Forge.User() || got.Closed.IsZero() || got.MergeCommit != "" {
		s.Errorf("closed: %+v", got)
	}
	s.free("again", func() { s.close(s.Forge, p.Number, "superseded by 3") })
	again := s.Restart()
	s.free("again after a restart", func() { s.close(again, p.Number, "superseded by 3") })
	if head := s.head(branch); head != r.Head {
		s.Errorf("the branch is at %q", head)
	}
	all, err := s.Forge.Get(s.Context(), p.Number)
	s.must("get", err)
	if len(all.Comments) != 1 || plain(all.Comments[0].Body) != "superseded by 3" || all.Open {
		s.Errorf("got %+v", all)
	}
}

func closeLost(s *stage) {
	for n := 1; n <= 2; n++ {
		p, _ := s.propose()
		s.Lose(n)
		s.settle("close", func() error { return s.Forge.Close(s.Context(), p.Number, "superseded") })
		s.Lose(0)
		s.seeClosed(p.Number)
		got, err := s.Forge.Get(s.Context(), p.Number)
		s.must("get", err)
		if len(got.Comments) != 1 {
			s.Errorf("%d lost answers: comments %+v", n, got.Comments)
		}
	}
}

func closedByWhom(s *stage) {
	p, _ := s.propose()
	s.close(s.as(Alice), p.Number, "no")
	if got := s.seeClosed(p.Number); got.ClosedBy != Alice || got.Merged {
		s.Errorf("closed by Alice: %+v", got)
	}
	s.free("closed already", func() { s.close(s.Forge, p.Number, "") })
	q, _ := s.propose()
	s.close(s.Forge, q.Number, "")
	if got := s.seeClosed(q.Number); got.ClosedBy != s.Forge.User() {
		s.Errorf("closed by us: %+v", got)
	}
	for _, got := range []pr.Pull{s.list(s.Restart())[p.Number], s.list(s.Restart())[q.Number]} {
		if want := map[int]string{p.Number: Alice, q.Number: s.Forge.User()}[got.Number]; got.ClosedBy != want {
			s.Errorf("after a restart: closed by %q, want %q", got.ClosedBy, want)
		}
	}
}

func reopened(s *stage) {
	p, r := s.propose()
	s.close(s.as(Alice), p.Number, "")
	s.seeClosed(p.Number)
	s.must("reopen", s.as(Alice).Reopen(s.Context(), p.Number))
	got := s.see(p.Number, "open", func(p pr.Pull) bool { return p.Open })
	if got.ClosedBy != "" || !got.Closed.IsZero() || got.Head != r.Head {
		s.Errorf("opened again: %+v", got)
	}
	s.free("open already", func() { s.must("reopen", s.Forge.Reopen(s.Context(), p.Number)) })
	if again := s.ensure(s.Restart(), r); again.Number != p.Number {
		s.Errorf("ensured as %d, the one that is open again is %d", again.Number, p.Number)
	}
	s.close(s.Forge, p.Number, "")
	if got := s.seeClosed(p.Number); got.ClosedBy != s.Forge.User() {
		s.Errorf("closed again: %+v", got)
	}
	s.must("reopen", s.Forge.Reopen(s.Context(), p.Number))
	s.see(p.Number, "open", func(p pr.Pull) bool { return p.Open })
	s.merge(s.Forge, pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message})
}

func reopenedBeside(s *stage) {
	p, r := s.propose()
	s.close(s.Forge, p.Number, "")
	s.seeClosed(p.Number)
	stale := s.Restart()
	q := s.ensure(s.Forge, r)
	for what, f := range map[string]Forge{"by us": s.Forge, "by a bot that knows of none": stale, "by a person": s.as(Alice)} {
		if err := f.Reopen(s.Context(), p.Number); err == nil {
			s.Errorf("%s: opened again beside %d", what, q.Number)
		}
	}
	if one := s.seeOne(s.Forge); one.Number != q.Number {
		s.Errorf("open is %d, want %d", one.Number, q.Number)
	}
}

func reopenedMerged(s *stage) {
	p, r := s.propose()
	commit := s.merge(s.Forge, pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message})
	if err := s.Forge.Reopen(s.Context(), p.Number); err == nil {
		s.Errorf("a merged pull request was opened again")
	}
	s.see(p.Number, "merged", func(p pr.Pull) bool { return p.Merged && !p.Open && p.MergeCommit == commit })
}
