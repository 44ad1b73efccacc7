package promote

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/pr"
)

const (
	// gateForge is what the forge itself waits for. It is no part of our status,
	// which may be the very thing that the forge waits for.
	gateForge = "forge"

	askAgain     = time.Minute      // between two questions about one head
	askAgainLong = 10 * time.Minute // where only a person can mend it

	maxRefusal = 300 // characters of a forge's reason
)

// refusal is why the forge did not merge a head.
type refusal struct {
	reason string
	at     time.Time
	again  time.Duration
	seen   string // what people and other checks had said then
}

// refuse remembers what keeps the forge from merging and that may pass by itself,
// and returns what people must be told.
func (b *Bot) refuse(now time.Time, p pr.Pull, err error) error {
	r := refusal{at: now, again: askAgain, seen: said(p)}
	switch {
	case err == nil || isRace(err):
		return err
	case errors.Is(err, pr.ErrQueued):
		r.reason, r.again = inQueue, askAgainLong
		b.cfg.Logger.Info("pull request queued", "number", p.Number)
		err = nil
	case errors.Is(err, pr.ErrNotReady):
		r.reason, err = reasonOf(err, pr.ErrNotReady), nil
	case errors.Is(err, pr.ErrConflict):
		// It is rebuilt on the base once that has moved for us, too.
		r.reason, err = reasonOf(err, pr.ErrConflict), nil
	case errors.Is(err, pr.ErrMethod):
		r.reason, r.again = reasonOf(err, pr.ErrMethod), askAgainLong
	case errors.Is(err, pr.ErrForbidden):
		r.reason, r.again = reasonOf(err, pr.ErrForbidden), askAgainLong
	default:
		return err
	}
	b.refused[p.Head] = r
	return err
}

const inQueue = "the forge was asked and merges it when its turn comes"

// reasonOf is what the forge said, from the word on that names the kind.
func reasonOf(err, kind error) string {
	text := err.Error()
	if i := strings.Index(text, kind.Error()); i >= 0 {
		text = text[i:]
	}
	return cut(printable(text), maxRefusal)
}

// remembered forgets the heads that are gone and returns the others.
func (b *Bot) remembered(pulls []pr.Pull) map[string]refusal {
	kept := map[string]refusal{}
	for _, p := range pulls {
		if r, ok := b.refused[p.Head]; ok && p.Open {
			kept[p.Head] = r
		}
	}
	if len(pulls) > 0 { // else nothing is known of them now
		b.refused = kept
	}
	return maps.Clone(kept)
}

// askForge adds to a verdict what the forge itself waits for, and tells whether it
// is to be asked again.
func (s Situation) askForge(p pr.Pull, v Verdict) (with Verdict, ask bool) {
	if v.Act != ActMerge {
		return v, false
	}
	if p.Queued {
		return verdict(append(v.Gates, GateResult{Gate: gateForge, State: Pending, Reason: inQueue})), false
	}
	r, ok := s.refused[p.Head]
	if !ok {
		return v, false
	}
	again := r.at.Add(r.again)
	if r.seen != said(p) {
		again = r.at.Add(askAgain)
	}
	g := GateResult{Gate: gateForge, State: Pending, Reason: r.reason, Next: again}
	return verdict(append(v.Gates, g)), !s.Now.Before(again)
}

// said is what people and other programs said of a pull request, as one text.
func said(p pr.Pull) string {
	labels, checks := slices.Sorted(slices.Values(p.Labels)), []string{}
	for _, c := range p.Checks {
		if c.Context != pr.StatusContext && c.Context != pr.LintContext {
			checks = append(checks, c.Context+" "+string(c.State))
		}
	}
	slices.Sort(checks)
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %v %+v", labels, checks, p.Draft, p.Reviews)
	return fmt.Sprintf("%x", h.Sum(nil))
}
