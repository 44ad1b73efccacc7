package policy

import "testing"

// TestAnExtractOfOneGroupIsWhatExpandGives holds the short way to the long one.
func TestAnExtractOfOneGroupIsWhatExpandGives(t *testing.T) {
	for _, pattern := range []string{`^(\d+)-(\w+)?$`, `^(?P<a>\d+)-(?P<b>\w+)?$`, `^(?P<a>\d+)-|-(?P<a>\w+)$`, `^(?P<5>\d+)-(?P<1>\w+)?$`, `()`} {
		for _, extract := range []string{"$0", "$1", "${1}", "$2", "$a", "${b}", "$5", "$01", "${1}x", "x$1", "$1$2", "$$1"} {
			f, bad := compileFilter(&Filter{Pattern: pattern, Extract: extract})
			if bad != nil {
				continue // it names no group
			}
			for _, tag := range []string{"1-a", "12-", "x-b", "", "5"} {
				value, kept := f.apply(tag)
				match := f.re.FindStringSubmatchIndex(tag)
				if want := string(f.re.ExpandString(nil, extract, tag, match)); kept != (match != nil) || kept && value != want {
					t.Errorf("%s of %q by %s: %q, %v, want %q, %v", extract, tag, pattern, value, kept, want, match != nil)
				}
			}
		}
	}
}
