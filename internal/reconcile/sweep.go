package reconcile

import (
	"context"
	"encoding/json"
	"reflect"

	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
)

// sweep compares the values of everything applied with Git, one list per
// kind. It finds what watches cannot see: a change made in the name of our
// own field manager. Secrets, whose data is never read back, are applied anew.
func (a *Agent) sweep(ctx context.Context) {
	for k := range a.kinds(ctx) {
		all, err := a.c.API.List(ctx, k, "", a.selector())
		if err != nil {
			continue
		}
		for _, obj := range all {
			a.compare(k, obj)
		}
	}
}

func (a *Agent) compare(k kube.Kind, obj kube.Object) {
	id := manifest.ID{Group: k.Group, Kind: k.Kind, Namespace: obj.Namespace, Name: obj.Name}
	a.mu.Lock()
	o, ok := a.objects[id]
	if !ok || o.want == nil || o.want.Problem != nil || o.entry.UID != obj.UID || o.entry.Want != o.want.Hash {
		a.mu.Unlock()
		return
	}
	w, scaled, verified := o.want, o.live.Scaled, o.verified
	a.mu.Unlock()
	if verified == obj.ResourceVersion {
		return // applied since, and this is what came of it
	}
	body := w.Body
	if scaled {
		body = w.withoutReplicas()
	}
	var want map[string]any
	if !isSecret(id) && (json.Unmarshal(body, &want) != nil || within(want, normal(obj.Content))) {
		return
	}
	a.mu.Lock()
	o.suspect, o.verified = "values differ from Git", obj.ResourceVersion
	a.mu.Unlock()
	a.repairs.put(id, 0)
}

// normal turns numbers into what encoding/json makes of them.
func normal(content map[string]any) map[string]any {
	data, err := json.Marshal(content)
	if err != nil {
		return content
	}
	var out map[string]any
	if json.Unmarshal(data, &out) != nil {
		return content
	}
	return out
}

// within reports whether everything in want is in live. Lists match in any
// order. It may be wrong about values that the API server writes in another
// way; that costs one request that changes nothing.
func within(want, live any) bool {
	switch w := want.(type) {
	case nil:
		return true
	case map[string]any:
		l, ok := live.(map[string]any)
		for k, v := range w {
			if !ok || !within(v, l[k]) {
				return false
			}
		}
		return true
	case []any:
		l, _ := live.([]any)
		for _, v := range w {
			found := false
			for _, x := range l {
				if found = within(v, x); found {
					break
				}
			}
			if !found {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, live)
}
