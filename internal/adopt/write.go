package adopt

import (
	"slices"
	"strings"

	"towpath.dev/towpath/internal/patch"
	"towpath.dev/towpath/internal/policy"
)

type file = patch.File

// write makes the new contents: files with markers, policies, pipelines. What nothing
// uses is not written.
func (a *adoption) write() {
	for _, p := range a.paths() {
		var notes []patch.Note
		for _, v := range a.values {
			if v.path == p {
				notes = append(notes, v.notes(v.policy)...)
			}
		}
		out, refused := patch.Annotate(a.files[p], notes)
		if len(refused) > 0 { // it was tried before, with another name
			a.refuse(p, refused)
			for range refused { // what is left of the file waits for the next time
				a.refuse(p, []patch.Skipped{{Reason: "a marker beside it could not be written", Hint: "run adopt again"}})
			}
			continue
		}
		a.changed = append(a.changed, out)
	}
	used := map[string]bool{}
	for _, v := range a.values {
		used[v.policy] = true
	}
	a.guesses = slices.DeleteFunc(a.guesses, func(g Guess) bool { return !used[g.Policy.Name] })
	slices.SortFunc(a.guesses, func(x, y Guess) int { return strings.Compare(x.Path, y.Path) })
	if len(a.values) == 0 {
		a.pipelines = nil
	}
	for _, g := range a.guesses {
		a.changed = append(a.changed, file{Path: g.Path, Data: policy.Format(g.Policy, wrapped(g.Why+"."), "Guessed by towpath adopt: correct it where it is wrong.")})
	}
	for _, l := range a.pipelines {
		a.changed = append(a.changed, file{Path: l.Path, Data: policy.FormatPipeline(l.Pipeline,
			wrapped("Guessed by towpath adopt: "+l.Why+"."),
			strings.Join(explained(l.Pipeline), "\n"))})
	}
}

// explained are the lines that say what the words of a guessed pipeline do.
func explained(pl policy.Pipeline) []string {
	lines := []string{"auto merges a pull request when its gates pass; approval waits for a person as well."}
	if slices.ContainsFunc(pl.Environments, func(e policy.Environment) bool { return e.Gates.Healthy != nil }) {
		lines = append(lines, wrapped(GateNote))
	}
	return lines
}

// GateNote says what the gate of guessed environments waits for, and what to do where
// it would wait for ever.
const GateNote = "healthy waits until the agent of the environment before (towpath agent --env NAME) reports that it runs just that, in health. " +
	"Without agents nothing goes on: start them, or remove the gate, and then what is merged in one environment is proposed to the next at once, healthy or not."

// wrapWidth is how long the lines of a comment become, in bytes.
const wrapWidth = 100

// wrapped breaks a text into lines.
func wrapped(s string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(s) {
		switch {
		case i > 0 && width+len(word) >= wrapWidth:
			b.WriteByte('\n')
			width = 0
		case i > 0:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}

// paths are the files with values, sorted.
func (a *adoption) paths() []string {
	seen := map[string]bool{}
	for _, v := range a.values {
		seen[v.path] = true
	}
	return sortedKeys(seen)
}
