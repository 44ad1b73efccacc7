package promote_test

import (
	"strings"
	"testing"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/pr"
)

// forgeDigest does what anybody can who may push to our branches: a commit and a pull
// request that look like ours, and pin web to a digest that nobody chose. It returns
// what the file would hold.
func (l *line) forgeDigest(env, tag string) string {
	l.t.Helper()
	if err := l.git.Fetch(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("ab", 32)
	path, branch := "envs/"+env+"/web/deployment.yaml", "towpath/"+env+"/web"
	before, rest, found := strings.Cut(l.file(l.head(), path), l.reg.Host()+"/shop/web:")
	if !found {
		l.t.Fatalf("%s has no image", path)
	}
	now := l.reg.Host() + "/shop/web:" + tag + "@" + digest
	data := before + now + rest[strings.IndexAny(rest, " \n"):]
	values := l.values(env, "web")
	ref := values["web"]
	ref.Tag, ref.Digest = image.Tag(tag), image.Digest(digest)
	values["web"] = ref
	block := pr.Block{Env: env, App: "web", Content: patch.Content(env, "web", values), From: "dev", Values: map[string]string{}, Policies: []string{"web"}}
	for name, v := range values {
		block.Values[name] = v.String()
	}
	c, err := l.git.Commit(l.t.Context(), gitrepo.Change{Parent: l.head(), Message: "x\n\nTowpath-Content: " + block.Content + "\n", Author: l.git.Author(),
		Files: map[string][]byte{path: []byte(data)}})
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.git.Push(l.t.Context(), gitrepo.Update{Ref: "refs/heads/" + branch, New: c.Hash}); err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.as("mallory").Ensure(l.t.Context(), pr.Request{Branch: branch, Base: "main", Title: "x", Body: "hello\n" + block.String() + "\n"}); err != nil {
		l.t.Fatal(err)
	}
	return now
}

func TestAForgedDigestOfTheSameTagIsNotMerged(t *testing.T) {
	tests := map[string]struct{ env, want string }{
		"behind another environment": {"staging", "dev holds no digest of web 1.0.0, not sha256:abababababab"},
		"where versions enter":       {"dev", "policy web wants nothing else than dev holds"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, func(path string, data []byte) []byte {
				if path == "policies/pipeline.yaml" {
					return []byte(strings.Replace(string(data), "merge: push", "merge: auto", 1))
				}
				return data
			})
			l.settle()
			now := l.forgeDigest(c.env, "1.0.0")
			for range 3 {
				l.reportGreen()
				l.tick()
			}
			if strings.Contains(l.file(l.head(), "envs/"+c.env+"/web/deployment.yaml"), now) {
				t.Fatalf("merged: %s", now)
			}
			if got := commentOf(l.pullOf("towpath/"+c.env+"/web"), "gates"); !strings.Contains(got, c.want) {
				t.Errorf("%s", got)
			}
		})
	}
}
