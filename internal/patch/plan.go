package patch

import (
	"fmt"

	"towpath.dev/towpath/internal/image"
)

// plan decides for each marker of a wanted policy what its text becomes.
func plan(found []target, broken []Skipped, want map[string][]image.Ref) (splices []splice, refused []Skipped) {
	torn := map[string]bool{} // policy → one of its part markers cannot be written
	for _, b := range broken {
		torn[b.Policy] = true
	}
	values := make([]string, len(found))
	reasons := make([]string, len(found))
	for i, t := range found {
		values[i], reasons[i] = wanted(t.marker, want[t.marker.Policy])
		if reasons[i] != "" && t.marker.Part != PartRef {
			torn[t.marker.Policy] = true
		}
	}
	for i, t := range found {
		if len(want[t.marker.Policy]) == 0 {
			continue
		}
		if reasons[i] == "" && t.marker.Part != PartRef && torn[t.marker.Policy] {
			reasons[i] = fmt.Sprintf("another part of %s in this file cannot be written; parts of one reference change together", t.marker.Policy)
		}
		switch {
		case reasons[i] != "":
			refused = append(refused, Skipped{Path: t.marker.Path, Line: t.marker.Line, Policy: t.marker.Policy, Reason: reasons[i]})
		case values[i] != t.marker.Value || t.node.ShortTag() != "!!str":
			splices = append(splices, splice{target: t, value: values[i], text: encode(values[i], t.node)})
		}
	}
	return splices, refused
}

// wanted returns the value that a marker shall hold, or why there is none.
func wanted(m Marker, refs []image.Ref) (value, reason string) {
	switch len(refs) {
	case 0:
		return "", ""
	case 1:
	default:
		return "", fmt.Sprintf("two values are wanted for %s: %s and %s", m.Policy, refs[0], refs[1])
	}
	ref := refs[0]
	lacks := func(what, hint string) (string, string) {
		return "", fmt.Sprintf("the reference wanted for %s has no %s; %s", m.Policy, what, hint)
	}
	switch {
	case (m.Part == PartRef || m.Part == PartName) && ref.Repo == image.Repo{}:
		return lacks("repository", "name it in the set")
	case m.Part == PartRef:
		return ref.String(), ""
	case m.Part == PartName:
		return ref.Repo.String(), ""
	case m.Part == PartTag && ref.Tag == "":
		return lacks("tag", "remove the marker or follow a tag")
	case m.Part == PartTag:
		return string(ref.Tag), ""
	case ref.Digest == "":
		return lacks("digest", "remove the marker or let the policy pin digests")
	}
	return string(ref.Digest), ""
}
