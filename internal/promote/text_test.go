package promote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/pr"
)

// TestTexts keeps what people read: title, commit message, body, gates.
func TestTexts(t *testing.T) {
	s := shop(t, "1.1.0", "1.1.0", "1.0.0").green("staging", 2*time.Hour)
	s.Config.Howto = Howto{Approve: "`towpath approve KEY`"}
	p := Decide(s).Propose[0]
	s = s.proposed(t)
	v := Decide(s).Judged[0].Verdict
	check := Status(v, "head")
	got := "-- title --\n" + Title(p.Move) + "\n-- message --\n" + Message([]Move{p.Move}) + "-- body --\n" + Body(p, s) +
		"-- gates --\n" + GateComment(v) + "-- status --\n" + string(check.State) + " " + check.Description + "\n"
	golden(t, "texts.txt", got)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got, rewrite with -update):\n%s", path, d)
	}
}

func TestReferencesAreSplitWithoutTheirRepository(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for in, want := range map[string]refParts{
		"host:5000/shop/web:1.0.0":           {"1.0.0", ""},
		"host:5000/shop/web:1.0.0@" + digest: {"1.0.0", digest},
		"host:5000/shop/web@" + digest:       {"", digest},
		"host:5000/shop/web":                 {"", ""},
		":1.0.0":                             {"1.0.0", ""},
		digest:                               {"", digest},
		"1.0.0":                              {"", ""},
		"":                                   {"", ""},
	} {
		if got := refTail(in); got != want {
			t.Errorf("refTail(%q) = %v, want %v", in, got, want)
		}
	}
}

func TestNothingLeavesACodeSpan(t *testing.T) {
	for _, in := range []string{"a`b", "a|b", "@alice", "a\nb", "", "#1", "<script>", "a\\`b"} {
		got := code(in)
		if in == "" && got == "–" {
			continue
		}
		if strings.Count(got, "`") != 2 || !strings.HasPrefix(got, "`") || !strings.HasSuffix(got, "`") || strings.ContainsAny(got, "|\n\\") {
			t.Errorf("code(%q) = %s", in, got)
		}
	}
}

func TestTheBodySaysWhatTheCommitSays(t *testing.T) {
	s := shop(t, "1.1.0", "1.0.0", "1.0.0").green("dev", time.Hour)
	p := Decide(s).Propose[0]
	block, err := pr.ParseBlock(Body(p, s))
	if err != nil {
		t.Fatal(err)
	}
	message := Message([]Move{p.Move})
	if got := trailer(message, trailerContent); got != block.Content {
		t.Errorf("trailer %s, block %s", got, block.Content)
	}
	if got := trailer(message, trailerFrom); got != block.From+"@"+block.FromCommit {
		t.Errorf("trailer %s, block %s@%s", got, block.From, block.FromCommit)
	}
	for _, k := range []string{trailerEnv, trailerApp, trailerPolicy} {
		if trailer(message, k) == "" {
			t.Errorf("no trailer %s in\n%s", k, message)
		}
	}
}
