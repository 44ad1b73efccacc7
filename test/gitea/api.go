package gitea

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const (
	// maxAnswer bounds one answer of the API, in bytes.
	maxAnswer = 1 << 20
	// maxMessage bounds how much of a refusal an error shows, in bytes.
	maxMessage = 500
)

// object is a JSON object.
type object = map[string]any

// NewUser makes an account with a random password and a token.
func (s *Server) NewUser(ctx context.Context, name string) (User, error) {
	u := User{Name: name, Password: rand.Text()}
	err := s.ask(ctx, s.Admin, http.MethodPost, "/admin/users", object{
		"username": name, "email": name + "@example.com", "password": u.Password, "must_change_password": false,
	}, nil)
	if err == nil {
		u.Token, err = s.NewToken(ctx, u, "all")
	}
	if err != nil {
		return User{}, fmt.Errorf("make user %s: %w", name, err)
	}
	return u, nil
}

// NewToken makes one more token for a user, with Gitea's scopes: "read:repository", "write:issue".
func (s *Server) NewToken(ctx context.Context, u User, scopes ...string) (string, error) {
	var token struct {
		SHA1 string `json:"sha1"`
	}
	u.Token = "" // tokens are made with the password only
	err := s.ask(ctx, u, http.MethodPost, "/users/"+url.PathEscape(u.Name)+"/tokens", object{"name": rand.Text(), "scopes": scopes}, &token)
	if err != nil {
		return "", fmt.Errorf("make a token of %s: %w", u.Name, err)
	}
	return token.SHA1, nil
}

// NewOrganization makes an organization that a user owns.
func (s *Server) NewOrganization(ctx context.Context, name string, owner User) error {
	err := s.ask(ctx, owner, http.MethodPost, "/orgs", object{"username": name}, nil)
	if err != nil {
		return fmt.Errorf("make organization %s: %w", name, err)
	}
	return nil
}

// Rights are what a collaborator may do with a repository.
type Rights string

// Gitea's three rights. Who may write may merge, unless the branch's protection says otherwise.
const (
	Read  Rights = "read"
	Write Rights = "write"
	Admin Rights = "admin"
)

// AddCollaborator gives a user rights in a repository, "owner/name".
func (s *Server) AddCollaborator(ctx context.Context, repo string, u User, r Rights) error {
	err := s.ask(ctx, s.Admin, http.MethodPut, "/repos/"+repo+"/collaborators/"+url.PathEscape(u.Name), object{"permission": r}, nil)
	if err != nil {
		return fmt.Errorf("make %s a collaborator of %s: %w", u.Name, repo, err)
	}
	return nil
}

// Protection is what a branch demands. The zero value, with a Branch, takes no direct pushes and lets
// everybody who may write merge.
type Protection struct {
	Branch string // a name or a pattern: "release/*"
	// Pushers are the names of those who may push without a pull request.
	Pushers []string
	// Mergers are the names of those who may merge; nobody means everybody who may write.
	Mergers []string
	// Approvals is how many users other than the author must have approved.
	Approvals int
	// RejectionBlocks: a request for changes blocks however many have approved.
	RejectionBlocks bool
	// DismissStale: a push dismisses the approvals there are.
	DismissStale bool
	// Checks are contexts of commit statuses, or patterns, that must be successes.
	Checks []string
	// UpToDate: the branch that is merged must hold the head of this one.
	UpToDate bool
	// BindsAdmins: administrators of the repository cannot merge past all this.
	BindsAdmins bool
}

// Protect protects a branch of a repository, "owner/name", which has no such rule yet.
func (s *Server) Protect(ctx context.Context, repo string, p Protection) error {
	err := s.ask(ctx, s.Admin, http.MethodPost, "/repos/"+repo+"/branch_protections", object{
		"rule_name":                  p.Branch,
		"enable_push":                len(p.Pushers) > 0,
		"enable_push_whitelist":      len(p.Pushers) > 0,
		"push_whitelist_usernames":   p.Pushers,
		"enable_merge_whitelist":     len(p.Mergers) > 0,
		"merge_whitelist_usernames":  p.Mergers,
		"required_approvals":         p.Approvals,
		"block_on_rejected_reviews":  p.RejectionBlocks,
		"dismiss_stale_approvals":    p.DismissStale,
		"enable_status_check":        len(p.Checks) > 0,
		"status_check_contexts":      p.Checks,
		"block_on_outdated_branch":   p.UpToDate,
		"block_admin_merge_override": p.BindsAdmins,
	}, nil)
	if err != nil {
		return fmt.Errorf("protect branch %s of %s: %w", p.Branch, repo, err)
	}
	return nil
}

// AddWebhook has events of a repository, "owner/name", posted to a URL on this machine as JSON, signed
// with the secret. What happened a moment before may be posted, too. Events are Gitea's: "push", "pull_request", "pull_request_review_approved", "status".
func (s *Server) AddWebhook(ctx context.Context, repo, to, secret string, events ...string) error {
	err := s.ask(ctx, s.Admin, http.MethodPost, "/repos/"+repo+"/hooks", object{
		"type": "gitea", "active": true, "events": events,
		"config": object{"url": to, "content_type": "json", "secret": secret},
	}, nil)
	if err != nil {
		return fmt.Errorf("add a webhook to %s: %w", repo, err)
	}
	return nil
}

// ask sends a request to the API as a user, by his token if he has one, and decodes the answer unless out
// is nil. An error holds what the server said.
func (s *Server) ask(ctx context.Context, as User, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if as.Token != "" {
		req.Header.Set("Authorization", "token "+as.Token)
	} else {
		req.SetBasicAuth(as.Name, as.Password)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(raw[:min(len(raw), maxMessage)])))
	case out == nil:
		return nil
	}
	return json.Unmarshal(raw, out)
}
