package reconcile

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"towpath.dev/towpath/internal/manifest"
)

// Entry is one object that the agent has written, or is about to write.
type Entry struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"` // "" until the first write was confirmed
	App       string `json:"app"`
	Fields    string `json:"fields,omitempty"` // kube.Fields.Hash of our fields after our last write
	Want      string `json:"want,omitempty"`   // Wanted.Hash of our last write; never kept for Secrets
	Prune     string `json:"prune,omitempty"`  // what AnnotationPrune said in Git
}

// ID returns the identity of the object.
func (e Entry) ID() manifest.ID {
	return manifest.ID{Group: e.Group, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name}
}

// Inventory is what the agent knows to be its own in a cluster.
type Inventory struct {
	Install string // tells this installation's field manager from others
	Commit  string // the last one applied, when the inventory was last written
	Entries map[manifest.ID]Entry
}

// Bounds of the ConfigMaps that hold an inventory. etcd takes 1.5 MB; smaller
// ones are cheaper to rewrite.
const (
	maxShardBytes = 256 << 10
	maxShards     = 1 << 10
)

// shard is the content of one ConfigMap. Shard is chosen by identity, so that
// a new entry rewrites one of them only.
type shard struct {
	Install string  `json:"install"`
	Commit  string  `json:"commit,omitempty"`
	Shards  int     `json:"shards"`
	Entries []Entry `json:"entries"`
}

// shardsFor returns how many shards hold the entries, at least atLeast: their
// number only ever doubles, see encode.
func shardsFor(entries map[manifest.ID]Entry, atLeast int) (int, error) {
	for n := max(1, atLeast); n <= maxShards; n *= 2 {
		sizes := make([]int, n)
		for id, e := range entries {
			sizes[bucket(id, n)] += entrySize(e)
		}
		if slices.Max(sizes) < maxShardBytes*3/4 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("an inventory of %d objects does not fit into %d ConfigMaps; split the environment", len(entries), maxShards)
}

// entrySize is an upper bound of the bytes of e as JSON.
func entrySize(e Entry) int {
	const keys = 130
	return keys + len(e.Group) + len(e.Version) + len(e.Kind) + len(e.Namespace) + len(e.Name) + len(e.UID) + len(e.App) + len(e.Fields) + len(e.Want) + len(e.Prune)
}

func bucket(id manifest.ID, n int) int {
	h := fnv.New32a()
	for _, s := range []string{id.Group, id.Kind, id.Namespace, id.Name} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return int(h.Sum32() % uint32(n))
}

// encode returns the contents of the shards, at least atLeast. Written from
// the last to the first, no entry is missing at any moment: when their number
// doubles, an entry moves from shard i to shard i+n only.
func (inv Inventory) encode(atLeast int) ([]string, error) {
	n, err := shardsFor(inv.Entries, atLeast)
	if err != nil {
		return nil, err
	}
	shards := make([]shard, n)
	for i := range shards {
		shards[i] = shard{Install: inv.Install, Shards: n, Entries: []Entry{}}
	}
	shards[0].Commit = inv.Commit
	for _, id := range slices.SortedFunc(maps.Keys(inv.Entries), compareID) {
		b, e := bucket(id, n), inv.Entries[id]
		if isSecret(id) {
			e.Want = "" // would let others test guesses of what is in it
		}
		shards[b].Entries = append(shards[b].Entries, e)
	}
	out := make([]string, n)
	for i, s := range shards {
		data, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("encode the inventory: %w", err)
		}
		out[i] = string(data)
	}
	return out, nil
}

// add puts the entries of an encoded shard into inv and returns how many
// shards there should be.
func (inv *Inventory) add(data string) (int, error) {
	var s shard
	if err := json.Unmarshal([]byte(data), &s); err != nil {
		return 0, err
	}
	if s.Install != "" {
		inv.Install = s.Install
	}
	if s.Commit != "" {
		inv.Commit = s.Commit
	}
	for _, e := range s.Entries {
		// An entry can be in two shards after a crash; the confirmed one counts.
		if old, ok := inv.Entries[e.ID()]; !ok || old.UID == "" {
			inv.Entries[e.ID()] = e
		}
	}
	return s.Shards, nil
}

func isSecret(id manifest.ID) bool { return kindOf(id) == kindID{"", "Secret"} }

func compareID(a, b manifest.ID) int {
	for _, p := range [][2]string{{a.Group, b.Group}, {a.Kind, b.Kind}, {a.Namespace, b.Namespace}, {a.Name, b.Name}} {
		if p[0] != p[1] {
			if p[0] < p[1] {
				return -1
			}
			return 1
		}
	}
	return 0
}
