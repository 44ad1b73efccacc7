package fakegithub

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// queueEntry is a pull request in its base's merge queue. Its head is what the base would become, on a
// branch of the queue's own, where required checks must report on it.
type queueEntry struct {
	id       int
	pull     *pull
	by       *user
	at       time.Time
	base     string // commit it is built on: the branch's, or the entry's before it
	head     string
	headSHA  string // of the pull request when it came in
	ref      string
	conflict bool
}

// enqueue puts a pull request at the end of the queue, or at its front.
func (r *Repo) enqueue(p *pull, who *token, jump bool) (*queueEntry, error) {
	n := r.needs(p.base, who)
	switch {
	case n.queue == nil:
		return nil, fail(http.StatusUnprocessableEntity, "Merge queue is not enabled for this branch")
	case r.entry(p) != nil:
		return nil, fail(http.StatusUnprocessableEntity, "Pull request is already in the queue")
	}
	if err := r.mayMerge(p, n, strings.ToLower(n.queue.method()), who); err != nil {
		return nil, err
	}
	e := &queueEntry{id: r.s.next(), pull: p, by: who.user, at: r.s.now(), headSHA: p.headSHA}
	if jump {
		r.queue = slices.Insert(r.queue, 0, e)
	} else {
		r.queue = append(r.queue, e)
	}
	return e, r.syncQueue()
}

func (r *Repo) entry(p *pull) *queueEntry {
	i := slices.IndexFunc(r.queue, func(e *queueEntry) bool { return e.pull == p })
	if i < 0 {
		return nil
	}
	return r.queue[i]
}

// leaveQueue takes a pull request out of the queue.
func (r *Repo) leaveQueue(p *pull) {
	if e := r.entry(p); e != nil {
		r.drop(e)
	}
}

func (r *Repo) drop(e *queueEntry) {
	r.queue = slices.DeleteFunc(r.queue, func(o *queueEntry) bool { return o == e })
	if e.ref != "" {
		// A ref that is gone already is as good.
		_ = r.setRef(e.ref, "", "")
	}
}

// syncQueue builds what is to be checked, merges what is green at the front and drops what failed.
func (r *Repo) syncQueue() error {
	for again := true; again; {
		again = false
		tips := map[string]string{} // branch → what the next entry is built on
		for _, e := range slices.Clone(r.queue) {
			p := e.pull
			if !p.open() || p.headSHA != e.headSHA {
				r.drop(e)
				again = true
				break
			}
			front := tips[p.base] == ""
			if front {
				tips[p.base] = r.head(p.base)
			}
			if err := r.build(e, tips[p.base]); err != nil {
				return err
			}
			tips[p.base] = e.head
			done, err := r.settle(e, front)
			if err != nil {
				return err
			}
			if done {
				again = true
				break
			}
		}
	}
	return nil
}

// build makes the merge group's commit and its branch, unless they are there.
func (r *Repo) build(e *queueEntry, base string) error {
	if e.base == base {
		return nil
	}
	if e.ref != "" {
		_ = r.setRef(e.ref, "", "") // a ref that is gone already is as good
	}
	p, rule := e.pull, r.needs(e.pull.base, nil).queue
	if rule == nil {
		rule = &QueueRule{}
	}
	sha, err := r.mergeCommit(p, base, strings.ToLower(rule.method()), "", nil, e.by)
	var no *problem
	if errors.As(err, &no) {
		e.conflict, e.base, e.head = true, base, base
		return nil
	}
	if err != nil {
		return err
	}
	e.base, e.head, e.conflict = base, sha, false
	e.ref = fmt.Sprintf("refs/heads/gh-readonly-queue/%s/pr-%d-%s", p.base, p.number, base)
	return r.setRef(e.ref, sha, "")
}

// settle merges or drops an entry when it is known what becomes of it.
func (r *Repo) settle(e *queueEntry, front bool) (done bool, err error) {
	if e.conflict {
		r.drop(e)
		return true, nil
	}
	green := true
	for _, check := range r.needs(e.pull.base, nil).checks {
		switch r.checkState(e.head, check) {
		case "success":
		case "", "pending":
			green = false
		default:
			r.drop(e)
			return true, nil
		}
	}
	if !green || !front {
		return false, nil
	}
	if err := r.setRef("refs/heads/"+e.pull.base, e.head, e.base); err != nil {
		return false, err
	}
	base, head := e.base, e.head
	r.drop(e)
	return true, r.merged(e.pull, base, head, e.by)
}

// state is an entry's in GraphQL's words.
func (r *Repo) entryState(e *queueEntry) string {
	if e.conflict {
		return "UNMERGEABLE"
	}
	return "AWAITING_CHECKS"
}

// statusesChanged does what waited for a status.
func (r *Repo) statusesChanged() error {
	for _, p := range r.pulls {
		if err := r.autoMerge(p); err != nil {
			return err
		}
	}
	return r.syncQueue()
}

// autoMerge merges or enqueues a pull request that somebody asked that for, if it can be now.
func (r *Repo) autoMerge(p *pull) error {
	if p.auto == nil || !p.open() || r.entry(p) != nil {
		return nil
	}
	who := &token{user: p.auto.by}
	n := r.needs(p.base, who)
	var err error
	if n.queue != nil {
		_, err = r.enqueue(p, who, false)
	} else if err = r.mayMerge(p, n, p.auto.method, who); err == nil {
		var message *string
		if p.auto.message != "" {
			message = &p.auto.message
		}
		err = r.merge(p, p.auto.method, p.auto.title, message, p.auto.by)
	}
	var no *problem
	if errors.As(err, &no) && no.status == http.StatusMethodNotAllowed {
		return nil // not yet
	}
	return err
}
