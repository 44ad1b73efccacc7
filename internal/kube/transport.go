package kube

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// transport counts requests and bounds answers.
type transport struct {
	next     http.RoundTripper
	requests *atomic.Int64
	maxBody  int64
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.requests.Add(1)
	resp, err := t.next.RoundTrip(r)
	if err != nil || r.URL.Query().Get("watch") != "" {
		return resp, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: t.maxBody, max: t.maxBody}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

// CloseIdleConnections closes those of the transport below.
func (t *transport) CloseIdleConnections() {
	next := t.next
	for next != nil {
		if c, ok := next.(interface{ CloseIdleConnections() }); ok {
			c.CloseIdleConnections()
			return
		}
		w, ok := next.(interface{ WrappedRoundTripper() http.RoundTripper })
		if !ok {
			return
		}
		next = w.WrappedRoundTripper()
	}
}

// boundedBody fails, rather than ends, when more than max bytes come.
type boundedBody struct {
	io.ReadCloser
	left, max int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, fmt.Errorf("the answer is larger than %d bytes", b.max)
	}
	return n, err
}
