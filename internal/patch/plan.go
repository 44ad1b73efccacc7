package patch

import (
	"fmt"

	"towpath.dev/towpath/internal/image"
)

// planned is what becomes of the usable markers of a file, each in one of three.
type planned struct {
	splices []splice
	current []Marker // hold what is wanted already
	refused []Skipped
}

// plan decides for each marker of a wanted policy what its text becomes.
func plan(found []target, broken []Skipped, want map[string][]image.Ref) planned {
	torn := map[string]int{} // policy → the line of the first of its markers that cannot be written
	tear := func(policy string, line int) {
		if first := torn[policy]; first == 0 || line < first {
			torn[policy] = line
		}
	}
	for _, b := range broken {
		tear(b.Policy, b.Line)
	}
	values := make([]string, len(found))
	faults := make([]fault, len(found))
	for i, t := range found {
		values[i], faults[i] = wanted(t.marker, want[t.marker.Policy])
		if faults[i].is() && t.marker.Part != PartRef {
			tear(t.marker.Policy, t.marker.Line)
		}
	}
	var p planned
	for i, t := range found {
		if len(want[t.marker.Policy]) == 0 {
			continue
		}
		if line := torn[t.marker.Policy]; !faults[i].is() && t.marker.Part != PartRef && line > 0 {
			faults[i] = fault{AnotherRefused, fmt.Sprintf("another marker of %s in this file, in line %d, cannot be written", t.marker.Policy, line), "mend that one: parts of one reference change together"}
		}
		switch {
		case faults[i].is():
			p.refused = append(p.refused, faults[i].at(t.marker))
		case values[i] != t.marker.Value || !t.text:
			p.splices = append(p.splices, splice{target: t, value: values[i], text: encode(values[i], t.style)})
		default:
			p.current = append(p.current, t.marker)
		}
	}
	return p
}

// wanted returns the whole value that a marker shall hold, its prefix included,
// or why there is none.
func wanted(m Marker, refs []image.Ref) (value string, why fault) {
	switch len(refs) {
	case 0:
		return "", fault{}
	case 1:
	default:
		return "", fault{SeveralWanted, fmt.Sprintf("two values are wanted for %s: %s and %s", m.Policy, refs[0], refs[1]), "give one"}
	}
	prefix, old := splitPrefix(m.Value)
	text, why := wantedPart(m.Part, old, refs[0])
	if why.is() {
		why.reason = fmt.Sprintf("the reference wanted for %s has no %s", m.Policy, why.reason)
		return "", why
	}
	return prefix + text, fault{}
}

// wantedPart returns the part of a reference, or a fault whose reason is the
// part that it lacks.
func wantedPart(part Part, old string, ref image.Ref) (string, fault) {
	registry, repository := splitName(ref.Repo)
	_, pinned := splitTagged(old)
	noName := ref.Repo == image.Repo{}
	switch {
	case noName && part != PartTag && part != PartDigest:
		return "", fault{LacksPart, "repository", "name it in the set"}
	case part == PartName:
		return ref.Repo.String(), fault{}
	case part == PartRegistry:
		return registry, fault{}
	case part == PartRepository:
		return repository, fault{}
	case part == PartTag && ref.Tag == "":
		return "", fault{LacksPart, "tag", "remove the marker or follow a tag"}
	case part == PartTag && pinned != "" && ref.Digest == "":
		return "", fault{LacksPart, "digest, which the value has", "let the policy pin digests, or write the tag alone"}
	case part == PartTag && pinned != "":
		return string(ref.Tag) + "@" + string(ref.Digest), fault{}
	case part == PartTag:
		return string(ref.Tag), fault{}
	case part == PartDigest && ref.Digest == "":
		return "", fault{LacksPart, "digest", "remove the marker or let the policy pin digests"}
	case part == PartDigest:
		return string(ref.Digest), fault{}
	}
	return ref.String(), fault{}
}
