package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Handler is told what a watch sees. Its methods are called one at a time, in
// the order of the API server.
type Handler interface {
	// Synced is all that matches at resourceVersion, at the start and whenever
	// the watch had to start over. What is not in it is gone.
	Synced(all []Meta, resourceVersion string)
	// Changed is an object that was added or modified.
	Changed(m Meta)
	// Gone is an object that was deleted or does not match any more.
	Gone(m Meta)
	// Broken is a failure to list or watch, which is tried again with growing
	// pauses; nil says that it works again.
	Broken(err error)
}

// Watch watches the metadata of the objects of a kind whose labels match
// selector, and returns when ctx ends. It keeps nothing in memory.
func (c *Client) Watch(ctx context.Context, k Kind, selector string, h Handler) {
	w := &watcher{client: c, kind: k, selector: selector, handler: h}
	logger := silent()
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  w.list,
		WatchFuncWithContext: w.watch,
	}, c.metadata)
	r := cache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, w, cache.ReflectorOptions{
		Logger: &logger, Name: k.String(), TypeDescription: k.String(),
	})
	r.RunWithContext(klog.NewContext(ctx, logger))
}

// watcher is the store of a reflector: it passes everything on.
type watcher struct {
	client   *Client
	kind     Kind
	selector string
	handler  Handler
}

func (w *watcher) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	o.LabelSelector = w.selector
	list, err := w.client.metas(w.kind, "").List(ctx, o)
	return list, w.observe(ctx, "list", err)
}

func (w *watcher) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.LabelSelector = w.selector
	wi, err := w.client.metas(w.kind, "").Watch(ctx, o)
	return wi, w.observe(ctx, "watch", err)
}

func (w *watcher) observe(ctx context.Context, op string, err error) error {
	if ctx.Err() == nil {
		w.handler.Broken(explain(op, w.kind.String(), w.kind.secret(), err))
	}
	return err
}

func (w *watcher) Add(o any) error    { return w.each(o, w.handler.Changed) }
func (w *watcher) Update(o any) error { return w.each(o, w.handler.Changed) }
func (w *watcher) Delete(o any) error { return w.each(o, w.handler.Gone) }
func (w *watcher) Resync() error      { return nil }

func (w *watcher) Replace(all []any, resourceVersion string) error {
	metas := make([]Meta, 0, len(all))
	for _, o := range all {
		if err := w.each(o, func(m Meta) { metas = append(metas, m) }); err != nil {
			return err
		}
	}
	w.handler.Synced(metas, resourceVersion)
	return nil
}

func (w *watcher) each(o any, f func(Meta)) error {
	m, ok := o.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("watch %s: got %T", w.kind, o)
	}
	f(metaOf(m))
	return nil
}
