package scan

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/registry"
)

// Limits and times of the memory.
const (
	// wantedGrain is how exactly it is remembered when an image was wanted last.
	wantedGrain = time.Hour
	// keepUnwanted is how long an image that no policy wants is remembered: a
	// policy that is broken for an hour must not cost its last good answer.
	keepUnwanted = 24 * time.Hour
	// maxUnwanted is how many of them are.
	maxUnwanted = 1000
	// maxFacts is how many tags of one image are remembered with their digest.
	maxFacts = 1000

	// maxJitterShare and maxJitter bound how much later than its schedule an
	// image is asked, so that equal schedules do not fire together.
	maxJitterShare = 0.1
	maxJitter      = time.Minute

	// minDoubted is how many tags the last good answer must have had for a
	// shorter one to be doubted. An empty one after any tags always is.
	minDoubted = 10
	// secondLook is the longest wait for the second look at a doubted answer.
	secondLook = time.Minute
	// agreeShare is how much two doubted answers may differ and still agree.
	agreeShare = 0.1
	// maxHold bounds how long a registry may ask to be left alone.
	maxHold = time.Hour
	// wholeEvery is how often the whole list is asked for, whatever ETag came with
	// the last: one that never changes would hide new tags for ever.
	wholeEvery = 24 * time.Hour
	// retry is when an image is asked again after a failure that may pass by
	// itself, however long its schedule is.
	retry = 10 * time.Minute
	// retryStanding is the same after a failure that does not: somebody may
	// mend it.
	retryStanding = time.Hour
	// maxError is the most bytes of a remembered error.
	maxError = 1000
)

// memory is what is known of one image. It is a value: its maps are not written
// to once a record holds it.
type memory struct {
	Good  registry.Listing `json:"-"`              // the last answer that is believed; has a file of its own
	At    time.Time        `json:"at,omitzero"`    // when Good was true last; zero: never
	Whole time.Time        `json:"whole,omitzero"` // when the whole list came last
	Asked time.Time        `json:"asked"`          // for a listing; zero: never
	Again time.Time        `json:"again,omitzero"` // asked then whatever the schedule
	Hold  time.Time        `json:"hold,omitzero"`  // not asked before, as the registry wishes

	Err   string    `json:"error,omitempty"` // of the last listing; Good is not acted on
	Kind  string    `json:"kind,omitempty"`  // of the error
	Said  string    `json:"said,omitempty"`  // the first error of this kind, for a Problem that stays the same
	Since time.Time `json:"since,omitzero"`  // the first failure in a row

	Doubt *doubt `json:"doubt,omitempty"`

	Facts  map[image.Tag]fact `json:"facts,omitempty"`
	Looked map[string]int     `json:"looked,omitempty"` // candidates resolved per want since the last listing

	Emptied time.Time               `json:"emptied,omitzero"` // since when Good is empty and was not before
	Gone    map[image.Tag]time.Time `json:"gone,omitempty"`   // current tags that Good does not have, since when

	Wanted time.Time `json:"wanted"`
}

// doubt is an answer that is much smaller than the last good one.
type doubt struct {
	Tags  int       `json:"tags"`
	At    time.Time `json:"at"`    // when it came
	First time.Time `json:"first"` // the first doubted answer in a row
}

// fact is what a tag stood for when it was asked last.
type fact struct {
	Digest image.Digest `json:"digest,omitempty"`
	Err    string       `json:"error,omitempty"` // why it, or its platforms, could not be read
	Kind   string       `json:"kind,omitempty"`  // of Err
	Since  time.Time    `json:"since,omitzero"`  // the first Err in a row
	Fresh  bool         `json:"fresh,omitempty"` // asked since the last listing
}

// with returns m with one fact changed.
func (m memory) with(tag image.Tag, f fact) memory {
	facts := make(map[image.Tag]fact, len(m.Facts)+1)
	maps.Copy(facts, m.Facts)
	facts[tag] = f
	m.Facts = facts
	return m
}

// held is until when the registry asked not to be asked; zero: it did not, or
// that is over. A time that no registry could have asked for is none.
func (m memory) held(now time.Time) time.Time {
	if m.Hold.After(now) && m.Hold.Sub(now) <= maxHold {
		return m.Hold
	}
	return time.Time{}
}

