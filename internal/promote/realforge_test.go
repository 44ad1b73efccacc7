package promote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
	"towpath.dev/towpath/internal/state"
)

// realForge answers as a forge over HTTP may: it proves who people are, knows
// teams and pages, and declines.
type realForge struct {
	*countedForge
	writers  []string
	teams    map[string][]string
	mergeErr error
	listErr  error
	queued   bool
	members  int // times that a team was asked for
	asked    []pr.MergeRequest
	rights   []string // whose rights were asked for
	reports  []pr.Report
	statuses []pr.Check
	unqueued []int

	afterMerge func()
	fail       map[string]error // by call
}

func (f *realForge) Authenticated() bool { return true }

func (f *realForge) List(ctx context.Context, base string) ([]pr.Pull, error) {
	pulls, err := f.countedForge.List(ctx, base)
	if f.listErr != nil {
		return nil, f.listErr
	}
	for i := range pulls {
		pulls[i].Queued = f.queued
		for j := range pulls[i].Reviews {
			r := &pulls[i].Reviews[j]
			r.Authenticated, r.CanWrite = true, slices.Contains(f.writers, r.User)
		}
		for j := range pulls[i].Comments {
			pulls[i].Comments[j].ID = int64(j + 1)
		}
	}
	return pulls, err
}

func (f *realForge) Merge(ctx context.Context, m pr.MergeRequest) (string, error) {
	f.asked = append(f.asked, m)
	if f.mergeErr != nil {
		return "", fmt.Errorf("merge pull request #%d: %w", m.Number, f.mergeErr)
	}
	commit, err := f.countedForge.Merge(ctx, m)
	if f.afterMerge != nil && err == nil {
		f.afterMerge()
	}
	return commit, err
}

func (f *realForge) Unqueue(_ context.Context, n int) error {
	f.unqueued = append(f.unqueued, n)
	return f.fail["Unqueue"]
}

func (f *realForge) MayWrite(_ context.Context, user string) (bool, error) {
	f.rights = append(f.rights, user)
	return slices.Contains(f.writers, user), nil
}

func (f *realForge) Members(_ context.Context, team string) ([]string, error) {
	f.members++
	if m, ok := f.teams[team]; ok {
		return m, nil
	}
	return nil, errors.New("404 not found")
}

func (f *realForge) Report(_ context.Context, r pr.Report) error {
	if err := f.fail["Report"]; err != nil {
		return err
	}
	f.reports = append(f.reports, r)
	return nil
}

func (f *realForge) SetStatus(ctx context.Context, n int, c pr.Check) error {
	f.statuses = append(f.statuses, c)
	return f.countedForge.SetStatus(ctx, n, c)
}

func (f *realForge) Comment(ctx context.Context, n int, c pr.Comment) error {
	if err := f.fail["Comment "+c.Key]; err != nil {
		return err
	}
	return f.countedForge.Comment(ctx, n, c)
}

// real replaces the line's bot by one at such a forge.
func (l *line) real() *realForge {
	l.t.Helper()
	l.newBot(l.git)
	f := &realForge{countedForge: l.forge, writers: []string{"alice", "bob"}, fail: map[string]error{}}
	l.bot = l.botAt(f)
	return f
}

func (l *line) botAt(f promote.Forge) *promote.Bot {
	return promote.New(promote.Config{Git: l.git, Forge: f, Author: l.git.Author(), Now: l.clock, Scanner: l.scanner(nil),
		States: func(ctx context.Context) (state.State, error) { return state.Load(ctx, l.git) }})
}

// toProd carries 1.1.0 of web as far as a proposal for prod, which it returns.
func (l *line) toProd() pr.Pull {
	l.t.Helper()
	l.settle()
	l.push("1.1.0")
	l.settle()
	p := l.pullOf("towpath/prod/web")
	if !p.Open {
		l.t.Fatalf("%+v", p)
	}
	return p
}

