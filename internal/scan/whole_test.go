package scan_test

import (
	"testing"
	"time"

	"towpath.dev/towpath/internal/registry"
	"towpath.dev/towpath/test/ociregistry"
)

func TestTheWholeListIsAskedForOnceADayWhateverTheETagSays(t *testing.T) {
	w := newWorldAt(t, ociregistry.Config{ETags: true}, nil)
	w.push("web", "1.0.0")
	stays(t, w.one(w.want("web", "1.0.0")), "1.0.0")
	w.push("web", "1.1.0")
	w.asked.list = func(l registry.Listing) registry.Listing { // an ETag that never changes
		if last := w.asked.last[len(w.asked.last)-1]; len(last.Pages) != 0 {
			last.Unchanged = true
			return last
		}
		return l
	}
	w.later(23 * time.Hour)
	stays(t, w.one(w.want("web", "1.0.0")), "1.0.0")
	w.later(time.Hour)
	selects(t, w.one(w.want("web", "1.0.0")), "1.1.0")
	whole := func() (n int) {
		for _, last := range w.asked.last {
			if len(last.Pages) == 0 {
				n++
			}
		}
		return n
	}
	if n := whole(); n != 2 {
		t.Fatalf("the whole list was asked for %d times in a day, want at its start and its end", n)
	}
	for i := range 47 { // what was asked is known after a restart, too
		if i == 20 {
			w.start()
		}
		w.later(30 * time.Minute)
		w.one(w.want("web", "1.0.0"))
	}
	if n := whole(); n != 2 {
		t.Errorf("the whole list was asked for %d times within a day", n-1)
	}
	w.later(30 * time.Minute)
	w.one(w.want("web", "1.0.0"))
	if n := whole(); n != 3 {
		t.Errorf("the whole list was asked for %d times after two days", n)
	}
}
