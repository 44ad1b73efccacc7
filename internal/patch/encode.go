package patch

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

var (
	// plainText is what may stand without quotes anywhere, flow collections
	// included. References, tags and digests hold nothing else, nor do they behind
	// a prefix such as web= or --image=.
	plainText = regexp.MustCompile(`^(-{0,2}[A-Za-z0-9_./]([A-Za-z0-9_./:@=-]*[A-Za-z0-9_./@=-])?=)?[A-Za-z0-9_./][A-Za-z0-9_./:@-]*$`)
	// timestamp and sexagesimal are types of YAML 1.1 that its readers still know.
	timestamp   = regexp.MustCompile(`^\d{4}-\d{1,2}-\d{1,2}`)
	sexagesimal = regexp.MustCompile(`^\d[\d_]*(:[\d_]+)+(\.[\d_]*)?$`)
	// digitless are what PyYAML takes for numbers though they have no digit, and then
	// cannot load: 0x_, 0b_, ._
	digitless = regexp.MustCompile(`^([-+]?0[xXbBoO][0-9a-fA-F_]*|[-+]?\.[0-9_]+)$`)
)

// words are read as booleans, null or numbers by one of YAML 1.1 and 1.2.
const words = " y n yes no on off true false null nil none nan inf .nan .inf . "

// encode writes a value as a scalar that every reader of YAML takes for a
// string, in the style of the scalar it replaces when that can hold it.
func encode(value string, old yaml.Style) string {
	switch {
	case old&yaml.SingleQuotedStyle != 0 && printable(value):
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case old&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 && plain(value):
		return value
	}
	return strconv.Quote(value)
}

// plain reports whether a value stays a string without quotes.
func plain(v string) bool {
	if !plainText.MatchString(v) || strings.HasSuffix(v, ":") || strings.Contains(words, " "+strings.ToLower(v)+" ") {
		return false
	}
	digits := strings.ReplaceAll(v, "_", "")
	// Only a syntax error says "no number"; another says "too large a number".
	if _, err := strconv.ParseFloat(digits, 64); !errors.Is(err, strconv.ErrSyntax) {
		return false
	}
	if _, err := strconv.ParseInt(digits, 0, 64); !errors.Is(err, strconv.ErrSyntax) {
		return false
	}
	return !timestamp.MatchString(v) && !sexagesimal.MatchString(v) && !digitless.MatchString(v)
}

// printable reports whether a single-quoted scalar can hold v unchanged.
func printable(v string) bool {
	return !strings.ContainsFunc(v, func(r rune) bool { return !strconv.IsPrint(r) })
}