func (l *line) pullOf(branch string) pr.Pull {
	l.t.Helper()
	pulls, err := l.forge.Forge.List(l.t.Context(), "main")
	if err != nil {
		l.t.Fatal(err)
	}
	i := slices.IndexFunc(pulls, func(p pr.Pull) bool { return p.Branch == branch })
	if i < 0 {
		l.t.Fatalf("no pull request of %s", branch)
	}
	return pulls[i]
}

func (l *line) as(user string) *local.Forge {
	return local.New(local.Config{Git: l.git, User: user, Now: l.clock})
}

func (l *line) says(user string, number int, body string) {
	l.t.Helper()
	if err := l.as(user).Comment(l.t.Context(), number, pr.Comment{Body: body}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) approves(user string, p pr.Pull) {
	l.t.Helper()
	if err := l.as(user).Review(l.t.Context(), p.Number, pr.Review{State: pr.Approved, Commit: p.Head}); err != nil {
		l.t.Fatal(err)
	}
}

func commentOf(p pr.Pull, key string) string {
	for _, c := range p.Comments {
		if c.Key == key {
			return c.Body
		}
	}
	return ""
}

func statusOf(p pr.Pull) pr.Check {
	for _, c := range p.Checks {
		if c.Context == pr.StatusContext {
			return c
		}
	}
	return pr.Check{}
}

// anyone lets prod be approved by whoever may.
func anyone(from string) func(string, []byte) []byte {
	return func(path string, data []byte) []byte {
		if path != "policies/pipeline.yaml" {
			return data
		}
		text := string(data)
		i := strings.Index(text, "name: prod")
		return []byte(text[:i] + strings.Replace(text[i:], "required: 1", "required: 1, "+from, 1))
	}
}

func TestCommandsInComments(t *testing.T) {
	l := newLine(t, nil)
	f := l.real()
	p := l.toProd()
	now := func() pr.Pull { return l.pullOf(p.Branch) }
	t.Run("a person's hold is carried out once", func(t *testing.T) {
		l.t = t
		l.says("alice", p.Number, "Not on a Friday.\n/hold until the audit\n")
		l.approves("bob", p)
		out := l.tick()
		if len(out.Merged) > 0 || !now().HasLabel(pr.LabelHold) || commentOf(now(), pr.KeyHold) != "held by `alice`: `until the audit`" {
			t.Fatalf("%+v", now())
		}
		if got := commentOf(now(), "commands"); !strings.Contains(got, "- `/hold until the audit` of `alice`: held\n") {
			t.Errorf("%s", got)
		}
		if got := statusOf(now()).Description; !strings.HasPrefix(got, "hold: held by `alice`: `until the audit`; ") {
			t.Errorf("the status says %q", got)
		}
		if calls := l.calls(); !slices.Equal(calls, []string{"List"}) || !slices.Equal(f.rights, []string{"alice"}) {
			t.Errorf("calls %v, rights %v", calls, f.rights)
		}
	})
	t.Run("who may not write is told so", func(t *testing.T) {
		l.t = t
		l.says("mallory", p.Number, "/release")
		l.tick()
		if got := commentOf(now(), "commands"); !now().HasLabel(pr.LabelHold) || !strings.Contains(got, "- `/release` of `mallory`: not done: only who may write") {
			t.Errorf("%s", got)
		}
	})
	t.Run("another process does not repeat what was done", func(t *testing.T) {
		l.t = t
		l.bot = l.botAt(f)
		f.rights = nil
		l.tick()
		if calls := l.calls(); !slices.Equal(calls, []string{"List"}) || len(f.rights) != 0 {
			t.Errorf("calls %v, rights %v", calls, f.rights)
		}
	})
	t.Run("talk is no command, and stays none when it is edited", func(t *testing.T) {
		l.t = t
		l.says("alice", p.Number, "> /release\nno")
		if calls := l.calls(); !slices.Equal(calls, []string{"List"}) {
			t.Errorf("calls %v", calls)
		}
	})
	t.Run("a death between the label and the answer does it once more", func(t *testing.T) {
		l.t = t
		f.fail["Comment commands"] = errDead
		l.says("bob", p.Number, "/release")
		out, err := l.bot.Tick(t.Context())
		if err != nil || len(out.Failures) != 1 || now().HasLabel(pr.LabelHold) {
			t.Fatalf("%v %v", out.Failures, err)
		}
		delete(f.fail, "Comment commands")
		if now().Merged {
			t.Error("merged before what was ordered was done")
		}
		l.bot = l.botAt(f)
		l.settle()
		if got := commentOf(now(), "commands"); strings.Count(got, "`/release` of `bob`: released") != 1 || !now().Merged {
			t.Errorf("merged %t\n%s", now().Merged, got)
		}
		if got := commentOf(now(), pr.KeyHold); got != "released by `bob`" {
			t.Errorf("who holds it: %q", got)
		}
	})
}

func TestAClosedProposalIsReleasedByAComment(t *testing.T) {
	l := newLine(t, nil)
	l.real()
	p := l.toProd()
	if err := l.as("alice").Close(t.Context(), p.Number, ""); err != nil {
		t.Fatal(err)
	}
	l.settle()
	l.says("bob", p.Number, "/retry")
	l.settle()
	if again := l.pullOf(p.Branch); again.Number == p.Number || !again.Open {
		t.Errorf("%+v", again)
	}
}

func TestALocalForgeTakesNobodysCommand(t *testing.T) {
	l := newLine(t, nil)
	p := l.toProd()
	bot := promote.New(promote.Config{Git: l.git, Forge: l.forge, Author: l.git.Author(), Now: l.clock})
	l.says("alice", p.Number, "/hold")
	if _, err := bot.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = l.pullOf(p.Branch)
	if got := commentOf(p, "commands"); p.HasLabel(pr.LabelHold) || !strings.Contains(got, "not done: this forge cannot prove who said so") {
		t.Errorf("%s", got)
	}
}

func TestWhatAForgeDoesNotMergeYetIsAskedOnceAMinute(t *testing.T) {
	l := newLine(t, nil)
	f := l.real()
	p := l.toProd()
	f.asked = nil
	f.mergeErr = fmt.Errorf("%w: required status check build is expected", pr.ErrNotReady)
	l.approves("alice", p)
	for range 30 { // a minute and more
		l.now = l.now.Add(3 * time.Second)
		l.tick()
	}
	if n := len(f.asked); n != 2 {
		t.Errorf("asked %d times in 90 seconds", n)
	}
	if f.asked[0].Bypass {
		t.Error("a bypass right may be used where approvals are asked for")
	}
	now := l.pullOf(p.Branch)
	if got := commentOf(now, "gates"); !strings.Contains(got, "| forge | pending | the forge does not let it be merged yet: required status check build is expected |") {
		t.Errorf("%s", got)
	}
	if c := statusOf(now); c.State != pr.CheckSuccess {
		t.Errorf("our own status keeps the forge waiting: %+v", c)
	}
	if calls := l.calls(); !slices.Equal(calls, []string{"List"}) {
		t.Errorf("calls %v", calls)
	}
	f.mergeErr = nil
	l.now = l.now.Add(time.Minute)
	l.settle()
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.1.0" {
		t.Errorf("%s", got)
	}
}

