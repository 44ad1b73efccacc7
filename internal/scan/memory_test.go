package scan

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
)

func TestJitterIsATenthAndAMinuteAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		asked := time.Unix(rapid.Int64Range(1e9, 2e9).Draw(t, "asked"), 0)
		passed := time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour)).Draw(t, "passed"))
		key := rapid.String().Draw(t, "key")
		j := jitter(key, asked, asked.Add(passed))
		// passed is the interval and the jitter together
		if interval := passed - j; j < 0 || j > time.Minute || float64(j) > 0.1*float64(interval)+1 {
			t.Fatalf("%s after %s", j, passed)
		}
		if more := jitter(key, asked, asked.Add(passed+time.Second)); passed+time.Second-more < passed-j {
			t.Fatalf("what is due at %s is not a second later", passed)
		}
	})
}

func TestAHoldThatNobodyCanHaveAskedForIsNone(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		hold time.Duration
		held bool
	}{{-time.Second, false}, {0, false}, {time.Minute, true}, {time.Hour, true}, {time.Hour + time.Second, false}} {
		m := memory{Hold: now.Add(tc.hold)}
		if got := !m.held(now).IsZero(); got != tc.held {
			t.Errorf("a hold of %s counts: %t", tc.hold, got)
		}
	}
}

func TestWhatMovesIsTakenOutOfAnError(t *testing.T) {
	for in, want := range map[string]string{
		"a.example asked to be left alone until 2026-03-01T12:00:00Z; it is tried again": "a.example asked to be left alone; it is tried again",
		"read tcp 10.0.0.1:40001->10.0.0.2:443: connection reset by peer":                "read tcp 10.0.0.2:443: connection reset by peer",
		"list tags of ghcr.io/x/y: registry unavailable: ghcr.io answered 503":           "list tags of ghcr.io/x/y: registry unavailable: ghcr.io answered 503",
		"dial tcp 10.0.0.2:443: connect: connection refused":                             "dial tcp 10.0.0.2:443: connect: connection refused",
	} {
		if got := unmoving(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestFactsAndPlatformsAreBounded(t *testing.T) {
	facts := map[image.Tag]fact{}
	var l registry.Listing
	for i := range 3 * maxFacts {
		tag := fmt.Sprint("t", i)
		facts[image.Tag(tag)] = fact{Digest: "sha256:0", Fresh: true}
		if i%2 == 0 {
			l.Tags = append(l.Tags, tag)
		}
	}
	left := stale(facts, l)
	if len(left) != maxFacts {
		t.Errorf("%d facts", len(left))
	}
	for tag, f := range left {
		if f.Fresh || tag[len(tag)-1]%2 != 0 {
			t.Errorf("fact of %s: %+v", tag, f)
		}
	}
	p := newPlatformCache(nil)
	for i := range maxBuilt + 10 {
		p.add(image.Digest(fmt.Sprint(i)), make([]image.Platform, 2*maxPlatforms))
	}
	if len(p.by) != maxBuilt || len(p.order) != maxBuilt || len(p.by["20"]) != maxPlatforms || p.by["5"] != nil {
		t.Errorf("%d platforms, %d in order", len(p.by), len(p.order))
	}
}

func TestTooManyUnwantedImagesAreForgottenFromTheOldest(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := &Scanner{records: map[string]*record{}, cache: &cache{}}
	for i := range maxUnwanted + 10 {
		s.records[fmt.Sprint(i)] = &record{mem: memory{Wanted: now.Add(-time.Duration(i) * time.Second)}}
	}
	s.forget(now)
	if s.records["0"] == nil || s.records[fmt.Sprint(maxUnwanted)] != nil || len(s.records) != maxUnwanted {
		t.Errorf("%d are left", len(s.records))
	}
}

func TestALongErrorIsCut(t *testing.T) {
	if s := text(fmt.Errorf("%s", strings.Repeat("ä", maxError))); len(s) > maxError+len("…") || strings.Contains(s, "\ufffd") {
		t.Errorf("%d bytes", len(s))
	}
}

// FuzzCacheFile: whatever lies in the cache, reading it does not panic, and only
// what pack wrote is taken.
func FuzzCacheFile(f *testing.F) {
	good, err := pack(map[string]memory{"index.docker.io/library/alpine": {Facts: map[image.Tag]fact{"3": {Digest: "sha256:0"}}, Doubt: &doubt{Tags: -1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("towpath-scan-1 0\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var read map[string]memory
		if unpack(data, &read) != nil {
			return
		}
		_, body, _ := bytes.Cut(data, []byte("\n"))
		again, err := pack(rawJSON(body))
		if err != nil || !bytes.Equal(again[:80], data[:80]) {
			t.Fatalf("a file with a wrong checksum was taken: %q", data)
		}
		for _, m := range read {
			m = m.sound()
			_ = m.problems(image.Repo{})
			for tag, fact := range m.Facts {
				if _, err := image.ParseDigest(string(fact.Digest)); err != nil && fact.Err == "" {
					t.Fatalf("fact of %s: %+v", tag, fact)
				}
			}
		}
	})
}

// rawJSON marshals as it is.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }
