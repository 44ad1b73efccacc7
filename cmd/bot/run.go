package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/scan"
	"towpath.dev/towpath/internal/schedule"
)

func runCommand(s std) *cobra.Command {
	var c connection
	var r registryFlags
	var once, unauthenticated bool
	var poll time.Duration
	cmd := command("run", "the bot: scan, propose, judge, merge",
		"Scans registries when their policies' schedules say so, pushes new versions into entry\nenvironments, opens and rebuilds pull requests, and merges those whose gates pass. Everything\nit knows is in Git and in the forge: it can be stopped at any moment and started elsewhere.\nWhat is wrong in the repository, or out of reach, is logged and looked at again; run does\nnot end for it.",
		"  towpath run --repo https://git.example/team/config.git --password-file token\n  towpath run --once", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			logger, err := c.logger(s.err)
			if err != nil {
				return err
			}
			if err := c.check(); err != nil {
				return err
			}
			switch {
			case c.forge.kind != forgeLocal:
			case unauthenticated:
				logger.Warn("approvals of the local forge are counted although nobody proves who gave them (--allow-unauthenticated-approvals)")
			default:
				logger.Warn("the local forge cannot prove who approves: environments that require approvals stay closed unless --allow-unauthenticated-approvals is given")
			}
			frugal()
			b := &botLoop{conn: c, reg: r, unauthenticated: unauthenticated, once: once, logger: logger}
			defer b.close()
			if once {
				out, err := b.tick(cmd.Context())
				if err == nil && len(out.Failures) > 0 {
					err = fmt.Errorf("%d things were not done: %s", len(out.Failures), out.Failures[0])
				}
				if err == nil {
					err = unasked(out.Situation)
				}
				return err
			}
			if poll < minPoll {
				return usagef("--poll %s: want at least %s", poll, minPoll)
			}
			return b.run(cmd.Context(), poll)
		})
	c.flags(cmd)
	c.forge.flags(cmd)
	r.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&once, "once", false, "do one tick, in which every registry is asked, and exit")
	f.DurationVar(&poll, "poll", 30*time.Second, "how often the repository and pull requests are looked at")
	f.BoolVar(&unauthenticated, "allow-unauthenticated-approvals", false, "count approvals although the local forge cannot prove who gave them")
	return cmd
}

// gcPercent is how much the heap may grow between two collections, unless $GOGC
// says otherwise: a bot is idle nearly always, and what it holds then counts more
// than the milliseconds of a tick.
const gcPercent = 30

func frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// unasked is an error when a registry did not answer: what was decided without
// it is right, but not all there is.
func unasked(s promote.Situation) error {
	for _, c := range s.Choices {
		if l := s.Listings[c.Repository]; l.Err != nil {
			return fmt.Errorf("not everything could be looked at: %w", l.Err)
		}
	}
	return nil
}

// minPoll keeps a typing mistake from hammering a server.
const minPoll = 100 * time.Millisecond

// botLoop keeps a bot across ticks, and opens it again while the repository
// cannot be reached.
type botLoop struct {
	conn            connection
	reg             registryFlags
	unauthenticated bool
	once            bool // one tick: every registry is asked and waited for
	logger          *slog.Logger
	onTick          func(promote.Outcome, error) // told of every tick; nil: nobody
	wake            func()                       // makes the next tick come at once
	bot             *promote.Bot
	closers         []func()
	said            map[string]bool // what was logged and still holds
	seen            map[string]bool // what holds at this tick
}

func (b *botLoop) close() {
	for _, f := range slices.Backward(b.closers) {
		f()
	}
}

func (b *botLoop) open(ctx context.Context) error {
	if b.bot != nil {
		return nil
	}
	at, err := b.conn.openSite(ctx, botUser, b.logger)
	if err != nil {
		return err
	}
	b.closers = append(b.closers, at.close)
	dir, err := b.conn.cacheFor("registries")
	if err != nil {
		return err
	}
	c := scan.Config{Dir: dir, Due: due, Patience: patience, Wake: b.wake, Logger: b.logger, Terse: true}
	if b.once {
		c.Due, c.Patience = nil, 0
	}
	a := b.reg.asker(c)
	b.closers = append(b.closers, a.close)
	b.bot = b.conn.newBot(at, a, b.logger, b.unauthenticated)
	return nil
}

// run ticks until ctx ends. A tick that moved something is followed by another
// at once, because what it moved may let the next thing move.
func (b *botLoop) run(ctx context.Context, poll time.Duration) error {
	loop := schedule.NewLoop(schedule.Config{Due: schedule.Every(poll), Jitter: schedule.MaxJitter, Now: now,
		OnPanic: func(v any, stack []byte) {
			b.logger.Error("tick failed", "panic", fmt.Sprint(v), "stack", string(stack))
		}})
	b.wake = loop.Poke
	loop.Run(ctx, func(ctx context.Context) {
		out, err := b.tick(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			b.sayOnce(slog.LevelError, "tick failed", err.Error())
		case out.Changed():
			loop.Poke()
		}
	})
	return nil
}

func (b *botLoop) tick(ctx context.Context) (promote.Outcome, error) {
	var out promote.Outcome
	err := b.open(ctx)
	if err == nil {
		out, err = b.bot.Tick(ctx)
	}
	b.say(out, err)
	if b.onTick != nil {
		b.onTick(out, err)
	}
	return out, err
}

// say logs problems and failures once, until they are gone. A tick that could
// not look knows of none that went.
func (b *botLoop) say(out promote.Outcome, err error) {
	if err == nil {
		b.seen = map[string]bool{}
	}
	for _, p := range out.Situation.Problems {
		level := slog.LevelError
		if p.Warning {
			level = slog.LevelWarn
		}
		b.sayOnce(level, "problem", p.String())
	}
	for _, f := range out.Failures {
		b.sayOnce(slog.LevelError, "not done", f)
	}
	if err == nil {
		b.said = b.seen
	}
}

// sayOnce logs a line unless the tick before logged it.
func (b *botLoop) sayOnce(level slog.Level, message, text string) {
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	if b.said == nil {
		b.said = map[string]bool{}
	}
	key := message + text
	if !b.said[key] {
		b.logger.Log(context.Background(), level, message, "error", text)
	}
	b.said[key], b.seen[key] = true, true
}
