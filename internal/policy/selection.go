package policy

import (
	"fmt"
	"slices"

	"towpath.dev/towpath/internal/image"
)

// chooser is one policy looking at the tags of its image from its current tag.
type chooser interface {
	run(tags []string, c Choice) Choice // tags are sorted, each once
	judge(tag string) string            // the first rule that drops the tag
	below(tag string) bool              // whether the tag is lower than the current one
	never() (reason, hint string)       // why nothing can ever be chosen
}

// order is what one selector knows of tags. A key is a value (a tag, or what the
// filter extracts of it) read by the selector. All reasons are empty for "no
// objection".
type order[K any] interface {
	words() words
	// read takes the current tag's value, whose form the lane keeps. The reason is why
	// it cannot be read. Without a current tag read is not called.
	read(value string, kept bool) (reason string)
	// leave tells whether a current tag that cannot be read may be left.
	leave(value string, kept bool) bool
	parse(value string, key *K) (reason string)
	lane(k *K) *barrier          // why the key is not in the lane of the current tag; nil: it is
	reject(k *K) (reason string) // why the key is not wanted by itself
	// compare is a total preorder; more is better. Two keys of which neither is newer
	// are the same, even where one of them ranks higher.
	compare(a, b *K) (rank int, same bool)
	prefer(a, b *K) int               // between equal keys; more is better
	never(k *K) (reason, hint string) // why nothing can be wanted; k: what may not be gone below, or nil
}

// words are a selector's own words in the reasons.
type words struct {
	best  string // "the highest version in 1.x"
	more  string // "higher"
	less  string // "lower"
	noun  string // "version": the same version as …
	alien string // "not a version": what the current tag is when it cannot be read
	hint  string // what to do about that
}

func newChooser(p Policy, current image.Tag) (chooser, *flaw) {
	selectors := 0
	for _, set := range []bool{p.Semver != nil, p.Calver != nil, p.Numerical != nil, p.Alphabetical != nil, p.DigestTag != ""} {
		if set {
			selectors++
		}
	}
	switch {
	case selectors == 0:
		return nil, &flaw{"it has no selector", "add select: {semver: {range: …}}"}
	case selectors > 1:
		return nil, &flaw{"it has several selectors", "keep one of them"}
	case p.DigestTag != "":
		return follower{p.DigestTag, fmt.Sprintf("not the followed tag %s", p.DigestTag)}, nil
	case p.Calver != nil:
		o, bad := newCalverOrder(p)
		return newSelection(p, current, o, bad)
	case p.Numerical != nil:
		o, bad := newNumericalOrder(p)
		return newSelection(p, current, o, bad)
	case p.Alphabetical != nil:
		o, bad := newAlphabeticalOrder(p)
		return newSelection(p, current, o, bad)
	}
	o, bad := newSemverOrder(p)
	return newSelection(p, current, o, bad)
}

// selection is one run of a policy whose selector reads keys of type K.
type selection[K any] struct {
	order   order[K]
	words   words
	current image.Tag
	key     *K     // of the current tag; nil: it has none
	blocked string // why nothing can be compared with the current tag
	lower   string // the reason for what is lower than the current tag; empty: that is allowed
	exclude *exclusion
	filter  *filter

	keeps  bool // an acceptable tag is the same as the current one
	top    ranking[K]
	beyond *ranked[K] // the best of what only the lane drops, when it is better than the current tag
	judged []judgement
	at     K   // the key looked at; one place for all of them spares an allocation each
	rank   int // of the key looked at, against the current tag
}

// judgement is what is known of one tag.
type judgement struct {
	reason string // the rule that dropped it
	value  string // what the selector sees of it
	asNow  bool   // it is the same as the current tag
	beyond bool   // only the lane drops it
}

func newSelection[K any](p Policy, current image.Tag, o order[K], bad *flaw) (chooser, *flaw) {
	if bad != nil {
		return nil, bad
	}
	s := &selection[K]{order: o, words: o.words(), current: current}
	if s.filter, bad = compileFilter(p.Filter); bad != nil {
		return nil, bad
	}
	if s.exclude, bad = compileExclude(p.Exclude); bad != nil {
		return nil, bad
	}
	if !p.AllowDowngrade {
		s.lower = fmt.Sprintf("%s than the current %s", s.words.less, current)
	}
	if current != "" {
		s.read()
	}
	return s, nil
}

