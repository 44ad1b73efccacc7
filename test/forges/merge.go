package forges

import (
	"errors"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/pr"
)

func mergeCases() []testCase {
	return []testCase{
		{"a squash puts one commit with our message on the base", needsMethod(pr.Squash), mergedBy(pr.Squash)},
		{"a merge commit has our message", needsMethod(pr.Merge), mergedBy(pr.Merge)},
		{"a rebase puts the commits on the base", needsMethod(pr.Rebase), mergedBy(pr.Rebase)},
		{"without a method it is a squash", needsMethod(pr.Squash), mergedBy("")},
		{"a merge again is the same commit", nil, mergedTwice},
		{"a merge whose answer was lost is found", needsLose, mergeLost},
		{"another head is never merged", nil, mergeOfOtherHead},
		{"what is onto another base is never merged", nil, mergeOntoOtherBase},
		{"a conflict is told apart and nothing is merged", nil, mergeConflict},
		{"what the base got meanwhile stays", nil, mergeOnMovedBase},
		{"a branch of somebody else's stays after its merge", nil, mergeOfPersons},
		{"a merge without the wanted approvals is not ready", needsProtect, mergeNotApproved},
		{"a merge without the wanted check is not ready", needsProtect, mergeNotChecked},
		{"a method that is not allowed is told apart", needsForbidden, mergeMethodForbidden},
		{"a closed pull request is not merged", nil, mergeOfClosed},
	}
}

func needsMethod(m pr.Method) func(*World) string {
	return func(w *World) string {
		if w.Methods != nil && !slices.Contains(w.Methods, m) {
			return "merging by " + string(m)
		}
		return ""
	}
}

func needsForbidden(w *World) string {
	if w.Protect == nil && w.Methods == nil {
		return "method that could be forbidden"
	}
	return ""
}

const message = "prod: web 1 → 2 (#1)\n\nWhat staging runs.\n\nTowpath-Policy: web\nTowpath-Content: sha256:ab\n"

func (s *stage) merge(f Forge, m pr.MergeRequest) string {
	s.Helper()
	commit, err := f.Merge(s.Context(), m)
	s.must("merge", err)
	return commit
}

// refused fails the case unless a merge fails with is and leaves all as it was.
func (s *stage) refused(what string, m pr.MergeRequest, is error) error {
	s.Helper()
	before, head := s.head(base), s.head(branch)
	commit, err := s.Forge.Merge(s.Context(), m)
	if err == nil {
		s.Fatalf("%s: merged as %s", what, commit)
	}
	if is != nil && !errors.Is(err, is) {
		s.Errorf("%s: %v, want %v", what, err, is)
	}
	if s.head(base) != before || s.head(branch) != head {
		s.Errorf("%s: a refused merge moved a branch", what)
	}
	return err
}

func mergedBy(method pr.Method) func(*stage) {
	return func(s *stage) {
		p, r := s.propose()
		was := s.head(base)
		m := pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message, Method: method}
		commit := s.merge(s.Forge, m)
		if now := s.head(base); now != commit || now == was {
			s.Errorf("the base is at %s, was at %s, the merge is said to be %s", now, was, commit)
		}
		want := message
		if method == pr.Rebase {
			want = "prod: web 1 → 2"
		}
		if got := s.messageOf(commit); got != strings.TrimSpace(want) {
			s.Errorf("message %q, want %q", got, want)
		}
		if got := s.fileAt(commit, file); got != "image: web:2\n" {
			s.Errorf("%s is %q", file, got)
		}
		parents := len(strings.Fields(s.git("log", "-1", "--format=%P", commit)))
		if method == pr.Merge && parents != 2 || method != pr.Merge && parents != 1 {
			s.Errorf("%d parents", parents)
		}
		got := s.see(p.Number, "merged", func(p pr.Pull) bool { return p.Merged })
		if got.Open || got.MergeCommit != commit || got.Closed.IsZero() || got.ClosedBy != s.Forge.User() {
			s.Errorf("listed as %+v", got)
		}
		// It may be gone or left: who deletes it must know that it has not moved.
		if head := s.head(branch); head != "" && head != r.Head {
			s.Errorf("the branch is at %s, was at %s", head, r.Head)
		}
	}
}

