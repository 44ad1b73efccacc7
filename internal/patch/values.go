package patch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"towpath.dev/towpath/internal/image"
)

// Values assembles one reference per policy from the markers of one app. Where
// no marker names the repository (kustomize's newTag alone, a :repository whose
// registry is written elsewhere), Repo is zero and the caller, who knows the
// policy, fills it in. A policy is left out when its markers contradict each other,
// which is reported once, at the marker that shows it, or when one of them holds
// no reference, which is reported at each.
func Values(markers []Marker) (map[string]image.Ref, []Skipped) {
	sums := map[string]*sum{} // by policy
	for _, m := range markers {
		s := sums[m.Policy]
		if s == nil {
			s = &sum{first: m, said: map[Part]Marker{}}
			sums[m.Policy] = s
		}
		if k := s.add(m); k.is() && (!s.bad.is() || k.verdict == NotAReference) {
			if s.bad = k; k.verdict == NotAReference {
				s.none = append(s.none, k.at(m))
			}
			s.at = m
		}
	}
	values := map[string]image.Ref{}
	var skipped []Skipped
	for _, policy := range slices.Sorted(maps.Keys(sums)) {
		s := sums[policy]
		if skipped = append(skipped, s.none...); len(s.none) > 0 {
			continue
		}
		if !s.bad.is() {
			s.bad, s.at = s.finish()
		}
		if s.bad.is() {
			skipped = append(skipped, s.bad.at(s.at))
			continue
		}
		values[policy] = s.ref
	}
	return values, skipped
}

// Ref returns what the marker's value says: a whole reference, or one that has
// only the marker's part. A registry or a repository without its registry says
// nothing alone and gives the zero Ref. The error says what the part wants.
func (m Marker) Ref() (ref image.Ref, err error) {
	_, v := splitPrefix(m.Value)
	switch m.Part {
	case PartTag:
		tag, digest := splitTagged(v)
		ref.Digest = image.Digest(digest)
		ref.Tag, err = image.ParseTag(tag)
	case PartName:
		ref.Repo, err = image.ParseRepo(v)
	case PartDigest:
		ref.Digest, err = image.ParseDigest(v)
	case PartRegistry:
		_, err = image.ParseRepo(v + "/name")
	case PartRepository:
		_, err = image.ParseRepo(v)
	default:
		ref, err = image.ParseRef(v)
	}
	return ref, err
}

// sum is what the markers of one policy say together.
type sum struct {
	first                Marker
	whole                image.Ref // of the first marker of a full reference
	ref                  image.Ref
	registry, repository string
	said                 map[Part]Marker // who said first what each part is
	bad                  fault           // the first contradiction
	at                   Marker
	none                 []Skipped // markers without a reference
}

// add takes in what a marker says, or returns why that cannot be.
func (s *sum) add(m Marker) fault {
	ref, err := m.Ref()
	if err != nil {
		return notAReference(m, err)
	}
	_, v := splitPrefix(m.Value)
	switch {
	case m.Part == PartRegistry:
		return s.half(m, &s.registry, v)
	case m.Part == PartRepository:
		return s.half(m, &s.repository, v)
	case m.Part == PartRef && s.whole != image.Ref{} && ((s.whole.Tag == "") != (ref.Tag == "") || (s.whole.Digest == "") != (ref.Digest == "")):
		return s.contradicts(m, PartRef, ref.String(), s.whole.String()) // pinned here and not there
	case m.Part == PartRef && s.whole == image.Ref{}:
		s.whole, s.said[PartRef] = ref, m
	}
	return s.merge(m, ref)
}

func (s *sum) half(m Marker, have *string, v string) fault {
	if *have != "" && *have != v {
		return s.contradicts(m, m.Part, v, *have)
	}
	*have = v
	s.say(m.Part, m)
	return fault{}
}

// merge joins a reference with what is known. Where a full reference leaves out
// what another marker gives (a digest), it says nothing about it. Two spellings
// of one repository agree, and the first one stands.
func (s *sum) merge(m Marker, ref image.Ref) fault {
	var zero image.Repo
	if ref.Repo != zero {
		if s.ref.Repo == zero {
			s.ref.Repo = ref.Repo
		}
		if s.ref.Repo.Canonical() != ref.Repo.Canonical() {
			return s.contradicts(m, PartName, ref.Repo.String(), s.ref.Repo.String())
		}
		s.say(PartName, m)
	}
	if ref.Tag != "" {
		if s.ref.Tag != "" && s.ref.Tag != ref.Tag {
			return s.contradicts(m, PartTag, string(ref.Tag), string(s.ref.Tag))
		}
		s.ref.Tag = ref.Tag
		s.say(PartTag, m)
	}
	if ref.Digest != "" {
		if s.ref.Digest != "" && s.ref.Digest != ref.Digest {
			return s.contradicts(m, PartDigest, string(ref.Digest), string(s.ref.Digest))
		}
		s.ref.Digest = ref.Digest
		s.say(PartDigest, m)
	}
	return fault{}
}

func (s *sum) say(part Part, m Marker) {
	if _, ok := s.said[part]; !ok {
		s.said[part] = m
	}
}

func (s *sum) contradicts(m Marker, part Part, here, before string) fault {
	what := map[Part]string{PartTag: "tag ", PartDigest: "digest ", PartRegistry: "registry ", PartRepository: "repository "}[part]
	first := s.said[part]
	return fault{Contradiction, fmt.Sprintf("%s has %s%s here and %s at %s:%d", m.Policy, what, here, before, first.Path, first.Line),
		"give all its markers one value"}
}

// finish puts the halves of the name together.
func (s *sum) finish() (fault, Marker) {
	policy := s.first.Policy
	switch {
	case s.ref.Tag == "" && s.ref.Digest == "":
		return fault{NoVersion, fmt.Sprintf("the markers of %s give neither tag nor digest", policy), "mark the value that holds the tag too"}, s.first
	case s.registry != "" && s.repository == "" && s.ref.Repo == image.Repo{}:
		return fault{LacksPart, fmt.Sprintf("%s has a registry here, but no repository", policy), "mark the repository too"}, s.said[PartRegistry]
	case s.registry == "" || s.repository == "":
		return fault{}, Marker{}
	}
	m := s.said[PartRepository]
	repo, err := image.ParseRepo(s.registry + "/" + s.repository)
	if err != nil {
		return notAReference(m, err), m
	}
	return s.merge(m, image.Ref{Repo: repo}), m
}

// notAReference is the verdict on a value that its part cannot be. The parsers'
// errors have what to do behind a semicolon.
func notAReference(m Marker, err error) fault {
	reason, hint, ok := strings.Cut(err.Error(), "; ")
	if !ok {
		hint = "write the value that runs now; the bot goes on from it"
	}
	return fault{NotAReference, fmt.Sprintf("%s is to be %s here: %s", m.Policy, called(m.Part), reason), hint}
}