// read reads the current tag. One that the filter does not keep is read as it is.
// One that cannot be read is no reason to stay when it is a word like latest.
func (s *selection[K]) read() {
	value, kept := s.value(string(s.current))
	if !kept {
		value = string(s.current)
	}
	reason := s.order.read(value, kept)
	if reason == "" {
		key := new(K)
		if reason = s.order.parse(value, key); reason == "" {
			s.key = key
			return
		}
	}
	if !s.order.leave(value, kept) {
		s.blocked = fmt.Sprintf("the current tag %s is %s, so nothing can be compared with it", s.current, reason)
	}
}

// value is what the selector sees of a tag, and whether the filter keeps the tag.
func (s *selection[K]) value(tag string) (string, bool) {
	if s.filter == nil {
		return tag, true
	}
	return s.filter.apply(tag)
}

// consider reads a tag into s.at and tells the first rule that drops it.
func (s *selection[K]) consider(tag string) judgement {
	if !image.ValidTag(tag) {
		return judgement{reason: notATag}
	}
	if isReferrer(tag) {
		return judgement{reason: referrerTag}
	}
	if reason := s.exclude.match(tag); reason != "" {
		return judgement{reason: reason}
	}
	value, kept := s.value(tag)
	if !kept {
		return judgement{reason: notInFilter}
	}
	if value == "" {
		return judgement{reason: emptyValue}
	}
	if reason := s.order.parse(value, &s.at); reason != "" {
		return judgement{reason: reason, value: value}
	}
	if s.blocked != "" {
		return judgement{reason: "not considered: the current tag is " + s.words.alien, value: value}
	}
	s.rank = 1
	if s.key != nil {
		s.rank = s.against()
	}
	j := judgement{value: value, asNow: s.rank == 0}
	if s.rank < 0 && s.lower != "" {
		j.reason = s.lower
	} else {
		j.reason = s.order.reject(&s.at)
	}
	if wall := s.order.lane(&s.at); wall != nil {
		if j.beyond = wall.open != "" && j.reason == "" && !j.asNow; j.beyond {
			j.reason = wall.open
		} else {
			j.reason = wall.reason
		}
	}
	return j
}

// against ranks the key looked at against the current tag's; 0: they are the same.
func (s *selection[K]) against() int {
	rank, same := s.order.compare(&s.at, s.key)
	if same {
		return 0
	}
	return rank
}

func (s *selection[K]) judge(tag string) string {
	return s.consider(tag).reason
}

func (s *selection[K]) below(tag string) bool {
	if s.key == nil {
		return false
	}
	value, kept := s.value(tag)
	if !kept {
		value = tag
	}
	return s.order.parse(value, &s.at) == "" && !s.order.lane(&s.at).isAlien() && s.against() < 0
}

func (s *selection[K]) never() (reason, hint string) {
	if s.blocked != "" {
		return s.blocked, s.words.hint
	}
	if s.lower == "" {
		return s.order.never(nil)
	}
	return s.order.never(s.key)
}