func mergedTwice(s *stage) {
	p, r := s.propose()
	m := pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}
	commit := s.merge(s.Forge, m)
	now := s.head(base)
	if commit != now {
		s.Errorf("the merge is said to be %s, the base is at %s", commit, now)
	}
	for what, f := range map[string]Forge{"again": s.Forge, "after a restart": s.Restart()} {
		if got := s.merge(f, m); got != commit || s.head(base) != now {
			s.Errorf("%s: merged as %s, first as %s; the base is at %s, was at %s", what, got, commit, s.head(base), now)
		}
	}
	m.Head = now
	if _, err := s.Forge.Merge(s.Context(), m); err == nil {
		s.Errorf("a head that was never merged passes for merged")
	}
}

func mergeLost(s *stage) {
	p, r := s.propose()
	was := s.head(base)
	var commit string
	s.Lose(1)
	s.settle("merge", func() (err error) {
		commit, err = s.Forge.Merge(s.Context(), pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message, Method: pr.Squash})
		return err
	})
	s.Lose(0)
	s.git("fetch", "-q", "origin")
	if n := s.git("rev-list", "--count", was+".."+s.head(base)); n != "1" || s.head(base) != commit {
		s.Errorf("%s commits on the base, which is at %s; the merge is said to be %s", n, s.head(base), commit)
	}
	s.see(p.Number, "merged", func(p pr.Pull) bool { return p.Merged && p.MergeCommit == commit })
}

func mergeOfOtherHead(s *stage) {
	p, r := s.propose()
	_ = s.refused("a head that never was", pr.MergeRequest{Number: p.Number, Head: s.head(base), Message: message}, pr.ErrHeadMoved)
	moved := s.push(branch, map[string]string{file: "image: evil:1\n"}, "one more")
	_ = s.refused("the head moved, and we have not looked", pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}, pr.ErrHeadMoved)
	s.see(p.Number, "at the new head", func(p pr.Pull) bool { return p.Head == moved && p.Open })
	_ = s.refused("the head moved", pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}, pr.ErrHeadMoved)
	s.merge(s.Forge, pr.MergeRequest{Number: p.Number, Head: moved, Message: message})
}

func mergeOntoOtherBase(s *stage) {
	const other = "release"
	p, r := s.propose()
	m := pr.MergeRequest{Number: p.Number, Head: r.Head, Base: other, Message: message}
	s.saysWhy(s.refused("another base", m, pr.ErrHeadMoved), other)
	m.Base = base
	commit := s.merge(s.Forge, m)
	if got := s.head(base); got != commit {
		s.Errorf("%s is at %s, the merge is said to be %s", base, got, commit)
	}
	m.Base = other
	if _, err := s.Forge.Merge(s.Context(), m); !errors.Is(err, pr.ErrHeadMoved) {
		s.Errorf("merged into another base: %v", err)
	}
}

func mergeConflict(s *stage) {
	p, r := s.propose()
	s.push(base, map[string]string{file: "image: web:9\n"}, "by hand")
	_ = s.refused("both sides changed the file", pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}, pr.ErrConflict)
	if got := s.list(s.Forge)[p.Number]; !got.Open || got.Merged {
		s.Errorf("after the conflict: %+v", got)
	}
	// rebuilt on the base as it is now
	r.Head = s.rebuild(branch, map[string]string{file: "image: web:10\n"}, "rebuilt")
	s.see(p.Number, "at the new head", func(p pr.Pull) bool { return p.Head == r.Head && p.Open })
	s.merge(s.Forge, pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message})
	if got := s.fileAt(s.head(base), file); got != "image: web:10\n" {
		s.Errorf("%s is %q", file, got)
	}
}

