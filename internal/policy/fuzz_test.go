package policy

import (
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad: Load never panics, every problem has its place, and whatever loads is
// complete and usable.
func FuzzLoad(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/bad.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files[:len(archive.Files)-1] {
		f.Add(file.Data)
	}
	f.Add([]byte(policyYAML("web") + "---\n" + policyYAML("api")))
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []File{{Path: "policies/a.yaml", Data: data}, {Path: "policies/b.yaml", Data: []byte(policyYAML("other"))}}
		c := Load(files)
		checkConfig(t, files, c)
		_, ok := c.Policy("other")
		taken := slices.ContainsFunc(c.Problems, func(p Problem) bool { return p.Path == "policies/b.yaml" })
		if !ok && !taken {
			t.Error("a good policy is gone without a word")
		}
	})
}