func TestWhatOnlyAPersonCanMendIsSaidOnce(t *testing.T) {
	for _, kind := range []error{pr.ErrMethod, pr.ErrForbidden} {
		t.Run(kind.Error(), func(t *testing.T) {
			l := newLine(t, nil)
			f := l.real()
			p := l.toProd()
			f.asked, f.mergeErr = nil, kind
			l.approves("alice", p)
			said := 0
			for range 20 {
				l.now = l.now.Add(20 * time.Second)
				out, err := l.bot.Tick(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				said += len(out.Failures)
			}
			if said != 1 || len(f.asked) != 1 {
				t.Errorf("in seven minutes said %d times, asked %d times", said, len(f.asked))
			}
			if err := l.as("bob").SetLabel(t.Context(), p.Number, "ready", true); err != nil { // something changed
				t.Fatal(err)
			}
			f.mergeErr = nil
			l.settle()
			if got := l.pullOf(p.Branch); !got.Merged {
				t.Error("not asked again")
			}
		})
	}
}

func TestAQueuedOneWaitsForTheForge(t *testing.T) {
	l := newLine(t, nil)
	f := l.real()
	p := l.toProd()
	f.asked, f.mergeErr = nil, pr.ErrQueued
	l.approves("alice", p)
	l.tick()
	f.queued = true
	for range 5 {
		l.now = l.now.Add(20 * time.Minute)
		l.reported = "" // agents go on reporting
		l.reportGreen()
		l.tick()
	}
	if len(f.asked) != 1 {
		t.Errorf("asked %d times", len(f.asked))
	}
	if got := commentOf(l.pullOf(p.Branch), "gates"); !strings.Contains(got, "| forge | pending | the forge was asked and merges it when its turn comes |") {
		t.Errorf("%s", got)
	}
}

func TestWhatAPersonStopsIsTakenOutOfTheQueue(t *testing.T) {
	tests := map[string]func(l *line, p pr.Pull){
		"a hold": func(l *line, p pr.Pull) { l.says("bob", p.Number, "/hold") },
		"changes asked for": func(l *line, p pr.Pull) {
			if err := l.as("bob").Review(l.t.Context(), p.Number, pr.Review{State: pr.ChangesRequested, Commit: p.Head}); err != nil {
				l.t.Fatal(err)
			}
		},
		"a commit of somebody else's": func(l *line, p pr.Pull) {
			c, err := l.git.Commit(l.t.Context(), gitrepo.Change{Parent: p.Head, Message: "by hand\n", Author: gitrepo.Identity{Name: "bob", Email: "bob@example.com"},
				Files: map[string][]byte{"envs/prod/web/more.yaml": []byte("kind: Secret\n")}})
			if err == nil {
				err = l.git.Push(l.t.Context(), gitrepo.Update{Ref: "refs/heads/" + p.Branch, Old: p.Head, New: c.Hash})
			}
			if err != nil {
				l.t.Fatal(err)
			}
		},
		"nothing left to do": func(l *line, p pr.Pull) {
			l.commit("by hand", map[string][]byte{"envs/prod/web/deployment.yaml": []byte(l.file(p.Head, "envs/prod/web/deployment.yaml"))})
		},
	}
	for name, stop := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, nil)
			f := l.real()
			p := l.toProd()
			f.mergeErr = pr.ErrQueued
			l.approves("alice", p)
			l.tick()
			f.queued = true
			l.tick()
			if len(f.unqueued) > 0 {
				t.Fatalf("before anybody stopped it: %v", f.unqueued)
			}
			stop(l, p)
			l.tick()
			if !slices.Equal(f.unqueued, []int{p.Number}) {
				t.Errorf("taken out: %v, want %d", f.unqueued, p.Number)
			}
			f.queued = false
			l.tick()
			if len(f.unqueued) != 1 {
				t.Errorf("again: %v", f.unqueued)
			}
		})
	}
}

