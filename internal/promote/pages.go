package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/state"
)

const (
	maxPageHistory = 200              // commits in which the last change of an environment is looked for
	pageAgain      = 10 * time.Minute // after a report that the forge did not take
)

// pages is what the forge's own pages were told. Lost with the process, which
// costs one report per environment: the forge keeps no second one that says the
// same.
type pages struct {
	none  bool   // the forge has no such pages
	base  string // head of the base branch that envs' commits are as of
	envs  map[string]page
	until time.Time // nothing is reported before
}

// page is one environment.
type page struct {
	tree, commit string    // its directory, and the commit that made it so; "": not known
	told         pr.Report // last told; zero: nothing
}

// report shows what the environments run on the forge's pages: when a change was
// merged, and when its health is another. Only news is told.
func (b *Bot) report(ctx context.Context, s Situation, out *Outcome) {
	if b.pages.none || s.Now.Before(b.pages.until) {
		return
	}
	if err := b.findPages(s); out.failed(err, "find what environments hold") {
		b.pages.until = s.Now.Add(pageAgain)
		return
	}
	for _, pl := range s.Pipelines {
		for _, env := range pl.Environments {
			p := b.pages.envs[env.Name]
			r, ok := s.shown(env.Name, p)
			if !ok || p.commit == "" || r == p.told {
				continue
			}
			err := b.cfg.Forge.Report(ctx, r)
			if errors.Is(err, pr.ErrUnsupported) {
				b.pages = pages{none: true}
				return
			}
			if out.failed(err, "report %s to the forge", env.Name) {
				b.pages.until = s.Now.Add(pageAgain)
				return
			}
			p.told = r
			b.pages.envs[env.Name] = p
		}
	}
}

// findPages finds, for every environment, the commit that made it what it is. It
// reads nothing while the base branch stands still.
func (b *Bot) findPages(s Situation) error {
	if b.pages.base == s.Commit {
		return nil
	}
	head, err := b.cfg.Git.Snapshot(s.Commit)
	if err != nil {
		return err
	}
	envs := map[string]page{}
	for name, e := range s.Envs {
		p := b.pages.envs[name]
		tree, _ := head.Hash(e.Env.Path)
		if tree != p.tree || p.commit == "" {
			p.tree = tree
			if p.commit, err = b.madeBy(s.Commit, e.Env.Path, tree); err != nil {
				return err
			}
		}
		envs[name] = p
	}
	b.pages.envs, b.pages.base = envs, s.Commit
	return nil
}

// madeBy returns the newest commit, along first parents, that made a path what it
// is; "" when that is too long ago.
func (b *Bot) madeBy(at, path, tree string) (string, error) {
	for range maxPageHistory {
		c, err := b.cfg.Git.ReadCommit(at)
		if err != nil {
			return "", err
		}
		if len(c.Parents) == 0 {
			return at, nil
		}
		before, err := b.cfg.Git.Snapshot(c.Parents[0])
		if err != nil {
			return "", nil //nolint:nilerr // the repository is shallow: its history ends here
		}
		if was, _ := before.Hash(path); was != tree {
			return at, nil
		}
		at = c.Parents[0]
	}
	return "", nil
}

// shown is what is to be told of an environment; false: nothing is known now that
// was not told. Once a commit was healthy there, only failing is news: an app that
// is scaled is not new.
func (s Situation) shown(env string, p page) (pr.Report, bool) {
	e := s.Envs[env]
	if e.Problem != "" || len(e.Apps) == 0 {
		return pr.Report{}, false
	}
	var what []string
	for _, a := range e.Apps {
		if len(a.Values) > 0 {
			what = append(what, a.Name+" "+Versions(a.Values))
		}
	}
	r := pr.Report{Env: env, Commit: p.commit, State: pr.ReportProgress, Description: strings.Join(what, ", ")}
	healthy, failing := s.health(env)
	switch told := p.told.Commit == r.Commit && p.told.Env != ""; {
	case failing != "":
		r.State, r.Description = pr.ReportFailing, failing
	case healthy:
		r.State = pr.ReportHealthy
	case told && p.told.State != pr.ReportProgress:
		return pr.Report{}, false
	}
	r.Description = cut(printable(r.Description), maxDescription)
	if p.told.Env != "" && p.told.Commit == r.Commit && p.told.State == r.State {
		return pr.Report{}, false // once per commit and state
	}
	return r, true
}

// health is what agents say of an environment: that every app is healthy with what
// Git holds, or what fails. Neither: it is on its way, or nobody knows.
func (s Situation) health(env string) (healthy bool, failing string) {
	reports := 0
	healthy = true
	for _, r := range s.Reports {
		if r.Env != env {
			continue
		}
		reports++
		healthy = healthy && s.Now.Sub(r.At) <= s.Config.Silence
		for _, app := range s.Envs[env].Apps {
			i := slices.IndexFunc(r.Apps, func(a state.AppReport) bool { return a.App == app.Name && a.Content == app.Content })
			switch {
			case i < 0:
				healthy = false
			case r.Apps[i].Phase == state.Degraded && s.Now.Sub(r.At) <= s.Config.Silence:
				failing = fmt.Sprintf("%s %s is degraded in cluster %s%s", app.Name, Versions(app.Values), r.Cluster, failingOf(r.Apps[i]))
			case r.Apps[i].Phase != state.Healthy:
				healthy = false
			}
		}
	}
	return healthy && reports > 0 && failing == "", failing
}
