package patch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The bytes without which a file holds no marker, in our form and in Flux's.
const (
	ownToken  = "towpath:"
	fluxToken = "$imagepolicy"
	fluxKey   = `"` + fluxToken + `"`
)

var (
	// ownMarkers finds the places of a text that read as a marker of our form.
	ownMarkers = regexp.MustCompile(`#[# \t]*towpath:[ \t]*([^\s:\x{85}\x{2028}\x{2029}]*)`)
	// ownWords finds what follows our token, also where that is no marker.
	ownWords = regexp.MustCompile(`towpath:[ \t]*([^\s:\x{85}\x{2028}\x{2029}]*)`)
	// apartPart is a part with a blank before its colon.
	apartPart = regexp.MustCompile(`^[ \t]+:[ \t]*([A-Za-z]+)`)
	// bareFlux is Flux's form without its braces.
	bareFlux = regexp.MustCompile(`^["']?\$imagepolicy["']?[ \t]*:`)
	// fluxMarkers finds Flux's form and the policy it names.
	fluxMarkers = regexp.MustCompile(`"\$imagepolicy"[ \t]*:[ \t]*"[^":\\]*:([^":\\]*)`)
	// policyName is a DNS-1123 subdomain, which every policy's name is.
	policyName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)
)

// nameLetters are the characters of policies' names.
const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-."

// nameIn is the name that a text begins with: in a quoted value the closing quote
// may follow it.
func nameIn(text string) string {
	return text[:len(text)-len(strings.TrimLeft(text, nameLetters))]
}

// meant is the policy that a word most likely names which is no policy's name, as
// web in "web", `web,` and Web; "" when nobody can tell, as in Web_App.
func meant(word string) string {
	word = strings.ToLower(word)
	start := strings.IndexAny(word, nameLetters[:len(nameLetters)-len("-.")])
	if start < 0 {
		return ""
	}
	name := nameIn(word[start:])
	if strings.ContainsAny(word[start+len(name):], nameLetters) {
		return ""
	}
	return strings.TrimRight(name, "-.")
}

// glance returns the policies that the markers of data may name, without
// parsing it, or sure false when only a parser can tell.
func glance(data []byte) (policies []string, sure bool) {
	flux := fluxMarkers.FindAllSubmatch(data, -1)
	for _, m := range slices.Concat(ownWords.FindAllSubmatch(data, -1), flux) {
		word := string(m[1])
		policies = append(policies, word)
		for _, name := range []string{nameIn(word), meant(word)} {
			if name != word {
				policies = append(policies, name)
			}
		}
	}
	return policies, len(flux) == bytes.Count(data, []byte(fluxToken))
}

// claim is what a comment says: this value is the part of that policy's choice.
type claim struct {
	policy string
	part   Part
	fault  // why the comment is no usable marker
}

// readComment reads a comment, "#" included. It reports false when the comment
// only happens to hold a token of ours, as prose does.
func readComment(comment string, beside bool) (claim, bool) {
	own := len(ownMarkers.FindAllString(comment, -1))
	flux := strings.Count(comment, fluxToken)
	text := strings.TrimLeft(comment, "# \t")
	bad := func(v Verdict, reason, hint string) (claim, bool) {
		return claim{policy: meant(anyPolicy(comment)), fault: fault{v, reason, hint}}, true
	}
	switch {
	case own+flux > 1:
		return bad(TwoOnOneLine, "two markers on one line", "a value has one policy: remove one of them")
	case strings.HasPrefix(text, ownToken):
		return readOwn(strings.TrimLeft(strings.TrimPrefix(text, ownToken), " \t")), true
	case flux == 1 && strings.HasPrefix(text, "{"):
		return readFlux(text), true
	case flux == 1 && beside && bareFlux.MatchString(text):
		return bad(Malformed, "the marker has no braces around it", fluxHint)
	case flux == 1 && strings.Contains(text, "{"), own == 1, beside && strings.Contains(text, ownToken):
		return bad(NotFirst, "the marker is not the first thing in its comment", "put it first; text may follow it after two spaces")
	}
	return claim{}, false
}

// anyPolicy names the first policy that a text seems to mean, for the report.
func anyPolicy(text string) string {
	policies, _ := glance([]byte(text))
	return slices.Concat(policies, []string{""})[0]
}

// fluxHint says how both forms are written.
const fluxHint = `write # {"` + fluxToken + `": "NAMESPACE:NAME"}, or # towpath: NAME`

func readOwn(text string) claim {
	word, _, _ := strings.Cut(text, "\t")
	word, _, _ = strings.Cut(word, " ")
	if word == "" {
		return claim{fault: fault{Malformed, "the marker names no policy", "write # towpath: NAME"}}
	}
	name, part, has := strings.Cut(word, ":")
	if m := apartPart.FindStringSubmatch(text[len(word):]); m != nil && !has {
		return claim{policy: meant(name), fault: fault{Malformed, "a blank stands before the colon of the part", "write # towpath: " + name + ":" + m[1]}}
	}
	return newClaim(name, part, has)
}

func readFlux(text string) claim {
	bad := func(policy, reason string) claim {
		return claim{policy: meant(policy), fault: fault{Malformed, reason, fluxHint}}
	}
	var fields map[string]any
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&fields); err != nil {
		return bad(anyPolicy(text), "the marker is not JSON")
	}
	value, ok := fields[fluxToken].(string)
	if !ok {
		return bad("", `the marker has no text at "`+fluxToken+`"`)
	}
	_, rest, ok := strings.Cut(value, ":") // Flux's namespace means nothing here
	if !ok {
		return bad(value, fmt.Sprintf("the marker %q names no namespace, without which Flux ignores it", value))
	}
	name, part, has := strings.Cut(rest, ":")
	return newClaim(name, part, has)
}

func newClaim(name, part string, hasPart bool) claim {
	c := claim{policy: name, part: PartRef}
	if hasPart {
		c.part = Part(part)
	}
	if c.fault = checkClaim(name, c.part, hasPart); c.verdict == Malformed {
		c.policy = meant(name)
	}
	return c
}

// checkClaim judges the words of a marker. The part of a full reference is
// never written.
func checkClaim(name string, part Part, hasPart bool) fault {
	if !policyName.MatchString(name) {
		return fault{Malformed, fmt.Sprintf("%q is no name of a policy", name), "names are lower-case letters, digits, - and ., as in metadata.name"}
	}
	if hasPart && !slices.Contains(parts, part) {
		return fault{UnknownPart, fmt.Sprintf("unknown part %q", string(part)), partHint(name, string(part))}
	}
	return fault{}
}

// tagWords are what people call a tag.
var tagWords = []string{"version", "ver", "tags", "newtag", "imagetag", "image-tag", "semver", "release"}

// partHint says what is most likely meant by a part that is none.
func partHint(name, word string) string {
	policy, part, has := strings.Cut(word, ":")
	namespace := name == "flux" || name == "default" || strings.HasPrefix(name, "flux-") || strings.HasSuffix(name, "-system") || has && slices.Contains(parts, Part(part))
	switch lower := strings.ToLower(word); {
	case namespace && policyName.MatchString(policy):
		return "write # towpath: " + word + ", without a namespace"
	case slices.Contains(parts, Part(lower)):
		return "write " + name + ":" + lower
	case slices.Contains(tagWords, lower):
		return fmt.Sprintf("write %s:%s where the value is the tag alone, %[1]s where it is a whole reference", name, PartTag)
	}
	hint := "write " + name
	for i, p := range parts {
		hint += map[bool]string{false: ", ", true: " or "}[i == len(parts)-1] + name + ":" + string(p)
	}
	return hint
}
