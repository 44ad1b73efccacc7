package local_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/test/forges"
)

func TestTheLocalForgeIsAForge(t *testing.T) { forges.Run(t, 2, world) }

func world(t *testing.T) *forges.World {
	url := bare(t)
	var late atomic.Int64
	now := func() time.Time { return noon.Add(time.Duration(late.Load()) * time.Second) }
	as := func(user string, w *wire) *fresh {
		w.Git = open(t, url)
		return &fresh{g: w, Forge: local.New(local.Config{Git: w, User: user, Now: now})}
	}
	bot := &wire{}
	people := map[string]forges.Forge{}
	return &forges.World{
		Forge: as("towpath", bot),
		As: func(user string) forges.Forge {
			if people[user] == nil && user != forges.Mallory {
				people[user] = as(user, &wire{})
			}
			return people[user]
		},
		Restart: func() forges.Forge { return as("towpath", &wire{}) },
		Remote:  url,
		Writes:  func() int { return int(bot.refs.Load()) },
		Later:   func() { late.Add(2) },
		Lose:    func(n int) { bot.lose.Store(int64(n)) },
		Methods: []pr.Method{pr.Squash},
	}
}

// fresh fetches before each look, as a tick does.
type fresh struct {
	*local.Forge
	g *wire
}

func (f *fresh) List(ctx context.Context, base string) ([]pr.Pull, error) {
	if err := f.g.Fetch(ctx); err != nil {
		return nil, err
	}
	return f.Forge.List(ctx, base)
}

func (f *fresh) Get(ctx context.Context, number int) (pr.Pull, error) {
	if err := f.g.Fetch(ctx); err != nil {
		return pr.Pull{}, err
	}
	return f.Forge.Get(ctx, number)
}

// wire counts the refs that are pushed, and loses answers.
type wire struct {
	local.Git
	refs, lose atomic.Int64
	mu         sync.Mutex
}

type lostAnswer struct{}

func (lostAnswer) Error() string { return "the answer was lost" }

func (w *wire) Push(ctx context.Context, u ...gitrepo.Update) error {
	w.refs.Add(int64(len(u)))
	if err := w.Git.Push(ctx, u...); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose.Load() > 0 {
		w.lose.Add(-1)
		return lostAnswer{}
	}
	return nil
}