func TestTheBranchOfAMergeIsDeletedOnlyWhereItWasLookedAt(t *testing.T) {
	for _, pushed := range []bool{false, true} {
		t.Run(fmt.Sprintf("pushed meanwhile %t", pushed), func(t *testing.T) {
			l := newLine(t, nil)
			f := l.real()
			p := l.toProd()
			l.approves("alice", p)
			kept := ""
			f.afterMerge = func() { // as at a forge that keeps merged branches
				var err error
				kept = p.Head
				if pushed {
					c, cerr := l.git.Commit(t.Context(), gitrepo.Change{Parent: p.Head, Message: "by hand\n", Files: map[string][]byte{"x": []byte("x\n")}})
					kept, err = c.Hash, cerr
				}
				if err == nil {
					err = l.git.Push(t.Context(), gitrepo.Update{Ref: "refs/heads/" + p.Branch, New: kept})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if out := l.tick(); len(out.Merged) != 1 {
				t.Fatalf("%+v", out.Plan)
			}
			if err := l.git.Fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := map[bool]string{true: kept}[pushed]
			if got, _ := l.git.Head(p.Branch); got != want {
				t.Errorf("the branch is at %q, want %q", got, want)
			}
		})
	}
}

func TestALimitOfTheForgeStopsAllButGit(t *testing.T) {
	l := newLine(t, nil)
	f := l.real()
	l.settle()
	until := l.now.Add(10 * time.Minute)
	f.listErr = fmt.Errorf("list pull requests: %w", &pr.LimitError{Until: until, What: "primary"})
	l.push("1.1.0")
	out := l.tick()
	if out.Limit == nil || !out.Limit.Until.Equal(until) || out.Pushed == "" {
		t.Fatalf("limit %v, pushed %q", out.Limit, out.Pushed)
	}
	if got := l.versions("web"); got != "1.1.0 1.0.0 1.0.0" {
		t.Errorf("%s", got)
	}
	l.reportGreen()
	f.calls = nil
	out = l.tick()
	if out.Limit == nil || len(f.calls) != 0 {
		t.Errorf("limit %v, calls %v", out.Limit, f.calls)
	}
	if len(out.Plan.Waiting) != 1 || !strings.Contains(out.Plan.Waiting[0].Hold[0], "the forge's limit is reached (primary)") {
		t.Errorf("%+v", out.Plan.Waiting)
	}
	f.listErr = nil
	l.now = until
	l.reported = ""
	l.settle()
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.0.0" {
		t.Errorf("afterwards: %s", got)
	}
	t.Run("in the middle of a tick", func(t *testing.T) {
		l.t = t
		p := l.pullOf("towpath/prod/web")
		l.approves("alice", p)
		f.mergeErr = &pr.LimitError{Until: l.now.Add(time.Minute), What: "secondary"}
		f.calls = nil
		out := l.tick()
		if out.Limit == nil || len(out.Merged) > 0 || f.calls[len(f.calls)-1] == "Report" {
			t.Errorf("%+v %v", out.Limit, f.calls)
		}
	})
}

func TestATeamIsAskedForOnlyWhenAnApprovalDependsOnIt(t *testing.T) {
	l := newLine(t, anyone(`from: ["team:sre"]`))
	f := l.real()
	p := l.toProd()
	if f.members != 0 {
		t.Errorf("asked %d times without an approval", f.members)
	}
	l.approves("alice", p)
	for range 3 {
		l.tick()
	}
	if f.members != 1 || !strings.Contains(commentOf(l.pullOf(p.Branch), "gates"), "who is in team sre is not known: 404 not found") {
		t.Errorf("asked %d times\n%s", f.members, commentOf(l.pullOf(p.Branch), "gates"))
	}
	f.teams = map[string][]string{"sre": {"Alice"}}
	l.now = l.now.Add(time.Minute)
	l.settle()
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.1.0" {
		t.Errorf("%s", got)
	}
}

