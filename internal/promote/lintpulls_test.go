package promote_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/pr/local"
	"towpath.dev/towpath/internal/promote"
)

// branch commits files on a branch of somebody else's, on top of parent.
func (l *line) branch(name, parent string, files map[string][]byte) string {
	l.t.Helper()
	c, err := l.git.Commit(l.t.Context(), gitrepo.Change{Parent: parent, Files: files, Message: name + "\n"})
	if err != nil {
		l.t.Fatal(err)
	}
	refs, err := l.git.Refs("refs/heads/" + name)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.git.Push(l.t.Context(), gitrepo.Update{Ref: "refs/heads/" + name, Old: refs["refs/heads/"+name], New: c.Hash}); err != nil {
		l.t.Fatal(err)
	}
	return c.Hash
}

// ask opens a pull request as alice.
func (l *line) ask(branch string) int {
	l.t.Helper()
	p, err := local.New(local.Config{Git: l.git, User: "alice", Now: l.clock}).Ensure(l.t.Context(), pr.Request{Branch: branch, Base: "main", Title: branch, Body: "please"})
	if err != nil {
		l.t.Fatal(err)
	}
	return p.Number
}

// lintOf is what the bot said of a pull request: "state: description" and comment.
func (l *line) lintOf(number int) (status, comment string) {
	l.t.Helper()
	p, err := l.forge.Get(l.t.Context(), number)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range p.Checks {
		if c.Context == pr.LintContext {
			status += string(c.State) + ": " + c.Description
		}
	}
	for _, c := range p.Comments {
		if c.Key == "lint" {
			comment += c.Body
		}
	}
	return status, comment
}

func (l *line) calls() []string {
	l.t.Helper()
	l.forge.calls = nil
	l.tick()
	return l.forge.calls
}

const cannotRead = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\nimages: # towpath: web\n- a\n"

func TestAPullRequestThatBreaksAMarkerIsTold(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	head := l.branch("more", l.head(), map[string][]byte{"envs/dev/web/more.yaml": []byte(cannotRead + "# @everyone `x` <script>\n")})
	n := l.ask("more")
	if calls := l.calls(); !slices.Equal(calls, []string{"List", "SetStatus", "Comment", "SetStatus"}) {
		t.Errorf("calls %v", calls)
	}
	status, comment := l.lintOf(n)
	if want := "failure: 1 problem: envs/dev/web/more.yaml:4"; !strings.HasPrefix(status, want) {
		t.Errorf("status %q, want %q", status, want)
	}
	for _, want := range []string{"would bring in 1 problem.", "- **error** `envs/dev/web/more.yaml:4", "what to do: `"} {
		if !strings.Contains(comment, want) {
			t.Errorf("the comment lacks %q:\n%s", want, comment)
		}
	}
	t.Run("once", func(t *testing.T) {
		if calls := l.calls(); !slices.Equal(calls, []string{"List"}) {
			t.Errorf("calls %v", calls)
		}
	})
	t.Run("also when the base moves", func(t *testing.T) {
		l.commit("text\n", map[string][]byte{"README.md": []byte("text\n")})
		if calls := l.calls(); !slices.Equal(calls, []string{"List"}) {
			t.Errorf("calls %v", calls)
		}
	})
	t.Run("another fault edits the comment", func(t *testing.T) {
		head = l.branch("more", head, map[string][]byte{"policies/more.yaml": []byte("kind: ImagePolicy\n")})
		l.tick()
		status, again := l.lintOf(n)
		if !strings.HasPrefix(status, "failure: ") || !strings.Contains(again, "policies/more.yaml:1") || strings.Count(again, "would bring in") != 1 {
			t.Errorf("%s\n%s", status, again)
		}
	})
	t.Run("mended", func(t *testing.T) {
		l.branch("more", head, map[string][]byte{"policies/more.yaml": nil, "envs/dev/web/more.yaml": nil, "README.md": []byte("fine\n")})
		if calls := l.calls(); !slices.Equal(calls, []string{"List", "SetStatus", "Comment", "SetStatus"}) {
			t.Errorf("calls %v", calls)
		}
		status, comment := l.lintOf(n)
		if !strings.HasPrefix(status, "success: ") || !strings.HasPrefix(comment, "All mended") {
			t.Errorf("%s\n%s", status, comment)
		}
		if calls := l.calls(); !slices.Equal(calls, []string{"List"}) {
			t.Errorf("calls %v", calls)
		}
	})
}

