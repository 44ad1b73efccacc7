package policy

import (
	"fmt"
	"slices"
	"strings"
)

// File is one YAML file of policies, with one or more documents.
type File struct {
	Path string // repository-relative, slash-separated
	Data []byte
}

// Config is everything Load understood, and everything it did not.
type Config struct {
	Policies  []Policy   // sorted by name
	Pipelines []Pipeline // sorted by name
	Problems  []Problem  // sorted by place
}

// Policy is the policy of this name. A broken document is no policy.
func (c Config) Policy(name string) (Policy, bool) {
	i, ok := slices.BinarySearchFunc(c.Policies, name, func(p Policy, name string) int {
		return strings.Compare(p.Name, name)
	})
	if !ok {
		return Policy{}, false
	}
	return c.Policies[i], true
}

// Problem is one thing wrong with what a user wrote. Unless it is a Warning, the
// document it is in is not used; all other documents are.
type Problem struct {
	Path         string
	Line, Column int    // from 1
	Object       string // "ImagePolicy/web", or empty when the document has no readable name
	Reason       string // lower case, one line
	Hint         string // what to do; may be empty
	Warning      bool
	Structure    bool // a key, a type or a word is wrong, which the kind's JSON Schema refuses too
	// Verdict is the word of package patch for a marker or a file that cannot be
	// used; Load, which knows no markers, leaves it empty.
	Verdict string
}

// String is "policies/web.yaml:7:5: unknown key \"rnage\"; did you mean \"range\"?".
// A line or column that is not known is left out.
func (p Problem) String() string {
	place := p.Path
	if p.Line > 0 {
		place += fmt.Sprintf(":%d", p.Line)
		if p.Column > 0 {
			place += fmt.Sprintf(":%d", p.Column)
		}
	}
	s := place + ": " + p.Reason
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Error makes a Problem an error.
func (p Problem) Error() string { return p.String() }
