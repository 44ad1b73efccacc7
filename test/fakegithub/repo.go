package fakegithub

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Settings are those of a repository; the zero value of each is GitHub's own for a new one.
type Settings struct {
	Private             bool
	NoMerge             bool // no merge commits
	NoSquash            bool
	NoRebase            bool
	AutoMerge           bool // people may ask that a pull request be merged when it can be
	DeleteBranchOnMerge bool
}

// Repo is a repository. Its fields may be changed between requests, under Change.
type Repo struct {
	Owner, Name string
	Dir         string // bare
	Default     string // branch
	Settings    Settings
	Protections map[string]*Protection // by branch, no patterns
	Rulesets    []*Ruleset

	s             *Server
	id            int
	created       time.Time
	collaborators map[string]role // by login in lower case
	lastNumber    int             // of issues and pull requests
	pulls         []*pull
	labels        []*label
	statuses      []*status
	checks        []*checkRun
	deployments   []*deployment
	queue         []*queueEntry
	answers       sync.Map // of git, by its arguments; those that never change
}

// Repo makes an empty repository with the default branch "main".
func (s *Server) Repo(owner, name string) (*Repo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[strings.ToLower(owner)] == nil {
		s.account(owner, "Organization")
	}
	r := &Repo{
		Owner: owner, Name: name, Dir: filepath.Join(s.opts.Dir, owner, name+".git"), Default: "main",
		s: s, id: s.next(), created: s.now(), collaborators: map[string]role{}, Protections: map[string]*Protection{},
	}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := r.git("init", "--quiet", "--bare", "--initial-branch", r.Default); err != nil {
		return nil, err
	}
	s.repos[strings.ToLower(owner+"/"+name)] = r
	return r, nil
}

// Change runs f while no request is answered, for changes of settings, protections and rulesets.
func (r *Repo) Change(f func(r *Repo)) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	f(r)
	for _, rs := range r.Rulesets {
		if rs.ID == 0 {
			rs.ID = r.s.next()
		}
	}
}

// Collaborator gives a user a role: read, triage, write, maintain or admin; none takes it away.
func (r *Repo) Collaborator(login, role string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.account(login, "User")
	r.collaborators[strings.ToLower(login)] = parseRole(role)
}

// Commit makes a commit of a user's on a branch, as if pushed: files are written, and removed where the
// content is nil. A branch that is not there starts at the default branch.
func (r *Repo) Commit(login, branch, message string, files map[string][]byte) (string, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	parent := r.head(branch)
	if parent == "" {
		parent = r.head(r.Default)
	}
	who := r.s.account(login, "User").identity()
	sha, err := r.change(parent, files, message, who, who)
	if err != nil {
		return "", err
	}
	return sha, r.setRef("refs/heads/"+branch, sha, "")
}

func (r *Repo) fullName() string { return r.Owner + "/" + r.Name }

// url is below the repository in the REST interface.
func (r *Repo) url(format string, args ...any) string {
	return strings.TrimSuffix(r.s.URL+"repos/"+r.fullName()+"/"+fmt.Sprintf(format, args...), "/")
}

// web is a page of the repository.
func (r *Repo) web(format string, args ...any) string {
	return strings.TrimSuffix(r.s.Web+"/"+r.fullName()+"/"+fmt.Sprintf(format, args...), "/")
}

// sync takes up what was pushed since the last request.
func (r *Repo) sync() error {
	heads, err := r.heads()
	if err != nil {
		return err
	}
	for _, p := range r.pulls {
		if p.closed.IsZero() {
			head := heads[p.head]
			if p.fork != "" {
				head = p.headSHA // nobody pushes to a fork again
			}
			if err := r.syncPull(p, head, heads[p.base]); err != nil {
				return err
			}
		}
	}
	return r.syncQueue()
}

// syncPull compares a pull request with the branches it is of.
func (r *Repo) syncPull(p *pull, head, base string) error {
	if head == "" || base == "" {
		p.close(r.s.now(), nil)
		return nil
	}
	if head == p.headSHA && base == p.baseSHA {
		return nil
	}
	pushed := head != p.headSHA
	p.headSHA, p.baseSHA, p.updated = head, base, r.s.now()
	p.computed, p.reads = false, 0
	if err := r.setRef(fmt.Sprintf("refs/pull/%d/head", p.number), head, ""); err != nil {
		return err
	}
	if pushed {
		p.pushes++
		r.dismissStale(p)
	}
	// Whoever pushes a pull request's commits to its base has merged it.
	merged, err := r.contains(base, head)
	if err != nil {
		return err
	}
	if merged {
		p.close(r.s.now(), nil)
		p.merged, p.mergeSHA = true, base
	}
	return nil
}
