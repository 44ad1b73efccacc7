// Package promote carries versions through the environments of a pipeline: it
// decides what should move and why not (Next), whether a proposal may be merged
// (Judge), turns both into a plan (Decide) and executes it (Act). Floor 3.
//
// Next, Judge and Decide are functions from values to values; every effect is
// in act.go, behind the interfaces declared here. The package must not know
// which forge, registry or transport it talks to, and keeps nothing between two
// ticks but caches: what it knows is in Git and in the forge.
package promote

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/state"
)

// Git is the config repository.
type Git interface {
	Fetch(ctx context.Context) error
	Refs(prefix string) (map[string]string, error)
	Head(branch string) (string, error)
	Snapshot(commit string) (gitrepo.Snapshot, error)
	ReadCommit(hash string) (gitrepo.Commit, error)
	IsAncestor(a, b string) (bool, error)
	MergeBase(a, b string) (string, error)
	Log(commit string, limit int) ([]gitrepo.Commit, error)
	Commit(ctx context.Context, c gitrepo.Change) (gitrepo.Commit, error)
	Push(ctx context.Context, updates ...gitrepo.Update) error
	// Publish commits a change and puts it at a ref that is still at old.
	Publish(ctx context.Context, c gitrepo.Change, ref, old string) (gitrepo.Commit, error)
	// Bring makes the commits readable that these refs of the server lead to.
	Bring(ctx context.Context, refs ...string) error
}

// Forge keeps pull requests. List is the only call of a tick without change.
type Forge interface {
	List(ctx context.Context, base string) ([]pr.Pull, error)
	Ensure(ctx context.Context, r pr.Request) (pr.Pull, error)
	Merge(ctx context.Context, m pr.MergeRequest) (commit string, err error)
	// Unqueue takes a pull request out of the forge's merge queue and ends
	// auto-merge, whoever asked for it. Nothing is written where neither is.
	Unqueue(ctx context.Context, number int) error
	Close(ctx context.Context, number int, comment string) error
	Comment(ctx context.Context, number int, c pr.Comment) error
	SetLabel(ctx context.Context, number int, label string, on bool) error
	SetStatus(ctx context.Context, number int, c pr.Check) error
	// Authenticated reports whether the forge proves who wrote a review.
	Authenticated() bool
	// MayWrite reports whether a person may write to the repository.
	MayWrite(ctx context.Context, user string) (bool, error)
	// Members lists the people of a team.
	Members(ctx context.Context, team string) ([]string, error)
	// Report shows on the forge's own pages what an environment runs;
	// pr.ErrUnsupported where there are none.
	Report(ctx context.Context, r pr.Report) error
}

// Config wires a Bot. Git and Forge are required.
type Config struct {
	Git     Git
	Scanner Scanner // nil: no registry is asked, only promotion is looked at
	Forge   Forge
	// States reads agents' reports, first sights and problems with registries;
	// nil: there are none, and none are recorded.
	States func(ctx context.Context) (state.State, error)
	Branch string           // base branch with policies and environments; "" = main
	Author gitrepo.Identity // of our commits; how a foreign commit is told apart
	User   string           // our name at the forge; "" = towpath
	Now    func() time.Time // nil = time.Now
	// Dir is a folder for what is known of files, so that a bot that starts reads
	// only those with markers. It may be deleted at any time, and be used by several
	// processes. "": nothing is kept over a restart.
	Dir    string
	Logger *slog.Logger // nil = discard
	// AllowUnauthenticated counts approvals of a forge that cannot prove who
	// gave them. Zero value: such approvals never count.
	AllowUnauthenticated bool
	// Silence is how old a report may be before it counts as unknown; 0 = 15
	// minutes, three heartbeats of an agent.
	Silence time.Duration
	// Howto tells readers of a pull request what to type; zero value: the
	// forge's own buttons and labels.
	Howto Howto
	// Ours tells our commits from others'; nil: author and committer have Author's
	// address. Needed where the forge writes our commits itself.
	Ours func(gitrepo.Commit) bool
	// Pause waits after a lost race before the next attempt, at random so that two
	// bots do not meet again; nil: no wait. An error ends the tick.
	Pause func(ctx context.Context, attempt int) error
}

// Howto holds one line per thing a person can do with a pull request. KEY
// stands for environment/app, for instance prod/web.
type Howto struct{ Approve, Hold, Reject string }

// Bot runs ticks. Its methods are not safe for concurrent use.
type Bot struct {
	cfg      Config
	seen     seen     // a cache
	history  history  // a cache
	troubles troubles // lost with the process, which costs a write
	lints    lints    // a cache
	teams    map[string]teamAnswer
	forge    *guard
	refused  map[string]refusal       // head → why the forge did not merge it; lost with the process, which costs a question
	heard    map[int]int64            // pull request → the last comment that was looked at for commands
	queued   map[string]pr.CheckState // head of a merge queue → what was said of it
	pages    pages

	lintBudget budget
}

// New returns a Bot.
func New(c Config) *Bot {
	if c.Branch == "" {
		c.Branch = "main"
	}
	if c.User == "" {
		c.User = "towpath"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Silence == 0 {
		c.Silence = 15 * time.Minute
	}
	if c.Ours == nil {
		// An amended or rebased commit keeps its author, but not its committer.
		c.Ours = func(g gitrepo.Commit) bool {
			return g.Author.Email == c.Author.Email && g.Committer.Email == c.Author.Email
		}
	}
	g := &guard{Forge: c.Forge, now: c.Now, log: c.Logger}
	c.Forge = g
	return &Bot{cfg: c, seen: newSeen(c.Dir, c.Logger), teams: map[string]teamAnswer{}, forge: g, refused: map[string]refusal{}, heard: map[int]int64{}, lintBudget: lintBudget()}
}

// maxAttempts bounds how often one tick starts again after a lost push race.
const maxAttempts = 5

// Tick looks, decides and acts once. A lost push race is fetched and decided
// anew on the new head within the tick. While the forge's limit is reached nothing
// is asked of it, and only Git is worked on (Outcome.Limit). Outcome is valid also
// with an error.
func (b *Bot) Tick(ctx context.Context) (Outcome, error) {
	for attempt := 1; ; attempt++ {
		out, err := b.once(ctx)
		if !isRace(err) {
			return out, err
		}
		if attempt == maxAttempts {
			return out, fmt.Errorf("somebody else wrote at the same moment, %d times in a row; looked at again at the next tick: %w", attempt, err)
		}
		b.cfg.Logger.Info("push race lost", "attempt", attempt)
		if b.cfg.Pause == nil {
			continue
		}
		if perr := b.cfg.Pause(ctx, attempt); perr != nil {
			return out, perr
		}
	}
}

// once is one attempt of a tick.
func (b *Bot) once(ctx context.Context) (Outcome, error) {
	s, err := b.Look(ctx)
	if err != nil {
		return Outcome{}, err
	}
	failures := b.obey(ctx, &s)
	out, err := b.Act(ctx, s, Decide(s))
	out.Failures = append(failures, out.Failures...)
	if err == nil && out.Limit == nil {
		b.tidy(ctx, s, &out)
		b.free(ctx, s, &out)
		b.lintPulls(ctx, s, &out)
		b.queue(ctx, s, &out)
		b.report(ctx, s, &out)
	}
	if out.Limit == nil {
		out.Limit = b.forge.limited()
	}
	return out, err
}
