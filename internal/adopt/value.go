package adopt

import (
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
	"towpath.dev/towpath/internal/patch"
)

// value is one image reference, which one or several scalars hold together.
type value struct {
	path  string
	text  string // how the reference is shown
	spots []spot
	ref   image.Ref
	slot  string // where it stands in its object: the same in two environments for the same container
	// named is the name that a kustomization's entry replaces, empty elsewhere.
	named string

	env, pipeline, app string // filled in by place
	policy             string // filled in by assign
}

// spot is one of its scalars.
type spot struct {
	node *yaml.Node
	part patch.Part
}

func (v *value) line() int { return v.spots[0].node.Line }

// whole tells whether a digest can be written behind the tag.
func (v *value) whole() bool {
	for _, s := range v.spots {
		if s.part == patch.PartRef || s.part == patch.PartDigest || s.part == patch.PartTag && v.ref.Digest != "" {
			return true
		}
	}
	return false
}

func place(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

// finding is what a source makes of a node: a value, or a reason to leave it.
type finding struct {
	node         *yaml.Node // where it is said to be
	text         string
	reason, hint string
	spots        []spot
	ref          image.Ref
	slot, named  string
}

func leftAt(n *yaml.Node, reason, hint string) finding {
	return finding{node: n, text: n.Value, reason: reason, hint: hint}
}

// variable is what is put in before the file is a manifest.
var variable = regexp.MustCompile(`\$\{|\$\(|\{\{|^\$|^<[^>]*>$`)

// Why a text is left, and what to do.
const (
	isVariable     = "it is filled in by a template or a variable"
	hintVariable   = "mark the place that holds the value"
	hasNoTag       = "it has no tag"
	hintNoTag      = "write the tag that is meant"
	hasDigestOnly  = "a digest alone does not say which tag is followed"
	hintDigestOnly = "write NAME:TAG@sha256:…"
	isText         = "it is inside a text, where nothing can be marked"
	hintText       = "change it by hand, or let what reads the text take the image from an argument or a variable of the container, which can be marked"
	isMistyped     = "the comment beside it looks like a mistyped marker"
	hintMistyped   = "write # towpath: NAME, or take the comment away and run adopt again"
	isEncrypted    = "the file is encrypted with SOPS, which lets nobody else change it"
	hasEntry       = "an entry of images: in a kustomization gives it its tag"
	isEmptyTag     = "the tag is empty: the chart fills in its appVersion"
	hintEmptyTag   = "write the tag"
)

// wholeRef reads a scalar that holds a full reference, behind a prefix of the given
// length.
func wholeRef(n *yaml.Node, prefix int, slot string) finding {
	text := n.Value[prefix:]
	if variable.MatchString(text) {
		return leftAt(n, isVariable, hintVariable)
	}
	ref, err := image.ParseRef(text)
	switch {
	case err == nil && ref.Tag == "":
		return leftAt(n, hasDigestOnly, hintDigestOnly)
	case err == nil:
		return finding{node: n, text: n.Value, spots: []spot{{n, patch.PartRef}}, ref: ref, slot: slot}
	}
	if _, err := image.ParseRepo(text); err == nil {
		return leftAt(n, hasNoTag, hintNoTag)
	}
	return leftAt(n, "it is no image reference", "")
}

// pair is a reference that is written in parts.
type pair struct {
	registry, repository, tag, digest *yaml.Node // nil: not there
	sha                               *yaml.Node // a digest without its first word, as some charts have it
}

// read joins the parts. Only tag and digest are marked: the repository stays.
func (p pair) read(slot string) finding {
	repo := p.repository.Value
	if has(p.registry) {
		repo = strings.TrimSuffix(p.registry.Value, "/") + "/" + repo
	}
	if !has(p.tag) {
		switch {
		case has(p.digest):
			return leftAt(p.digest, hasDigestOnly, "write the tag, too")
		case p.tag != nil:
			return finding{node: p.tag, text: repo, reason: isEmptyTag, hint: hintEmptyTag}
		}
		return finding{node: p.repository, text: repo, reason: isEmptyTag, hint: hintEmptyTag}
	}
	f := finding{node: p.tag, text: repo + ":" + p.tag.Value, slot: slot}
	if variable.MatchString(repo) || variable.MatchString(p.tag.Value) || has(p.digest) && variable.MatchString(p.digest.Value) {
		f.reason, f.hint = isVariable, hintVariable
		return f
	}
	if has(p.sha) {
		f.reason, f.hint = "beside it stands sha, the digest of this very tag, which no marker can write", "empty sha; or write the tag as TAG@sha256:… if the chart allows"
		return f
	}
	text := f.text
	if has(p.digest) {
		text += "@" + p.digest.Value
	}
	ref, err := image.ParseRef(text)
	if err != nil {
		f.reason = "its parts make no image reference"
		return f
	}
	f.ref, f.spots = ref, []spot{{p.tag, patch.PartTag}}
	if has(p.digest) {
		f.spots = append(f.spots, spot{p.digest, patch.PartDigest})
	}
	return f
}

// has tells whether a scalar is there and says something.
func has(n *yaml.Node) bool { return n != nil && n.Value != "" && n.ShortTag() != "!!null" }

// get returns the value of a mapping's key, through an alias; nil: there is none.
// Without keys it is the node itself.
func get(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		n = direct(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key && n.Content[i].Kind == yaml.ScalarNode {
				found = n.Content[i+1]
				break
			}
		}
		n = found
	}
	return direct(n)
}

// direct follows an alias to its anchor.
func direct(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// scalar returns the scalar at a mapping's key, nil when something else is there.
func scalar(n *yaml.Node, key string) *yaml.Node {
	if v := get(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v
	}
	return nil
}

// text is the scalar at the keys, empty when there is none.
func text(n *yaml.Node, keys ...string) string {
	if v := get(n, keys...); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// items are the entries of a list at the keys.
func items(n *yaml.Node, keys ...string) []*yaml.Node {
	v := direct(get(n, keys...))
	if v == nil || v.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, len(v.Content))
	for i, c := range v.Content {
		out[i] = direct(c)
	}
	return out
}
