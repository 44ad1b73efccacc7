package patch

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

var (
	// almostToken finds what may be a slip of either token, in any text.
	almostToken = regexp.MustCompile(`(?i)tow[-_ ]?path|image-?policy`)
	// almostOwn is a comment that begins as a marker would but for a slip: another
	// letter case, another or no colon, a dash. Group 1 is the word, 2 what stands
	// between, 3 the policy, 4 its part, 5 what follows.
	almostOwn = regexp.MustCompile(`^(?i:(tow[-_]?paths?))([ \t]*[:=][ \t]*|[ \t]+)([a-z0-9][-a-z0-9.]*)((?::[a-z]+)?)(.*)$`)
	// almostFlux is a comment with a slip in Flux's key. Group 1 is the value.
	almostFlux = regexp.MustCompile(`^\{?[ \t]*["']?\$?(?i:image-?policy)["']?[ \t]*:[ \t]*["']([^"'\\]*)["']`)
)

// NearMarkers returns the comments of f beside a value that are no markers, and
// read as one with a slip: `# Towpath: web`, `# towpath web`,
// `# {"$imagePolicy": "ns:web"}`. They have no effect, and nothing but a look at
// them tells. Because prose and headings begin in such ways, too, the name in our
// form must be one that named knows. A file that cannot be read has none.
func NearMarkers(f File, named func(policy string) bool) []Skipped {
	if !almostToken.Match(f.Data) {
		return nil
	}
	s, refusal := readWhole(f) // a reader builds no trees where it sees no marker
	if refusal != nil {
		return nil
	}
	var out []Skipped
	last := 0
	for _, at := range almostToken.FindAllIndex(f.Data, -1) {
		line := s.lineAt(at[0])
		if line == last {
			continue
		}
		last = line
		if comment, hash := s.besideValue(line); hash >= 0 {
			if policy, k := nearMiss(comment, named); k.is() {
				out = append(out, k.at(Marker{Path: f.Path, Line: s.shown(line), Column: s.column(line, hash), Policy: policy}))
			}
		}
	}
	return out
}

// ReadsAsMarker reports whether a comment beside a value is a marker, or reads as
// one with a slip, whatever name it gives. Prose does not.
func ReadsAsMarker(comment string) bool {
	if _, is := readComment(comment, true); is {
		return true
	}
	_, k := nearMiss(comment, anyName)
	return k.is()
}

func anyName(string) bool { return true }

// besideValue returns the comment of a line that holds more than it, and where it
// begins; -1: there is none.
func (s *source) besideValue(line int) (comment string, hash int) {
	on, next := s.spotsOn(line)
	start, end := s.bounds(line)
	if next.before != nil {
		if isBlock(next.before) && len(on) == 0 && s.inBlock(next.before, s.data[start:end]) {
			return "", -1
		}
		start = s.behind(next.before, start, end)
	}
	if hash = s.comment(start, end, on); hash < 0 || len(bytes.TrimSpace(s.data[s.lines[line-1]:hash])) == 0 {
		return "", -1
	}
	return string(s.data[hash:end]), hash
}

// nearMiss says that a comment is no marker and reads as one.
func nearMiss(comment string, named func(policy string) bool) (policy string, k fault) {
	text := strings.TrimRight(strings.TrimLeft(comment, "# \t"), " \t")
	if _, is := readComment(comment, true); is {
		return "", fault{}
	}
	if m := almostFlux.FindStringSubmatch(text); m != nil {
		_, name, _ := strings.Cut(m[1], ":")
		policy, _, _ = strings.Cut(name, ":")
		return meant(policy), fault{Malformed, "the comment reads as a marker of Flux's form, whose key is written \"" + fluxToken + "\"", fluxHint}
	}
	m := almostOwn.FindStringSubmatch(text)
	if len(m) < 6 || m[5] != "" && !strings.HasPrefix(m[5], "  ") && !strings.HasPrefix(m[5], "\t") {
		return "", fault{} // a sentence
	}
	name := strings.TrimRight(m[3], "-.")
	if !named(name) {
		return "", fault{}
	}
	return name, fault{Malformed, fmt.Sprintf("the comment reads as a marker, but begins with %q instead of %q", strings.TrimSpace(m[1]+m[2]), ownToken), "write # " + ownToken + " " + name + m[4]}
}
