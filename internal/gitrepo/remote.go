package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"

	secrets "towpath.dev/towpath/internal/secret"
)

// The two services of a Git server.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// noPassword stands for one at GitHub when the user name is a token.
const noPassword = "x-oauth-basic"

// session is one conversation with one service of the server.
type session interface {
	// refs returns what the server advertises; an empty repository has no
	// references and is no error.
	refs(ctx context.Context) (*packp.AdvRefs, error)
	// fetch asks for a pack and returns its bytes.
	fetch(ctx context.Context, req *packp.UploadPackRequest) (io.ReadCloser, error)
	// push sends commands and pack; the report is nil when the server gives none.
	push(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error)
	// explain adds to an error what the server said, and ends the session.
	explain(err error) error
	// close ends it; nothing of it runs any longer.
	close() error
}

// transport opens sessions over one kind of URL.
type transport interface {
	open(ctx context.Context, service string) (session, error)
	close()
}

// remote is a parsed URL. Its userinfo is kept apart, so that nothing that is
// printed can hold it.
type remote struct {
	scheme         string // file, http, https, ssh
	user, password string
	host           string // with port, as in a URL
	path           string // file: absolute; http: escaped; ssh: as sent to the server
	shown          string // the URL without userinfo and query
}

// scpLike is host:path or user@host:path, no slash before the colon.
var scpLike = regexp.MustCompile(`^(?:([^@/:]+)@)?(\[[0-9A-Fa-f:.]+\]|[^@/:\[\]]+):(.+)$`)

// brokenURL is what becomes of a URL with user information when some of its
// beginning is lost: https:/u:p@host, u:p@host/x. Read as a path or as host:path
// it would be shown with the password.
var brokenURL = regexp.MustCompile(`(?i)^(https?|ssh|git|file):|:.*@`)

// parseRemote parses the URL kinds of Config.URL. Its errors never hold the
// URL's text, which may carry a password.
func parseRemote(s string) (remote, error) {
	if s == "" {
		return remote{}, errors.New("repository URL is empty; give a path, file://, https:// or ssh:// URL")
	}
	if strings.ContainsAny(s, "\x00\r\n") {
		return remote{}, errors.New("repository URL has a control character")
	}
	if !strings.Contains(s, "://") {
		m := scpLike.FindStringSubmatch(s)
		if hasUser := len(m) > 0 && m[1] != ""; brokenURL.MatchString(s) && !hasUser {
			return remote{}, errors.New("repository URL begins like none that is known (its text is not shown, it may hold a password); " +
				"write https://… or ssh://…, and file:///… for a path with these characters")
		}
		if m != nil {
			return sshRemote(m[1], m[2], m[3], m[2]+":"+m[3])
		}
		abs, err := filepath.Abs(s)
		if err != nil {
			return remote{}, fmt.Errorf("repository path: %w", err)
		}
		return remote{scheme: "file", path: abs, shown: abs}, nil
	}
	u, err := url.Parse(s)
	if err != nil {
		return remote{}, errors.New("repository URL does not parse (its text is not shown, it may hold a password)")
	}
	if u.Opaque != "" || u.Fragment != "" {
		return remote{}, errors.New("repository URL has a form that is not known; use scheme://host/path")
	}
	switch u.Scheme {
	case "file":
		return fileRemote(u)
	case "http", "https":
		return httpRemote(u)
	case "ssh":
		if strings.Contains(u.EscapedPath(), "@") {
			return remote{}, errAt(u.Scheme)
		}
		return sshRemote(u.User.Username(), u.Host, u.Path, "ssh://"+u.Host+u.Path)
	}
	return remote{}, fmt.Errorf("repository URL has scheme %q; known are file, http, https and ssh", u.Scheme)
}

func fileRemote(u *url.URL) (remote, error) {
	if u.Host != "" && u.Host != "localhost" {
		return remote{}, fmt.Errorf("file URL names host %q; write file:///path", u.Host)
	}
	if !filepath.IsAbs(u.Path) {
		return remote{}, errors.New("file URL has no absolute path; write file:///path")
	}
	p := filepath.Clean(u.Path)
	return remote{scheme: "file", path: p, shown: "file://" + p}, nil
}

func httpRemote(u *url.URL) (remote, error) {
	if u.Host == "" {
		return remote{}, fmt.Errorf("%s URL has no host", u.Scheme)
	}
	if u.RawQuery != "" {
		return remote{}, fmt.Errorf("%s URL has a query; a repository URL has none", u.Scheme)
	}
	if strings.Contains(u.EscapedPath(), "@") {
		return remote{}, errAt(u.Scheme)
	}
	r := remote{scheme: u.Scheme, host: u.Host, path: strings.TrimRight(u.EscapedPath(), "/")}
	if u.User != nil {
		r.user = u.User.Username()
		r.password, _ = u.User.Password()
	}
	r.shown = u.Scheme + "://" + u.Host + r.path
	return r, nil
}

// errAt: a password with a slash ends the host early, and what is left of it
// looks like a path.
func errAt(scheme string) error {
	return fmt.Errorf("%s URL has an @ after the host (its text is not shown, it may be part of a password); "+
		"write %%40 for an @ of the path, and %%2F for a / of a password", scheme)
}

func sshRemote(user, host, path, shown string) (remote, error) {
	if host == "" || strings.HasPrefix(host, "-") {
		return remote{}, errors.New("ssh URL has no usable host")
	}
	// ssh://host/~user/x is ~user/x on the server; git does the same.
	if strings.HasPrefix(path, "/~") {
		path = path[1:]
	}
	if path == "" || path == "/" || strings.HasPrefix(path, "-") {
		return remote{}, errors.New("ssh URL has no usable path")
	}
	if user == "" {
		user = "git"
	}
	return remote{scheme: "ssh", user: user, host: host, path: path, shown: shown}, nil
}

// remember takes credentials for secrets: also a user name beside which there is
// no password, because forges take a token there. What the shown URL says anyway
// is none.
func (r remote) remember(sent *secrets.Known, l login) {
	sent.AddLogin(l.user, l.password)
	if none := l.password == "" || l.password == noPassword; none && !l.bearer && !strings.Contains(r.shown, l.user) {
		sent.Add(l.user, l.user+":"+l.password)
	}
}

// newTransport returns the transport for r, or says what Config lacks. What it
// sends as a secret goes to sent.
func newTransport(r remote, a Auth, sent *secrets.Known) (transport, error) {
	if err := a.check(r.scheme); err != nil {
		return nil, err
	}
	switch r.scheme {
	case "file":
		return localTransport{path: r.path}, nil
	case "ssh":
		return sshTransport{remote: r, auth: a}, nil
	}
	if r.password != "" || !a.logsIn() {
		r.remember(sent, login{user: r.user, password: r.password})
	}
	return &httpTransport{remote: r, auth: a, secrets: sent}, nil
}
