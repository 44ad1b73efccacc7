// Package kube is a small client of one Kubernetes API server: server-side
// apply, delete, list, discovery of kinds, and watches of metadata.
//
// It is on floor 1 and the only importer of client-go; no client-go type leaves
// it. It decides nothing: what is applied, when, and whether a deletion is
// wise is the business of package reconcile. It must not run programs, so a
// kubeconfig that wants one is refused, and it must not put the answer of an
// API server about a Secret into an error.
package kube

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// Limits of a Client whose Config leaves them zero.
const (
	DefaultQPS     = 200              // requests a second, in the long run
	DefaultBurst   = 400              // requests at once
	DefaultTimeout = 30 * time.Second // one request, watches excepted
	DefaultMaxBody = 64 << 20         // bytes of one answer, watches excepted

	pageSize = 500     // objects per page of a list
	maxPages = 1 << 10 // pages of one list
)

// Config says which API server to talk to, and within which limits.
type Config struct {
	Kubeconfig string  // path, or several joined like $KUBECONFIG; "" = the service account of the pod
	Context    string  // of the kubeconfig; "" = its current context
	UserAgent  string  // "" = towpath
	QPS        float32 // 0 = DefaultQPS
	Burst      int     // 0 = DefaultBurst
	Timeout    time.Duration
	MaxBody    int64

	// WrapTransport, if not nil, sees every request, for tests that count.
	WrapTransport func(http.RoundTripper) http.RoundTripper
}

// Client talks to one API server. It is safe for concurrent use.
type Client struct {
	host     string
	timeout  time.Duration
	http     *http.Client
	dynamic  dynamic.Interface
	metadata metadata.Interface
	rest     *rest.RESTClient
	requests atomic.Int64

	mu    sync.Mutex
	kinds map[groupVersion]map[string]Kind // kind name → how it is served
}

type groupVersion struct{ group, version string }

// Open returns a Client. It reads the configuration and sends no request.
func Open(c Config) (*Client, error) {
	conf, err := load(c)
	if err != nil {
		return nil, err
	}
	cl := &Client{host: conf.Host, timeout: c.Timeout, kinds: map[groupVersion]map[string]Kind{}}
	if cl.timeout == 0 {
		cl.timeout = DefaultTimeout
	}
	maxBody := c.MaxBody
	if maxBody == 0 {
		maxBody = DefaultMaxBody
	}
	conf.Wrap(func(next http.RoundTripper) http.RoundTripper {
		if c.WrapTransport != nil {
			next = c.WrapTransport(next)
		}
		return &transport{next: next, requests: &cl.requests, maxBody: maxBody}
	})
	if err := cl.connect(conf); err != nil {
		return nil, fmt.Errorf("open %s: %w", conf.Host, err)
	}
	return cl, nil
}

func (c *Client) connect(conf *rest.Config) error {
	var err error
	if c.http, err = rest.HTTPClientFor(conf); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(conf, c.http); err != nil {
		return err
	}
	if c.metadata, err = metadata.NewForConfigAndClient(conf, c.http); err != nil {
		return err
	}
	c.rest, err = rest.UnversionedRESTClientForConfigAndClient(discoveryConfig(conf), c.http)
	return err
}

// Host returns the address of the API server.
func (c *Client) Host() string { return c.host }

// Requests returns how many requests were sent since Open.
func (c *Client) Requests() int64 { return c.requests.Load() }

// Close ends the connections that no request uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// silent keeps client-go from logging: what matters reaches the caller as an
// error or through Handler.Broken.
func silent() klog.Logger { return klog.Logger{} }
