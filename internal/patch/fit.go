package patch

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"towpath.dev/towpath/internal/image"
)

// notOneWord are characters of texts that hold more than one reference, tag or
// placeholder: what stands around them would be lost.
const notOneWord = " \t\r\n=,;'\"`|&"

// plainPrefix are the characters that may stand before the last "=".
const plainPrefix = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@=-"

// splitPrefix parts a value behind its last "=", as in --image=x:1 of arguments
// and web=x:1 of Argo CD's kustomize images. The prefix is never changed.
func splitPrefix(value string) (prefix, rest string) {
	i := strings.LastIndexByte(value, '=') + 1
	if strings.Trim(value[:i], plainPrefix) != "" {
		return "", value
	}
	return value[:i], value[i:]
}

// splitTagged parts TAG@sha256:…, as kustomize's newTag and the tag of Helm
// values may hold it. A value that is no such pair is a tag without digest.
func splitTagged(value string) (tag, digest string) {
	tag, digest, ok := strings.Cut(value, "@")
	if _, err := image.ParseDigest(digest); !ok || err != nil || !image.ValidTag(tag) {
		return value, ""
	}
	return tag, digest
}

// splitName parts a repository into host and path as they were written. Docker
// Hub's short names have the host docker.io.
func splitName(r image.Repo) (registry, repository string) {
	host, path, ok := strings.Cut(r.String(), "/")
	if !ok || r.Path() == r.String() {
		return dockerHub, r.String()
	}
	return host, path
}

// dockerHub is what a registry is called where a short name leaves it out.
const dockerHub = "docker.io"

// misfit says why the value of a marker cannot be what its part says, going by
// the value and the key it stands under. Values that might be anything, such as
// "" and ${TAG}, fit: a person may write them with a set.
func (s *source) misfit(m Marker, p spot) fault {
	key := p.key
	_, v := splitPrefix(m.Value)
	if k := s.behindAnother(m.Part, v, p); k.is() {
		return k
	}
	if strings.ContainsAny(v, notOneWord) {
		return fault{NotAReference, "the value is a text, and not one reference alone", "give the reference a value of its own"}
	}
	if suits(m.Part, v) {
		return fault{}
	}
	part := holds(v)
	wrong := func(what, marker string) fault {
		return fault{WrongPart, fmt.Sprintf("the marker is for %s, but the value holds %s", called(m.Part), what), "write # towpath: " + m.Policy + marker}
	}
	switch {
	case m.Part == PartTag && part == PartDigest:
		return fault{WrongPart, "the marker is for a tag, but the value holds a digest", "write it at the key digest, with # towpath: " + m.Policy + ":digest"}
	case m.Part == PartTag && part == PartRef, m.Part == PartDigest && part == PartRef:
		return wrong("a whole reference", "")
	case (m.Part == PartName || m.Part == PartRepository || m.Part == PartRegistry) && part == PartRef:
		return fault{WrongPart, fmt.Sprintf("the marker is for %s, but the value holds a tag or digest too, which would be lost", called(m.Part)),
			"write the tag at its own key (newTag, tag), or mark the whole with # towpath: " + m.Policy}
	case m.Part == PartRegistry && strings.Contains(v, "/"):
		return fault{WrongPart, "the marker is for a registry, but the value holds a path too", "write the host alone, and the path at repository"}
	case m.Part == PartRepository && hasHost(v):
		return wrong("the registry too", ":name")
	case m.Part == PartRef && part == PartDigest:
		return wrong("a digest alone", ":digest")
	case m.Part == PartRef && part != PartRef && (key == "tag" || key == "newTag"):
		return wrong("a tag alone", ":tag")
	case m.Part == PartRef && part != PartRef && key == "newName":
		return wrong("a name alone", ":name")
	case m.Part == PartRef && part != PartRef && key == "digest":
		return wrong("a digest alone", ":digest")
	}
	return fault{}
}

// neverImages are keys of Kubernetes whose values are no part of a reference. A
// marker at one of them belongs to a neighbour.
var neverImages = []string{"apiVersion", "kind", "namespace", "imagePullPolicy", "pullPolicy", "containerName", "containerPort", "port", "replicas"}

