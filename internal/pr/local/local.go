// Package local is the forge that needs no server: pull requests live as refs
// and JSON in the bare repository itself. Floor 2: it builds on gitrepo and pr,
// stores nothing anywhere else, and decides nothing about promotions.
//
// # Format
//
// Each pull request is one ref, refs/towpath/pulls/<number>, whose commits are
// its history (`git log refs/towpath/pulls/1`) and whose tree is its present:
//
//	pull.json                      what it is, open or not, its labels
//	reviews/0001.json              one file per review, in order
//	comments/0001.json             one file per comment, in order
//	checks/<head>/<context>.json   commit statuses, a file per head and context
//
// so that `git show refs/towpath/pulls/1:pull.json` shows it. All JSON is
// indented, in the words of package pr.
//
// Every write is one commit on the ref, pushed by compare-and-swap and made
// again on fresh data when another writer was first. Whoever opens a pull request
// takes the highest number plus one by creating its ref: of two bots with the same
// idea one gets ErrStale, reads again and finds the other's. To open a closed one
// again takes a number, too, in the same atomic push; its record says "reopens" and
// is no pull request. So no cache that lacks an opening can open anything, and
// that is why there is at most one open per branch and base.
//
// Who wrote what is only what the writer said: nothing here is authenticated.
package local

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
)

const (
	// RefPrefix is where the pull requests are.
	RefPrefix = "refs/towpath/pulls/"
	// MaxClosed is how many closed pull requests List returns.
	MaxClosed = 500

	headsPrefix = "refs/heads/"
)

// Git is what the forge needs of a repository; *gitrepo.Repo has it.
type Git interface {
	Fetch(ctx context.Context) error
	Refs(prefix string) (map[string]string, error)
	Snapshot(commit string) (gitrepo.Snapshot, error)
	MergeBase(a, b string) (string, error)
	Commit(ctx context.Context, c gitrepo.Change) (gitrepo.Commit, error)
	Push(ctx context.Context, updates ...gitrepo.Update) error
}

// Config describes a Forge. Git and User are required.
type Config struct {
	Git    Git
	User   string           // who acts: "towpath" for the bot, a person's name for the CLI
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // told once of each record that cannot be read; nil: silent
	Prefix string           // Merge deletes branches that begin so; "": "towpath/"
}

// Forge keeps pull requests in a repository. It may be used from many goroutines.
type Forge struct {
	c Config

	mu    sync.Mutex
	known map[string]*stored // ref name → what its newest seen commit holds
}

// New returns a Forge. It reads nothing.
func New(c Config) *Forge {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Prefix == "" {
		c.Prefix = "towpath/"
	}
	return &Forge{c: c, known: map[string]*stored{}}
}

// Authenticated reports whether the forge proves who reviewed; this one cannot.
func (f *Forge) Authenticated() bool { return false }

// MayWrite reports true: whoever reaches the repository may write here, and who
// somebody is nobody proves.
func (f *Forge) MayWrite(context.Context, string) (bool, error) { return true, nil }

// Members is pr.ErrUnsupported: there are no teams.
func (f *Forge) Members(_ context.Context, team string) ([]string, error) {
	return nil, fmt.Errorf("list team %s: %w", team, pr.ErrUnsupported)
}

// Report is pr.ErrUnsupported: the reports themselves are in the repository.
func (f *Forge) Report(context.Context, pr.Report) error {
	return fmt.Errorf("report: %w", pr.ErrUnsupported)
}

// List returns the pull requests onto base ("" means any), newest first: every
// open one and the newest MaxClosed closed ones, as of the last Fetch. It
// neither fetches nor writes. A record that cannot be read is left out and
// logged.
func (f *Forge) List(ctx context.Context, base string) ([]pr.Pull, error) {
	v, err := f.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("list pull requests: %w", err)
	}
	var out []pr.Pull
	closed := 0
	for _, s := range v.pulls {
		if base != "" && s.rec.Base != base {
			continue
		}
		if !s.rec.Open {
			if closed++; closed > MaxClosed {
				continue
			}
		}
		out = append(out, s.pull(v.heads))
	}
	return out, nil
}

// Get returns one pull request as of the last Fetch, or pr.ErrNotFound.
func (f *Forge) Get(ctx context.Context, number int) (pr.Pull, error) {
	v, err := f.view(ctx)
	if err != nil {
		return pr.Pull{}, fmt.Errorf("read pull request %d: %w", number, err)
	}
	s, err := v.find(number)
	if err != nil {
		return pr.Pull{}, err
	}
	return s.pull(v.heads), nil
}

// view is the repository as of the last Fetch.
type view struct {
	heads   map[string]string // full branch ref → commit
	pulls   []*stored         // readable ones, newest first
	highest int               // highest number taken, readable or not
}

func (v view) head(branch string) string { return v.heads[headRef(branch)] }

func (v view) find(number int) (*stored, error) {
	for _, s := range v.pulls {
		if s.rec.Number == number {
			return s, nil
		}
	}
	return nil, fmt.Errorf("pull request %d: %w; `towpath status` lists them", number, pr.ErrNotFound)
}

// open returns the newest open pull request of a pair, nil when there is none.
func (v view) open(branch, base string) *stored {
	for _, s := range v.pulls {
		if s.rec.Open && s.rec.Branch == branch && s.rec.Base == base {
			return s
		}
	}
	return nil
}

func (f *Forge) view(ctx context.Context) (view, error) {
	heads, err := f.c.Git.Refs(headsPrefix)
	if err != nil {
		return view{}, err
	}
	refs, err := f.c.Git.Refs(RefPrefix)
	if err != nil {
		return view{}, err
	}
	v := view{heads: heads}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ref, commit := range refs {
		number, ok := numberOf(ref)
		if !ok {
			continue
		}
		if ctx.Err() != nil {
			return view{}, context.Cause(ctx)
		}
		v.highest = max(v.highest, number)
		s := f.known[ref]
		if s == nil || s.commit != commit {
			s = f.load(number, commit)
			f.known[ref] = s
		}
		if s.problem == nil && s.rec.Reopens == 0 {
			v.pulls = append(v.pulls, s)
		}
	}
	for ref := range f.known {
		if _, ok := refs[ref]; !ok {
			delete(f.known, ref)
		}
	}
	slices.SortFunc(v.pulls, func(a, b *stored) int { return b.rec.Number - a.rec.Number })
	return v, nil
}

// load reads one record. What cannot be read is remembered as such until the
// ref moves, so that it is logged once.
func (f *Forge) load(number int, commit string) *stored {
	s, err := read(f.c.Git, number, commit)
	if err != nil {
		f.c.Logger.Warn("pull request record unreadable", "number", number, "commit", commit, "error", err)
		return &stored{commit: commit, problem: err}
	}
	return s
}

func headRef(branch string) string { return headsPrefix + branch }

func pullRef(number int) string { return RefPrefix + strconv.Itoa(number) }

func numberOf(ref string) (int, bool) {
	s := strings.TrimPrefix(ref, RefPrefix)
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && strconv.Itoa(n) == s
}
