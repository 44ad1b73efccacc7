package fakegithub

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// user is a person, an organisation, or the bot that an App acts as.
type user struct {
	id    int
	login string
	kind  string // User, Organization or Bot
}

// User adds a person (again: finds it) and returns a new personal access token of theirs.
func (s *Server) User(login string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newToken("ghp_", &token{user: s.account(login, "User")})
}

// Organization adds an organisation.
func (s *Server) Organization(login string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(login, "Organization")
}

func (s *Server) account(login, kind string) *user {
	key := strings.ToLower(login)
	if s.users[key] == nil {
		s.users[key] = &user{id: s.next(), login: login, kind: kind}
	}
	return s.users[key]
}

// Team is a team of an organisation.
type Team struct {
	Org, Slug string
	Members   []string

	id int
}

// Team adds a team, or replaces its members.
func (s *Server) Team(org, slug string, members ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account(org, "Organization")
	for _, m := range members {
		s.account(m, "User")
	}
	key := strings.ToLower(org + "/" + slug)
	id := s.next()
	if old := s.teams[key]; old != nil {
		id = old.id
	}
	s.teams[key] = &Team{Org: org, Slug: slug, Members: members, id: id}
}

func (t *Team) has(login string) bool {
	return slices.ContainsFunc(t.Members, func(m string) bool { return strings.EqualFold(m, login) })
}

// App is a GitHub App with one installation.
type App struct {
	ID, Installation int
	Slug             string
	Owner            string            // account it is installed for
	Permissions      map[string]string // "contents" → "write"

	key *rsa.PublicKey
	bot *user
}

// App registers an App, whose bot is slug[bot], and installs it for all repositories of an account.
func (s *Server) App(slug, owner string, key *rsa.PublicKey, permissions map[string]string) *App {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &App{ID: s.next(), Installation: s.next(), Slug: slug, Owner: owner, Permissions: permissions, key: key}
	a.bot = s.account(slug+"[bot]", "Bot")
	s.apps = append(s.apps, a)
	return a
}

// token is a credential. One of an App without repositories is the App itself, asked by a JWT.
type token struct {
	text    string
	user    *user
	app     *App              // of installation tokens and JWTs
	jwt     bool              // the App itself and no installation
	scopes  []string          // of a classic token; nil: it is a fine-grained one
	repos   []string          // names the installation token is for; nil: all of the owner's
	rights  map[string]string // of the installation token
	expires time.Time         // zero: never
}

func (s *Server) newToken(prefix string, t *token) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s%d%s", t.user.login, s.next(), s.opts.Dir)))
	t.text = prefix + base64.RawURLEncoding.EncodeToString(sum[:27])
	s.tokens[t.text] = t
	return t.text
}

// Scopes makes a person's token a classic one, of which every answer tells the scopes.
func (s *Server) Scopes(token string, scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens[token]; t != nil {
		t.scopes = append([]string{}, scopes...)
	}
}

// Revoke makes a token useless at once.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

func (t *token) valid(now time.Time) bool { return t.expires.IsZero() || now.Before(t.expires) }

// permits tells whether an App's permissions hold; a person's token has those of the person.
func (t *token) permits(area, level string) bool {
	if t.app == nil {
		return true
	}
	has := t.rights[area]
	return area == "" || area == "metadata" || has == "write" || has == "admin" || level == "read" && has == "read"
}

// authenticate finds who asks.
func (s *Server) authenticate(c *call) error {
	text := c.r.Header.Get("Authorization")
	scheme, secret, _ := strings.Cut(text, " ")
	if strings.EqualFold(scheme, "basic") {
		_, secret, _ = c.r.BasicAuth()
	}
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return fail(http.StatusUnauthorized, "Requires authentication")
	}
	if strings.Count(secret, ".") == 2 {
		app, err := s.verify(secret)
		if err != nil {
			return err
		}
		c.who = &token{user: app.bot, app: app, jwt: true}
		return nil
	}
	t := s.tokens[secret]
	if t == nil || !t.valid(s.now()) {
		return fail(http.StatusUnauthorized, "Bad credentials")
	}
	c.who = t
	return nil
}

