package pr

import (
	"regexp"
	"strings"
	"unicode"
)

const (
	maxCommands = 20      // read from one comment
	maxArg      = 200     // characters of what follows a command
	maxComment  = 1 << 20 // bytes of a comment that are looked at
)

// Command is one line of a comment that starts with a slash and a word:
// "/hold until Monday" is {hold, until Monday}.
type Command struct {
	Name string // lower case
	Arg  string // one line without control characters, at most 200 characters; "" when there is none
}

var commandLine = regexp.MustCompile(`^/([A-Za-z][A-Za-z0-9-]{0,31})(?:[ \t]+(.*))?$`)

// ParseCommands reads the commands of a comment, in its order, at most 20. A
// command is a line of its own that starts in the first column: what is quoted,
// indented, in a code block or in a hidden HTML comment is talk about commands.
// A path ("/usr/bin") is none, as its word does not end at a blank.
func ParseCommands(body string) []Command {
	if len(body) > maxComment {
		body = body[:maxComment]
	}
	var out []Command
	var f fence
	hidden := false
	for line := range strings.Lines(strings.ReplaceAll(body, "\r", "\n")) {
		line = strings.TrimRight(line, "\n \t")
		if hidden {
			if i := strings.LastIndex(line, "-->"); i >= 0 {
				hidden = strings.Contains(line[i:], "<!--")
			}
			continue
		}
		if f.line(line) {
			continue
		}
		if m := commandLine.FindStringSubmatch(line); m != nil {
			out = append(out, Command{Name: strings.ToLower(m[1]), Arg: cleanArg(m[2])})
			if len(out) == maxCommands {
				return out
			}
		}
		if i := strings.LastIndex(line, "<!--"); i >= 0 {
			hidden = !strings.Contains(line[i:], "-->")
		}
	}
	return out
}

// cleanArg drops what does not show or turns the direction of what follows.
func cleanArg(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || unicode.Is(unicode.Zs, r):
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return CutText(strings.TrimSpace(s), maxArg)
}
