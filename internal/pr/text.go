package pr

import (
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	keyOpen  = "<!-- towpath:comment:"
	keyClose = " -->"
	cutNote  = "\n\n_(cut: the text is longer than the forge takes)_"
)

var keyLine = regexp.MustCompile(`^<!-- towpath:comment:([A-Za-z0-9._/%-]*) -->(\r?\n|$)`)

// WithKey is the text under which a comment is kept at a forge that knows no
// keys: the key in a hidden first line. CutKey undoes it, for every key and body.
func WithKey(key, body string) string {
	if key == "" && !keyLine.MatchString(body) {
		return body
	}
	var b strings.Builder
	b.WriteString(keyOpen)
	for i := range len(key) {
		if c := key[i]; plainInKey(c) {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String() + keyClose + "\n" + body
}

func plainInKey(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._/-", c) >= 0
}

// CutKey takes the hidden first line off a comment of our own. Whose comment it
// is, the caller has to know: in somebody else's the line means nothing.
func CutKey(body string) (key, rest string) {
	m := keyLine.FindStringSubmatch(body)
	if m == nil {
		return "", body
	}
	key, err := url.PathUnescape(m[1])
	if err != nil {
		return "", body
	}
	return key, body[len(m[0]):]
}

// CutText keeps at most n characters of a text; the last of a text that was cut
// is "…". n is at least 1.
func CutText(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// CutBody keeps a body or comment within n characters. What is cut is readers'
// text, and a note says so; the hidden block at the end stays whole, because a
// pull request without it is nobody's. n must have room for both.
func CutBody(body string, n int) string {
	if utf8.RuneCountInString(body) <= n {
		return body
	}
	text := WithoutBlock(body)
	end := cutNote
	if block := strings.TrimLeft(body[len(text):], "\r\n"); block != "" {
		end += "\n\n" + block
	}
	const fence = "\n```" // of a code block that the cut left open, at most four characters
	keep := max(0, n-utf8.RuneCountInString(end)-len(fence))
	text = string([]rune(text)[:min(keep, utf8.RuneCountInString(text))])
	if i := strings.LastIndex(text, "<!--"); i >= 0 && !strings.Contains(text[i:], "-->") {
		text = text[:i] // else it would hide the note
	}
	if opened := openFence(text); opened != 0 {
		text += "\n" + strings.Repeat(string(opened), 3)
	}
	return text + end
}

// openFence is the character of a code fence that text opens and does not close;
// 0: there is none. A fence of more than three characters is taken for one of
// three, which is what is cut in practice.
func openFence(text string) byte {
	var f fence
	for line := range strings.Lines(text) {
		f.line(strings.TrimRight(line, "\r\n"))
	}
	return f.char
}

// fence follows the code fences of a Markdown text, line by line.
type fence struct {
	char byte // '`', '~'; 0 outside
	n    int
}

// line reports whether a line belongs to a code block: its fences do.
func (f *fence) line(s string) bool {
	s = strings.TrimRight(s, " \t")
	t := strings.TrimLeft(s, " ")
	indent := len(s) - len(t)
	n := 0
	if t != "" && (t[0] == '`' || t[0] == '~') {
		n = len(t) - len(strings.TrimLeft(t, t[:1]))
	}
	switch {
	case f.char != 0:
		if indent <= 3 && n >= f.n && t[0] == f.char && n == len(t) {
			*f = fence{}
		}
		return true
	case indent <= 3 && n >= 3 && (t[0] == '~' || !strings.Contains(t[n:], "`")):
		*f = fence{char: t[0], n: n}
		return true
	}
	return false
}