// behindAnother is the verdict on a marker behind a key that holds something other
// than images, as the name of a container whose image is the line below. Under
// name, a reference may stand, or the name or tag of one, unless a key beside it
// is made for that, or for a whole reference.
func (s *source) behindAnother(part Part, v string, p spot) fault {
	if p.key != "name" && !slices.Contains(neverImages, p.key) {
		return fault{}
	}
	e := s.entry(p.in)
	beside := cmp.Or(e.beside(part), e.beside(PartRef))
	if p.key == "name" && (holds(v) == part || beside == "" && part != PartRef) {
		return fault{}
	}
	hint := hintOwnLine
	if beside != "" {
		hint = fmt.Sprintf("move it to the line of %s:", beside)
	}
	return fault{NotBeside, fmt.Sprintf("the marker is behind %s:, whose value is not %s", p.key, called(part)), hint}
}

// hostPort is a registry that could be read as a name with a tag.
var hostPort = regexp.MustCompile(`^[A-Za-z0-9.-]+:[0-9]{1,5}$`)

// suits reports whether a value surely is what its part says, though it also
// reads as a whole reference: TAG@sha256:… as a tag, host:5000 as a registry.
func suits(part Part, v string) bool {
	switch part {
	case PartTag:
		_, digest := splitTagged(v)
		return digest != ""
	case PartRegistry:
		return hostPort.MatchString(v)
	}
	return false
}

// holds is the part of a reference that a value can only be; "" when it may be
// several, or is none.
func holds(v string) Part {
	if _, err := image.ParseDigest(v); err == nil {
		return PartDigest
	}
	if strings.HasPrefix(v, "sha256:") {
		return PartDigest
	}
	if _, err := image.ParseRef(v); err == nil {
		return PartRef
	}
	return ""
}

func hasHost(v string) bool {
	r, err := image.ParseRepo(v)
	return err == nil && strings.Contains(v, "/") && r.Path() != v
}

// called is how a part is called in a sentence.
func called(p Part) string {
	switch p {
	case PartTag:
		return "a tag"
	case PartName:
		return "a name"
	case PartDigest:
		return "a digest"
	case PartRegistry:
		return "a registry"
	case PartRepository:
		return "a repository without its registry"
	}
	return "a whole reference"
}

// besideDigest is the verdict on a marker at newTag of a kustomize image, in a
// kustomization or a resource that has the same list (Flux's Kustomization),
// whose digest is written too: the digest decides what runs. The mapping is
// known by its keys, as kustomizations often name no kind.
func (s *source) besideDigest(p spot) fault {
	if p.key != "newTag" {
		return fault{}
	}
	if e := s.entry(p.in); !e.named || !e.digest {
		return fault{}
	}
	return fault{TagAndDigest, "the entry has a digest too, which decides what runs whatever newTag says", "keep one of them; to have both write newTag: TAG@sha256:…"}
}

// entry is what the verdicts on the values of a mapping go by.
type entry struct {
	named, digest bool     // it has a name; it has a digest that is not empty
	imageKeys     []string // those made for images whose values are no collections, in their order, once each
}

// imageKeys are the keys of keysOf, of all parts.
var imageKeys = []string{"image", "tag", "newTag", "newName", "repository", "registry", "digest", "value"}

// entry looks through a mapping, once however many markers it holds: a mapping
// of markers would else cost the square of its size.
func (s *source) entry(in *yaml.Node) entry {
	if in == nil || in.Kind != yaml.MappingNode {
		return entry{}
	}
	if e, ok := s.entries[in]; ok {
		return e
	}
	var e entry
	for i := 0; i+1 < len(in.Content); i += 2 {
		s.looked++
		k, v := in.Content[i].Value, in.Content[i+1]
		switch k {
		case "name":
			e.named = true
		case "digest":
			e.digest = v.Kind == yaml.AliasNode || v.Value != "" && v.ShortTag() != "!!null"
		}
		if v.Kind != yaml.MappingNode && v.Kind != yaml.SequenceNode && slices.Contains(imageKeys, k) && !slices.Contains(e.imageKeys, k) {
			e.imageKeys = append(e.imageKeys, k)
		}
	}
	if s.entries == nil {
		s.entries = map[*yaml.Node]entry{}
	}
	s.entries[in] = e
	return e
}

// beside is the first key made for a part, "" when there is none.
func (e entry) beside(part Part) string {
	for _, k := range e.imageKeys {
		if slices.Contains(keysOf(part), k) {
			return k
		}
	}
	return ""
}
