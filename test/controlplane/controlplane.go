// Package controlplane starts real Kubernetes control planes for tests and for `towpath demo`:
// etcd, and for each name an API server, the controllers that Deployments and their like need, a
// scheduler, and one node whose pods are played by kwok. Everything listens on free loopback ports
// and is gone, processes and files, when Stop returns, when Start fails and when the process that
// called Start dies, be it by SIGKILL.
//
// The servers come from two modules of their own below servers/, which Build compiles once into
// the user's cache folder.
//
// The package is for tests and the demo. It must not import client-go or any package of Towpath,
// and no package below cmd/bot may import it outside of tests.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what to build and start. The zero value of each field but Names is usable; Names is
// needed by Start only.
type Config struct {
	// Names are the control planes, one API server with controllers, a scheduler and one node
	// each. They are DNS labels and become the names of kubeconfig contexts.
	Names []string
	// FailingImages are references "repository:tag". A pod with a container of such an image, with
	// or without a digest behind the tag, is scheduled and never becomes ready: its containers wait
	// with reason CrashLoopBackOff.
	FailingImages []string
	// CacheDir is where the built servers are kept. Empty means $TOWPATH_CACHE, or the folder
	// towpath in os.UserCacheDir.
	CacheDir string
	// Source is the root of a Towpath checkout, which holds test/controlplane/servers. Empty means
	// the nearest one found upward from the working directory.
	Source string
	// Progress gets one line per step, for a person to read. nil means silence.
	Progress io.Writer
	// WorkDir is an existing folder in which a folder named controlplane is made for data, logs and
	// kubeconfigs. Empty means a fresh temporary folder. Stop removes what was made.
	WorkDir string
}

const (
	// readyTimeout bounds each wait for one server or for a cluster's first objects. It is generous:
	// a machine under load takes many times the usual few seconds.
	readyTimeout = 2 * time.Minute
	// maxNames bounds how many control planes one set may have; each takes some 500 MB.
	maxNames = 16
	// workFolder is the folder made in Config.WorkDir.
	workFolder = "controlplane"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Set is a running set of control planes. Its methods may be called from several goroutines.
type Set struct {
	dir      string
	took     time.Duration
	progress *progress
	// freePorts is the function of that name; tests put ports in the way.
	freePorts func() (first, second string, err error)
	clusters  map[string]*cluster

	mu      sync.Mutex
	servers []*server // in the order in which they were started
	stopped bool
	janitor *server

	stopOnce sync.Once
	stopErr  error
}

// Start builds the servers when needed, starts one control plane per name and returns when each API
// server answers /readyz, each node is Ready and each default namespace has its service account, so
// that a Deployment created next is rolled out. ctx bounds the start only; Stop ends the set. When
// Start fails or ctx ends, everything it started is stopped and removed. An error caused by a server
// names it and shows the end of its log.
func Start(ctx context.Context, cfg Config) (*Set, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	bin, err := Build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	s := newSet(cfg)
	if err := s.start(ctx, cfg, bin); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	s.took = time.Since(begin)
	s.progress.printf("control planes ready after %s: %s", s.took.Round(100*time.Millisecond), strings.Join(cfg.Names, ", "))
	return s, nil
}

func newSet(cfg Config) *Set {
	return &Set{
		progress:  newProgress(cfg.Progress),
		freePorts: freePorts,
		clusters:  make(map[string]*cluster, len(cfg.Names)),
	}
}

// Kubeconfig returns the path of a kubeconfig file that has administrator rights on the named
// control plane. Its one context has that name. The path is empty for a name that was not started.
func (s *Set) Kubeconfig(name string) string {
	c := s.clusters[name]
	if c == nil {
		return ""
	}
	return c.kubeconfig
}

// Dir returns the folder that holds the data, the kubeconfigs and, in its folder logs, what the servers
// wrote.
func (s *Set) Dir() string { return s.dir }

// Ready returns how long the start took, without the build.
func (s *Set) Ready() time.Duration { return s.took }

// Err returns nil while all servers run and after Stop, or an error that names the first server that
// ended by itself and shows the end of its log.
func (s *Set) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	for _, srv := range s.servers {
		if err := srv.died(); err != nil {
			return err
		}
	}
	return nil
}