// maxJWT is how long GitHub lets an App's JWT be valid.
const maxJWT = 10 * time.Minute

// verify checks the JWT of an App: signed with its key, for no longer than GitHub allows.
func (s *Server) verify(jwt string) (*App, error) {
	undecodable := fail(http.StatusUnauthorized, "A JSON web token could not be decoded")
	parts := strings.Split(jwt, ".")
	var header struct{ Alg string }
	var claims struct {
		Iat, Exp int64
		Iss      any
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !part(parts[0], &header) || !part(parts[1], &claims) || header.Alg != "RS256" {
		return nil, undecodable
	}
	i := slices.IndexFunc(s.apps, func(a *App) bool { return fmt.Sprint(claims.Iss) == strconv.Itoa(a.ID) })
	if i < 0 {
		return nil, fail(http.StatusUnauthorized, "Integration not found")
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(s.apps[i].key, crypto.SHA256, sum[:], signature); err != nil {
		return nil, undecodable
	}
	now, iat, exp := s.now(), time.Unix(claims.Iat, 0), time.Unix(claims.Exp, 0)
	switch {
	case iat.After(now):
		return nil, fail(http.StatusUnauthorized, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	case !exp.After(now):
		return nil, fail(http.StatusUnauthorized, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	case exp.Sub(now) > maxJWT:
		return nil, fail(http.StatusUnauthorized, "'Expiration time' claim ('exp') is too far in the future")
	}
	return s.apps[i], nil
}

func part(text string, into any) bool {
	data, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && json.Unmarshal(data, into) == nil
}

// role is what somebody may do in a repository.
type role int

const (
	roleNone role = iota
	roleRead
	roleTriage
	roleWrite
	roleMaintain
	roleAdmin
)

func (r role) String() string {
	return [...]string{"none", "read", "triage", "write", "maintain", "admin"}[r]
}

func parseRole(name string) role {
	for r := roleNone; r <= roleAdmin; r++ {
		if r.String() == name {
			return r
		}
	}
	return roleNone
}

// allows tells whether a token may do in the repository what a role may; an App's permissions are
// asked for elsewhere.
func (r *Repo) allows(t *token, needed role) bool {
	if t == nil {
		return false
	}
	if t.app != nil {
		mine := strings.EqualFold(t.app.Owner, r.Owner) && (t.repos == nil || slices.Contains(t.repos, r.Name))
		return mine && (!t.jwt || needed <= roleRead)
	}
	return r.role(t.user.login) >= needed
}

// role is a person's: the owner's, a collaborator's or that of anybody who may read.
func (r *Repo) role(login string) role {
	if strings.EqualFold(login, r.Owner) {
		return roleAdmin
	}
	for _, a := range r.s.apps {
		if a.bot.login == login && strings.EqualFold(a.Owner, r.Owner) && a.Permissions["contents"] == "write" {
			return roleWrite
		}
	}
	if has, ok := r.collaborators[strings.ToLower(login)]; ok {
		return has
	}
	if r.Settings.Private {
		return roleNone
	}
	return roleRead
}

// authorize compares what the operation needs with who asks.
func (c *call) authorize() error {
	if c.repo == nil {
		return nil
	}
	area, level, _ := strings.Cut(c.route.permission, ":")
	if !c.who.jwt && !c.who.permits(area, level) {
		return fail(http.StatusForbidden, "Resource not accessible by integration")
	}
	if !c.repo.allows(c.who, c.route.role) {
		if c.route.role >= roleAdmin {
			return notFound() // as GitHub does for settings
		}
		return fail(http.StatusForbidden, "Must have %s access to Repository.", c.route.role)
	}
	return nil
}
