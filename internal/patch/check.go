package patch

import (
	"bytes"
	"fmt"
	"regexp"
	"unicode/utf8"
)

// lfsHeader is how the text begins that Git LFS keeps in the place of a file.
const lfsHeader = "version https://git-lfs.github.com/spec/"

// The marks at the beginning of a text in UTF-16 or UTF-32, either order of bytes.
var wideMarks = [][]byte{{0xFE, 0xFF}, {0xFF, 0xFE}, {0, 0, 0xFE, 0xFF}}

// MayHold reports whether data may hold a marker. It looks at the bytes only,
// so that most files need never be parsed; what it says no to has no marker.
func MayHold(data []byte) bool {
	return bytes.Contains(data, []byte(ownToken)) || bytes.Contains(data, []byte(fluxToken))
}

// TooLargeFile is the verdict on a file of more than MaxFileSize, which need not
// be read to have it.
func TooLargeFile(path string) Skipped { return tooLarge().at(Marker{Path: path}) }

func tooLarge() fault {
	return fault{TooLarge, fmt.Sprintf("the file is larger than %d MiB", MaxFileSize>>20), "split it, or move the marked values into a file of their own"}
}

// CheckFile says why nothing in a file can be read, whatever is in it: its size
// or its bytes. It is nil for a file that may be YAML; it does not parse.
func CheckFile(f File) *Skipped {
	if k := checkBytes(f.Data); k.is() {
		s := k.at(Marker{Path: f.Path})
		return &s
	}
	return nil
}

func checkBytes(data []byte) fault {
	switch {
	case len(data) > MaxFileSize:
		return tooLarge()
	case bytes.HasPrefix(data, []byte(lfsHeader)):
		return fault{LFSPointer, "the file is kept in Git LFS, and Git holds only a pointer to it", "take it out of LFS: git lfs untrack, then git add --renormalize"}
	}
	for _, mark := range wideMarks {
		if bytes.HasPrefix(data, mark) {
			return notUTF8("the file is UTF-16 or UTF-32, not UTF-8")
		}
	}
	switch {
	case bytes.IndexByte(data, 0) >= 0:
		return fault{Binary, "the file is binary: it holds NUL bytes", "keep it out of the folder, or write it as YAML"}
	case !utf8.Valid(data):
		return notUTF8("the file is not UTF-8")
	}
	return fault{}
}

func notUTF8(reason string) fault {
	return fault{NotUTF8, reason, "save it as UTF-8"}
}

func notYAML(text string) fault {
	return fault{NotYAML, "the file is not YAML: " + text, "correct it; nothing in it is written until then"}
}

// glued is the verdict on a file that is no YAML because of a marker.
func glued(text string, marker string) fault {
	return fault{NotYAML, fmt.Sprintf("the file is not YAML: the # of %q has no blank before it and is read as a part of the value: %s", marker, text),
		"put a blank before #; nothing in the file is written until then"}
}

// gluedMarkers finds markers whose "#" stands right behind a value.
var gluedMarkers = regexp.MustCompile(`[^\s#](#[# \t]*(?:towpath:[ \t]*[^\s]*|\{"\$imagepolicy"[^\n\r]*))`)

// gluedMarker returns the line, as editors count, and the text of the first marker
// that lacks the blank before its "#", when data is YAML once every one has it;
// else 0.
func gluedMarker(data []byte) (line int, marker string) {
	found := gluedMarkers.FindAllSubmatchIndex(data, -1)
	if len(found) == 0 {
		return 0, ""
	}
	var mended bytes.Buffer
	at := 0
	for _, m := range found {
		mended.Write(data[at:m[2]])
		mended.WriteByte(' ')
		at = m[2]
	}
	mended.Write(data[at:])
	if _, err := parse(mended.Bytes()); err != nil {
		return 0, ""
	}
	first := found[0]
	return 1 + bytes.Count(data[:first[2]], []byte{'\n'}), string(data[first[2]:first[3]])
}

func templateFile() fault {
	return fault{Template, "the file holds template braces {{ }} outside quotes", "mark values in plain YAML, as in the chart's values"}
}

// wouldChangeMore is the verdict on every marker of a file whose new bytes
// cannot be proved to differ only at marked values.
func wouldChangeMore(err error) fault {
	return fault{WouldChangeMore, fmt.Sprintf("the file is left as it is: %v", err), "write the value by hand, and report the file"}
}

// templateLine returns the line, counted as editors do, in which template
// braces first stand outside quotes and comments; 0: in none. It is for files
// that no YAML parser reads, and so goes by lines alone.
func templateLine(data []byte) int {
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if i := bytes.Index(text, []byte("{{")); i >= 0 && !quotedAt(text, i) {
			return line
		}
	}
	return 0
}

// quotedAt reports whether offset i of a line is in quotes or in a comment.
func quotedAt(line []byte, i int) bool {
	for at := 0; at < i; at++ {
		switch c := line[at]; {
		case c == '#' && (at == 0 || isBlank(line[at-1])):
			return true
		case c != '"' && c != '\'' || at > 0 && bytes.IndexByte([]byte(" \t[{,:"), line[at-1]) < 0:
		default:
			end, ok := closing(line, at)
			if !ok || end > i {
				return true
			}
			at = end - 1
		}
	}
	return false
}
