package forges

import (
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"towpath.dev/towpath/internal/pr"
)

func listCases() []testCase {
	return []testCase{
		{"pull requests are listed newest first, those onto another base are not", nil, listedInOrder},
		{"rejected ones are listed with their labels", nil, listedRejected},
		{"people's pull requests are listed with all that was said", nil, listedPersons},
		{"a forge that followed lists what one with empty memory lists", nil, listedAlike},
		{"Get is what List lists", nil, gotAlike},
		{"a branch that is gone leaves the pull request listed", nil, listedWithoutBranch},
		{"more open pull requests than a page holds are all listed", needsMany, listedMany(false)},
		{"more closed pull requests than a page holds are all listed", needsMany, listedMany(true)},
	}
}

func needsMany(w *World) string {
	if w.Many == nil {
		return "quick way to make many pull requests"
	}
	return ""
}

func (s *stage) numbers(base string) []int {
	s.Helper()
	pulls, err := s.Forge.List(s.Context(), base)
	s.must("list", err)
	var out []int
	for _, p := range pulls {
		out = append(out, p.Number)
	}
	return out
}

func listedInOrder(s *stage) {
	p, r := s.propose()
	s.push("release", map[string]string{"r": "r\n"}, "release")
	var want []int
	for _, name := range []string{"towpath/prod/db", "towpath/prod/api"} {
		head := s.push(name, map[string]string{name: "x\n"}, name)
		want = append(want, s.ensure(s.Forge, pr.Request{Branch: name, Base: base, Head: head, Title: name}).Number)
	}
	slices.Reverse(want)
	want = append(want, p.Number)
	r.Base = "release"
	other := s.ensure(s.Forge, r)
	s.label(s.Forge, p.Number, "touched", true) // an order by the last change would be another one
	s.see(p.Number, "with the label", func(p pr.Pull) bool { return p.HasLabel("touched") })
	s.see(want[0], "open", func(p pr.Pull) bool { return p.Open })
	if got := s.numbers(base); !slices.Equal(got, want) {
		s.Errorf("onto %s: %v, want %v", base, got, want)
	}
	if got := s.numbers("release"); !slices.Equal(got, []int{other.Number}) {
		s.Errorf("onto release: %v, want %d", got, other.Number)
	}
	s.close(s.Forge, want[1], "")
	s.see(want[1], "closed", func(p pr.Pull) bool { return !p.Open })
	if got := s.numbers(base); !slices.Equal(got, want) {
		s.Errorf("with a closed one: %v, want %v", got, want)
	}
}

func listedRejected(s *stage) {
	p, _ := s.propose()
	s.close(s.as(Alice), p.Number, "not this one")
	s.label(s.as(Alice), p.Number, pr.LabelRetry, true)
	ok := func(p pr.Pull) bool {
		return !p.Open && !p.Merged && p.HasLabel(pr.LabelPromo) && p.HasLabel(pr.LabelRetry) && p.ClosedBy == Alice
	}
	got := s.see(p.Number, "closed by Alice, with her label", ok)
	if b, err := pr.ParseBlock(got.Body); err != nil || b.Content != "sha256:ab" {
		s.Errorf("its block: %+v, %v", b, err)
	}
	s.seeBy(s.Restart(), p.Number, "so after a restart", ok)
}

func listedPersons(s *stage) {
	head := s.push("feature/x", map[string]string{"x": "x\n"}, "feature")
	p := s.ensure(s.as(Alice), pr.Request{Branch: "feature/x", Base: base, Head: head, Title: "feature", Body: "please"})
	lint := pr.Check{Context: pr.LintContext, State: pr.CheckSuccess, Description: "fine", Commit: head}
	s.status(s.Forge, p.Number, lint)
	s.comment(s.Forge, p.Number, pr.Comment{Key: "lint", Body: "fine"})
	for what, f := range map[string]Forge{"by us": s.Forge, "after a restart": s.Restart()} {
		got := s.seeBy(f, p.Number, "with our comment and check", func(p pr.Pull) bool {
			_, n := checkOf(p, pr.LintContext)
			return n == 1 && len(keyed(p, "lint")) == 1
		})
		if got.Author != Alice || got.Head != head || got.Fork {
			s.Errorf("%s: %+v", what, got)
		}
		s.free(what, func() {
			s.status(f, p.Number, lint)
			s.comment(f, p.Number, pr.Comment{Key: "lint", Body: "fine"})
		})
	}
}

