package forges

import (
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/pr"
)

func reviewCases() []testCase {
	return []testCase{
		{"reviews of two people are listed in the order of time", nil, twoReviews},
		{"an approval after a request for changes is the person's latest", nil, changedMind},
		{"a review without a verdict is none", nil, noVerdict},
		{"a review that was dismissed counts no more", needsDismiss, dismissed},
		{"an approval is of the head it was given for", nil, reviewOfHead},
		{"the author's own approval is refused or shown as the author's", nil, ownReview},
		{"who may not write is told apart", needsMallory, strangersReview},
	}
}

func needsDismiss(w *World) string {
	if w.Dismiss == nil {
		return "dismissal of reviews"
	}
	return ""
}

func needsMallory(w *World) string {
	if !w.Forge.Authenticated() || w.As(Mallory) == nil {
		return "people without the right to write"
	}
	return ""
}

func (s *stage) review(user string, number int, r pr.Review) {
	s.Helper()
	s.must(fmt.Sprintf("review %q by %s", r.State, user), s.as(user).Review(s.Context(), number, r))
}

// verdicts is who says what, in order: "alice approved".
func verdicts(reviews []pr.Review) []string {
	var out []string
	for _, r := range reviews {
		out = append(out, r.User+" "+string(r.State))
	}
	return out
}

// seeVerdicts looks until the latest reviews of all people are these.
func (s *stage) seeVerdicts(number int, want ...string) pr.Pull {
	s.Helper()
	return s.see(number, fmt.Sprintf("with the verdicts %q", want), func(p pr.Pull) bool {
		got := verdicts(pr.Latest(p.Reviews))
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

func twoReviews(s *stage) {
	p, r := s.propose()
	s.review(Bob, p.Number, pr.Review{State: pr.ChangesRequested, Body: "the port is wrong"})
	s.later()
	s.review(Alice, p.Number, pr.Review{State: pr.Approved, Body: "ship it"})
	got := s.seeVerdicts(p.Number, "alice approved", "bob changes_requested")
	if v := verdicts(got.Reviews); !slices.Equal(v, []string{"bob changes_requested", "alice approved"}) {
		s.Fatalf("reviews %q, want the order of time", v)
	}
	for i, body := range []string{"the port is wrong", "ship it"} {
		review := got.Reviews[i]
		if review.Body != body || review.Commit != r.Head || review.At.IsZero() || review.Authenticated != s.Forge.Authenticated() {
			s.Errorf("review %+v", review)
		}
		if s.Forge.Authenticated() && !review.CanWrite {
			s.Errorf("%s may write, the review says otherwise", review.User)
		}
	}
}

func changedMind(s *stage) {
	p, _ := s.propose()
	s.review(Alice, p.Number, pr.Review{State: pr.ChangesRequested, Body: "no"})
	s.seeVerdicts(p.Number, "alice changes_requested")
	s.review(Alice, p.Number, pr.Review{State: pr.Approved, Body: "yes"})
	s.seeVerdicts(p.Number, "alice approved")
	s.review(Alice, p.Number, pr.Review{State: pr.ChangesRequested, Body: "no, after all"})
	s.seeVerdicts(p.Number, "alice changes_requested")
}

func noVerdict(s *stage) {
	p, _ := s.propose()
	s.review(Alice, p.Number, pr.Review{State: pr.Approved})
	s.later()
	s.review(Alice, p.Number, pr.Review{Body: "a thought"})
	s.review(Bob, p.Number, pr.Review{Body: "another"})
	s.as(Bob)
	s.must("label", s.Forge.SetLabel(s.Context(), p.Number, "after", true))
	s.see(p.Number, "with what came after", func(p pr.Pull) bool { return p.HasLabel("after") })
	s.later()
	s.seeVerdicts(p.Number, "alice approved")
}

func dismissed(s *stage) {
	p, _ := s.propose()
	s.review(Alice, p.Number, pr.Review{State: pr.Approved})
	s.seeVerdicts(p.Number, "alice approved")
	s.must("dismiss", s.Dismiss(p.Number, Alice))
	s.see(p.Number, "without the approval", func(p pr.Pull) bool {
		for _, r := range pr.Latest(p.Reviews) {
			if r.State != pr.Dismissed {
				return false
			}
		}
		return true
	})
	s.review(Alice, p.Number, pr.Review{State: pr.Approved})
	s.seeVerdicts(p.Number, "alice approved")
}

func reviewOfHead(s *stage) {
	p, r := s.propose()
	s.review(Alice, p.Number, pr.Review{State: pr.Approved})
	s.seeVerdicts(p.Number, "alice approved")
	head := s.push(branch, map[string]string{file: "image: web:3\n"}, "one more")
	s.see(p.Number, "at the new head", func(p pr.Pull) bool { return p.Head == head })
	s.review(Bob, p.Number, pr.Review{State: pr.Approved})
	got := s.see(p.Number, "with Bob's approval", func(p pr.Pull) bool {
		return slices.Contains(verdicts(p.Reviews), "bob approved")
	})
	for _, review := range got.Reviews {
		want := map[string]string{Alice: r.Head, Bob: head}[review.User]
		if review.Commit != want && review.State != pr.Dismissed {
			s.Errorf("the review of %s is said to be of %s, not of %s", review.User, review.Commit, want)
		}
	}
}

func ownReview(s *stage) {
	p, _ := s.propose()
	if err := s.Forge.Review(s.Context(), p.Number, pr.Review{State: pr.Approved}); err != nil {
		s.Logf("refused: %v", err)
	}
	s.review(Alice, p.Number, pr.Review{State: pr.Approved})
	got := s.see(p.Number, "with Alice's approval", func(p pr.Pull) bool {
		return slices.Contains(verdicts(p.Reviews), "alice approved")
	})
	for _, r := range got.Reviews {
		if r.User != Alice && r.User != got.Author {
			s.Errorf("a review of %q, the author is %q", r.User, got.Author)
		}
	}
}

func strangersReview(s *stage) {
	p, _ := s.propose()
	s.review(Mallory, p.Number, pr.Review{State: pr.Approved, Body: "LGTM"})
	s.review(Alice, p.Number, pr.Review{State: pr.Approved})
	got := s.see(p.Number, "with Alice's approval", func(p pr.Pull) bool {
		return slices.Contains(verdicts(p.Reviews), "alice approved")
	})
	for _, r := range got.Reviews {
		if r.CanWrite != (r.User == Alice) {
			s.Errorf("%s: CanWrite is %v", r.User, r.CanWrite)
		}
	}
}
