package hook

import (
	"fmt"
	"testing"
)

func TestImagesBehindTheLastAreCountedAndDuplicatesAreNot(t *testing.T) {
	var p pushes
	for i := range MaxImages + 5 {
		for range 2 {
			p.add("registry.example/web", fmt.Sprint(i), "")
		}
	}
	p.add("Registry.Example/web", "0", "") // another spelling of the first
	e := p.end()
	if len(e.Images) != MaxImages || len(e.Dropped) != 1 || e.Dropped[0] != "and 10 more" {
		t.Errorf("%d images, dropped %q", len(e.Images), e.Dropped)
	}
}
