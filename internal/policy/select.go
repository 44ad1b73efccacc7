package policy

import "towpath.dev/towpath/internal/image"

// Choice is the answer of Select.
type Choice struct {
	Policy   string
	Current  image.Tag
	Selected image.Tag // Current when nothing is better
	Changed  bool      // Selected is not Current
	Reason   string    // why, in one line
	Rejected []Rejected
}

// Rejected is a tag that was not chosen and the rule that dropped it.
type Rejected struct {
	Tag    string `json:"tag"`
	Reason string `json:"reason"`
}

// Select decides which of the tags the policy wants. It is pure and independent
// of the order of tags.
func Select(p Policy, tags []string, current image.Tag) Choice {
	return Choice{Policy: p.Name, Current: current, Selected: current, Reason: "nothing is newer"}
}
