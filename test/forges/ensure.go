package forges

import (
	"errors"
	"slices"
	"sync"

	"towpath.dev/towpath/internal/pr"
)

func ensureCases() []testCase {
	return []testCase{
		{"a wanted pull request is opened", nil, opened},
		{"a pull request is opened once", nil, openedOnce},
		{"a pull request is found after a restart", nil, foundAfterRestart},
		{"a pull request is found when the answer to its opening was lost", needsLose, foundAfterLostAnswer},
		{"title and body are edited in place", nil, editedInPlace},
		{"an edit whose answer was lost is made once", needsLose, editLost},
		{"missing labels are added and people's stay", nil, labelsOfEnsure},
		{"a closed pull request is never opened again by Ensure", nil, neverReopened},
		{"two bots at once open one pull request", nil, twoAtOnce},
		{"a branch whose name begins like ours is another's", nil, exactBranch},
		{"a pull request from a fork is never taken for ours", needsFork, forksAreOthers},
		{"a person's pull request of the branch is taken over", nil, takenOver},
		{"a branch that is not where the request says is refused", nil, refusedHead},
		{"a new head keeps old approvals on their commit and drops old checks", nil, superseded},
	}
}

func needsFork(w *World) string {
	if w.Fork == nil {
		return "forks"
	}
	return ""
}

func opened(s *stage) {
	p, r := s.propose()
	for what, p := range map[string]pr.Pull{
		"returned": p,
		"listed":   s.see(p.Number, "open", func(p pr.Pull) bool { return p.Open }),
	} {
		if p.Branch != r.Branch || p.Base != r.Base || p.Head != r.Head || p.Title != r.Title || !p.Open || p.Merged || p.Draft || p.Fork || p.Queued {
			s.Errorf("%s: %+v, want it as in %+v", what, p, r)
		}
		if p.Author != s.Forge.User() {
			s.Errorf("%s: author %q, we are %q", what, p.Author, s.Forge.User())
		}
		if p.Created.IsZero() || !p.Closed.IsZero() || p.MergeCommit != "" {
			s.Errorf("%s: created %v, closed %v, merge commit %q", what, p.Created, p.Closed, p.MergeCommit)
		}
		if !p.HasLabel(pr.LabelPromo) {
			s.Errorf("%s: labels %q", what, p.Labels)
		}
		if b, err := pr.ParseBlock(p.Body); err != nil || b.Content != "sha256:ab" || pr.WithoutBlock(p.Body) != pr.WithoutBlock(r.Body) {
			s.Errorf("%s: body %q (%v), want %q", what, p.Body, err, r.Body)
		}
		if hash := s.git("ls-remote", "origin", p.HeadRef())[:len(r.Head)]; hash != r.Head {
			s.Errorf("%s: the ref %s leads to %s, not to the head", what, p.HeadRef(), hash)
		}
	}
}

func openedOnce(s *stage) {
	p, r := s.propose()
	s.free("the same again", func() {
		if again := s.ensure(s.Forge, r); again.Number != p.Number {
			s.Errorf("the same again is %d, not %d", again.Number, p.Number)
		}
	})
	s.see(p.Number, "open", func(p pr.Pull) bool { return p.Open })
	s.free("the same after a look", func() {
		if again := s.ensure(s.Forge, r); again.Number != p.Number {
			s.Errorf("the same after a look is %d, not %d", again.Number, p.Number)
		}
	})
	s.seeOne(s.Forge)
}

func foundAfterRestart(s *stage) {
	p, r := s.propose()
	s.free("the same after a restart", func() {
		if again := s.ensure(s.Restart(), r); again.Number != p.Number {
			s.Errorf("after a restart it is %d, not %d", again.Number, p.Number)
		}
	})
	f := s.Restart()
	s.seeOne(f)
}

