package pr

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlockRoundTrip(t *testing.T) {
	b := Block{Env: "prod", App: "web", Content: "sha256:ab", From: "staging", FromCommit: "c0ffee",
		Values: map[string]string{"web": "r/web:1.1.0", "odd": "--> <script>"}, Edits: []string{"a.yaml:1"}}
	for name, body := range map[string]string{
		"alone":          b.String(),
		"after text":     "# Title\n\ntext\n\n" + b.String() + "\n",
		"stored as CRLF": strings.ReplaceAll("text\n\n"+b.String(), "\n", "\r\n"),
		"the last wins":  Block{Env: "dev"}.String() + "\n" + b.String(),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBlock(body)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(b, got); d != "" {
				t.Error(d)
			}
			if strings.Count(body, "-->") != strings.Count(body, "<!--") {
				t.Error("a value ended the comment early")
			}
		})
	}
}

func TestBodiesThatHoldNoBlock(t *testing.T) {
	for name, body := range map[string]string{
		"empty":       "",
		"prose":       "bump web",
		"not closed":  "<!-- towpath:v1\n{}",
		"not JSON":    "<!-- towpath:v1\n{oops\n-->",
		"far too big": "<!-- towpath:v1\n\"" + strings.Repeat("a", maxBlock) + "\"\n-->",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseBlock(body); err == nil {
				t.Error("want an error")
			} else if name != "not JSON" && !errors.Is(err, ErrNoBlock) {
				t.Errorf("got %v, want ErrNoBlock", err)
			}
		})
	}
}

func FuzzParseBlock(f *testing.F) {
	f.Add(Block{Env: "dev", Values: map[string]string{"a": "b"}}.String())
	f.Add("<!-- towpath:v1\n{}\n-->")
	f.Fuzz(func(t *testing.T, body string) {
		b, err := ParseBlock(body)
		if err != nil {
			return
		}
		again, err := ParseBlock("x\n" + b.String())
		if err != nil {
			if len(b.String()) > maxBlock { // indentation grew it past the limit
				return
			}
			t.Fatal(err)
		}
		if again.String() != b.String() {
			t.Errorf("not stable: %s", b)
		}
	})
}
