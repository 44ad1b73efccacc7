package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Where senders put what proves that they know the secret.
const (
	headerAuthorization = "Authorization"
	headerAPIKey        = "X-Api-Key"           // an API key connection of EventBridge
	headerGitHub        = "X-Hub-Signature-256" // sha256= and the HMAC of the body, in hex
	headerJFrog         = "X-Jfrog-Event-Auth"  // the secret, or the HMAC of the body in hex
	queryToken          = "token"               // for senders that can set nothing but their URL

	signaturePrefix = "sha256="
)

// prove checks the secret as far as that is possible without the body. A sender
// that signs returns the signature that the body must have, others nil. Nothing
// in the time it takes depends on how much of a wrong secret is right.
func prove(r *http.Request, p Provider, secret []byte) (signature []byte, err error) {
	if err := configured(secret); err != nil {
		return nil, err
	}
	switch p {
	case GHCR:
		return signatureOf(r, headerGitHub)
	case JFrog:
		return tokenOrSignature(r, secret)
	case DockerHub, Quay:
		return nil, accept(queryOf(r), secret, "the query parameter "+queryToken)
	case Harbor, Distribution:
		return nil, accept(authorizationOf(r), secret, "the header "+headerAuthorization)
	case ECR:
		return nil, accept(append(authorizationOf(r), headerOf(r, headerAPIKey)...), secret,
			"the header "+headerAuthorization+" or "+headerAPIKey)
	case ACR:
		return nil, accept(append(authorizationOf(r), queryOf(r)...), secret,
			"the header "+headerAuthorization+" or the query parameter "+queryToken)
	}
	return nil, ErrProvider
}

func configured(secret []byte) error {
	if len(secret) == 0 {
		return fmt.Errorf("%w: no secret is configured, so nobody can", ErrUnauthorized)
	}
	return nil
}

// accept compares every offer, so that the time says nothing of which was right.
func accept(offers []string, secret []byte, where string) error {
	if len(offers) == 0 {
		return fmt.Errorf("%w: %s is missing, or there more than once", ErrUnauthorized, where)
	}
	good := false
	for _, offer := range offers {
		if same([]byte(offer), secret) {
			good = true
		}
	}
	if !good {
		return fmt.Errorf("%w: %s does not hold it", ErrUnauthorized, where)
	}
	return nil
}

// same compares in a time that depends on neither value: of the sums, because a
// comparison of the values would tell the secret's length.
func same(offer, secret []byte) bool {
	a, b := sha256.Sum256(offer), sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// headerOf is the value of a header that is there once.
func headerOf(r *http.Request, name string) []string {
	if v := r.Header.Values(name); len(v) == 1 {
		return v
	}
	return nil
}

// authorizationOf is what an Authorization header may mean: the value as a whole
// (Harbor sends what was typed), a bearer token, the password of a basic login.
func authorizationOf(r *http.Request) []string {
	offers := headerOf(r, headerAuthorization)
	if len(offers) == 0 {
		return nil
	}
	if scheme, token, ok := strings.Cut(offers[0], " "); ok && strings.EqualFold(scheme, "Bearer") {
		return []string{offers[0], strings.TrimLeft(token, " ")}
	}
	if _, password, ok := r.BasicAuth(); ok {
		return []string{offers[0], password}
	}
	return offers[:1:1]
}

func queryOf(r *http.Request) []string {
	if token, ok := parameter(r.URL.RawQuery, queryToken); ok {
		return []string{token}
	}
	return nil
}

// parameter is the value of a parameter that is there once. Unlike package url's,
// it keeps nothing of the others, of which a stranger may send many.
func parameter(query, name string) (string, bool) {
	found, times := "", 0
	for pair := range strings.SplitSeq(query, "&") {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			found = value
			times++
		}
	}
	if times != 1 {
		return "", false
	}
	value, err := url.QueryUnescape(found)
	return value, err == nil
}

// signatureOf is the signature in the first of these headers that is there; a bad
// one is not made good by another. GitHub's header names the algorithm, too.
func signatureOf(r *http.Request, headers ...string) ([]byte, error) {
	name, v := firstHeader(r, headers)
	sum, named := strings.CutPrefix(v, signaturePrefix)
	if signature, ok := sumOf(sum); ok && named == (name == headerGitHub) {
		return signature, nil
	}
	return nil, fmt.Errorf("%w: the header %s is missing or no SHA-256 signature", ErrUnauthorized, strings.Join(headers, " or "))
}

// tokenOrSignature tells JFrog's two ways apart: the secret itself in the header,
// or with "Use secret for payload signing" the body's signature there.
func tokenOrSignature(r *http.Request, secret []byte) ([]byte, error) {
	offers := headerOf(r, headerJFrog)
	err := accept(offers, secret, "the header "+headerJFrog)
	if err == nil {
		return nil, nil
	}
	for _, offer := range offers {
		if signature, ok := sumOf(offer); ok {
			return signature, nil
		}
	}
	return nil, err
}

// sumOf reads a SHA-256 sum in hex.
func sumOf(s string) ([]byte, bool) {
	if len(s) != hex.EncodedLen(sha256.Size) {
		return nil, false
	}
	sum, err := hex.DecodeString(s)
	return sum, err == nil
}

func signed(body, signature, secret []byte) bool {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), signature)
}
