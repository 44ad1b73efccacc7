package promote

import (
	"context"
	"errors"
	"slices"
	"time"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

const (
	teamAge     = 5 * time.Minute // how long an answer about a team is believed
	teamRetry   = time.Minute     // when a team that could not be read is asked for again
	maxTeamText = 200             // characters of the reason
)

// teamAnswer is what the forge said of a team.
type teamAnswer struct {
	team Team
	at   time.Time
}

// askTeams finds out who is in the teams on which an approval depends. Nothing is
// asked while no approval is there that only a team could admit.
func (b *Bot) askTeams(ctx context.Context, s *Situation) {
	for _, p := range s.Pulls {
		block, ok := ownBlock(p)
		env, _, found := s.find(block)
		if !ok || !found || !p.Open || env.Gates.Approvals == nil {
			continue
		}
		a := *env.Gates.Approvals
		if !slices.ContainsFunc(pr.Latest(p.Reviews), func(r pr.Review) bool { return s.needsTeam(a, p, r) }) {
			continue
		}
		for _, name := range teamsOf(a) {
			if s.Teams == nil {
				s.Teams = map[string]Team{}
			}
			if _, known := s.Teams[name]; !known {
				s.Teams[name] = b.team(ctx, name)
			}
		}
	}
}

// needsTeam reports whether only a team can make a review count.
func (s Situation) needsTeam(a policy.Approvals, p pr.Pull, r pr.Review) bool {
	return r.State == pr.Approved && s.unfit(a, p, r) == "" && !named(&a, r.User)
}

func (b *Bot) team(ctx context.Context, name string) Team {
	now := b.cfg.Now()
	if old, ok := b.teams[name]; ok {
		age := now.Sub(old.at).Abs()
		if age < teamRetry || old.team.Problem == "" && age < teamAge {
			return old.team
		}
	}
	members, err := b.cfg.Forge.Members(ctx, name)
	t := Team{Members: members}
	switch {
	case errors.Is(err, pr.ErrUnsupported):
		t.Problem = "this forge has no teams"
	case err != nil:
		t.Problem = cut(printable(err.Error()), maxTeamText)
	}
	b.teams[name] = teamAnswer{t, now}
	return t
}
