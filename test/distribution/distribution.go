// Package distribution runs distribution/distribution, the registry that most others are made of, for
// tests: over TLS or not, with logins by token, by password or none, and images of several
// platforms. The registry is a process of its own, built once into the user's cache from
// test/distribution/server; it stores in memory, listens on a free loopback port and is gone when
// Close returns or when the process that started it dies. The token server is in this process.
//
// It is for tests only and imports nothing of Towpath but test/build.
package distribution

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"towpath.dev/towpath/test/build"
)

const (
	// startTimeout bounds a start without the build. It is generous: a loaded machine takes many times
	// the usual fraction of a second.
	startTimeout = time.Minute
	// pollEvery is the pause between two looks at something that is not ready yet.
	pollEvery = 20 * time.Millisecond
	// logTail bounds how much of the registry's log an error or a failed test shows, in bytes.
	logTail = 8 << 10
)

// The one user whose credentials clients under test are given. With tokens he may pull from every
// repository but those below Forbidden; with a password he may do all.
const (
	User     = "bot"
	Password = "s3cret-canary"
)

// With tokens, strangers may pull from repositories below Public, and User from none below Forbidden.
const (
	Public    = "public/"
	Forbidden = "forbidden/"
)

// Options describe a registry. The zero value is one without TLS and without a login.
type Options struct {
	TLS         bool // https, with a certificate for 127.0.0.1 and localhost by an authority of its own
	ClientCerts bool // with TLS: who has no certificate by that authority cannot connect
	TokenAuth   bool // a bearer token is wanted, from a token server on another port
	BasicAuth   bool // User and Password are wanted
	// TokenLife is how long a token is good for; the registry counts in whole seconds. 0: five minutes.
	TokenLife time.Duration
	// TokenSaid is what the token server says of that; 0: the truth.
	TokenSaid time.Duration
	// MaxTags is the most tags of one page, whatever the client asks for; 0 leaves it to the client.
	MaxTags int
}

// Registry is a running registry.
type Registry struct {
	Host      string // host:port
	TokenHost string // host:port of the token server; "" without TokenAuth
	CAFile    string // the authority of both, in PEM; "" without TLS
	CertFile  string // a client's certificate, in PEM; "" without ClientCerts
	KeyFile   string // and its key

	options Options
	dir     string
	pki     *pki
	tokens  *tokenServer
	cmd     *exec.Cmd
	stdin   io.Closer
	done    chan struct{} // closed once the process is gone and waited for
	err     error         // how it ended; valid once done is closed
	pusher  pusher
}

// Servers are what Build compiles.
func servers() build.Servers {
	return build.Servers{
		Name:   "distribution",
		Title:  "the registry of the tests",
		Module: "test/distribution/server",
		Intro:  []string{"building a real registry (distribution) for tests from source, about 600 packages; the result is kept in"},
		Steps:  []build.Step{{Folder: ".", Package: ".", Binary: "registry", What: "registry"}},
	}
}

// Build returns the path of the registry's binary, compiled when the cache has none for these sources.
func Build(ctx context.Context, cfg build.Config) (string, error) {
	dir, err := servers().Build(ctx, cfg)
	return filepath.Join(dir, "registry"), err
}

// Start runs a registry until the test ends. A failed test shows the end of the registry's log.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	bin, err := Build(t.Context(), build.Config{Say: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), bin, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the registry's log:\n%s", r.log())
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// Run runs the registry that Build returned until Close. ctx bounds the start only.
func Run(ctx context.Context, bin string, o Options) (*Registry, error) {
	r := &Registry{options: o, done: make(chan struct{})}
	if err := r.start(ctx, bin); err != nil {
		return nil, errors.Join(fmt.Errorf("start a registry: %w", err), r.Close())
	}
	return r, nil
}

func (r *Registry) start(ctx context.Context, bin string) (err error) {
	if r.dir, err = os.MkdirTemp("", "distribution-"); err != nil {
		return err
	}
	if r.pki, err = newPKI(r.dir); err != nil {
		return err
	}
	if r.options.TLS {
		r.CAFile = r.pki.caFile
	}
	if r.options.ClientCerts {
		r.CertFile, r.KeyFile = r.pki.clientCert, r.pki.clientKey
	}
	if r.options.TokenAuth {
		if r.tokens, err = startTokens(r.pki, r.options); err != nil {
			return err
		}
		r.TokenHost = r.tokens.host()
	}
	config, err := r.config()
	if err != nil {
		return err
	}
	if err := r.launch(bin, config); err != nil {
		return err
	}
	if err := r.listening(ctx); err != nil {
		return err
	}
	r.pusher = newPusher(r)
	return nil
}

func (r *Registry) launch(bin, config string) error {
	log, err := os.OpenFile(r.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(bin, "serve", config)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = log, log
	if r.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmd = cmd
	go func() {
		r.err = cmd.Wait()
		close(r.done)
	}()
	return nil
}

// environment is this process's without what would change the registry: it takes settings from
// variables, and sends traces somewhere unless told not to.
func environment() []string {
	env := []string{"OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "REGISTRY_") && !strings.HasPrefix(v, "OTEL_") {
			env = append(env, v)
		}
	}
	return env
}

var listeningOn = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// listening waits until the registry says which port it was given.
func (r *Registry) listening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		raw, err := os.ReadFile(r.logFile())
		if err != nil {
			return err
		}
		if m := listeningOn.FindSubmatch(raw); m != nil {
			r.Host = string(m[1])
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("it ended (%w); the end of its log:\n%s", r.err, r.log())
		case <-ctx.Done():
			return fmt.Errorf("it does not listen (%w); the end of its log:\n%s", context.Cause(ctx), r.log())
		case <-time.After(pollEvery):
		}
	}
}

// Close ends the registry, its token server and its connections; what it held is gone.
func (r *Registry) Close() error {
	r.pusher.close()
	if r.tokens != nil {
		r.tokens.server.CloseClientConnections() // ends what hangs
		r.tokens.server.Close()
	}
	if r.cmd != nil {
		_ = r.cmd.Process.Kill() // it may have ended
		_ = r.stdin.Close()
		<-r.done
	}
	if r.dir == "" {
		return nil
	}
	return os.RemoveAll(r.dir)
}

func (r *Registry) logFile() string { return filepath.Join(r.dir, "log") }

// log returns the end of what the registry wrote, or why there is nothing.
func (r *Registry) log() string {
	raw, err := os.ReadFile(r.logFile())
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-logTail):])
}

// Image returns the full name of repo in this registry.
func (r *Registry) Image(repo string) string { return r.Host + "/" + repo }

// RootCAs holds the authority that signed the registry's certificate; nil without TLS.
func (r *Registry) RootCAs() *x509.CertPool {
	if !r.options.TLS {
		return nil
	}
	return r.pki.pool
}

// Certificate is one for 127.0.0.1 and localhost by the registry's authority, for a proxy before it.
func (r *Registry) Certificate() tls.Certificate { return r.pki.server }
