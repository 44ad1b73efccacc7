package promote_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/state"
)

var errDead = errors.New("the process is dead")

// fate counts the writing calls of a bot and kills it at one of them: before
// the call takes effect, or after. Once dead, every call fails.
type fate struct {
	at    int  // 0: never
	after bool // the call takes effect, but nobody learns of it
	calls int
	dead  bool
}

func (f *fate) call(do func() error) error {
	f.calls++
	switch {
	case f.dead:
		return errDead
	case f.calls != f.at:
		return do()
	}
	f.dead = true
	if f.after {
		_ = do() // nobody learns how it went
	}
	return errDead
}

type mortalGit struct {
	*gitrepo.Repo
	*fate
}

func (g mortalGit) Push(ctx context.Context, updates ...gitrepo.Update) error {
	return g.call(func() error { return g.Repo.Push(ctx, updates...) })
}

func (g mortalGit) Publish(ctx context.Context, c gitrepo.Change, ref, old string) (made gitrepo.Commit, err error) {
	err = g.call(func() (e error) { made, e = g.Repo.Publish(ctx, c, ref, old); return })
	return made, err
}

type mortalForge struct {
	*local.Forge
	*fate
}

func (m mortalForge) Ensure(ctx context.Context, r pr.Request) (p pr.Pull, err error) {
	err = m.call(func() (e error) { p, e = m.Forge.Ensure(ctx, r); return })
	return p, err
}

func (m mortalForge) Merge(ctx context.Context, r pr.MergeRequest) (c string, err error) {
	err = m.call(func() (e error) { c, e = m.Forge.Merge(ctx, r); return })
	return c, err
}

func (m mortalForge) Close(ctx context.Context, n int, comment string) error {
	return m.call(func() error { return m.Forge.Close(ctx, n, comment) })
}

func (m mortalForge) Comment(ctx context.Context, n int, c pr.Comment) error {
	return m.call(func() error { return m.Forge.Comment(ctx, n, c) })
}

func (m mortalForge) SetStatus(ctx context.Context, n int, c pr.Check) error {
	return m.call(func() error { return m.Forge.SetStatus(ctx, n, c) })
}

func (m mortalForge) SetLabel(ctx context.Context, n int, label string, on bool) error {
	return m.call(func() error { return m.Forge.SetLabel(ctx, n, label, on) })
}

// mortal replaces the line's bot by one with an empty disk that dies as f says.
func (l *line) mortal(f *fate) {
	r := l.open()
	forge := local.New(local.Config{Git: r, User: "towpath", Now: l.clock})
	l.bot = promote.New(promote.Config{
		Git: mortalGit{r, f}, Forge: mortalForge{forge, f}, Author: r.Author(), Now: l.clock,
		Scanner:              l.scanner(nil),
		States:               func(ctx context.Context) (state.State, error) { return state.Load(ctx, r) },
		AllowUnauthenticated: true,
	})
}

// story carries 1.1.0 to prod, supersedes it by 1.2.0 on the way, and lets every
// bot that dies be followed by one with an empty disk.
func (l *line) story(f *fate) {
	l.t.Helper()
	l.mortal(f)
	l.live(f)
	l.push("1.1.0")
	l.live(f)
	l.push("1.2.0")
	l.live(f)
	l.approveAll()
	l.live(f)
}

// live ticks until nothing moves any more and no image is new.
func (l *line) live(f *fate) {
	l.t.Helper()
	for range 20 {
		l.reportGreen()
		l.now = l.now.Add(storyAge)
		out, err := l.bot.Tick(l.t.Context())
		switch {
		case f.dead:
			*f = fate{}
			l.mortal(f)
		case err != nil:
			l.t.Fatal(err)
		case !out.Changed() && len(out.Situation.Sights) == 0:
			return
		}
	}
	l.t.Fatal("never comes to rest")
}

// storyAge is the minAge of web in the story.
const storyAge = time.Second

// aged gives web a minAge, so that first sights are recorded, and api a registry
// that is never there, so that a problem is.
func aged(path string, data []byte) []byte {
	switch path {
	case "policies/web.yaml":
		return append(data, "  minAge: "+storyAge.String()+"\n"...)
	case "policies/api.yaml":
		return regexp.MustCompile(`image: .*`).ReplaceAll(data, []byte("image: 127.0.0.1:1/shop/api"))
	}
	return data
}