func TestPullRequestsThatBringNothingBadGetNoComment(t *testing.T) {
	// One error is on the base branch already, and not the pull requests' fault.
	l := newLine(t, func(path string, data []byte) []byte {
		if path == "envs/dev/api/kustomization.yaml" {
			return append(data, []byte("labels: # towpath: api\n- pairs: {a: b}\n")...)
		}
		return data
	})
	l.settle()
	kustomization := []byte("# moved down a line\n" + l.file(l.head(), "envs/dev/api/kustomization.yaml"))
	for _, tt := range []struct {
		name   string
		files  map[string][]byte
		status string
	}{
		{"docs", map[string][]byte{"docs/x.md": []byte("# towpath: web\n")}, "success: no policies, environments or YAML changed"},
		{"good", map[string][]byte{"envs/dev/web/note.yaml": []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: note}\n")}, "success: nothing wrong with policies and markers"},
		{"moved", map[string][]byte{"envs/dev/api/kustomization.yaml": kustomization}, "success: nothing wrong with policies and markers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.t = t
			l.branch(tt.name, l.head(), tt.files)
			n := l.ask(tt.name)
			if calls := l.calls(); !slices.Equal(calls, []string{"List", "SetStatus", "SetStatus"}) {
				t.Errorf("calls %v", calls)
			}
			if status, comment := l.lintOf(n); status != tt.status || comment != "" {
				t.Errorf("%q %q", status, comment)
			}
		})
	}
}

func TestAMarkerOutsideAndAWarningAreTold(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	l.branch("base", l.head(), map[string][]byte{"base/x.yaml": []byte("image: " + l.reg.Host() + "/shop/web:1.0.0 # towpath: web\n")})
	l.branch("flux", l.head(), map[string][]byte{"base/x.yaml": []byte("image: x:1 # {\"$imagepolicy\": \"flux-system:web\"}\n")})
	outside, flux := l.ask("base"), l.ask("flux")
	l.tick()
	if status, comment := l.lintOf(outside); !strings.HasPrefix(status, "failure: 1 problem: base/x.yaml:1:8 no environment's directory holds the file") || !strings.Contains(comment, "what to do") {
		t.Errorf("%q %q", status, comment)
	}
	if status, comment := l.lintOf(flux); !strings.HasPrefix(status, "success: 1 warning: base/x.yaml:1:8 ") || !strings.Contains(comment, "1 warning and no error") {
		t.Errorf("%q %q", status, comment)
	}
}

// unseen adds a pull request whose head is in no repository that we see, as from
// a fork that is gone.
type unseen struct{ *countedForge }

func (u unseen) List(ctx context.Context, base string) ([]pr.Pull, error) {
	pulls, err := u.countedForge.List(ctx, base)
	return append([]pr.Pull{{Number: 99, Branch: "fork", Base: "main", Head: strings.Repeat("4", 40), Open: true}}, pulls...), err
}

func TestAHeadThatCannotBeReadStopsNothing(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	l.branch("more", l.head(), map[string][]byte{"envs/dev/web/more.yaml": []byte(cannotRead)})
	n := l.ask("more")
	bot := promote.New(promote.Config{Git: l.git, Forge: unseen{l.forge}, Author: l.git.Author(), Now: l.clock})
	for range 2 {
		out, err := bot.Tick(t.Context())
		if err != nil || len(out.Failures) != 2 || !strings.HasPrefix(out.Failures[0], "set the status of pull request #99: ") || !strings.HasPrefix(out.Failures[1], "check pull request #99: ") {
			t.Errorf("%v, %v", out.Failures, err)
		}
	}
	if status, _ := l.lintOf(n); !strings.HasPrefix(status, "failure: ") {
		t.Errorf("the other: %q", status)
	}
}

func TestManyPullRequestsAreCheckedOverSeveralTicks(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	const pulls = 23
	for i := range pulls {
		name := fmt.Sprintf("many-%d", i)
		l.branch(name, l.head(), map[string][]byte{"docs/" + name: []byte("x\n")})
		l.ask(name)
	}
	for i, want := range []int{40, 6, 0} { // two on each head
		calls := l.calls()
		if n := len(calls) - 1; n != want {
			t.Errorf("tick %d writes %d statuses, want %d", i, n, want)
		}
	}
}

func TestOwnProposalsAreNotCheckedAgainButWhatPeopleAddToThemIs(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	if err := l.reg.PushAll("shop/web", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	l.settle()
	pulls, err := l.forge.List(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	prod := pulls[0]
	if status, _ := l.lintOf(prod.Number); prod.Branch != "towpath/prod/web" || status != "" {
		t.Fatalf("%s: %q", prod.Branch, status)
	}
	l.branch(prod.Branch, prod.Head, map[string][]byte{"envs/prod/web/more.yaml": []byte(cannotRead)})
	l.tick()
	if status, _ := l.lintOf(prod.Number); !strings.HasPrefix(status, "failure: 1 problem: envs/prod/web/more.yaml:4") {
		t.Errorf("%q", status)
	}
}

// A head that is larger than a repository can be is not read to its end.
func TestAHeadThatIsTooLargeIsRefused(t *testing.T) {
	l := newLine(t, nil)
	l.settle()
	files := map[string][]byte{}
	l.bot.SetLintBudget(8<<20, 4<<20)
	big := bytes.Repeat([]byte("# text\n"), 150_000)
	for i := range 9 {
		files[fmt.Sprintf("big/%d.yaml", i)] = big
	}
	l.branch("big", l.head(), files)
	n := l.ask("big")
	l.tick()
	if status, comment := l.lintOf(n); !strings.HasPrefix(status, "failure: cannot be checked: it holds more than 8 MiB") || !strings.Contains(comment, "cannot be checked") {
		t.Errorf("%q %q", status, comment)
	}
}
