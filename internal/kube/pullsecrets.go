package kube

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// maxPullSecrets of one call. A Secret has at most 1 MiB.
	maxPullSecrets = 100

	podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// PullSecrets returns the docker configs of Secrets in namespace: of those that
// are named, in that order, and then of those that the service account pulls
// with ("" for none). They are of type kubernetes.io/dockerconfigjson, or
// kubernetes.io/dockercfg, which is an older shape. What is missing, or no such
// Secret, is named by the error, beside which the others are returned. One
// request for each and one for the account.
func (c *Client) PullSecrets(ctx context.Context, namespace, serviceAccount string, names []string) ([][]byte, error) {
	var problems []error
	names = slices.Clone(names)
	if serviceAccount != "" {
		more, err := c.pulledBy(ctx, namespace, serviceAccount)
		if err != nil {
			problems = append(problems, err)
		}
		names = append(names, more...)
	}
	var configs [][]byte
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			continue
		}
		if len(seen) == maxPullSecrets {
			problems = append(problems, &Error{Op: "get", Object: "Secret " + namespace + "/" + name, Message: "these are more pull secrets than are read"})
			break
		}
		seen[name] = true
		config, err := c.pullSecret(ctx, namespace, name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		configs = append(configs, config)
	}
	return configs, together(problems)
}

// together is one error in one line.
func together(problems []error) error {
	if len(problems) < 2 {
		return errors.Join(problems...)
	}
	lines := make([]string, len(problems))
	for i, err := range problems {
		lines[i] = err.Error()
	}
	return &several{strings.Join(lines, ", "), problems}
}

type several struct {
	text string
	all  []error
}

func (s *several) Error() string   { return s.text }
func (s *several) Unwrap() []error { return s.all }

func (c *Client) pulledBy(ctx context.Context, namespace, account string) ([]string, error) {
	t := Target{Kind: Kind{Version: "v1", Kind: "ServiceAccount", Resource: "serviceaccounts", Namespaced: true}, Namespace: namespace, Name: account}
	u, err := c.read(ctx, t)
	if err != nil {
		return nil, err
	}
	refs, _, err := unstructured.NestedSlice(u.Object, "imagePullSecrets")
	if err != nil {
		return nil, &Error{Op: "get", Object: t.String(), Message: "its imagePullSecrets are no list"}
	}
	var names []string
	for _, ref := range refs {
		if m, ok := ref.(map[string]any); ok {
			if name, ok := m["name"].(string); ok && name != "" {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// pullSecret returns what is in one Secret. Its content is in no error.
func (c *Client) pullSecret(ctx context.Context, namespace, name string) ([]byte, error) {
	t := Target{Kind: Kind{Version: "v1", Kind: "Secret", Resource: "secrets", Namespaced: true}, Namespace: namespace, Name: name}
	u, err := c.read(ctx, t)
	if err != nil {
		return nil, err
	}
	kind, _, _ := unstructured.NestedString(u.Object, "type")
	key := map[string]string{
		"kubernetes.io/dockerconfigjson": ".dockerconfigjson",
		"kubernetes.io/dockercfg":        ".dockercfg",
	}[kind]
	if key == "" {
		return nil, &Error{
			Op: "get", Object: t.String(), Message: "it is no pull secret, its type being " + kind,
			Hint: "make one with kubectl create secret docker-registry",
		}
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", key)
	config, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(config) == 0 {
		return nil, &Error{Op: "get", Object: t.String(), Message: "it has no " + key}
	}
	return config, nil
}

func (c *Client) read(ctx context.Context, t Target) (*unstructured.Unstructured, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	u, err := c.objects(t).Get(ctx, t.Name, metav1.GetOptions{})
	if err == nil {
		return u, nil
	}
	err = explain("get", t.String(), t.Kind.secret(), err)
	var e *Error
	switch {
	case !errors.As(err, &e):
	case errors.Is(err, ErrNotFound):
		e.Message = ErrNotFound.Error() // the API server's words for it are left out
	case errors.Is(err, ErrForbidden):
		e.Hint = "let this process's account get it, by name"
	case errors.Is(err, ErrUnauthorized):
		e.Hint = "renew the token or certificate of the kubeconfig"
	}
	return nil, err
}

// Namespace is where c puts what has no namespace of its own: that of the
// kubeconfig's context, of the pod we are in, or "default".
func Namespace(c Config) string {
	if c.Kubeconfig == "" {
		if raw, err := os.ReadFile(podNamespaceFile); err == nil && len(strings.TrimSpace(string(raw))) > 0 {
			return strings.TrimSpace(string(raw))
		}
		return metav1.NamespaceDefault
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(c.Kubeconfig)}
	ns, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).Namespace()
	if err != nil || ns == "" {
		return metav1.NamespaceDefault
	}
	return ns
}
