package kube

import (
	"context"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/csaupgrade"
)

// ApplyOptions says in whose name a manifest is applied.
type ApplyOptions struct {
	Manager string // the field manager
	Force   bool   // take fields that others own
	DryRun  bool   // change nothing
}

// Apply applies body, the object as JSON, by server-side apply and returns the
// object as it is then. One request.
func (c *Client) Apply(ctx context.Context, t Target, body []byte, o ApplyOptions) (Object, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	opts := metav1.PatchOptions{FieldManager: o.Manager, Force: &o.Force}
	if o.DryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	u, err := c.objects(t).Patch(ctx, t.Name, types.ApplyPatchType, body, opts)
	if err != nil {
		return Object{}, explain("apply", t.String(), t.Kind.secret(), err)
	}
	return objectOf(u, t.Kind), nil
}

// Create creates the object in body; errors match ErrExists when there is one.
func (c *Client) Create(ctx context.Context, t Target, body []byte, manager string) (Object, error) {
	var content map[string]any
	if err := json.Unmarshal(body, &content); err != nil {
		return Object{}, explain("create", t.String(), true, err)
	}
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	u, err := c.objects(t).Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		return Object{}, explain("create", t.String(), t.Kind.secret(), err)
	}
	return objectOf(u, t.Kind), nil
}

// Get returns the object; errors match ErrNotFound when there is none.
func (c *Client) Get(ctx context.Context, t Target) (Object, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	u, err := c.objects(t).Get(ctx, t.Name, metav1.GetOptions{})
	if err != nil {
		return Object{}, explain("get", t.String(), t.Kind.secret(), err)
	}
	return objectOf(u, t.Kind), nil
}

// GetMeta returns the metadata of the object only.
func (c *Client) GetMeta(ctx context.Context, t Target) (Meta, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	m, err := c.metas(t.Kind, t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
	if err != nil {
		return Meta{}, explain("get", t.String(), t.Kind.secret(), err)
	}
	return metaOf(m), nil
}

// List returns the objects of a kind whose labels match selector, in one
// namespace or, when that is empty, in all.
func (c *Client) List(ctx context.Context, k Kind, namespace, selector string) ([]Object, error) {
	var out []Object
	opts := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for range maxPages {
		page, err := c.page(ctx, k, namespace, opts)
		if err != nil {
			return nil, explain("list", k.String(), k.secret(), err)
		}
		for i := range page.Items {
			out = append(out, objectOf(&page.Items[i], k))
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return out, nil
		}
	}
	return nil, &Error{Op: "list", Object: k.String(), Message: "the list does not end"}
}

func (c *Client) page(ctx context.Context, k Kind, namespace string, opts metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.objects(Target{Kind: k, Namespace: namespace}).List(ctx, opts)
}

// ListMeta returns the metadata of all objects of a kind whose labels match.
func (c *Client) ListMeta(ctx context.Context, k Kind, selector string) ([]Meta, error) {
	var out []Meta
	opts := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for range maxPages {
		page, err := c.pageMeta(ctx, k, opts)
		if err != nil {
			return nil, explain("list", k.String(), k.secret(), err)
		}
		for i := range page.Items {
			out = append(out, metaOf(&page.Items[i]))
		}
		if opts.Continue = page.GetContinue(); opts.Continue == "" {
			return out, nil
		}
	}
	return nil, &Error{Op: "list", Object: k.String(), Message: "the list does not end"}
}

func (c *Client) pageMeta(ctx context.Context, k Kind, opts metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.metas(k, "").List(ctx, opts)
}

// DeleteOptions guards a deletion.
type DeleteOptions struct {
	UID             string // must be the object's; never empty
	ResourceVersion string // if not empty, must still be the object's
}

// Delete asks for the deletion of the object and, in the background, of what
// it owns. Errors match ErrNotFound when there is none and ErrStale when it is
// another object, or a changed one.
func (c *Client) Delete(ctx context.Context, t Target, o DeleteOptions) error {
	if o.UID == "" {
		return &Error{Op: "delete", Object: t.String(), Message: "its UID is not known, so nothing proves that it is ours"}
	}
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	uid, background := types.UID(o.UID), metav1.DeletePropagationBackground
	pre := &metav1.Preconditions{UID: &uid}
	if o.ResourceVersion != "" {
		pre.ResourceVersion = &o.ResourceVersion
	}
	err := c.objects(t).Delete(ctx, t.Name, metav1.DeleteOptions{PropagationPolicy: &background, Preconditions: pre})
	return explain("delete", t.String(), t.Kind.secret(), err)
}

// TakeOver gives the fields of the managers for which take says so to the
// manager into, so that a field which goes from Git goes from the object too.
// It reports whether there was anything to take. Two requests at most.
func (c *Client) TakeOver(ctx context.Context, t Target, take func(manager string) bool, into string) (bool, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	u, err := c.objects(t).Get(ctx, t.Name, metav1.GetOptions{})
	if err != nil {
		return false, explain("take over", t.String(), t.Kind.secret(), err)
	}
	names := sets.New[string]()
	entries := u.GetManagedFields()
	for i, e := range entries {
		if e.Subresource == "" && e.Manager != into && take(e.Manager) {
			// An applier's set is merged the same way as an updater's.
			entries[i].Operation = metav1.ManagedFieldsOperationUpdate
			names.Insert(e.Manager)
		}
	}
	if names.Len() == 0 {
		return false, nil
	}
	u.SetManagedFields(entries)
	patch, err := csaupgrade.UpgradeManagedFieldsPatch(u, names, into)
	if err != nil || patch == nil {
		return false, explain("take over", t.String(), t.Kind.secret(), err)
	}
	_, err = c.objects(t).Patch(ctx, t.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: into})
	return err == nil, explain("take over", t.String(), t.Kind.secret(), err)
}

func (k Kind) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.Group, Version: k.Version, Resource: k.Resource}
}

func (c *Client) objects(t Target) dynamic.ResourceInterface {
	if t.Namespace == "" {
		return c.dynamic.Resource(t.Kind.gvr())
	}
	return c.dynamic.Resource(t.Kind.gvr()).Namespace(t.Namespace)
}

func (c *Client) metas(k Kind, namespace string) metadata.ResourceInterface {
	if namespace == "" {
		return c.metadata.Resource(k.gvr())
	}
	return c.metadata.Resource(k.gvr()).Namespace(namespace)
}

func objectOf(u *unstructured.Unstructured, k Kind) Object {
	o := Object{Meta: metaOf(u), Content: u.Object}
	u.SetManagedFields(nil)
	unstructured.RemoveNestedField(u.Object, "metadata", "annotations", lastApplied)
	if k.secret() {
		delete(u.Object, "data")
		delete(u.Object, "stringData")
	}
	return o
}
