// Package reconcile is the agent: it keeps one cluster equal to one
// environment's directory. It renders the directory at the head of a branch,
// plans, applies in stages, prunes with guards, heals drift as it is seen,
// watches rollouts, and reports.
//
// It is on floor 3. Deciding (MakePlan) is pure and apart from doing
// (Execute). It must not delete what it cannot prove to be its own, must not
// let one bad object, app or kind stop another, and must not end for bad
// input: it says so in its report and goes on.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"towpath.dev/towpath/internal/gitrepo"
	"towpath.dev/towpath/internal/kube"
	"towpath.dev/towpath/internal/manifest"
	"towpath.dev/towpath/internal/state"
)

// Labels and annotations on the objects the agent applies.
const (
	LabelEnv = "towpath.dev/env" // the environment; selector of every watch
	LabelApp = "towpath.dev/app" // the app

	AnnotationPrune      = "towpath.dev/prune"       // disabled | confirm
	AnnotationAllowPrune = "towpath.dev/allow-prune" // on any object of the environment: how many deletions one commit may ask for
	AnnotationForce      = "towpath.dev/force"       // "true": take fields from any other manager
	AnnotationRecreate   = "towpath.dev/recreate"    // "true": delete and create when an immutable field changes
)

// Defaults of Config.
const (
	DefaultPoll        = 30 * time.Second
	DefaultHeartbeat   = 5 * time.Minute
	DefaultSweep       = time.Hour
	DefaultNamespace   = "towpath-system"
	DefaultConcurrency = 8
	DefaultWait        = 2 * time.Minute
)

// Source is where manifests come from; *gitrepo.Repo is one.
type Source interface {
	Fetch(ctx context.Context) error
	Head(branch string) (string, error)
	Snapshot(commit string) (gitrepo.Snapshot, error)
	IsAncestor(a, b string) (bool, error)
}

// API is the cluster; *kube.Client is one.
type API interface {
	Resolve(ctx context.Context, group, version, kind string) (kube.Kind, error)
	Forget(group string)
	Apply(ctx context.Context, t kube.Target, body []byte, o kube.ApplyOptions) (kube.Object, error)
	Create(ctx context.Context, t kube.Target, body []byte, manager string) (kube.Object, error)
	Get(ctx context.Context, t kube.Target) (kube.Object, error)
	GetMeta(ctx context.Context, t kube.Target) (kube.Meta, error)
	List(ctx context.Context, k kube.Kind, namespace, selector string) ([]kube.Object, error)
	ListMeta(ctx context.Context, k kube.Kind, selector string) ([]kube.Meta, error)
	Delete(ctx context.Context, t kube.Target, o kube.DeleteOptions) error
	TakeOver(ctx context.Context, t kube.Target, take func(manager string) bool, into string) (bool, error)
	Watch(ctx context.Context, k kube.Kind, selector string, h kube.Handler)
}

// Place is where an environment is: it can change with every commit.
type Place struct {
	Path string // directory in the repository
}

// Config describes an agent. Env, Cluster, Branch, Locate, Source and API are
// required.
type Config struct {
	Env     string // the environment
	Cluster string // the name this cluster has in reports
	Branch  string // the branch that is followed
	// Locate finds the environment in a snapshot, usually in its Pipeline.
	Locate func(s gitrepo.Snapshot) (Place, error)

	Source   Source
	API      API
	Renderer *manifest.Renderer // nil = one with the default limits

	// Report takes reports, one at a time. Its failure never stops
	// reconciling; it is called again, with pauses. nil = nowhere.
	Report func(ctx context.Context, r state.Report) error
	// Previous returns the last report that arrived, so that Since survives a
	// restart. nil = none.
	Previous func(ctx context.Context) (state.Report, bool)

	Now         func() time.Time // nil = time.Now
	Poll        time.Duration    // between looks at the branch; 0 = DefaultPoll
	Heartbeat   time.Duration    // a report is written at least so often; 0 = DefaultHeartbeat
	Sweep       time.Duration    // between comparisons of all values; 0 = DefaultSweep, < 0 = never
	Wait        time.Duration    // Once waits so long for health; 0 = DefaultWait, < 0 = not at all
	Namespace   string           // of the inventory, created if missing; "" = DefaultNamespace
	Concurrency int              // requests at once; 0 = DefaultConcurrency
	AllowRewind bool             // follow the branch to a commit that does not descend from the last one
	Logger      *slog.Logger     // nil = silent
	// OnEvent is called as things happen, from several goroutines. It must not
	// block and not call the agent, but for Poke. nil = nobody listens.
	OnEvent func(Event)
}

// Agent reconciles one environment in one cluster.
type Agent struct {
	c       Config
	poke    bell
	reports bell   // something may be worth a report
	saves   bell   // the inventory changed outside of a pass
	repairs *queue // objects to write again
	checks  *queue // objects whose health to look at

	passes sync.Mutex // one pass at a time; guards these
	loaded bool       // the inventory was read
	again  bool       // the same commit must be looked at again

	recalled bool // Previous was read

	rendered *rendering // of the last commit that could be rendered

	saving  sync.Mutex  // one write of the inventory at a time; guards store
	store   store       //
	changed atomic.Bool // the inventory is not as it was written

	mu       sync.Mutex // guards these
	objects  map[manifest.ID]*object
	apps     []App // of the last pass
	watches  map[kube.Kind]*watching
	install  string                 // id of this installation
	manager  string                 // our field manager
	commit   string                 // the last one applied
	problem  string                 // what kept the last pass from ending
	ready    bool                   // a pass has ended
	previous map[string]previousApp // app → what was said of it last
	before   state.Report           // of the process before this one …
	started  time.Time              // … and when it was read
}

var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// New returns an agent that has done nothing yet.
func New(c Config) (*Agent, error) {
	switch {
	case !label.MatchString(c.Env):
		return nil, fmt.Errorf("new agent: environment %q cannot be the value of a label; use at most 63 letters, digits and - _ . between them", c.Env)
	case c.Cluster == "":
		return nil, errors.New("new agent: the cluster has no name")
	case c.Branch == "" || c.Locate == nil || c.Source == nil || c.API == nil:
		return nil, errors.New("new agent: branch, locate, source and API are required")
	}
	c = c.withDefaults()
	return &Agent{
		c: c, poke: newBell(), reports: newBell(), saves: newBell(),
		repairs: newQueue(), checks: newQueue(),
		store:   store{api: c.API, env: c.Env, namespace: c.Namespace},
		objects: map[manifest.ID]*object{}, watches: map[kube.Kind]*watching{},
	}, nil
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Poll, DefaultPoll)
	def(&c.Heartbeat, DefaultHeartbeat)
	def(&c.Sweep, DefaultSweep)
	def(&c.Wait, DefaultWait)
	if c.Report == nil {
		c.Report = func(context.Context, state.Report) error { return nil }
	}
	if c.Renderer == nil {
		c.Renderer = manifest.NewRenderer(manifest.Limits{})
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Namespace == "" {
		c.Namespace = DefaultNamespace
	}
	if c.Concurrency <= 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
