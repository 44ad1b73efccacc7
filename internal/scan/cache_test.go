package scan_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath.dev/towpath/internal/scan"
)

// files are the names in the cache, oldest names first.
func (w *world) files() map[string]string {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.dir, "scan", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for _, n := range names {
		if data, err := os.ReadFile(n); err == nil {
			out[filepath.Base(n)] = string(data)
		}
	}
	return out
}

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "scan", name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// tagsFile is the one file of tags there is.
func (w *world) tagsFile() string {
	w.t.Helper()
	for name := range w.files() {
		if strings.HasPrefix(name, "tags-") {
			return name
		}
	}
	w.t.Fatalf("no file of tags among %d", len(w.files()))
	return ""
}

func TestARestartRemembersEverything(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	w.push("team/api", "2.0.0")
	wants := []scan.Want{w.want("web", "1.0.0", minAge(time.Hour)), w.want("team/api", "2.0.0"), w.want("gone", "1.0.0")}
	w.scan(wants...)
	w.later(time.Second)
	before := w.scan(wants...)
	w.start()
	w.reg.Reset()
	after := w.scan(wants...)
	if d := cmp.Diff(before.Results, after.Results, cmp.Comparer(sameRepo)); d != "" {
		t.Errorf("results (-before +after):\n%s", d)
	}
	if d := cmp.Diff(before.Problems, after.Problems); d != "" {
		t.Errorf("problems (-before +after):\n%s", d)
	}
	if n := len(w.reg.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestTheTagsOfAnImageAreWrittenOnlyWhenTheyChanged(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0")
	want := w.want("web", "1.0.0")
	w.scan(want)
	name := filepath.Join(w.dir, "scan", w.tagsFile())
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	stamp := func() time.Time {
		t.Helper()
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	w.nextListing()
	w.scan(want)
	if !stamp().Equal(old) {
		t.Error("the same tags were written again")
	}
	w.push("web", "1.1.0")
	w.nextListing()
	w.scan(want)
	if stamp().Equal(old) {
		t.Error("new tags were not written")
	}
}

func TestABrokenOrForeignFileIsThrownAwayAndSaid(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(w *world) (file string)
		asks  int // listings of the next scan
	}{
		{"tags cut short", func(w *world) string {
			n := w.tagsFile()
			w.write(n, w.files()[n][:100])
			return n
		}, 1},
		{"tags with a bit turned", func(w *world) string {
			n := w.tagsFile()
			data := []byte(w.files()[n])
			data[len(data)-10] ^= 1
			w.write(n, string(data))
			return n
		}, 1},
		{"tags of another image", func(w *world) string {
			n := w.tagsFile()
			other := newWorld(t, nil)
			other.push("other", "1.0.0")
			other.scan(other.want("other", "1.0.0"))
			w.write(n, other.files()[other.tagsFile()])
			return n
		}, 1},
		{"an empty index", func(w *world) string { w.write("index", ""); return "index" }, 1},
		{"an index of another version", func(w *world) string {
			w.write("index", strings.Replace(w.files()["index"], "towpath-scan-1", "towpath-scan-2", 1))
			return "index"
		}, 1},
		{"a foreign file", func(w *world) string { w.write("notes.txt", "hello"); return "notes.txt" }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.push("web", "1.0.0", "1.1.0")
			want := w.want("web", "1.0.0")
			w.scan(want)
			w.s.Close()
			file := tc.spoil(w)
			w.reg.Reset()
			w.log.Reset()
			w.start()
			selects(t, w.one(want), "1.1.0")
			if n := w.reg.Listings("web"); n != tc.asks {
				t.Errorf("%d listings, want %d", n, tc.asks)
			}
			has(t, w.log.String(), "thrown away", file)
			w.log.Reset()
			w.start()
			selects(t, w.one(want), "1.1.0")
			if w.log.Len() > 0 || w.reg.Listings("web") != tc.asks {
				t.Errorf("a second restart: %d listings, log %s", w.reg.Listings("web"), w.log)
			}
		})
	}
}

func TestALostIndexStillKnowsHowManyTagsThereWere(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0", "1.2.0")
	want := w.want("web", "1.0.0")
	w.scan(want)
	w.s.Close()
	if err := os.Remove(filepath.Join(w.dir, "scan", "index")); err != nil {
		t.Fatal(err)
	}
	w.shrunk(0)
	w.start()
	stuck(t, w.one(want), "lists 0 tags", "second look", "3 tags of 2026-03-01T12:00:00Z are kept")
}

func TestTheCacheMayBeDeletedAtAnyTime(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	want := w.want("web", "1.0.0")
	w.scan(want)
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	w.nextListing()
	selects(t, w.one(want), "1.1.0")
	if w.files()["index"] == "" {
		t.Error("it was not made again")
	}
	w.start()
	selects(t, w.one(want), "1.1.0")
	// The tags did not change, so their file is gone until they do or a restart
	// misses them: that costs one listing.
	if n := w.reg.Listings("web"); n > 3 {
		t.Errorf("%d listings", n)
	}
}

func TestWithoutAFolderThatCanBeWrittenItWorksFromMemory(t *testing.T) {
	w := newWorld(t, func(c *scan.Config) { c.Dir = filepath.Join(c.Dir, "file", "below") })
	w.s.Close()
	if err := os.RemoveAll(filepath.Join(w.dir, "file")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "file"), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.push("web", "1.0.0", "1.1.0")
	selects(t, w.one(w.want("web", "1.0.0")), "1.1.0")
	has(t, w.log.String(), "listings are not kept over a restart")
}

func TestAnImageThatNobodyWantsIsForgottenAfterADay(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0", "1.1.0")
	w.push("api", "1.0.0")
	web, api := w.want("web", "1.0.0"), w.want("api", "1.0.0")
	w.scan(web, api)
	// A policy that is broken for some hours costs nothing: its last good answer
	// still guards against a short one.
	w.later(5 * time.Hour)
	w.scan(api)
	w.start()
	w.shrunk(0)
	rep := w.scan(web, api)
	stuck(t, rep.Results[0], "2 tags of", "are kept")
	for range 26 {
		w.later(time.Hour)
		w.scan(api)
	}
	names := w.files()
	if bytes.Contains([]byte(names["index"]), []byte("/web\"")) {
		t.Error("the index still names it")
	}
	if len(names) != 2 {
		t.Errorf("%d files, want the index and one of tags", len(names))
	}
}

func TestTheFilesLeftOfAnotherIndexGo(t *testing.T) {
	w := newWorld(t, nil)
	w.push("web", "1.0.0")
	w.scan(w.want("web", "1.0.0"))
	w.s.Close()
	left := "tags-" + strings.Repeat("0", 32)
	w.write(left, "left by a crash")
	w.write("new-123", "half-written")
	w.start()
	if _, there := w.files()["new-123"]; there {
		t.Error("a half-written file stayed")
	}
	if _, there := w.files()[left]; !there {
		t.Error("a file that may be on its way into the index is gone")
	}
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(w.dir, "scan", left), old, old); err != nil {
		t.Fatal(err)
	}
	w.start()
	if _, there := w.files()[left]; there {
		t.Error("an old file that the index does not know stayed")
	}
}