func foundAfterLostAnswer(s *stage) {
	for n := 1; n <= 2; n++ {
		r := request(s.push(branch, map[string]string{file: "image: web:2\n"}, "prod"))
		s.Lose(n)
		s.settle("ensure", func() error { _, err := s.Forge.Ensure(s.Context(), r); return err })
		s.Lose(0)
		p := s.seeOne(s.Forge)
		if !p.HasLabel(pr.LabelPromo) {
			s.Errorf("%d lost answers: labels %q", n, p.Labels)
		}
		s.seeOne(s.Restart())
		s.must("close", s.Forge.Close(s.Context(), p.Number, ""))
		s.see(p.Number, "closed", func(p pr.Pull) bool { return !p.Open })
	}
}

func editedInPlace(s *stage) {
	p, r := s.propose()
	r.Title = "prod: web 1 → 2, and \"quotes\" & <tags>"
	r.Body = "another text — with 🚀\n\n" + pr.Block{Env: "prod", App: "web", Content: "sha256:cd"}.String()
	if again := s.ensure(s.Forge, r); again.Number != p.Number || again.Title != r.Title {
		s.Errorf("returned as %d %q", again.Number, again.Title)
	}
	got := s.see(p.Number, "with the new title", func(p pr.Pull) bool { return p.Title == r.Title })
	if b, err := pr.ParseBlock(got.Body); err != nil || b.Content != "sha256:cd" || pr.WithoutBlock(got.Body) != pr.WithoutBlock(r.Body) {
		s.Errorf("body %q, %v", got.Body, err)
	}
	s.free("the same again", func() { s.ensure(s.Forge, r) })
	s.seeOne(s.Forge)
}

func editLost(s *stage) {
	p, r := s.propose()
	r.Title = "another title"
	s.Lose(1)
	s.settle("ensure", func() error { _, err := s.Forge.Ensure(s.Context(), r); return err })
	s.see(p.Number, "with the new title", func(p pr.Pull) bool { return p.Title == r.Title })
	s.seeOne(s.Forge)
}

func labelsOfEnsure(s *stage) {
	p, r := s.propose()
	s.must("a person's label", s.as(Alice).SetLabel(s.Context(), p.Number, "mine", true))
	s.see(p.Number, "with a person's label", func(p pr.Pull) bool { return p.HasLabel("mine") })
	r.Labels = append(r.Labels, "env/prod")
	s.ensure(s.Forge, r)
	got := s.see(p.Number, "with the new label", func(p pr.Pull) bool { return p.HasLabel("env/prod") })
	want := []string{"env/prod", "mine", pr.LabelPromo}
	labels := slices.Sorted(slices.Values(got.Labels))
	if !slices.Equal(labels, want) {
		s.Errorf("labels %q, want %q", labels, want)
	}
}

func neverReopened(s *stage) {
	p, r := s.propose()
	s.must("close", s.Forge.Close(s.Context(), p.Number, ""))
	s.see(p.Number, "closed", func(p pr.Pull) bool { return !p.Open })
	again := s.ensure(s.Forge, r)
	if again.Number == p.Number {
		s.Errorf("the closed pull request %d was returned", p.Number)
	}
	s.see(again.Number, "open", func(p pr.Pull) bool { return p.Open })
	if old := s.list(s.Forge)[p.Number]; old.Open {
		s.Errorf("the closed pull request was opened again: %+v", old)
	}
}

func twoAtOnce(s *stage) {
	r := request(s.push(branch, map[string]string{file: "image: web:2\n"}, "prod"))
	bots := []Forge{s.Forge, s.Restart(), s.Restart()}
	got := make([]int, len(bots))
	var wg sync.WaitGroup
	for i, f := range bots {
		wg.Go(func() {
			for range maxLooks {
				p, err := f.Ensure(s.Context(), r)
				if got[i] = p.Number; err == nil {
					return
				}
				s.Logf("bot %d: %v", i, err) // a race may be lost; the next tick finds the winner's
			}
		})
	}
	wg.Wait()
	one := s.seeOne(s.Forge)
	for i, n := range got {
		if n != one.Number {
			s.Errorf("bot %d was told %d, the pull request is %d", i, n, one.Number)
		}
	}
}