func TestPeoplesHeadsMayHaveOurStatusRequired(t *testing.T) {
	l := newLine(t, nil)
	l.real()
	p := l.toProd()
	l.branch("more", l.head(), map[string][]byte{"docs/x.md": []byte("x\n")})
	n := l.ask("more")
	// Another pull request of the same commit as our proposal's does not free it.
	if err := l.git.Push(t.Context(), gitrepo.Update{Ref: "refs/heads/copy", New: p.Head}); err != nil {
		t.Fatal(err)
	}
	twin := l.ask("copy")
	l.tick()
	got, err := l.forge.Get(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if c := statusOf(got); c.State != pr.CheckSuccess || c.Description != "no promotion of Towpath" {
		t.Errorf("%+v", c)
	}
	if got, err = l.forge.Get(t.Context(), twin); err != nil || statusOf(got) != (pr.Check{}) {
		t.Errorf("%+v, %v", statusOf(got), err)
	}
	if calls := l.calls(); !slices.Equal(calls, []string{"List"}) {
		t.Errorf("calls %v", calls)
	}
}

func TestTheMergeQueueIsToldWhatThePullRequestIs(t *testing.T) {
	l := newLine(t, nil)
	f := l.real()
	p := l.toProd()
	l.branch("more", l.head(), map[string][]byte{"docs/x.md": []byte("x\n")})
	n := l.ask("more")
	theirs := l.branch(fmt.Sprintf("gh-readonly-queue/main/pr-%d-%s", n, l.head()), l.head(), map[string][]byte{"docs/x.md": []byte("x\n")})
	ours := l.branch(fmt.Sprintf("gh-readonly-queue/main/pr-%d-%s", p.Number, l.head()), theirs, map[string][]byte{"docs/y.md": []byte("y\n")})
	last := l.branch("gh-readonly-queue/main/pr-999-x", ours, map[string][]byte{"docs/z.md": []byte("z\n")})
	of := func(commit string) (out []string) {
		for _, c := range f.statuses {
			if c.Commit == commit && c.Context == pr.StatusContext {
				out = append(out, string(c.State))
			}
		}
		return out
	}
	l.tick()
	l.tick()
	if got := of(theirs); !slices.Equal(got, []string{"success"}) {
		t.Errorf("somebody else's: %v", got)
	}
	if got := of(ours); len(got) != 0 {
		t.Errorf("ours, not approved: %v", got)
	}
	if got := of(last); len(got) != 0 {
		t.Errorf("of no pull request: %v", got)
	}
	l.says("alice", p.Number, "/hold")
	l.tick()
	l.tick()
	if got := of(ours); !slices.Equal(got, []string{"failure"}) {
		t.Errorf("ours, held: %v", got)
	}
	f.queued = true
	l.says("alice", p.Number, "/release")
	l.approves("bob", p)
	l.tick()
	l.tick()
	if got := of(ours); !slices.Equal(got, []string{"failure", "success"}) {
		t.Errorf("ours, approved: %v", got)
	}
}

func TestPagesOfTheForgeAreToldNewsOnly(t *testing.T) {
	l := newLine(t, nil)
	f := l.real()
	l.tick() // before any agent
	states := func() (out []string) {
		for _, r := range f.reports {
			out = append(out, r.Env+" "+string(r.State))
		}
		f.reports = nil
		return out
	}
	if got := states(); !slices.Equal(got, []string{"dev progress", "staging progress", "prod progress"}) {
		t.Errorf("at first: %v", got)
	}
	l.settle()
	if got := states(); !slices.Equal(got, []string{"dev healthy", "staging healthy", "prod healthy"}) {
		t.Errorf("once healthy: %v", got)
	}
	l.tick()
	if got := states(); len(got) != 0 {
		t.Errorf("again: %v", got)
	}
	l.push("1.1.0")
	l.tick()
	l.tick()
	if got := states(); !slices.Equal(got, []string{"dev progress"}) {
		t.Errorf("a new version: %v", got)
	}
	l.settle()
	if got := states(); !slices.Equal(got, []string{"dev healthy", "staging healthy"}) {
		t.Errorf("on its way: %v", got)
	}
	t.Run("a restart asks once for each", func(t *testing.T) {
		l.t = t
		l.bot = l.botAt(f)
		l.tick()
		l.tick()
		if got := states(); len(got) != 3 {
			t.Errorf("%v", got)
		}
	})
	t.Run("a forge without pages is not asked again", func(t *testing.T) {
		l.t = t
		l.bot = l.botAt(f)
		f.fail["Report"] = pr.ErrUnsupported
		l.tick()
		delete(f.fail, "Report")
		l.tick()
		if got := states(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestAnOrderThatCannotBeCarriedOutStopsTheMerge(t *testing.T) {
	l := newLine(t, nil)
	f := l.real()
	p := l.toProd()
	f.asked = nil
	l.approves("bob", p)
	l.says("alice", p.Number, "/hold")
	f.fail["Comment hold"] = errDead
	out, err := l.bot.Tick(t.Context())
	if err != nil || len(out.Failures) != 1 || len(f.asked) != 0 {
		t.Errorf("%v %v, asked %v", out.Failures, err, f.asked)
	}
}

// twoAtOnce lets another bot work before a call of ours takes effect.
type twoAtOnce struct {
	*local.Forge
	before func()
}

func (f *twoAtOnce) Ensure(ctx context.Context, r pr.Request) (pr.Pull, error) {
	if f.before != nil {
		before := f.before
		f.before = nil
		before()
	}
	return f.Forge.Ensure(ctx, r)
}

func TestTwoBotsThatProposeAtTheSameMomentMakeOnePullRequest(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	l.push("1.1.0")
	l.tick() // dev
	l.reportGreen()
	other := l.newBot(l.open())
	forge := &twoAtOnce{Forge: local.New(local.Config{Git: l.git, User: "towpath", Now: l.clock})}
	forge.before = func() {
		l.now = l.now.Add(time.Second)
		if _, err := other.Tick(t.Context()); err != nil {
			t.Error(err)
		}
	}
	bot := promote.New(promote.Config{Git: l.git, Forge: forge, Author: l.git.Author(), Now: l.clock, Scanner: l.scanner(nil),
		States: func(ctx context.Context) (state.State, error) { return state.Load(ctx, l.git) }})
	out, err := bot.Tick(t.Context())
	if err != nil || len(out.Failures) > 0 {
		t.Fatal(err, out.Failures)
	}
	pulls, err := forge.List(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	if len(pulls) != 1 || pulls[0].Branch != "towpath/staging/web" {
		t.Errorf("%+v", pulls)
	}
}

func TestWhoseCommitsAreOursIsTheForgesToSay(t *testing.T) {
	l := newLine(t, nil)
	p := l.toProd()
	l.approves("alice", p)
	tick := func(ours func(gitrepo.Commit) bool) promote.Outcome {
		bot := promote.New(promote.Config{Git: l.git, Forge: l.forge, Author: gitrepo.Identity{Name: "x", Email: "other@example.com"}, Ours: ours, Now: l.clock, AllowUnauthenticated: true,
			States: func(ctx context.Context) (state.State, error) { return state.Load(ctx, l.git) }})
		out, err := bot.Tick(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := tick(func(c gitrepo.Commit) bool { return c.Author.Email == l.git.Author().Email }); !slices.Equal(out.Merged, []int{p.Number}) {
		t.Errorf("%+v", out.Plan.Judged)
	}
	l.push("1.2.0")
	l.settle()
	if out := tick(nil); len(out.Plan.Judged) != 1 || !out.Plan.Judged[0].Foreign {
		t.Errorf("%+v", out.Plan.Judged)
	}
}

// TestAForgedCommitOnOurBranchIsNotMerged writes our name, our address and our
// trailers into a commit that changes one thing more.
func TestAForgedCommitOnOurBranchIsNotMerged(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	l.push("1.1.0")
	l.tick() // dev
	l.reportGreen()
	out := l.tick() // proposes staging
	if len(out.Proposed) != 1 {
		t.Fatalf("%+v", out.Plan)
	}
	p := l.pullOf("towpath/staging/web")
	ours, err := l.git.ReadCommit(p.Head)
	if err != nil {
		t.Fatal(err)
	}
	const evil = "envs/staging/web/evil.yaml"
	c, err := l.git.Commit(t.Context(), gitrepo.Change{Parent: ours.Parents[0], Message: ours.Message, Author: l.git.Author(), Files: map[string][]byte{
		"envs/staging/web/deployment.yaml": []byte(l.file(p.Head, "envs/staging/web/deployment.yaml")), evil: []byte("kind: Secret\n")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.git.Push(t.Context(), gitrepo.Update{Ref: "refs/heads/towpath/staging/web", Old: p.Head, New: c.Hash}); err != nil {
		t.Fatal(err)
	}
	l.settle()
	if got := l.versions("web"); got != "1.1.0 1.1.0 1.0.0" {
		t.Errorf("%s", got)
	}
	log, err := l.git.Log(l.head(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range log {
		snap, err := l.git.Snapshot(c.Hash)
		if err != nil {
			t.Fatal(err)
		}
		if _, there := snap.Hash(evil); there {
			t.Errorf("%s brought it in", c.Hash)
		}
	}
}
