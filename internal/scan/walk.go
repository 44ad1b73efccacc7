package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/policy"
)

// walk goes through the candidates, best first, to the first that has the
// policy's platforms and age. It is done when it found one, or must not go on.
func (c *chooser) walk(ctx context.Context, w Want, res *Result) (done bool, err error) {
	best := res.Choice
	var passed []policy.Rejected
	spent := fmt.Sprintf("%d candidates were looked at in vain; the next ones are looked at after the next listing", MaxLooked)
	again, over := 0, false
	for _, tag := range best.Candidates {
		digest, skip := image.Digest(""), notLooked
		// Once the looks are spent, one that is not known to be old enough is
		// too young: its age begins when it is looked at.
		if !over || w.Policy.MinAge > 0 {
			digest, skip, err = c.candidate(ctx, w, res, tag, &again)
		}
		switch {
		case errors.Is(err, errAsk):
			return true, err
		case errors.Is(err, errSpent):
			err, skip = nil, notLooked
			if !over {
				over = true
				res.Notes = append(res.Notes, spent)
			}
		case err != nil:
			res.Choice = passOver(best, passed)
			c.unresolved(w, res, image.Ref{Repo: w.Policy.Image, Tag: tag}, err)
			return true, nil
		case skip == "":
			res.Choice = passOver(best, passed)
			c.take(w, res, image.Ref{Repo: w.Policy.Image, Tag: tag, Digest: digest})
			if len(passed) > 0 {
				res.Reason = because(fmt.Sprintf("%s is the best that may be taken", tag), passed)
			}
			return true, nil
		case !over && len(res.Notes) < maxNotes:
			res.Notes = append(res.Notes, fmt.Sprintf("%s was passed over: %s", tag, skip))
		}
		passed = append(passed, policy.Rejected{Tag: string(tag), Reason: skip})
	}
	if len(passed) > 0 {
		res.Choice = passOver(best, passed)
		res.Reason = because(fmt.Sprintf("%s would be the choice, but nothing better than the current %s may be taken yet", best.Selected, orNone(w.Current.Tag)), passed)
	}
	return false, nil
}

// notLooked is why a candidate is passed over that there was no look left for.
const notLooked = "not looked at yet: others were first"

// passOver is the choice without its first candidates: as Choice.Skip once for
// each, at the cost of one.
func passOver(c policy.Choice, passed []policy.Rejected) policy.Choice {
	if len(passed) == 0 {
		return c
	}
	mine := make(map[string]bool, len(passed))
	for _, p := range passed {
		mine[p.Tag] = true
	}
	last := len(passed) - 1
	rejected := slices.DeleteFunc(slices.Clone(c.Rejected), func(r policy.Rejected) bool { return mine[r.Tag] })
	rejected = append(rejected, passed[:last]...)
	slices.SortFunc(rejected, func(a, b policy.Rejected) int { return strings.Compare(a.Tag, b.Tag) })
	c.Rejected = rejected
	c.Selected, c.Candidates = image.Tag(passed[last].Tag), c.Candidates[last:]
	return c.Skip(passed[last].Reason)
}

// candidate resolves a candidate and says why it may not be taken; skip "": it
// may.
func (c *chooser) candidate(ctx context.Context, w Want, res *Result, tag image.Tag, again *int) (d image.Digest, skip string, err error) {
	counted := w.key()
	// What the tag stood for before is enough to pass it over: if it moved
	// since, the new digest is younger still.
	if f := c.g.mem.Facts[tag]; !f.Fresh && f.Digest != "" && f.Err == "" {
		if first, known := c.first(f.Digest); known && w.Policy.MinAge > 0 {
			if skip := c.young(w.Policy, first, res); skip != "" {
				return f.Digest, skip, nil
			}
			// The looks of those that were seen before are their own, so that
			// new ones never keep them from being taken.
			counted += " aged"
		}
		if skip := c.remembered(w.Policy, f.Digest); skip != "" {
			if *again++; *again > maxAgain {
				return f.Digest, skip, nil
			}
		}
	}
	d, err = c.resolve(ctx, tag, counted)
	if err != nil {
		return "", "", err
	}
	skip, err = c.gate(ctx, w, res, tag, d)
	return d, skip, err
}

// key names a want among those of its image.
func (w Want) key() string { return w.Env + "/" + w.App + "/" + w.Policy.Name }

// because adds to a reason what was passed over, which is not nothing: the best,
// and how many more.
func because(reason string, passed []policy.Rejected) string {
	reason += fmt.Sprintf("; passed over: %s: %s", passed[0].Tag, passed[0].Reason)
	if len(passed) == 1 {
		return reason
	}
	return fmt.Sprintf("%s, and %d more", reason, len(passed)-1)
}
