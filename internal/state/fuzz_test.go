package state

import (
	"bytes"
	"testing"
	"time"
)

// FuzzAddSights: whatever lies in a file of sights, adding one gives a file that
// reads back with it unless it is full, is bounded, and stays the same when it is added again.
func FuzzAddSights(f *testing.F) {
	const repo, digest = "ghcr.io/shop/web", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	f.Add([]byte(nil))
	f.Add([]byte(`{"repo":"ghcr.io/shop/web","seen":[{"digest":"` + digest + `","first":"2030-01-01T00:00:00Z"},{"digest":"sha256:1"}]}`))
	f.Add([]byte(`{"repo":"ghcr.io/shop/web","seen":[{"digest":"` + digest[:len(digest)-1] + `0","first":"9999-12-31T23:59:59-23:00"}]}`))
	f.Add([]byte(`{"repo":"ghcr.io/shop/web","seen":null}`))
	f.Add([]byte(`{"repo":"other"}`))
	f.Fuzz(func(t *testing.T, old []byte) {
		first := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		sights := []Sight{{Repo: repo, Digest: digest, Tag: "1.0.0", First: first}}
		data, err := addSights(old, repo, sights, first)
		if err != nil {
			t.Fatal(err)
		}
		read, err := readSeen(data, repo)
		got, there := read[digest]
		if err != nil || len(read) > maxSights || got.First.After(first) || !there && len(read) < maxSights {
			t.Fatalf("%d sights, %v: %s", len(read), err, data)
		}
		again, err := addSights(data, repo, sights, first)
		if err != nil || !bytes.Equal(data, again) {
			t.Fatalf("added again (%v):\n%s\nbefore:\n%s", err, again, data)
		}
	})
}
