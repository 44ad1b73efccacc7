package controlplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// api speaks to one control plane.
type api struct {
	t      *testing.T
	client *client
	url    string
}

func newAPI(t *testing.T, set *Set, name string) *api {
	c := set.clusters[name]
	a := &api{t: t, client: newClient(c.pki.pool, c.pki.token), url: c.url}
	t.Cleanup(a.client.close)
	return a
}

func (a *api) try(method, path string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = a.client.do(a.t.Context(), method, a.url+path, raw)
	return err
}

func (a *api) post(t *testing.T, path string, body any) {
	t.Helper()
	if err := a.try(http.MethodPost, path, body); err != nil {
		t.Fatalf("post to %s: %v", path, err)
	}
}

// get decodes the object at path into a value that holds its status.
func (a *api) get(path string) (object, error) {
	var o object
	raw, err := a.client.do(a.t.Context(), http.MethodGet, a.url+path, nil)
	if err != nil {
		return o, err
	}
	err = json.Unmarshal(raw, &o)
	return o, err
}

type object struct {
	Items  []object
	Status struct {
		Phase                                                            string
		ReadyReplicas, UpdatedReplicas, NumberReady, Succeeded, Replicas int
		Conditions                                                       []struct{ Type, Status, Reason string }
		ContainerStatuses                                                []struct {
			Name  string
			Ready bool
			State struct {
				Waiting *struct{ Reason, Message string }
			}
		}
	}
}

func (o object) condition(typ string) string {
	for _, c := range o.Status.Conditions {
		if c.Type == typ {
			return c.Status
		}
	}
	return "absent"
}

// workload is a Deployment, StatefulSet, DaemonSet or Job with one container per image.
func workload(kind, name string, images ...string) map[string]any {
	labels := map[string]string{"app": name}
	var containers []map[string]any
	for i, image := range images {
		containers = append(containers, map[string]any{"name": fmt.Sprintf("c%d", i), "image": image})
	}
	pod := map[string]any{"containers": containers}
	spec := map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod}}
	version := "apps/v1"
	if kind == "Job" {
		version, pod["restartPolicy"] = "batch/v1", "Never"
	} else {
		spec["selector"] = map[string]any{"matchLabels": labels}
	}
	if kind == "Deployment" || kind == "StatefulSet" {
		spec["replicas"] = 2
	}
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec}
}

func (a *api) workloads(t *testing.T) {
	for _, test := range []struct {
		kind, path string
		ready      func(object) bool
	}{
		{"Deployment", "/apis/apps/v1/namespaces/default/deployments", func(o object) bool {
			return o.condition("Available") == "True" && o.Status.ReadyReplicas == 2
		}},
		{"StatefulSet", "/apis/apps/v1/namespaces/default/statefulsets", func(o object) bool { return o.Status.ReadyReplicas == 2 }},
		{"DaemonSet", "/apis/apps/v1/namespaces/default/daemonsets", func(o object) bool { return o.Status.NumberReady == 1 }},
		{"Job", "/apis/batch/v1/namespaces/default/jobs", func(o object) bool { return o.condition("Complete") == "True" }},
	} {
		name := "good-" + strings.ToLower(test.kind)
		a.post(t, test.path, workload(test.kind, name, goodImage+digest, badImage+"-debug"))
		eventually(t, func() string {
			o, err := a.get(test.path + "/" + name)
			if err != nil || test.ready(o) {
				return errText(err)
			}
			return fmt.Sprintf("%s is not ready: %+v", name, o.Status)
		})
	}
}

// failing deploys the failing version beside a sound container and watches the pods: they reach the
// state in which they stay.
func (a *api) failing(t *testing.T) {
	a.post(t, "/apis/apps/v1/namespaces/default/deployments", workload("Deployment", "bad", goodImage, badImage+digest))
	eventually(t, func() string {
		pods, err := a.get("/api/v1/namespaces/default/pods?labelSelector=app%3Dbad")
		if err != nil {
			return err.Error()
		}
		waiting := 0
		for _, pod := range pods.Items {
			if pod.condition("Ready") == "True" {
				t.Fatalf("a pod of the failing version is ready: %+v", pod.Status)
			}
			if containers := pod.Status.ContainerStatuses; len(containers) == 2 && containers[0].Ready &&
				!containers[1].Ready && containers[1].State.Waiting != nil &&
				containers[1].State.Waiting.Reason == "CrashLoopBackOff" {
				waiting++
			}
		}
		if waiting != 2 {
			return fmt.Sprintf("%d of 2 pods wait with a reason: %+v", waiting, pods.Items)
		}
		return ""
	})
	// Pods are judged once; when a later, sound Deployment is up the failing one has had its turn.
	a.post(t, "/apis/apps/v1/namespaces/default/deployments", workload("Deployment", "later", goodImage))
	eventually(t, func() string {
		o, err := a.get("/apis/apps/v1/namespaces/default/deployments/later")
		if err != nil || o.condition("Available") == "True" {
			return errText(err)
		}
		return fmt.Sprintf("later is not available: %+v", o.Status)
	})
	o, err := a.get("/apis/apps/v1/namespaces/default/deployments/bad")
	if err != nil || o.Status.ReadyReplicas != 0 || o.condition("Available") != "False" {
		t.Errorf("the failing Deployment: %+v, %v", o.Status, err)
	}
}

// beginDeletion deletes a namespace with a Deployment. The namespace controller lets ten seconds
// pass until it is gone, in which other tests run; endDeletion waits for the end.
func (a *api) beginDeletion(t *testing.T) {
	a.post(t, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": "short"}})
	a.post(t, "/apis/apps/v1/namespaces/short/deployments", workload("Deployment", "web", goodImage))
	eventually(t, func() string {
		pods, err := a.get("/api/v1/namespaces/short/pods")
		if err != nil || len(pods.Items) == 2 {
			return errText(err)
		}
		return fmt.Sprintf("%d pods", len(pods.Items))
	})
	if err := a.try(http.MethodDelete, "/api/v1/namespaces/short", map[string]any{}); err != nil {
		t.Fatal(err)
	}
}

func (a *api) endDeletion(t *testing.T) {
	eventually(t, func() string {
		o, err := a.get("/api/v1/namespaces/short")
		if status := (*statusError)(nil); errors.As(err, &status) && status.code == http.StatusNotFound {
			return ""
		}
		return fmt.Sprintf("still there: %+v, %v", o.Status, err)
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