// answered takes in a whole answer, and believes it or doubts it.
func (m memory) answered(l registry.Listing, now time.Time, second bool) memory {
	m.Asked, m.Err, m.Kind, m.Said = now, "", "", ""
	m.Since, m.Again, m.Hold = time.Time{}, time.Time{}, time.Time{}
	if m.doubts(len(l.Tags)) && !(m.Doubt != nil && second && agree(m.Doubt.Tags, len(l.Tags))) {
		first := now
		if m.Doubt != nil {
			first = m.Doubt.First
		}
		if m.Doubt == nil || second || !agree(m.Doubt.Tags, len(l.Tags)) {
			m.Doubt = &doubt{Tags: len(l.Tags), At: now, First: first}
		}
		m.Again = m.Doubt.At.Add(secondLook)
		return m
	}
	switch {
	case len(l.Tags) > 0:
		m.Emptied = time.Time{}
	case len(m.Good.Tags) > 0:
		m.Emptied = now
	}
	m.Doubt, m.Good, m.At = nil, l, now
	m.Good.Tags = compact(l.Tags)
	m.Facts, m.Looked = stale(m.Facts, l), nil
	return m
}

// compact puts tags into one piece of memory: a million small ones cost several
// times their length.
func compact(tags []string) []string {
	all := strings.Join(tags, "")
	out := make([]string, len(tags))
	for i, t := range tags {
		out[i], all = all[:len(t)], all[len(t):]
	}
	return out
}

// doubts reports whether an answer with this many tags needs a second look.
func (m memory) doubts(got int) bool {
	had := len(m.Good.Tags)
	return had > 0 && got == 0 || had >= minDoubted && 2*got < had
}

func agree(a, b int) bool {
	return float64(max(a, b)-min(a, b)) <= agreeShare*float64(max(a, b))
}

// stale are the facts of tags that are still there, none of them fresh.
func stale(facts map[image.Tag]fact, l registry.Listing) map[image.Tag]fact {
	if len(facts) == 0 {
		return nil
	}
	listed := map[image.Tag]bool{}
	for _, t := range l.Tags {
		if _, ok := facts[image.Tag(t)]; ok {
			listed[image.Tag(t)] = true
		}
	}
	out := map[image.Tag]fact{}
	for _, t := range slices.Sorted(maps.Keys(listed)) {
		f := facts[t]
		if len(out) == maxFacts {
			break
		}
		f.Fresh = false
		out[t] = f
	}
	return out
}

// The kinds of problems. Of the first ones nothing is chosen for the image; of
// one that is KindUnresolved, nothing that needs its tag.
const (
	KindRefused     = "refused"
	KindNotFound    = "not found"
	KindUnavailable = "unavailable"
	KindBadAnswer   = "bad answer"
	KindOther       = "other"
	KindLate        = "late"       // no answer yet
	KindDoubted     = "doubted"    // much fewer tags than before: looked at again
	KindUnresolved  = "unresolved" // a listed tag has no manifest that can be read
	KindEmpty       = "empty"      // no tags any more, and that is believed
	KindGone        = "gone"       // a current tag is not listed
)

// Blocks reports whether a problem of this kind keeps something from being
// chosen. One that does not is for people to know.
func Blocks(kind string) bool { return kind != KindEmpty && kind != KindGone }

func kindOf(err error) string {
	switch {
	case errors.Is(err, registry.ErrUnauthorized):
		return KindRefused
	case errors.Is(err, registry.ErrNotFound):
		return KindNotFound
	case errors.Is(err, registry.ErrUnavailable):
		return KindUnavailable
	case errors.Is(err, registry.ErrBadAnswer):
		return KindBadAnswer
	}
	return KindOther
}

// failed takes in that there was no answer. What is known stays.
func (m memory) failed(err error, now time.Time) memory {
	kind := kindOf(err)
	m.Err = text(err)
	if m.Since.IsZero() {
		m.Since = now
	}
	if m.Kind != kind {
		m.Kind, m.Said = kind, unmoving(m.Err)
	}
	m.Asked, m.Again, m.Hold = now, time.Time{}, time.Time{}
	until := registry.RetryAt(err)
	switch {
	case until.After(now):
		until = until.UTC()
		if until.Sub(now) > maxHold {
			until = now.Add(maxHold)
		}
		m.Hold, m.Again = until, until
	default:
		m.Again = now.Add(patience(kind))
	}
	return m
}

// patience is how long after a failure an image is asked again at the latest.
func patience(kind string) time.Duration {
	if kind == KindUnavailable {
		return retry
	}
	return retryStanding
}

// text is an error as it is remembered: not endless.
func text(err error) string {
	s := err.Error()
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "") + "…"
	}
	return s
}

var (
	movingTime = regexp.MustCompile(`( (at|until|after|before|since))? \d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[0-9.]*(Z| UTC|[+-]\d\d:\d\d)?`)
	movingPort = regexp.MustCompile(`\S+:\d+->`)
)

