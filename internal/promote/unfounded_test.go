package promote

import (
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/internal/pr"
)

// What a block says of its values is whoever wrote it's word.
func TestABlockIsNoSourceOfValues(t *testing.T) {
	s := shop(t, "1.1.0", "1.0.0", "1.0.0").green("dev", time.Hour).proposed(t)
	if len(s.Pulls) != 1 {
		t.Fatalf("%+v", Decide(s).Waiting)
	}
	p := s.Pulls[0]
	block, ours := ownBlock(p)
	if !ours {
		t.Fatal(p.Body)
	}
	env := s.Envs["staging"].Env
	head := s.Branches[p.Branch]
	if why := s.unfounded(env, block, head); why != "" {
		t.Errorf("an honest one: %s", why)
	}
	tests := map[string]func(*pr.Block){
		"another name":     func(b *pr.Block) { b.Values = map[string]string{"web": "elsewhere.example/web:1.1.0"} },
		"no policy at all": func(b *pr.Block) { b.Policies = nil },
		"other content":    func(b *pr.Block) { b.Content = "sha256:00" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			b := block
			change(&b)
			if why := s.unfounded(env, b, head); !strings.Contains(why, "the branch is not main with exactly what dev holds now") {
				t.Errorf("%q", why)
			}
		})
	}
}
