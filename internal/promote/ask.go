package promote

import (
	"cmp"
	"context"
	"slices"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/state"
)

// Scanner says what registries offer; *scan.Scanner is one.
type Scanner interface {
	// Scan chooses for every want, asking only registries that are due. first
	// tells when a digest was seen first.
	Scan(ctx context.Context, now time.Time, wants []scan.Want, first scan.First) scan.Report
	// Prove asks, now, whether a reference can be pulled.
	Prove(ctx context.Context, ref image.Ref) error
}

// ask has a tag chosen for every policy at every app of every environment where
// tags enter. st is what was recorded before.
func (b *Bot) ask(ctx context.Context, s *Situation, cfg policy.Config, st state.State) {
	wants := wanted(*s, cfg)
	if b.cfg.Scanner == nil {
		s.Scans = st.Scans
		for _, w := range wants {
			s.Choices = append(s.Choices, unasked(w))
		}
		return
	}
	rep := b.cfg.Scanner.Scan(ctx, s.Now, wants, st.Seen.First)
	s.Choices, s.Listings = rep.Results, rep.Listings
	for _, sight := range rep.Sights {
		s.Sights = append(s.Sights, state.Sight(sight))
	}
	s.Scans = b.troubles.merge(s.Now, rep, st.Scans)
	same := func(a, b state.ScanProblem) bool {
		return a.Same(b) && a.Problem == b.Problem && a.Kept == b.Kept && a.KeptAt.Equal(b.KeptAt) && a.Since.Equal(b.Since) && a.At.Equal(b.At)
	}
	// A file that cannot be read is written anew also when there is no news.
	s.record = b.cfg.States != nil && (len(s.Sights) > 0 || len(st.Problems) > 0 || !slices.EqualFunc(s.Scans, st.Scans, same))
}

// wanted lists the policies at the apps of entry environments, sorted.
func wanted(s Situation, cfg policy.Config) []scan.Want {
	var out []scan.Want
	for _, pl := range s.Pipelines {
		for _, env := range pl.Environments {
			if env.Update == nil {
				continue
			}
			for _, app := range s.Envs[env.Name].Apps {
				for name, ref := range app.Values {
					pol, ok := cfg.Policy(name)
					if ok && env.Update.Has(name) {
						out = append(out, scan.Want{Env: env.Name, App: app.Name, Policy: pol, Current: ref})
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b scan.Want) int {
		return cmp.Or(cmp.Compare(a.Env, b.Env), cmp.Compare(a.App, b.App), cmp.Compare(a.Policy.Name, b.Policy.Name))
	})
	return out
}

// unasked is the choice when there is nobody to ask.
func unasked(w scan.Want) scan.Result {
	r := scan.Result{Env: w.Env, App: w.App, Repository: w.Policy.Image.Canonical(), Problem: "no registry was asked"}
	r.Policy, r.Current, r.Selected = w.Policy.Name, w.Current.Tag, w.Current.Tag
	return r
}

// short abbreviates a digest for people: sha256:0123456789ab.
func short(digest string) string {
	const n = len("sha256:") + 12
	if len(digest) > n {
		return digest[:n]
	}
	return digest
}
