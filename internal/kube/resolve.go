package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Resolve returns how the cluster serves a kind. It asks for the kinds of one
// group and version only, so that a broken API service elsewhere does not
// matter, and remembers the answer; a kind that is not in it is asked for
// again. An empty version means the one the cluster prefers. Errors match
// ErrNoKind when the cluster does not know the kind.
func (c *Client) Resolve(ctx context.Context, group, version, kind string) (Kind, error) {
	if version == "" {
		var err error
		if version, err = c.preferred(ctx, group); err != nil {
			return Kind{}, explainKind(Kind{Group: group, Kind: kind}, err)
		}
	}
	gv := groupVersion{group, version}
	c.mu.Lock()
	k, ok := c.kinds[gv][kind]
	c.mu.Unlock()
	if ok {
		return k, nil
	}
	kinds, err := c.discover(ctx, gv)
	if err != nil {
		return Kind{}, explainKind(Kind{Group: group, Version: version, Kind: kind}, err)
	}
	c.mu.Lock()
	c.kinds[gv] = kinds
	c.mu.Unlock()
	if k, ok = kinds[kind]; !ok {
		return Kind{}, noKind(Kind{Group: group, Version: version, Kind: kind})
	}
	return k, nil
}

// Forget drops what is known of a group, after its definitions changed.
func (c *Client) Forget(group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for gv := range c.kinds {
		if gv.group == group {
			delete(c.kinds, gv)
		}
	}
}

func noKind(k Kind) error {
	return &Error{
		Op: "look up", Object: k.APIVersion() + " " + k.Kind, Is: ErrNoKind, Message: ErrNoKind.Error(),
		Hint: "install its CustomResourceDefinition, or correct apiVersion and kind",
	}
}

func explainKind(k Kind, err error) error {
	if apierrors.IsNotFound(err) || errors.Is(err, ErrNoKind) {
		return noKind(k)
	}
	return explain("look up", k.APIVersion()+" "+k.Kind, false, err)
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	data, err := c.rest.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read the answer to %s: %w", path, err)
	}
	return nil
}

func (c *Client) preferred(ctx context.Context, group string) (string, error) {
	if group == "" {
		return "v1", nil
	}
	var g metav1.APIGroup
	if err := c.get(ctx, "/apis/"+group, &g); err != nil {
		return "", err
	}
	if g.PreferredVersion.Version == "" {
		return "", ErrNoKind
	}
	return g.PreferredVersion.Version, nil
}

func (c *Client) discover(ctx context.Context, gv groupVersion) (map[string]Kind, error) {
	path := "/apis/" + gv.group + "/" + gv.version
	if gv.group == "" {
		path = "/api/" + gv.version
	}
	var list metav1.APIResourceList
	if err := c.get(ctx, path, &list); err != nil {
		return nil, err
	}
	kinds, status := map[string]Kind{}, map[string]bool{}
	for _, r := range list.APIResources {
		name, sub, isSub := strings.Cut(r.Name, "/")
		if isSub {
			if sub == "status" {
				status[name] = true
			}
			continue
		}
		kinds[r.Kind] = Kind{Group: gv.group, Version: gv.version, Kind: r.Kind, Resource: r.Name, Namespaced: r.Namespaced}
	}
	for name, k := range kinds {
		k.HasStatus = status[k.Resource]
		kinds[name] = k
	}
	return kinds, nil
}

// deadline bounds one request.
func (c *Client) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s", c.timeout.Round(time.Millisecond)))
}
