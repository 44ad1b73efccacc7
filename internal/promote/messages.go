package promote

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"towpath.dev/towpath/internal/policy"
)

// messageData is what the templates of a pipeline know of a move.
func messageData(m Move) policy.MessageData {
	d := policy.MessageData{Environment: m.Env.Name, App: m.App, From: m.From, Versions: Versions(m.Values), Why: m.Why}
	for _, e := range m.Edits {
		d.Edits = append(d.Edits, policy.MessageEdit{Path: e.Path, Line: e.Line, Old: e.Old, New: e.New, Policy: e.Policy})
	}
	return d
}

// messageBody is what a commit says of a move between its subject and its trailers.
func messageBody(m Move) string {
	if body := tame(m.Env.Messages.RenderBody(messageData(m))); body != "" {
		return body + "\n"
	}
	var b strings.Builder
	for _, e := range m.Edits {
		fmt.Fprintf(&b, "%s:%d %s -> %s\n", e.Path, e.Line, e.Old, e.New)
	}
	return b.String()
}

// ownTrailer is what a line of ours begins with, however it is written: no line of
// somebody else's text may.
var ownTrailer = regexp.MustCompile(`(?i)^(\s*towpath)-`)

// harmless takes from one line what would pass for a trailer or a hidden block of
// ours.
func harmless(s string) string {
	s = ownTrailer.ReplaceAllString(s, "$1 ")
	s = strings.ReplaceAll(s, "<!--", "<! --")
	return strings.ReplaceAll(s, "-->", "-- >")
}

// tame is a rendered text of several lines as it may stand in a commit: no control
// characters, no blank lines at its ends, nothing that would pass for ours.
func tame(s string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.ReplaceAll(s, "\r", "\n"), "\n") {
		line = strings.Map(func(r rune) rune {
			switch {
			case r == '\t':
				return ' '
			case !unicode.IsPrint(r):
				return -1
			}
			return r
		}, line)
		lines = append(lines, strings.TrimRight(harmless(line), " "))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
