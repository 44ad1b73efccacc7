package registry

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"towpath.dev/towpath/internal/image"
)

const (
	registriesAPI  = "towpath.dev/v1"
	registriesKind = "Registries"
	noHost         = "is no registry as image names write it: a name with a dot or a port, without scheme and path"
	// maxHostsFile bytes, and hosts in it, are more than anybody writes.
	maxHostsFile = 1 << 20
	maxHostsSaid = 1000
	// MaxRequestsPerSecond is the highest rate that may be asked for.
	MaxRequestsPerSecond = 1000
)

// Registries is the file that LoadHosts reads.
type Registries struct {
	APIVersion string `json:"apiVersion"` // towpath.dev/v1
	Kind       string `json:"kind"`       // Registries
	Registries []Host `json:"registries"`
}

// LoadHosts reads a file of kind Registries (YAML or JSON), strictly. Relative
// paths in it are relative to its own folder. The error has one line for each
// problem, with file:line and the host.
func LoadHosts(path string) ([]Host, error) {
	raw, err := readFile(path, maxHostsFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l := loader{path: path}
	l.document(raw)
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
		all := make([]error, len(l.problems))
		for i, p := range l.problems {
			all[i] = fmt.Errorf("%s:%d: %s", path, p.line, p.text)
		}
		return nil, errors.Join(all...)
	}
	return l.hosts, nil
}

type loader struct {
	path     string
	hosts    []Host
	problems []problem
}

type problem struct {
	line int
	text string
}

func (l *loader) problem(line int, format string, args ...any) {
	l.problems = append(l.problems, problem{max(line, 1), fmt.Sprintf(format, args...)})
}

func (l *loader) document(raw []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		l.problem(1, "%s", oneLine(err))
		return
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		l.problem(more.Line, "a file of kind %s has one document", registriesKind)
		return
	}
	root := doc.Content[0]
	top, ok := l.mapping(root, "the file", reflect.TypeFor[Registries]())
	if !ok {
		return
	}
	l.constant(root, top["apiVersion"], "apiVersion", registriesAPI)
	l.constant(root, top["kind"], "kind", registriesKind)
	list := top["registries"]
	switch {
	case list == nil || list.Kind != yaml.SequenceNode:
		l.problem(root.Line, "registries is no list")
		return
	case len(list.Content) > maxHostsSaid:
		l.problem(list.Line, "more than %d registries", maxHostsSaid)
		return
	}
	lines := map[string]int{}
	for _, item := range list.Content {
		l.item(item, lines)
	}
}

func (l *loader) constant(root, n *yaml.Node, key, want string) {
	switch {
	case n == nil:
		l.problem(root.Line, "%s is missing; write %s: %s", key, key, want)
	case n.Value != want:
		l.problem(n.Line, "%s is %.60q; write %s", key, n.Value, want)
	}
}

func (l *loader) item(n *yaml.Node, lines map[string]int) {
	name := nameIn(n)
	var h Host
	if !l.fill(n, name, reflect.ValueOf(&h).Elem()) {
		return
	}
	h = h.in(filepath.Dir(l.path))
	for _, p := range h.problems() {
		l.problem(n.Line, "%s: %s", name, p)
	}
	key := normalHost(h.Host)
	if first, twice := lines[key]; twice {
		l.problem(n.Line, "%s: it is named on line %d already", name, first)
	}
	lines[key] = n.Line
	l.hosts = append(l.hosts, h)
}

// in makes relative paths those of files in dir.
func (h Host) in(dir string) Host {
	paths := []*string{&h.CAFile, &h.CertFile, &h.KeyFile}
	if h.Auth != nil {
		auth := *h.Auth
		h.Auth = &auth
		paths = append(paths, &auth.UsernameFile, &auth.PasswordFile, &auth.TokenFile, &auth.DockerConfigFile)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	return h
}

// CheckHost returns an error for what does not name a registry as image names
// do, so that no image could ever be there.
func CheckHost(name string) error {
	if !isHost(name) {
		return fmt.Errorf("%.100q %s", name, noHost)
	}
	return nil
}

func isHost(name string) bool {
	repo, err := image.ParseRepo(name + "/any/name")
	return err == nil && repo.Path() == "any/name"
}

// problems finds what cannot be meant.
func (h Host) problems() []string {
	var found []string
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	add(h.Host == "", "host is missing")
	add(h.Host != "" && !isHost(h.Host), "host %s", noHost)
	files := h.CAFile != "" || h.CertFile != "" || h.KeyFile != ""
	add(h.PlainHTTP && files, "plainHTTP has no certificates; remove it, or caFile, certFile and keyFile")
	add((h.CertFile == "") != (h.KeyFile == ""), "certFile and keyFile belong together")
	if (h.CertFile == "") == (h.KeyFile == "") && files {
		p, err := newTransports(nil).read(h)
		if err == nil {
			_, err = p.config()
		}
		add(err != nil, "%v", err)
	}
	add(!goodProxy(h.Proxy), "proxy is neither a URL (http, https, socks5) nor direct")
	r := h.RequestsPerSecond
	add(math.IsNaN(r) || r < 0 || r > MaxRequestsPerSecond, "requestsPerSecond is not between 0 and %d", MaxRequestsPerSecond)
	if h.Auth != nil {
		found = append(found, h.Auth.problems()...)
	}
	return found
}

func goodProxy(s string) bool {
	if s == "" || s == direct {
		return true
	}
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// problems finds what is not exactly one way to log in.
func (a Auth) problems() []string {
	var found []string
	ways := 0
	for _, given := range []bool{a.UsernameFile != "" || a.PasswordFile != "", a.TokenFile != "", a.DockerConfigFile != "", a.Provider != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		found = append(found, fmt.Sprintf("auth has %d ways to log in; want one of usernameFile with passwordFile, tokenFile, dockerConfigFile, provider", ways))
	}
	if (a.UsernameFile == "") != (a.PasswordFile == "") {
		found = append(found, "auth: usernameFile and passwordFile belong together")
	}
	if known := append(providers(), "none"); a.Provider != "" && !slices.Contains(known, a.Provider) {
		found = append(found, fmt.Sprintf("auth: there is no provider %.60q; there are %s", a.Provider, strings.Join(known, ", ")))
	}
	for _, path := range []string{a.UsernameFile, a.PasswordFile, a.TokenFile, a.DockerConfigFile} {
		if path == "" {
			continue
		}
		if _, err := readFile(path, maxHostsFile); err != nil {
			found = append(found, fmt.Sprintf("auth: %s: %v", path, err))
		}
	}
	return found
}
