package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"towpath.dev/towpath/internal/pr"
	"towpath.dev/towpath/internal/secret"
)

const (
	maxKeyFile    = 64 << 10         // bytes of a private key's file
	maxMintBody   = 1 << 20          // bytes of an answer to an App
	jwtBackdate   = time.Minute      // GitHub refuses a JWT from its future
	jwtLife       = 8 * time.Minute  // with the backdate less than the ten minutes GitHub allows
	maxClockError = 30 * time.Second // a larger difference of clocks explains a refused JWT
)

// errClock: a JWT was refused, and the clocks differed.
var errClock = errors.New("the clock differs from GitHub's")

// ask sends one request as the App itself.
func (a *App) ask(ctx context.Context, method, path string, in, out any) error {
	if err := a.leftAlone(); err != nil {
		return err
	}
	token, err := a.jwt()
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.api.String()+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", userAgent)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return errors.New(oneLine(strip(err), maxServerText))
	}
	defer resp.Body.Close()
	before := a.clock(resp.Header.Get("Date"))
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxMintBody))
	if err != nil {
		return fmt.Errorf("read GitHub's answer: %s", oneLine(strip(err), maxServerText))
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		var said secret.Known
		said.Add(token)
		data = []byte(said.Cut(string(data)))
		if err := a.limited(resp); err != nil {
			return err
		}
		err := refusal(resp, data)
		if resp.StatusCode == http.StatusUnauthorized && before > maxClockError {
			return errors.Join(errClock, err)
		}
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return errors.New("read GitHub's answer: it is no JSON")
	}
	return nil
}

// clock learns from a Date header how far the clocks differ; it returns by how much this is news.
func (a *App) clock(date string) time.Duration {
	at, err := http.ParseTime(date)
	if err != nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	skew := at.Sub(a.cfg.Now())
	news := (skew - a.skew).Abs()
	a.skew = skew
	return news
}

// refusal is the error of an answer to an App. What GitHub says is told; a renamed repository answers
// with a redirect, which is not followed.
func refusal(resp *http.Response, data []byte) error {
	if resp.StatusCode < http.StatusBadRequest {
		return fmt.Errorf("GitHub answered %d: the repository seems to have another name now; give that", resp.StatusCode)
	}
	var body struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(data, &body) != nil || body.Message == "" {
		body.Message = strings.ToLower(http.StatusText(resp.StatusCode))
	}
	return &apiError{status: resp.StatusCode, message: oneLine(body.Message, maxServerText)}
}

// leftAlone is the limit that forbids to ask anything now, or nil.
func (a *App) leftAlone() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Now().Before(a.until) {
		return &pr.LimitError{Until: a.until, What: "requests of the GitHub App itself"}
	}
	return nil
}

// limited takes up for how long a refusal asks us to wait; nil: it is about something else.
func (a *App) limited(resp *http.Response) error {
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests {
		return nil
	}
	now := a.cfg.Now()
	wait, said := retryAfter(resp, now)
	if reset, err := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64); !said && err == nil && resp.Header.Get("X-RateLimit-Remaining") == "0" {
		wait, said = time.Unix(reset, 0).Sub(serverTime(resp, now)), true // GitHub's clock need not be ours
	}
	if !said {
		return nil
	}
	a.mu.Lock()
	a.until = now.Add(max(time.Second, min(wait, longestWait)))
	a.mu.Unlock()
	return a.leftAlone()
}

// jwt proves that we hold the App's key, by GitHub's clock.
func (a *App) jwt() (string, error) {
	key, err := readKey(a.cfg.KeyFile)
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	now := a.cfg.Now().Add(a.skew)
	a.mu.Unlock()
	claims := jwt.MapClaims{"iss": a.cfg.ID, "iat": now.Add(-jwtBackdate).Unix(), "exp": now.Add(jwtLife).Unix()}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	if err != nil {
		return "", errors.New("the private key cannot sign")
	}
	return signed, nil
}

// readKey reads an RSA key. Its errors say nothing of what is in the file.
func readKey(name string) (key any, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("read the private key %s: it is larger than %d bytes", name, maxKeyFile)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the private key: %w", err)
	}
	rsa, err := jwt.ParseRSAPrivateKeyFromPEM(data)
	if err != nil {
		return nil, fmt.Errorf("read the private key %s: want the PEM file of an RSA key without a passphrase, as GitHub gives it", name)
	}
	return rsa, nil
}