// Stop kills all servers, waits until they are gone and removes the files. It may be called more
// than once; each call returns the same error.
func (s *Set) Stop() error {
	s.stopOnce.Do(func() { s.stopErr = s.stop() })
	return s.stopErr
}

func (s *Set) stop() error {
	s.mu.Lock()
	s.stopped = true
	servers, janitor := s.servers, s.janitor
	s.mu.Unlock()
	for _, srv := range servers {
		srv.kill()
	}
	for _, srv := range servers {
		srv.wait()
	}
	var err error
	if s.dir != "" {
		// All writers are gone, so once is enough; the janitor then finds nothing to do.
		if err = os.RemoveAll(s.dir); err != nil {
			err = fmt.Errorf("remove the control planes' folder: %w", err)
		}
	}
	if janitor != nil {
		janitor.kill()
		janitor.wait()
	}
	return err
}

// launch starts a server that Stop will end, unless Stop has already begun.
func (s *Set) launch(spec serverSpec) (*server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, fmt.Errorf("start %s: the set is being stopped", spec.name)
	}
	srv, err := startServer(spec)
	if err != nil {
		return nil, err
	}
	s.servers = append(s.servers, srv)
	return srv, nil
}

// forget takes a server that has ended out of the set, because another takes its place.
func (s *Set) forget(srv *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.servers {
		if other == srv {
			s.servers = append(s.servers[:i:i], s.servers[i+1:]...)
			return
		}
	}
}

func (s *Set) start(ctx context.Context, cfg Config, bin Binaries) error {
	if err := s.makeDir(cfg.WorkDir); err != nil {
		return err
	}
	janitor, err := startServer(serverSpec{
		name: "janitor", path: bin.Janitor, args: []string{s.dir}, log: os.DevNull,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.janitor = janitor
	s.mu.Unlock()
	pki, err := newPKI(s.dir)
	if err != nil {
		return err
	}
	stages, err := writeStages(s.dir, cfg.FailingImages)
	if err != nil {
		return err
	}
	s.progress.printf("starting %d control plane(s): %s", len(cfg.Names), strings.Join(cfg.Names, ", "))
	etcdURL, err := s.startEtcd(ctx, bin)
	if err != nil {
		return err
	}
	for _, name := range cfg.Names {
		s.clusters[name] = &cluster{name: name, set: s, bin: bin, pki: pki, stages: stages, etcdURL: etcdURL}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range s.clusters {
		group.Go(func() error { return c.start(ctx) })
	}
	return group.Wait()
}

// makeDir makes the set's folder, readable by its owner only since it holds credentials.
func (s *Set) makeDir(workDir string) error {
	if workDir == "" {
		dir, err := os.MkdirTemp("", "towpath-controlplane-")
		if err != nil {
			return fmt.Errorf("make a folder for the control planes: %w", err)
		}
		s.dir = dir
		return os.Mkdir(filepath.Join(dir, "logs"), 0o700)
	}
	abs, err := filepath.Abs(filepath.Join(workDir, workFolder))
	if err != nil {
		return fmt.Errorf("make a folder for the control planes: %w", err)
	}
	// Mkdir and not MkdirAll: a folder that exists belongs to somebody else and must not be removed.
	if err := os.Mkdir(abs, 0o700); err != nil {
		return fmt.Errorf("make a folder for the control planes: %w", err)
	}
	s.dir = abs
	return os.Mkdir(filepath.Join(abs, "logs"), 0o700)
}

func (cfg Config) check() error {
	if len(cfg.Names) == 0 {
		return errors.New("start control planes: no name is given")
	}
	if len(cfg.Names) > maxNames {
		return fmt.Errorf("start control planes: %d names, at most %d are possible", len(cfg.Names), maxNames)
	}
	seen := make(map[string]bool, len(cfg.Names))
	for _, name := range cfg.Names {
		if !dnsLabel.MatchString(name) {
			return fmt.Errorf("start control planes: name %q is not a DNS label (lower case letters, digits and dashes)", name)
		}
		if seen[name] {
			return fmt.Errorf("start control planes: name %q is given twice", name)
		}
		seen[name] = true
	}
	for _, image := range cfg.FailingImages {
		if strings.Contains(image, "@") || !strings.Contains(image[strings.LastIndex(image, "/")+1:], ":") {
			return fmt.Errorf("start control planes: failing image %q is not of the form repository:tag", image)
		}
	}
	return nil
}
