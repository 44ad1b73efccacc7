package controlplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// requestTimeout bounds one request to a server that is starting. Requests are repeated, and the
	// one that hears nothing may be talking to a stranger on the port.
	requestTimeout = 3 * time.Second
	// answerBytes bounds how much of an answer is read.
	answerBytes = 4 << 20
)

// statusError is an answer that is not a success.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.code, e.text) }

// client speaks plain HTTPS with JSON: this package may not import client-go.
type client struct {
	http  http.Client
	token string
}

// newClient trusts pool only and sends token; both may be empty for plain HTTP.
func newClient(pool *x509.CertPool, token string) *client {
	return &client{
		token: token,
		http: http.Client{
			Timeout: requestTimeout,
			Transport: &http.Transport{
				// No proxy: loopback addresses only.
				TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
				ForceAttemptHTTP2: true,
			},
		},
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// do sends body as JSON, or nothing for nil, and returns the answer's body. An answer that is not a
// success is a *statusError.
func (c *client) do(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, &statusError{code: resp.StatusCode, text: string(answer[:min(len(answer), 2000)])}
	}
	return answer, nil
}
