package kube

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func kubeconfig(server, user string) string {
	return `apiVersion: v1
kind: Config
current-context: dev
clusters: [{name: dev, cluster: {server: "` + server + `"}}]
contexts: [{name: dev, context: {cluster: dev, user: me}}, {name: prod, context: {cluster: dev, user: other}}]
users: [{name: me, user: ` + user + `}, {name: other, user: {token: t}}]
`
}

func TestOpenRefusesWhatRunsPrograms(t *testing.T) {
	tests := []struct {
		name, content, context, want string
	}{
		{"a token is fine", kubeconfig("https://127.0.0.1:1", "{token: t}"), "", ""},
		{"exec is refused", kubeconfig("https://127.0.0.1:1", "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true, interactiveMode: Never}}"), "", "exec"},
		{"exec of another context does not matter", kubeconfig("https://127.0.0.1:1", "{exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/true, interactiveMode: Never}}"), "prod", ""},
		{"an auth-provider is refused", kubeconfig("https://127.0.0.1:1", "{auth-provider: {name: gcp}}"), "", "auth-provider"},
		{"an unknown context is named", kubeconfig("https://127.0.0.1:1", "{token: t}"), "staging", `no context "staging"`},
		{"a broken file is named", "clusters: [", "", "read kubeconfig"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := Open(Config{Kubeconfig: write(t, test.content), Context: test.context})
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if c.Requests() != 0 {
					t.Errorf("opening took %d requests", c.Requests())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("open = %v, want %q", err, test.want)
			}
		})
	}
	t.Run("no file and no pod", func(t *testing.T) {
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		if _, err := Open(Config{}); err == nil || !strings.Contains(err.Error(), "name a kubeconfig") {
			t.Errorf("open = %v", err)
		}
	})
}

func entry(manager string, op metav1.ManagedFieldsOperationType, sub, fields string) metav1.ManagedFieldsEntry {
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: op, Subresource: sub, FieldsV1: metav1.NewFieldsV1(fields)}
}

func TestFieldsAreComparedWhateverTheirOrder(t *testing.T) {
	m := metaOf(&metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		entry("us", metav1.ManagedFieldsOperationApply, "", `{"f:spec":{"f:replicas":{},"f:a":{}}}`),
		entry("us2", metav1.ManagedFieldsOperationApply, "", `{"f:spec":{"f:a":{},"f:replicas":{}}}`),
		entry("us3", metav1.ManagedFieldsOperationApply, "", `{"f:spec":{"f:a":{}}}`),
		entry("us", metav1.ManagedFieldsOperationUpdate, "", `{"f:data":{}}`),
		entry("us", metav1.ManagedFieldsOperationApply, "status", `{"f:status":{}}`),
	}})
	us, ok := m.Applied("us")
	us2, ok2 := m.Applied("us2")
	us3, ok3 := m.Applied("us3")
	if !ok || !ok2 || !ok3 {
		t.Fatal("an entry was not found")
	}
	if us.Hash() != us2.Hash() || us.Hash() == us3.Hash() || us.Hash() == "" {
		t.Errorf("hashes %s, %s, %s", us.Hash(), us2.Hash(), us3.Hash())
	}
	if !us.Owns("spec", "replicas") || us3.Owns("spec", "replicas") || us.Owns("spec", "a", "b") {
		t.Error("owns is wrong about replicas")
	}
	if _, ok := m.Applied("nobody"); ok {
		t.Error("nobody owns something")
	}
}

func TestOtherIsWhoChangedItLast(t *testing.T) {
	at := func(e metav1.ManagedFieldsEntry, s int64) metav1.ManagedFieldsEntry {
		when := metav1.NewTime(time.Unix(s, 0))
		e.Time = &when
		return e
	}
	m := metaOf(&metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		at(entry("us", metav1.ManagedFieldsOperationApply, "", `{}`), 9),
		at(entry("old", metav1.ManagedFieldsOperationUpdate, "", `{}`), 1),
		at(entry("kubectl-edit", metav1.ManagedFieldsOperationUpdate, "", `{}`), 5),
		at(entry("controller", metav1.ManagedFieldsOperationUpdate, "status", `{}`), 8),
	}})
	if got := m.Other("us"); got != "kubectl-edit" {
		t.Errorf("other = %q", got)
	}
}

func TestNewer(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{{"10", "9", true}, {"9", "10", false}, {"9", "9", false}, {"x", "x", false}, {"x", "y", true}, {"10", "", true}} {
		if got := Newer(test.a, test.b); got != test.want {
			t.Errorf("Newer(%q, %q) = %v", test.a, test.b, got)
		}
	}
}

