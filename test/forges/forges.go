// Package forges is what every forge must do, as tests: one suite that each
// package of pull requests runs against its own server. It speaks the values of
// package pr only and changes repositories with the git program, so that no forge
// is asked about what the suite itself did.
//
// It is beside the floors, and imports package pr only.
package forges

import (
	"context"
	"sync"
	"testing"

	"towpath.dev/towpath/internal/pr"
)

// Forge is all that a forge has.
type Forge interface {
	List(ctx context.Context, base string) ([]pr.Pull, error)
	Get(ctx context.Context, number int) (pr.Pull, error)
	Ensure(ctx context.Context, r pr.Request) (pr.Pull, error)
	Merge(ctx context.Context, m pr.MergeRequest) (commit string, err error)
	Close(ctx context.Context, number int, comment string) error
	Reopen(ctx context.Context, number int) error
	Review(ctx context.Context, number int, r pr.Review) error
	Comment(ctx context.Context, number int, c pr.Comment) error
	SetLabel(ctx context.Context, number int, label string, on bool) error
	SetStatus(ctx context.Context, number int, c pr.Check) error
	Authenticated() bool
	MayWrite(ctx context.Context, user string) (bool, error)
	Members(ctx context.Context, team string) ([]string, error)
	Report(ctx context.Context, r pr.Report) error
	User() string
	Rights(ctx context.Context) (pr.Rights, error)
	Rules(ctx context.Context, branch string) (pr.Rules, error)
}

// The people of every World beside the bot.
const (
	Alice   = "alice"   // may write
	Bob     = "bob"     // may write
	Mallory = "mallory" // may read and, where the forge lets such people, comment and review
)

// World is one repository of a forge, made for one case, and the forge over it.
// Its branch main is there, and what it holds is replaced; nothing protects it, there are
// no pull requests, all methods of merging are allowed, and branches stay after a
// merge unless the Forge deletes them. What is nil the forge cannot; its cases are
// skipped and say so.
type World struct {
	// Forge is the bot's, who may write but is no administrator where the forge
	// knows the difference. It is called by one goroutine at a time unless a case
	// says otherwise.
	Forge Forge
	// As is the same forge as seen by one of the people; nil for who cannot be.
	As func(user string) Forge
	// Restart is one more Forge of the bot's with empty memory.
	Restart func() Forge
	// Remote is where the git program clones from and pushes to, with the rights of
	// Alice: a path or a URL. The forge hears of the pushes as of anybody's.
	Remote string
	// Writes counts what the bot wrote so far: requests that change something, refs
	// that were pushed. Refused ones count, too.
	Writes func() int

	// Later lets the forge's clock move on by some seconds; nil: time itself does.
	Later func()
	// Lose makes the next n writes of the bot take effect and their answers get lost;
	// 0: no more of them.
	Lose func(n int)
	// Protect gives main these rules, for administrators, too. Of pr.Rules count
	// Approvals, Checks and, when not nil, Methods.
	Protect func(r pr.Rules) error
	// Fork opens, as Mallory, a pull request onto main of a fork's branch of this
	// name, and returns its number.
	Fork func(branch string) (int, error)
	// Team is the name of a team with Alice and Bob in it; "": no teams.
	Team string
	// Methods that the forge merges by; nil: all three.
	Methods []pr.Method
	// Dismiss takes back, as somebody who may, the newest review of a person.
	Dismiss func(number int, user string) error
	// Reported is the state that the forge shows of an environment at a commit; nil
	// while the forge supports reports: they cannot be read back.
	Reported func(env, commit string) (pr.ReportState, error)
	// Page is how many things a page of the server's holds; 0: 50.
	Page int
	// Many makes so many pull requests onto main quickly, of branches
	// towpath/many/<n>, closed when closed is true: those may be of one branch.
	Many func(n int, closed bool) error
}

// T is what a case needs of *testing.T.
type T interface {
	Helper()
	Context() context.Context
	TempDir() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// testCase is one sentence about forges.
type testCase struct {
	name  string
	needs func(w *World) string // what is missing; "": nothing
	run   func(s *stage)
}

// Run runs every case as a subtest over a World of its own, atOnce side by side: more
// than one where a case mostly waits for its server. start is called with the subtest,
// by several goroutines at once; a server that all share is started before Run.
func Run(t *testing.T, atOnce int, start func(t *testing.T) *World) {
	todo := make(chan testCase)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for c := range todo {
				t.Run(c.name, func(t *testing.T) { c.over(t, start(t)) })
			}
		})
	}
	for _, c := range cases() {
		todo <- c
	}
	close(todo)
	workers.Wait()
}

func (c testCase) over(t *testing.T, w *World) {
	if c.needs != nil {
		if missing := c.needs(w); missing != "" {
			t.Skipf("this forge has no %s", missing)
		}
	}
	c.run(newStage(t, w))
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		ensureCases(), reviewCases(), statusCases(), labelCases(), commentCases(),
		mergeCases(), closeCases(), listCases(), answerCases(),
	} {
		all = append(all, group...)
	}
	return all
}

// many is somewhat more than two pages hold.
func (w *World) many() int {
	if w.Page == 0 {
		return 105
	}
	return 2*w.Page + 5
}

func needsLose(w *World) string {
	if w.Lose == nil {
		return "way to lose answers"
	}
	return ""
}

func needsProtect(w *World) string {
	if w.Protect == nil {
		return "rules of its own"
	}
	return ""
}
