package distribution

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tokenPath = "/token"
	service   = "registry.test"
	issuer    = "token server of a test registry"
	tokenLife = 5 * time.Minute
	// leeway is how long the registry takes a token after its end.
	leeway = 60 * time.Second
)

// TokenRequest is one question to the token server.
type TokenRequest struct {
	User   string   // "" for a stranger
	Scopes []string // as asked: "repository:team/web:pull"
	Status int      // of the answer; 0 when something else answered
}

// tokenServer gives out tokens as the documentation of distribution says: whoever has a right gets a token with it,
// whoever has none gets a token without, and a wrong password is refused.
type tokenServer struct {
	server *httptest.Server
	pki    *pki
	life   time.Duration
	said   time.Duration

	mu   sync.Mutex
	seen []TokenRequest
	last string
	with http.HandlerFunc // answers in place of the server; nil: nobody
}

func startTokens(p *pki, o Options) (*tokenServer, error) {
	s := &tokenServer{pki: p, life: cmp.Or(o.TokenLife, tokenLife)}
	s.said = cmp.Or(o.TokenSaid, s.life)
	s.server = httptest.NewUnstartedServer(s)
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients under test break off handshakes
	if !o.TLS {
		s.server.Start()
		return s, nil
	}
	// Without HTTP/2, whose connections nobody can spoil.
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{p.server}, NextProtos: []string{"http/1.1"}}
	s.server.StartTLS()
	return s, nil
}

// host is a name and not an address: go-containerregistry refuses token servers at private addresses.
func (s *tokenServer) host() string {
	return "localhost:" + strconv.Itoa(s.server.Listener.Addr().(*net.TCPAddr).Port)
}

// Tokens returns what the token server was asked since the start or Reset; pushes are not counted.
func (r *Registry) Tokens() []TokenRequest {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	return slices.Clone(r.tokens.seen)
}

// Reset forgets the questions that the token server was asked.
func (r *Registry) Reset() {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	r.tokens.seen = nil
}

// SpoilTokens lets something else answer in place of the token server, for everybody but pushes, until
// it is given nil. The questions are counted, with status 0.
func (r *Registry) SpoilTokens(with http.HandlerFunc) {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	r.tokens.with = with
}

// Expire waits until the registry refuses the token that was given out last.
func (r *Registry) Expire(ctx context.Context) error {
	r.tokens.mu.Lock()
	token := r.tokens.last
	r.tokens.mu.Unlock()
	c := &http.Client{Transport: r.pusher.transport}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.scheme()+r.Host+"/v2/", http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := c.Do(req)
		if err != nil {
			return fmt.Errorf("wait for the end of a token: %w", err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of a token: %w", context.Cause(ctx))
		case <-time.After(pollEvery):
		}
	}
}

// ServeHTTP implements http.Handler.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if with := s.spoilt(user, r); with != nil {
		with(w, r)
		return
	}
	seen := TokenRequest{User: user, Scopes: r.URL.Query()["scope"], Status: http.StatusOK}
	switch {
	case r.URL.Path != tokenPath:
		seen.Status = http.StatusNotFound
	case r.Method != http.MethodGet:
		seen.Status = http.StatusMethodNotAllowed
	case r.URL.Query().Get("service") != service:
		seen.Status = http.StatusBadRequest
	case user != "" && password != secretOf(user):
		seen.Status = http.StatusUnauthorized
	}
	token := ""
	if seen.Status == http.StatusOK {
		var err error
		if token, err = s.token(user, seen.Scopes); err != nil {
			seen.Status = http.StatusInternalServerError
		}
	}
	if user != pushUser {
		s.mu.Lock()
		s.seen = append(s.seen, seen)
		s.last = token
		s.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(seen.Status)
	if seen.Status != http.StatusOK {
		_ = json.NewEncoder(w).Encode(object{"errors": []object{{"code": "DENIED", "message": http.StatusText(seen.Status)}}})
		return
	}
	_ = json.NewEncoder(w).Encode(object{"token": token, "access_token": token, "expires_in": int(s.said.Seconds())})
}

// spoilt counts a question that something else answers, and returns that.
func (s *tokenServer) spoilt(user string, r *http.Request) http.HandlerFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.with == nil || user == pushUser {
		return nil
	}
	s.seen = append(s.seen, TokenRequest{User: user, Scopes: r.URL.Query()["scope"]})
	return s.with
}

// secretOf returns the password of a user; nobody can give that of an unknown one.
func secretOf(user string) string {
	switch user {
	case User:
		return Password
	case pushUser:
		return pushPassword
	}
	return "\x00"
}

// grant returns which of the actions a user may do with a repository.
func grant(user, repo string, actions []string) []string {
	return slices.DeleteFunc(slices.Clone(actions), func(action string) bool {
		switch user {
		case pushUser:
			return false
		case User:
			return action != "pull" || strings.HasPrefix(repo, Forbidden)
		}
		return action != "pull" || !strings.HasPrefix(repo, Public)
	})
}

// token signs a JSON Web Token with what of the scopes the user may do.
func (s *tokenServer) token(user string, scopes []string) (string, error) {
	access := []object{}
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		kind, rest, _ := strings.Cut(scope, ":")
		i := strings.LastIndexByte(rest, ':')
		if kind != "repository" || i < 0 {
			continue
		}
		if actions := grant(user, rest[:i], strings.Split(rest[i+1:], ",")); len(actions) > 0 {
			access = append(access, object{"type": kind, "name": rest[:i], "actions": actions})
		}
	}
	now := time.Now()
	head, err := json.Marshal(object{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.pki.tokenDER)}})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(object{
		"iss": issuer, "sub": user, "aud": service, "jti": rand.Text(), "access": access,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(s.life - leeway).Unix(),
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	a, b, err := ecdsa.Sign(rand.Reader, s.pki.tokenKey, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	sig := make([]byte, 64)
	a.FillBytes(sig[:32])
	b.FillBytes(sig[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}
