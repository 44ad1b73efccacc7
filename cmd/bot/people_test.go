package main

import (
	"strings"
	"testing"
)

func TestNamesOfPeopleStayOnOneLineAndOutOfMarkdown(t *testing.T) {
	for name, want := range map[string]bool{
		"alice": true, "Zoë Müller": true, "李": true, "7of9": true, "a.b-c_d@e+f": true, strings.Repeat("é", 100): true,
		"": false, " a": false, ".a": false, "a\nb": false, "a`b": false, "a*": false, "<b>": false, "a\xff": false,
		"a\u200bb": false, strings.Repeat("é", 101): false,
	} {
		if isPersonName(name) != want {
			t.Errorf("%q: want %t", name, want)
		}
	}
}
