package patch

import (
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// pyYAML are the patterns by which PyYAML, also its older versions, takes a plain
// scalar for something other than a string (yaml/resolver.py).
var pyYAML = map[string]*regexp.Regexp{
	"bool":  regexp.MustCompile(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`),
	"float": regexp.MustCompile(`^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`),
	"int":   regexp.MustCompile(`^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$`),
	"merge": regexp.MustCompile(`^(?:<<)$`),
	"null":  regexp.MustCompile(`^(?:~|null|Null|NULL|)$`),
	"time":  regexp.MustCompile(`^(?:[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]|[0-9][0-9][0-9][0-9]-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9][0-9]:[0-9][0-9](?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9][0-9])?))?)$`),
	"value": regexp.MustCompile(`^(?:=)$`),
}

// TestNothingIsWrittenPlainThatPyYAMLReadsAsAnotherType goes through all short
// words of the characters that numbers are made of, and the longer ones that a
// tag or a reference can be.
func TestNothingIsWrittenPlainThatPyYAMLReadsAsAnotherType(t *testing.T) {
	words := []string{"", "0x__", "0b__", "0o__", "0x_f", "0B_1", "0X_", "-0x_", "2024-01-02", "2024-1-2", "190:20:30", "190:20:30.15", "1__0:2_0", "1_000", "1_000.5_0", "1e+3", "12e03",
		".inf", "-.inf", "+.inf", ".INF", ".nan", "inf", "yes", "No", "ON", "y", "N", "~", "null", "=", "<<", "!", "&a", "*a", "?", "-", ":", "2024-01-02T03:04:05Z"}
	const letters = "01_.xboe8f:-"
	for at := 0; at < len(words); at++ {
		if w := words[at]; len(w) < 4 && strings.Trim(w, letters) == "" {
			for _, c := range letters {
				words = append(words, w+string(c))
			}
		}
	}
	for _, w := range words {
		if !plain(w) {
			continue
		}
		for kind, pattern := range pyYAML {
			if pattern.MatchString(w) {
				t.Errorf("%q is written plain, and PyYAML reads it as %s", w, kind)
			}
		}
	}
	for _, w := range []string{"1.0.0", "v1", "1.2.3-rc.1", "0.1.0_2", "0xyz", "r.example/web:1.0", "latest", "main-0b1f"} {
		if got := encode(w, yaml.Style(0)); got != w {
			t.Errorf("%s is written %s, which needs no quotes", w, got)
		}
	}
}