func exactBranch(s *stage) {
	longer := s.push(branch+"2", map[string]string{file: "image: web:3\n"}, "longer")
	r := request(longer)
	r.Branch = branch + "2"
	other := s.ensure(s.Forge, r)
	p, _ := s.propose()
	if p.Number == other.Number || p.Branch != branch {
		s.Errorf("the pull request of %s was taken for that of %s", r.Branch, branch)
	}
	if again := s.ensure(s.Restart(), r); again.Number != other.Number {
		s.Errorf("%s is %d, not %d", r.Branch, again.Number, other.Number)
	}
}

func forksAreOthers(s *stage) {
	n, err := s.Fork(branch)
	s.must("a fork's pull request", err)
	s.see(n, "as a fork's", func(p pr.Pull) bool { return p.Fork })
	p, _ := s.propose()
	if p.Number == n || p.Fork {
		s.Errorf("a fork's pull request was taken for ours: %+v", p)
	}
	got := s.list(s.Forge)
	if !got[n].Fork || got[p.Number].Fork {
		s.Errorf("listed: fork's %+v, ours %+v", got[n], got[p.Number])
	}
	if ref := got[n].HeadRef(); ref == "refs/heads/"+branch || s.git("ls-remote", "origin", ref) == "" {
		s.Errorf("the fork's head is said to be at %s", ref)
	}
}

func takenOver(s *stage) {
	r := request(s.push(branch, map[string]string{file: "image: web:2\n"}, "prod"))
	theirs := r
	theirs.Title = "Alice's"
	p := s.ensure(s.as(Alice), theirs)
	got := s.ensure(s.Forge, r)
	if got.Number != p.Number || got.Author == s.Forge.User() {
		s.Errorf("opened by Alice as %d, ensured as %d of %s", p.Number, got.Number, got.Author)
	}
	s.seeOne(s.Forge)
}

func refusedHead(s *stage) {
	head := s.push(branch, map[string]string{file: "image: web:2\n"}, "prod")
	r := request(s.head(base))
	if _, err := s.Forge.Ensure(s.Context(), r); !errors.Is(err, pr.ErrHeadMoved) {
		s.Errorf("another head: %v, want pr.ErrHeadMoved", err)
	}
	if n := len(s.open(s.Forge)); n != 0 {
		s.Errorf("%d pull requests were opened for a head that is not there", n)
	}
	r.Head = head
	s.ensure(s.Forge, r)
	r.Branch = "towpath/prod/nowhere"
	if _, err := s.Forge.Ensure(s.Context(), r); err == nil {
		s.Errorf("a branch that is not there has a pull request")
	}
}

func superseded(s *stage) {
	p, r := s.propose()
	ctx := s.Context()
	s.must("approve", s.as(Alice).Review(ctx, p.Number, pr.Review{State: pr.Approved}))
	s.must("status", s.Forge.SetStatus(ctx, p.Number, pr.Check{Context: pr.StatusContext, State: pr.CheckSuccess, Description: "ok", Commit: r.Head}))
	s.see(p.Number, "approved and checked", func(p pr.Pull) bool { return len(p.Reviews) == 1 && len(p.Checks) == 1 })

	r.Head = s.rebuild(branch, map[string]string{file: "image: web:3\n"}, "prod: web 1 → 3")
	r.Title = "prod: web 1 → 3"
	s.settle("ensure", func() error { // a forge may need a moment to see the push
		again, err := s.Forge.Ensure(ctx, r)
		if err == nil && again.Number != p.Number {
			s.Errorf("superseded by another pull request, %d", again.Number)
		}
		return err
	})
	got := s.see(p.Number, "at the new head", func(got pr.Pull) bool { return got.Head == r.Head })
	for _, review := range got.Reviews {
		if review.State == pr.Approved && review.Commit != p.Head {
			s.Errorf("the approval of %s is said to be of %s", p.Head, review.Commit)
		}
	}
	for _, c := range got.Checks {
		if c.Context == pr.StatusContext {
			s.Errorf("a check of another head is shown: %+v", c)
		}
	}
}
