package fakegithub

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// serveGit lets those in whom git's own protocol is for: a token is the password of any user name. What
// the rules of a branch forbid is refused as GitHub does, for the push as a whole; whether a push is no
// fast forward is not looked at, because its commits are not there yet.
func (s *Server) serveGit(w http.ResponseWriter, r *http.Request) {
	if s.opts.Git == nil {
		http.NotFound(w, r)
		return
	}
	_, password, _ := r.BasicAuth()
	push := strings.HasSuffix(r.URL.Path, "git-receive-pack") || r.URL.Query().Get("service") == "git-receive-pack"
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/")
	s.mu.Lock()
	repo, who := s.repos[strings.ToLower(name)], s.tokens[password]
	ok := repo != nil && who != nil && who.valid(s.now()) && repo.allows(who, roleRead) && who.permits("contents", "read")
	mayPush := ok && repo.allows(who, roleWrite) && who.permits("contents", "write")
	s.mu.Unlock()
	switch {
	case !ok:
		w.Header().Set("WWW-Authenticate", `Basic realm="GitHub"`)
		http.Error(w, "Invalid username or token.", http.StatusUnauthorized)
		return
	case push && !mayPush:
		http.Error(w, fmt.Sprintf("Permission to %s denied.", name), http.StatusForbidden)
		return
	case push && r.Method == http.MethodPost:
		head := &bytes.Buffer{}
		commands, sideband := readCommands(bufio.NewReader(io.TeeReader(r.Body, head)))
		r.Body = io.NopCloser(io.MultiReader(head, r.Body))
		if why := s.refusesAny(repo, who, commands); why != nil {
			_, _ = io.Copy(io.Discard, r.Body) // a client that still sends reads no answer
			report(w, commands, why, sideband)
			return
		}
	}
	s.opts.Git.ServeHTTP(w, r)
}

// command is one of a push: a ref and where it moves; "" stands for no commit.
type command struct{ old, sha, ref string }

// readCommands reads the start of a push, which lists what it wants, up to its first empty line.
func readCommands(body *bufio.Reader) (all []command, sideband bool) {
	for {
		size := make([]byte, 4)
		if _, err := io.ReadFull(body, size); err != nil {
			return all, sideband
		}
		n, err := strconv.ParseUint(string(size), 16, 16)
		if err != nil || n < 4 {
			return all, sideband // the end of the list
		}
		line := make([]byte, n-4)
		if _, err := io.ReadFull(body, line); err != nil {
			return all, sideband
		}
		text, capabilities, _ := strings.Cut(string(line), "\x00")
		sideband = sideband || strings.Contains(capabilities, "side-band-64k")
		f := strings.Fields(text)
		if len(f) != 3 {
			continue // a capability of its own, such as shallow
		}
		none := strings.Repeat("0", len(f[0]))
		all = append(all, command{strings.TrimPrefix(f[0], none), strings.TrimPrefix(f[1], none), f[2]})
	}
}

// refusesAny returns why commands are refused, by ref; nil when none is.
func (s *Server) refusesAny(r *Repo, who *token, commands []command) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var why map[string]string
	for _, c := range commands {
		if text := r.refuses(who, c.ref, c.old, c.sha, false); text != "" {
			if why == nil {
				why = map[string]string{}
			}
			why[c.ref] = text
		}
	}
	if why == nil {
		for _, c := range commands {
			r.pushed(who, c.ref)
		}
	}
	return why
}

// report answers a push of which nothing was taken.
func report(w http.ResponseWriter, commands []command, why map[string]string, sideband bool) {
	var b bytes.Buffer
	line := func(to *bytes.Buffer, text string) { fmt.Fprintf(to, "%04x%s", len(text)+4, text) }
	line(&b, "unpack ok\n")
	for _, c := range commands {
		text := why[c.ref]
		if text == "" {
			text = "atomic push failed"
		}
		line(&b, fmt.Sprintf("ng %s protected branch hook declined: %s\n", c.ref, text))
	}
	b.WriteString("0000")
	out := b
	if sideband {
		out = bytes.Buffer{}
		line(&out, "\x01"+b.String())
		out.WriteString("0000")
	}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	_, _ = w.Write(out.Bytes()) // a client that is gone learns nothing anyway
}
