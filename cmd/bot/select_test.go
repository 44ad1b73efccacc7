package main

import (
	"strings"
	"testing"
)

func TestALineThatIsTooLongForATagIsNamed(t *testing.T) {
	_, err := readTags("-", strings.NewReader("1.0.0\n\n"+strings.Repeat("a", maxTagLine+1)+"\n1.1.0\n"))
	if err == nil || err.Error() != "read tags: line 3 is longer than 65536 bytes: write one tag a line" {
		t.Errorf("%v", err)
	}
}