// unmoving takes from an error what differs from one try to the next: times,
// and the port on our side of a connection.
func unmoving(s string) string {
	return movingPort.ReplaceAllString(movingTime.ReplaceAllString(s, ""), "")
}

// believed says why Good is not acted on now; "": it is.
func (m memory) believed() string {
	switch {
	case m.Err != "":
		return fmt.Sprintf("nothing is chosen: %s; %s, and it fails since %s", m.Err, m.kept(), stamp(m.Since))
	case m.Doubt != nil:
		return fmt.Sprintf("nothing is chosen: %s; %s, and it is asked again from %s on", m.shrunk(), m.kept(), stamp(m.Again))
	case m.At.IsZero():
		return "the registry has not been asked yet"
	}
	return ""
}

func (m memory) shrunk() string {
	return fmt.Sprintf("the registry lists %s, much fewer than the %d of its last good answer, which needs a second look", tags(m.Doubt.Tags), len(m.Good.Tags))
}

func (m memory) kept() string {
	if m.At.IsZero() {
		return "it never answered before"
	}
	return fmt.Sprintf("%s of %s are kept", tags(len(m.Good.Tags)), stamp(m.At))
}

func tags(n int) string {
	if n == 1 {
		return "1 tag"
	}
	return fmt.Sprintf("%d tags", n)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// problems is what a status says of the image; none when all is well.
func (m memory) problems(repo image.Repo) []Problem {
	p := Problem{Image: repo.String(), Registry: repo.Host(), Kept: len(m.Good.Tags), KeptAt: m.At}
	switch {
	case m.Err != "":
		p.Kind, p.Problem, p.Since = m.Kind, m.Said, m.Since
		return []Problem{p}
	case m.Doubt != nil:
		p.Kind, p.Problem, p.Since = KindDoubted, m.shrunk(), m.Doubt.First
		return []Problem{p}
	}
	// The listing itself is good, and its time moves with each one.
	p.Kept, p.KeptAt = 0, time.Time{}
	if !m.Emptied.IsZero() {
		p.Kind, p.Problem, p.Since = KindEmpty, "it lists no tags any more", m.Emptied
		return []Problem{p}
	}
	var out []Problem
	for _, tag := range slices.Sorted(maps.Keys(m.Facts)) {
		if f := m.Facts[tag]; f.Err != "" && f.Fresh {
			p.Kind, p.Tag, p.Since = KindUnresolved, string(tag), f.Since
			p.Problem = fmt.Sprintf("%s is listed but cannot be resolved: %s", tag, unmoving(f.Err))
			out = append(out, p)
			break // one tells enough
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(m.Gone)) {
		p.Kind, p.Tag, p.Since = KindGone, string(tag), m.Gone[tag]
		p.Problem = fmt.Sprintf("the current tag %s is not listed any more", tag)
		out = append(out, p)
	}
	return out
}

// listing is the memory as a caller sees it.
func (m memory) listing(repo image.Repo) Listing {
	l := Listing{Repo: repo, Tags: m.Good.Tags, At: m.At}
	if why := m.believed(); why != "" && !m.Asked.IsZero() {
		l.Err = errors.New(strings.TrimPrefix(why, "nothing is chosen: "))
	}
	return l
}

// jitter is how much later than its schedule an image is due. It depends on the
// image and on when it was asked, not on chance, so that it is the same at each
// Scan; and it is at most a tenth of the interval, whatever that is, because the
// time that passed is the interval and the jitter.
func jitter(key string, asked, now time.Time) time.Duration {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d", key, asked.Unix())
	share := float64(h.Sum64()>>11) / (1 << 53) // in [0, 1)
	most := min(now.Sub(asked).Seconds()*maxJitterShare/(1+maxJitterShare), maxJitter.Seconds())
	return time.Duration(share * most * float64(time.Second))
}

// forget drops images that no policy wanted for a day, and the oldest of too
// many.
func (s *Scanner) forget(now time.Time) {
	var unwanted []string
	for key, r := range s.records {
		if !r.wanted && r.running == nil {
			unwanted = append(unwanted, key)
		}
	}
	slices.SortFunc(unwanted, func(a, b string) int { // wanted last comes first
		if c := s.records[b].mem.Wanted.Compare(s.records[a].mem.Wanted); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for i, key := range unwanted {
		if i >= maxUnwanted || now.Sub(s.records[key].mem.Wanted) > keepUnwanted {
			delete(s.records, key)
			s.cache.remove(key)
			s.dirty = true
		}
	}
}