// server answers every request in one way.
func server(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := Open(Config{Kubeconfig: write(t, kubeconfig(s.URL, "{token: hunter2}")), Timeout: 300 * time.Millisecond, MaxBody: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var (
	secrets = Kind{Version: "v1", Kind: "Secret", Resource: "secrets", Namespaced: true}
	configs = Kind{Version: "v1", Kind: "ConfigMap", Resource: "configmaps", Namespaced: true}
)

func TestAnswersBecomeErrorsWithAWayOut(t *testing.T) {
	status := func(code, reason, message, details string) string {
		return `{"kind":"Status","apiVersion":"v1","status":"Failure","code":` + code + `,"reason":"` + reason + `","message":"` + message + `","details":` + details + `}`
	}
	tests := []struct {
		name string
		kind Kind
		code int
		body string
		is   error
		want string // in the message
		not  string // not in it
	}{
		{"forbidden", configs, 403, status("403", "Forbidden", "no access", `{"name":"a","kind":"configmaps"}`), ErrForbidden, "apply ConfigMap shop/a: no access; grant it", ""},
		{"unauthorized", configs, 401, status("401", "Unauthorized", "who are you", `{}`), ErrUnauthorized, "renew the token", "hunter2"},
		{"no namespace", configs, 404, status("404", "NotFound", "namespaces not found", `{"name":"shop","kind":"namespaces"}`), ErrNoNamespace, `add a Namespace "shop"`, ""},
		{"no such kind", configs, 404, status("404", "NotFound", "the server could not find the requested resource", `{}`), ErrNoKind, "CustomResourceDefinition", ""},
		{"invalid", configs, 422, status("422", "Invalid", "spec.x: bad", `{"name":"a"}`), ErrInvalid, "spec.x: bad; correct the manifest", ""},
		{"immutable", configs, 422, status("422", "Invalid", "data: Forbidden: field is immutable when `immutable` is set", `{"name":"a"}`), ErrImmutable, "immutable", ""},
		{"overloaded", configs, 503, status("503", "ServiceUnavailable", "busy", `{}`), ErrUnreachable, "tried again", ""},
		{"stale", configs, 409, status("409", "Conflict", "the object has been modified", `{"name":"a"}`), ErrStale, "modified", ""},
		{
			"owned by others", configs, 409,
			status("409", "Conflict", "x", `{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"helm\" using v1","field":".data.key"}]}`),
			ErrOwned, "helm owns .data.key", "",
		},
		{
			"an invalid Secret says no value", secrets, 422,
			status("422", "Invalid", "data: Invalid value: s3cret", `{"name":"a","causes":[{"reason":"FieldValueInvalid","message":"s3cret","field":"data[tls.crt]"}]}`),
			ErrInvalid, "it is about data[tls.crt]", "s3cret",
		},
		{"a refused Secret says no value", secrets, 400, status("400", "BadRequest", "cannot decode s3cret", `{}`), ErrInvalid, "left out", "s3cret"},
		{"a page of a proxy", configs, 502, "<html>bad\ngateway</html>", nil, "apply ConfigMap shop/a: ", "\n"},
		{"too much", configs, 200, `{"kind":"ConfigMap","apiVersion":"v1","data":{"a":"` + strings.Repeat("x", 1<<17) + `"}}`, ErrUnreachable, "larger than 65536 bytes", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := server(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.code)
				_, _ = w.Write([]byte(test.body))
			})
			_, err := c.Apply(t.Context(), Target{Kind: test.kind, Namespace: "shop", Name: "a"}, []byte(`{}`), ApplyOptions{Manager: "m"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("apply = %v, want %q", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is not %v", err, test.is)
			}
			if test.not != "" && strings.Contains(err.Error(), test.not) {
				t.Errorf("%v says %q", err, test.not)
			}
		})
	}
}

func TestASilentServerIsUnreachable(t *testing.T) {
	release := make(chan struct{})
	c := server(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	_, err := c.Get(t.Context(), Target{Kind: configs, Namespace: "shop", Name: "a"})
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("get = %v", err)
	}
}

func TestDeleteWantsProof(t *testing.T) {
	c := server(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was made") })
	if err := c.Delete(t.Context(), Target{Kind: configs, Namespace: "shop", Name: "a"}, DeleteOptions{}); err == nil {
		t.Error("deleted without a UID")
	}
}

func TestOnlyImmutabilityIsImmutable(t *testing.T) {
	cause := func(field, message string) metav1.StatusCause {
		return metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: field, Message: message}
	}
	fixed := cause("data", "Forbidden: field is immutable when `immutable` is set")
	tests := []struct {
		name   string
		causes []metav1.StatusCause
		want   error
	}{
		{"an immutable field", []metav1.StatusCause{fixed}, ErrImmutable},
		{"two of them", []metav1.StatusCause{fixed, cause("immutable", "Forbidden: field is immutable")}, ErrImmutable},
		{"one of them and something wrong", []metav1.StatusCause{fixed, cause("data[a b]", "Invalid value: a valid config key must consist of …")}, ErrInvalid},
		{"the role of a binding", []metav1.StatusCause{cause("roleRef", "Invalid value: {}: cannot change roleRef")}, ErrImmutable},
		{"the fields of a pod", []metav1.StatusCause{cause("spec", "Forbidden: pod updates may not change fields other than `spec.containers[*].image`")}, ErrImmutable},
		{"something wrong", []metav1.StatusCause{cause("spec.replicas", "Invalid value: must be greater than 0")}, ErrInvalid},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status := &apierrors.StatusError{ErrStatus: metav1.Status{
				Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
				Message: "refused: field is immutable", Details: &metav1.StatusDetails{Causes: test.causes},
			}}
			if err := explain("apply", "x", false, status); !errors.Is(err, test.want) {
				t.Errorf("explain = %v, want %v", err, test.want)
			}
		})
	}
}

func TestTheSameFailureReadsTheSame(t *testing.T) {
	say := func(seconds, port string) string {
		return explain("watch", "ConfigMap", false, errors.New(`Get "https://10.0.0.1:6443/api/v1/configmaps?timeoutSeconds=`+seconds+`&watch=true": read tcp 10.0.0.9:`+port+`->10.0.0.1:6443: connection reset by peer`)).Error()
	}
	want := `watch ConfigMap: Get "https://10.0.0.1:6443/api/v1/configmaps": read tcp 10.0.0.1:6443: connection reset by peer; check the API server and the network`
	for _, got := range []string{say("301", "40001"), say("577", "40002")} {
		if got != want {
			t.Errorf("error %q\nwant  %q", got, want)
		}
	}
}