func (s *selection[K]) run(tags []string, c Choice) Choice {
	s.judged = make([]judgement, len(tags))
	s.top = ranking[K]{better: func(a, b *ranked[K]) bool { return s.better(tags, a, b) }}
	for i, tag := range tags {
		s.judged[i] = s.consider(tag)
		switch {
		case s.judged[i].beyond && s.rank > 0:
			if next := (ranked[K]{i, s.at}); s.beyond == nil || s.better(tags, &next, s.beyond) {
				s.beyond = &next
			}
		case s.judged[i].reason != "":
		case s.judged[i].asNow:
			s.keeps = true // the same: keep the spelling
		default:
			s.top.add(i, s.at)
		}
	}
	if _, listed := slices.BinarySearch(tags, string(s.current)); !listed && s.key != nil {
		s.keeps = s.keeps || s.consider(string(s.current)).reason == "" // it is gone, but nothing else is wrong with it
	}
	selected, goesDown := s.key, false
	best := s.top.best()
	for i := range best {
		down := s.key != nil && s.lowerThanCurrent(&best[i].key)
		if s.keeps && down {
			break
		}
		if c.Candidates == nil {
			c.Selected, selected, goesDown = image.Tag(tags[best[i].at]), &best[i].key, down
		}
		c.Candidates = append(c.Candidates, image.Tag(tags[best[i].at]))
	}
	c.Changed = c.Selected != c.Current
	c.Reason = s.explain(tags, c, goesDown)
	same := s.sameAs(best, selected, c.Changed)
	tie := fmt.Sprintf("the same %s as %s", s.words.noun, c.Selected)
	better := fmt.Sprintf("%s is %s", c.Selected, s.words.more)
	return c.reject(tags, func(i int) string {
		switch {
		case s.judged[i].reason != "":
			return s.judged[i].reason
		case same(i):
			return tie
		}
		return better
	})
}

func (s *selection[K]) lowerThanCurrent(k *K) bool {
	rank, _ := s.order.compare(k, s.key)
	return rank < 0
}

// sameAs tells of each acceptable tag whether it is the same as the selected one. It
// reads no tag again that it need not.
func (s *selection[K]) sameAs(best []ranked[K], selected *K, changed bool) func(i int) bool {
	if !changed {
		return func(i int) bool { return s.judged[i].asNow }
	}
	ties, last := map[int]bool{}, false
	for i := range best {
		if _, last = s.order.compare(&best[i].key, selected); last {
			ties[best[i].at] = true
		}
	}
	beyond := last && len(best) == MaxCandidates // so there may be more of them
	return func(i int) bool {
		if ties[i] || !beyond && !s.judged[i].asNow {
			return ties[i]
		}
		s.order.parse(s.judged[i].value, &s.at)
		_, same := s.order.compare(&s.at, selected)
		return same
	}
}

// better is a total order of tags: by key; between two spellings of one key the
// one like the current tag, by what the selector sees and then by the whole tag, then the shortest, then the first of the alphabet.
func (s *selection[K]) better(tags []string, a, b *ranked[K]) bool {
	if n, _ := s.order.compare(&a.key, &b.key); n != 0 {
		return n > 0
	}
	if n := s.order.prefer(&a.key, &b.key); n != 0 {
		return n > 0
	}
	if like := sameShape(tags[a.at], string(s.current)); like != sameShape(tags[b.at], string(s.current)) {
		return like
	}
	if len(tags[a.at]) != len(tags[b.at]) {
		return len(tags[a.at]) < len(tags[b.at])
	}
	return tags[a.at] < tags[b.at]
}

// explain is the reason of the choice.
func (s *selection[K]) explain(tags []string, c Choice, goesDown bool) string {
	if c.Changed {
		reason := fmt.Sprintf("%s is %s", c.Selected, s.words.best)
		if goesDown {
			reason += fmt.Sprintf(", and the policy allows going down from %s", c.Current)
		}
		return s.noteMissing(tags, reason)
	}
	if s.blocked != "" {
		return s.blocked
	}
	if c.Current == "" {
		return noneLeft
	}
	at, listed := slices.BinarySearch(tags, string(c.Current))
	reason := fmt.Sprintf("nothing acceptable is %s than the current %s", s.words.more, c.Current)
	switch {
	case !listed || s.key == nil:
	case s.judged[at].reason != "":
		reason += ", which is itself not: " + s.judged[at].reason
	case s.beyond != nil:
		reason = fmt.Sprintf("the current %s is %s in its lane", c.Current, s.words.best)
	default:
		reason = fmt.Sprintf("the current %s is %s", c.Current, s.words.best)
	}
	if s.beyond != nil {
		reason += fmt.Sprintf("; %s is %s in another lane", tags[s.beyond.at], s.words.more)
	}
	return s.noteMissing(tags, reason)
}

func (s *selection[K]) noteMissing(tags []string, reason string) string {
	if _, listed := slices.BinarySearch(tags, string(s.current)); listed || s.current == "" {
		return reason
	}
	return reason + "; " + missing
}
