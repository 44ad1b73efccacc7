package fakegithub

import (
	"fmt"
	"strings"
)

// ForkPull opens, as somebody who need not have a right here, a pull request of a branch of their fork: a
// commit on base with some files. The fork itself cannot be asked for anything.
func (r *Repo) ForkPull(login, branch, base string, files map[string][]byte) (number int, err error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	who := r.s.account(login, "User")
	baseSHA := r.head(base)
	sha, err := r.change(baseSHA, files, "Change "+branch+"\n", who.identity(), who.identity())
	if err != nil {
		return 0, err
	}
	r.lastNumber++
	now := r.s.now()
	p := &pull{
		number: r.lastNumber, id: r.s.next(), title: branch, author: who, head: branch, base: base, fork: login,
		headSHA: sha, baseSHA: baseSHA, created: now, updated: now,
	}
	r.pulls = append(r.pulls, p)
	return p.number, r.setRef(fmt.Sprintf("refs/pull/%d/head", p.number), sha, "")
}

// headOwner is whose repository the head is a branch of.
func (r *Repo) headOwner(p *pull) string {
	if p.fork != "" {
		return p.fork
	}
	return r.Owner
}

// headOf is where the head is now; "" when it is gone.
func (r *Repo) headOf(p *pull) string {
	if p.fork != "" {
		return p.headSHA
	}
	return r.head(p.head)
}

// viewHead is the head's side of a pull request.
func (r *Repo) viewHead(p *pull) obj {
	if p.fork == "" {
		return r.viewSide(p.head, p.headSHA)
	}
	fork := &Repo{Owner: p.fork, Name: r.Name, Default: r.Default, s: r.s, id: r.id + p.id<<20, created: r.created}
	v := fork.viewSide(p.head, p.headSHA)
	v["user"] = r.s.viewUser(r.s.account(p.fork, "User"))
	repo, is := v["repo"].(obj)
	if is {
		repo["fork"] = true
	}
	return v
}

// ManyPulls opens so many pull requests at once, of branches prefix0, prefix1… at one commit, and closes
// them where closed is true.
func (r *Repo) ManyPulls(login, prefix, base string, n int, closed bool) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	who, baseSHA := r.s.account(login, "User"), r.head(base)
	sha, err := r.change(baseSHA, map[string][]byte{"many": []byte("x\n")}, "Many\n", who.identity(), who.identity())
	if err != nil {
		return err
	}
	var refs strings.Builder
	for i := range n {
		r.lastNumber++
		now := r.s.now()
		p := &pull{
			number: r.lastNumber, id: r.s.next(), title: fmt.Sprint(prefix, i), author: who, head: fmt.Sprint(prefix, i), base: base,
			headSHA: sha, baseSHA: baseSHA, created: now, updated: now,
		}
		if closed {
			p.close(now, who)
			p.mergedBy = nil
		}
		r.pulls = append(r.pulls, p)
		fmt.Fprintf(&refs, "create refs/heads/%s %s\ncreate refs/pull/%d/head %s\n", p.head, sha, p.number, sha)
	}
	_, err = r.gitWith(nil, refs.String(), "update-ref", "--stdin")
	return err
}
