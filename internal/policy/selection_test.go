package policy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/image"
)

// selectionCase is a file of testdata/selection.txtar: what is given, what is
// wanted and why, written by hand, and below a line of dashes everything else that
// Select says of it. The numbers are the cases of the survey they come from: tag
// lists that make other tools choose wrongly.
type selectionCase struct {
	name, given, said  string
	policy             Policy
	current, want, why string
	tags               []string
}

const (
	selectionFile = "testdata/selection.txtar"
	belowGiven    = "\n---\n"
)

func readSelections(t testing.TB) (cases []selectionCase) {
	t.Helper()
	data, err := os.ReadFile(selectionFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range txtar.Parse(data).Files {
		given, said, _ := strings.Cut(string(f.Data), belowGiven)
		c := selectionCase{name: f.Name, given: strings.TrimSpace(given), said: said}
		for line := range strings.SplitSeq(c.given, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "policy":
				c.policy = readSpec(t, value)
			case "current":
				c.current = strings.TrimPrefix(value, "none")
			case "tags":
				c.tags = strings.Fields(value)
			case "want":
				c.want = strings.TrimPrefix(value, "none")
			case "why":
				c.why = value
			default:
				t.Fatalf("%s: %s: unknown line %q", selectionFile, f.Name, line)
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// readSpec reads the part of an ImagePolicy's spec that Select looks at.
func readSpec(t testing.TB, text string) Policy {
	t.Helper()
	var in struct {
		Select struct {
			Semver *struct {
				Range       string
				Prereleases bool
			}
			Calver       *Calver
			Numerical    *Numerical
			Alphabetical *Alphabetical
			Digest       struct{ Tag image.Tag }
		}
		Filter         *Filter
		Exclude        []string
		Lane           Lane
		AllowDowngrade bool `yaml:"allowDowngrade"`
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&in); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	p := Policy{
		Name: "web", Calver: in.Select.Calver, Numerical: in.Select.Numerical, Alphabetical: in.Select.Alphabetical, DigestTag: in.Select.Digest.Tag,
		Filter: in.Filter, Lane: in.Lane, AllowDowngrade: in.AllowDowngrade,
	}
	if s := in.Select.Semver; s != nil {
		p.Semver = &Semver{Range: s.Range, Prereleases: s.Prereleases}
	}
	for _, e := range in.Exclude {
		p.Exclude = append(p.Exclude, Exclude{e})
	}
	return p
}

// sayChoice is everything in a choice, for people to read in the golden file.
func sayChoice(c Choice) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", c.Reason)
	for i, tag := range c.Candidates {
		if i > 0 {
			fmt.Fprintf(&b, "  then %s\n", tag)
		}
	}
	for _, r := range c.Rejected {
		fmt.Fprintf(&b, "  not %s: %s\n", r.Tag, r.Reason)
	}
	return b.String()
}

func TestSelect(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var golden bytes.Buffer
	for _, test := range readSelections(t) {
		t.Run(test.name, func(t *testing.T) {
			got := Select(test.policy, test.tags, image.Tag(test.current))
			if string(got.Selected) != test.want {
				t.Errorf("selected %q, want %q (%s)\n%s", got.Selected, test.want, test.why, sayChoice(got))
			}
			if test.why == "" {
				t.Error("it does not say why")
			}
			checkChoice(t, test.tags, got)
			fmt.Fprintf(&golden, "-- %s --\n%s%s%s\n", test.name, test.given, belowGiven, sayChoice(got))
			if d := cmp.Diff(strings.TrimSpace(test.said), strings.TrimSpace(sayChoice(got))); d != "" && !*update {
				t.Errorf("run go test -run TestSelect -update after reading this (-want +got):\n%s", d)
			}
			for range 200 {
				random.Shuffle(len(test.tags), func(i, j int) { test.tags[i], test.tags[j] = test.tags[j], test.tags[i] })
				if d := cmp.Diff(got, Select(test.policy, test.tags, image.Tag(test.current))); d != "" {
					t.Fatalf("another order of tags, another choice (-first +then):\n%s", d)
				}
			}
		})
	}
	if *update {
		if err := os.WriteFile(selectionFile, bytes.TrimSuffix(golden.Bytes(), []byte("\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheCasesOfTheSurveyAreAllThere(t *testing.T) {
	there := map[string]bool{}
	for _, c := range readSelections(t) {
		number, _, _ := strings.Cut(c.name, " ")
		there[number] = true
	}
	for _, n := range strings.Fields("1 2 3 4 5 6 8 9 10 11 13 14 15 19 20 22 23 25 27 28 29 30 32 33 35 38 40 41 45 47") {
		if !there[n] {
			t.Errorf("case %s is missing", n)
		}
	}
}
