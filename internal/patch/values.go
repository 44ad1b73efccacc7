package patch

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"towpath.dev/towpath/internal/image"
)

// Values assembles one reference per policy from the markers of one app. Where
// no marker names the repository (kustomize's newTag alone), Repo is zero and
// the caller, who knows the policy, fills it in. A policy whose markers
// contradict each other, or hold no reference, is reported and left out.
func Values(markers []Marker) (map[string]image.Ref, []Skipped) {
	sums := map[string]*sum{} // by policy
	for _, m := range markers {
		s := sums[m.Policy]
		if s == nil {
			s = &sum{first: m}
			sums[m.Policy] = s
		}
		if err := s.add(m); err != nil && s.bad == nil {
			s.bad, s.at = err, m
		}
	}
	values := map[string]image.Ref{}
	var skipped []Skipped
	for _, policy := range slices.Sorted(maps.Keys(sums)) {
		s := sums[policy]
		if s.bad == nil && s.ref.Tag == "" && s.ref.Digest == "" {
			s.bad, s.at = errors.New("its markers give neither tag nor digest"), s.first
		}
		if s.bad != nil {
			skipped = append(skipped, Skipped{Path: s.at.Path, Line: s.at.Line, Policy: policy, Reason: fmt.Sprintf("%s: %v", policy, s.bad)})
			continue
		}
		values[policy] = s.ref
	}
	return values, skipped
}

// sum is what the markers of one policy say together.
type sum struct {
	first Marker
	whole image.Ref // of the first marker of a full reference
	ref   image.Ref
	bad   error // the first contradiction
	at    Marker
}

func (s *sum) add(m Marker) error {
	ref, err := m.read()
	if err != nil {
		return err
	}
	joined, err := merge(s.ref, ref)
	if m.Part == PartRef && err == nil {
		if s.whole != (image.Ref{}) && s.whole != ref {
			err = fmt.Errorf("%s here, %s before", ref, s.whole)
		}
		s.whole = ref
	}
	if err != nil {
		return fmt.Errorf("%w (%s:%d); give all its markers one value", err, s.first.Path, s.first.Line)
	}
	s.ref = joined
	return nil
}

// read takes the marker's value for the part of a reference it is.
func (m Marker) read() (ref image.Ref, err error) {
	switch m.Part {
	case PartTag:
		ref.Tag, err = image.ParseTag(m.Value)
	case PartName:
		ref.Repo, err = image.ParseRepo(m.Value)
	case PartDigest:
		ref.Digest, err = image.ParseDigest(m.Value)
	default:
		ref, err = image.ParseRef(m.Value)
	}
	return ref, err
}

// merge joins what two markers of one policy say. Where a full reference
// leaves out what another marker gives (a digest), it says nothing about it.
func merge(a, b image.Ref) (image.Ref, error) {
	var zero image.Repo
	switch {
	case a.Repo != zero && b.Repo != zero && a.Repo != b.Repo:
		return a, fmt.Errorf("%s here, %s before", b.Repo, a.Repo)
	case a.Tag != "" && b.Tag != "" && a.Tag != b.Tag:
		return a, fmt.Errorf("tag %s here, %s before", b.Tag, a.Tag)
	case a.Digest != "" && b.Digest != "" && a.Digest != b.Digest:
		return a, fmt.Errorf("digest %s here, %s before", b.Digest, a.Digest)
	}
	if a.Repo == zero {
		a.Repo = b.Repo
	}
	if a.Tag == "" {
		a.Tag = b.Tag
	}
	if a.Digest == "" {
		a.Digest = b.Digest
	}
	return a, nil
}
