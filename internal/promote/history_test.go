package promote

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/policy"
)

func TestWhatWeWroteIsReadFromTrailers(t *testing.T) {
	tests := []struct {
		name, message string
		want          map[string]string
	}{
		{"a person's commit names nothing", "by hand\n\nTowpath-Environment of no use\n", map[string]string{}},
		{"a squashed pull request", "prod: web (#2)\n\nTowpath-Environment: prod\nTowpath-App: web\nTowpath-Policy: web\nTowpath-From: staging@1\nTowpath-Content: sha256:c3\nTowpath-Approved-By: alice\n",
			map[string]string{"prod/web": "sha256:c3"}},
		{"two apps in one commit, with the line ends of a forge", "update 2 apps\r\n\r\nTowpath-Environment: dev\r\nTowpath-App: web\r\nTowpath-Content: sha256:a2\r\nTowpath-Environment: dev\r\nTowpath-App: api\r\nTowpath-Content: sha256:b2\r\n",
			map[string]string{"dev/web": "sha256:a2", "dev/api": "sha256:b2"}},
		{"a revert that quotes is read, too: its content tells", "Revert \"dev: web\"\n\nTowpath-Environment: dev\nTowpath-App: web\nTowpath-Content: sha256:a1\n", map[string]string{"dev/web": "sha256:a1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, trailers(tt.message)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestABotThatRanForLongKnowsWhatAFreshOneDoes extends the cached history by
// random commits, over the bound and past a rewritten branch, and compares it
// with what a bot without cache reads.
func TestABotThatRanForLongKnowsWhatAFreshOneDoes(t *testing.T) {
	url := filepath.Join(t.TempDir(), "config.git")
	if err := gitrepo.InitBare(url, "main"); err != nil {
		t.Fatal(err)
	}
	repo, err := gitrepo.Open(t.Context(), gitrepo.Config{URL: url, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = repo.Close() })
	const limit = 7
	env, app := policy.Environment{Name: "dev", Path: "envs/dev"}, AppState{Env: "dev", Name: "web", Dir: "envs/dev/web"}
	read := func(b *Bot, head string) (out []string) {
		t.Helper()
		if err := b.extend(head); err != nil {
			t.Fatal(err)
		}
		past, err := b.pastOf(env, []AppState{app})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range past["web"] {
			out = append(out, fmt.Sprint(h))
		}
		return out
	}
	fresh := func() *Bot { return &Bot{cfg: Config{Git: repo}, history: history{limit: limit}} }
	old, rnd := fresh(), rand.New(rand.NewPCG(1, 2))
	var heads []string
	for i := range 120 {
		parent := ""
		if n := len(heads); n > 0 {
			parent = heads[n-1]
			if rnd.IntN(10) == 0 { // somebody rewrote the branch
				parent = heads[rnd.IntN(n)]
			}
		}
		files := map[string][]byte{"README.md": fmt.Append(nil, i)}
		switch rnd.IntN(4) {
		case 0:
			files["envs/dev/web/x.yaml"] = []byte(deployment(fmt.Sprintf("1.%d.0", rnd.IntN(3))))
		case 1:
			files["envs/dev/web/x.yaml"] = nil
		case 2:
			files["envs/dev/web/notes.yaml"] = fmt.Append(nil, "n: ", i, "\n")
		}
		c, err := repo.Commit(t.Context(), gitrepo.Change{Parent: parent, Files: files, Message: "x\n"})
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, c.Hash)
		if rnd.IntN(3) == 0 {
			continue // several commits between two looks
		}
		if d := cmp.Diff(read(fresh(), c.Hash), read(old, c.Hash)); d != "" {
			t.Fatalf("commit %d (-fresh +old):\n%s", i, d)
		}
	}
}
