package reconcile

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

const (
	labelInventory   = "towpath.dev/inventory" // value: the environment
	inventoryManager = "towpath-inventory"
	inventoryKey     = "inventory.json"
)

// store keeps an Inventory in ConfigMaps. It is used by one goroutine at a time.
type store struct {
	api            API
	env, namespace string
	kind           kube.Kind
	shards         []stored // as last read or written
}

type stored struct{ resourceVersion, data string }

func (s *store) name(i int) string {
	return fmt.Sprintf("towpath-inventory-%s-%d", strings.ToLower(s.env), i)
}

func (s *store) target(i int) kube.Target {
	return kube.Target{Kind: s.kind, Namespace: s.namespace, Name: s.name(i)}
}

// load reads the inventory. One without entries and with a new Install is
// returned when there is none. Two requests.
func (s *store) load(ctx context.Context) (Inventory, error) {
	inv := Inventory{Entries: map[manifest.ID]Entry{}}
	var err error
	if s.kind, err = s.api.Resolve(ctx, "", "v1", "ConfigMap"); err != nil {
		return inv, fmt.Errorf("read the inventory: %w", err)
	}
	maps, err := s.api.List(ctx, s.kind, s.namespace, labelInventory+"="+s.env)
	if err != nil {
		return inv, fmt.Errorf("read the inventory: %w", err)
	}
	byName := map[string]stored{}
	for _, m := range maps {
		data, _ := m.Content["data"].(map[string]any)
		byName[m.Name] = stored{m.ResourceVersion, text(data[inventoryKey])}
	}
	s.shards = nil
	for i := 0; i < maxShards && len(byName) > 0; i++ {
		sh, ok := byName[s.name(i)]
		if s.shards = append(s.shards, sh); !ok {
			continue
		}
		delete(byName, s.name(i))
		if _, err := inv.add(sh.data); err != nil {
			return inv, fmt.Errorf("read the inventory: ConfigMap %s/%s: %w; restore it, or delete it, and objects that Git dropped since stay", s.namespace, s.name(i), err)
		}
	}
	if inv.Install == "" {
		inv.Install = strings.ToLower(rand.Text()[:8])
	}
	return inv, nil
}

// save writes the shards that changed, the last first. It returns what
// somebody else wrote in between, which is then part of what was written.
func (s *store) save(ctx context.Context, inv Inventory) (added []Entry, err error) {
	const tries = 3
	for range tries {
		if err = s.write(ctx, inv); err == nil {
			return added, nil
		}
		if !errors.Is(err, kube.ErrStale) && !errors.Is(err, kube.ErrExists) && !errors.Is(err, kube.ErrNotFound) {
			break
		}
		theirs, loadErr := s.load(ctx)
		if loadErr != nil {
			return added, loadErr
		}
		for id, e := range theirs.Entries {
			if _, ok := inv.Entries[id]; !ok {
				inv.Entries[id] = e
				added = append(added, e)
			}
		}
	}
	return added, fmt.Errorf("write the inventory: %w", err)
}

func (s *store) write(ctx context.Context, inv Inventory) error {
	data, err := inv.encode(len(s.shards))
	if err != nil {
		return err
	}
	for len(s.shards) < len(data) {
		s.shards = append(s.shards, stored{})
	}
	for i := len(data) - 1; i >= 0; i-- {
		if s.shards[i].data == data[i] {
			continue
		}
		rv, err := s.put(ctx, i, data[i])
		if err != nil {
			return err
		}
		s.shards[i] = stored{rv, data[i]}
	}
	return nil
}

// put writes one shard if it is still the one that was read.
func (s *store) put(ctx context.Context, i int, data string) (resourceVersion string, err error) {
	meta := map[string]any{
		"name": s.name(i), "namespace": s.namespace,
		"labels": map[string]any{labelInventory: s.env},
	}
	if rv := s.shards[i].resourceVersion; rv != "" {
		meta["resourceVersion"] = rv
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": map[string]any{inventoryKey: data},
	})
	if err != nil {
		return "", err
	}
	write := func() (kube.Object, error) {
		if s.shards[i].resourceVersion == "" {
			return s.api.Create(ctx, s.target(i), body, inventoryManager)
		}
		return s.api.Apply(ctx, s.target(i), body, kube.ApplyOptions{Manager: inventoryManager, Force: true})
	}
	o, err := write()
	if errors.Is(err, kube.ErrNoNamespace) {
		if err := s.createNamespace(ctx); err != nil {
			return "", err
		}
		o, err = write()
	}
	return o.ResourceVersion, err
}

func (s *store) createNamespace(ctx context.Context) error {
	kind, err := s.api.Resolve(ctx, "", "v1", "Namespace")
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": s.namespace}})
	if err != nil {
		return err
	}
	_, err = s.api.Create(ctx, kube.Target{Kind: kind, Name: s.namespace}, body, inventoryManager)
	if errors.Is(err, kube.ErrExists) {
		return nil
	}
	return err
}
