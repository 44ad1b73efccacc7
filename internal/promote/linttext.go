package promote

import (
	"fmt"
	"strings"
	"unicode"

	"towpath.dev/towpath/internal/policy"
	"towpath.dev/towpath/internal/pr"
)

// keyLint names the comment that lists what a pull request would break.
const keyLint = "lint"

// Limits of that comment.
const (
	maxProblems = 50  // listed; the others are counted
	maxCell     = 300 // runes of a reason or hint
)

// lintMended takes the place of a comment whose problems are gone.
const lintMended = "All mended: this pull request brings in no problem with policies or markers any more."

// lintComment lists what is new, with what to do; "" when there is nothing.
// Everything in it may be a stranger's text, and stays in code spans.
func lintComment(n news) string {
	if n.problem != nil {
		return fmt.Sprintf("Policies and markers cannot be checked: %s.\n", code(cut(n.problem.Error(), maxCell)))
	}
	if len(n.problems) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s. `towpath lint` says the same in a checkout.\n\n", brings(n.problems))
	for i, p := range n.problems {
		if i == maxProblems {
			fmt.Fprintf(&b, "- and %d more\n", len(n.problems)-i)
			break
		}
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		fmt.Fprintf(&b, "- **%s** %s: %s\n", kind, code(cut(spot(p), maxCell)), code(cut(p.Reason, maxCell)))
		if p.Hint != "" {
			fmt.Fprintf(&b, "  what to do: %s\n", code(cut(p.Hint, maxCell)))
		}
	}
	return b.String()
}

// brings counts what is new.
func brings(problems []policy.Problem) string {
	errs, warns := count(problems)
	switch {
	case warns == 0:
		return "This pull request would bring in " + plural(errs, "problem")
	case errs == 0:
		return "This pull request would bring in " + plural(warns, "warning") + " and no error"
	}
	return "This pull request would bring in " + plural(errs, "problem") + " and " + plural(warns, "warning")
}

func count(problems []policy.Problem) (errs, warns int) {
	for _, p := range problems {
		if p.Warning {
			warns++
		} else {
			errs++
		}
	}
	return errs, warns
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// lintStatus is the commit status of what a head brings in.
func lintStatus(n news, head string) pr.Check {
	c := pr.Check{Context: pr.LintContext, Commit: head, State: pr.CheckSuccess, Description: "nothing wrong with policies and markers"}
	errs, warns := count(n.problems)
	switch {
	case n.problem != nil:
		c.State, c.Description = pr.CheckFailure, "cannot be checked: "+n.problem.Error()
	case !n.concerned:
		c.Description = "no policies, environments or YAML changed"
	case errs > 0:
		c.State, c.Description = pr.CheckFailure, plural(errs, "problem")+": "+firstOf(n.problems, false)
	case warns > 0:
		c.Description = plural(warns, "warning") + ": " + firstOf(n.problems, true)
	}
	c.Description = cut(printable(c.Description), maxDescription)
	return c
}

// firstOf is the first error, or the first warning, with its place.
func firstOf(problems []policy.Problem, warning bool) string {
	for _, p := range problems {
		if p.Warning == warning {
			return spot(p) + " " + p.Reason
		}
	}
	return ""
}

// spot is where a problem is: path, line and column, as far as they are known.
func spot(p policy.Problem) string {
	p.Reason, p.Hint = "", ""
	return strings.TrimSuffix(p.String(), ": ")
}

// printable keeps a text on one line, without what a terminal or a page would obey.
func printable(s string) string {
	return oneLine(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s))
}
