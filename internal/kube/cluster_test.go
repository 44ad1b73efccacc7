package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"towpath.dev/towpath/test/controlplane"
)

const patience = 60 * time.Second

var plane = sync.OnceValues(func() (*controlplane.Set, error) {
	return controlplane.Start(context.Background(), controlplane.Config{Names: []string{"kube"}, Progress: os.Stderr})
})

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopPlane(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var planeAsked bool

func stopPlane() error {
	if !planeAsked {
		return nil
	}
	set, err := plane()
	if err == nil { // else the test that asked has said so
		err = set.Stop()
	}
	return err
}

func open(t *testing.T) *Client {
	t.Helper()
	planeAsked = true
	set, err := plane()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(Config{Kubeconfig: set.Kubeconfig("kube")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func config(name, labels, data string) []byte {
	return []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `","labels":{` + labels + `}},"data":{` + data + `}}`)
}

func TestResolveAsksOncePerGroupAndVersion(t *testing.T) {
	c := open(t)
	before := c.Requests()
	for _, kind := range []string{"ConfigMap", "Namespace", "ConfigMap"} {
		k, err := c.Resolve(t.Context(), "", "v1", kind)
		if err != nil {
			t.Fatal(err)
		}
		if k.Namespaced != (kind == "ConfigMap") || k.HasStatus != (kind == "Namespace") {
			t.Errorf("%s: %+v", kind, k)
		}
	}
	if n := c.Requests() - before; n != 1 {
		t.Errorf("%d requests", n)
	}
	if k, err := c.Resolve(t.Context(), "apps", "", "Deployment"); err != nil || k.Version != "v1" {
		t.Errorf("preferred: %+v, %v", k, err)
	}
	for _, q := range [][3]string{{"", "v1", "Nothing"}, {"nowhere.example", "v1", "Thing"}, {"nowhere.example", "", "Thing"}, {"apps", "v9", "Deployment"}} {
		if _, err := c.Resolve(t.Context(), q[0], q[1], q[2]); !errors.Is(err, ErrNoKind) {
			t.Errorf("%v: %v", q, err)
		}
	}
}

func TestApplyTellsWhoOwnsWhat(t *testing.T) {
	c, ctx := open(t), t.Context()
	k, err := c.Resolve(ctx, "", "v1", "ConfigMap")
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Kind: k, Namespace: "default", Name: "owned"}
	first, err := c.Apply(ctx, target, config("owned", `"a":"b"`, `"key":"1"`), ApplyOptions{Manager: "one"})
	if err != nil {
		t.Fatal(err)
	}
	fields, ok := first.Applied("one")
	if !ok || !fields.Owns("data", "key") {
		t.Errorf("fields: %+v", first.Fields)
	}
	again, err := c.Apply(ctx, target, config("owned", `"a":"b"`, `"key":"1"`), ApplyOptions{Manager: "one"})
	if err != nil || again.ResourceVersion != first.ResourceVersion {
		t.Errorf("the same again: version %s became %s, %v", first.ResourceVersion, again.ResourceVersion, err)
	}
	_, err = c.Apply(ctx, target, config("owned", ``, `"key":"2"`), ApplyOptions{Manager: "two"})
	var e *Error
	if !errors.Is(err, ErrOwned) || !errors.As(err, &e) || len(e.Conflicts) != 1 || e.Conflicts[0] != (Conflict{"one", ".data.key"}) {
		t.Errorf("conflict: %v", err)
	}
	dry, err := c.Apply(ctx, target, config("owned", ``, `"key":"2"`), ApplyOptions{Manager: "two", Force: true, DryRun: true})
	if err != nil || dry.Content["data"].(map[string]any)["key"] != "2" {
		t.Errorf("dry run: %v, %v", dry.Content["data"], err)
	}
	m, err := c.GetMeta(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := m.Applied("one"); f.Hash() != fields.Hash() || m.ResourceVersion != first.ResourceVersion {
		t.Errorf("after a dry run: %+v", m)
	}

	took, err := c.TakeOver(ctx, target, func(m string) bool { return m == "one" }, "two")
	if err != nil || !took {
		t.Fatalf("take over: %v, %v", took, err)
	}
	last, err := c.Apply(ctx, target, config("owned", ``, `"other":"2"`), ApplyOptions{Manager: "two"})
	if err != nil || last.Content["data"].(map[string]any)["key"] != nil || last.Labels["a"] != "" {
		t.Errorf("after taking over: %v, labels %v, %v", last.Content["data"], last.Labels, err)
	}

	if err := c.Delete(ctx, target, DeleteOptions{UID: "another"}); !errors.Is(err, ErrStale) {
		t.Errorf("delete another: %v", err)
	}
	if err := c.Delete(ctx, target, DeleteOptions{UID: last.UID}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := c.Delete(ctx, target, DeleteOptions{UID: last.UID}); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete again: %v", err)
	}
}

func TestSecretDataIsNeverReadBack(t *testing.T) {
	c, ctx := open(t), t.Context()
	k, err := c.Resolve(ctx, "", "v1", "Secret")
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Kind: k, Namespace: "default", Name: "s"}
	o, err := c.Apply(ctx, target, []byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"hunter2"}},"stringData":{"password":"hunter2"}}`), ApplyOptions{Manager: "m"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Get(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []Object{o, got} {
		if s := fmt.Sprintf("%v %v", o.Content, o.Annotations); strings.Contains(s, "hunter2") || o.Content["data"] != nil {
			t.Errorf("read back: %s", s)
		}
	}
}

// recorder writes down what a watch tells.
type recorder struct{ lines chan string }

func (r recorder) Synced(all []Meta, _ string) {
	names := ""
	for _, m := range all {
		names += " " + m.Name
	}
	r.lines <- "synced" + names
}
func (r recorder) Changed(m Meta) { r.lines <- "changed " + m.Name }
func (r recorder) Gone(m Meta)    { r.lines <- "gone " + m.Name }
func (r recorder) Broken(err error) {
	if err != nil {
		r.lines <- "broken " + err.Error()
	}
}

func TestWatchTellsChangesAndLostLabels(t *testing.T) {
	c := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	k, err := c.Resolve(ctx, "", "v1", "ConfigMap")
	if err != nil {
		t.Fatal(err)
	}
	apply := func(name, labels string) Object {
		t.Helper()
		o, err := c.Apply(t.Context(), Target{Kind: k, Namespace: "default", Name: name}, config(name, labels, `"n":"`+labels[1:2]+`"`), ApplyOptions{Manager: "m"})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	apply("w1", `"watched":"yes"`)
	apply("unwatched", `"x":"yes"`)
	r := recorder{make(chan string, 100)}
	done := make(chan struct{})
	before := c.Requests()
	go func() { defer close(done); c.Watch(ctx, k, "watched=yes", r) }()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-r.lines:
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("nothing came, want %q", want)
		}
	}
	expect("synced w1")
	if n := c.Requests() - before; n != 1 {
		t.Errorf("%d requests to sync", n)
	}
	w2 := apply("w2", `"watched":"yes"`)
	expect("changed w2")
	apply("w1", `"other":"yes"`)
	expect("gone w1")
	if err := c.Delete(t.Context(), Target{Kind: k, Namespace: "default", Name: "w2"}, DeleteOptions{UID: w2.UID}); err != nil {
		t.Fatal(err)
	}
	expect("gone w2")
	cancel()
	<-done
}

func TestAWatchOfAMissingKindSaysSo(t *testing.T) {
	c := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := recorder{make(chan string, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Watch(ctx, Kind{Group: "nowhere.example", Version: "v1", Kind: "Thing", Resource: "things"}, "a=b", r)
	}()
	select {
	case got := <-r.lines:
		if !strings.HasPrefix(got, "broken watch nowhere.example/Thing") && !strings.HasPrefix(got, "broken list nowhere.example/Thing") {
			t.Errorf("got %q", got)
		}
	case <-time.After(patience):
		t.Error("nothing came")
	}
	cancel()
	<-done
}
