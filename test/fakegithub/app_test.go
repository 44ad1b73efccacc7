package fakegithub

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// app registers the App "towpath" with a key of its own.
func (st *stage) app(t *testing.T, permissions map[string]string) (*rsa.PrivateKey, *App) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key, st.App("towpath", owner, &key.PublicKey, permissions)
}

func (st *stage) jwt(t *testing.T, key *rsa.PrivateKey, app *App) string {
	t.Helper()
	return sign(t, key, fmt.Sprintf(`{"iat":%d,"exp":%d,"iss":"%d"}`, st.now.Add(-time.Minute).Unix(), st.now.Add(9*time.Minute).Unix(), app.ID))
}

func sign(t *testing.T, key *rsa.PrivateKey, claims string) string {
	t.Helper()
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims))
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + enc.EncodeToString(signature)
}

func TestAnAppGetsTokensForWhatItMay(t *testing.T) {
	st := newStage(t, Options{Unknown: -1})
	other, err := st.Server.Repo(owner, "other")
	if err != nil {
		t.Fatal(err)
	}
	other.Change(func(r *Repo) { r.Settings.Private = true })
	key, app := st.app(t, map[string]string{"contents": "write", "pull_requests": "write", "statuses": "read"})
	client := &http.Client{Transport: st.contract.Transport(nil)}
	self := &asker{t, st, st.jwt(t, key, app), client}
	tokens := fmt.Sprintf("/app/installations/%d/access_tokens", app.Installation)
	token := func(body any) *asker {
		t.Helper()
		return &asker{t, st, fmt.Sprint(at(self.do(201, "POST", tokens, body), "token")), client}
	}

	one := token(obj{"repositories": []string{name}})
	st.commit(t, "bump", map[string][]byte{"a": []byte("a")})
	wantAt(t, one.do(201, "POST", "pulls", obj{"title": "a", "head": "bump", "base": "main"}), "towpath[bot]", "user", "login")
	one.do(403, "POST", "statuses/"+st.repo.head("bump"), obj{"state": "success"})
	one.do(404, "GET", "/repos/acme/other", nil)
	all := token(nil)
	all.do(200, "GET", "/repos/acme/other", nil)
	token(obj{"permissions": obj{"contents": "read"}}).do(403, "PUT", "pulls/1/merge", obj{})

	self.do(422, "POST", tokens, obj{"repositories": []string{"none"}})
	self.do(422, "POST", tokens, obj{"permissions": obj{"statuses": "write"}})
	self.do(404, "POST", "/app/installations/999999/access_tokens", nil)
	one.do(401, "POST", tokens, nil)

	st.now = st.now.Add(time.Hour)
	one.do(401, "GET", "pulls", nil)
	self.do(401, "GET", "/app", nil)
}

func TestAJWTThatIsNotRightIsRefused(t *testing.T) {
	st := newStage(t, Options{})
	key, app := st.app(t, nil)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	claims := func(iat, exp time.Duration, iss int) string {
		return fmt.Sprintf(`{"iat":%d,"exp":%d,"iss":%d}`, st.now.Add(iat).Unix(), st.now.Add(exp).Unix(), iss)
	}
	for what, jwt := range map[string]string{
		"another key":     sign(t, stranger, claims(0, time.Minute, app.ID)),
		"another App":     sign(t, key, claims(0, time.Minute, 999999)),
		"too old":         sign(t, key, claims(-time.Hour, -time.Minute, app.ID)),
		"not yet valid":   sign(t, key, claims(time.Minute, 2*time.Minute, app.ID)),
		"valid too long":  sign(t, key, claims(0, 11*time.Minute, app.ID)),
		"no JSON":         sign(t, key, "x"),
		"no token at all": "a.b.c",
	} {
		t.Run(what, func(t *testing.T) {
			(&asker{t, st, jwt, http.DefaultClient}).do(401, "GET", "/app", nil)
		})
	}
	(&asker{t, st, sign(t, key, claims(0, 10*time.Minute, app.ID)), http.DefaultClient}).do(200, "GET", "/app", nil)
}
