package kube

import (
	"fmt"
	"path/filepath"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// load reads the configuration that c names and sets its limits.
func load(c Config) (*rest.Config, error) {
	conf, err := source(c)
	if err != nil {
		return nil, err
	}
	conf.UserAgent = c.UserAgent
	if conf.UserAgent == "" {
		conf.UserAgent = "towpath"
	}
	conf.QPS, conf.Burst = c.QPS, c.Burst
	if conf.QPS == 0 {
		conf.QPS = DefaultQPS
	}
	if conf.Burst == 0 {
		conf.Burst = DefaultBurst
	}
	conf.Timeout = 0 // would end watches; each request has its own deadline
	// Warnings of the API server are for people who type; errors are returned.
	conf.WarningHandler = rest.NoWarnings{}
	return conf, nil
}

func source(c Config) (*rest.Config, error) {
	if c.Kubeconfig == "" {
		conf, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("read the service account of this pod: %w; outside a cluster name a kubeconfig", err)
		}
		return conf, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: filepath.SplitList(c.Kubeconfig)}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", c.Kubeconfig, err)
	}
	if err := check(raw, c); err != nil {
		return nil, err
	}
	conf, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", c.Kubeconfig, err)
	}
	return conf, nil
}

// check refuses what would run a program or talk to somebody unexpected.
func check(raw api.Config, c Config) error {
	name := c.Context
	if name == "" {
		name = raw.CurrentContext
	}
	if name == "" {
		return fmt.Errorf("read kubeconfig %s: it has no current context; name one of its contexts", c.Kubeconfig)
	}
	kctx, ok := raw.Contexts[name]
	if !ok {
		return fmt.Errorf("read kubeconfig %s: it has no context %q", c.Kubeconfig, name)
	}
	user, ok := raw.AuthInfos[kctx.AuthInfo]
	switch {
	case !ok:
		return nil
	case user.Exec != nil:
		return fmt.Errorf("read kubeconfig %s: user %q of context %q gets its credentials from a program (exec), which is refused; use a token or a client certificate", c.Kubeconfig, kctx.AuthInfo, name)
	case user.AuthProvider != nil:
		return fmt.Errorf("read kubeconfig %s: user %q of context %q uses an auth-provider, which is refused; use a token or a client certificate", c.Kubeconfig, kctx.AuthInfo, name)
	}
	return nil
}

// discoveryConfig is for plain requests to /api and /apis.
func discoveryConfig(conf *rest.Config) *rest.Config {
	conf = rest.CopyConfig(conf)
	scheme := runtime.NewScheme()
	conf.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	conf.GroupVersion = &schema.GroupVersion{}
	conf.APIPath = "/"
	return conf
}