func (l *line) push(tag string) {
	l.t.Helper()
	if err := l.reg.PushAll("shop/web", tag); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) approveAll() {
	l.t.Helper()
	if err := l.git.Fetch(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	alice := local.New(local.Config{Git: l.git, User: "alice", Now: l.clock})
	pulls, err := alice.List(l.t.Context(), "main")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, p := range pulls {
		if p.Open {
			if err := alice.Review(l.t.Context(), p.Number, pr.Review{User: "alice", State: pr.Approved, Commit: p.Head, At: l.now}); err != nil {
				l.t.Fatal(err)
			}
		}
	}
}

// history is what the story left: commits on main by message and tree, pull
// requests by what they are, branches.
func (l *line) history() string {
	l.t.Helper()
	if err := l.git.Fetch(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	log, err := l.git.Log(l.head(), 100)
	if err != nil {
		l.t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range log {
		subject, _, _ := strings.Cut(c.Message, "\n")
		fmt.Fprintf(&b, "commit %.12s %s\n", c.Tree, subject)
	}
	pulls, err := l.forge.List(l.t.Context(), "main")
	if err != nil {
		l.t.Fatal(err)
	}
	for _, p := range pulls {
		block, err := pr.ParseBlock(p.Body)
		if err != nil {
			l.t.Error(err)
		}
		fmt.Fprintf(&b, "pull #%d %s %q open=%t merged=%t %.19s\n", p.Number, p.Branch, p.Title, p.Open, p.Merged, block.Content)
	}
	refs, err := l.git.Refs("refs/heads/")
	if err != nil {
		l.t.Fatal(err)
	}
	fmt.Fprintf(&b, "%d branches\n", len(refs))
	st, err := state.Load(l.t.Context(), l.git)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, p := range st.Scans {
		fmt.Fprintf(&b, "scan of %s fails\n", p.Image)
	}
	for repo := range st.Seen {
		fmt.Fprintf(&b, "%d digests of %s seen\n", len(st.Seen[repo]), repo)
	}
	return b.String()
}

// crashGroups is how many stories are told at a time. A story waits mostly for
// git to start and end.
const crashGroups = 4

// TestACrashAtEveryOutwardCallEndsTheSame kills the bot before and after each
// writing call of the story, each time going on with an empty disk. Each group
// has a registry and an undisturbed story of its own, and its share of deaths.
func TestACrashAtEveryOutwardCallEndsTheSame(t *testing.T) {
	var died atomic.Int64
	calls := make([]int, crashGroups)
	t.Run("groups", func(t *testing.T) {
		for group := range crashGroups {
			t.Run(fmt.Sprint(group), func(t *testing.T) {
				t.Parallel()
				calls[group] = crashGroup(t, group, &died)
			})
		}
	})
	if want := calls[0] + 1; died.Load() != int64(want) {
		t.Errorf("%d deaths, want %d", died.Load(), want)
	}
}

// crashGroup returns how many writing calls the undisturbed story has.
func crashGroup(t *testing.T, group int, died *atomic.Int64) int {
	run := func(l *line, f *fate) string {
		l.story(f)
		return l.history()
	}
	never := &fate{}
	l := newLine(t, aged)
	want := run(l, never)
	if !strings.Contains(want, "prod: web 1.0.0 → 1.2.0 (#2)") {
		t.Fatalf("the story does not end in prod:\n%s", want)
	}
	if !strings.Contains(want, "scan of 127.0.0.1:1/shop/api fails\n2 digests of "+l.reg.Host()+"/shop/web seen") {
		t.Fatalf("the story records neither sights nor problems:\n%s", want)
	}
	deaths := []fate{{at: 1}}
	for k := 1; k <= never.calls; k++ {
		// Dying before call k+1 is dying after call k: nothing is between them.
		deaths = append(deaths, fate{at: k, after: true})
	}
	for i, f := range deaths {
		if i%crashGroups != group {
			continue
		}
		t.Run(fmt.Sprintf("call %d, after %t", f.at, f.after), func(t *testing.T) {
			died.Add(1)
			l := newLineAt(t, l.reg, aged)
			if got := run(l, &f); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
	return never.calls
}
