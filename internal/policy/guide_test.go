package policy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"towpath.dev/towpath/internal/image"
)

const guide = "../../docs/guides/choosing-a-tag.md"

var codeInRow = regexp.MustCompile("`([^`]*)`")

// TestTheExamplesOfTheGuideAreTrue chooses by every row of its tables that begins with
// a policy.
func TestTheExamplesOfTheGuideAreTrue(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		at := strings.Index(line, "| `select: ")
		if at < 0 {
			continue
		}
		cells := codeInRow.FindAllStringSubmatch(line[at:], -1)
		if len(cells) < 4 {
			t.Errorf("not policy, current, tags and choice: %s", line)
			continue
		}
		examples++
		spec, current, tags, want := cells[0][1], cells[1][1], strings.Fields(cells[2][1]), cells[3][1]
		got := Select(readSpec(t, "{"+spec+"}"), tags, image.Tag(current))
		if string(got.Selected) != want {
			t.Errorf("%s\nchooses %s: %s", line, got.Selected, sayChoice(got))
		}
	}
	if examples < 50 {
		t.Errorf("only %d examples are found", examples)
	}
}

// TestTheFirstExampleOfTheGuideIsTrue chooses by the policy that the guide begins
// with, and looks for everything it says in what the guide shows.
func TestTheFirstExampleOfTheGuideIsTrue(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	_, document, _ := strings.Cut(string(text), "```yaml\n")
	document, rest, _ := strings.Cut(document, "```\n")
	_, console, _ := strings.Cut(rest, "```console\n")
	console, _, _ = strings.Cut(console, "```\n")
	_, command, _ := strings.Cut(console, "printf '")
	tags, _, _ := strings.Cut(command, "'")
	c := Load([]File{{Path: "web.yaml", Data: []byte(document)}})
	if len(c.Policies) != 1 || len(c.Problems) > 0 {
		t.Fatalf("%+v", c.Problems)
	}
	got := Select(c.Policies[0], strings.Fields(strings.ReplaceAll(tags, `\n`, " ")), "1.4.2")
	want := []string{"web: " + string(got.Selected) + " (was 1.4.2): " + got.Reason}
	for _, r := range got.Rejected {
		want = append(want, r.Reason)
	}
	for _, line := range want {
		if !strings.Contains(console, line+"\n") {
			t.Errorf("the guide does not show %q", line)
		}
	}
	if n := strings.Count(console, "\n"); n != len(want)+2 {
		t.Errorf("the guide shows %d lines, want %d", n, len(want)+2)
	}
}