// tell makes much happen to a pull request, with looks between.
func (s *stage) tell() (open, closed int) {
	s.Helper()
	p, _ := s.propose()
	s.close(s.as(Alice), p.Number, "no")
	s.label(s.as(Alice), p.Number, pr.LabelRetry, true)
	s.list(s.Forge)
	q, r := s.propose()
	s.list(s.Forge)
	s.comment(s.Forge, q.Number, pr.Comment{Key: key, Body: "waiting"})
	s.review(Bob, q.Number, pr.Review{State: pr.ChangesRequested, Body: "why?"})
	s.list(s.Forge)
	s.comment(s.as(Alice), q.Number, pr.Comment{Body: "/hold"})
	s.later()
	s.review(Alice, q.Number, pr.Review{State: pr.Approved})
	s.label(s.as(Bob), q.Number, pr.LabelHold, true)
	s.list(s.Forge)
	s.status(s.Forge, q.Number, pr.Check{Context: pr.StatusContext, State: pr.CheckPending, Description: "waiting", Commit: r.Head})
	s.list(s.Forge)
	s.comment(s.Forge, q.Number, pr.Comment{Key: key, Body: "waiting for Bob"})
	return q.Number, p.Number
}

func listedAlike(s *stage) {
	open, _ := s.tell()
	s.see(open, "with all of it", func(p pr.Pull) bool {
		return len(p.Comments) == 2 && len(p.Reviews) == 2 && len(p.Checks) == 1 && p.HasLabel(pr.LabelHold)
	})
	var diff string
	for range maxLooks {
		s.later()
		diff = cmp.Diff(s.list(s.Restart()), s.list(s.Forge), cmpopts.EquateEmpty())
		if diff == "" {
			return
		}
	}
	s.Errorf("(-after a restart +followed):\n%s", diff)
}

func gotAlike(s *stage) {
	open, closed := s.tell()
	ignored := cmpopts.IgnoreFields(pr.Pull{}, "Reviews", "Comments", "Checks") // of closed ones List may leave them out
	for number, o := range map[int]cmp.Options{open: {cmpopts.EquateEmpty()}, closed: {cmpopts.EquateEmpty(), ignored}} {
		var diff string
		for range maxLooks {
			s.later()
			got, err := s.Forge.Get(s.Context(), number)
			s.must("get", err)
			if diff = cmp.Diff(s.list(s.Forge)[number], got, o); diff == "" {
				break
			}
		}
		if diff != "" {
			s.Errorf("pull request %d (-listed +got):\n%s", number, diff)
		}
	}
}

func listedWithoutBranch(s *stage) {
	p, _ := s.propose()
	s.close(s.Forge, p.Number, "")
	s.seeClosed(p.Number)
	s.deleteBranch(branch)
	s.later()
	for what, f := range map[string]Forge{"followed": s.Forge, "after a restart": s.Restart()} {
		got, there := s.list(f)[p.Number]
		if !there || got.Open || got.Merged || got.Branch != branch {
			s.Errorf("%s: %v, %+v", what, there, got)
		}
	}
}

func listedMany(closed bool) func(*stage) {
	return func(s *stage) {
		many := s.many()
		s.must("make many", s.Many(many, closed))
		p, _ := s.propose()
		for what, f := range map[string]Forge{"followed": s.Forge, "after a restart": s.Restart()} {
			all := s.list(f)
			n := 0
			for _, p := range all {
				if p.Open == !closed {
					n++
				}
			}
			want := many
			if !closed {
				want++
			}
			if n != want || !all[p.Number].Open {
				s.Errorf("%s: %d of %d are listed", what, n, want)
			}
		}
	}
}
