package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Patch merges a JSON merge patch (RFC 7396) into the object in the name of
// manager, as `kubectl patch --type merge` does. The agent never does this: it
// is how tests and the demo play a person who edits a cluster by hand.
func (c *Client) Patch(ctx context.Context, t Target, patch []byte, manager string) error {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	_, err := c.objects(t).Patch(ctx, t.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	return explain("patch", t.String(), t.Kind.secret(), err)
}
