package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/state"
)

// Look loads the situation: one fetch, one listing per image that is due, one
// listing of pull requests. It writes nothing to Git or the forge.
func (b *Bot) Look(ctx context.Context) (Situation, error) {
	if err := b.cfg.Git.Fetch(ctx); err != nil {
		return Situation{}, fmt.Errorf("fetch the config repository: %w", err)
	}
	head, err := b.cfg.Git.Head(b.cfg.Branch)
	if err != nil {
		return Situation{}, fmt.Errorf("find the base branch: %w", err)
	}
	snap, err := b.seen.snapshot(b.cfg.Git, head)
	if err != nil {
		return Situation{}, fmt.Errorf("read commit %.12s: %w", head, err)
	}
	cfg, err := b.seen.config(snap)
	if err != nil {
		return Situation{}, err
	}
	s := Situation{Now: b.cfg.Now().UTC(), Branch: b.cfg.Branch, Commit: head, Policies: cfg.Policies,
		Problems: cfg.Problems, Envs: map[string]EnvState{}, Asked: b.cfg.Scanner != nil, Config: b.rules()}
	b.pipelines(&s, cfg)
	for _, p := range s.Pipelines {
		for _, e := range p.Environments {
			s.Envs[e.Name] = b.seen.env(snap, e, b.cfg.Branch)
			if problem := s.Envs[e.Name].Problem; problem != "" {
				s.Problems = append(s.Problems, environmentProblem(e, problem))
			}
		}
	}
	b.seen.end(s.Envs)
	s.Problems = append(s.Problems, b.seen.problems(cfg, s.Envs)...)
	b.ask(ctx, &s, cfg, b.state(ctx, &s))
	s.Pulls, err = b.cfg.Forge.List(ctx, b.cfg.Branch)
	if err != nil && !errors.As(err, &s.Limit) {
		return Situation{}, fmt.Errorf("list pull requests: %w", err)
	}
	if s.Branches, err = b.branches(head); err != nil {
		return Situation{}, err
	}
	b.askTeams(ctx, &s)
	s.refused = b.remembered(s.Pulls)
	s.Past, err = b.past(s)
	return s, err
}

func (b *Bot) rules() Rules {
	return Rules{AllowUnauthenticated: b.cfg.AllowUnauthenticated, Authenticated: b.cfg.Forge.Authenticated(),
		Silence: b.cfg.Silence, User: b.cfg.User, Howto: b.cfg.Howto}
}

// pipelines keeps the pipelines of our branch, refusing an environment name or
// app that two of them claim.
func (b *Bot) pipelines(s *Situation, cfg policy.Config) {
	owner := map[string]string{}
	for _, p := range cfg.Pipelines {
		bad, hint := "", "correct the pipeline"
		if p.Branch != b.cfg.Branch {
			hint = "correct the pipeline, or give --branch " + p.Branch
			bad = fmt.Sprintf("pipeline is for branch %s, but this bot works on %s", p.Branch, b.cfg.Branch)
		}
		for _, e := range p.Environments {
			if o, ok := owner[e.Name]; ok && bad == "" {
				bad = fmt.Sprintf("environment %s belongs to pipeline %s already", e.Name, o)
			}
		}
		if bad != "" {
			s.Problems = append(s.Problems, policy.Problem{Path: p.Source.Path, Line: p.Source.Line, Object: "Pipeline/" + p.Name, Reason: bad,
				Hint: hint + "; it is left out until then"})
			continue
		}
		for _, e := range p.Environments {
			owner[e.Name] = p.Name
		}
		s.Pipelines = append(s.Pipelines, p)
	}
	if len(s.Pipelines) == 0 && !hasErrors(s.Problems) {
		s.Problems = append(s.Problems, noPipeline())
	}
}

// noPipeline is the problem of a repository that nothing can move in.
func noPipeline() policy.Problem {
	return policy.Problem{Path: PolicyDir, Object: "repository", Reason: "there is no Pipeline in policies/",
		Hint: "add one that names your environments; towpath adopt proposes one from your manifests"}
}

func hasErrors(ps []policy.Problem) bool {
	return slices.ContainsFunc(ps, func(p policy.Problem) bool { return !p.Warning })
}

// state reads what agents and bots recorded. What cannot be read is not known:
// gates that ask for health stay closed, and ages of digests start anew.
func (b *Bot) state(ctx context.Context, s *Situation) state.State {
	if b.cfg.States == nil {
		return state.State{}
	}
	st, err := b.cfg.States(ctx)
	if err != nil {
		s.Problems = append(s.Problems, policy.Problem{Path: state.Ref, Object: "reports", Reason: "agents' reports cannot be read: " + err.Error(),
			Hint: "delete the ref; agents write it anew"})
	}
	for _, p := range st.Problems {
		s.Problems = append(s.Problems, policy.Problem{Path: state.Ref, Object: "state", Reason: p, Warning: true})
	}
	s.Reports = st.Reports
	return st
}

// rootCause ranks the errors in policies/ first: others may follow from them.
func rootCause(p policy.Problem) int {
	if !p.Warning && (p.Path == PolicyDir || strings.HasPrefix(p.Path, PolicyDir+"/")) {
		return 0
	}
	return 1
}

func sortProblems(ps []policy.Problem) {
	slices.SortStableFunc(ps, func(a, b policy.Problem) int {
		return cmp.Or(cmp.Compare(rootCause(a), rootCause(b)), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Reason, b.Reason))
	})
}

var _ Git = (*gitrepo.Repo)(nil)
