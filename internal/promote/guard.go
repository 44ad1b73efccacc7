package promote

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"towpath.dev/towpath/internal/pr"
)

// maxLimit bounds how long a forge is left alone at its word, which may be wrong.
const maxLimit = time.Hour

// guard keeps a forge from being asked while its limit is reached: every call then
// answers with that limit at once.
type guard struct {
	Forge
	now   func() time.Time
	log   *slog.Logger
	limit *pr.LimitError
	since time.Time
}

// limited is the limit that holds now; nil: there is none.
func (g *guard) limited() *pr.LimitError {
	now := g.now()
	if g.limit == nil || !now.Before(g.limit.Until) || now.Sub(g.since).Abs() >= maxLimit {
		return nil
	}
	return g.limit
}

func (g *guard) ask(do func() error) error {
	if l := g.limited(); l != nil {
		return l
	}
	err := do()
	var l *pr.LimitError
	if errors.As(err, &l) {
		g.limit, g.since = l, g.now()
		g.log.Warn("the forge's limit is reached", "limit", l.What, "until", l.Until)
	}
	return err
}

func (g *guard) List(ctx context.Context, base string) (pulls []pr.Pull, err error) {
	err = g.ask(func() (e error) { pulls, e = g.Forge.List(ctx, base); return e })
	return pulls, err
}

func (g *guard) Ensure(ctx context.Context, r pr.Request) (p pr.Pull, err error) {
	err = g.ask(func() (e error) { p, e = g.Forge.Ensure(ctx, r); return e })
	return p, err
}

func (g *guard) Merge(ctx context.Context, m pr.MergeRequest) (commit string, err error) {
	err = g.ask(func() (e error) { commit, e = g.Forge.Merge(ctx, m); return e })
	return commit, err
}

func (g *guard) Unqueue(ctx context.Context, number int) error {
	return g.ask(func() error { return g.Forge.Unqueue(ctx, number) })
}

func (g *guard) Close(ctx context.Context, number int, comment string) error {
	return g.ask(func() error { return g.Forge.Close(ctx, number, comment) })
}

func (g *guard) Comment(ctx context.Context, number int, c pr.Comment) error {
	return g.ask(func() error { return g.Forge.Comment(ctx, number, c) })
}

func (g *guard) SetLabel(ctx context.Context, number int, label string, on bool) error {
	return g.ask(func() error { return g.Forge.SetLabel(ctx, number, label, on) })
}

func (g *guard) SetStatus(ctx context.Context, number int, c pr.Check) error {
	return g.ask(func() error { return g.Forge.SetStatus(ctx, number, c) })
}

func (g *guard) MayWrite(ctx context.Context, user string) (may bool, err error) {
	err = g.ask(func() (e error) { may, e = g.Forge.MayWrite(ctx, user); return e })
	return may, err
}

func (g *guard) Members(ctx context.Context, team string) (members []string, err error) {
	err = g.ask(func() (e error) { members, e = g.Forge.Members(ctx, team); return e })
	return members, err
}

func (g *guard) Report(ctx context.Context, r pr.Report) error {
	return g.ask(func() error { return g.Forge.Report(ctx, r) })
}