func mergeOnMovedBase(s *stage) {
	p, r := s.propose()
	s.push(base, map[string]string{"dev/web.yaml": "image: web:9\n", "new": "n\n"}, "by hand")
	commit := s.merge(s.Forge, pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message})
	for name, want := range map[string]string{file: "image: web:2\n", "dev/web.yaml": "image: web:9\n", "new": "n\n"} {
		if got := s.fileAt(commit, name); got != want {
			s.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func mergeOfPersons(s *stage) {
	const theirs = "feature/x"
	head := s.push(theirs, map[string]string{"x": "x\n"}, "feature")
	p := s.ensure(s.as(Alice), pr.Request{Branch: theirs, Base: base, Head: head, Title: "feature", Body: "please"})
	s.merge(s.Forge, pr.MergeRequest{Number: p.Number, Head: head, Message: "feature\n"})
	if got := s.head(theirs); got != head {
		s.Errorf("the person's branch is at %q", got)
	}
}

// saysWhy fails the case unless an error says more than the sentinel.
func (s *stage) saysWhy(err error, words ...string) {
	s.Helper()
	text := strings.ToLower(err.Error())
	if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) {
		s.Errorf("the error does not say why (%q): %v", words, err)
	}
}

func mergeNotApproved(s *stage) {
	p, r := s.propose()
	s.must("protect", s.Protect(pr.Rules{Approvals: 1}))
	m := pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}
	s.saysWhy(s.refused("not approved", m, pr.ErrNotReady), "approv", "review")
	s.review(Alice, p.Number, pr.Review{State: pr.Approved})
	s.seeVerdicts(p.Number, "alice approved")
	s.mergeWhenReady(m)
}

// mergeWhenReady is for forges that need a moment to see what was given.
func (s *stage) mergeWhenReady(m pr.MergeRequest) {
	s.Helper()
	s.settle("merge", func() error {
		_, err := s.Forge.Merge(s.Context(), m)
		if err != nil && !errors.Is(err, pr.ErrNotReady) {
			s.Errorf("merge: %v", err)
		}
		return err
	})
	s.see(m.Number, "merged", func(p pr.Pull) bool { return p.Merged })
}

func mergeNotChecked(s *stage) {
	p, r := s.propose()
	s.must("protect", s.Protect(pr.Rules{Checks: []pr.RequiredCheck{{Context: "ci/build"}}}))
	m := pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}
	s.saysWhy(s.refused("no check", m, pr.ErrNotReady), "check", "ci/build", "status")
	c := pr.Check{Context: "ci/build", State: pr.CheckFailure, Description: "broken", Commit: r.Head}
	s.status(s.as(Alice), p.Number, c)
	s.saysWhy(s.refused("a failed check", m, pr.ErrNotReady), "check", "ci/build", "status")
	c.State = pr.CheckSuccess
	s.status(s.as(Alice), p.Number, c)
	s.mergeWhenReady(m)
}

func mergeMethodForbidden(s *stage) {
	p, r := s.propose()
	method := pr.Rebase
	if s.Methods == nil {
		s.must("protect", s.Protect(pr.Rules{Methods: []pr.Method{pr.Squash}}))
	} else {
		for _, m := range []pr.Method{pr.Rebase, pr.Merge, pr.Squash} {
			if !slices.Contains(s.Methods, m) {
				method = m
			}
		}
	}
	_ = s.refused("a forbidden method", pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message, Method: method}, pr.ErrMethod)
}

func mergeOfClosed(s *stage) {
	p, r := s.propose()
	s.must("close", s.Forge.Close(s.Context(), p.Number, ""))
	_ = s.refused("closed, and we have not looked", pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}, nil)
	s.see(p.Number, "closed", func(p pr.Pull) bool { return !p.Open })
	_ = s.refused("closed", pr.MergeRequest{Number: p.Number, Head: r.Head, Message: message}, nil)
}
