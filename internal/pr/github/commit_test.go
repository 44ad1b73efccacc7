package github

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/test/fakegithub"
)

func plain(path, text string) Content {
	return Content{Message: "subject\n\nbody\n\nTrailer: x\n", Files: map[string][]byte{path: []byte(text)}}
}

func TestACommitIsMadeOnlyOnTheHeadThatIsMeant(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	head := g.commit(t, "bump", "a", "1")
	for name, at := range map[string]struct{ branch, head string }{
		"another head": {"bump", strings.Repeat("1", 40)}, "no such branch": {"none", head},
	} {
		if _, err := f.CommitOnBranch(t.Context(), at.branch, at.head, plain("a", "2")); !errors.Is(err, pr.ErrHeadMoved) {
			t.Errorf("%s: %v, want ErrHeadMoved", name, err)
		}
	}
	oid, err := f.CommitOnBranch(t.Context(), "bump", head, plain("a", "2"))
	if err != nil {
		t.Fatal(err)
	}
	var commit struct {
		Commit struct {
			Message      string `json:"message"`
			Verification struct {
				Verified bool `json:"verified"`
			} `json:"verification"`
			Author, Committer struct {
				Email string `json:"email"`
			}
		} `json:"commit"`
	}
	if _, err := f.do(t.Context(), http.MethodGet, f.repoPath("commits/%s", "bump"), nil, &commit); err != nil {
		t.Fatal(err)
	}
	c := commit.Commit
	if !c.Verification.Verified || c.Message != "subject\n\nbody\n\nTrailer: x" || !f.Made(c.Author.Email, c.Committer.Email) {
		t.Errorf("commit %s: %+v", oid, c)
	}
	if _, err := f.CommitOnBranch(t.Context(), "bump", head, plain("a", "3")); !errors.Is(err, pr.ErrHeadMoved) {
		t.Errorf("the same again: %v, want ErrHeadMoved", err)
	}
}

func TestACommitThatCannotBeSentIsNotSent(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	many := map[string][]byte{}
	for i := range maxCommitFiles + 1 {
		many[fmt.Sprint(i)] = []byte("x")
	}
	for name, files := range map[string]map[string][]byte{
		"nothing": nil, "too many files": many, "too many bytes": {"a": make([]byte, maxCommitBytes/2+1), "b": make([]byte, maxCommitBytes/2)},
	} {
		if _, err := f.CommitOnBranch(t.Context(), "main", "x", Content{Message: "m", Files: files}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if len(g.Requests()) != 0 {
		t.Errorf("sent: %v", g.sent())
	}
	if n := base64.StdEncoding.EncodedLen(maxCommitBytes); n > maxBody*3/4 {
		t.Errorf("the largest commit has %d bytes of Base64, too near to %d", n, maxBody)
	}
}

func TestACommitWithoutTheRightIsForbidden(t *testing.T) {
	g := newGround(t)
	g.repo.Change(func(r *fakegithub.Repo) {
		r.Rulesets = []*fakegithub.Ruleset{{Name: "x", Branches: []string{"bump"}, Update: true}}
	})
	head := g.commit(t, "bump", "a", "1")
	g.repo.Collaborator("rob", "read")
	for login, want := range map[string]string{"bot": "rule violations", "rob": "Resource not accessible"} {
		_, err := g.as(t, g.User(login)).CommitOnBranch(t.Context(), "bump", head, plain("a", "2"))
		if !errors.Is(err, pr.ErrForbidden) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want ErrForbidden", login, err)
		}
	}
}

func TestBranchesArePutAndDroppedWhereverTheyWere(t *testing.T) {
	g := newGround(t)
	f := g.as(t, g.User("bot"))
	one, two := g.commit(t, "x", "a", "1"), g.commit(t, "y", "a", "2")
	const branch = "made/prod/web#1+é"
	for _, at := range []string{one, two, two} {
		if err := f.PutBranch(t.Context(), branch, at); err != nil {
			t.Fatal(err)
		}
		var ref struct {
			Object struct{ SHA string }
		}
		if _, err := f.do(t.Context(), http.MethodGet, strings.Replace(f.branchRef(branch), "git/refs/", "git/ref/", 1), nil, &ref); err != nil || ref.Object.SHA != at {
			t.Errorf("at %s, %v; want %s", ref.Object.SHA, err, at)
		}
	}
	for range 2 {
		if err := f.DropBranch(t.Context(), branch); err != nil {
			t.Error(err)
		}
	}
	if err := f.PutBranch(t.Context(), branch, strings.Repeat("1", 40)); err == nil || !strings.Contains(err.Error(), "put the branch "+branch+" at 1111111111: GitHub answered 422: Object does not exist") {
		t.Errorf("a commit that is not there: %v", err)
	}
}
