package forges

import (
	"slices"

	"towpath.dev/towpath/internal/pr"
)

func labelCases() []testCase {
	return []testCase{
		{"a label is added once and removed", nil, labelOnOff},
		{"a label that is not there is removed without an error", nil, labelMissing},
		{"a closed pull request takes labels", nil, labelOfClosed},
		{"labels may hold any characters", nil, oddLabels},
		{"a label whose answer was lost is there once", needsLose, labelLost},
	}
}

func (s *stage) label(f Forge, number int, label string, on bool) {
	s.Helper()
	s.must("set the label "+label, f.SetLabel(s.Context(), number, label, on))
}

func (s *stage) seeLabels(number int, want ...string) {
	s.Helper()
	slices.Sort(want)
	s.see(number, "with exactly these labels", func(p pr.Pull) bool {
		return slices.Equal(slices.Sorted(slices.Values(p.Labels)), want)
	})
}

func labelOnOff(s *stage) {
	p, _ := s.propose()
	s.label(s.Forge, p.Number, pr.LabelEdited, true)
	s.seeLabels(p.Number, pr.LabelPromo, pr.LabelEdited)
	s.label(s.Forge, p.Number, pr.LabelEdited, true)
	s.label(s.as(Alice), p.Number, pr.LabelHold, true)
	s.seeLabels(p.Number, pr.LabelPromo, pr.LabelEdited, pr.LabelHold)
	s.label(s.Forge, p.Number, pr.LabelEdited, false)
	s.seeLabels(p.Number, pr.LabelPromo, pr.LabelHold)
	s.label(s.as(Alice), p.Number, pr.LabelHold, false)
	s.seeLabels(p.Number, pr.LabelPromo)
}

func labelMissing(s *stage) {
	p, _ := s.propose()
	s.label(s.Forge, p.Number, "never-heard-of", false)
	s.label(s.Restart(), p.Number, pr.LabelHold, false)
	s.seeLabels(p.Number, pr.LabelPromo)
	// taken away by somebody between our look and our write
	s.label(s.Forge, p.Number, "x", true)
	s.seeLabels(p.Number, pr.LabelPromo, "x")
	s.label(s.as(Alice), p.Number, "x", false)
	s.label(s.Forge, p.Number, "x", false)
	s.seeLabels(p.Number, pr.LabelPromo)
}

func labelOfClosed(s *stage) {
	p, _ := s.propose()
	s.must("close", s.Forge.Close(s.Context(), p.Number, ""))
	s.label(s.as(Alice), p.Number, pr.LabelRetry, true)
	s.seeLabels(p.Number, pr.LabelPromo, pr.LabelRetry)
	s.label(s.Forge, p.Number, pr.LabelRetry, false)
	s.seeLabels(p.Number, pr.LabelPromo)
}

func oddLabels(s *stage) {
	p, _ := s.propose()
	odd := []string{"env/prod: ü +1", "100% sure? #yes & no", "🚀"}
	for _, l := range odd {
		s.label(s.Forge, p.Number, l, true)
	}
	s.seeLabels(p.Number, append([]string{pr.LabelPromo}, odd...)...)
	for _, l := range odd {
		s.label(s.Restart(), p.Number, l, false)
	}
	s.seeLabels(p.Number, pr.LabelPromo)
}

func labelLost(s *stage) {
	p, _ := s.propose()
	s.Lose(2)
	s.settle("add a label", func() error { return s.Forge.SetLabel(s.Context(), p.Number, "new/one", true) })
	s.Lose(0)
	s.seeLabels(p.Number, pr.LabelPromo, "new/one")
	s.Lose(1)
	s.settle("remove a label", func() error { return s.Forge.SetLabel(s.Context(), p.Number, "new/one", false) })
	s.Lose(0)
	s.seeLabels(p.Number, pr.LabelPromo)
}
