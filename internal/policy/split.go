package policy

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of one file. A file beyond them is refused as a whole or cut where
// said; nothing beyond them is parsed.
const (
	maxDocumentSize = 1 << 20 // bytes of one document
	maxDocuments    = 1000    // documents in one file
)

// chunk is the text of one document and the number of lines before it.
type chunk struct {
	line int // lines of the file before the chunk
	data []byte
}

// splitDocuments cuts a file at its document markers, so that a document that is
// no YAML does not take the ones behind it along. A marker stands in the first
// column, where YAML allows nothing else that looks like it.
func splitDocuments(f File) ([]chunk, []Problem) {
	data := bytes.TrimPrefix(f.Data, []byte("\ufeff"))
	if problem, bad := checkText(f.Path, data); bad {
		return nil, []Problem{problem}
	}
	var chunks []chunk
	var problems []Problem
	start, startLine, line := 0, 0, 0
	emit := func(end int) bool {
		c := chunk{line: startLine, data: data[start:end]}
		start, startLine = end, line
		switch {
		case blank(c.data):
		case len(chunks) == maxDocuments:
			problems = append(problems, Problem{Path: f.Path, Line: c.line + 1, Column: 1,
				Reason: fmt.Sprintf("more than %d documents in one file; this one and all behind it are not read", maxDocuments),
				Hint:   "split the file"})
			return false
		case len(c.data) > maxDocumentSize:
			problems = append(problems, Problem{Path: f.Path, Line: c.line + 1, Column: 1,
				Reason: fmt.Sprintf("the document is larger than %d bytes", maxDocumentSize),
				Hint:   "split it, or remove what is not a policy"})
		default:
			chunks = append(chunks, c)
		}
		return true
	}
	for at := 0; at < len(data); {
		end := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		text := data[at:end]
		if isMarker(text, "---") && at > start && !emit(at) {
			return chunks, problems
		}
		at = end
		line++
		if isMarker(text, "...") && !emit(at) {
			return chunks, problems
		}
	}
	emit(len(data))
	return chunks, problems
}

// checkText refuses what YAML cannot hold, because the parser gives no place for it.
func checkText(path string, data []byte) (Problem, bool) {
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size <= 1 {
			return Problem{Path: path, Line: line, Column: column, Reason: "the file is not UTF-8 text", Hint: "save it as UTF-8"}, true
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return Problem{Path: path, Line: line, Column: column,
				Reason: fmt.Sprintf("the character %U is not allowed in YAML", r), Hint: "remove it"}, true
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		i += size
	}
	return Problem{}, false
}

// isMarker tells whether the line is the document marker, alone or followed by
// a space.
func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// blank tells whether nothing but comments, markers and directives is in a chunk.
func blank(data []byte) bool {
	for line := range bytes.Lines(data) {
		text := bytes.TrimSpace(line)
		if len(text) == 0 || text[0] == '#' || line[0] == '%' {
			continue
		}
		for _, marker := range []string{"---", "..."} {
			if isMarker(line, marker) {
				text = bytes.TrimSpace(line[len(marker):])
			}
		}
		if len(text) > 0 && text[0] != '#' {
			return false
		}
	}
	return true
}
